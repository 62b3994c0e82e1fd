#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# External VXLAN devices that learn the VNI together with the address
# (module parameter learn_vni).
#
# Sites in namespaces reach one another through a hub, whose bridge has an
# external VXLAN device as its only port to them, in hairpin mode:
#
#     site1 (10.9.0.1) --+
#     site2 (10.9.0.2) --+-- underlay (10.9.0.254) -- vh -- lan   in "hub"
#     site3 (10.9.0.3) --+
#
# Or with IPv6, fd00:9::1 and so on.
#
# A site is a bridge "lan" (11.0.0.N, MAC 02:00:00:00:0N:01) with a VXLAN device
# "vx" as its port, which sends all to the hub.
#
# Needs root, bridge, veth, and vxlan with the parameter: stock vxlan fails here.

ksft_skip=4
ret=0
param=
underlay=10.9.0.
sites=(1 2 3 4)
log=$(mktemp)

log_test()
{
	local rc=$1 msg=$2

	if [ "$rc" -eq 0 ]; then
		printf "    TEST: %-60s  [ OK ]\n" "$msg"
	else
		printf "    TEST: %-60s  [FAIL]\n" "$msg"
		ret=1
	fi
}

# check MESSAGE COMMAND...; refuse: the command has to fail.
check()
{
	local msg=$1

	shift
	"$@" >/dev/null 2>&1
	log_test $? "$msg"
}

refuse()
{
	local msg=$1

	shift
	! "$@" >/dev/null 2>&1
	log_test $? "$msg"
}

ns()
{
	local name=vlv-$1

	shift
	case $1 in
	# Quicker: no mount namespace is made.
	ip|bridge) "$1" -n "$name" "${@:2}" ;;
	*) ip netns exec "$name" "$@" ;;
	esac
}

mac()
{
	printf "02:00:00:00:%02x:01" "$1"
}

learn_vni()
{
	[ -n "$param" ] && echo "$1" > "$param"
}

# wait_for COMMAND...: up to 3 s
wait_for()
{
	local i

	for i in {1..30}; do
		"$@" && return 0
		sleep 0.1
	done
	return 1
}

# address NAMESPACE DEVICE N
address()
{
	ns "$1" ip address add "10.9.0.$3/24" dev "$2"
	ns "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=0"
	ns "$1" ip address add "fd00:9::$3/64" dev "$2" nodad
}

setup()
{
	local i

	for i in hub "${sites[@]}"; do
		ip netns add "vlv-$i" || exit $ksft_skip
		# IPv6 only where an address is given: it sends on its own
		ns "$i" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
		ns "$i" ip link set lo up
	done
	ns hub ip link add underlay up type bridge mcast_snooping 0
	address hub underlay 254
	for i in "${sites[@]}"; do
		ns hub ip link add "u$i" up master underlay type veth peer name u netns "vlv-$i"
		address "$i" u "$i"
		ns "$i" ip link set u up
	done
}

cleanup()
{
	local i

	for i in hub "${sites[@]}"; do
		ip netns del "vlv-$i" 2>/dev/null
	done
	rm -f "$log"
}

# site N VNI [UPLINK_VNI [PORT]]: site N is reached by VNI, and sends with UPLINK_VNI.
site()
{
	local n=$1 vni=$2 uplink=${3:-$2} port=${4:-4789}

	ns "$n" ip link del lan 2>/dev/null
	ns "$n" ip link del vx 2>/dev/null
	ns "$n" ip link add lan address "$(mac "$n")" type bridge mcast_snooping 0
	ns "$n" ip link add vx master lan type vxlan id "$vni" dstport "$port" nolearning \
		local "$underlay$n"
	ns "$n" bridge fdb append 00:00:00:00:00:00 dev vx dst "${underlay}254" vni "$uplink"
	ns "$n" ip address add "11.0.0.$n/24" dev lan
	ns "$n" ip link set vx up
	ns "$n" ip link set lan up
}

# hub_device NAME BRIDGE PORT [OPTION...]
hub_device()
{
	local dev=$1 bridge=$2 port=$3

	shift 3
	ns hub ip link del "$dev" 2>/dev/null
	ns hub ip link del "$bridge" 2>/dev/null
	ns hub ip link add "$bridge" address 02:00:00:00:ff:01 type bridge mcast_snooping 0
	ns hub ip link add "$dev" master "$bridge" type vxlan external learning dstport "$port" \
		local "${underlay}254" "$@"
	ns hub bridge link set dev "$dev" hairpin on
	ns hub ip link set "$dev" up
	ns hub ip link set "$bridge" up
}

