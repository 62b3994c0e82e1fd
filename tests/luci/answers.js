'use strict';

// What the daemon may answer, in the shape of docs/json.md.

const spoke = {
	name: 'lan', vpn_id: '1', role: 'spoke', bridge: 'br-lan', bridge_mac: '52:54:00:00:10:01', vlan: null, mtu: 1500, device: 'vx-lan',
	state: 'registered', since: 7321, text: 'registered for 2h 2m, valid for 591 s more', hint: null, trouble: null,
	vni: 100, vpn_mode: 'llc', trigger: 'learn', hub: 'dc1', hub_address: 'hub.example.net', hub_nbma: '10.0.0.1',
	local_nbma: '10.0.0.2', uplink_vni: 4590770, valid: 591, unanswered: 0, refusal: null, refusal_code: null, retry: null,
	shortcuts: 5, asking: 1, unknown: 1
};

const hub = {
	name: 'lan', vpn_id: '1', role: 'hub', bridge: 'br-lan', bridge_mac: '52:54:00:00:10:00', vlan: null, mtu: 1500, device: null,
	state: 'up', since: 86400 * 3, text: 'up for 3d 0h, 3 sites are registered', hint: null, trouble: null,
	dataplane: 'bridge', dataplane_reason: 'this router is no hub only', spokes: 3, max_spokes: 1000, macs: 6, purges: 0
};

function status(vns, more) {
	return Object.assign({
		version: '0.1.0', uptime: 7330, config: '/var/run/dmevpn/config', transport: 'raw', device: null,
		nbma: [ '10.0.0.2' ], user: 'dmevpn', confined: true, trouble: null, hint: null, guard: null, guard_dropped: null,
		guard_trouble: null, guard_hint: null, odd: [], vns: vns
	}, more);
}

function mac(n, more) {
	return Object.assign({
		vn: 'lan', mac: '52:54:00:00:%s:%s'.replace('%s', octet(n >> 8)).replace('%s', octet(n & 255)),
		state: 'shortcut', place: 'direct', nbma: '10.0.0.3', vni: 101, valid: 500 + n, askers: 0
	}, more);
}

function octet(n) {
	return (n < 16 ? '0' : '') + n.toString(16);
}

function peer(n, more) {
	return Object.assign({
		vn: 'lan', nbma: '10.0.%d.%d'.replace('%d', n >> 8).replace('%d', n & 255), vni: 100 + n, uplink_vni: 1048576 + n,
		valid: 100 + n % 500, macs: [ '52:54:00:00:00:' + octet(n & 255) ], addresses: []
	}, more);
}

function path(n, more) {
	return Object.assign({
		vn: 'lan', nbma: '10.0.0.' + n, vni: 98 + n, hub: false, state: 'up', since: 60 * n, round_trip: 11, loss: 4,
		largest_frame: 1422, macs: 1, reason: null
	}, more);
}

const spoke_paths = [
	path(1, { vni: 4590770, hub: true, macs: 0, round_trip: 0, loss: 0 }), path(3, { macs: 2 }), path(4, { vni: 100, loss: 31 }),
	path(7, { nbma: '10.0.7.1', vni: 700 })
];

const spoke_macs = [
	mac(11), mac(12), mac(13, { nbma: '10.0.0.4', vni: 100, valid: 12 }), mac(14, { nbma: '10.0.7.1', vni: 700 }),
	mac(1, { nbma: '10.0.0.1', vni: 4590770 }),
	mac(15, { state: 'asking', place: 'hub', nbma: null, vni: null, valid: null }),
	mac(16, { state: 'unknown', place: 'unknown', nbma: null, vni: null, valid: 42 })
];

const waiting = (state, text, hint, more) => Object.assign({}, spoke, {
	state: state, since: 95, text: text, hint: hint, hub_nbma: '10.0.0.1', local_nbma: null, uplink_vni: null, valid: null,
	shortcuts: 0, asking: 0, unknown: 0
}, more);

