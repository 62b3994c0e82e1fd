'use strict';

// What a person sees on the page of the status.

const assert = require('node:assert');
const { after, afterEach, before, test } = require('node:test');
const { Browser } = require('./browser.js');
const answers = require('./answers.js');

const browser = new Browser();

before(() => browser.start());
after(() => browser.stop());
afterEach(() => browser.close_tabs());

const configured = {
	dmevpn: [
		{ '.name': 'main', '.type': 'dmevpn' },
		{ '.name': 'dc1', '.type': 'hub', address: 'hub.example.net' },
		{ '.name': 'lan', '.type': 'vn', role: 'spoke', vpn_id: '1', vni: '100', bridge: 'br-lan' }
	]
};
const unconfigured = { dmevpn: [ { '.name': 'main', '.type': 'dmevpn', enabled: '1' } ] };

async function seen(page) {
	assert.deepEqual(page.errors, []);

	return page.innerText('#view');
}

async function shows(router, ...expected) {
	const page = await browser.open('status', router);
	const text = await seen(page);

	for (const words of expected)
		assert.ok(text.includes(words), `"${words}" is not in:\n${text}`);

	return { page, text };
}

test('a registered site says for how long, by which hub, and what goes directly', async () => {
	const { page } = await shows({ answers: answers.registered, uci: configured },
		'registered for 2h 2m', 'hub.example.net (10.0.0.1)', '100, towards the hub 4590770', 'up for 2h 2m', 'dmevpn 0.1.0',
		'5 by a shortcut, 1 being asked for, 1 unknown to the hub', '52:54:00:00:00:0b', '7 in all');
	const rows = await page.$$eval('[aria-label="MAC addresses"] tr', (all) => all.slice(1).map((tr) => tr.innerText.split('\t').map((cell) => cell.trim())));

	assert.deepEqual(rows[0].slice(0, 7), [ 'lan', '52:54:00:00:00:0b', 'directly', '10.0.0.3', '101', 'shortcut', '511 s' ]);
	assert.deepEqual(rows[5].slice(0, 7), [ 'lan', '52:54:00:00:00:0f', 'by the hub', '–', '–', 'being asked for', '–' ]);
	assert.ok(!await page.isVisible('text=Sites registered with this hub'));
});

test('why it is not registered, and what to do, in words', async () => {
	await shows({ answers: answers.registering, uci: configured }, 'no answer to 7 requests', 'Let GRE (IP protocol 47) through');
	await shows({ answers: answers.no_device, uci: configured }, "bridge 'br-lan' does not exist", 'Make the bridge', 'no underlay address yet');
	await shows({ answers: answers.refused, uci: configured }, 'error 16, the VN is not configured there', 'Next try', 'in 25 s');
});

test('the doctor says what is not well and what to do, be the daemon there or not', async () => {
	for (const router of [ answers.doctor, Object.assign({}, answers.down, { doctor: answers.doctor.doctor }) ]) {
		const page = await browser.open('status', { answers: router, uci: configured });

		await page.click('text=Examine this router');
		await page.waitForSelector('.dmevpn-checks [data-level=wrong]');

		const text = await seen(page);

		for (const words of [ 'kernel: it has vxlan', 'firewall: <img src=x', 'let it through' ])
			assert.ok(text.includes(words), text);

		assert.equal(await page.evaluate(() => window.hit), undefined);
	}

	const page = await browser.open('status', { answers: Object.assign({}, answers.doctor, { doctor: { error: 'it is missing', code: 127 } }), uci: configured });

	await page.click('text=Examine this router');
	await page.waitForSelector('text=it is missing');
});

test('a hub shows its sites, and a hub without any says so', async () => {
	await shows({ answers: answers.hub_up, uci: configured }, 'this router is the hub', '3 of at most 1000', '10.255.0.4', 'to its site', 'here, at this hub');
	await shows({ answers: answers.hub_alone, uci: configured }, 'No site is registered with this hub yet.', 'No site is registered yet.');
});

test('nothing configured leads to the configuration', async () => {
	const { page, text } = await shows({ answers: answers.down, uci: unconfigured }, 'Nothing is configured yet', 'Set up');

	assert.ok(!text.includes('no daemon answers'), text);
	assert.equal(await page.getAttribute('text=Set up', 'href'), '/cgi-bin/luci/admin/vpn/dmevpn/config');
});

