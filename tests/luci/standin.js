/* A stand-in for what LuCI gives to its pages in the browser: only what the pages here use, with LuCI's meaning.
 * In particular a string as the only child is HTML, and strings in a list are text; an unknown member is an error.
 *
 * What a test says beforehand:  window.SOURCES  texts of the modules, by name
 *                               window.UCI      { config: [ { '.name', '.type', options... } ] }, null for no right to read
 *                               window.UBUS     function(object, method, params): an object, or the number of an error
 *                               window.NET      { networks: [ [ name, device ] ], devices: [ [ name, type ] ] }
 * What it may look at:          window.SAVED (configurations as saved), window.APPLIED, window.NOTES, window.tick() */

'use strict';

(() => {
	String.prototype.format = function(...values) {
		let next = 0;

		return this.replace(/%(%|s|d|h)/g, (_all, kind) => {
			if (kind == '%')
				return '%';

			const value = values[next++];

			return kind == 'd' ? String(Math.floor(Number(value))) : String(value);
		});
	};

	window._ = (text) => {
		if (typeof(text) != 'string')
			throw new Error('_() takes a string');

		return text;
	};
	window.N_ = (n, one, many) => n == 1 ? one : many;

	/* Classes. */

	class Base {
		constructor(...args) {
			if (this.__init__)
				this.__init__(...args);
		}

		super(name, args) {
			const key = '__at_' + name;
			const before = this[key];
			let holder = before || this;

			while (!Object.prototype.hasOwnProperty.call(holder, name))
				holder = Object.getPrototypeOf(holder);

			do holder = Object.getPrototypeOf(holder);
			while (!Object.prototype.hasOwnProperty.call(holder, name));

			this[key] = holder;

			try {
				return holder[name].apply(this, args);
			} finally {
				this[key] = before;
			}
		}
	}

	function extend(parent, members) {
		const child = class extends parent {};

		Object.assign(child.prototype, members);
		child.extend = (more) => extend(child, more);

		return child;
	}

	const baseclass = { extend: (members) => extend(Base, members) };

	/* Nodes. */

	const dom = {
		append(node, children) {
			if (Array.isArray(children))
				children.forEach((child) => node.appendChild(child instanceof Node ? child : document.createTextNode(String(child))));
			else if (children instanceof Node)
				node.appendChild(children);
			else if (children != null)
				node.innerHTML = String(children);
		},

		content(node, children) {
			while (node.firstChild)
				node.removeChild(node.firstChild);

			dom.append(node, children);

			return node;
		},
	};

	window.E = (name, attributes, children) => {
		const node = document.createElement(name);

		for (const key in attributes || {}) {
			const value = attributes[key];

			if (value == null)
				continue;

			if (typeof(value) == 'function')
				node.addEventListener(key, value);
			else
				node.setAttribute(key, value === true ? key : value);
		}

		dom.append(node, children);

		return node;
	};

	window.L = {
		env: {},
		bind: (fn, self, ...args) => fn.bind(self, ...args),
		isObject: (value) => value != null && typeof(value) == 'object',
		resolveDefault: (value, otherwise) => Promise.resolve(value).catch(() => otherwise),
		resource: (path) => '/resources/' + path,
		toArray: (value) => value == null ? [] : Array.isArray(value) ? value : String(value).split(/\s+/).filter((word) => word),
		url: (path) => '/cgi-bin/luci/' + path
	};

	/* The router. */

	window.CALLS = [];

	const rpc = {
		declare: (what) => (...args) => {
			const params = {};

			(what.params || []).forEach((name, i) => {
				if (args[i] !== undefined)
					params[name] = args[i];
			});
			window.CALLS.push([ what.method, params ]);

			return Promise.resolve().then(() => window.UBUS(what.object, what.method, params));
		}
	};

	const loaded = {};

	window.SAVED = {};

	const uci = {
		load(config) {
			if (window.UCI[config] == null)
				return Promise.reject(new Error('PermissionError'));

			loaded[config] = loaded[config] || structuredClone(window.SAVED[config] || window.UCI[config]);

			return Promise.resolve(config);
		},
		unload: (config) => delete loaded[config],
		sections: (config, type) => (loaded[config] || []).filter((section) => !type || section['.type'] == type),
		get(config, name, option) {
			const section = uci.sections(config).find((one) => one['.name'] == name);

			return section && option ? section[option] : section;
		},
		set: (config, name, option, value) => uci.get(config, name)[option] = value,
		unset: (config, name, option) => delete uci.get(config, name)[option],
		add(config, type, name) {
			loaded[config].push({ '.name': name, '.type': type, '.anonymous': false });

			return name;
		},
		remove: (config, name) => loaded[config] = loaded[config].filter((section) => section['.name'] != name),
		save() {
			window.SAVED = structuredClone(loaded);

			return Promise.resolve();
		}
	};

	const network = {
		getNetworks: () => Promise.resolve(window.NET.networks.map(([ name, device ]) => ({
			getName: () => name, getDevice: () => null, getL3Device: () => device && { getName: () => device }
		}))),
		getDevices: () => Promise.resolve(window.NET.devices.map(([ name, type ]) => ({ getName: () => name, getType: () => type }))),
		getIfnameOf: (device) => device,
		registerPatternVirtual: () => {},
		registerErrorCode: () => {},
		registerProtocol: (name, members) => baseclass.extend(Object.assign({ getProtocol: () => name }, members))
	};

	/* The page. */

	const polls = [];
	const poll = { add: (fn, seconds) => polls.push([ fn, seconds ]) };

	window.tick = () => Promise.all(polls.map(([ fn ]) => fn()));

	window.NOTES = [];
	window.APPLIED = 0;

	const ui = {
		addNotification(_title, node, kind) {
			window.NOTES.push([ kind, node.textContent ]);
		},
		changes: { apply: () => window.APPLIED++ },
		createHandlerFn: (self, fn, ...args) => (ev) => (typeof(fn) == 'string' ? self[fn] : fn).call(self, ...args, ev)
	};

	const view = baseclass.extend({
		__init__() {
			const place = document.getElementById('view');

			window.PAGE = this;
			Promise.resolve(this.load()).then((data) => this.render(data)).then((node) => {
				dom.content(place, node);

				if (this.handleSave !== null)
					place.appendChild(E('div', { 'class': 'cbi-page-actions' }, [
						E('button', { 'id': 'apply', 'click': (ev) => this.handleSaveApply(ev, '0') }, [ 'Save & Apply' ]),
						E('button', { 'id': 'save', 'click': (ev) => this.handleSave(ev) }, [ 'Save' ]),
						E('button', { 'id': 'reset', 'click': (ev) => this.handleReset(ev) }, [ 'Reset' ])
					]));

				window.READY = true;
			}).catch((e) => window.FAILED = e.stack);
		}
	});

	/* Modules: 'require a.b as c' */

	const modules = { baseclass, dom, form: null, network, poll, rpc, uci, ui, view };

	window.standin = { baseclass, dom, modules, uci };

	function required(name) {
		if (modules[name] != null)
			return modules[name];

		const made = compiled(name);

		// Pages are shown by being made, and protocols are kept as classes.
		modules[name] = new made();

		return modules[name];
	}

	function compiled(name) {
		const source = window.SOURCES[name];

		if (source == null)
			throw new Error('no module ' + name);

		const needs = Array.from(source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/gm));
		const names = needs.map((need) => need[2] || need[1].replace(/\./g, '_'));

		return new Function(...names, source + '\n//# sourceURL=' + name)(...needs.map((need) => required(need[1])));
	}

	window.open_page = (name) => new (compiled(name))();
	window.require_module = required;
})();
