'use strict';
'require baseclass';

// Who talks to whom, as SVG: this router, its hubs, and the sites that it reaches directly or that are registered with
// it. Colours come from the theme by way of style.css; lines differ in pattern too, not by colour alone.

const NS = 'http://www.w3.org/2000/svg';

const BOX = { height: 40, gap: 12 };
const CHARACTER = 6.6;
const NARROW = 560;
const MOST = { narrow: 6, wide: 14 };

const STATES = {
	registered: 'good',
	registering: 'busy',
	withdrawing: 'busy'
};

// How a site is reached, by the place of a MAC there.
const KINDS = {
	direct: 'shortcut',
	hub: 'blocked',
	spoke: 'registered'
};

function shape(name, attributes, children) {
	const node = document.createElementNS(NS, name);

	for (const key in attributes)
		node.setAttribute(key, attributes[key]);

	(children || []).forEach((child) => node.appendChild(child));

	return node;
}

function words(name, attributes, text) {
	return shape(name, attributes, [ document.createTextNode(text) ]);
}

// The middle gives way: what tells two long addresses apart is mostly at their ends.
function fitted(text, width) {
	const most = Math.max(5, Math.floor(width / CHARACTER));

	if (text.length <= most)
		return text;

	const end = Math.floor((most - 1) / 2);

	return text.slice(0, most - 1 - end) + '…' + text.slice(text.length - end);
}

function hubs_of(vns) {
	const hubs = new Map();

	vns.filter((vn) => vn.role == 'spoke').forEach((vn) => {
		const address = vn.hub_nbma || vn.hub_address;
		const hub = hubs.get(address) || { address: address, name: vn.hub, links: [], macs: 0 };

		hub.links.push({ vn: vn.name, state: STATES[vn.state] || 'bad' });
		hubs.set(address, hub);
	});

	return hubs;
}

function sites_of(hubs, rows) {
	const sites = new Map();
	const site = (address, kind) => {
		if (!sites.has(address))
			sites.set(address, { address: address, kind: kind, macs: 0, vns: new Set() });

		return sites.get(address);
	};

	rows.peers.forEach((peer) => site(peer.nbma, 'registered').vns.add(peer.vn));

	rows.paths.filter((path) => path.state == 'down' && !path.hub).forEach((path) => {
		const at = site(path.nbma, 'blocked');

		at.vns.add(path.vn);
		at.reason = path.reason;
	});

	rows.macs.filter((mac) => mac.nbma).forEach((mac) => {
		const at = hubs.get(mac.nbma) || site(mac.nbma, KINDS[mac.place]);

		at.macs++;

		if (at.kind)
			at.vns.add(mac.vn);
	});

	return Array.from(sites.values()).sort((a, b) => b.macs - a.macs || a.address.localeCompare(b.address));
}

function macs_text(n) {
	return N_(n, '%d MAC', '%d MACs').format(n);
}

function box(place, style, title, below, hint) {
	const middle = place.x + place.width / 2;
	const room = place.width - 12;

	return shape('g', { 'class': 'dmevpn-box dmevpn-%s'.format(style) }, [
		words('title', {}, hint),
		shape('rect', { x: place.x, y: place.y, width: place.width, height: BOX.height, rx: 4 }),
		words('text', { 'class': 'dmevpn-name', x: middle, y: place.y + 17, 'text-anchor': 'middle' }, fitted(title, room)),
		words('text', { x: middle, y: place.y + 32, 'text-anchor': 'middle' }, fitted(below, room))
	]);
}

function line(from, to, style, hint) {
	const bend = (from.x + to.x) / 2;
	const path = from.x == to.x
		? 'M%d %d L%d %d'.format(from.x, from.y, to.x, to.y)
		: 'M%d %d C%d %d %d %d %d %d'.format(from.x, from.y, bend, from.y, bend, to.y, to.x, to.y);

	return shape('path', { 'class': 'dmevpn-line dmevpn-%s'.format(style), d: path }, [ words('title', {}, hint) ]);
}

function left(place) {
	return { x: place.x, y: place.y + BOX.height / 2 };
}

function right(place) {
	return { x: place.x + place.width, y: place.y + BOX.height / 2 };
}

function top(place) {
	return { x: place.x + place.width / 2, y: place.y };
}

