#!/bin/sh
# fuzz/run.sh [SECONDS [TARGET | all]]: fuzzes `wire`, or TARGET, or each target for so long, from what tests have on, with a
# stable compiler; needs g++ and xxd.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
target=x86_64-unknown-linux-gnu
./seeds.sh
# With --target the flags stay away from build scripts.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks --cfg fuzzing" \
  cargo build --locked --release --target "$target"
fuzz() {
    name=$1
    shift
    "target/$target/release/$name" -max_total_time="$seconds" -max_len=1500 "$@" "corpus/$name"
}
[ "${2:-wire}" = all ] || { fuzz "${2:-wire}"; exit; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for file in fuzz_targets/*.rs; do
    name=$(basename "$file" .rs)
    fuzz "$name" -print_final_stats=1 >"$log" 2>&1 || { tail -n 60 "$log"; exit 1; }
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions"
done
