'use strict';
'require view';
'require dom';
'require form';
'require network';
'require uci';
'require ui';
'require dmevpn.draft as draft';
'require dmevpn.fields as fields';
'require dmevpn.text as text';

// What is shown of each type of section, by tab. What stands in no tab is for experts only, in the file:
//   main.socket       these pages ask the daemon at the default one
//   main.state_file   the service lets the daemon write in one directory only
//   hub.priority      is without effect so far
const TABS = {
	main: {
		general: [ 'enabled', 'interface', 'log_level' ],
		advanced: [ 'nbma', 'advertise', 'transport', 'device', 'udp_port', 'guard', 'holding_time' ]
	},
	hub: {
		general: [ 'address', 'key' ],
		advanced: [ 'vpn_mode', 'session' ]
	},
	vn: {
		general: [ 'enabled', 'role', 'hub', 'vpn_id', 'vni', 'bridge', 'vlan', 'mtu' ],
		advanced: [ 'preempt', 'peer', 'vxlan', 'trigger', 'verify', 'negative_time', 'max_macs', 'default', 'protocol_address', 'cisco_authentication', 'allow', 'key', 'require', 'untagged_l2', 'uplink_vni', 'dataplane', 'max_vnis_per_address', 'max_spokes' ]
	},
	key: {
		general: [ 'spi', 'secret' ],
		advanced: [ 'algorithm', 'secret_file' ]
	},
	spoke: {
		general: [ 'key', 'allow' ],
		advanced: [ 'vn' ]
	}
};

// Columns of the tables; the rest shows in the dialog.
const COLUMNS = {
	hub: [ 'address' ],
	key: [ 'spi' ],
	spoke: [ 'key', 'allow' ],
	vn: [ 'enabled', 'role', 'vpn_id', 'vni', 'bridge' ]
};

const ABOUT = _('One Ethernet across many sites: each site registers with a hub, frames go by the hub at first and then directly.');

const OPEN_HUB = _('Whoever reaches a hub without keys can join it. What passes is not encrypted: use it in a network you trust, or inside WireGuard or IPsec.');

function by_name(a, b) {
	return a[1].localeCompare(b[1], undefined, { numeric: true });
}

// What a person may choose from, of what this router has now.
function choices_of(networks, devices) {
	const bridges = devices.filter((device) => device.getType() == 'bridge').map((device) => [ device.getName(), device.getName() ]);
	const logical = networks.filter((net) => net.getName() != 'loopback').map((net) => {
		const device = net.getL3Device() || net.getDevice();

		return [ net.getName(), device ? '%s (%s)'.format(net.getName(), device.getName()) : net.getName() ];
	});
	const taken = logical.map((choice) => choice[0]);
	const plain = devices.filter((device) => device.getName() != 'lo' && taken.indexOf(device.getName()) < 0)
		.map((device) => [ device.getName(), device.getName() ]);
	const vlans = uci.sections('network', 'bridge-vlan').map((vlan) => [ vlan.vlan, '%s (%s)'.format(vlan.vlan, vlan.device) ]);

	return {
		bridge: bridges.sort(by_name),
		interface: logical.sort(by_name).concat(plain.sort(by_name)),
		device: plain,
		vlan: vlans
	};
}

function free_name(wanted) {
	for (let n = 0; ; n++) {
		const name = n ? wanted + n : wanted;

		if (uci.get('dmevpn', name) == null)
			return name;
	}
}

function where(finding) {
	return [ finding.section, finding.option ].filter((word) => word).join(' › ');
}