test('what is configured is never called not configured', async () => {
	const { text } = await shows({ answers: answers.down, uci: configured }, 'Configured, but the daemon does not run', 'no daemon answers at', 'Waiting for it: lan');

	assert.ok(!text.includes('Nothing is configured'), text);

	const off = structuredClone(configured);

	off.dmevpn[2].enabled = 'off';
	await shows({ answers: answers.down, uci: off }, 'Configured, but switched off', 'Switched off: lan');
	off.dmevpn[0].enabled = '0';
	await shows({ answers: answers.down, uci: off }, 'Configured, but switched off');
	await shows({ answers: answers.empty, uci: configured }, 'not taken over');

	// An interface of `proto dmevpn` is a network, too.
	const network = [ { '.name': 'branch', '.type': 'interface', proto: 'dmevpn' }, { '.name': 'lan', '.type': 'interface', proto: 'static' } ];

	await shows({ answers: answers.down, uci: Object.assign({ network }, unconfigured) }, 'the daemon does not run', 'Waiting for it: branch');
	// Who may not read the configuration is not told that there is none.
	assert.ok(!(await shows({ answers: answers.down, uci: { dmevpn: null } }, 'the daemon does not run')).text.includes('Nothing is'));
});

test('what hinders the daemon is said in words, without the number of an error', async () => {
	for (const [ router, words ] of [
		[ answers.hanging, 'no answer from the daemon within 2 s' ],
		[ answers.missing_program, '/usr/sbin/dmevpn is missing' ],
		[ { status: 4 }, 'Restart the service rpcd' ],
		[ { status: 7 }, 'too busy' ]
	]) {
		const { text } = await shows({ answers: router, uci: configured }, words);

		assert.ok(!/\b(code|error) \d/i.test(text), text);
	}
});

test('without the right to see it, the page says so', async () => {
	await shows({ answers: { status: 6 }, uci: { dmevpn: null } }, 'No right to see this', 'luci-app-dmevpn');

	const page = await browser.tab({ uci: configured });

	await page.evaluate(() => window.UBUS = () => {
		throw new Error('RPC call to dmevpn/status failed with error -32002: Access denied');
	});
	await page.evaluate(() => window.open_page('view.dmevpn.status'));
	await page.waitForFunction(() => window.READY);
	assert.match(await seen(page), /No right to see this/);
});

test('a new state shows without a reload, and the filter stays', async () => {
	const page = await browser.open('status', { answers: answers.down, uci: configured });

	await browser.answer(page, answers.registering);
	await page.evaluate(() => window.tick());
	assert.match(await seen(page), /no answer to 7 requests/);
	await browser.answer(page, answers.registered);
	await page.evaluate(() => window.tick());
	assert.match(await seen(page), /registered for 2h 2m/);
	await page.fill('[aria-label="Filter: MAC addresses"]', '10.0.0.4');
	await page.evaluate(() => window.tick());
	assert.equal(await page.inputValue('[aria-label="Filter: MAC addresses"]'), '10.0.0.4');
	assert.match(await seen(page), /1 of 7/);
	await browser.answer(page, answers.down);
	await page.evaluate(() => window.tick());
	assert.match(await seen(page), /the daemon does not run/);
	assert.ok(!await page.isVisible('text=Who talks to whom'));
});

test('rows are sorted by what they mean', async () => {
	const page = await browser.open('status', { answers: answers.registered, uci: configured });
	const column = (n) => page.$$eval('[aria-label="MAC addresses"] tr', (all, i) => all.slice(1).map((tr) => tr.children[i].innerText), n);

	await page.click('button:has-text("Remaining")');
	assert.deepEqual(await column(6), [ '12 s', '42 s', '501 s', '511 s', '512 s', '514 s', '–' ]);
	await page.click('button:has-text("Remaining")');
	assert.equal((await column(6))[1], '514 s');
	assert.equal(await page.getAttribute('th:has-text("Remaining")', 'aria-sort'), 'descending');
	await page.click('button:has-text("VNI")');
	assert.deepEqual((await column(4)).slice(0, 5), [ '100', '101', '101', '700', '4590770' ]);
});

