# A hub whose VXLAN driver has the patch: data plane kmod.
# guests: 6.1 6.12
# seconds: 600
# driver: patched

export DMEVPN_LAB_PATIENCE=$((6 * PATIENCE))
cd "$REPOSITORY" || exit 1

check "the stock driver stays out" [ ! -e /sys/module/vxlan ]

# By itself: it switches the driver's parameter. Its limits are those of a real machine: on a busy one it gets a second
# chance, and the result tells.
for try in 1 2; do
    patches/test_vxlan_learn_vni.sh >"$files/selftest.log" 2>&1
    code=$?
    [ $code != 0 ] || break
    note "the selftest failed, try $try: $(grep 'FAIL\]' "$files/selftest.log")"
done
check "the driver's selftest: $(grep -c '\[ OK \]' "$files/selftest.log") checks" [ $code = 0 ] ||
    grep -A 1 'FAIL\]' "$files/selftest.log"

# With the first table the kernel patches its code, with the last one again. An emulated processor that is at that place
# just then ends with "int3": so there is always one.
nft 'table inet stays { chain input { type filter hook input priority 0; }; }'

# A hub's VNs are by default of data plane kmod here; the spokes make plain VXLAN devices of the same driver.
for program in $TESTS; do
    case $(basename "$program") in
        daemon-*) "$program" --nocapture hub::more_spokes hub::events ways::the_hub_comes >"$files/daemon.log" 2>&1 & ;;
    esac
done
# Those of several hubs are not about it: hubs with peers have a bridge.
"$LAB" --only 1,2,3,4,5,6,7,8,9,10,11,12,14 >"$files/lab.log" 2>&1
check "the lab: these points hold" grep -q '^\([0-9]*\) of \1 points hold' "$files/lab.log" || why "$files/lab.log"
check "each of them was proven" [ "$(grep -c 'not proven' "$files/lab.log")" = 0 ]
wait
check "1500 spokes are registered" grep -q '1500 spokes are registered, data plane kmod' "$files/daemon.log"
check "events that are lost do no harm, and the device follows its hub's address" grep -q '^test result: ok. 3 passed' "$files/daemon.log"
