# A hub whose VXLAN driver has the patch: data plane kmod.
# guests: 6.1 6.12
# seconds: 900
# driver: patched

export DMEVPN_LAB_PATIENCE=6
cd "$REPOSITORY" || exit 1

check "the stock driver stays out" [ ! -e /sys/module/vxlan ]
patches/test_vxlan_learn_vni.sh >"$files/selftest.log" 2>&1
check "the driver's selftest: $(grep -c '\[ OK \]' "$files/selftest.log") checks" [ $? = 0 ]

# Each VN of a hub is by default of data plane kmod here; the spokes make plain VXLAN devices of the same driver.
began=$(now)
"$LAB" >"$files/lab.log" 2>&1 &
for program in $TESTS; do
    case $(basename "$program") in
        network-*) "$program" --test-threads 1 >"$files/network.log" 2>&1 ;;
        daemon-*) "$program" --test-threads 1 --nocapture hub::more_spokes >"$files/spokes.log" 2>&1 ;;
    esac
done
wait
check "the lab: 9 of 9 points hold ($(($(now) - began)) s)" grep -q '^9 of 9 points hold' "$files/lab.log"
check "the lab's points as tests pass" grep -q '^test result: ok. [1-9][0-9]* passed' "$files/network.log"
check "1500 spokes are registered, data plane kmod" grep -q '1500 spokes are registered, data plane kmod' "$files/spokes.log"
