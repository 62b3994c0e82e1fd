# Two hubs that name each other, and spokes of both, on kernel GRE: one is drained, one vanishes; broadcasts come once.
# guests: 6.1 6.12
# seconds: 240

# --- the picture: vm1 11.0.0.10 -- spoke1 -- hub === hub2 -- spoke2, 11.0.0.11 on its bridge ---

picture
router hub2 10.0.0.4/24
gre hub any 10.0.0.1 1.0.0.1/24
gre hub2 any 10.0.0.4 1.0.0.4/24
gre spoke1 any 10.0.0.2 1.0.0.2/24
gre spoke2 any 10.0.0.3 1.0.0.3/24

# of_two NODE OTHER ADDRESS: a hub, whose peer is the other one.
of_two() {
    configure "$1" <<END
$by_device
config hub '$2'
	option address '$3'
config vn 'test'
	option vpn_id '1'
	option role 'hub'
	option bridge 'br-test'
	list peer '$2'
END
}
of_two hub hub2 10.0.0.4
of_two hub2 hub 10.0.0.1
second="config hub 'hub2'
	option address '10.0.0.4'"
spoke_is 1 "$by_device" 10.0.0.1 "$second" "	list hub 'hub'
	list hub 'hub2'"
spoke_is 2 "$by_device" 10.0.0.1 "$second" "	list hub 'hub2'
	list hub 'hub'"

# --- what can be seen ---

linked() { ask "$1" status 2>/dev/null | grep -q 'linked to 1 of 1'; }
at() { ask "$1" status 2>/dev/null | grep -q "$2 in use"; }
# stands_by SPOKE HUB
stands_by() { ask "$1" status 2>/dev/null | grep -q "$2 answered"; }
spokes() { ask "$1" peers 2>/dev/null | grep -c '10\.0\.0\.[23] '; }
empty() { [ "$(spokes "$1")" = 0 ]; }

# watch NODE FROM: counts there what that address sends to all, and what of it comes again.
watch() {
    in_ns "$1" nft -f - <<END
table ip watch {
    set seen { typeof icmp sequence; flags dynamic; size 4096; }
    chain heard {
        type filter hook prerouting priority -300
        ip saddr != $2 accept
        ip daddr != 11.0.0.255 accept
        icmp sequence @seen counter accept comment "again"
        add @seen { icmp sequence } counter comment "once"
    }
}
END
}
watch spoke2 11.0.0.10
watch vm1 11.0.0.11

# heard NODE once|again
heard() { in_ns "$1" nft list chain ip watch heard | sed -n "s/.*counter packets \([0-9]*\) .*\"$2\".*/\1/p"; }
hear_anew() {
    for node in spoke2 vm1; do
        in_ns $node nft delete table ip watch
    done
    watch spoke2 11.0.0.10
    watch vm1 11.0.0.11
}

# talk COUNT: both sites send so many broadcasts, ten a second, and vm1 asks 11.0.0.11 as often, straight.
talk() {
    hear_anew
    count=$1
    cut -d' ' -f1 /proc/uptime >"$files/began"
    for host in vm1 spoke2; do
        in_ns $host sh -c "busybox ping -q -i 0.1 -W 1 -c $count 11.0.0.255; cut -d' ' -f1 /proc/uptime >$files/$host.end" >/dev/null &
        eval "pid_$host=\$!"
    done
    pinged vm1 11.0.0.11 "$count" >"$files/direct" &
    pid_direct=$!
}

# talked WHAT MOST SPARE: all was sent. Each station heard each broadcast, but for a gap of so many hundredths of a second;
# SPARE at most came again, and as many straight answers are missing: what is sent while a spoke changes over may go to both hubs.
talked() {
    wait $pid_vm1 $pid_spoke2 $pid_direct
    answered=$(cat "$files/direct")
    check "$1: straight $answered of $count are answered" [ $((count - answered)) -le "$3" ]
    for node in spoke2 vm1; do
        case $node in vm1) from=spoke2 ;; *) from=vm1 ;; esac
        took=$(awk -v began="$(cat "$files/began")" '{ printf "%d\n", ($1 - began - 1) * 100 }' "$files/$from.end")
        missing=$((count - $(heard $node once))) again=$(heard $node again)
        gap=$((missing * took / count))
        check "$1: $node misses $missing of $count broadcasts, in ${gap}0 ms" [ $gap -le "$2" ]
        check "$1: it hears $again of them again" [ "$again" -le "$3" ]
    done
}

# --- the scene ---

echo "--- a spoke at each of two hubs"
ip -n hub2 -d -o monitor link >"$files/ports.of.hub2" 2>/dev/null &
monitor=$!
start hub hub2 spoke1 spoke2
check "hub is linked to hub2" soon 20 linked hub
check "hub2 to hub" soon 20 linked hub2
check "the port between them is isolated" [ "$(ip -n hub -d link show type vxlan | grep -c 'isolated on')" = 1 ]
check "spoke1 registers with hub" soon 20 at spoke1 "hub"
check "spoke2 registers with hub2" soon 20 at spoke2 "hub2"
check "vm1 reaches 11.0.0.11" soon 10 ping vm1 11.0.0.11
check "spoke1's kernel has the shortcut to spoke2" soon 10 leads spoke1 tunnel2 $bridge2 10.0.0.3 101 100
check "spoke2's kernel has the shortcut to vm1" soon 10 leads spoke2 tunnel2 $vm1 10.0.0.2 100 101
talk 20
talked "both in use" 0 0

echo "--- hub2 sends its spokes away"
check "spoke2 knows of hub" soon 15 stands_by spoke2 "hub"
talk 130
sleep 1
ask hub2 drain test >/dev/null
check "spoke2 goes to hub" soon 12 at spoke2 "hub"
check "hub2 has no spoke any more" soon 10 empty hub2
talked "the move" $((50 * PATIENCE)) 2
check "spoke2 stays there" at spoke2 "hub"

echo "--- hub2's daemon is started again, which ends that; then hub's machine vanishes"
kill -USR1 "$(cat "$files/hub2.pid")"
wait "$(cat "$files/hub2.pid")"
start hub2
check "they are linked" soon 20 linked hub2
check "spoke1 knows of hub2" soon 25 stands_by spoke1 "hub2"
check "spoke2, too" soon 25 stands_by spoke2 "hub2"
talk 200
# Until the daemons have seen that the hub is in use, which they look at every 5 s.
sleep 7
ip -n wan link del hub
kill -9 "$(cat "$files/hub.pid")"
rm "$files/hub.pid"
check "spoke1 goes to hub2" soon 10 at spoke1 "hub2"
check "spoke2, too" soon 10 at spoke2 "hub2"
talked "the fail-over" $((450 * PATIENCE)) 2
talk 20
talked "by hub2 alone" 0 0
kill $monitor
check "a new port is locked and floods nothing until the other hub was told" \
    grep -q 'dmevpn.* flood off.* locked on' "$files/ports.of.hub2"
stop
