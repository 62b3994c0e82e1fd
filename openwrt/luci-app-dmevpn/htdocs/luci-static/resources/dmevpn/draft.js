'use strict';
'require baseclass';
'require uci';
'require dmevpn.daemon as daemon';

// What the daemon says of a configuration that is not in its file yet. LuCI's state of `dmevpn` is written as a file, and
// each line is remembered, so that what the daemon says of a line is said of a section and an option.

function quoted(value) {
	return "'" + String(value).replace(/'/g, "'\\''").replace(/[\r\n]/g, ' ') + "'";
}

function written(section, places) {
	const lines = [];
	const write = (option, line) => {
		places.push({ section: section['.name'], type: section['.type'], option: option });
		lines.push(line);
	};

	write(null, section['.anonymous'] ? 'config ' + section['.type'] : 'config %s %s'.format(section['.type'], quoted(section['.name'])));

	for (const option in section) {
		if (option.charAt(0) == '.')
			continue;

		if (Array.isArray(section[option]))
			section[option].forEach((value) => write(option, '\tlist %s %s'.format(option, quoted(value))));
		else if (section[option] != null)
			write(option, '\toption %s %s'.format(option, quoted(section[option])));
	}

	return lines;
}

// A finding of the daemon's, with its place in the configuration.
function placed(finding, places) {
	const place = places[finding.line - 1] || {};

	return {
		text: finding.text,
		section: finding.section || place.section || null,
		type: place.type || null,
		option: finding.option || place.option || null
	};
}

return baseclass.extend({
	// Promises { errors, warnings }: each { section, type, option, text }; or { error } when the daemon cannot be asked.
	check: function() {
		const places = [];
		const lines = [].concat.apply([], uci.sections('dmevpn').map((section) => written(section, places)));

		return daemon.check(undefined, lines.join('\n') + '\n').then((answer) => answer.errors == null ? answer : {
			errors: answer.errors.map((finding) => placed(finding, places)),
			warnings: (answer.warnings || []).map((finding) => placed(finding, places))
		});
	}
});
