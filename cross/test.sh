#!/usr/bin/env bash
# cross/test.sh [TARGET...]: builds for each TARGET (default: all of build.sh) and runs what was built, the foreign ones
# under qemu-user; for big-endian mips the test programs, too: what depends on byte order, word size and the C library.
# Ends with `N passed, N failed`.
# Netlink is not to be had under qemu-user; tests/qemu runs the daemon on whole machines.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-target/cross}
export OUT=$out
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(cross/build.sh --list)
# Both byte order and word size differ from a developer's machine here.
tested=mips-unknown-linux-musl
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

main() {
    local target
    cross/packages.sh qemu-user-static
    cross/build.sh "$@"
    for target; do
        echo "== $target"
        programs "$target"
        [ "$target" != $tested ] || tests "$target"
    done
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}

# What a user runs first.
programs() {
    local file program=$out/$1/dmevpn
    expect 0 '^dmevpn [0-9.]+ ' "$1" "$program" version
    expect 0 '"control":' "$1" "$program" version --json
    for file in uci/examples/*; do expect 0 'no errors' "$1" "$program" check "$file"; done
    expect 4 '^uci/schema.md:[0-9]+: ' "$1" "$program" check uci/schema.md
    expect 3 'no daemon answers at' "$1" "$program" status --socket "$log.sock"
    # NEON is not in all processors that the program is for.
    case $1 in armv7-*) expect 0 'Tag_FP_arch: VFPv3-D16' here readelf -A "$program.symbols" ;; esac
}

# expect CODE PATTERN TARGET COMMAND...: passes if the command ends with that code and says that.
expect() {
    local expected=$1 pattern=$2 target=$3 code=0
    shift 3
    run 60 "$target" "$@" || code=$?
    if [ $code = "$expected" ] && grep -qE "$pattern" "$log"; then
        count 1 0
    else
        count 0 1
        echo "FAIL ${*:2}: code $code instead of $expected, or not '$pattern':"
        sed 's/^/    /' "$log"
    fi
}

# The test programs; one that hangs or crashes counts as one failure.
tests() {
    local program result code
    cross/build.sh --tests "$1"
    for program in "$out/$1"/tests/*; do
        code=0
        # Aborts instead of unwinding, as the product does: so nothing runs after a failure.
        run 300 "$1" "$program" -Zunstable-options --force-run-in-process || code=$?
        result=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; .*/\1 \2/p' "$log")
        if [ $code = 0 ] && [ -n "$result" ]; then
            echo "$(basename "$program"): ${result% *} passed"
            # shellcheck disable=SC2086
            count $result
        else
            count 0 1
            echo "FAIL $program ended with code $code:"
            tail -n 30 "$log" | sed 's/^/    /'
        fi
    done
}

# run SECONDS TARGET COMMAND...: its output goes to the log.
run() {
    local seconds=$1 qemu
    qemu=$(emulator "$2")
    shift 2
    # Fewer cases than by default, since qemu-user is slow. The other variable permits -Z.
    # shellcheck disable=SC2086
    RUSTC_BOOTSTRAP=1 PROPTEST_CASES=64 timeout "$seconds" $qemu "$@" >"$log" 2>&1 </dev/null
}

count() {
    passed=$((passed + $1)) failed=$((failed + $2))
}

emulator() {
    case $1 in
    mips-*) echo qemu-mips-static ;;
    mipsel-*) echo qemu-mipsel-static ;;
    armv7-*) echo qemu-arm-static ;;
    aarch64-*) echo qemu-aarch64-static ;;
    *) ;;
    esac
}

main "$@"