function bottom(place) {
	return { x: place.x + place.width / 2, y: place.y + BOX.height };
}

function column(x, width, n, from) {
	return Array.from({ length: n }, (_unused, i) => ({ x: x, y: from + i * (BOX.height + BOX.gap), width: width }));
}

function height_of(n) {
	return n ? n * (BOX.height + BOX.gap) - BOX.gap : 0;
}

// Hubs above this router, sites on both sides of it.
function wide(width, hubs, sites) {
	const side = Math.min(210, Math.floor((width - 40) / 3.6));
	const per_side = Math.ceil(sites / 2);
	const above = height_of(hubs) + (hubs ? 56 : 0);
	const height = Math.max(height_of(per_side), above + BOX.height);
	const start = (n) => 1 + (height - height_of(n)) / 2;
	const centre = (width - side) / 2;
	const own = (height - above - BOX.height) / 2;
	const lefts = column(1, side, sites - per_side, start(sites - per_side));
	const rights = column(width - side - 1, side, per_side, start(per_side));

	return {
		height: height + 2,
		hubs: column(centre, side, hubs, own + 1),
		self: { x: centre, y: own + 1 + above, width: side },
		sites: Array.from({ length: sites }, (_unused, i) => (i % 2 ? lefts : rights)[Math.floor(i / 2)])
	};
}

// This router on the left, everybody else on the right.
function narrow(width, hubs, sites) {
	const side = Math.floor((width - 2) * 0.4);
	const rights = column(width - side - 1, side, hubs + sites, 1);
	const height = Math.max(BOX.height, height_of(hubs + sites));

	return {
		height: height + 2,
		hubs: rights.slice(0, hubs),
		self: { x: 1, y: 1 + (height - BOX.height) / 2, width: side },
		sites: rights.slice(hubs)
	};
}

function towards(self, place) {
	if (place.x > self.x)
		return [ right(self), left(place) ];

	if (place.x < self.x)
		return [ left(self), right(place) ];

	return [ top(self), bottom(place) ];
}

// One line for each VN, side by side: one may be registered while the hub refuses another.
function hub_lines(layout, place, hub) {
	const ends = towards(layout.self, place);
	const upright = ends[0].x == ends[1].x;
	const texts = {
		good: _('%s is registered with the hub %s'),
		busy: _('%s is registering with the hub %s'),
		bad: _('%s is not registered with the hub %s')
	};

	return hub.links.map((link, i) => {
		const aside = (i - (hub.links.length - 1) / 2) * Math.min(9, 30 / hub.links.length);
		const moved = (end) => ({ x: end.x + (upright ? aside : 0), y: end.y + (upright ? 0 : aside) });

		return line(moved(ends[0]), moved(ends[1]), 'hub-%s'.format(link.state), texts[link.state].format(link.vn, hub.name));
	});
}

const TEXTS = {
	shortcut: _('shortcut: frames go directly to %s'),
	registered: _('%s is registered here'),
	blocked: _('no direct path: frames to %s go by the hub')
};

function site_line(layout, place, site) {
	const ends = towards(layout.self, place);
	const text = TEXTS[site.kind].format(site.address);

	return line(ends[0], ends[1], site.kind, site.reason ? '%s (%s)'.format(text, site.reason) : text);
}

// How frames went before there was a shortcut, and how they go to everything that has none.
function detour(layout, place, site) {
	const hub = layout.hubs[0];

	if (!hub || site.kind == 'registered')
		return null;

	if (hub.x != place.x) {
		const ends = towards(hub, place);
		return line(ends[0], ends[1], 'detour', _('the way by the hub'));
	}

	const from = right(hub), to = right(place), out = from.x + 9;

	return shape('path', {
		'class': 'dmevpn-line dmevpn-detour',
		d: 'M%d %d C%d %d %d %d %d %d'.format(from.x - 1, from.y, out, from.y, out, to.y, to.x - 1, to.y)
	});
}

