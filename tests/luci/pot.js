'use strict';

// The texts of the pages and of the menu, for translators: po/templates/dmevpn.pot. `run --pot` writes it anew.

const fs = require('node:fs');
const path = require('node:path');

const OPENWRT = path.resolve(__dirname, '../../openwrt');
const POT = path.join(OPENWRT, 'luci-app-dmevpn/po/templates/dmevpn.pot');

const TEXT = "'((?:[^'\\\\]|\\\\.)*)'";
const ONE = new RegExp('\\b_\\(' + TEXT + '\\)', 'g');
const MANY = new RegExp('\\bN_\\([^\',]+, ' + TEXT + ', ' + TEXT + '\\)', 'g');

function files(directory, ending) {
	return fs.readdirSync(path.join(OPENWRT, directory), { recursive: true }).filter((name) => name.endsWith(ending)).sort()
		.map((name) => path.join(directory, name));
}

function quoted(text) {
	return '"' + text.replace(/\\'/g, "'").replace(/"/g, '\\"') + '"';
}

function pot() {
	const found = new Map();
	const add = (key, file) => found.set(key, (found.get(key) || new Set()).add(file));

	for (const file of files('luci-app-dmevpn/htdocs', '.js').concat(files('luci-proto-dmevpn/htdocs', '.js'))) {
		const text = fs.readFileSync(path.join(OPENWRT, file), 'utf8');

		for (const [ , one ] of text.matchAll(ONE))
			add('msgid ' + quoted(one) + '\nmsgstr ""\n', file);

		for (const [ , one, many ] of text.matchAll(MANY))
			add('msgid ' + quoted(one) + '\nmsgid_plural ' + quoted(many) + '\nmsgstr[0] ""\nmsgstr[1] ""\n', file);
	}

	for (const file of files('luci-app-dmevpn/root', '.json')) {
		const text = fs.readFileSync(path.join(OPENWRT, file), 'utf8');

		for (const [ , one ] of text.matchAll(/"(?:title|description)": "([^"]*)"/g))
			add('msgid ' + quoted(one) + '\nmsgstr ""\n', file);
	}

	const entries = Array.from(found).sort(([ a ], [ b ]) => a < b ? -1 : 1);

	return 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n' + entries.map(([ key, places ]) =>
		'\n' + Array.from(places).map((place) => '#: ' + place + '\n').join('') + key).join('');
}

module.exports = { MANY, ONE, POT, pot };

if (require.main === module)
	fs.writeFileSync(POT, pot());
