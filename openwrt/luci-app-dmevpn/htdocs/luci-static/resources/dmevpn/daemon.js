'use strict';
'require baseclass';
'require rpc';

// The ubus object `dmevpn`. What these functions promise is always an object: the daemon's answer, or one with `error`,
// a sentence, and `kind`:
//   denied   this user may not ask
//   down     the daemon does not run, or does not answer
//   refused  the daemon says no
//   lost     nothing came back from the router

const KINDS = {
	2: 'refused',
	3: 'down',
	4: 'refused'
};

const UBUS_NOT_FOUND = 4;
const UBUS_DENIED = 6;
const UBUS_TIMEOUT = 7;

function failure(kind, text) {
	return { error: text, kind: kind };
}

function understood(answer) {
	if (L.isObject(answer)) {
		if (answer.error == null)
			return answer;

		return Object.assign({}, answer, { kind: KINDS[answer.code] || 'refused' });
	}

	switch (answer) {
	case UBUS_DENIED:
		return failure('denied', _('You have no right to ask the daemon.'));

	case UBUS_NOT_FOUND:
		return failure('down', _('The part that asks the daemon is not loaded. Restart the service rpcd, or the router.'));

	case UBUS_TIMEOUT:
		return failure('down', _('The router was too busy to ask the daemon.'));
	}

	return failure('lost', _('The router gave no answer that this page understands.'));
}

function failed(e) {
	const text = String(e.message || e);

	if (text.indexOf('-32002') >= 0)
		return failure('denied', _('You have no right to ask the daemon.'));

	if (text.indexOf('-32000') >= 0)
		return understood(UBUS_NOT_FOUND);

	return failure('lost', _('The router does not answer this page: %s').format(text));
}

function method(name, params) {
	const call = rpc.declare({ object: 'dmevpn', method: name, params: params || [] });

	return function() {
		return call.apply(null, arguments).then(understood, failed);
	};
}

return baseclass.extend({
	status: method('status'),
	macs: method('macs', [ 'vn' ]),
	peers: method('peers', [ 'vn' ]),
	paths: method('paths', [ 'vn' ]),
	events: method('events', [ 'after' ]),
	drain: method('drain', [ 'vn', 'off' ]),
	flush: method('flush', [ 'vn', 'mac' ]),
	remove: method('remove', [ 'vn', 'peer' ]),
	resolve: method('resolve', [ 'vn', 'mac' ]),
	reload: method('reload'),
	doctor: method('doctor'),
	check: method('check', [ 'file', 'text' ])
});