test('a thousand rows are shown in pages, and asked for less often', async () => {
	const page = await browser.open('status', { answers: answers.hub_of_many, uci: configured });
	const rows = () => page.$$eval('[aria-label="MAC addresses"] tr', (all) => all.length - 1);

	assert.equal(await rows(), 50);
	assert.match(await seen(page), /1 to 50/);
	assert.match(await seen(page), /and 986 more sites/);
	await page.click('[title="Next page"]');
	assert.match(await seen(page), /51 to 100/);
	await page.fill('[aria-label="Filter: MAC addresses"]', '10.0.3.230');
	assert.equal(await rows(), 1);

	const asked = () => page.evaluate(() => window.CALLS.filter(([ method ]) => method == 'macs').length);

	const first = await asked();

	for (let i = 0; i < 8; i++)
		await page.evaluate(() => window.tick());

	assert.equal(await asked() - first, 2);
});

test('lists that were cut say so', async () => {
	const cut = structuredClone(answers.hub_up);

	cut.macs.truncated = true;
	await shows({ answers: cut, uci: configured }, 'There are more than this page is told of');
});

test('the picture has a line for each network at the hub, shortcuts and the way by the hub', async () => {
	const lines = async (state, width) => {
		const page = await browser.open('status', { answers: answers[state], uci: configured, width });

		await page.waitForSelector('svg.dmevpn-picture');

		return page.$$eval('.dmevpn-picture .dmevpn-line', (all) => all.map((line) => line.getAttribute('class').replace('dmevpn-line dmevpn-', '')).sort());
	};

	assert.deepEqual(await lines('refused'), [ 'detour', 'detour', 'detour', 'hub-bad', 'hub-good', 'shortcut', 'shortcut', 'shortcut' ]);
	assert.deepEqual(await lines('refused', 360), await lines('refused'));
	assert.deepEqual(await lines('hub_up'), [ 'registered', 'registered', 'registered' ]);
	assert.deepEqual(await lines('registering'), [ 'hub-busy' ]);
	assert.deepEqual(await lines('blocked'), [ 'blocked', 'blocked', 'detour', 'detour', 'detour', 'hub-good', 'shortcut' ]);
});

test('which of several hubs is in use', async () => {
	await shows({ answers: answers.second, uci: configured },
		'dc1 is silent, dc2 is in use, dc3 stands by (sends its sites away) (the last return there went wrong, the next in 90 s at the earliest): frames did not get to the one before and back');
});

test('a path that is down says why, and how frames go meanwhile', async () => {
	const { page } = await shows({ answers: answers.blocked, uci: configured }, 'does a firewall drop UDP 4789', 'no direct path', '1 up, 1 down', '10.0.0.1 (hub)');
	const rows = await page.$$eval('[aria-label="Paths"] tr', (all) => all.slice(1).map((tr) => Array.from(tr.children, (td) => td.innerText)));

	assert.deepEqual(rows.map((row) => row.slice(3, 8)), [
		[ 'up', '60 s', 'below 1 ms', '0 %', '1422' ],
		[ 'up', '180 s', '11 ms', '1 %', '1422' ],
		[ 'down', '75 s', '–', '–', '–' ],
		[ 'being tested', '0 s', '–', '–', '–' ]
	]);

	const titles = await page.$$eval('.dmevpn-picture .dmevpn-blocked title', (all) => all.map((title) => title.textContent));

	assert.deepEqual(titles.map((title) => title.split(' (')[0]), [ 'no direct path: frames to 10.0.0.8 go by the hub', 'no direct path: frames to 10.0.0.9 go by the hub' ]);
	assert.equal(await page.getAttribute('svg.dmevpn-picture', 'aria-label'), 'Who talks to whom: 1 hub, 1 site reached directly, 2 sites reached by the hub');
});

test('a hub that is alone has no paths to show', async () => {
	const page = await browser.open('status', { answers: answers.hub_up, uci: configured });

	assert.ok(!await page.isVisible('[aria-label="Paths"]'));
});

test('a hub shows its paths to other hubs', async () => {
	const { page } = await shows({ answers: answers.hub_cut, uci: configured }, '1 of 2 linked', '10.0.0.3 (hub)', 'NHRP passes, VXLAN does not');

	assert.ok(await page.isVisible('[aria-label="Paths"]'));
});

test('the picture is told in words too', async () => {
	const { page } = await shows({ answers: answers.registered, uci: configured }, 'hub dc1', 'this router', 'lan · 2 MACs');

	assert.equal(await page.getAttribute('svg.dmevpn-picture', 'aria-label'), 'Who talks to whom: 1 hub, 3 sites reached directly');
});

