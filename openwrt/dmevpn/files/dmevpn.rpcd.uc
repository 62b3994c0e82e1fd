// The ubus object `dmevpn`: each method runs a command of the program and returns the JSON object it prints.
// Installed as /usr/share/rpcd/ucode/dmevpn.

'use strict';

import { access, open, popen, unlink } from 'fs';

const PROGRAM = '/usr/sbin/dmevpn';

// rpcd has one thread: while it waits for a daemon that hangs, all of LuCI waits.
const TIMEOUT = '2';

// ubus carries messages of at most 1 MiB, and an object there takes up to twice the room of its JSON.
const MOST = 256 * 1024;

// Written and removed within one call; only root writes in /var/run, and rpcd serves one call at a time.
const DRAFT = '/var/run/dmevpn.check';

// A section's name as the configuration allows it, an address with or without a VNI, a MAC, and a file that `check` may
// quote from.
const NAME = /^[A-Za-z0-9_]{1,32}$/;
const PEER = /^[0-9A-Fa-f.:]{2,39}(,[0-9]{1,8})?$/;
const MAC = /^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/;
const CONFIG = /^\/etc\/config\/[A-Za-z0-9_-]+$/;

function quoted(word) {
	return "'" + replace(word, "'", "'\\''") + "'";
}

function failure(text, code) {
	return { error: text, code };
}

// The rows up to MOST octets of `{"macs":[{..},{..},..]}`, which holds flat objects and arrays of strings only.
function shortened(text) {
	const end = rindex(text, '},{');

	return end < 0 ? null : substr(text, 0, end) + '}],"truncated":true}';
}

function parsed(text) {
	try {
		return json(text);
	} catch (e) {
		return null;
	}
}

function run(...words) {
	if (!access(PROGRAM, 'x'))
		return failure(`${PROGRAM} is missing or may not be executed`, 127);

	const process = popen(join(' ', map([ PROGRAM, ...words ], quoted)) + ' 2>/dev/null', 'r');

	if (!process)
		return failure(`${PROGRAM} cannot be started`, 127);

	const whole = process.read(MOST) ?? '';
	const more = length(whole) == MOST && length(process.read(1));
	const code = process.close();
	const answer = parsed(more ? shortened(whole) : whole);

	if (type(answer) != 'object')
		return failure(`${PROGRAM} ${words[0]} did not answer with JSON (exit code ${code})`, code);

	return answer;
}

function ask(command, ...words) {
	return run(command, ...words, '--json', '--timeout', TIMEOUT);
}

// The arguments that are given, or an answer that says which one is wrong: the command line takes nothing else.
function wrong(vn, mac) {
	if (length(vn) && !match(vn, NAME))
		return failure(`'${vn}' is not the name of a VN`, 2);

	if (length(mac) && !match(mac, MAC))
		return failure(`'${mac}' is not a MAC address such as 52:54:00:00:00:0b`, 2);

	if (length(mac) && !length(vn))
		return failure('a MAC address needs its VN', 2);

	return null;
}

function given(...values) {
	return filter(values, (value) => length(value));
}

function list(command, vn) {
	return wrong(vn) ?? ask(command, ...given(vn));
}

function events(after) {
	const number = int(after ?? 0);

	if (!(number >= 0))
		return failure(`'${after}' is not the number of an event`, 2);

	return ask('events', '--after', '' + number);
}

function flush(vn, mac) {
	return wrong(vn, mac) ?? ask('flush', ...given(vn, mac));
}

function drain(vn, off) {
	if (!length(vn))
		return failure('drain needs a VN', 2);

	return wrong(vn) ?? ask('drain', vn, ...(off ? [ '--off' ] : []));
}

function remove(vn, peer) {
	if (!match(peer ?? '', PEER))
		return failure(`'${peer}' is not an address such as 10.0.0.2, or one with a VNI such as 10.0.0.2,100`, 2);

	return wrong(vn) ?? ask('peers', ...given(vn), '--remove', peer);
}

function resolve(vn, mac) {
	if (!length(vn) || !length(mac))
		return failure('resolve needs a VN and a MAC address', 2);

	return wrong(vn, mac) ?? ask('resolve', vn, mac);
}

// Text that is not in a file yet, such as what a page is about to save.
function check_text(text) {
	const draft = open(DRAFT, 'w', 0600);

	if (!draft)
		return failure(`${DRAFT} cannot be written`, 1);

	draft.write(text);
	draft.close();

	const answer = run('check', DRAFT, '--json');

	unlink(DRAFT);

	return answer;
}

function check(file, text) {
	if (length(text))
		return check_text(text);

	if (!length(file))
		return run('check', '--json');

	if (!match(file, CONFIG))
		return failure(`'${file}' is not a file in /etc/config`, 2);

	return run('check', file, '--json');
}

const methods = {
	status: {
		call: (request) => ask('status')
	},

	macs: {
		args: { vn: 'lan' },
		call: (request) => list('macs', request.args.vn)
	},

	peers: {
		args: { vn: 'lan' },
		call: (request) => list('peers', request.args.vn)
	},

	paths: {
		args: { vn: 'lan' },
		call: (request) => list('paths', request.args.vn)
	},

	events: {
		args: { after: 0 },
		call: (request) => events(request.args.after)
	},

	flush: {
		args: { vn: 'lan', mac: '52:54:00:00:00:0b' },
		call: (request) => flush(request.args.vn, request.args.mac)
	},

	drain: {
		args: { vn: 'lan', off: false },
		call: (request) => drain(request.args.vn, request.args.off)
	},

	remove: {
		args: { vn: 'lan', peer: '10.0.0.2,100' },
		call: (request) => remove(request.args.vn, request.args.peer)
	},

	resolve: {
		args: { vn: 'lan', mac: '52:54:00:00:00:0b' },
		call: (request) => resolve(request.args.vn, request.args.mac)
	},

	reload: {
		call: (request) => ask('reload')
	},

	doctor: {
		call: (request) => ask('doctor')
	},

	check: {
		args: { file: '/etc/config/dmevpn', text: 'config dmevpn' },
		call: (request) => check(request.args.file, request.args.text)
	}
};

return { dmevpn: methods };
