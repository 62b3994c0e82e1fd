#!/bin/sh
# fuzz/run.sh [SECONDS [TARGET]]: fuzzes `wire`, or TARGET, from what tests have on, with a stable compiler; needs g++
# and xxd.
set -eu
cd "$(dirname "$0")"
target=x86_64-unknown-linux-gnu
./seeds.sh
# With --target the flags stay away from build scripts.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks --cfg fuzzing" \
  cargo build --locked --release --target "$target"
name=${2:-wire}
exec "target/$target/release/$name" -max_total_time="${1:-60}" -max_len=1500 "corpus/$name"
