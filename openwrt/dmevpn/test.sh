#!/bin/sh
# $1 is the package, $2 its version.
set -e

[ "$1" = dmevpn ] || exit 0

dmevpn version | grep "^dmevpn $2 "
dmevpn --help | grep Commands

# The delivered configuration has no errors.
dmevpn check /etc/config/dmevpn | grep 'no errors'

# A wrong one is refused, and it says where.
out=/tmp/dmevpn-test
printf "config vn 'lan'\n\toption vpn_id 'many'\n" > "$out.config"
rc=0
dmevpn check "$out.config" > "$out.log" 2>&1 || rc=$?
if [ "$rc" != 4 ]; then
	echo "a wrong configuration was accepted: $rc"
	cat "$out.log"
	exit 1
fi
grep "^$out.config:2: .*vpn_id" "$out.log"

# Without a daemon the commands say so, and do not wait for one.
rc=0
timeout 20 dmevpn status --socket "$out.socket" > "$out.log" 2>&1 || rc=$?
if [ "$rc" != 3 ]; then
	echo "status without a daemon ended with $rc"
	cat "$out.log"
	exit 1
fi
grep 'no daemon answers' "$out.log"

rm -f "$out.config" "$out.log"
