# Kernel GRE and raw sockets understand each other; IPv6, GRE keys, and an underlay that is a VLAN, in a VRF, or bad.
# guests: 6.1
# seconds: 400

echo "--- a hub with a raw socket, spoke1 with kernel GRE, spoke2 without"
picture
gre spoke1 10.0.0.1 10.0.0.2 1.0.0.2/24
hub_is "$by_raw"
spoke_is 1 "$by_device" 10.0.0.1
spoke_is 2 "$by_raw" 10.0.0.1
becomes_direct 10.0.0.2 10.0.0.3
clear_picture

echo "--- a hub with multipoint kernel GRE, spoke1 without, spoke2 with multipoint kernel GRE"
picture
gre hub any 10.0.0.1 1.0.0.1/24
gre spoke2 any 10.0.0.3 1.0.0.3/24
hub_is "$by_device"
spoke_is 1 "$by_raw" 10.0.0.1
spoke_is 2 "$by_device" 10.0.0.1
becomes_direct 10.0.0.2 10.0.0.3
clear_picture

echo "--- kernel GRE over IPv6: spoke1 point-to-point, hub and spoke2 raw"
picture
gre spoke1 fd00::1 fd00::2 1.0.0.2/24
hub_is "$by_raw"
spoke_is 1 "$by_device" fd00::1
spoke_is 2 "$by_raw" fd00::1
becomes_direct fd00::2 fd00::3
clear_picture

echo "--- multipoint kernel GRE over IPv6: Linux does not tell who sent a packet"
picture
gre hub any fd00::1 1.0.0.1/24
hub_is "$by_device"
start hub
check "the hub says so" soon 10 said hub "use transport 'raw'"
clear_picture

echo "--- the GRE key says which VN: kernel GRE at the hub and spoke1, raw at spoke2"
picture
gre hub any 10.0.0.1 1.0.0.1/24 key 1
gre spoke1 10.0.0.1 10.0.0.2 1.0.0.2/24 key 1
hub_is "$by_device"
spoke_is 1 "$by_device" 10.0.0.1 "	option vpn_mode 'key'"
spoke_is 2 "$by_raw" 10.0.0.1 "	option vpn_mode 'key'"
becomes_direct 10.0.0.2 10.0.0.3
clear_picture

echo "--- the underlay is a VLAN, whose device is made anew"
picture
vlan5() {
    ip -n "$1" -batch - <<END
link add link eth1 name eth1.5 type vlan id 5
link set eth1.5 up
addr add $2/24 dev eth1.5
END
}
by_vlan="	option interface 'eth1.5'"
n=1
for node in hub spoke1 spoke2; do
    ip -n $node addr del 10.0.0.$n/24 dev eth1
    vlan5 $node 10.0.0.$n
    n=$((n + 1))
done
hub_is "$by_vlan"
spoke_is 1 "$by_vlan" 10.0.0.1
spoke_is 2 "$by_vlan" 10.0.0.1
becomes_direct 10.0.0.2 10.0.0.3
ip -n spoke1 link del eth1.5
unregistered() { ! registered "$@"; }
check "spoke1 says that it is gone" soon 10 unregistered spoke1
vlan5 spoke1 10.0.0.2
check "spoke1 registers again" soon 10 registered spoke1
check "vm1 reaches 11.0.0.11" soon 10 ping vm1 11.0.0.11
check "spoke1's kernel has the shortcut to spoke2" soon 10 leads spoke1 tunnel2 $bridge2 10.0.0.3 101 100
clear_picture

echo "--- the underlay is in a VRF, at the hub and spoke1"
picture
for node in hub spoke1; do
    ip -n $node -batch - <<END
link add vrf-wan type vrf table 10
link set vrf-wan up
link set eth1 master vrf-wan
END
    # Without this VXLAN does not hear there.
    in_ns $node sh -c 'echo 1 >/proc/sys/net/ipv4/udp_l3mdev_accept'
done
hub_is "$by_raw"
spoke_is 1 "$by_raw" 10.0.0.1
spoke_is 2 "$by_raw" 10.0.0.1
becomes_direct 10.0.0.2 10.0.0.3
clear_picture

echo "--- 50 ms of delay and 20 % of loss, each way"
picture
gre hub any 10.0.0.1 1.0.0.1/24
gre spoke1 10.0.0.1 10.0.0.2 1.0.0.2/24
for node in hub spoke1 spoke2; do
    tc -n $node qdisc add dev eth1 root netem delay 50ms loss 20%
done
hub_is "$by_device"
spoke_is 1 "$by_device" 10.0.0.1
spoke_is 2 "$by_raw" 10.0.0.1
start hub spoke1 spoke2
began=$(now)
check "spoke1 registers" soon 30 registered spoke1
check "spoke2 registers" soon 30 registered spoke2
check "vm1 reaches 11.0.0.11" soon 20 ping vm1 11.0.0.11
# talk COMMAND...: while vm1 goes on asking.
talk() { ping vm1 11.0.0.11; "$@"; }
check "spoke1's kernel has the shortcut to spoke2" soon 30 talk leads spoke1 tunnel2 $bridge2 10.0.0.3 101 100
check "spoke2's kernel has the shortcut to vm1" soon 30 talk leads spoke2 tunnel2 $vm1 10.0.0.2 100 101
note "all of that took $(($(now) - began)) s"

# vm1 moves to spoke2's bridge, and says so once.
began=$(now)
ip -n vm1 link del eth0
ip -n spoke2 link add eth2 type veth peer name eth0 address $vm1 netns vm1
ip -n spoke2 link set eth2 master br-test up
ip -n vm1 addr add 11.0.0.10/24 dev eth0
ip -n vm1 link set eth0 up
check "vm1 moved to spoke2 and reaches 11.0.0.11" soon 20 ping vm1 11.0.0.11
gone() { ! leads "$@"; }
check "spoke2's kernel forgets its shortcut to vm1" soon 30 gone spoke2 tunnel2 $vm1 10.0.0.2 100 101
note "the move took $(($(now) - began)) s"
