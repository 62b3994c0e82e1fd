# Every test of the project in real networks, and the lab.
# guests: 6.1 6.12
# seconds: 600

# A guest's processor is many times slower than the one it runs on.
export DMEVPN_LAB_PATIENCE=6
cd "$REPOSITORY" || exit 1

# Most of the time they wait, so all programs run at once. Of a program's tests only one runs at a time.
began=$(now)
for program in $TESTS; do
    name=$(basename "$program" | sed 's/-[0-9a-f]*$//')
    (
        "$program" --test-threads 1 >"$files/$name.log" 2>&1
        echo $(($(now) - began)) >"$files/$name.seconds"
    ) &
done
"$LAB" >"$files/lab.log" 2>&1
echo $(($(now) - began)) >"$files/lab.seconds"
wait

for program in $TESTS; do
    name=$(basename "$program" | sed 's/-[0-9a-f]*$//')
    expected=$("$program" --list | grep -c ': test$')
    passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed; 0 failed; 0 ignored.*/\1/p' "$files/$name.log")
    check "$name: ${passed:-not all} of $expected tests pass ($(cat "$files/$name.seconds") s)" \
        [ "$expected" -gt 0 -a "$passed" = "$expected" ]
done
held=$(sed -n 's/^\([0-9]*\) of 9 points hold.*/\1/p' "$files/lab.log")
check "the lab: $held of 9 points hold ($(cat "$files/lab.seconds") s)" [ "$held" = 9 ]
