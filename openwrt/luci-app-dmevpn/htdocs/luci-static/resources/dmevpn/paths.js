'use strict';
'require baseclass';
'require dmevpn.table as table';
'require dmevpn.text as text';

// The table of what `dmevpn paths` tells.

const STATES = {
	untested: _('being tested'),
	up: _('up'),
	down: _('down'),
	unverified: _('used untested')
};

function round_trip(row) {
	if (row.round_trip == null)
		return '–';

	return row.round_trip ? _('%d ms').format(row.round_trip) : _('below 1 ms');
}

return baseclass.extend({
	create: function() {
		return table.create([
			{ title: _('VN'), text: (row) => row.vn },
			{ title: _('Address'), text: (row) => row.hub ? _('%s (hub)').format(row.nbma) : row.nbma },
			{ title: _('VNI'), text: (row) => String(row.vni), sort: (row) => row.vni, style: 'dmevpn-number' },
			{ title: _('State'), text: (row) => STATES[row.state] || row.state },
			{ title: _('For'), text: (row) => text.duration(row.since), sort: (row) => row.since, style: 'dmevpn-number' },
			{ title: _('Round trip'), text: round_trip, sort: (row) => row.round_trip, style: 'dmevpn-number' },
			{
				title: _('Loss'),
				text: (row) => row.round_trip == null ? '–' : _('%d %%').format(Math.ceil(row.loss / 10)),
				sort: (row) => row.loss,
				style: 'dmevpn-number'
			},
			{ title: _('Largest frame'), text: (row) => text.or_dash(row.largest_frame), sort: (row) => row.largest_frame, style: 'dmevpn-number' },
			{ title: _('MAC addresses'), text: (row) => String(row.macs), sort: (row) => row.macs, style: 'dmevpn-number' },
			{ title: _('Why'), text: (row) => text.or_dash(row.reason) }
		], {
			title: _('Paths'),
			empty: _('No path yet: one is tested before frames go directly to a site.')
		});
	}
});
