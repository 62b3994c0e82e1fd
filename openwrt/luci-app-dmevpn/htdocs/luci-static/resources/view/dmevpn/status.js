'use strict';
'require view';
'require dom';
'require poll';
'require uci';
'require ui';
'require dmevpn.card as card';
'require dmevpn.daemon as daemon';
'require dmevpn.paths as paths';
'require dmevpn.picture as picture';
'require dmevpn.table as table';
'require dmevpn.text as text';

const SECONDS = 5;

// A hub with many MACs is not asked for all of them each time.
const MANY = 500;
const SELDOM = 4;

const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i;

const MAC_STATES = {
	asking: _('being asked for'),
	shortcut: _('shortcut'),
	'no path': _('no direct path'),
	unknown: _('unknown to the hub'),
	learned: _('learned'),
	held: _('held')
};

const PLACES = {
	direct: _('directly'),
	hub: _('by the hub'),
	spoke: _('to its site'),
	here: _('here, at this hub'),
	unknown: _('by the hub')
};

// What the doctor says of something: how it looks, and its word.
const LEVELS = {
	ok: [ 'good', _('well') ],
	warning: [ 'busy', _('warning') ],
	wrong: [ 'bad', _('wrong') ]
};

const DENIED = _('An administrator can give this user the right "luci-app-dmevpn".');

function link(page, title) {
	return E('a', { 'class': 'btn cbi-button cbi-button-action', 'href': L.url(page) }, [ title ]);
}

function or_none(answer, key) {
	return answer[key] || [];
}

function notify(answer, done) {
	if (answer.error)
		return ui.addNotification(null, E('p', {}, [ answer.error ]), 'danger');

	ui.addNotification(null, E('p', {}, [ done ]), 'info');
}

// What the configuration holds, be the daemon there or not.
function configured() {
	const main = uci.sections('dmevpn', 'dmevpn')[0] || {};
	const off = (section) => section.disabled == '1' || section.auto == '0' ||
		[ '0', 'false', 'off', 'no', 'disabled' ].indexOf(section.enabled) >= 0;
	const vns = uci.sections('dmevpn', 'vn').concat(uci.sections('network', 'interface').filter((one) => one.proto == 'dmevpn'));

	return {
		vns: vns,
		on: off(main) ? [] : vns.filter((vn) => !off(vn)),
		off: off(main) ? vns : vns.filter(off)
	};
}

