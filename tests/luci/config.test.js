'use strict';

// What a person does on the page of the configuration, and what becomes of it.

const assert = require('node:assert');
const { after, afterEach, before, test } = require('node:test');
const { Browser } = require('./browser.js');

const browser = new Browser();

before(() => browser.start());
after(() => browser.stop());
afterEach(() => browser.close_tabs());

const net = {
	networks: [ [ 'loopback', 'lo' ], [ 'lan', 'br-lan' ], [ 'wan', 'eth1' ] ],
	devices: [ [ 'lo', 'ethernet' ], [ 'eth1', 'ethernet' ], [ 'br-guest', 'bridge' ], [ 'br-lan', 'bridge' ] ]
};
const fresh = { dmevpn: [ { '.name': 'main', '.type': 'dmevpn', enabled: '1' } ], network: [ { '.name': 'v10', '.type': 'bridge-vlan', device: 'br-lan', vlan: '10' } ] };
const full = {
	dmevpn: [
		{ '.name': 'main', '.type': 'dmevpn', enabled: 'yes', interface: 'wan' },
		{ '.name': 'dc1', '.type': 'hub', address: '10.0.0.1' },
		{ '.name': 'lan', '.type': 'vn', role: 'spoke', vpn_id: '1', vni: '100', bridge: 'br-lan', hub: [ 'dc1' ] }
	],
	network: fresh.network
};
const good = { check: { file: '', valid: true, errors: [], warnings: [] } };

function open(uci, answers) {
	return browser.open('config', { uci, net, answers: answers || good });
}

function saved(page) {
	return page.evaluate(() => window.SAVED.dmevpn);
}

function section(all, name) {
	const found = Object.assign({}, all.find((one) => one['.name'] == name));

	Object.keys(found).filter((key) => key.startsWith('.')).forEach((key) => delete found[key]);

	return found;
}

function checked(page) {
	return page.evaluate(() => window.CALLS.filter(([ method ]) => method == 'check').pop()[1].text);
}

const first = (name) => '[data-field="cbid.json.first.%s"]'.replace('%s', name);
const field = (at, name) => '[data-field="cbid.dmevpn.%s.%s"]'.replace('%s', at).replace('%s', name);

test('the first time, four values make a site', async () => {
	const page = await open(fresh);

	assert.equal(await page.$$eval('#view .cbi-value', (all) => all.filter((node) => node.offsetParent && node.querySelector('input[type=text]')).length), 4);
	await page.fill(first('address') + ' input', 'hub.example.net');
	await page.fill(first('vpn_id') + ' input', '1');
	await page.fill(first('vni') + ' input', '100');
	assert.equal(await page.inputValue(first('bridge') + ' input'), 'br-lan');
	await page.click('#apply');
	await page.waitForFunction(() => window.APPLIED == 1);

	const all = await saved(page);

	assert.deepEqual(section(all, 'main'), { enabled: '1' });
	assert.deepEqual(section(all, 'hub'), { address: 'hub.example.net' });
	assert.deepEqual(section(all, 'lan'), { role: 'spoke', vpn_id: '1', vni: '100', bridge: 'br-lan' });
	assert.equal(await checked(page), "config dmevpn 'main'\n\toption enabled '1'\nconfig hub 'hub'\n\toption address 'hub.example.net'\n" +
		"config vn 'lan'\n\toption role 'spoke'\n\toption vpn_id '1'\n\toption vni '100'\n\toption bridge 'br-lan'\n");
	assert.deepEqual(page.errors, []);
});

test('the first time, a hub needs its interface and no VNI', async () => {
	const page = await open(fresh);

	await page.selectOption(first('role') + ' select', 'hub');
	assert.ok(!await page.isVisible(first('vni')));
	assert.ok(!await page.isVisible(first('address')));
	await page.fill(first('interface') + ' input', 'wan');
	await page.fill(first('vpn_id') + ' input', '7');
	await page.click('#apply');
	await page.waitForFunction(() => window.APPLIED == 1);

	const all = await saved(page);

	assert.deepEqual(section(all, 'main'), { enabled: '1', interface: 'wan' });
	assert.deepEqual(section(all, 'lan'), { role: 'hub', vpn_id: '7', bridge: 'br-lan' });
	assert.equal(all.length, 2);
});

