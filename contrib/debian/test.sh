#!/usr/bin/env bash
# contrib/debian/test.sh FILE.deb: the life of a package on a fresh Debian 12: installed, run, installed again, removed,
# purged. Needs root, debootstrap and iproute2; the base system is kept in $DMEVPN_CACHE (default: ~/.cache/dmevpn).
#
# There is no systemd here: what the unit sets up is done by hand, as user dmevpn with the unit's command and capabilities.
set -euo pipefail
deb=$(realpath "$1")
unit=$(dirname "$(realpath "$0")")/../systemd/dmevpn.service
base=${DMEVPN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dmevpn}/bookworm
root=$(mktemp -d /tmp/dmevpn-deb-XXXXXX)
ns=dmevpn-deb-$$
failed=0

main() {
    trap clean EXIT
    [ -e "$base/done" ] || { rm -rf "$base"; debootstrap --variant=minbase --include=adduser bookworm "$base" >/dev/null; touch "$base/done"; }
    cp -a "$base/." "$root"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    cp "$deb" "$root/dmevpn.deb"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"
    network

    check "the unit is sandboxed: an exposure of 2.0 at most" \
        eval "systemd-analyze security --offline=true --threshold=20 --no-pager \"\$unit\" >/dev/null"
    check "it installs" inside "$ns-hub" dpkg -i /dmevpn.deb
    check "the user is there, without a shell" inside "$ns-hub" sh -c 'getent passwd dmevpn | grep -q "^dmevpn:.*:/usr/sbin/nologin$"'
    check "the delivered configuration is right" inside "$ns-hub" dmevpn check /etc/dmevpn/dmevpn.conf
    check "root writes it, and the daemon alone reads it" conf_is "640 root:dmevpn"
    check "it does nothing yet, and that is no failure" eval "(service hub)"
    check "the unit is enabled" test -L "$root/etc/systemd/system/multi-user.target.wants/dmevpn.service"
    check "manual and completion are there" test -s "$root/usr/share/man/man8/dmevpn.8.gz" \
        -a -s "$root/usr/share/man/man5/dmevpn.conf.5.gz" -a -s "$root/usr/share/bash-completion/completions/dmevpn"

    configure
    service hub & hub=$!
    service spoke & spoke=$!
    check "a spoke registers with a hub" soon says spoke 'registered'
    check "the hub is confined, and not root" says hub '"user": *"dmevpn".*"confined": *true'
    check "its capabilities are those two" [ "$(awk '/^CapEff/ { print $2 }' "/proc/$hub/status")" = 0000000000003000 ]
    check "the state is kept" test -s "$root/var/lib/dmevpn/state"

    check "it is installed over itself" inside "$ns-hub" dpkg -i /dmevpn.deb
    check "what was configured is still there" grep -q "role 'hub'" "$root/etc/dmevpn/dmevpn.conf"
    check "the daemon can still read it" conf_is "640 root:dmevpn"
    chroot "$root" sh -c 'chgrp root /etc/dmevpn/dmevpn.conf && chmod 600 /etc/dmevpn/dmevpn.conf'
    check "it is installed once more" inside "$ns-hub" dpkg -i /dmevpn.deb
    check "what root alone could read has the group again" conf_is "640 root:dmevpn"
    chroot "$root" sh -c 'chgrp adm /etc/dmevpn/dmevpn.conf'
    check "and once more" inside "$ns-hub" dpkg -i /dmevpn.deb
    check "a group of the owner's choice stays" conf_is "640 root:adm"
    keys
    check "a key that all may read is warned of" grep -q "chgrp dmevpn" "$root/tmp/check"
    check "what the warning says does not stop the daemon" eval "advised && chroot \$root dmevpn reload"
    check "and nothing is left to warn of" eval "warned && ! grep -q chgrp \$root/tmp/check"
    kill -USR1 $hub && wait $hub
    check "a handed-over hub leaves its ports" ports
    service hub & hub=$!
    check "and is back" soon says hub '"spokes": *1'

    kill $hub $spoke && wait $hub $spoke
    rm "$root/etc/dmevpn/secret"
    check "it is removed" inside "$ns-hub" dpkg -r dmevpn
    check "no device of the hub is left" ! ports
    check "the configuration is left" test -s "$root/etc/dmevpn/dmevpn.conf"
    check "it is purged" inside "$ns-hub" dpkg -P dmevpn
    check "nothing is left" [ -z "$(find "$root"/{etc,usr,var/lib} -name '*dmevpn*')" ]
    echo "$failed failed"
    [ $failed = 0 ]
}

