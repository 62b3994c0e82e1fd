# VLANs of filtering bridges as VNs: two on one bridge, at hub and spokes; what somebody else does to the bridge.
# guests: 6.1 6.12
# seconds: 240

# --- the picture: VLAN 10 is VN ten, 11.0.10.0/24; VLAN 20 is VN twenty, 11.0.20.0/24 ---
#
#   ten1, twenty1 - [br-lan] spoke1 - hub [br-lan] - ten0, and spoke2 [br-lan] - ten2, trunk (tagged, both)
#
# ten1 in VLAN 10 and trunk in VLAN 20 have the same MAC.
twin=52:54:00:00:00:77

# lan NODE MAC: its bridge, as OpenWrt makes it: nobody is left in VLAN 1, and the router itself is in both, tagged.
lan() {
    ip -n "$1" -batch - <<END
link add br-lan address $2 type bridge vlan_filtering 1 mcast_snooping 0
link set br-lan up
END
    bridge -n "$1" -batch - <<END
vlan del vid 1 dev br-lan self
END
}

# access HOST NODE PORT MAC ADDRESS VLAN: a host that knows of no VLAN.
access() {
    host "$1" "$2" br-lan "$3" "$4" "$5"
    bridge -n "$2" -batch - <<END
vlan del vid 1 dev $3
vlan add vid $6 pvid untagged dev $3
END
}

# tagged HOST NODE PORT VLAN...: a port where all frames of these VLANs are tagged.
tagged() {
    node=$2 port=$3
    ip -n "$node" -batch - <<END
link add $port type veth peer name eth0 netns $1
link set $port master br-lan up
END
    ip -n "$1" link set eth0 up
    bridge -n "$node" vlan del vid 1 dev "$port"
    shift 3
    for vlan in "$@"; do bridge -n "$node" vlan add vid "$vlan" dev "$port"; done
}

underlay
router hub 10.0.0.1/24
router spoke1 10.0.0.2/24
router spoke2 10.0.0.3/24
lan hub 52:54:00:00:10:00
lan spoke1 52:54:00:00:10:01
lan spoke2 52:54:00:00:10:02
access ten0 hub p0 52:54:00:00:00:10 11.0.10.10/24 10
access ten1 spoke1 p1 $twin 11.0.10.11/24 10
access twenty1 spoke1 p2 52:54:00:00:00:21 11.0.20.11/24 20
access ten2 spoke2 p1 52:54:00:00:00:12 11.0.10.12/24 10
quiet_ns trunk
tagged trunk spoke2 p3 10 20
ip -n trunk -batch - <<END
link add link eth0 name eth0.10 address 52:54:00:00:00:13 type vlan id 10
link add link eth0 name eth0.20 address $twin type vlan id 20
link set eth0.10 up
link set eth0.20 up
addr add 11.0.10.13/24 dev eth0.10
addr add 11.0.20.13/24 dev eth0.20
END

