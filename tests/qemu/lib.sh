# What scenes use. It runs in the guest, by whatever sh is there: POSIX, and busybox beside it.

files=/tmp/scene
mkdir -p $files
failed=0

# --- results ---

pass() { echo "PASS $* [$(now) s]"; }
fail() { echo "FAIL $* [$(now) s]"; failed=$((failed + 1)); false; }
note() { echo "NOTE $*"; }

# check WHAT COMMAND...: whether the command succeeds.
check() {
    what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what"; fi
}

# why LOG: what went wrong, when something did.
why() { { grep -E "^ *- |^FAIL|FAILED|panicked" "$1"; tail -n 30 "$1"; } | sed "s/^/    /"; }

# The scene is over. What the daemons said is of interest when something failed.
results() {
    if [ "$failed" != 0 ]; then
        for log in "$files"/*.log; do
            echo "--- $log"
            tail -n 25 "$log" | sed "s/^/    /"
        done
    fi
    # The exit code only tells that the scene came to its end: the FAIL lines count.
    exit 0
}

# --- time ---

# soon SECONDS COMMAND...: tries again and again until the command succeeds, or for so long.
soon() {
    end=$(($(now) + $1 * PATIENCE))
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
    ip -n wan -batch - <<END
link add wan type bridge mcast_snooping 0
link set wan up
END
}

# Runs a command in a namespace.
in_ns() { ns=$1; shift; ip netns exec "$ns" "$@"; }

# router NAME ADDRESS/LENGTH...: a namespace whose eth1 is on the underlay.
router() {
    name=$1
    shift
    quiet_ns "$name"
    ip -n wan -batch - <<END
link add $name type veth peer name eth1 netns $name
link set $name master wan up
END
    {
        echo "link set eth1 up"
        for address in "$@"; do echo "addr add $address dev eth1"; done
    } | ip -n "$name" -batch -
}

# A namespace where nothing configures itself or chatters.
quiet_ns() {
    ip netns add "$1"
    in_ns "$1" sh -c 'ip link set lo up
        for of in all default; do
            cd /proc/sys/net/ipv6/conf/$of && echo 0 >accept_ra && echo 0 >accept_dad && echo 1 >addr_gen_mode
        done'
}

# host NAME ROUTER BRIDGE PORT MAC ADDRESS/LENGTH: a host behind a bridge of a router, which calls its port PORT.
host() {
    quiet_ns "$1"
    ip -n "$2" -batch - <<END
link add $4 type veth peer name eth0 address $5 netns $1
link set $4 master $3 up
END
    ip -n "$1" -batch - <<END
link set eth0 up
addr add $6 dev eth0
END
}

# --- the daemon ---

# configure NODE <<END: its configuration; where the daemon keeps things is added.
configure() {
    { echo "config dmevpn 'main'
	option log_level '${log_level:-debug}'
	option state_file '$files/$1.state'
	option socket '$files/$1.sock'"
        cat
    } >"$files/$1.uci"
}

# A system call that the daemon's filter does not know ends it.
export DMEVPN_SECCOMP=kill
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

registered() { ask "$1" status 2>/dev/null | grep -q ', registered for'; }

# Ends all daemons.
stop() {
    for pid in "$files"/*.pid; do kill "$(cat "$pid")"; rm "$pid"; done
    wait
}

# --- the picture: vm1 11.0.0.10 -- spoke1 (VNI 100) -- hub -- spoke2 (VNI 101), 11.0.0.11 on its bridge ---

vm1=52:54:00:00:00:0a
bridge2=52:54:00:00:00:0b

# picture [hosts]: its routers and hosts, underlay addresses of both families. No bridge on the hub.
picture() {
    underlay
    router hub 10.0.0.1/24 fd00::1/64
    router spoke1 10.0.0.2/24 fd00::2/64
    router spoke2 10.0.0.3/24 fd00::3/64
    site spoke1 52:54:00:00:10:01
    site spoke2 $bridge2
    host vm1 spoke1 br-test eth2 $vm1 11.0.0.10/24
    ip -n spoke2 addr add 11.0.0.11/24 dev br-test
}

site() {
    ip -n "$1" -batch - <<END
link add br-test address $2 type bridge mcast_snooping 0
link set br-test up
END
}

# Takes the picture down, the daemons first.
clear_picture() {
    stop
    for ns in vm1 spoke1 spoke2 hub wan; do ip netns del $ns; done
}

# gre NODE REMOTE LOCAL ADDRESS [OPTION...]: its kernel GRE device tunnel1, which carries NHRP.
gre() {
    node=$1 remote=$2 local=$3 address=$4 kind=gre
    shift 4
    case $local in *:*) kind=ip6gre ;; esac
    ip -n "$node" -batch - <<END
link add tunnel1 type $kind remote $remote local $local $*
addr add $address dev tunnel1
link set tunnel1 up
END
}

# Options for the configuration's main section.
by_device="	option interface 'eth1'
	option transport 'device'
	option device 'tunnel1'"
by_raw="	option interface 'eth1'"

# hub_is MAIN-OPTIONS [VN-OPTIONS]
hub_is() {
    configure hub <<END
$1
config vn 'test'
	option vpn_id '1'
	option role 'hub'
	option bridge 'br-test'
${2-}
END
}

# spoke_is NUMBER MAIN-OPTIONS HUB-ADDRESS [HUB-OPTIONS [VN-OPTIONS]]
spoke_is() {
    configure "spoke$1" <<END
$2
config hub 'hub'
	option address '$3'
${4-}
config vn 'test'
	option vpn_id '1'
	option role 'spoke'
	option bridge 'br-test'
	option vxlan 'tunnel2'
	option vni '$((99 + $1))'
${5-}
END
}

# becomes_direct SPOKE1-ADDRESS SPOKE2-ADDRESS [SECONDS]: starts the daemons, and vm1 reaches 11.0.0.11 without the hub.
becomes_direct() {
    start hub spoke1 spoke2
    check "spoke1 registers" soon "${3:-10}" registered spoke1
    check "spoke2 registers" soon "${3:-10}" registered spoke2
    check "vm1 reaches 11.0.0.11" soon "${3:-10}" ping vm1 11.0.0.11
    check "spoke1's kernel has the shortcut to spoke2" soon "${3:-10}" leads spoke1 tunnel2 $bridge2 "$2" 101 100
    check "spoke2's kernel has the shortcut to vm1" soon "${3:-10}" leads spoke2 tunnel2 $vm1 "$1" 100 101
    stays_direct "$1"
}

# stays_direct ADDRESS: pings more, all of them past the hub. The address tells the underlay's family.
stays_direct() {
    hub_before=$(forwarded) spoke_before=$(vxlan_received spoke2 "$1")
    check "20 more pings, all answered" ping vm1 11.0.0.11 20
    at_hub=$(($(forwarded) - hub_before))
    at_spoke=$(($(vxlan_received spoke2 "$1") - spoke_before))
    # What hosts say to all goes by the hub.
    check "their VXLAN packets come to spoke2 ($at_spoke) and not by the hub ($at_hub)" \
        [ $at_hub -lt 10 -a $at_spoke -ge 20 ]
}

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

# How many frames the hub's ports sent. Its answers to probes do not go by them.
forwarded() { in_ns hub sh -c 'cat /sys/class/net/dmevpn*/statistics/tx_packets' | awk '{ n += $1 } END { print n + 0 }'; }

# vxlan_received NODE ADDRESS: how many VXLAN packets it received over the address's family: nothing else there is UDP.
vxlan_received() {
    case $2 in
        *:*) in_ns "$1" awk '$1 == "Udp6InDatagrams" { print $2 }' /proc/net/snmp6 ;;
        *) in_ns "$1" awk '/^Udp:/ { n = $2 } END { print n }' /proc/net/snmp ;;
    esac
}
