'use strict';
'require view';
'require dom';
'require poll';
'require dmevpn.daemon as daemon';
'require dmevpn.text as text';

const SECONDS = 2;

// What is kept on the page: more than the daemon remembers.
const MOST = 1000;

const LEVELS = [ 'debug', 'info', 'warn', 'error' ];

return view.extend({
	load: function() {
		this.last = 0;
		this.events = [];

		return this.ask();
	},

	ask: function() {
		return daemon.events(this.last).then((answer) => {
			this.answer = answer;

			if (!answer.error)
				this.take(answer);
		});
	},

	// A number that went back is of a daemon that was started again.
	take: function(answer) {
		const missed = answer.last - this.last - answer.events.length;

		if (this.last && answer.last < this.last)
			this.add({ at: Date.now(), vn: '', level: 'warn', text: _('The daemon was started again.'), event: 'page' });
		else if (this.last && missed > 0)
			this.add({ at: Date.now(), vn: '', level: 'warn', text: _('%d events were too many for this page.').format(missed), event: 'page' });

		answer.events.forEach((event) => this.add(event));
		this.last = answer.last;
	},

	add: function(event) {
		this.events.unshift(event);
		this.events.length = Math.min(this.events.length, MOST);
	},

	render: function() {
		this.paused = false;
		this.build();
		this.draw();
		poll.add(() => this.paused ? null : this.ask().then(() => this.draw()), SECONDS);

		return this.node;
	},

	build: function() {
		this.obstacle = E('div', { 'aria-live': 'polite' });
		this.note = E('span', { 'class': 'dmevpn-note' });
		this.list = E('ol', { 'class': 'dmevpn-events', 'aria-label': _('Events, the latest first') });
		this.filter = E('input', {
			'type': 'search',
			'class': 'cbi-input-text dmevpn-filter',
			'placeholder': _('Filter'),
			'aria-label': _('Filter'),
			'input': () => this.draw()
		});
		this.level = E('select', { 'class': 'cbi-input-select', 'aria-label': _('Least important shown'), 'change': () => this.draw() }, [
			E('option', { 'value': 'debug' }, [ _('all') ]),
			E('option', { 'value': 'info' }, [ _('without details') ]),
			E('option', { 'value': 'warn' }, [ _('warnings') ])
		]);
		this.pause = E('button', { 'class': 'btn cbi-button', 'click': () => this.hold() }, [ _('Pause') ]);
		this.node = E('div', { 'class': 'dmevpn' }, [
			text.stylesheet(),
			E('h2', { 'name': 'content' }, [ _('Events') ]),
			this.obstacle,
			E('div', { 'class': 'dmevpn-tools' }, [
				this.filter, this.level, this.pause,
				E('button', { 'class': 'btn cbi-button', 'click': () => this.clear() }, [ _('Clear') ]),
				this.note
			]),
			this.list
		]);
	},

	hold: function() {
		this.paused = !this.paused;
		dom.content(this.pause, [ this.paused ? _('Go on') : _('Pause') ]);
		this.draw();
	},

	clear: function() {
		this.events = [];
		this.draw();
	},

	shown: function() {
		const words = this.filter.value.toLowerCase().split(/\s+/).filter((word) => word);
		const least = LEVELS.indexOf(this.level.value);

		return this.events.filter((event) => LEVELS.indexOf(event.level) >= least && words.every((word) =>
			'%s %s %s'.format(event.vn, event.event, event.text).toLowerCase().indexOf(word) >= 0));
	},

	draw: function() {
		const shown = this.shown();

		dom.content(this.obstacle, this.answer.error ? this.trouble() : null);
		dom.content(this.note, [ this.paused ? _('paused') : _('%d of %d').format(shown.length, this.events.length) ]);

		if (shown.length)
			return dom.content(this.list, shown.map((event) => this.line(event)));

		dom.content(this.list, E('li', {}, [ E('em', {}, [ this.events.length ? _('No event fits the filter.') : _('Nothing has happened yet.') ]) ]));
	},

	trouble: function() {
		if (this.answer.kind == 'denied')
			return text.notice('warning', _('No right to see this'), [ this.answer.error ]);

		return text.notice(this.answer.kind == 'down' ? 'warning' : 'error', _('No news'), [
			this.answer.error,
			_('The page goes on asking.')
		]);
	},

	line: function(event) {
		return E('li', { 'class': 'dmevpn-%s'.format(event.level) }, [
			E('time', { 'title': text.moment(event.at), 'datetime': new Date(event.at).toISOString() }, [ text.time(event.at) ]),
			E('span', {}, [ event.vn ]),
			E('span', {}, [ event.text ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