test('forgetting and asking', async () => {
	const page = await browser.open('status', {
		answers: Object.assign({
			flush: { ok: true },
			resolve: { vn: 'lan', mac: '52:54:00:00:00:7f', resolved: true, place: 'remote', nbma: '10.0.0.3', vni: 101, valid: 590, reason: null }
		}, answers.registered), uci: configured
	});
	const last = (method) => page.evaluate((name) => window.CALLS.filter(([ called ]) => called == name).pop()[1], method);

	await page.click('tr:has-text("52:54:00:00:00:0c") >> text=Forget');
	await page.waitForFunction(() => window.NOTES.length == 1);
	assert.deepEqual(await last('flush'), { vn: 'lan', mac: '52:54:00:00:00:0c' });
	await page.click('text=Forget all');
	await page.waitForFunction(() => window.NOTES.length == 2);
	assert.deepEqual(await last('flush'), {});

	await page.fill('[aria-label="MAC address"]', 'nonsense');
	await page.click('text="Ask"');
	assert.match(await seen(page), /This is not a MAC address/);
	await page.fill('[aria-label="MAC address"]', '52:54:00:00:00:7f');
	await page.click('text="Ask"');
	await page.waitForSelector('text=is at 10.0.0.3, VNI 101, valid for 590 s');
	await browser.answer(page, Object.assign({ resolve: { error: 'no answer from the daemon within 2 s', code: 3 } }, answers.registered));
	await page.click('text="Ask"');
	await page.waitForSelector('text=no answer from the daemon within 2 s');
});

test('a hub sends its sites away, and takes them again', async () => {
	const standing = (more) => {
		const { status } = answers.hub_up;

		return Object.assign({}, answers.hub_up, {
			drain: { ok: true },
			status: Object.assign({}, status, { vns: status.vns.map((vn) => Object.assign({}, vn, more)) })
		});
	};
	const alone = await browser.open('status', { answers: standing({ peers: 0 }), uci: configured });

	assert.ok(!await alone.isVisible('text="Send sites away"'), 'they would have nowhere to go');
	const page = await browser.open('status', { answers: standing({ peers: 2, peers_up: 2 }), uci: configured });

	for (const [ button, off, draining ] of [ [ 'Send sites away', false, false ], [ 'Take sites again', true, true ] ]) {
		await browser.answer(page, standing({ peers: 2, peers_up: 2, draining }));
		await page.evaluate(() => window.tick());
		await page.click(`text="${button}"`);
		await page.waitForFunction((told) => window.CALLS.some(([ called, args ]) => called == 'drain' && args.off == told), off);
		assert.equal(await page.isVisible('text="those that have another hub"'), draining);
	}
});

test('removing a site', async () => {
	const page = await browser.open('status', { answers: Object.assign({ remove: { ok: true, removed: 1 } }, answers.hub_up), uci: configured });
	const last = () => page.evaluate(() => window.CALLS.filter(([ called ]) => called == 'remove').pop()[1]);

	for (const [ row, peer ] of [ [ '10.0.0.3', '10.0.0.3,103' ], [ '10.255.0.4', '10.0.0.4,104' ] ]) {
		await page.click(`tr:has-text("${row}") >> text="Remove"`);
		await page.waitForFunction((told) => window.CALLS.some(([ called, args ]) => called == 'remove' && args.peer == told), peer);
		assert.equal((await last()).peer, peer);
	}
});

test('nothing that comes from others becomes HTML', async () => {
	const { page } = await shows({ answers: answers.hostile, uci: configured }, '<img src=x', '<script>');

	await page.evaluate(() => window.tick());
	assert.equal(await page.evaluate(() => window.hit), undefined);
	assert.equal(await page.$$eval('#view img, #view script', (all) => all.length), 0);
});

test('a phone of 360 pixels shows all without scrolling sideways', async () => {
	for (const state of [ 'registered', 'refused', 'hub_up', 'hub_of_many', 'no_device' ]) {
		const page = await browser.open('status', { answers: answers[state], uci: configured, width: 360 });

		await page.waitForTimeout(50);
		// Rows of a table become blocks by LuCI's theme, which is not here: they scroll in their own box.
		assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 360, state);
	}
});
