'use strict';

// The rpcd plugin and the collector, run as JavaScript: of ucode they use what both languages have, and a few functions
// that are written here as ucode has them. The shell is a real one, the program behind it is not.
// Where there is ucode, it also reads the files.

const assert = require('node:assert');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { REPOSITORY } = require('./browser.js');

const PLUGIN = path.join(REPOSITORY, 'openwrt/dmevpn/files/dmevpn.rpcd.uc');
const COLLECTOR = path.join(REPOSITORY, 'openwrt/prometheus-node-exporter-ucode-dmevpn/files/dmevpn.uc');

let directory, program;

before(() => {
	directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dmevpn-plugin-'));
	program = path.join(directory, 'dmevpn');
});
after(() => fs.rmSync(directory, { recursive: true }));

// A program that writes down its arguments, and what `check` is given, and says `text`.
function says(text, code = 0) {
	fs.writeFileSync(path.join(directory, 'said'), text);
	fs.writeFileSync(program, '#!/bin/sh\ncd ' + directory + '\nprintf "%s\\n" "$@" >arguments\n' +
		'[ "$1" != check ] || cp "$2" checked 2>/dev/null\ncat said\necho noise >&2\nexit ' + code + '\n', { mode: 0o755 });
}

const told = () => fs.readFileSync(path.join(directory, 'arguments'), 'utf8').trim().split('\n');

function popen(command) {
	const made = spawnSync('sh', [ '-c', command ], { maxBuffer: 1 << 26 });
	let text = made.stdout.toString();

	return {
		read(size) {
			const part = size == 'all' ? text : text.slice(0, size);

			text = text.slice(part.length);

			return part;
		},
		close: () => made.status
	};
}

// As in ucode: the pattern that is a string stands for all its places.
const UCODE = {
	access(file) {
		return fs.existsSync(file);
	},
	filter: (list, fn) => list.filter((value) => fn(value)),
	int: (value) => Math.trunc(Number(value)),
	join: (by, list) => list.join(by),
	json: (text) => JSON.parse(text),
	length: (value) => value == null ? null : value.length,
	map: (list, fn) => list.map((value) => fn(value)),
	match: (text, pattern) => text.match(pattern),
	open: (file, mode, permission) => ({
		write: (text) => fs.writeFileSync(file, text, { mode: permission }),
		close: () => {}
	}),
	popen,
	replace: (text, pattern, by) => text.replaceAll(pattern, () => by),
	rindex: (text, part) => text.lastIndexOf(part),
	substr: (text, from, size) => text.substr(from, size),
	type: (value) => value === null ? null : Array.isArray(value) ? 'array' : typeof(value),
	unlink: (file) => fs.unlinkSync(file)
};

function run(file, more) {
	const text = fs.readFileSync(file, 'utf8')
		.replace(/^import .*;$/gm, '')
		.replaceAll('/usr/sbin/dmevpn', program)
		.replaceAll('/var/run/dmevpn.check', path.join(directory, 'draft'))
		.replace(/\b0([0-7]{3})\b/g, '0o$1')
		.replace(/for \(let (\w+) in ([\w.]+)\)/g, 'for (const $1 of $2)');
	const names = Object.assign({}, UCODE, more);

	return new Function(...Object.keys(names), text)(...Object.values(names));
}

function call(method, args) {
	return run(PLUGIN).dmevpn[method].call({ args: args || {} });
}

test('each method runs its command with a limit, and returns what it says', () => {
	says('{"version":"0.1.0"}');
	assert.deepEqual(call('status'), { version: '0.1.0' });
	assert.deepEqual(told(), [ 'status', '--json', '--timeout', '2' ]);

	for (const [ method, args, words ] of [
		[ 'macs', {}, [ 'macs' ] ], [ 'macs', { vn: 'lan' }, [ 'macs', 'lan' ] ], [ 'peers', { vn: 'lan' }, [ 'peers', 'lan' ] ],
		[ 'paths', {}, [ 'paths' ] ], [ 'paths', { vn: 'lan' }, [ 'paths', 'lan' ] ],
		[ 'events', {}, [ 'events', '--after', '0' ] ], [ 'events', { after: 17 }, [ 'events', '--after', '17' ] ],
		[ 'flush', {}, [ 'flush' ] ], [ 'flush', { vn: 'lan', mac: '52:54:00:00:00:0B' }, [ 'flush', 'lan', '52:54:00:00:00:0B' ] ],
		[ 'drain', { vn: 'lan' }, [ 'drain', 'lan' ] ], [ 'drain', { vn: 'lan', off: true }, [ 'drain', 'lan', '--off' ] ],
		[ 'remove', { peer: '10.0.0.2,100' }, [ 'peers', '--remove', '10.0.0.2,100' ] ],
		[ 'remove', { vn: 'lan', peer: 'fd00::2' }, [ 'peers', 'lan', '--remove', 'fd00::2' ] ],
		[ 'resolve', { vn: 'lan', mac: '52:54:00:00:00:0b' }, [ 'resolve', 'lan', '52:54:00:00:00:0b' ] ], [ 'reload', {}, [ 'reload' ] ],
		[ 'doctor', {}, [ 'doctor' ] ]
	]) {
		call(method, args);
		assert.deepEqual(told(), words.concat([ '--json', '--timeout', '2' ]));
	}
});

