'use strict';
'require baseclass';

// How the pages say things. Daemon and configuration give strings of all kinds: they become text nodes, never HTML.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function two(n) {
	return n < 10 ? '0' + n : String(n);
}

return baseclass.extend({
	// As the command line says it.
	duration: function(seconds) {
		const s = Math.max(0, Math.floor(seconds));

		if (s < 10 * MINUTE)
			return _('%d s').format(s);

		if (s < HOUR)
			return _('%dm %ds').format(s / MINUTE, s % MINUTE);

		if (s < DAY)
			return _('%dh %dm').format(s / HOUR, s % HOUR / MINUTE);

		return _('%dd %dh').format(s / DAY, s % DAY / HOUR);
	},

	// The browser's time of a moment in milliseconds since 1970.
	time: function(at) {
		const date = new Date(at);

		return '%s:%s:%s'.format(two(date.getHours()), two(date.getMinutes()), two(date.getSeconds()));
	},

	moment: function(at) {
		return new Date(at).toLocaleString();
	},

	or_dash: function(value) {
		return value == null || value === '' ? '–' : String(value);
	},

	stylesheet: function() {
		return E('link', { 'rel': 'stylesheet', 'href': L.resource('dmevpn/style.css') });
	},

	// A box with a heading, sentences and what can be done.
	notice: function(kind, title, sentences, actions) {
		return E('div', { 'class': 'alert-message %s'.format(kind), 'role': kind == 'error' ? 'alert' : 'status' }, [
			E('h4', {}, [ title ])
		].concat(
			sentences.filter((sentence) => sentence).map((sentence) => E('p', {}, [ sentence ])),
			actions && actions.length ? [ E('p', {}, actions) ] : []
		));
	}
});
