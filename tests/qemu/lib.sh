# What scenes use. It runs in the guest, by whatever sh is there: POSIX, and busybox beside it.

files=/tmp/scene
mkdir -p $files
failed=0

# --- results ---

pass() { echo "PASS $*"; }
fail() { echo "FAIL $*"; failed=$((failed + 1)); }
note() { echo "NOTE $*"; }

# check WHAT COMMAND...: whether the command succeeds.
check() {
    what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what"; fi
}

# The scene is over. What the daemons said is of interest when something failed.
results() {
    if [ "$failed" != 0 ]; then
        for log in "$files"/*.log; do
            echo "--- $log"
            tail -n 25 "$log"
        done
    fi
    # The exit code only tells that the scene came to its end: the FAIL lines count.
    exit 0
}

# --- time ---

# soon SECONDS COMMAND...: tries again and again until the command succeeds, or for so long.
soon() {
    end=$(($(now) + $1))
    shift
    until "$@"; do
        [ "$(now)" -lt $end ] || return 1
        busybox sleep 0.2
    done
}

now() { busybox cut -d. -f1 /proc/uptime; }

# --- the network ---

# A switch between all routers.
underlay() {
    ip netns add wan
    ip -n wan link add wan type bridge mcast_snooping 0
    ip -n wan link set wan up
}

# Runs a command in a namespace.
in_ns() { ns=$1; shift; ip netns exec "$ns" "$@"; }

# router NAME ADDRESS/LENGTH...: a namespace whose eth1 is on the underlay.
router() {
    name=$1
    shift
    quiet_ns "$name"
    ip -n wan link add "$name" type veth peer name eth1 netns "$name"
    ip -n wan link set "$name" master wan up
    ip -n "$name" link set eth1 up
    for address in "$@"; do ip -n "$name" addr add "$address" dev eth1 nodad 2>/dev/null || ip -n "$name" addr add "$address" dev eth1; done
}

# A namespace where nothing configures itself or chatters.
quiet_ns() {
    ip netns add "$1"
    for of in all default; do
        for setting in accept_ra=0 accept_dad=0 addr_gen_mode=1; do
            in_ns "$1" sh -c "echo ${setting#*=} >/proc/sys/net/ipv6/conf/$of/${setting%=*}" 2>/dev/null
        done
    done
    ip -n "$1" link set lo up
}

# host NAME ROUTER BRIDGE PORT MAC ADDRESS/LENGTH: a host behind a bridge of a router, which calls its port PORT.
host() {
    quiet_ns "$1"
    ip -n "$2" link add "$4" type veth peer name eth0 address "$5" netns "$1"
    ip -n "$2" link set "$4" master "$3" up
    ip -n "$1" link set eth0 up
    ip -n "$1" addr add "$6" dev eth0
}

# --- the daemon ---

# configure NODE <<END: its configuration; where the daemon keeps things is added.
configure() {
    { echo "config dmevpn 'main'
	option log_level 'debug'
	option state_file '$files/$1.state'
	option socket '$files/$1.sock'"
        cat
    } >"$files/$1.uci"
}

start() {
    for node in "$@"; do
        ip netns exec "$node" "$DMEVPN" daemon --config "$files/$node.uci" >>"$files/$node.log" 2>&1 &
        echo $! >"$files/$node.pid"
    done
}

# What the daemon of a node says to a command.
ask() { node=$1; shift; "$DMEVPN" "$@" --socket "$files/$node.sock"; }

# said NODE TEXT: whether its daemon logged that.
said() { grep -q -- "$2" "$files/$1.log"; }

registered() { ask "$1" status 2>/dev/null | grep -q 'registered for'; }

# --- what can be seen ---

# ping HOST ADDRESS [COUNT]: whether all were answered.
ping() { [ "$(pinged "$1" "$2" "${3:-1}")" = "${3:-1}" ]; }

# How many were answered.
pinged() { in_ns "$1" busybox ping -i 0.1 -W 2 -c "$3" "$2" 2>/dev/null | sed -n 's/.*, \([0-9]*\) packets received.*/\1/p'; }

# entry NODE DEVICE MAC: its forwarding entry in the VXLAN device.
entry() { bridge -n "$1" fdb show dev "$2" | grep "^$3 dst"; }

# leads NODE DEVICE MAC ADDRESS VNI OWN-VNI: whether the kernel sends frames for the MAC there.
leads() {
    if [ "$5" = "$6" ]; then
        entry "$1" "$2" "$3" | grep -v ' vni ' | grep -q "dst $4 "
    else
        entry "$1" "$2" "$3" | grep -q "dst $4 vni $5 "
    fi
}

# How many VXLAN packets a router received: nothing else there is UDP, and the kernel counts these too.
vxlan_received() { in_ns "$1" cat /proc/net/snmp | awk '/^Udp:/ { n = $2 } END { print n }'; }