return view.extend({
	load: function() {
		return Promise.all([
			L.resolveDefault(network.getNetworks(), []),
			L.resolveDefault(network.getDevices(), []),
			L.resolveDefault(uci.load('network')),
			uci.load('dmevpn')
		]);
	},

	render: function(data) {
		this.choices = choices_of(data[0], data[1]);
		this.findings = E('div', { 'class': 'dmevpn-findings' });
		this.form = E('div');
		this.node = E('div', { 'class': 'dmevpn' }, [ text.stylesheet(), this.findings, this.form ]);

		const first = !uci.sections('dmevpn', 'vn').length && !uci.sections('dmevpn', 'hub').length;

		return (first ? this.show_first() : this.show_all()).then(() => this.node);
	},

	show: function(map, extra) {
		this.map = map;

		return map.render().then((node) => dom.content(this.form, [ node, extra || '' ]));
	},

	// The whole form.

	show_all: function() {
		const m = new form.Map('dmevpn', _('Layer-2 networks'), ABOUT);

		this.first = null;
		this.add_main(m);
		this.add_vns(m);
		this.add_hubs(m);
		this.add_keys(m);

		// Also what a dialog saves is shown to the daemon.
		m.renderContents = L.bind(function() {
			return form.Map.prototype.renderContents.apply(m, arguments).then((node) => {
				window.setTimeout(() => this.check(), 0);
				return node;
			});
		}, this);

		return this.show(m);
	},

	add_main: function(m) {
		if (!uci.sections('dmevpn', 'dmevpn').length)
			uci.add('dmevpn', 'dmevpn', 'main');

		const s = m.section(form.NamedSection, uci.sections('dmevpn', 'dmevpn')[0]['.name'], 'dmevpn', _('This router'));

		this.add_tabs(s, 'main');
	},

	add_hubs: function(m) {
		const s = m.section(form.GridSection, 'hub', _('Hubs'), _('Where this router registers as a site. A router that is only a hub has none.'));

		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a hub');
		this.add_tabs(s, 'hub');
	},

	add_keys: function(m) {
		const keys = m.section(form.GridSection, 'key', _('Keys'), _('Who has none says nothing. A hub and its sites have the same: number, algorithm and secret. `dmevpn key new` makes one.'));
		const spokes = m.section(form.GridSection, 'spoke', _('Sites with keys of their own'), _('At a hub: who has which key, from where.'));

		[ keys, spokes ].forEach((s) => {
			s.addremove = true;
			s.nodescriptions = true;
		});
		keys.addbtntitle = _('Add a key');
		spokes.addbtntitle = _('Add a site');
		this.add_tabs(keys, 'key');
		this.add_tabs(spokes, 'spoke');
	},

	add_vns: function(m) {
		const s = m.section(form.GridSection, 'vn', _('Networks'), OPEN_HUB);

		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a network');
		this.add_tabs(s, 'vn');
	},

	add_tabs: function(s, type) {
		s.tab('general', _('General'));
		s.tab('advanced', _('Advanced'));

		for (const tab in TABS[type])
			TABS[type][tab].forEach((name) => this.add_field(s, tab, type, name));
	},

	add_field: function(s, tab, type, name) {
		const choices = type == 'vn' && (name == 'hub' || name == 'peer')
			? uci.sections('dmevpn', 'hub').map((hub) => [ hub['.name'], '%s (%s)'.format(hub['.name'], hub.address) ])
			: [ 'key', 'vn' ].indexOf(name) >= 0
				? uci.sections('dmevpn', name).map((section) => [ section['.name'], section['.name'] ])
				: this.choices[name];
		const o = fields.add(s, tab, type, name, choices);
		const column = (COLUMNS[type] || []).indexOf(name) >= 0;

		// `false` would leave it out of the dialog.
		if (COLUMNS[type] && !column)
			o.modalonly = true;

		if (column && name == 'enabled')
			o.editable = true;

		return o;
	},

	// The first time.

	show_first: function() {
		const own = this.choices.bridge.map((choice) => choice[0]);
		const m = new form.JSONMap({
			first: { role: 'spoke', bridge: own.indexOf('br-lan') >= 0 ? 'br-lan' : own[0] || '' }
		}, _('Layer-2 networks'), ABOUT);
		const s = m.section(form.NamedSection, 'first', 'first', _('Set up'), _('A site needs four values.'));

		this.first = m;
		this.add_first(s, 'vn', 'role');
		this.add_first(s, 'hub', 'address', 'spoke');
		this.add_first(s, 'main', 'interface', 'hub');
		[ 'vpn_id', 'vni', 'bridge' ].forEach((name) => this.add_first(s, 'vn', name));

		return this.show(m, E('p', {}, [
			OPEN_HUB, ' ',
			E('a', { 'href': '#', 'class': 'dmevpn-all', 'click': ui.createHandlerFn(this, 'leave_first') }, [ _('Show all options') ])
		]));
	},

	add_first: function(s, type, name, role) {
		const o = fields.add(s, null, type, name, this.choices[name]);

		if (role) {
			o.depends('role', role);
			o.rmempty = false;
		}

		if (name == 'role') {
			o.keylist = [];
			o.vallist = [];
			o.value('spoke', _('a site (spoke)'));
			o.value('hub', _('the hub'));
		}

		if (name == 'address') {
			o.title = _('Address of the hub');
			o.placeholder = 'hub.example.net';
		}

		if (name == 'vpn_id' || name == 'vni')
			o.placeholder = name == 'vni' ? '100' : '1';

		o.write = function(section_id, value) {
			return this.map.data.set('json', section_id, name, value);
		};
	},

	leave_first: function(ev) {
		ev.preventDefault();

		return this.show_all();
	},

	// Puts the few values into a configuration; it is LuCI's only once the daemon finds nothing wrong with it.
	save_first: function() {
		return this.first.save(null, true).then(() => {
			const value = (name) => this.first.data.get('json', 'first', name);
			const set = (section, names) => names.forEach((name) => value(name) ? uci.set('dmevpn', section, name, value(name)) : null);
			const vn = free_name('lan');

			if (!uci.sections('dmevpn', 'dmevpn').length)
				uci.add('dmevpn', 'dmevpn', 'main');

			const main = uci.sections('dmevpn', 'dmevpn')[0]['.name'];

			uci.set('dmevpn', main, 'enabled', '1');

			if (value('role') == 'spoke')
				set(uci.add('dmevpn', 'hub', free_name('hub')), [ 'address' ]);
			else
				set(main, [ 'interface' ]);

			set(uci.add('dmevpn', 'vn', vn), [ 'role', 'vpn_id', 'vni', 'bridge' ].filter((name) => name != 'vni' || value('role') == 'spoke'));

			return this.check();
		}).then((good) => {
			if (good)
				return uci.save().then(() => true);

			uci.unload('dmevpn');

			return uci.load('dmevpn').then(() => false);
		});
	},

	// The daemon's word. Promises whether there is no error.
	check: function() {
		return draft.check().then((answer) => {
			this.node.querySelectorAll('.dmevpn-finding').forEach((node) => node.parentNode.removeChild(node));
			dom.content(this.findings, null);

			// A daemon that cannot be asked keeps nobody from saving.
			if (answer.error) {
				dom.content(this.findings, text.notice('warning', _('Not checked'), [ answer.error ]));
				return true;
			}

			this.show_findings('error', _('This cannot be used yet'), answer.errors);
			this.show_findings('warning', _('Probably not meant so'), answer.warnings);

			return !answer.errors.length;
		});
	},

	show_findings: function(kind, title, findings) {
		if (!findings.length)
			return;

		this.findings.appendChild(E('div', { 'class': 'alert-message %s'.format(kind), 'role': 'alert' }, [
			E('h4', {}, [ title ]),
			E('ul', {}, findings.map((finding) => E('li', {}, [
				where(finding) ? E('strong', {}, [ where(finding), ': ' ]) : '',
				finding.text
			])))
		]));
		findings.forEach((finding) => this.mark(kind, finding));
	},

	// At the field, or at the row of the table where the section stands.
	mark: function(kind, finding) {
		const id = this.first ? 'cbid.json.first.%s' : 'cbid.dmevpn.%s.%%s'.format(finding.section);
		const field = this.node.querySelector('[data-field="%s"]'.format(id.format(finding.option)));
		const row = this.node.querySelector('tr[data-sid="%s"] td, tr[data-section-id="%s"] td'.format(finding.section, finding.section));
		const place = field && field.offsetParent ? field.querySelector('.cbi-value-field') || field : row;

		if (place)
			place.appendChild(E('div', { 'class': 'dmevpn-finding dmevpn-finding-%s'.format(kind) }, [ finding.text ]));
	},

	handleSave: function() {
		if (!this.first)
			return this.map.save(null, true).then(() => this.check());

		return this.save_first().then((good) => {
			if (good)
				window.location.reload();
		});
	},

	// What the daemon would refuse is not applied: the earlier configuration would go on, and only the log would say why.
	handleSaveApply: function(ev, mode) {
		const saved = this.first ? this.save_first() : this.map.save(null, true).then(() => this.check());

		return saved.then((good) => {
			if (good)
				ui.changes.apply(mode == '0');
		});
	},

	handleReset: function() {
		return this.map.reset();
	}
});
