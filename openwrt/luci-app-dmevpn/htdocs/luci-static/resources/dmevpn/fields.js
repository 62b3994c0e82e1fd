'use strict';
'require baseclass';
'require form';
'require uci';
'require dmevpn.options as options';

// The fields of the forms, made from what the program says about its options: title, help, type, range and default have
// one source.

const TRUE = [ '1', 'true', 'on', 'yes', 'enabled' ];

const VPN_ID = /^(?:[0-9a-f]{2}-[0-9a-f]{2}-[0-9a-f]{2}:)?([0-9]{1,10})$/i;

// The longest name of an interface in the kernel.
const NAME = 15;

function of_role(value, role) {
	return L.isObject(value) ? value[role] : value;
}

function valid_vpn_id(value) {
	const found = VPN_ID.exec(value);

	return found != null && Number(found[1]) <= 4294967295 || _('A number up to 4294967295, or with an OUI, such as ac-de-48:1');
}

function valid_interface(value) {
	return value.length <= NAME && !/[\s/:%]/.test(value) || _('The name of an interface, at most %d characters').format(NAME);
}

const CHECKS = {
	vpn_id: valid_vpn_id,
	interface: valid_interface
};

function datatype(words) {
	switch (words.type) {
	case 'number': return 'range(%d,%d)'.format(words.min, words.max);
	case 'address': return 'ipaddr("nomask")';
	case 'host': return 'host';
	case 'prefix': return 'or(ipaddr("nomask"),cidr)';
	case 'password': return 'maxlength(8)';
	case 'secret': return 'minlength(16)';
	}
}

function class_for(words) {
	if (words.type == 'boolean')
		return form.Flag;

	if (words.type == 'word' || words.type == 'hub')
		return form.ListValue;

	return words.list ? form.DynamicList : form.Value;
}

function placeholder(words, role) {
	const value = of_role(words.default, role);

	return value == null ? null : words.unit ? '%s %s'.format(value, words.unit) : value;
}

// The role of the VN that a field is about: a page for sites only has no field for it.
function role_of(o, section_id) {
	return o.role || o.section.formvalue(section_id, 'role') || uci.get(o.config, section_id, 'role');
}

// What is the same as not set is left out of the file.
function write_unless_default(words) {
	return function(section_id, value) {
		if (value === of_role(words.default, role_of(this, section_id)))
			return this.remove(section_id);

		return this.super('write', [ section_id, value ]);
	};
}

function as_flag(o, words) {
	o.default = words.default;
	o.load = function(section_id) {
		const value = this.super('load', [ section_id ]);

		return value == null ? null : TRUE.indexOf(value) >= 0 ? '1' : '0';
	};
}

function as_choice(o, words, choices) {
	if (!words.required && words.default == null)
		o.value('', words.type == 'hub' ? _('(the only one)') : _('(none)'));

	if (words.type == 'hub')
		o.load = function(section_id) {
			return L.toArray(this.super('load', [ section_id ]))[0];
		};

	(words.words || []).forEach((word) => o.value(word, word === words.default ? _('%s (default)').format(word) : word));
	(choices || []).forEach((choice) => o.value(choice[0], choice[1]));
	o.default = words.default;
}

function as_text(o, words, choices) {
	(choices || []).forEach((choice) => o.value(choice[0], choice[1]));
	o.datatype = datatype(words);
	o.password = words.type == 'secret';
	o.placeholder = placeholder(words, o.role || (words.roles.length == 1 ? words.roles[0] : null));
}

function checked(o, words) {
	o.rmempty = !(words.required === true || o.role && of_role(words.required, o.role));

	o.validate = function(section_id, value) {
		if (value === '' || value == null) {
			const role = role_of(this, section_id);

			return !of_role(words.required, role) || _('Needed for the role %s').format(role);
		}

		return CHECKS[words.type] ? CHECKS[words.type](value) : true;
	};
}

// where: { section, tab, name?, role? }
function made(where, type, name, choices) {
	const words = options[type][name];
	const cls = class_for(words);
	const what = [ cls, where.name || name, words.title, words.help ];
	const o = where.tab
		? where.section.taboption.apply(where.section, [ where.tab ].concat(what))
		: where.section.option.apply(where.section, what);

	o.role = where.role;

	if (cls === form.Flag) {
		as_flag(o, words);
		return o;
	}

	if (cls === form.ListValue)
		as_choice(o, words, choices);
	else
		as_text(o, words, choices);

	checked(o, words);
	o.write = write_unless_default(words);

	return o;
}

return baseclass.extend({
	options: options,

	// Adds the option `name` of `type` (main, hub, vn, key, spoke) to a section of a form; `tab` may be null. choices: [ value, title ]...
	add: function(section, tab, type, name, choices) {
		const o = made({ section: section, tab: tab }, type, name, choices);
		const roles = options[type][name].roles;

		if (roles.length == 1)
			o.depends('role', roles[0]);

		return o;
	},

	// Adds it where only sites are configured, perhaps under another name.
	add_site: function(section, tab, type, name, as, choices) {
		return made({ section: section, tab: tab, name: as, role: 'spoke' }, type, name, choices);
	}
});
