# Boots unpacked root file systems of OpenWrt with procd as PID 1, each in namespaces of its own, on one underlay.
# For those who source it. They set `work` (a directory that is theirs) and `tag` (a prefix for network namespaces).
# A guest has eth1 (wan) on the underlay, and a bridge `br-test` with a host of its own behind it.
# shellcheck shell=bash
# shellcheck disable=SC2154 # work and tag are the caller's

on_underlay() { ip netns exec "$tag-wan" "$@"; }
on_host() { ip netns exec "$tag-$1-host" "${@:2}"; }

# The underlay: 10.99.0.0/24 with a DHCP server.
underlay_up() {
    ip netns add "$tag-wan"
    ip -n "$tag-wan" link set lo up
    ip -n "$tag-wan" link add wan type bridge mcast_snooping 0
    ip -n "$tag-wan" addr add 10.99.0.254/24 dev wan
    ip -n "$tag-wan" link set wan up
    : >"$work/leases.fixed"
    on_underlay dnsmasq --keep-in-foreground --user=root --conf-file=/dev/null --port=0 --interface=wan --bind-interfaces \
        --dhcp-range=10.99.0.100,10.99.0.199,2m --dhcp-hostsfile="$work/leases.fixed" --dhcp-leasefile="$work/leases" \
        --dhcp-authoritative --dhcp-option=3,10.99.0.254 --pid-file="$work/dnsmasq.pid" >"$work/dnsmasq.log" 2>&1 &
}

# From now on the guest $1 gets the address $2, and asks at once.
lease() {
    echo "$(ip -n "$tag-$1" -br link show eth1 | awk '{print $3}'),$2" >"$work/leases.fixed"
    kill -HUP "$(cat "$work/dnsmasq.pid")"
    # shellcheck disable=SC2016
    inside "$1" 'kill -USR1 $(pidof udhcpc)'
}