module.exports = {
	spoke, hub, status, mac, peer,

	registered: {
		status: status([ spoke ]), macs: { macs: spoke_macs }, peers: { peers: [] }, paths: { paths: spoke_paths }
	},

	// It has three hubs, and is at the second.
	second: {
		status: status([ Object.assign({}, spoke, {
			hub: 'dc2', hub_reason: 'frames did not get to the one before and back', hub_since: 60, hubs: [
				{ name: 'dc1', nbma: '10.0.0.1', active: false, answers: false, answered: 64, draining: false },
				{ name: 'dc2', nbma: '10.0.0.2', active: true, answers: true, answered: 0, draining: false },
				{ name: 'dc3', nbma: '10.0.0.3', active: false, answers: true, answered: 7, draining: true, next_return: 90 }
			]
		}) ]),
		macs: { macs: spoke_macs }, peers: { peers: [] }, paths: { paths: spoke_paths }
	},

	// One of its sites is behind a firewall, another one is being tested.
	blocked: {
		status: status([ Object.assign({}, spoke, { paths_up: 1, paths_down: 1 }) ]),
		macs: { macs: [
			mac(11), mac(12, { nbma: '10.0.0.8', state: 'no path', place: 'hub' }), mac(13, { nbma: '10.0.0.9', state: 'no path', place: 'hub' })
		] },
		peers: { peers: [] },
		paths: { paths: [
			spoke_paths[0], spoke_paths[1],
			path(8, {
				state: 'down', since: 75, round_trip: null, loss: 0, largest_frame: null,
				reason: "VXLAN does not get there and back: does a firewall drop UDP 4789 ('udp_port')?"
			}),
			path(9, { state: 'untested', since: 0, round_trip: null, loss: 0, largest_frame: null })
		] }
	},

	// A second network that is told no, on the same router.
	refused: {
		status: status([ spoke, waiting('refused', 'refused 95 s ago: error 16, the VN is not configured there (vpn_id of both ends?)',
			'Give this network the vpn_id that the hub has.', {
				name: 'guest', vpn_id: '2', bridge: 'br-guest', vni: 200, refusal: 'error 16, the VN is not configured there (vpn_id of both ends?)',
				refusal_code: 16, retry: 25, local_nbma: '10.0.0.2'
			}) ]),
		macs: { macs: spoke_macs }, peers: { peers: [] }
	},

	registering: {
		status: status([ waiting('registering', 'not registered for 95 s: no answer to 7 requests',
			'Let GRE (IP protocol 47) through between this router and the hub.', { unanswered: 7 }) ]),
		macs: { macs: [] }, peers: { peers: [] }
	},

	no_device: {
		status: status([ waiting('no_device', "waiting for a device for 95 s: bridge 'br-lan' does not exist",
			'Make the bridge, or name one that is there.', { trouble: "bridge 'br-lan' does not exist", bridge_mac: null, device: null }) ], { nbma: [] }),
		macs: { macs: [] }, peers: { peers: [] }
	},

	hub_up: {
		status: status([ hub ], { nbma: [ '10.0.0.1' ] }),
		macs: {
			macs: [
				mac(2, { state: 'learned', place: 'spoke', nbma: '10.0.0.2', vni: 102, valid: null, askers: 1 }),
				mac(3, { state: 'held', place: 'spoke', nbma: '10.0.0.3', vni: 103, valid: 300 }),
				mac(4, { state: 'learned', place: 'here', nbma: null, vni: null, valid: null })
			]
		},
		peers: { peers: [ peer(2), peer(3), peer(4, { macs: [], addresses: [ '10.255.0.4' ] }) ] }
	},

	// It has two others, and something is between it and one of them.
	hub_cut: {
		status: status([ Object.assign({}, hub, { peers: 2, peers_up: 1 }) ], { nbma: [ '10.0.0.1' ] }),
		macs: { macs: [] }, peers: { peers: [] },
		paths: { paths: [
			path(2, { hub: true }),
			path(3, {
				hub: true, state: 'down', since: 75, round_trip: null, loss: 0, largest_frame: null,
				reason: "NHRP passes, VXLAN does not: does a firewall drop UDP 4789 ('udp_port')?"
			})
		] }
	},

	hub_alone: {
		status: status([ Object.assign({}, hub, { spokes: 0, macs: 0, text: 'up for 3d 0h, no site is registered' }) ], { nbma: [ '10.0.0.1' ] }),
		macs: { macs: [] }, peers: { peers: [] }
	},

	hub_of_many: {
		status: status([ Object.assign({}, hub, { spokes: 1000, macs: 1000, text: 'up for 3d 0h, 1000 sites are registered' }) ], { nbma: [ '10.0.0.1' ] }),
		macs: { macs: Array.from({ length: 1000 }, (_unused, i) => mac(i, {
			state: 'learned', place: 'spoke', nbma: peer(i + 2).nbma, vni: 102 + i, valid: null
		})) },
		peers: { peers: Array.from({ length: 1000 }, (_unused, i) => peer(i + 2)) }
	},

	// Nothing of this may become HTML.
	hostile: {
		status: status([ Object.assign({}, spoke, {
			name: '<img src=x onerror="window.hit=1">', text: '<img src=x onerror="window.hit=1">', hint: '<script>window.hit=1</script>',
			hub: '<b>x', hub_address: '<img src=x onerror="window.hit=1">', bridge: '<i>'
		}) ], { trouble: '<img src=x onerror="window.hit=1">', hint: '<svg onload="window.hit=1">' }),
		macs: { macs: [ mac(11, { vn: '<img src=x onerror="window.hit=1">', nbma: '<img src=x onerror="window.hit=1">' }) ] },
		peers: { peers: [ peer(2, { macs: [ '<img src=x onerror="window.hit=1">' ] }) ] }
	},

	doctor: {
		status: status([ spoke ]), macs: { macs: [] }, peers: { peers: [] },
		doctor: { worst: 'wrong', checks: [
			{ level: 'ok', what: 'kernel', text: 'it has vxlan', hint: null },
			{ level: 'wrong', what: 'firewall', text: '<img src=x onerror="window.hit=1">', hint: 'let it through' }
		] }
	},

	empty: { status: status([], { nbma: [] }), macs: { macs: [] }, peers: { peers: [] } },

	down: { status: { error: 'no daemon answers at /var/run/dmevpn/private/control.sock: is it running?', code: 3 } },
	hanging: { status: { error: 'no answer from the daemon within 2 s', code: 3 } },
	missing_program: { status: { error: '/usr/sbin/dmevpn is missing or may not be executed', code: 127 } }
};