# flood DEVICE SITE VNI
flood()
{
	ns hub bridge fdb append 00:00:00:00:00:00 dev "$1" dst "$underlay$2" vni "$3"
}

# fdb SITE VNI SRC_VNI [MAC] [DEVICE]: the hub knows the MAC there.
fdb()
{
	local site=$1 vni=$2 src_vni=$3 mac=${4:-$(mac "$1")} dev=${5:-vh}

	ns hub bridge fdb show dev "$dev" |
		grep -q "^$mac dst $underlay$site vni $vni src_vni $src_vni "
}

# told SITE VNI SRC_VNI MAC: the hub's kernel announced it.
told()
{
	grep -q "^$4 dev vh dst $underlay$1 vni $2 src_vni $3 " "$log"
}

hears_something()
{
	ns hub bridge fdb add 02:00:00:00:99:99 dev lan self permanent
	ns hub bridge fdb del 02:00:00:00:99:99 dev lan self permanent
	sleep 0.2
	[ -s "$log" ]
}

reach()
{
	ns "$1" ping -q -c 2 -i 0.2 -W 2 "11.0.0.$2"
}

# Frames are counted by their size of 1000 octets: what neighbour discovery adds
# does not matter.
big=(ping -q -c 3 -i 0.2 -W 1 -s 1000)

octets()
{
	ns "$1" cat "/sys/class/net/${2:-vx}/statistics/rx_bytes" 2>/dev/null || echo 0
}

# broadcast SITE: sends three, and prints how many each site got, "0 3 3 0"
broadcast()
{
	local before=() got=() i

	for i in "${sites[@]}"; do
		before[i]=$(octets "$i")
	done
	ns "$1" "${big[@]}" -b 11.0.0.255 >/dev/null 2>&1
	sleep 1
	for i in "${sites[@]}"; do
		got+=($((($(octets "$i") - before[i]) / 1000)))
	done
	echo "${got[*]}"
}

# unicast SITE MAC TO: three frames for the MAC; prints how many arrived at site TO.
unicast()
{
	local before

	ns "$1" ip neigh replace 11.0.0.77 lladdr "$2" dev lan
	before=$(octets "$3")
	ns "$1" "${big[@]}" 11.0.0.77 >/dev/null 2>&1
	sleep 1
	echo $((($(octets "$3") - before) / 1000))
}

is()
{
	local msg=$1 want=$2 seen=$3

	[ "$want" = "$seen" ]
	log_test $? "$msg"
	[ "$want" = "$seen" ] || echo "          expected $want, got $seen"
}

learning()
{
	echo "Learning and sending"
	learn_vni 1
	hub_device vh lan 4789
	site 1 101
	site 2 102
	site 3 103
	flood vh 1 101
	flood vh 2 102
	flood vh 3 103
	ns hub ip address add 11.0.0.254/24 dev lan

	bridge -n vlv-hub monitor fdb > "$log" &
	local monitor=$!
	# It tells what happens once it listens.
	wait_for hears_something

	check "sites with different VNIs reach one another" reach 1 2
	check "VTEP and VNI are learned" fdb 1 101 101
	check "and announced" wait_for told 1 101 101 "$(mac 1)"
	check "frames of the hub itself are sent" ns hub ping -q -c 1 -W 2 11.0.0.2

	is "broadcasts go to all but where they come from" "0 3 3 0" "$(broadcast 1)"
	is "unknown unicast, too" "3 0" \
		"$(unicast 1 02:00:00:00:77:77 2) $(unicast 1 02:00:00:00:77:77 1)"

	# A MAC address behind site 1, of which site 1 does not know (any more)
	ns hub bridge fdb add 02:00:00:00:77:01 dev vh dst 10.9.0.1 vni 101 dynamic
	is "known unicast arrives" 3 "$(unicast 2 02:00:00:00:77:01 1)"
	is "but not where it comes from" 0 "$(unicast 1 02:00:00:00:77:01 1)"

	ns 1 ip link set lan address 02:00:00:00:88:88
	reach 1 3 >/dev/null
	ns 1 ip link set lan address "$(mac 1)"
	ns 2 ip link set lan address 02:00:00:00:88:88
	check "after a move to another VTEP" reach 2 3
	check "the new place is learned" fdb 2 102 102 02:00:00:00:88:88
	check "and announced" wait_for told 2 102 102 02:00:00:00:88:88
	site 2 202
	ns 2 ip link set lan address 02:00:00:00:88:88
	flood vh 2 202
	check "after a move to another VNI of a VTEP" reach 2 3
	check "the new place is learned" fdb 2 202 202 02:00:00:00:88:88
	check "and announced" wait_for told 2 202 202 02:00:00:00:88:88

	ns hub bridge fdb replace "$(mac 3)" dev vh dst 10.9.0.3 vni 103 src_vni 103 static
	site 3 103 104
	reach 3 1 >/dev/null
	is "a static entry stays" "dst 10.9.0.3 vni 103 src_vni 103 self static" \
		"$(ns hub bridge fdb show dev vh | sed -n "s/^$(mac 3) \(dst.*self.*\)/\1/p")"

	kill $monitor
	wait $monitor 2>/dev/null
}