# guest NAME ROOT dhcp|ADDRESS: a copy of ROOT, booted.
guest() {
    local root="$work/$1/root"
    mkdir -p "$work/$1"
    cp -a --reflink=auto "$2" "$root"
    mkdir -p "$root"/{proc,sys,dev,tmp,overlay,mnt}
    # What would reach beyond the guest: the clock, kernel modules, the kernel's settings, consoles.
    rm -f "$root"/etc/rc.d/*{sysfixtime,sysntpd,urngd,urandom_seed,packet_steering,led,gpio_switch,cron}
    rm -f "$root"/etc/modules{,-boot}.d/*
    sed -i '/^kernel\.\|^fs\.\|^vm\./d' "$root"/etc/sysctl.d/*.conf
    sed -i '/^tty\|^hvc\|askconsole/d' "$root/etc/inittab"
    {
        printf "config interface 'loopback'\n\toption device 'lo'\n\toption proto 'static'\n\tlist ipaddr '127.0.0.1/8'\n"
        printf "config interface 'lan'\n\toption device 'eth0'\n\toption proto 'static'\n\tlist ipaddr '192.168.1.1/24'\n"
        printf "config interface 'wan'\n\toption device 'eth1'\n"
        if [ "$3" = dhcp ]; then printf "\toption proto 'dhcp'\n"
        else printf "\toption proto 'static'\n\tlist ipaddr '%s'\n\toption gateway '10.99.0.254'\n" "$3"; fi
    } >"$root/etc/config/network"
    printf '{"model":{"id":"guest","name":"guest"},"network":{},"system":{}}\n' >"$root/etc/board.json"
    printf '#!/bin/sh /etc/rc.common\nSTART=99\nboot() { touch /tmp/.booted; }\n' >"$root/etc/init.d/zz-booted"
    chmod +x "$root/etc/init.d/zz-booted"
    ln -s ../init.d/zz-booted "$root/etc/rc.d/S99zz-booted"
    cat >"$root/.enter" <<'END'
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 dev /dev
for d in null zero full random urandom tty; do : >/dev/$d; mount --bind /.host/dev/$d /dev/$d; done
mkdir /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
: >/dev/console
: >/dev/kmsg
for d in /proc/sys/kernel /proc/sys/vm /proc/sys/fs; do mount --bind $d $d; mount -o remount,bind,ro $d; done
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p /tmp/run /tmp/log /tmp/lock /tmp/state /tmp/etc /tmp/sysinfo /tmp/.uci
chmod 0700 /tmp/.uci
echo guest >/tmp/sysinfo/board_name
echo guest >/tmp/sysinfo/model
exec </dev/null >/dev/console 2>&1
umount -l /.host
exec /sbin/procd
END
    boot "$1"
}

boot() {
    local ns="$tag-$1" root="$work/$1/root" id i
    id=$(printf %s "$1" | md5sum | sed 's/\(..\)\(..\).*/\1:\2/')
    ip netns add "$ns"
    ip netns add "$ns-host"
    ip -n "$ns" link set lo up
    ip -n "$tag-wan" link add "to-$1" type veth peer name eth1 address "02:99:00:$id:01" netns "$ns"
    ip -n "$tag-wan" link set "to-$1" master wan up
    ip -n "$ns" link add eth0 type veth peer name eth0 netns "$ns-host"
    for i in eth0 eth1; do ip -n "$ns" link set "$i" up; done
    # As on OpenWrt, where what a bridge forwards is not the firewall's.
    ip netns exec "$ns" sh -c 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done'
    # A mount of its own becomes /, as jails need it.
    # shellcheck disable=SC2016 # $0 is that shell's
    ip netns exec "$ns" setpriv --bounding-set -sys_time,-sys_module,-sys_rawio,-syslog --inh-caps -all \
        unshare --mount --pid --uts --ipc --fork --kill-child=KILL --mount-proc -- sh -ec '
            mount --make-rprivate /
            mount --bind "$0" "$0"
            cd "$0"
            mkdir -p .host
            pivot_root . .host
            exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh /.enter' "$root" </dev/null >"$work/$1/console" 2>&1 &
    echo $! >"$work/$1/unshare"
    for ((i = 0; i < 900; i++)); do
        pgrep -P "$(cat "$work/$1/unshare")" >"$work/$1/pid" || true
        [ ! -s "$work/$1/pid" ] || [ ! -e "/proc/$(cat "$work/$1/pid")/root/tmp/.booted" ] || break
        sleep 0.1
    done
    if [ "$i" = 900 ]; then
        echo "$1 does not boot: $(tail -n 5 "$work/$1/console")" >&2
        return 1
    fi
    # Now, and by hand: netifd takes away a bridge that it finds and does not know.
    ip -n "$ns" link add br-test type bridge mcast_snooping 0
    ip -n "$ns" link add host type veth peer name eth1 address "02:99:00:$id:02" netns "$ns-host"
    ip -n "$ns" link set host master br-test up
    ip -n "$ns" link set br-test up
    ip -n "$ns-host" addr add "$(cat "$work/$1/host")/24" dev eth1
    for i in lo eth0 eth1; do ip -n "$ns-host" link set "$i" up; done
}

# inside NAME COMMAND: by the guest's shell.
inside() {
    nsenter -t "$(cat "$work/$1/pid")" -m -u -i -n -p -C -r -w -- \
        /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=dumb sh -c "${*:2}"
}

# put NAME FILE PATH
put() {
    cp "$2" "/proc/$(cat "$work/$1/pid")/root$3"
}

# As when the plug is pulled: what is in /tmp is lost.
halt() {
    kill -KILL "$(cat "$work/$1/pid")" 2>/dev/null || true
    wait "$(cat "$work/$1/unshare")" 2>/dev/null || true
    # Not with the namespace, which goes when the kernel finds the time.
    ip -n "$tag-wan" link del "to-$1" 2>/dev/null || true
    ip netns del "$tag-$1-host" 2>/dev/null || true
    ip netns del "$tag-$1" 2>/dev/null || true
}

# All files of guest NAME that a reboot leaves, with mode, owner and content.
files_of() {
    (cd "$work/$1/root" && find . -xdev \( -type f -o -type l -o -type d \) ! -path './tmp/*' ! -path './dev/*' ! -path './proc/*' \
        ! -path './sys/*' ! -path './.*' -printf '%m %u:%g %p %l ' \( -type f -exec md5sum {} \; -o -printf '\n' \) | sort)
}

all_down() {
    local name
    for name in "$@"; do [ ! -e "$work/$name/pid" ] || halt "$name"; done
    [ ! -s "$work/dnsmasq.pid" ] || kill "$(cat "$work/dnsmasq.pid")" 2>/dev/null || true
    ip netns del "$tag-wan" 2>/dev/null || true
}
