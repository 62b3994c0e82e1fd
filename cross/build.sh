#!/usr/bin/env bash
# cross/build.sh [--dynamic | --example NAME | --tests | --list] [TARGET...]: musl binaries for routers, made on a Debian 12 machine.
#
# For each TARGET (default: all five below) it writes, under $OUT (default: target/cross in this repository),
#     TARGET/dmevpn          the program, static and stripped; dmevpn.symbols beside it is not
#     TARGET-dynamic/dmevpn  with --dynamic: the program of OpenWrt packages, which takes musl from the router and has no
#                            default features; that for MIPS has no texts of panics
#     TARGET/NAME            the example, stripped, with --example (then nothing else is built)
#     TARGET/tests/NAME      test programs that run under qemu-user, with --tests (then nothing else is built)
# --list prints the targets.
# The compiler, Zig (C compiler, linker and musl) and all intermediate results are kept in $DMEVPN_CACHE
# (default: ~/.cache/dmevpn). What is missing from the machine is installed if this runs as root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
out=${OUT:-$repository/target/cross}
targets=(mips-unknown-linux-musl mipsel-unknown-linux-musl armv7-unknown-linux-musleabihf
    aarch64-unknown-linux-musl x86_64-unknown-linux-musl)
# What makes LLVM's code for MIPS smaller although it is told to optimise for size: calls of memcpy in place of many loads and
# stores, no values kept in registers for long, which then have to be saved, and the order of the source, which compresses
# better (docs/decisions/0015-packages-without-an-sdk.md).
small_mips=(max-store-memcpy=1 disable-machine-licm disable-machine-cse disable-lsr enable-tail-merge pre-RA-sched=source)
# What depends on byte order and word size, and needs no netlink.
tests=(--lib --test wire_golden --test wire_properties --test conformance_wire)

# Debian's Rust: unlike rustup's it comes with the standard library's source from the same package registry.
packages=(rustc-web cargo-web rust-web-src gcc libc6-dev python3 python3-venv)
# The last Zig that links musl's own malloc; later ones replace it by a larger one.
zig_version=0.15.2
cache=${DMEVPN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dmevpn}/cross
venv=$cache/zig-$zig_version

main() {
    local what=program linking=static target
    while [ $# -gt 0 ]; do
        case $1 in
        --dynamic) what=dynamic linking=dynamic ;;
        --example) what=example example=$2; shift ;;
        --tests) what=tests ;;
        --list) printf '%s\n' "${targets[@]}"; return ;;
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit ;;
        -*) echo "unknown option $1, see --help" >&2; exit 2 ;;
        *) break ;;
        esac
        shift
    done
    [ $# -eq 0 ] || targets=("$@")
    for target in "${targets[@]}"; do zig_target "$target" >/dev/null; done
    get_tools
    # One at a time: cargo puts the results of all clones of this repository into the same place.
    exec 9>"$cache/lock"
    flock 9
    for target in "${targets[@]}"; do
        prepare "$target"
        "build_$what" "$target"
    done
}

build_program() {
    cargo build --bin dmevpn
    keep_program "$out/$1"
}

build_dynamic() {
    cargo build --bin dmevpn --no-default-features -Zpanic-immediate-abort
    keep_program "$out/$1-dynamic"
}

build_example() {
    cargo build --example "$example"
    mkdir -p "$out/$1"
    keep "$built/examples/$example" "$out/$1/$example"
}

build_tests() {
    local program name
    mkdir -p "$out/$1/tests"
    cargo test --no-run -Zpanic-abort-tests "${tests[@]}" --message-format=json |
        sed -n 's/.*"test":true},"features".*"executable":"\([^"]*\)".*/\1/p' |
        while read -r program; do
            name=$(basename "$program")
            install -m 755 "$program" "$out/$1/tests/${name%-*}"
        done
}

keep_program() {
    mkdir -p "$1"
    install -m 755 "$built/dmevpn" "$1/dmevpn.symbols"
    keep "$built/dmevpn" "$1/dmevpn"
}

# Copies a program without what follows its last segment: all symbols, and 80 kB that `strip` leaves on MIPS.
keep() {
    python3 "$here/sstrip.py" "$1" "$2"
    echo "$2: $(stat -c %s "$2") bytes"
}