translation()
{
	echo "Sites that are sent another VNI than they send"
	learn_vni 1
	hub_device vh lan 4789
	site 1 100 201
	site 2 100 202
	site 3 103
	flood vh 1 100
	flood vh 2 100

	check "they reach one another" reach 1 2
	check "the VNI of the flood list is learned" fdb 1 100 201
	is "broadcasts go to the flood list but for the origin" "0 3 0 0" "$(broadcast 1)"
	refuse "a VTEP that is not on the flood list is not heard" reach 3 1
	refuse "and nothing is learned from it" fdb 3 103 103
	flood vh 3 103
	check "until it is" wait_for reach 3 1
}

no_list()
{
	echo "Without a flood list"
	learn_vni 1
	hub_device vh lan 4789
	site 1 101
	broadcast 1 >/dev/null
	check "all are learned from, with the VNI they send" fdb 1 101 101
}

ipv6()
{
	echo "IPv6 underlay"
	learn_vni 1
	underlay=fd00:9::
	hub_device vh lan 4789
	site 1 101
	site 2 102
	site 3 100 203
	flood vh 1 101
	flood vh 2 102
	flood vh 3 100

	check "sites with different VNIs reach one another" reach 1 2
	check "VTEP and VNI are learned" fdb 1 101 101
	check "a site that is sent another VNI is reached" reach 3 1
	check "with the VNI of the flood list" fdb 3 100 203
	is "broadcasts go to all but where they come from" "0 3 3 0" "$(broadcast 1)"
	underlay=10.9.0.
}

# Two sites behind one VTEP: the underlay address of site 1, two VNIs.
one_vtep()
{
	echo "Two sites behind one VTEP"
	learn_vni 1
	hub_device vh lan 4789
	site 1 101
	site 2 102
	ns 1 ip link add lan2 address 02:00:00:00:0a:01 type bridge mcast_snooping 0
	ns 1 ip link add vx2 master lan2 type vxlan id 110 dstport 4789 nolearning
	ns 1 bridge fdb append 00:00:00:00:00:00 dev vx2 dst 10.9.0.254 vni 110
	ns 1 ip link set vx2 up
	ns 1 ip link set lan2 up
	flood vh 1 101
	flood vh 2 102
	flood vh 1 110

	local before
	before=$(octets 1 vx2)
	is "a broadcast of one does not return" "0 3 0 0" "$(broadcast 1)"
	is "and reaches the other" 3 $((($(octets 1 vx2) - before) / 1000))
	ns 1 ip link del vx2
	ns 1 ip link del lan2
}

# Two devices in the hub's bridge. To the second one, frames of the first are not
# its own ones that return, although they have the same VTEP and VNI.
two_devices()
{
	local before

	echo "Two devices in one bridge"
	learn_vni 1
	hub_device vh lan 4789
	hub_device vh2 lan2 4790
	ns hub ip link set vh2 master lan
	ns hub bridge link set dev vh2 hairpin on
	site 1 101
	site 2 102
	ns 1 ip link add lan2 address 02:00:00:00:0a:01 type bridge mcast_snooping 0
	ns 1 ip link add vx2 master lan2 type vxlan id 101 dstport 4790 nolearning
	ns 1 ip link set vx2 up
	ns 1 ip link set lan2 up
	flood vh 1 101
	flood vh 2 102
	flood vh2 1 101

	before=$(octets 1 vx2)
	is "a broadcast does not return by the first" "0 3 0 0" "$(broadcast 1)"
	is "and leaves by the second" 3 $((($(octets 1 vx2) - before) / 1000))
	ns 1 ip link del vx2
	ns 1 ip link del lan2
	ns hub ip link del vh2
	ns hub ip link del lan2
}

