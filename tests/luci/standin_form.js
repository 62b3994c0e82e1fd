/* The part of LuCI's form.js that the pages use. Fields have the attributes that LuCI gives them (data-field, data-sid). */

'use strict';

(() => {
	const { baseclass, dom, modules, uci } = window.standin;

	const Data = {
		json: (data) => ({
			load: () => Promise.resolve(),
			save: () => Promise.resolve(),
			get: (_config, section, option) => data[section][option],
			set: (_config, section, option, value) => data[section][option] = value,
			unset: (_config, section, option) => delete data[section][option],
			sections: () => Object.keys(data).map((name) => ({ '.name': name }))
		})
	};

	const IP = /^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)$/i;
	const HOST = /^[\w.-]+$/;

	const DATATYPES = {
		ipaddr: (value) => IP.test(value) || 'Expecting: valid IP address',
		host: (value) => IP.test(value) || HOST.test(value) || 'Expecting: valid hostname',
		range: (value, min, max) => /^\d+$/.test(value) && +value >= +min && +value <= +max || 'Expecting: value between %s and %s'.format(min, max)
	};

	const Value = baseclass.extend({
		__init__(map, section, option, title, description) {
			Object.assign(this, { map, section, option, title, description, deps: [], rmempty: true, keylist: [], vallist: [], config: map.config });
			this.cfg = {};
		},

		value(key, title) {
			this.keylist.push(key);
			this.vallist.push(title == null ? key : title);
		},

		depends(option, value) {
			this.deps.push([ option, value ]);
		},

		cbid(sid) {
			return 'cbid.%s.%s.%s'.format(this.map.config, sid, this.option);
		},

		load(sid) {
			return this.map.data.get(this.map.config, sid, this.option);
		},

		cfgvalue(sid) {
			return this.cfg[sid];
		},

		node(sid) {
			return document.querySelector('[data-field="%s"]'.format(this.cbid(sid)));
		},

		isActive(sid) {
			return this.deps.every(([ option, value ]) => this.section.formvalue(sid, option) == value);
		},

		render(sid) {
			const input = this.input(this.cfg[sid] == null ? this.default : this.cfg[sid]);

			input.addEventListener('change', () => this.section.show_active(sid));

			return E('div', { 'class': 'cbi-value', 'data-field': this.cbid(sid) }, [
				E('label', { 'class': 'cbi-value-title' }, this.title),
				E('div', { 'class': 'cbi-value-field' }, [ input, E('div', { 'class': 'cbi-value-description' }, this.description || '') ])
			]);
		},

		input(value) {
			return E('input', { 'type': 'text', 'value': value == null ? '' : value, 'placeholder': this.placeholder });
		},

		formvalue(sid) {
			const node = this.node(sid);

			return node ? this.read(node) : this.cfg[sid];
		},

		read: (node) => node.querySelector('input').value,

		wrong(sid, value) {
			if (value === '' || value == null) {
				if (!this.rmempty)
					return 'Option "%s" must not be empty.'.format(this.title);
			} else if (this.datatype) {
				const [ , name, args ] = /^(\w+)(?:\((.*)\))?$/.exec(this.datatype);
				const ok = L.toArray(value).map((one) => DATATYPES[name](one, ...(args || '').split(','))).find((said) => said !== true);

				if (ok !== undefined)
					return ok;
			}

			const said = this.validate ? this.validate(sid, value) : true;

			return said === true ? null : said;
		},

		parse(sid) {
			if (!this.node(sid))
				return;

			if (!this.isActive(sid))
				return this.remove(sid);

			const value = this.formvalue(sid);
			const wrong = this.wrong(sid, value);

			if (wrong)
				throw new Error('%s: %s'.format(this.title, wrong));

			if (value === '' || value == null || Array.isArray(value) && !value.length)
				return this.remove(sid);

			if (String(value) !== String(this.cfg[sid]))
				return this.write(sid, value);
		},

		write(sid, value) {
			return this.map.data.set(this.map.config, sid, this.option, value);
		},

		remove(sid) {
			return this.map.data.unset(this.map.config, sid, this.option);
		}
	});

	const ListValue = Value.extend({
		input(value) {
			return E('select', {}, this.keylist.map((key, i) => E('option', { 'value': key, 'selected': key == (value || '') || null }, [ this.vallist[i] ])));
		},

		read: (node) => node.querySelector('select').value
	});

	const Flag = Value.extend({
		input(value) {
			return E('input', { 'type': 'checkbox', 'checked': value == '1' || null });
		},

		read: (node) => node.querySelector('input').checked ? '1' : '0',

		parse(sid) {
			if (!this.node(sid))
				return;

			const value = this.formvalue(sid);

			return value == this.default ? this.remove(sid) : this.write(sid, value);
		}
	});

	const DynamicList = Value.extend({
		read: (node) => L.toArray(node.querySelector('input').value)
	});

	const Section = baseclass.extend({
		__init__(map, type, title, description) {
			Object.assign(this, { map, sectiontype: type, title, description, children: [], tabs: {} });
		},

		tab(name, title) {
			this.tabs[name] = title;
		},

		taboption(tab, ...args) {
			if (!(tab in this.tabs))
				throw new Error('no tab ' + tab);

			const o = this.option(...args);

			o.tab = tab;

			return o;
		},

		option(cls, ...args) {
			const o = new cls(this.map, this, ...args);

			this.children.push(o);

			return o;
		},

		formvalue(sid, name) {
			const o = this.children.find((child) => child.option == name);

			return o ? o.formvalue(sid) : null;
		},

		load() {
			this.sids().forEach((sid) => this.children.forEach((o) => o.cfg[sid] = o.load(sid)));
		},

		parse() {
			this.sids().forEach((sid) => this.children.forEach((o) => o.parse(sid)));
		},

		show_active(sid) {
			this.children.forEach((o) => {
				const node = o.node(sid);

				if (node)
					node.style.display = o.isActive(sid) ? '' : 'none';
			});
		},

		fields(sid) {
			return Object.keys(this.tabs).concat([ undefined ]).map((tab) => E('div', { 'data-tab': tab || null },
				(tab ? [ E('h5', {}, [ this.tabs[tab] ]) ] : []).concat(
					this.shown().filter((o) => o.tab == tab).map((o) => o.render(sid)))));
		},

		shown() {
			return this.children;
		},

		head() {
			return [ E('h3', {}, this.title), E('div', {}, this.description || '') ];
		}
	});

	const NamedSection = Section.extend({
		__init__(map, sid, type, title, description) {
			Section.prototype.__init__.call(this, map, type, title, description);
			this.sid = sid;
		},

		sids() {
			return [ this.sid ];
		},

		render() {
			return E('div', { 'class': 'cbi-section', 'id': 'cbi-' + this.sid }, this.head().concat(this.fields(this.sid)));
		}
	});

	const GridSection = Section.extend({
		sids() {
			return uci.sections(this.map.config, this.sectiontype).map((section) => section['.name']);
		},

		// modalonly: true in the dialog only, false in the table only, otherwise in both.
		shown() {
			return this.children.filter((o) => o.modalonly !== false);
		},

		columns() {
			return this.children.filter((o) => o.modalonly !== true);
		},

		render() {
			const name = E('input', { 'type': 'text', 'class': 'cbi-section-create-name' });

			return E('div', { 'class': 'cbi-section', 'id': 'cbi-grid-' + this.sectiontype }, this.head().concat([
				E('table', {}, this.sids().map((sid) => E('tr', { 'data-sid': sid }, [
					E('td', {}, [ sid ])
				].concat(this.columns().map((o) => E('td', { 'data-name': o.option }, [ String(o.cfg[sid] == null ? '' : o.cfg[sid]) ])), [
					E('td', {}, [ E('button', { 'class': 'edit', 'click': () => this.edit(sid) }, [ 'Edit' ]) ])
				])))),
				name,
				E('button', { 'class': 'add', 'click': () => {
					uci.add(this.map.config, this.sectiontype, name.value);
					return this.map.save(null, true).then(() => this.edit(name.value));
				} }, [ this.addbtntitle || 'Add' ])
			]));
		},

		edit(sid) {
			const modal = document.getElementById('modal');

			dom.content(modal, this.fields(sid).concat([
				E('button', { 'class': 'save', 'click': () => {
					try {
						this.children.forEach((o) => o.parse(sid));
					} catch (e) {
						window.REFUSED = e.message;
						return;
					}

					dom.content(modal, null);

					return this.map.save(null, true);
				} }, [ 'Save' ])
			]));
			this.show_active(sid);
		}
	});

	const Map = baseclass.extend({
		__init__(config, title, description) {
			Object.assign(this, { config, title, description, children: [], data: uci });
		},

		section(cls, ...args) {
			const section = new cls(this, ...args);

			this.children.push(section);

			return section;
		},

		load() {
			return this.data.load(this.config).then(() => this.children.forEach((section) => section.load()));
		},

		render() {
			return this.load().then(() => this.renderContents());
		},

		renderContents() {
			this.root = this.root || E('div', { 'class': 'cbi-map' });
			dom.content(this.root, [
				E('h2', {}, this.title), E('div', {}, this.description || '')
			].concat(this.children.map((section) => section.render())));

			window.setTimeout(() => this.children.forEach((section) => section.sids().forEach((sid) => section.show_active(sid))), 0);

			return Promise.resolve(this.root);
		},

		parse() {
			this.children.forEach((section) => section.parse());
		},

		save() {
			return Promise.resolve().then(() => this.parse()).then(() => this.data.save()).then(() => this.load())
				.catch((e) => {
					window.REFUSED = e.message;
					throw e;
				}).then(() => this.renderContents());
		},

		reset() {
			return this.renderContents();
		}
	});

	const JSONMap = Map.extend({
		__init__(data, title, description) {
			Map.prototype.__init__.call(this, 'json', title, description);
			this.data = Data.json(data);
		}
	});

	modules.form = { Map, JSONMap, NamedSection, GridSection, Value, ListValue, Flag, DynamicList };
	modules['tools.widgets'] = { NetworkSelect: Value };
})();