# Debian's cargo, with the standard library built for size.
cargo() {
    local command=$1
    shift
    (cd "$repository" && /usr/bin/cargo "$command" --locked --release --target "$target" \
        -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size "$@")
}

# Sets the environment of `cargo` for a target, and `built`, where it puts its results.
prepare() {
    local name flags flag
    name=$(tr a-z- A-Z_ <<<"$1")
    # Not position-independent: on MIPS that alone takes 120 KiB.
    flags="-Clink-self-contained=no -Crelocation-model=static -Cforce-unwind-tables=no"
    case $linking in
    static) flags+=" -Ctarget-feature=+crt-static" ;;
    dynamic) flags+=" -Ctarget-feature=-crt-static" ;;
    esac
    unset CARGO_PROFILE_RELEASE_PANIC
    case $linking-$1 in
    dynamic-mips*)
        # Without the texts of panics nobody writes where one happened, nor what `Debug` makes of values.
        flags+=" -Zlocation-detail=none -Zfmt-debug=none"
        export CARGO_PROFILE_RELEASE_PANIC=immediate-abort
        ;;
    esac
    case $1 in mips*) for flag in "${small_mips[@]}"; do flags+=" -Cllvm-args=-$flag"; done ;; esac
    # On musl of 32 bits the libc crate's time_t has 32 bits. That is also what rustix takes for MIPS when told
    # so; otherwise timerfd gets garbage there and every timer of async-io hangs.
    case $1 in mips*) flags+=" --cfg=fix_y2038" ;; esac
    # LLVM takes all 32 registers of VFPv3 for granted in an ARMv7, rustc promises 16.
    case $1 in armv7-*) flags+=" -Ctarget-feature=-d32" ;; esac
    # Where sources lie on this machine is nobody's business, and would make each machine's program another one.
    flags+=" --remap-path-prefix=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/= --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src/="
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER RUSTUP_TOOLCHAIN
    ZIG=$(echo "$venv"/lib/python3*/site-packages/ziglang/zig)
    ZIG_TARGET=$(zig_target "$1")
    CARGO_TARGET_DIR=$cache/target-$(rust_version)
    ZIG_CPU=$(zig_cpu "$1")
    ZIG_LINKING=$linking
    export ZIG ZIG_TARGET ZIG_CPU ZIG_LINKING ZIG_GLOBAL_CACHE_DIR="$cache/zig-cache" ZIG_LOCAL_CACHE_DIR="$cache/zig-cache"
    # -Zbuild-std wants a nightly compiler; RUSTC_BOOTSTRAP makes this one such.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_STRIP=false
    export "CARGO_TARGET_${name}_LINKER=$here/cc" "CARGO_TARGET_${name}_RUSTFLAGS=$flags"
    built=$CARGO_TARGET_DIR/$1/release
}

# musleabi is soft-float, musleabihf is not.
zig_target() {
    case $1 in
    mips-*) echo mips-linux-musleabi ;;
    mipsel-*) echo mipsel-linux-musleabi ;;
    armv7-*) echo arm-linux-musleabihf ;;
    aarch64-*) echo aarch64-linux-musl ;;
    x86_64-*) echo x86_64-linux-musl ;;
    *) echo "unknown target $1; known: ${targets[*]}" >&2; exit 2 ;;
    esac
}

# Zig's baseline is the same processor as rustc's, but for ARM: there it has NEON, which some routers' have not (Armada XP).
zig_cpu() {
    case $1 in
    armv7-*) echo baseline-neon-d32-vfp3-vfp3sp ;;
    *) echo baseline ;;
    esac
}

rust_version() { /usr/bin/rustc --version | cut -d' ' -f2; }

get_tools() {
    "$here/packages.sh" "${packages[@]}"
    # No dependency ties these two packages together.
    [ -d "/usr/src/rustc-$(rust_version)" ] || { echo "rust-web-src is not of rustc's version $(rust_version)" >&2; exit 1; }
    mkdir -p "$cache"
    if [ ! -x "$venv/bin/python3" ] || ! "$venv/bin/python3" -c 'import ziglang' 2>/dev/null; then
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install -q "ziglang==$zig_version"
    fi
}

main "$@"