network() {
    ip netns add "$ns-hub"
    ip netns add "$ns-spoke"
    ip -n "$ns-hub" link add eth0 type veth peer name eth0 netns "$ns-spoke"
    local of address=1
    for of in hub spoke; do
        ip -n "$ns-$of" link set lo up
        ip -n "$ns-$of" link set eth0 up
        ip -n "$ns-$of" addr add "10.0.0.$address/24" dev eth0
        address=$((address + 1))
    done
    ip -n "$ns-spoke" link add br0 type bridge
    ip -n "$ns-spoke" link set br0 up
}

configure() {
    cat >"$root/etc/dmevpn/dmevpn.conf" <<-END
	config dmevpn 'main'
	    option interface 'eth0'
	    option state_file '/var/lib/dmevpn/state'
	config vn 'test'
	    option vpn_id '1'
	    option role 'hub'
	END
    cat >"$root/tmp/spoke.conf" <<-END
	config dmevpn 'main'
	    option socket '/run/dmevpn/private/spoke.sock'
	    option state_file '/var/lib/dmevpn/spoke'
	config hub 'hub'
	    option address '10.0.0.1'
	config vn 'test'
	    option vpn_id '1'
	    option role 'spoke'
	    option vni '100'
	    option bridge 'br0'
	    option hub 'hub'
	END
}

conf_is() { [ "$(chroot "$root" stat -c '%a %U:%G' /etc/dmevpn/dmevpn.conf)" = "$1" ]; }

# A key in the configuration, and one in a file of its own, which all may read.
keys() {
    chroot "$root" sh -c 'chgrp root /etc/dmevpn/dmevpn.conf && umask 022 && dmevpn key new one --config /etc/dmevpn/dmevpn.conf >/tmp/key && cat /tmp/key >>/etc/dmevpn/dmevpn.conf &&
        chmod 644 /etc/dmevpn/dmevpn.conf && echo 0f1e2d3c4b5a69788796a5b4c3d2e1f0 >/etc/dmevpn/secret &&
        printf "config key two\n option spi 400\n option secret_file /etc/dmevpn/secret\n" >>/etc/dmevpn/dmevpn.conf'
    warned
}
warned() { chroot "$root" dmevpn check /etc/dmevpn/dmevpn.conf >"$root/tmp/check" 2>&1; }
# Does what it is told.
advised() {
    sed -n "s/.*may read '[^']*': \(chgrp .*\), or chmod.*/\1/p" "$root/tmp/check" >"$root/tmp/advice"
    [ "$(wc -l <"$root/tmp/advice")" = 2 ] && chroot "$root" sh -e /tmp/advice
}

# inside NETNS COMMAND...: on the Debian of the test.
inside() {
    local in=$1
    shift
    DEBIAN_FRONTEND=noninteractive ip netns exec "$in" chroot "$root" "$@" >"$root/tmp/said" 2>&1 || { cat "$root/tmp/said"; return 1; }
}

# The unit's command, as systemd would start it; becomes the daemon.
service() {
    local capabilities=+net_admin,+net_raw command
    command=$(sed -n 's/^ExecStart=//p' "$unit")
    [ "$1" = hub ] || command=${command/\/etc\/dmevpn\/dmevpn.conf//tmp/$1.conf}
    chroot "$root" install -d -o dmevpn -m 755 /run/dmevpn/private
    chroot "$root" install -d -o dmevpn -m 700 /var/lib/dmevpn
    # shellcheck disable=SC2086
    exec env DMEVPN_SECCOMP=kill ip netns exec "$ns-$1" chroot "$root" setpriv --reuid dmevpn --regid dmevpn --clear-groups --no-new-privs \
        --inh-caps "-all,$capabilities" --ambient-caps "-all,$capabilities" --bounding-set "-all,$capabilities" $command >>"$root/tmp/$1.log" 2>&1
}

says() {
    local socket=control
    [ "$1" = hub ] || socket=spoke
    chroot "$root" dmevpn status --json --socket "/run/dmevpn/private/$socket.sock" 2>&1 | tr -d '\n' | grep -q -- "$2"
}

ports() { ip -n "$ns-hub" -br link | grep -q '^dmevpn'; }

soon() {
    local end=$((SECONDS + 30))
    until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done
}

check() {
    local what=$1 is_not='' holds=''
    shift
    [ "$1" != ! ] || { is_not=1; shift; }
    if "$@"; then holds=1; fi
    if [ "$holds" != "$is_not" ]; then echo "PASS $what"; return; fi
    echo "FAIL $what"
    failed=$((failed + 1))
    tail -n 5 "$root"/tmp/*.log 2>/dev/null || true
}

clean() {
    # shellcheck disable=SC2046
    kill -9 $(jobs -p) 2>/dev/null || true
    ip netns del "$ns-hub" 2>/dev/null || true
    ip netns del "$ns-spoke" 2>/dev/null || true
    umount "$root/proc" "$root/dev" 2>/dev/null || true
    # Never across a mount.
    rm -rf --one-file-system "$root"
}

main "$@"
