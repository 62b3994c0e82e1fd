'use strict';

const js = require('@eslint/js');

const BROWSER = [ 'window', 'document', 'navigator', 'structuredClone', 'Node' ];
const LUCI = [ 'E', 'L', '_', 'N_' ];
const NODE = [ 'require', 'module', 'process', '__dirname', 'structuredClone' ];

function globals(names) {
	return Object.fromEntries(names.map((name) => [ name, 'readonly' ]));
}

// What `'require a.b as c'` at the head of a module brings.
function required(text) {
	return Array.from(text.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/gm)).map((need) => need[2] || need[1].replace(/\./g, '_'));
}

// LuCI compiles a module as the body of a function whose parameters are what it requires: here it is made one.
const luci = {
	processors: {
		module: {
			preprocess(text) {
				return [ { text: 'void function(' + required(text).join(', ') + ') {' + text + '\n};', filename: 'module.luci' } ];
			},

			postprocess: (messages) => messages.flat()
		}
	}
};

const rules = Object.assign({}, js.configs.recommended.rules, {
	'no-unused-vars': [ 'error', { argsIgnorePattern: '^_unused' } ],
	'no-var': 'error',
	'prefer-const': 'error',
	'eqeqeq': 'off',
	'no-shadow': 'error'
});

module.exports = [
	{ plugins: { luci } },
	{ files: [ '**/htdocs/**/*.js' ], processor: 'luci/module' },
	{
		files: [ '**/htdocs/**/*.js/*.luci' ],
		languageOptions: { ecmaVersion: 2020, sourceType: 'script', globals: globals(BROWSER.concat(LUCI)) },
		rules
	},
	{
		files: [ '**/tests/luci/*.js' ],
		languageOptions: { ecmaVersion: 2022, sourceType: 'commonjs', globals: globals(NODE.concat(BROWSER, LUCI)) },
		rules: Object.assign({}, rules, { 'no-redeclare': 'off' })
	}
];