test('an error of the program is passed on as it is', () => {
	says('{"error":"no answer from the daemon within 2 s","code":3}', 3);
	assert.deepEqual(call('status'), { error: 'no answer from the daemon within 2 s', code: 3 });
});

test('a program that is missing, dies or says nonsense is told in words', () => {
	fs.rmSync(program, { force: true });
	assert.match(call('status').error, /is missing or may not be executed/);

	for (const [ text, code ] of [ [ '', 139 ], [ 'Segmentation fault', 139 ], [ '[1]', 0 ], [ '{"a":', 0 ], [ '7', 0 ] ]) {
		says(text, code);
		assert.match(call('macs').error, /macs did not answer with JSON \(exit code \d+\)/, text);
		assert.equal(call('macs').code, code);
	}
});

test('nothing of an argument reaches the shell', () => {
	says('{}');

	for (const evil of [ "lan'; touch hit; '", '$(touch hit)', 'a b', '--socket=/x', '', '../x' ]) {
		fs.rmSync(path.join(directory, 'arguments'), { force: true });
		const answer = call('resolve', { vn: evil, mac: '52:54:00:00:00:0b' });

		assert.equal(answer.code, 2, evil);
		assert.equal(call('flush', { vn: 'lan', mac: evil || 'x' }).code, 2, evil);
		assert.equal(call('drain', { vn: evil }).code, 2, evil);
		assert.equal(call('remove', { peer: evil }).code, 2, evil);
		assert.ok(!fs.existsSync(path.join(directory, 'arguments')), evil);
	}

	assert.equal(call('flush', { mac: '52:54:00:00:00:0b' }).code, 2);
	assert.equal(call('events', { after: -1 }).code, 2);
	assert.equal(call('events', { after: 'x' }).code, 2);
});

test('check takes a draft, a file of /etc/config, or nothing', () => {
	says('{"valid":true}');
	assert.deepEqual(call('check', { text: "config vn 'a'\n" }), { valid: true });
	assert.equal(fs.readFileSync(path.join(directory, 'checked'), 'utf8'), "config vn 'a'\n");
	assert.ok(!fs.existsSync(path.join(directory, 'draft')));
	call('check', { file: '/etc/config/dmevpn' });
	assert.deepEqual(told(), [ 'check', '/etc/config/dmevpn', '--json' ]);
	call('check');
	assert.deepEqual(told(), [ 'check', '--json' ]);
	// What is wrong with a file quotes from it.
	assert.equal(call('check', { file: '/etc/shadow' }).code, 2);
	assert.equal(call('check', { file: '/etc/config/../shadow' }).code, 2);
});

test('what is too long for ubus is cut at a row', () => {
	const row = (n) => ({ vn: 'lan', mac: '52:54:00:00:00:0b', askers: n });
	const macs = Array.from({ length: 10000 }, (_unused, n) => row(n));

	says(JSON.stringify({ macs }));

	const answer = call('macs');

	assert.equal(answer.truncated, true);
	assert.ok(answer.macs.length > 3000 && answer.macs.length < 10000);
	assert.deepEqual(answer.macs, macs.slice(0, answer.macs.length));
	says(JSON.stringify({ macs: macs.slice(0, 1000) }));
	assert.deepEqual(call('macs'), { macs: macs.slice(0, 1000) });
});

test('the collector loops over what the program counts', () => {
	const scraped = [];
	const metric = (type) => (name, help) => (labels, value) => scraped.push([ type, name, help, labels, value ]);
	const collect = () => run(COLLECTOR, { fs: { popen }, gauge: metric('gauge'), counter: metric('counter') });

	says(JSON.stringify({ metrics: [
		{ name: 'dmevpn_spokes', type: 'gauge', help: 'Spokes', samples: [ { labels: { vn: 'a' }, value: 2 }, { labels: { vn: 'b' }, value: 0 } ] },
		{ name: 'dmevpn_asked_total', type: 'counter', help: 'Asked', samples: [ { labels: {}, value: 7 } ] }
	] }));
	assert.notEqual(collect(), false);
	assert.deepEqual(told(), [ 'metrics', '--json', '--timeout', '2' ]);
	assert.deepEqual(scraped, [
		[ 'gauge', 'dmevpn_spokes', 'Spokes', { vn: 'a' }, 2 ], [ 'gauge', 'dmevpn_spokes', 'Spokes', { vn: 'b' }, 0 ],
		[ 'counter', 'dmevpn_asked_total', 'Asked', {}, 7 ]
	]);

	for (const text of [ '', 'nonsense', '{"error":"no daemon","code":3}' ]) {
		says(text, 3);
		assert.equal(collect(), false);
	}
});

const has_ucode = spawnSync('ucode', [ '-e', '' ]).status === 0;

test('ucode reads the files', { skip: !has_ucode && 'no ucode here: Debian has no package of it' }, () => {
	for (const file of [ PLUGIN, COLLECTOR ])
		execFileSync('ucode', [ '-R', '-c', '-o', '/dev/null', file ]);
});