# A site on the hub itself: the way there is not short-circuited.
local_site()
{
	local before

	echo "A site on the hub"
	learn_vni 1
	hub_device vh lan 4789
	site 1 101
	flood vh 1 101
	ns hub bridge fdb append 00:00:00:00:00:00 dev vh dst "${underlay}254" \
		port 4790 vni 150
	ns hub ip link add vx up type vxlan id 150 dstport 4790

	before=$(octets hub)
	is "a broadcast does not return" "0 0 0 0" "$(broadcast 1)"
	is "and reaches the hub's site" 3 $((($(octets hub) - before) / 1000))
	ns hub ip link del vx
}

# Sites 1 and 2 in one network, 3 and 4 in another; 1 and 3 share a VNI.
# Before 5.18 (no vnifilter) each network needs its own UDP port.
two_networks()
{
	local i port=4789 options=(vnifilter)

	learn_vni 1
	hub_device vh lan 4789 vnifilter
	if ! ns hub ip -d link show dev vh | grep -q vnifilter; then
		port=4790
		options=()
		hub_device vh lan 4789
	fi
	hub_device vh2 lan2 $port "${options[@]}"
	if [ $port = 4789 ]; then
		echo "Two networks on one UDP port"
		for i in "vh 100" "vh 102" "vh2 203" "vh2 204"; do
			ns hub bridge vni add dev "${i% *}" vni "${i#* }"
		done
	else
		echo "Two networks, each with its UDP port (no vnifilter here)"
	fi
	site 1 100
	site 2 102
	site 3 100 203 $port
	site 4 204 204 $port
	flood vh 1 100
	flood vh 2 102
	flood vh2 3 100
	flood vh2 4 204

	check "within the first" reach 1 2
	check "within the second" reach 3 4
	refuse "not from the first to the second" reach 1 3
	check "learned in the first" fdb 1 100 100
	check "learned in the second" fdb 3 100 203 "$(mac 3)" vh2
	refuse "and not in the other one" fdb 3 100 203
	is "broadcasts stay in the first" "0 3 0 0" "$(broadcast 1)"
	is "broadcasts stay in the second" "0 0 0 3" "$(broadcast 3)"
	ns hub ip link del vh2
	ns hub ip link del lan2
}

others()
{
	echo "Other devices"
	learn_vni 0
	hub_device vh lan 4789
	learn_vni 1
	site 1 101
	site 2 102
	site 4 104
	flood vh 1 101
	flood vh 2 102

	refuse "made with the parameter off: frames are not sent" reach 1 2
	is "nor flooded" "0 0 0 0" "$(broadcast 1)"
	ns hub bridge fdb show dev vh > "$log"
	check "a MAC address is learned with the VNI as key" \
		grep -q "^$(mac 1) dst 10.9.0.1 src_vni 101 " "$log"
	ns hub ip link del vh
	ns hub ip link del lan

	ns hub ip link add lan type bridge
	ns hub ip link set lan up
	ns hub ip link add vh master lan type vxlan external nolearning dstport 4789
	ns hub bridge link set dev vh hairpin on
	ns hub ip link set vh up
	flood vh 1 101
	flood vh 2 102
	refuse "external nolearning: frames are not sent" reach 1 2
	ns hub ip link del vh

	ns hub ip link add vh master lan type vxlan id 104 dstport 4789 learning
	ns hub ip link set vh up
	ns hub ip address add 11.0.0.254/24 dev lan
	ns hub bridge fdb append 00:00:00:00:00:00 dev vh dst 10.9.0.4
	check "not external: frames are sent" ns hub ping -q -c 1 -W 2 11.0.0.4
	ns hub bridge fdb show dev vh > "$log"
	check "and addresses learned" grep -q "^$(mac 4) dst 10.9.0.4 self" "$log"
	ns hub ip link del vh
}

if [ "$(id -u)" -ne 0 ]; then
	echo "SKIP: need root privileges"
	exit $ksft_skip
fi
if [ ! -x "$(command -v bridge)" ] || [ ! -x "$(command -v ping)" ]; then
	echo "SKIP: need iproute2 and ping"
	exit $ksft_skip
fi

trap cleanup EXIT
setup
# The module is there, under whatever name, once a device was made.
ns hub ip link add probe type vxlan id 1 dstport 4789 || exit $ksft_skip
ns hub ip link del probe
for param in /sys/module/vxlan*/parameters/learn_vni; do
	[ -w "$param" ] && break
	param=
done
[ -n "$param" ]
log_test $? "vxlan has the parameter learn_vni"
was=$([ -z "$param" ] || cat "$param")

learning
translation
no_list
ipv6
one_vtep
two_devices
local_site
two_networks
others

learn_vni "${was:-0}"
exit $ret