test('the first time, what is missing is told, and nothing is saved', async () => {
	const page = await open(fresh);

	await page.click('#apply');
	await page.waitForFunction(() => window.REFUSED);
	assert.equal(await saved(page), undefined);
	assert.equal(await page.evaluate(() => window.APPLIED), 0);
});

test('the first time, what the daemon finds wrong stands at its field, and nothing is saved', async () => {
	const page = await open(fresh, { check: { file: '', valid: false, warnings: [], errors: [
		{ line: 8, option: 'vni', text: "option 'vni': '100' is taken" }
	] } });

	await page.fill(first('address') + ' input', '10.0.0.1');
	await page.fill(first('vpn_id') + ' input', '1');
	await page.fill(first('vni') + ' input', '100');
	await page.click('#apply');
	await page.waitForSelector(first('vni') + ' .dmevpn-finding');
	assert.match(await page.innerText('.dmevpn-findings'), /lan › vni: option 'vni': '100' is taken/);
	assert.equal(await saved(page), undefined);
	assert.equal(await page.evaluate(() => window.APPLIED), 0);

	// The values stay, and a second try is not taken for a second network.
	await browser.answer(page, good);
	await page.click('#apply');
	await page.waitForFunction(() => window.APPLIED == 1);
	assert.deepEqual((await saved(page)).map((one) => one['.name']), [ 'main', 'hub', 'lan' ]);
});

test('all options can be had the first time, too', async () => {
	const page = await open(fresh);

	await page.click('text=Show all options');
	await page.waitForSelector('text=Add a network');
	assert.ok(await page.isVisible('text=Add a hub'));
});

test('what is there shows, in the words of the schema', async () => {
	const page = await open(full);
	const text = await page.innerText('#view');

	for (const words of [ 'This router', 'Networks', 'Hubs', 'br-lan', '10.0.0.1', 'Whoever reaches a hub without keys can join it' ])
		assert.ok(text.includes(words), words);

	assert.ok(await page.isChecked(field('main', 'enabled') + ' input'));
	assert.match(await page.innerText(field('main', 'holding_time')), /How long others may believe what this router told them/);
	assert.equal(await page.getAttribute(field('main', 'udp_port') + ' input', 'placeholder'), '4789');
});

test('a dialog shows what the role has', async () => {
	const page = await open(full);

	await page.click('tr[data-sid="lan"] .edit');
	assert.ok(await page.isVisible(field('lan', 'vni')));
	assert.ok(!await page.isVisible(field('lan', 'uplink_vni')));
	assert.equal(await page.inputValue(field('lan', 'hub') + ' select'), 'dc1');
	await page.selectOption(field('lan', 'role') + ' select', 'hub');
	assert.ok(!await page.isVisible(field('lan', 'vni')));
	assert.ok(await page.isVisible(field('lan', 'uplink_vni')));
	await page.click('#modal .save');
	await page.waitForFunction(() => window.SAVED.dmevpn);
	// What only a spoke has is gone with the role.
	assert.deepEqual(section(await saved(page), 'lan'), { role: 'hub', vpn_id: '1', bridge: 'br-lan' });
});

test('what is as by default is not written', async () => {
	const page = await open(full);

	await page.click('tr[data-sid="lan"] .edit');
	await page.fill(field('lan', 'mtu') + ' input', '1500');
	await page.fill(field('lan', 'max_macs') + ' input', '2048');
	await page.fill(field('lan', 'vlan') + ' input', '10');
	await page.click('#modal .save');
	await page.waitForFunction(() => window.SAVED.dmevpn);

	const { mtu, max_macs, vlan } = section(await saved(page), 'lan');

	assert.deepEqual([ mtu, max_macs, vlan ], [ undefined, undefined, '10' ]);
});

test('what cannot be right is refused in the dialog', async () => {
	for (const [ name, value, words ] of [
		[ 'vpn_id', '4294967296', /up to 4294967295/ ], [ 'vpn_id', 'x', /A number/ ], [ 'vni', '0', /between 1 and 16777215/ ],
		[ 'bridge', 'a b', /name of an interface/ ], [ 'bridge', '', /Needed for the role spoke/ ], [ 'mtu', '99', /between 576 and 9216/ ]
	]) {
		const page = await open(full);

		await page.click('tr[data-sid="lan"] .edit');
		await page.fill(field('lan', name) + ' input', value);
		await page.click('#modal .save');
		assert.match(await page.evaluate(() => window.REFUSED), words, name);
		assert.equal(await saved(page), undefined);
		await page.close();
	}
});

