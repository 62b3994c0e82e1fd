'use strict';
'require baseclass';
'require dom';

// A table that is sorted by its headings, filtered by words and shown in pages. Its rows may change while somebody looks:
// order, filter and page stay.
//
// columns: { title, text(row), sort(row)?, cell(row)? }: `text` is also what the filter looks through, `cell` are nodes in
// its place.

const PAGE = 50;

function compared(a, b) {
	if (a == null || b == null)
		return (a == null) - (b == null);

	if (typeof(a) == 'number' && typeof(b) == 'number')
		return a - b;

	return String(a).localeCompare(String(b), undefined, { numeric: true });
}

const Rows = baseclass.extend({
	__init__: function(columns, options) {
		this.columns = columns;
		this.options = options;
		this.rows = [];
		this.column = 0;
		this.down = false;
		this.page = 0;
		this.words = [];
		this.build();
	},

	build: function() {
		this.filter = E('input', {
			'type': 'search',
			'class': 'cbi-input-text dmevpn-filter',
			'placeholder': _('Filter'),
			'aria-label': _('Filter: %s').format(this.options.title),
			'input': (ev) => this.search(ev.target.value)
		});
		this.note = E('span', { 'class': 'dmevpn-note', 'aria-live': 'polite' });
		this.pages = E('span', { 'class': 'dmevpn-pages' });
		// Where the theme hides headings: on a phone.
		this.order = E('select', {
			'class': 'cbi-input-select dmevpn-order',
			'aria-label': _('Sort by'),
			'change': (ev) => this.sort_by(Number(ev.target.value))
		}, this.columns.map((column, i) => column.title
			? E('option', { 'value': i }, [ _('by %s').format(column.title) ])
			: ''));
		this.body = E('div', { 'class': 'dmevpn-rows' });
		this.node = E('div', {}, [
			E('div', { 'class': 'dmevpn-tools' }, [ this.filter, this.order, this.note, this.pages ].concat(this.options.tools || [])),
			this.body
		]);
	},

	update: function(rows) {
		this.rows = rows;
		this.draw();
	},

	search: function(text) {
		this.words = text.toLowerCase().split(/\s+/).filter((word) => word);
		this.page = 0;
		this.draw();
	},

	sort_by: function(index) {
		this.down = this.column == index && !this.down;
		this.column = index;
		this.draw();
	},

	turn: function(by) {
		this.page += by;
		this.draw();
	},

	found: function() {
		const column = this.columns[this.column];
		const key = column.sort || column.text;
		const sign = this.down ? -1 : 1;
		const shown = this.words.length ? this.rows.filter((row) => this.matches(row)) : this.rows.slice();

		return shown.sort((a, b) => sign * compared(key(a), key(b)));
	},

	matches: function(row) {
		const text = this.columns.map((column) => column.text(row)).join(' ').toLowerCase();

		return this.words.every((word) => text.indexOf(word) >= 0);
	},

	draw: function() {
		const found = this.found();
		const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);

		this.page = Math.min(Math.max(0, this.page), last);

		const from = this.page * PAGE;
		const shown = found.slice(from, from + PAGE);

		this.draw_note(found.length);
		this.draw_pages(from, shown.length, found.length, last);
		dom.content(this.body, shown.length ? this.table(shown) : E('p', {}, [ E('em', {}, [ this.nothing() ]) ]));
	},

	nothing: function() {
		return this.rows.length ? _('None of the %d fits the filter.').format(this.rows.length) : this.options.empty;
	},

	draw_note: function(found) {
		dom.content(this.note, [ found == this.rows.length
			? _('%d in all').format(found)
			: _('%d of %d').format(found, this.rows.length) ]);
	},

	draw_pages: function(from, shown, found, last) {
		if (!last)
			return dom.content(this.pages, null);

		const button = (by, sign, title, off) => E('button', {
			'class': 'btn cbi-button',
			'title': title,
			'aria-label': title,
			'disabled': off || null,
			'click': () => this.turn(by)
		}, [ sign ]);

		dom.content(this.pages, [
			button(-1, '‹', _('Previous page'), this.page == 0),
			E('span', {}, [ _('%d to %d').format(from + 1, from + shown) ]),
			button(1, '›', _('Next page'), this.page == last)
		]);
	},

	table: function(rows) {
		return E('table', { 'class': 'table dmevpn-table', 'aria-label': this.options.title }, [
			E('tr', { 'class': 'tr table-titles' }, this.columns.map((column, i) => this.heading(column, i)))
		].concat(rows.map((row) => E('tr', { 'class': 'tr' }, this.columns.map((column) =>
			E('td', { 'class': 'td %s'.format(column.style || ''), 'data-title': column.title },
				column.cell ? column.cell(row) : [ column.text(row) ]))))));
	},

	heading: function(column, index) {
		if (!column.title)
			return E('th', { 'class': 'th' });

		const order = this.column != index ? 'none' : this.down ? 'descending' : 'ascending';
		const arrow = { none: '', ascending: ' ▴', descending: ' ▾' }[order];

		return E('th', { 'class': 'th', 'aria-sort': order }, [
			E('button', { 'type': 'button', 'class': 'dmevpn-sort', 'click': () => this.sort_by(index) }, [ column.title + arrow ])
		]);
	}
});

return baseclass.extend({
	create: function(columns, options) {
		return new Rows(columns, options);
	}
});
