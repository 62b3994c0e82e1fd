'use strict';

// The pages in headless Chromium, with the stand-in for LuCI's client.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const os = require('node:os');
const { chromium } = require('playwright-core');

const REPOSITORY = path.resolve(__dirname, '../..');
const RESOURCES = path.join(REPOSITORY, 'openwrt/luci-app-dmevpn/htdocs/luci-static/resources');
const PROTOCOL = path.join(REPOSITORY, 'openwrt/luci-proto-dmevpn/htdocs/luci-static/resources/protocol/dmevpn.js');

const FLAGS = [
	'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'
];

const EMPTY = '<!doctype html><html lang="en"><body style="margin:4px"><div id="view"></div><div id="modal"></div></body></html>';

function sources() {
	const found = { 'protocol.dmevpn': fs.readFileSync(PROTOCOL, 'utf8') };

	for (const directory of [ 'dmevpn', 'view/dmevpn' ])
		for (const file of fs.readdirSync(path.join(RESOURCES, directory)).filter((name) => name.endsWith('.js')))
			found['%s/%s'.replace('%s', directory).replace('%s', file).replace(/\.js$/, '').replace(/\//g, '.')] =
				fs.readFileSync(path.join(RESOURCES, directory, file), 'utf8');

	return found;
}

// An empty page, and the style: all else is put in by the test.
function serve(request, response) {
	const is_style = request.url == '/resources/dmevpn/style.css';

	response.writeHead(is_style || request.url == '/' ? 200 : 204, { 'Content-Type': is_style ? 'text/css' : 'text/html; charset=utf-8' });
	response.end(is_style ? fs.readFileSync(path.join(RESOURCES, 'dmevpn/style.css')) : EMPTY);
}

class Browser {
	async start() {
		this.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'dmevpn-luci-'));
		this.context = await chromium.launchPersistentContext(this.profile, {
			executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: FLAGS
		});
		this.sources = sources();
		this.server = http.createServer(serve);
		await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
	}

	async stop() {
		await this.context.close();
		await new Promise((done) => this.server.close(done));
		fs.rmSync(this.profile, { recursive: true, force: true });
	}

	// A tab with the stand-in in it. `router`: { answers, uci, net, width, dark }.
	async tab(router) {
		const page = await this.context.newPage();

		page.errors = [];
		page.on('pageerror', (e) => page.errors.push(e.message));
		page.on('console', (said) => said.type() == 'error' && page.errors.push(said.text()));
		await page.setViewportSize({ width: router.width || 1100, height: 900 });
		await page.goto('http://127.0.0.1:%d/'.replace('%d', this.server.address().port));
		await page.evaluate(([ texts, uci, net ]) => {
			window.SOURCES = texts;
			window.UCI = uci;
			window.NET = net;
			window.UBUS = (_object, method) => {
				const answer = window.ANSWERS[method];

				return answer === undefined ? 4 : answer;
			};
		}, [ this.sources, router.uci || {}, router.net || { networks: [], devices: [] } ]);
		await this.answer(page, router.answers || {});
		await page.addScriptTag({ path: path.join(__dirname, 'standin.js') });
		await page.addScriptTag({ path: path.join(__dirname, 'standin_form.js') });

		return page;
	}

	async close_tabs() {
		await Promise.all(this.context.pages().slice(1).map((page) => page.close()));
	}

	async answer(page, answers) {
		await page.evaluate((all) => window.ANSWERS = all, answers);
	}

	async open(view, router) {
		const page = await this.tab(router);

		await page.evaluate((name) => window.open_page(name), 'view.dmevpn.' + view);
		await page.waitForFunction(() => window.READY || window.FAILED, null, { timeout: 5000 });

		const failed = await page.evaluate(() => window.FAILED);

		if (failed)
			throw new Error(failed);

		return page;
	}
}

module.exports = { Browser, REPOSITORY, RESOURCES };
