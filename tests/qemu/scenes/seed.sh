# The original network, command by command: kernel GRE for NHRP, existing VXLAN devices that report misses.
# guests: 6.1 6.12
# seconds: 120

underlay
router hub 10.0.0.1/24
router spoke1 10.0.0.2/24
router spoke2 10.0.0.3/24

gre() { ip -n "$1" link add tunnel1 type gre remote "$2" local "$3" && ip -n "$1" addr add "$4" dev tunnel1 && ip -n "$1" link set tunnel1 up; }
gre spoke1 10.0.0.1 10.0.0.2 1.0.0.2/24
gre spoke2 10.0.0.1 10.0.0.3 1.0.0.3/24
gre hub any 10.0.0.1 1.0.0.1/24

# data SPOKE VNI ADDRESS
data() {
    ip -n "$1" link add tunnel2 type vxlan id "$2" remote 10.0.0.1 local "$3" l2miss nolearning
    ip -n "$1" link add br-test type bridge mcast_snooping 0
    ip -n "$1" link set tunnel2 master br-test up
    ip -n "$1" link set br-test up
    bridge -n "$1" fdb del 00:00:00:00:00:00 dev tunnel2
    bridge -n "$1" fdb add ff:ff:ff:ff:ff:ff dev tunnel2 dst 10.0.0.1 vni "$2"
}
data spoke1 100 10.0.0.2
data spoke2 101 10.0.0.3
vm1=52:54:00:00:00:0a
host vm1 spoke1 br-test eth2 $vm1 11.0.0.10/24
ip -n spoke2 addr add 11.0.0.11/24 dev br-test
in_spoke2=$(in_ns spoke2 cat /sys/class/net/br-test/address)

common="	option transport 'device'
	option device 'tunnel1'
	option udp_port '8472'"
spoke() {
    echo "$common
config hub 'hub'
	option address '10.0.0.1'
config vn 'test'
	option vpn_id '1'
	option role 'spoke'
	option bridge 'br-test'
	option vxlan 'tunnel2'
	option vni '$1'
	option trigger 'l2miss'"
}
spoke 100 | configure spoke1
spoke 101 | configure spoke2
configure hub <<END
$common
	option interface 'eth1'
config vn 'test'
	option vpn_id '1'
	option role 'hub'
	option bridge 'br-test'
END
start hub spoke1 spoke2

check "spoke1 registers by kernel GRE" soon 10 registered spoke1
check "spoke2 registers by kernel GRE" soon 10 registered spoke2
# The first frame to a MAC is lost with l2miss: that is so in the original, too.
check "vm1 reaches 11.0.0.11" soon 10 ping vm1 11.0.0.11
check "spoke1's kernel has the shortcut to spoke2" soon 10 leads spoke1 tunnel2 "$in_spoke2" 10.0.0.3 101 100
check "spoke2's kernel has the shortcut to vm1" soon 10 leads spoke2 tunnel2 $vm1 10.0.0.2 100 101

hub_before=$(vxlan_received hub)
spoke2_before=$(vxlan_received spoke2)
check "20 more pings, all answered" ping vm1 11.0.0.11 20
at_hub=$(($(vxlan_received hub) - hub_before))
at_spoke2=$(($(vxlan_received spoke2) - spoke2_before))
check "none of their VXLAN packets came to the hub ($at_hub)" [ $at_hub = 0 ]
check "spoke2 received them from vm1's site ($at_spoke2)" [ $at_spoke2 -ge 20 ]