# vn NAME VPN-ID ROLE-OPTIONS: of one on the bridge.
vn() {
    echo "config vn '$1'
	option vpn_id '$2'
	option bridge '${bridge:-br-lan}'
$3"
}
# spoke_has NODE VNS: its configuration.
spoke_has() {
    configure "$1" <<END
$by_raw
config hub 'hub'
	option address '10.0.0.1'
$2
END
}
spoke="	option role 'spoke'"
hub="	option role 'hub'"
ten="	option vlan '10'"
twenty="	option vlan '20'"
vni_ten="	option vni '100'"
vni_twenty="	option vni '200'"
configure hub <<END
$by_raw
$(vn ten 1 "$hub
$ten")
$(vn twenty 2 "$hub
$twenty")
END
both="$(vn ten 1 "$spoke
$vni_ten
$ten")
$(vn twenty 2 "$spoke
$vni_twenty
$twenty")"
spoke_has spoke1 "$both"
spoke_has spoke2 "$both"

# --- what is looked at ---

# stands NODE NUMBER: whether it is registered in so many VNs.
stands() { [ "$(ask "$1" status --json 2>/dev/null | grep -o '"state": *"registered"' | grep -c .)" = "$2" ]; }
# tells NODE TEXT: whether its status has that.
tells() { ask "$1" status --json 2>/dev/null | grep -q -- "$2"; }
silent() { ! tells "$@"; }
# vlans NODE PORT: those of a port, such as "10 PVID Egress Untagged".
vlans() { bridge -n "$1" vlan show dev "$2" | sed "1d; s/^$2//; s/^[[:space:]]*//; /^$/d" | tr '\n' ';'; }
# only_in NODE PORT VLAN
only_in() { [ "$(vlans "$1" "$2")" = "$3 PVID Egress Untagged;" ]; }
ports_of_hub() { ip -n hub -o link show type vxlan | sed 's/^[0-9]*: \([^:@]*\).*/\1/'; }
# Whether the hub has two ports in each VLAN.
hub_ports() {
    in_ten=0 in_twenty=0
    for port in $(ports_of_hub); do
        ! only_in hub "$port" 10 || in_ten=$((in_ten + 1))
        ! only_in hub "$port" 20 || in_twenty=$((in_twenty + 1))
    done
    [ $in_ten = 2 -a $in_twenty = 2 ]
}
index() { ip -n "$1" -o link show "$2" | cut -d: -f1; }
# is_up NODE DEVICE
is_up() { ip -n "$1" -o link show "$2" up 2>/dev/null | grep -q .; }
is_down() { ! is_up "$@"; }
gone() { ! leads "$@"; }
received() { in_ns "$1" cat "/sys/class/net/$2/statistics/rx_packets"; }
reload() { ask "$1" reload >/dev/null; }

# Whether two hosts of each VLAN reach each other.
both_pass() { ping ten2 11.0.10.11 && ping twenty1 11.0.20.13; }
pass_ten() { ping ten2 11.0.10.11; }
no_ten() { [ "$(pinged ten2 11.0.10.11 1)" = 0 ]; }

# --- the scene ---

echo "--- two VNs on one bridge"
start hub spoke1 spoke2
check "spoke1 is registered in both VNs" soon 20 stands spoke1 2
check "spoke2 is registered in both VNs" soon 20 stands spoke2 2
check "its tunnels are in their VLANs only" only_in spoke1 vx-ten 10
check "and so the other one" only_in spoke1 vx-twenty 20
check "the hub's four ports, too" soon 5 hub_ports
check "the hub itself is in VLAN 10, tagged" [ "$(vlans hub br-lan)" = "10;20;" ]
check "ten2 reaches ten1, and twenty1 the trunk" soon 10 both_pass
check "in VN ten the MAC is at spoke1" soon 10 leads spoke2 vx-ten $twin 10.0.0.2 100 100
check "in VN twenty the same MAC is at spoke2" soon 10 leads spoke1 vx-twenty $twin 10.0.0.3 200 200
check "where it is a host's own, it leads nowhere" gone spoke1 vx-ten $twin 10.0.0.3 100 100
check "the trunk's other VLAN reaches ten1 and ten0" ping trunk 11.0.10.11 3
check "the hub's own host is reached" ping ten1 11.0.10.10 3
check "the hub's host reaches the trunk" ping ten0 11.0.10.13 3
macs() { ask "$1" macs "$2" | grep -c "$3"; }
check "the hub knows it in each VN at its own place" \
    [ "$(ask hub macs ten | grep $twin | grep -c 10.0.0.2)$(ask hub macs twenty | grep $twin | grep -c 10.0.0.3)" = 11 ]
hub_before=$(forwarded)
check "20 more pings in both, all answered" ping ten2 11.0.10.11 20
check "in VLAN 20, too" ping twenty1 11.0.20.13 20
at_hub=$(($(forwarded) - hub_before))
check "of their 160 frames none goes by the hub ($at_hub packets)" [ $at_hub -lt 8 ]

echo "--- frames of VLAN 10 are never seen in VLAN 20"
# Neither host asks again where the other is.
for host in twenty1 trunk; do ip -n $host neigh flush all; done
before=$(($(received twenty1 eth0) + $(received trunk eth0.20)))
ten_before=$(received ten1 eth0)
# Questions for addresses that nobody has are broadcast; a MAC that nobody has is flooded.
ip -n ten2 neigh add 11.0.10.99 lladdr 52:54:00:00:00:99 dev eth0
pinged ten2 11.0.10.98 20 >/dev/null
pinged ten2 11.0.10.99 20 >/dev/null
after=$(($(received twenty1 eth0) + $(received trunk eth0.20)))
seen=$(($(received ten1 eth0) - ten_before))
check "broadcast and unknown ones: $seen in VLAN 10 at ten1, $((after - before)) in VLAN 20" [ $seen -ge 20 -a $after = $before ]

echo "--- somebody changes the ports' VLANs"
bridge -n spoke1 vlan del vid 10 dev vx-ten
check "a VLAN that was deleted is put back" soon 5 only_in spoke1 vx-ten 10
bridge -n spoke1 vlan add vid 20 dev vx-ten
bridge -n spoke1 vlan add vid 1 pvid untagged dev vx-ten
check "those that were added are taken away" soon 5 only_in spoke1 vx-ten 10
for port in $(ports_of_hub); do
    bridge -n hub vlan del vid 10 dev "$port"
    bridge -n hub vlan add vid 1 pvid untagged dev "$port"
done
bridge -n hub vlan del vid 10 dev br-lan self
check "at the hub, too" soon 5 hub_ports
check "the hub itself is in VLAN 10 again" [ "$(vlans hub br-lan)" = "10;20;" ]
check "ten2 reaches ten1, and twenty1 the trunk" soon 10 both_pass

echo "--- VLAN filtering is switched off and on"
ten_index=$(index spoke1 vx-ten)
ip -n spoke1 link set dev br-lan type bridge vlan_filtering 0
check "spoke1 says so" soon 5 tells spoke1 "bridge 'br-lan' does not filter VLANs"
check "and switches its tunnels off" soon 5 is_down spoke1 vx-ten
check "both" soon 5 is_down spoke1 vx-twenty
check "ten1 is not reached" no_ten
ip -n spoke1 link set dev br-lan type bridge vlan_filtering 1
check "once it is on again, spoke1 is registered" soon 20 stands spoke1 2
check "by the same device" [ "$(index spoke1 vx-ten)" = "$ten_index" ]
check "ten2 reaches ten1, and twenty1 the trunk" soon 10 both_pass
check "by the direct way" soon 10 leads spoke2 vx-ten $twin 10.0.0.2 100 100
ip -n hub link set dev br-lan type bridge vlan_filtering 0
off() { for port in $(ports_of_hub); do is_down hub "$port" || return 1; done; }
check "the hub switches its ports off, too" soon 5 off
check "and says so" tells hub "bridge 'br-lan' does not filter VLANs"
ip -n hub link set dev br-lan type bridge vlan_filtering 1
on() { hub_ports && for port in $(ports_of_hub); do is_up hub "$port" || return 1; done; }
check "and on again" soon 10 on
check "the hub's host reaches the trunk" soon 10 ping ten0 11.0.10.13

echo "--- the bridge is made anew"
ip -n spoke1 link del br-lan
check "spoke1 says that it is gone" soon 5 tells spoke1 "bridge 'br-lan' does not exist"
lan spoke1 52:54:00:00:10:01
for port in p1 p2; do ip -n spoke1 link set $port master br-lan; bridge -n spoke1 vlan del vid 1 dev $port; done
bridge -n spoke1 vlan add vid 10 pvid untagged dev p1
bridge -n spoke1 vlan add vid 20 pvid untagged dev p2
check "spoke1 is registered again" soon 20 stands spoke1 2
check "its tunnels are in their VLANs" only_in spoke1 vx-ten 10
check "both" only_in spoke1 vx-twenty 20
check "ten2 reaches ten1, and twenty1 the trunk" soon 10 both_pass

echo "--- another VLAN by reload"
ten_index=$(index spoke1 vx-ten)
ten="	option vlan '30'"
spoke_has spoke1 "$(vn ten 1 "$spoke
$vni_ten
	option vlan '30'")
$(vn twenty 2 "$spoke
$vni_twenty
$twenty")"
reload spoke1
check "the tunnel is in VLAN 30 only" soon 5 only_in spoke1 vx-ten 30
check "spoke1 says that nothing else is there" soon 5 tells spoke1 "'vx-ten' is in VLAN 30, and nothing else is"
check "it is the same device" [ "$(index spoke1 vx-ten)" = "$ten_index" ]
check "ten1 is not reached" no_ten
bridge -n spoke1 vlan del vid 10 dev p1
bridge -n spoke1 vlan add vid 30 pvid untagged dev p1
check "ten1 in VLAN 30 is reached" soon 10 pass_ten
check "and nothing is wrong" silent spoke1 "nothing else is"
check "and VLAN 20 as before" ping twenty1 11.0.20.13
bridge -n spoke1 vlan del vid 30 dev p1
bridge -n spoke1 vlan add vid 10 pvid untagged dev p1

echo "--- without the option"
spoke_has spoke1 "$(vn ten 1 "$spoke
$vni_ten")"
reload spoke1
check "spoke1 says what to write" soon 10 tells spoke1 "nothing can pass: 'vx-ten' is in VLAN 1, and nothing else is"
check "its log, too" said spoke1 "set option 'vlan' to the VN's VLAN (there are 10, 20)"
check "nothing passes" no_ten
# As netifd does for a port that a bridge-vlan section lists.
bridge -n spoke1 vlan del vid 1 dev vx-ten
bridge -n spoke1 vlan add vid 10 pvid untagged dev vx-ten
check "once somebody put it into VLAN 10, it says nothing" soon 5 silent spoke1 "nothing can pass"
check "ten2 reaches ten1" soon 10 pass_ten
check "by the direct way" soon 10 leads spoke2 vx-ten $twin 10.0.0.2 100 100
check "its VLANs are left alone" only_in spoke1 vx-ten 10

echo "--- wrong bridges"
ip -n spoke1 link add link br-lan name br-lan.10 type vlan id 10
bridge=br-lan.10
spoke_has spoke1 "$(vn ten 1 "$spoke
$vni_ten")"
reload spoke1
check "a VLAN of a bridge is none" soon 5 tells spoke1 "'br-lan.10' is no bridge, but VLAN 10 of bridge 'br-lan'"
check "its log says what to write" said spoke1 "write bridge 'br-lan' and vlan '10'"
ip -n spoke1 link add br-plain up type bridge mcast_snooping 0
bridge=br-plain
spoke_has spoke1 "$(vn ten 1 "$spoke
$vni_ten
	option vlan '10'")"
reload spoke1
check "a plain bridge has no VLAN" soon 5 tells spoke1 "bridge 'br-plain' does not filter VLANs"
check "no device is made there" [ -z "$(ip -n spoke1 -o link show type vxlan)" ]
bridge=br-lan
configure hub <<END
$by_raw
$(vn ten 1 "$hub")
END
reload hub
check "a hub without the option says what is wrong" soon 20 tells hub "spokes do not reach what is behind it: their ports are in VLAN 1"
bridge -n hub vlan add vid 1 pvid untagged dev p0
check "once a port is in that VLAN, it says nothing" soon 5 silent hub "do not reach"
bridge=br-none
configure hub <<END
$by_raw
$(vn ten 1 "$hub
	option vlan '10'")
END
reload hub
check "a hub makes no bridge with VLANs" soon 5 said hub "bridge 'br-none' does not exist; with option 'vlan' dmevpn does not make it"
stop
check "a spoke that stops takes its tunnels with it" [ -z "$(ip -n spoke2 -o link show type vxlan)" ]
note "all of that took $(now) s"
