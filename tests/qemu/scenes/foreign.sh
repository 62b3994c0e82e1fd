# FRR's nhrpd as a client of a hub by kernel GRE, whose tunnel addresses are alone in their network.
# guests: 6.1
# seconds: 300
# packages: frr

# FRR's daemons read and write there as a user of their own.
chmod 777 "$files"
# frr NODE LINE...: zebra and nhrpd, with these lines about tunnel1. It registers every 200 s.
frr() {
    node=$1
    shift
    dir=$files/frr-$node
    mkdir -m 777 "$dir"
    {
        printf '%s\n' "debug nhrp all" "log file $files/$node-nhrpd.log" "interface tunnel1"
        printf ' %s\n' "ip nhrp network-id 1" "ip nhrp holdtime 600" "$@"
        echo exit
    } >"$dir/nhrpd.conf"
    : >"$dir/zebra.conf"
    start_frr "$node" zebra
    start_frr "$node" nhrpd
}

# start_frr NODE DAEMON
start_frr() {
    dir=$files/frr-$1
    in_ns "$1" "/usr/lib/frr/$2" -d -z "$dir/zserv" -i "$dir/$2.pid" --vty_socket "$dir" -f "$dir/$2.conf" >/dev/null 2>&1
}

# of_frr NODE COMMAND...: what FRR answers.
of_frr() { node=$1; shift; in_ns "$node" vtysh --vty_socket "$files/frr-$node" -c "$*" 2>&1; }

# knows NODE TEXT: whether its NHRP cache has a line like that.
knows() { of_frr "$1" show ip nhrp cache | grep -q "$2"; }

# lists TEXT: whether the hub's clients have a line like that.
lists() { ask hub peers | grep -q "$1"; }
counts() { ask hub status | grep -q "$1 IP clients"; }
gone() { ! "$@"; }

# leads_to ADDRESS UNDERLAY: whether the hub's kernel has the neighbour.
leads_to() { ip -n hub neigh show "$1" dev tunnel1 | grep -q "lladdr $2 "; }

underlay
n=1
for node in hub spoke1 spoke2; do
    router $node 10.0.0.$n/24
    gre $node any 10.0.0.$n 192.0.2.$n/$([ $node = hub ] && echo 24 || echo 32) key 1
    n=$((n + 1))
done
in_ns hub sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
hub_is "$by_device" "	list protocol_address '192.0.2.1'
	list protocol_address '198.51.100.1'"
start hub

echo "--- FRR registers: spoke1 with 'nhs dynamic', spoke2 with the hub's address"
frr spoke1 "ip nhrp nhs dynamic nbma 10.0.0.1" "ip nhrp registration no-unique" "ip nhrp shortcut"
frr spoke2 "ip nhrp nhs 192.0.2.1 nbma 10.0.0.1" "ip nhrp shortcut"
check "the hub has spoke1" soon 20 lists "10.0.0.2 .*192.0.2.2"
check "the hub has spoke2" soon 20 lists "10.0.0.3 .*192.0.2.3"
check "spoke2 has the hub" soon 10 knows spoke2 "192.0.2.1 *10.0.0.1"
check "spoke1 was told the hub's address" soon 10 knows spoke1 "192.0.2.1 *10.0.0.1"
check "its status says that they are IP clients" counts 2
check "the hub's kernel has spoke1" soon 5 leads_to 192.0.2.2 10.0.0.2
check "the hub's kernel has spoke2" soon 5 leads_to 192.0.2.3 10.0.0.3
check "spoke2 reaches the hub" soon 5 ping spoke2 192.0.2.1
check "the hub reaches spoke1" soon 5 ping hub 192.0.2.2
for n in 1 2; do
    ip -n spoke$n route add 192.0.2.0/24 via 192.0.2.1 dev tunnel1 onlink
done
check "spoke1 reaches spoke2 by the hub" soon 5 ping spoke1 192.0.2.3

echo "--- the hub tells them of the shorter way"
# shortcut NODE ADDRESS UNDERLAY: whether it has one, while it sends.
shortcut() { ping "$1" "$2"; knows "$1" "$2 *$3" && ip -n "$1" route show "$2" | grep -q "proto nhrp"; }
check "spoke1 has a shortcut to spoke2" soon 20 shortcut spoke1 192.0.2.3 10.0.0.3
check "spoke2 has a shortcut to spoke1" soon 20 shortcut spoke2 192.0.2.2 10.0.0.2
received() { in_ns hub cat /sys/class/net/tunnel1/statistics/rx_packets; }
# When the kernel asks for the neighbour before FRR has the answer, this FRR says 0.0.0.0 from then on, and packets are lost
# until it has forgotten what it knows and has asked again.
direct() {
    before=$(received)
    ping spoke1 192.0.2.3 20 && [ $(($(received) - before)) -lt 5 ] && return
    for node in spoke1 spoke2; do of_frr $node clear ip nhrp cache >/dev/null; done
    ip -n spoke1 neigh flush to 192.0.2.3 dev tunnel1
    ip -n spoke2 neigh flush to 192.0.2.2 dev tunnel1
    soon 10 shortcut spoke1 192.0.2.3 10.0.0.3
    soon 10 shortcut spoke2 192.0.2.2 10.0.0.2
    false
}
neighbours() { for node in spoke1 spoke2; do echo "$node: $(ip -n $node neigh show dev tunnel1 | xargs)"; done; }
check "20 pings are all answered, and do not come by the hub" soon 60 direct || note "$(neighbours)"

echo "--- the hub's GRE device is made anew: the clients register again in minutes"
ip -n hub link del tunnel1
busybox sleep 1
gre hub any 10.0.0.1 192.0.2.1/24 key 1
check "the hub's kernel has spoke1" soon 10 leads_to 192.0.2.2 10.0.0.2
check "the hub reaches spoke1" soon 5 ping hub 192.0.2.2

echo "--- the hub's machine is rebooted"
stop
ip -n hub link del tunnel1
gre hub any 10.0.0.1 192.0.2.1/24 key 1
start hub
check "the hub has both before they register again" soon 10 counts 2
check "the hub reaches spoke1" soon 5 ping hub 192.0.2.2
check "no registration came since" grep -q 'rx_register_req_total 0' - <<E
$(ask hub metrics)
E

echo "--- a registration sets what the kernel lost, and what ends takes it along"
ip -n hub neigh del 192.0.2.3 dev tunnel1
check "the entry is gone" gone leads_to 192.0.2.3 10.0.0.3
kill "$(cat "$files/frr-spoke2/nhrpd.pid")"
busybox sleep 1
start_frr spoke2 nhrpd
check "the hub's kernel has spoke2" soon 20 leads_to 192.0.2.3 10.0.0.3
ask hub peers --remove 10.0.0.3
check "the hub's kernel has spoke2 no more" soon 5 gone leads_to 192.0.2.3 10.0.0.3
check "nor has it the route" [ -z "$(ip -n hub route show 192.0.2.3)" ]
