'use strict';
'require baseclass';
'require dmevpn.text as text';

// A network at a glance: how it stands, and the facts.

// How a VN's state looks, and its word.
const STATES = {
	no_device: [ 'bad', _('waiting for a device') ],
	no_address: [ 'bad', _('waiting for an address') ],
	registering: [ 'busy', _('registering') ],
	registered: [ 'good', _('registered') ],
	refused: [ 'bad', _('refused') ],
	withdrawing: [ 'busy', _('withdrawing') ],
	up: [ 'good', _('up') ],
	down: [ 'bad', _('down') ]
};

function head(name, role, state) {
	return E('h4', {}, [ name, E('span', { 'class': 'dmevpn-badge' }, [ state ]), E('small', {}, [ role ]) ]);
}

function paths_text(vn) {
	return vn.paths_down ? _('%d up, %d down').format(vn.paths_up, vn.paths_down) : _('%d up').format(vn.paths_up);
}

// How each of several hubs is, and why this one is in use.
function hubs_text(vn) {
	const all = vn.hubs.map((hub) => {
		const is = hub.active ? _('%s is in use') : hub.answers ? _('%s stands by') : _('%s is silent');

		const draining = hub.draining ? ' ' + _('(sends its sites away)') : '';
		const next = hub.next_return == null ? '' : ' ' + _('(the last return there went wrong, the next in %s at the earliest)').format(text.duration(hub.next_return));

		return is.format(hub.name) + draining + next;
	});

	return '%s: %s'.format(all.join(', '), vn.hub_reason);
}

function spoke_facts(vn) {
	const macs = [ _('%d by a shortcut').format(vn.shortcuts) ];

	if (vn.asking)
		macs.push(_('%d being asked for').format(vn.asking));

	if (vn.unknown)
		macs.push(_('%d unknown to the hub').format(vn.unknown));

	return [
		[ _('Hub'), vn.hub_nbma && vn.hub_nbma != vn.hub_address ? '%s (%s)'.format(vn.hub_address, vn.hub_nbma) : vn.hub_address ],
		vn.hubs && vn.hubs.length ? [ _('Hubs'), hubs_text(vn) ] : null,
		[ _('Own address'), text.or_dash(vn.local_nbma) ],
		[ _('VNI'), vn.uplink_vni == null ? String(vn.vni) : _('%d, towards the hub %d').format(vn.vni, vn.uplink_vni) ],
		[ _('Device'), text.or_dash(vn.device) ],
		vn.paths_up || vn.paths_down ? [ _('Direct paths'), paths_text(vn) ] : null,
		vn.valid == null ? null : [ _('Valid for'), text.duration(vn.valid) ],
		[ _('Signed by'), vn.key || _('nothing: it is open') ],
		vn.retry == null ? null : [ _('Next try'), _('in %s').format(text.duration(vn.retry)) ],
		[ _('MAC addresses'), macs.join(', ') ]
	].filter((fact) => fact);
}

function keys_text(vn) {
	if (vn.keys == 'open' || vn.keys == null)
		return _('none: who reaches this hub can join');

	const keys = [];

	if (vn.keys_own)
		keys.push(_('%d of one site each').format(vn.keys_own));

	if (vn.keys_shared)
		keys.push(_('%d of several sites, who can speak as the hub').format(vn.keys_shared));

	if (!vn.keys_required)
		keys.push(_('not required: %d sites without').format(vn.unsigned));

	return keys.join(', ');
}

function hub_facts(vn) {
	return [
		[ _('Sites'), _('%d of at most %d').format(vn.spokes, vn.max_spokes) ],
		vn.draining ? [ _('Sent away'), _('those that have another hub') ] : null,
		vn.ip_clients ? [ _('IP clients'), String(vn.ip_clients) ] : null,
		vn.peers ? [ _('Other hubs'), _('%d of %d linked').format(vn.peers_up, vn.peers) ] : null,
		[ _('Keys'), keys_text(vn) ],
		[ _('MAC addresses'), String(vn.macs) ],
		[ _('Data plane'), vn.dataplane_reason ? '%s (%s)'.format(vn.dataplane, vn.dataplane_reason) : vn.dataplane ],
		vn.purges ? [ _('Purges'), _('%d not confirmed yet').format(vn.purges) ] : null,
		vn.refusal ? [ _('One is refused'), vn.refusal ] : null
	].filter((fact) => fact);
}

function facts(vn) {
	const common = [
		[ _('For'), text.duration(vn.since) ],
		[ _('VPN-ID'), vn.vpn_id ],
		[ _('Bridge'), [ vn.bridge, vn.vlan == null ? '' : _('VLAN %d').format(vn.vlan), vn.bridge_mac || '' ].filter((word) => word).join(' ') ]
	];

	return common.concat(vn.role == 'hub' ? hub_facts(vn) : spoke_facts(vn));
}

return baseclass.extend({
	// Of one that the daemon tells of, with what can be done about it.
	of: function(vn, tools) {
		const state = STATES[vn.state] || [ 'busy', vn.state ];
		const look = (vn.trouble || vn.loop) && state[0] == 'good' ? 'bad' : state[0];

		return E('div', { 'class': 'dmevpn-vn dmevpn-%s'.format(look), 'data-vn': vn.name }, [
			head(vn.name, vn.role == 'hub' ? _('this router is the hub') : vn.hub == 'hub' ? _('site') : _('site of the hub %s').format(vn.hub), state[1]),
			E('p', {}, [ vn.text ]),
			vn.trouble && vn.text.indexOf(vn.trouble) < 0 ? E('p', {}, [ E('strong', {}, [ vn.trouble ]) ]) : '',
			vn.hint ? E('p', { 'class': 'dmevpn-hint' }, [ vn.hint ]) : '',
			E('dl', { 'class': 'dmevpn-facts' }, [].concat.apply([], facts(vn).map((fact) => [
				E('dt', {}, [ fact[0] ]),
				E('dd', {}, [ fact[1] ])
			]))),
			tools || ''
		]);
	},

	// Of one that only the configuration knows.
	placeholder: function(vn, look, state, sentence) {
		return E('div', { 'class': 'dmevpn-vn dmevpn-%s'.format(look), 'data-vn': vn['.name'] }, [
			head(vn['.name'], vn.role == 'hub' ? _('this router is the hub') : _('site'), state),
			E('p', {}, [ sentence ])
		]);
	}
});
