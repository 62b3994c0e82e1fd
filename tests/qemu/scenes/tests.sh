# Every test of the project in real networks, and the lab.
# guests: 6.1 6.12
# seconds: 600

# A guest's processor is many times slower than the one it runs on.
export DMEVPN_LAB_PATIENCE=$((6 * PATIENCE))
cd "$REPOSITORY" || exit 1

# why LOG: what went wrong, when something did.
why() { { grep -E "^ *- |^FAIL|FAILED|panicked" "$1"; tail -n 30 "$1"; } | sed "s/^/    /"; }

# tests PROGRAM: runs all its tests, one at a time.
tests() {
    name=$(basename "$1" | sed 's/-[0-9a-f]*$//') began=$(now)
    expected=$("$1" --list | grep -c ': test$')
    "$1" --test-threads 1 >"$files/$name.log" 2>&1
    passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed; 0 failed; 0 ignored.*/\1/p' "$files/$name.log")
    check "$name: ${passed:-not all} of $expected tests pass, after $(($(now) - began)) s" \
        [ "$expected" -gt 0 -a "$passed" = "$expected" ] || why "$files/$name.log"
}

# Most of the time they wait, so all programs run at once.
for program in $TESTS; do tests "$program" & done
began=$(now)
"$LAB" >"$files/lab.log" 2>&1
held=$(sed -n 's/^\([0-9]*\) of 9 points hold.*/\1/p' "$files/lab.log")
check "the lab: $held of 9 points hold, after $(($(now) - began)) s" [ "$held" = 9 ] || why "$files/lab.log"
wait
