# Every test of the project in real networks, on one of the kernels: those of the daemon on 6.12, the others on 6.1.
# guests: 6.1 6.12
# seconds: 900

# A guest's processor is many times slower than the one it runs on.
export DMEVPN_LAB_PATIENCE=$((6 * PATIENCE))
cd "$REPOSITORY" || exit 1

# tests PROGRAM: runs all its tests, one at a time.
tests() {
    name=$(basename "$1" | sed 's/-[0-9a-f]*$//') began=$(now)
    expected=$("$1" --list | grep -c ': test$')
    "$1" --test-threads 1 >"$files/$name.log" 2>&1
    passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed; 0 failed; 0 ignored.*/\1/p' "$files/$name.log")
    check "$name: ${passed:-not all} of $expected tests pass, after $(($(now) - began)) s" \
        [ "$expected" -gt 0 -a "$passed" = "$expected" ] || why "$files/$name.log"
}

for program in $TESTS; do
    case $(uname -r)/$(basename "$program") in
        6.1.*/daemon-* | 6.12.*/network-*) ;;
        *) tests "$program" ;;
    esac
done
# On 6.1 `network` proves the lab's points.
case $(uname -r) in
    6.12.*)
        "$LAB" >"$files/lab.log" 2>&1
        check "the lab: all points hold" grep -q '^\([0-9]*\) of \1 points hold' "$files/lab.log" || why "$files/lab.log"
        check "each of them was proven" [ "$(grep -c 'not proven' "$files/lab.log")" = 0 ]
        ;;
esac