test("what the daemon refuses is saved, shown at its place, and not applied", async () => {
	const page = await open(full, { check: { file: '', valid: false,
		errors: [ { line: 5, section: 'lan', option: null, text: 'this VN and another have the same bridge' } ],
		warnings: [ { line: 3, section: 'main', option: 'interface', text: "option 'interface': is odd" } ]
	} });

	await page.click('#apply');
	await page.waitForSelector('tr[data-sid="lan"] .dmevpn-finding');
	assert.match(await page.innerText('tr[data-sid="lan"] .dmevpn-finding'), /the same bridge/);
	assert.match(await page.innerText(field('main', 'interface') + ' .dmevpn-finding'), /is odd/);
	assert.match(await page.innerText('.dmevpn-findings'), /This cannot be used yet\s+lan: this VN/);
	assert.equal(await page.evaluate(() => window.APPLIED), 0);
	await browser.answer(page, good);
	await page.click('#apply');
	await page.waitForFunction(() => window.APPLIED == 1);
	assert.equal(await page.$('.dmevpn-finding'), null);
});

test('a daemon that cannot be asked keeps nobody from saving', async () => {
	for (const check of [ 4, { error: '/usr/sbin/dmevpn is missing', code: 127 } ]) {
		const page = await open(full, { check });

		await page.click('#apply');
		await page.waitForFunction(() => window.APPLIED == 1);
		assert.match(await page.innerText('.dmevpn-findings'), /Not checked/);
		await page.close();
	}
});

test('a value with a quotation mark is checked as it is', async () => {
	const uci = structuredClone(full);

	uci.dmevpn[1].address = "it's\noption evil '1'";

	const page = await open(uci);

	await page.waitForFunction(() => window.CALLS.some(([ method ]) => method == 'check'));
	assert.ok((await checked(page)).includes("\toption address 'it'\\''s option evil '\\''1'\\'''\n"));
});

test('every option of the program is in a form, or known to be for experts', async () => {
	const page = await open(full);
	const { options, tabs, fields } = await page.evaluate(() => {
		const known = window.require_module('dmevpn.options');
		const names = {};

		for (const type of [ 'main', 'hub', 'vn', 'key', 'spoke' ])
			names[type] = Object.keys(known[type]);

		const shown = { main: [], hub: [], vn: [], key: [], spoke: [] };
		const types = { dmevpn: 'main', hub: 'hub', vn: 'vn', key: 'key', spoke: 'spoke' };

		window.PAGE.map.children.forEach((part) => part.children.forEach((o) => shown[types[part.sectiontype]].push(o.option)));

		return { options: names, fields: shown, tabs: window.PAGE.map.children.map((part) => Object.keys(part.tabs)) };
	});
	// Each with its reason in view/dmevpn/config.js.
	const expert = { main: [ 'socket', 'state_file' ], hub: [ 'priority' ], vn: [], key: [], spoke: [] };

	for (const type in options)
		assert.deepEqual(fields[type].concat(expert[type]).sort(), options[type].sort(), type);

	assert.ok(tabs.every((names) => names.includes('advanced')));
});

test("a site as an interface has the options of netifd's handler", async () => {
	const page = await browser.tab({ uci: { network: [ { '.name': 'site', '.type': 'interface', proto: 'dmevpn' } ] }, net });
	const found = await page.evaluate(() => {
		const names = [];
		const part = { section: 'site', formvalue: () => null };
		const form = window.standin.modules.form;

		part.taboption = (tab, cls, name, title) => {
			const o = new cls({ config: 'network' }, part, name, title);

			names.push(name);
			o.tab = tab;
			part[name] = o;

			return o;
		};
		form.made = window.require_module('protocol.dmevpn');
		form.made.renderFormOptions(part);

		return { names, optional: names.filter((name) => part[name].rmempty), depends: names.filter((name) => part[name].deps.length) };
	});
	const handler = require('node:fs').readFileSync(require('node:path').join(require('./browser.js').REPOSITORY, 'openwrt/dmevpn/files/dmevpn.proto.sh'), 'utf8');
	const taken = Array.from(handler.matchAll(/proto_config_add_\w+ (\w+)/g)).map((hit) => hit[1]);

	assert.deepEqual(found.names.slice().sort(), taken.sort());
	assert.deepEqual(found.optional, [ 'tunlink', 'vlan', 'mtu', 'vpn_mode' ]);
	assert.deepEqual(found.depends, []);
});
