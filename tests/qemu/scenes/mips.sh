# First contact and a MAC move between routers of a small processor, and what the daemons cost there.
# guests: mips mipsel arm
# seconds: 240

began=$(now)
"$LAB" --only 1,4 >"$files/lab.log" 2>&1
held=$(sed -n 's/^\([0-9]*\) of 2 points hold.*/\1/p' "$files/lab.log")
check "the lab: first contact and a MAC move ($(($(now) - began)) s)" [ "$held" = 2 ]

# A hub and two spokes that have nothing to do.
underlay
router hub 10.0.0.1/24
router spoke1 10.0.0.2/24
router spoke2 10.0.0.3/24
configure hub <<END
	option interface 'eth1'
config vn 'test'
	option vpn_id '1'
	option role 'hub'
END
for n in 1 2; do
    ip -n spoke$n link add br-test type bridge mcast_snooping 0
    ip -n spoke$n link set br-test up
    configure spoke$n <<END
	option interface 'eth1'
config hub 'hub'
	option address '10.0.0.1'
config vn 'test'
	option vpn_id '1'
	option role 'spoke'
	option bridge 'br-test'
	option vni '$((99 + n))'
END
done
start hub spoke1 spoke2
check "spoke1 registers" soon 20 registered spoke1
check "spoke2 registers" soon 20 registered spoke2

# of NODE KEY: a line of its daemon's /proc/PID/status.
of() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$(cat "$files/$1.pid")/status"; }
wakeups() {
    sum=0
    for task in /proc/"$(cat "$files/$1.pid")"/task/*/status; do
        sum=$((sum + $(awk '/^voluntary_ctxt_switches/ { print $2 }' "$task")))
    done
    echo $sum
}
ticks() { sed 's/.*) //' "/proc/$(cat "$files/$1.pid")/stat" | awk '{ print $12 + $13 }'; }

sleep 3
before=$(wakeups spoke1) ticks_before=$(ticks spoke1)
sleep 20
after=$(wakeups spoke1) ticks_after=$(ticks spoke1)
for node in hub spoke1; do
    note "$node: resident $(of $node VmRSS) kB, at most $(of $node VmHWM) kB, CPU $(ticks $node) ticks of $(awk '/^intr/ { exit } /^cpu / { print $2 + $3 + $4 + $5 }' /proc/stat)"
done
check "spoke1 takes at most 1024 kB ($(of spoke1 VmHWM) kB)" [ "$(of spoke1 VmHWM)" -le 1024 ]
check "an idle spoke does not wake up in 20 s ($((after - before)) times, $((ticks_after - ticks_before)) ticks)" [ $((after - before)) = 0 ]