return view.extend({
	load: function() {
		return Promise.all([ this.read_configuration(), this.ask() ]);
	},

	// The file may change while the page is open: what was read earlier is dropped.
	read_configuration: function() {
		uci.unload('dmevpn');
		uci.unload('network');

		return Promise.all([ uci.load('dmevpn'), L.resolveDefault(uci.load('network')) ])
			.then(() => this.readable = true, () => this.readable = false);
	},

	ask: function() {
		this.round = (this.round || 0) + 1;

		return daemon.status().then((status) => {
			this.status = status;

			if (status.error)
				return this.read_configuration();

			return this.ask_for_rows();
		});
	},

	ask_for_rows: function() {
		if (this.macs && this.macs.length > MANY && this.round % SELDOM)
			return null;

		return Promise.all([ daemon.macs(), daemon.peers(), daemon.paths() ]).then((answers) => {
			this.macs = or_none(answers[0], 'macs');
			this.peers = or_none(answers[1], 'peers');
			this.paths = or_none(answers[2], 'paths');
			this.shortened = answers.some((answer) => answer.truncated);
		});
	},

	render: function() {
		this.build();
		this.draw();
		poll.add(() => this.ask().then(() => this.draw()), SECONDS);
		window.addEventListener('resize', () => this.draw_picture());

		// Only once the page shows it does the picture have a width.
		window.setTimeout(() => this.draw_picture(), 0);

		return this.node;
	},

	build: function() {
		this.head = E('div', { 'aria-live': 'polite' });
		this.vns = E('div');
		this.picture = E('div', { 'class': 'cbi-section dmevpn-who' });
		this.mac_table = this.build_macs();
		this.path_table = paths.create();
		this.peer_table = this.build_peers();
		this.rows = E('div', {}, [
			this.picture_section = this.section(_('Who talks to whom'), this.picture),
			this.mac_section = this.section(_('MAC addresses'), this.cut = E('div'), this.mac_table.node, this.build_resolve()),
			this.path_section = this.section(_('Paths'), this.path_table.node),
			this.peer_section = this.section(_('Sites registered with this hub'), this.peer_table.node)
		]);
		this.node = E('div', { 'class': 'dmevpn' }, [
			text.stylesheet(),
			E('h2', { 'name': 'content' }, [ _('Layer-2 networks') ]),
			this.head,
			this.vns,
			this.build_doctor(),
			this.rows
		]);
	},

	section: function(title) {
		return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]) ].concat(Array.prototype.slice.call(arguments, 1)));
	},

	draw: function() {
		const up = !this.status.error;

		dom.content(this.head, up ? this.summary() : this.obstacle());
		dom.content(this.vns, up ? this.cards() : null);
		this.rows.style.display = up && this.status.vns.length ? '' : 'none';

		if (!up)
			return;

		dom.content(this.cut, this.shortened ? E('p', {}, [ E('em', {}, [ _('There are more than this page is told of: "dmevpn macs", "dmevpn paths" and "dmevpn peers" list all.') ]) ]) : null);
		this.mac_table.update(this.macs || []);
		this.path_table.update(this.paths || []);
		this.peer_table.update(this.peers || []);
		this.show_for(this.path_section, (vn) => vn.role == 'spoke' || vn.peers);
		this.show_for(this.peer_section, (vn) => vn.role == 'hub');
		this.draw_resolve();
		this.draw_picture();
	},

	// A section that has a meaning in some networks only.
	show_for: function(section, has_meaning) {
		section.style.display = this.status.vns.some(has_meaning) ? '' : 'none';
	},

	// Why there is nothing to be seen, and what to do about it.
	obstacle: function() {
		const setup = link('admin/vpn/dmevpn/config', _('Set up'));
		const change = link('admin/vpn/dmevpn/config', _('Configuration'));

		if (this.status.kind == 'denied')
			return text.notice('warning', _('No right to see this'), [ this.status.error, DENIED ]);

		if (this.status.kind == 'lost')
			return text.notice('error', _('No answer'), [ this.status.error, _('The page goes on asking.') ]);

		if (this.status.kind != 'down')
			return text.notice('error', _('The daemon does not tell how it stands'), [ this.status.error ]);

		const known = configured();

		if (this.readable && !known.vns.length)
			return text.notice('notice', _('Nothing is configured yet'), [
				_('A few values make this router a site of your network: the address of the hub, the VPN-ID, a VNI of its own, and the bridge.')
			], [ setup ]);

		if (this.readable && !known.on.length)
			return text.notice('notice', _('Configured, but switched off'), [
				_('Switched off: %s').format(known.off.map((vn) => vn['.name']).join(', '))
			], [ change ]);

		return text.notice('error', _('Configured, but the daemon does not run'), [
			this.readable ? _('Waiting for it: %s').format(known.on.map((vn) => vn['.name']).join(', ')) : '',
			this.status.error,
			this.status.hint,
			_('The system log says why. A wrong configuration is shown by the configuration page.')
		], [ change, ' ', link('admin/status/logs', _('System log')), ' ', link('admin/system/startup', _('Startup')) ]);
	},

	summary: function() {
		const status = this.status;
		const facts = [
			_('dmevpn %s').format(status.version),
			_('up for %s').format(text.duration(status.uptime)),
			status.device ? _('transport %s (%s)').format(status.transport, status.device) : _('transport %s').format(status.transport),
			status.nbma.length ? _('underlay address %s').format(status.nbma.join(', ')) : _('no underlay address yet')
		];
		const nodes = [ E('p', { 'class': 'dmevpn-summary' }, [ facts.join(' · ') ]) ];

		if (status.trouble)
			nodes.push(text.notice('warning', status.trouble, [ status.hint ]));
		if (status.guard_trouble)
			nodes.push(text.notice('warning', status.guard_trouble, [ status.guard_hint ]));

		return nodes;
	},

	cards: function() {
		const known = this.readable ? configured() : { on: [], off: [] };
		const running = this.status.vns.map((vn) => vn.name);
		const missing = known.on.filter((vn) => running.indexOf(vn['.name']) < 0);
		const cards = this.status.vns.map((vn) => card.of(vn, this.drain_button(vn)))
			.concat(missing.map((vn) => card.placeholder(vn, 'busy', _('not taken over'),
				_('The daemon does not know this network yet: its configuration was changed and not read again, or is wrong.'))))
			.concat(known.off.map((vn) => card.placeholder(vn, 'off', _('switched off'), _('Switched off in the configuration.'))));

		if (!cards.length)
			return text.notice('notice', _('Nothing is configured yet'), [ _('The daemon runs without a network.') ],
				[ link('admin/vpn/dmevpn/config', _('Set up')) ]);

		return E('div', { 'class': 'dmevpn-vns' }, cards);
	},

	draw_picture: function() {
		if (this.status.error || !this.status.vns.length)
			return;

		const width = this.picture.clientWidth || 640;

		dom.content(this.picture, picture.draw(this.status, { macs: this.macs || [], peers: this.peers || [], paths: this.paths || [] }, width));
	},

	build_macs: function() {
		return table.create([
			{ title: _('VN'), text: (row) => row.vn },
			{ title: _('MAC address'), text: (row) => row.mac, style: 'dmevpn-mac' },
			{ title: _('Frames go'), text: (row) => PLACES[row.place] || row.place },
			{ title: _('Address'), text: (row) => text.or_dash(row.nbma) },
			{ title: _('VNI'), text: (row) => text.or_dash(row.vni), sort: (row) => row.vni, style: 'dmevpn-number' },
			{ title: _('State'), text: (row) => MAC_STATES[row.state] || row.state },
			{
				title: _('Remaining'),
				text: (row) => row.valid == null ? '–' : text.duration(row.valid),
				sort: (row) => row.valid,
				style: 'dmevpn-number'
			},
			{ title: '', text: () => '', cell: (row) => [ this.flush_button(row) ] }
		], {
			title: _('MAC addresses'),
			empty: _('No MAC address behind the tunnels yet: they show once stations talk.'),
			tools: [ this.flush_all_button() ]
		});
	},

	build_peers: function() {
		return table.create([
			{ title: _('VN'), text: (row) => row.vn },
			{ title: _('Address'), text: (row) => row.nbma },
			{ title: _('VNI'), text: (row) => text.or_dash(row.vni), sort: (row) => row.vni, style: 'dmevpn-number' },
			{ title: _('Uplink VNI'), text: (row) => text.or_dash(row.uplink_vni), sort: (row) => row.uplink_vni, style: 'dmevpn-number' },
			{ title: _('Valid for'), text: (row) => text.duration(row.valid), sort: (row) => row.valid, style: 'dmevpn-number' },
			{ title: _('Site'), text: (row) => text.or_dash(row.spoke || row.key) },
			{ title: _('MAC addresses'), text: (row) => text.or_dash(row.macs.join(' ')) },
			{ title: _('Tunnel addresses'), text: (row) => text.or_dash(row.addresses.join(' ')) },
			{ title: '', text: () => '', cell: (row) => [ this.remove_button(row) ] }
		], {
			title: _('Sites registered with this hub'),
			empty: _('No site is registered yet.')
		});
	},

	// At a hub that others can stand in for, as far as it knows: of hubs that are connected otherwise only the command line does it.
	drain_button: function(vn) {
		if (!vn.peers && !vn.draining)
			return null;

		return E('button', {
			'class': 'btn cbi-button cbi-button-neutral',
			'title': vn.draining ? _('Sites may be at this hub again, and those that prefer it come back')
				: _('Sites that have another hub go there, as before this router is switched off'),
			'click': ui.createHandlerFn(this, 'drain', vn)
		}, [ vn.draining ? _('Take sites again') : _('Send sites away') ]);
	},

	flush_button: function(row) {
		return E('button', {
			'class': 'btn cbi-button cbi-button-remove',
			'title': _('Forgets where %s lives; its frames go by the hub until it is asked for again').format(row.mac),
			'click': ui.createHandlerFn(this, 'flush', row.vn, row.mac)
		}, [ _('Forget') ]);
	},

	flush_all_button: function() {
		return E('button', {
			'class': 'btn cbi-button cbi-button-remove',
			'title': _('Forgets all shortcuts and pending questions; frames go by the hub until they are asked for again'),
			'click': ui.createHandlerFn(this, 'flush')
		}, [ _('Forget all') ]);
	},

	remove_button: function(row) {
		return E('button', {
			'class': 'btn cbi-button cbi-button-remove',
			'title': _('Ends the registration of %s; a router that is alive registers anew').format(row.nbma),
			'click': ui.createHandlerFn(this, 'remove', row)
		}, [ _('Remove') ]);
	},

	remove: function(row) {
		const peer = row.vni == null ? row.nbma : row.nbma + ',' + row.vni;

		return daemon.remove(row.vn, peer).then((answer) => {
			notify(answer, _('%s is removed.').format(peer));

			return this.ask().then(() => this.draw());
		});
	},

	drain: function(vn) {
		return daemon.drain(vn.name, !!vn.draining).then((answer) => {
			notify(answer, (vn.draining ? _('%s takes sites again.') : _('%s sends its sites away.')).format(vn.name));

			return this.ask().then(() => this.draw());
		});
	},

	flush: function(vn, mac) {
		// Without these, a handler's last argument is the event.
		const only = typeof(vn) == 'string' ? [ vn, mac ] : [];

		return daemon.flush.apply(daemon, only).then((answer) => {
			notify(answer, only.length ? _('%s is forgotten.').format(mac) : _('All shortcuts are forgotten.'));

			return this.ask().then(() => this.draw());
		});
	},

	build_resolve: function() {
		this.resolve_vn = E('select', { 'class': 'cbi-input-select', 'aria-label': _('VN') });
		this.resolve_mac = E('input', {
			'type': 'text',
			'class': 'cbi-input-text',
			'placeholder': '52:54:00:00:00:0b',
			'aria-label': _('MAC address')
		});
		this.resolved = E('span', { 'class': 'dmevpn-resolved', 'role': 'status' });

		return E('div', { 'class': 'dmevpn-tools' }, [
			E('span', {}, [ _('Where does a MAC address live?') ]),
			this.resolve_vn,
			this.resolve_mac,
			E('button', { 'class': 'btn cbi-button cbi-button-action', 'click': ui.createHandlerFn(this, 'resolve') }, [ _('Ask') ]),
			this.resolved
		]);
	},

	build_doctor: function() {
		this.checks = E('ul', { 'class': 'dmevpn-checks', 'role': 'status' });

		return this.section(_('Doctor'),
			E('div', { 'class': 'dmevpn-tools' }, [
				E('button', { 'class': 'btn cbi-button cbi-button-action', 'click': ui.createHandlerFn(this, 'doctor') }, [ _('Examine this router') ]),
				E('span', {}, [ _('Kernel, firewall, MTU and more: what is not well, and what to do.') ])
			]),
			this.checks);
	},

	doctor: function() {
		dom.content(this.checks, [ E('li', {}, [ _('Looking…') ]) ]);

		return daemon.doctor().then((answer) => dom.content(this.checks, answer.error
			? [ E('li', {}, [ answer.error ]) ]
			: or_none(answer, 'checks').map((check) => this.check(check))));
	},

	check: function(check) {
		const level = LEVELS[check.level] || [ 'busy', check.level ];

		return E('li', { 'class': 'dmevpn-%s'.format(level[0]), 'data-level': check.level }, [
			E('span', { 'class': 'dmevpn-badge' }, [ level[1] ]),
			E('strong', {}, [ check.what ]),
			': %s'.format(check.text),
			check.hint ? E('p', { 'class': 'dmevpn-hint' }, [ check.hint ]) : ''
		]);
	},

	// The choice stays while the names do.
	draw_resolve: function() {
		const names = this.status.vns.map((vn) => vn.name);

		if (names.join(' ') == this.resolve_names)
			return;

		this.resolve_names = names.join(' ');
		dom.content(this.resolve_vn, names.map((name) => E('option', { 'value': name }, [ name ])));
	},

	resolve: function() {
		const mac = this.resolve_mac.value.trim();

		if (!MAC.test(mac))
			return dom.content(this.resolved, [ _('This is not a MAC address such as %s.').format('52:54:00:00:00:0b') ]);

		dom.content(this.resolved, [ _('Asking…') ]);

		return daemon.resolve(this.resolve_vn.value, mac).then((answer) => dom.content(this.resolved, [ this.resolved_text(mac, answer) ]));
	},

	resolved_text: function(mac, answer) {
		if (answer.error)
			return answer.error;

		if (!answer.resolved)
			return _('%s is not resolved: %s').format(mac, answer.reason || _('no answer from the hub'));

		if (answer.place == 'here')
			return _('%s is at a port of this router.').format(mac);

		return answer.valid == null
			? _('%s is at %s, VNI %d.').format(mac, answer.nbma, answer.vni)
			: _('%s is at %s, VNI %d, valid for %s.').format(mac, answer.nbma, answer.vni, text.duration(answer.valid));
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
