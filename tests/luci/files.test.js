'use strict';

// What LuCI and rpcd read besides: JSON, texts for translation, rights.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { REPOSITORY } = require('./browser.js');
const { MANY, ONE, POT, pot } = require('./pot.js');

const APP = path.join(REPOSITORY, 'openwrt/luci-app-dmevpn');

function all(directory, ending) {
	return fs.readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(ending)).map((name) => path.join(directory, name));
}

// JSON.parse takes the last of two equal keys without a word.
function parsed(text) {
	const twice = [];
	const open = [];

	for (const [ token ] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:|[{}]/g)) {
		if (token == '{')
			open.push(new Set());
		else if (token == '}')
			open.pop();
		else if (open.at(-1).has(token.replace(/\s*:$/, '')))
			twice.push(token);
		else
			open.at(-1).add(token.replace(/\s*:$/, ''));
	}

	return { twice, value: JSON.parse(text) };
}

const read = (...names) => fs.readFileSync(path.join(APP, ...names), 'utf8');
const menu = parsed(read('root/usr/share/luci/menu.d/luci-app-dmevpn.json')).value;
const acl = parsed(read('root/usr/share/rpcd/acl.d/luci-app-dmevpn.json')).value;

test('JSON without a key twice', () => {
	assert.deepEqual(parsed('{"a":{"b":1},"b":{"b":2,"b":3}}').twice, [ '"b":' ]);

	for (const file of all(path.join(REPOSITORY, 'openwrt'), '.json'))
		assert.deepEqual(parsed(fs.readFileSync(file, 'utf8')).twice, [], file);
});

test('the menu asks for the right that is there, and each view exists', () => {
	const top = menu['admin/vpn/dmevpn'];

	assert.deepEqual(top.depends, { acl: Object.keys(acl), uci: { dmevpn: true } });

	for (const name in menu)
		if (menu[name].action.type == 'view')
			assert.ok(fs.existsSync(path.join(APP, 'htdocs/luci-static/resources/view', menu[name].action.path + '.js')), name);
});

test('the rights are those of the methods that the pages call, and what changes something is a right to write', () => {
	const { read: reads, write: writes } = acl['luci-app-dmevpn'];
	const plugin = fs.readFileSync(path.join(REPOSITORY, 'openwrt/dmevpn/files/dmevpn.rpcd.uc'), 'utf8');
	const there = Array.from(plugin.matchAll(/^\t(\w+): \{$/gm)).map((hit) => hit[1]).sort();
	const called = Array.from(read('htdocs/luci-static/resources/dmevpn/daemon.js').matchAll(/method\('(\w+)'/g)).map((hit) => hit[1]).sort();

	assert.deepEqual(called, there);
	assert.deepEqual(reads.ubus.dmevpn.concat(writes.ubus.dmevpn).sort(), there);
	assert.deepEqual(writes.ubus.dmevpn, [ 'drain', 'flush', 'reload', 'remove', 'resolve' ]);
	assert.deepEqual(Object.keys(reads).concat(Object.keys(writes)), [ 'ubus', 'uci', 'ubus', 'uci' ]);
});

test('pages have no text of their own that is not translated', () => {
	for (const file of all(path.join(REPOSITORY, 'openwrt'), '.js')) {
		const text = fs.readFileSync(file, 'utf8').replace(/\/\/.*/g, '');
		// A sentence in quotes: two words, the first with a capital.
		const found = text.match(/(?<!_\(|N_\([^,]*, |N_\([^,]*, '[^']*', )'[A-Z][a-z]+ [a-z][^']*'/g) || [];

		assert.deepEqual(found, [], file);
	}
});

test('the template for translators is as the pages are (tests/luci/run --pot writes it)', () => {
	assert.equal(fs.readFileSync(POT, 'utf8'), pot());

	// Each call is one that the template understands.
	for (const file of all(path.join(REPOSITORY, 'openwrt'), '.js')) {
		const text = fs.readFileSync(file, 'utf8');
		const calls = (text.match(/(?<![\w.])_\(|\bN_\(/g) || []).length;
		const understood = (text.match(ONE) || []).length + (text.match(MANY) || []).length;

		assert.equal(calls, understood, file);
	}
});
