'use strict';
'require form';
'require network';
'require uci';
'require dmevpn.fields as fields';
'require tools.widgets as widgets';

// A site of a virtual network as an interface: `proto dmevpn` of /etc/config/network. Its options are those of the
// sections `hub` and `vn` of the same meaning.

network.registerPatternVirtual(/^vx-.+$/);

network.registerErrorCode('INVALID_CONFIG', _('The daemon refuses these values; the system log says why'));
network.registerErrorCode('INVALID_SERVICE_CONFIG', _('The configuration of dmevpn itself is wrong, see VPN › Layer-2 networks'));
network.registerErrorCode('NO_TUNNEL', _('The tunnel is not there yet, see VPN › Layer-2 networks'));
network.registerErrorCode('SERVICE_STOPPED', _('The service dmevpn was stopped, see System › Startup'));
network.registerErrorCode('SERVICE_DISABLED', _('The service dmevpn is disabled, see System › Startup'));
network.registerErrorCode('SERVICE_OFF', _('dmevpn is switched off in its configuration'));

function bridges(devices) {
	return devices.filter((device) => device.getType() == 'bridge').map((device) => [ device.getName(), device.getName() ]);
}

return network.registerProtocol('dmevpn', {
	getI18n: function() {
		return _('Layer-2 network (dmevpn)');
	},

	getIfname: function() {
		return this._ubus('l3_device') || 'vx-' + this.sid.slice(0, 12);
	},

	getPackageName: function() {
		return 'dmevpn';
	},

	// Its name before LuCI of 25.12.
	getOpkgPackage: function() {
		return 'dmevpn';
	},

	isFloating: function() {
		return true;
	},

	isVirtual: function() {
		return true;
	},

	getDevices: function() {
		return null;
	},

	containsDevice: function(ifname) {
		return network.getIfnameOf(ifname) == this.getIfname();
	},

	renderFormOptions: function(s) {
		const add = (tab, type, name, option) => fields.add_site(s, tab, type, name, option || name);

		add('general', 'hub', 'address', 'hub').title = _('Address of the hub');
		add('general', 'vn', 'vpn_id');
		add('general', 'vn', 'vni');

		const bridge = add('general', 'vn', 'bridge');

		bridge.load = function(section_id) {
			return network.getDevices().then((devices) => {
				bridges(devices).forEach((choice) => this.value(choice[0], choice[1]));

				return uci.get('network', section_id, 'bridge');
			});
		};

		const tunlink = s.taboption('advanced', widgets.NetworkSelect, 'tunlink', _('Way to the hub'),
			_('The interface by which the hub is reached, if not by the default route.'));

		tunlink.exclude = s.section;
		tunlink.nocreate = true;
		tunlink.optional = true;

		add('advanced', 'vn', 'vlan');
		add('advanced', 'vn', 'mtu');
		add('advanced', 'hub', 'vpn_mode');
	}
});
