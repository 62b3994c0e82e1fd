'use strict';

// What a person sees on the page of events.

const assert = require('node:assert');
const { after, afterEach, before, test } = require('node:test');
const { Browser } = require('./browser.js');

const browser = new Browser();

before(() => browser.start());
after(() => browser.stop());
afterEach(() => browser.close_tabs());

function event(n, more) {
	return Object.assign({ at: 1795493517042 + n * 1000, vn: 'lan', event: 'shortcut_up', level: 'info', text: 'event number ' + n }, more);
}

const three = { events: { last: 3, events: [ event(1), event(2, { level: 'debug' }), event(3, { level: 'warn', vn: 'guest' }) ] } };

function texts(page) {
	return page.$$eval('.dmevpn-events li', (all) => all.map((li) => li.lastChild.textContent));
}

async function tick(page, answers) {
	await browser.answer(page, answers);
	await page.evaluate(() => window.tick());
}

test('what happened before shows, the latest first, and what is new is added', async () => {
	const page = await browser.open('events', { answers: three });

	assert.deepEqual(await texts(page), [ 'event number 3', 'event number 2', 'event number 1' ]);
	await tick(page, { events: { last: 4, events: [ event(4) ] } });
	assert.equal((await texts(page))[0], 'event number 4');
	assert.deepEqual(await page.evaluate(() => window.CALLS.pop()), [ 'events', { after: 3 } ]);
	assert.deepEqual(page.errors, []);
});

test('a daemon that was started again, and events that were missed', async () => {
	const page = await browser.open('events', { answers: three });

	await tick(page, { events: { last: 1, events: [ event(9) ] } });
	assert.deepEqual((await texts(page)).slice(0, 2), [ 'event number 9', 'The daemon was started again.' ]);
	await tick(page, { events: { last: 400, events: [ event(10) ] } });
	assert.equal((await texts(page))[1], '398 events were too many for this page.');
});

test('filter, level, pause, clear', async () => {
	const page = await browser.open('events', { answers: three });

	await page.selectOption('[aria-label="Least important shown"]', 'info');
	assert.equal((await texts(page)).length, 2);
	await page.selectOption('[aria-label="Least important shown"]', 'warn');
	assert.deepEqual(await texts(page), [ 'event number 3' ]);
	await page.selectOption('[aria-label="Least important shown"]', 'debug');
	await page.fill('[aria-label="Filter"]', 'guest');
	assert.deepEqual(await texts(page), [ 'event number 3' ]);
	await page.fill('[aria-label="Filter"]', '');
	await page.click('text=Pause');
	await tick(page, { events: { last: 4, events: [ event(4) ] } });
	assert.equal((await texts(page)).length, 3);
	await page.click('text=Go on');
	await page.evaluate(() => window.tick());
	assert.equal((await texts(page)).length, 4);
	await page.click('text=Clear');
	assert.match(await page.innerText('.dmevpn-events'), /Nothing has happened yet/);
});

test('no daemon, no right, and back again', async () => {
	const page = await browser.open('events', { answers: { events: { error: 'no daemon answers at /x: is it running?', code: 3 } } });

	assert.match(await page.innerText('#view'), /No news\s+no daemon answers at/);
	await tick(page, three);
	assert.ok(!/No news/.test(await page.innerText('#view')));
	assert.equal((await texts(page)).length, 3);
	await tick(page, { events: 6 });
	assert.match(await page.innerText('#view'), /No right to see this/);
});

test('a page that stays open does not grow without end, and nothing becomes HTML', async () => {
	const page = await browser.open('events', { answers: { events: { last: 1500, events: Array.from({ length: 1500 }, (_unused, i) => event(i)) } } });

	assert.equal((await texts(page)).length, 1000);
	await tick(page, { events: { last: 1501, events: [ event(1, { text: '<img src=x onerror="window.hit=1">', vn: '<b>' }) ] } });
	assert.equal(await page.$$eval('#view img, #view b', (all) => all.length), 0);
});

test('a phone of 360 pixels', async () => {
	const page = await browser.open('events', { answers: three, width: 360 });

	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 360);
});