function drawn(model, width) {
	const is_narrow = width < NARROW;
	const most = is_narrow ? MOST.narrow : MOST.wide;
	const sites = model.sites.slice(0, most);
	const layout = (is_narrow ? narrow : wide)(width, model.hubs.length, sites.length);
	const lines = [].concat.apply([], [
		sites.map((site, i) => detour(layout, layout.sites[i], site))
	].concat(
		model.hubs.map((hub, i) => hub_lines(layout, layout.hubs[i], hub)),
		sites.map((site, i) => site_line(layout, layout.sites[i], site))
	)).filter((node) => node);
	const boxes = model.hubs.map((hub, i) => box(layout.hubs[i], 'hub', hub.name == 'hub' ? _('hub') : _('hub %s').format(hub.name), hub.address,
		'%s: %s'.format(hub.address, hub.links.map((link) => link.vn).join(', '))))
		.concat(sites.map((site, i) => box(layout.sites[i], 'site', site.address, '%s · %s'.format(Array.from(site.vns).join(', '),
			macs_text(site.macs)), '%s: %s'.format(site.address, Array.from(site.vns).join(', ')))))
		.concat([ box(layout.self, 'self', _('this router'), model.addresses.join(' ') || _('no address yet'), model.addresses.join(' ')) ]);

	return {
		left_out: model.sites.length - sites.length,
		svg: shape('svg', {
			'class': 'dmevpn-picture',
			width: width,
			height: layout.height,
			viewBox: '0 0 %d %d'.format(width + (is_narrow ? 8 : 0), layout.height),
			role: 'img',
			'aria-label': summary(model)
		}, lines.concat(boxes))
	};
}

function summary(model) {
	const direct = model.sites.filter((site) => site.kind == 'shortcut').length;
	const blocked = model.sites.filter((site) => site.kind == 'blocked').length;
	const registered = model.sites.length - direct - blocked;
	const texts = [];

	if (model.hubs.length)
		texts.push(N_(model.hubs.length, '%d hub', '%d hubs').format(model.hubs.length));

	if (direct)
		texts.push(N_(direct, '%d site reached directly', '%d sites reached directly').format(direct));

	if (blocked)
		texts.push(N_(blocked, '%d site reached by the hub', '%d sites reached by the hub').format(blocked));

	if (registered)
		texts.push(N_(registered, '%d site registered here', '%d sites registered here').format(registered));

	return _('Who talks to whom: %s').format(texts.join(', ') || _('nobody yet'));
}

function example(style) {
	return shape('svg', { width: 34, height: 10, 'aria-hidden': 'true' }, [
		shape('path', { 'class': 'dmevpn-line dmevpn-%s'.format(style), d: 'M1 5 L33 5' })
	]);
}

function legend(model) {
	const entries = [];
	const has = (kind) => model.sites.some((site) => site.kind == kind);
	const states = [ [ 'good', _('registered') ], [ 'busy', _('registering') ], [ 'bad', _('not registered') ] ];

	states.filter((state) => model.hubs.some((hub) => hub.links.some((link) => link.state == state[0])))
		.forEach((state) => entries.push([ 'hub-%s'.format(state[0]), state[1] ]));

	if (has('shortcut'))
		entries.push([ 'shortcut', _('shortcut: directly') ]);

	if (has('blocked'))
		entries.push([ 'blocked', _('no direct path') ]);

	if (has('shortcut') || has('blocked'))
		entries.push([ 'detour', _('by the hub') ]);

	if (has('registered'))
		entries.push([ 'registered', _('registered here') ]);

	return E('div', { 'class': 'dmevpn-legend' }, entries.map((entry) => E('span', {}, [ example(entry[0]), ' ', entry[1] ])));
}

return baseclass.extend({
	// The picture of what `status` tells, and `macs`, `peers` and `paths` in `rows`, fit for `width` pixels.
	draw: function(status, rows, width) {
		const hubs = hubs_of(status.vns);
		const model = { addresses: status.nbma, sites: sites_of(hubs, rows), hubs: Array.from(hubs.values()) };

		if (!model.hubs.length && !model.sites.length)
			return E('p', {}, [ E('em', {}, [ _('No site is registered with this hub yet.') ]) ]);

		const picture = drawn(model, Math.max(280, Math.min(900, Math.floor(width))));
		const more = picture.left_out
			? E('p', {}, [ E('em', {}, [ N_(picture.left_out, 'and %d more site, see the tables', 'and %d more sites, see the tables').format(picture.left_out) ]) ])
			: '';

		return E('div', {}, [ picture.svg, more, legend(model) ]);
	}
});
