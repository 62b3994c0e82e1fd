# Sourced by `run`: makes guests (kernel, initramfs) and starts them. Debian 12's kernels and sources; all of it is
# kept in the cache, each piece by its version and by what it is made from.
#
# A guest's directory has `kernel` and `initramfs.gz`. On x86_64 the guest sees this machine's / (9p, read-only under
# an overlay), so that it runs what is installed and built here. The others have all they need in the initramfs.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DMEVPN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dmevpn}/qemu
all_guests=(6.1 6.12 mips mipsel arm)

# What scenes need of the kernel; what is built in, or not there, is left out. nf_tables asks for crc32c as it starts.
network_modules=(vxlan ip_gre ip6_gre bridge 8021q vrf veth dummy tun sch_netem crc32c_generic nf_tables nft_numgen nft_limit)
host_root_modules=(virtio_pci 9pnet_virtio 9p overlay)
# What those need, since a package is not unpacked as a whole. A missing one shows when the guest starts.
needed_modules=(udp_tunnel ip6_udp_tunnel gre ip_tunnel tunnel4 tunnel6 ip6_tunnel stp llc garp mrp
    nfnetlink libcrc32c
    virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev 9pnet netfs fscache)

# The GNU triplet of a guest's tools, or nothing when it uses this machine's.
triplet() {
    case $1 in
        mips) echo mips-linux-gnu ;;
        mipsel) echo mipsel-linux-gnu ;;
        arm) echo arm-linux-gnueabihf ;;
    esac
}

# The Rust target of its programs.
rust_target() {
    case $1 in
        mips) echo mips-unknown-linux-musl ;;
        mipsel) echo mipsel-unknown-linux-musl ;;
        arm) echo armv7-unknown-linux-musleabihf ;;
    esac
}

# The Debian packages that have to be installed for these guests.
packages_for() {
    echo busybox-static cpio iproute2 kmod xz-utils zstd
    local guest
    for guest in "$@"; do
        case $guest in
            6.*) echo qemu-system-x86 gcc make patch libelf1 ;;
            mips) echo qemu-system-mips gcc-mips-linux-gnu libc6-dev-mips-cross make flex bison bc bzip2 libc6-dev gcc ;;
            mipsel) echo qemu-system-mips gcc-mipsel-linux-gnu libc6-dev-mipsel-cross make flex bison bzip2 libc6-dev gcc ;;
            arm) echo qemu-system-arm gcc-arm-linux-gnueabihf libc6-dev-armhf-cross make flex bison bzip2 libc6-dev gcc ;;
        esac
    done
}

# prepare GUEST: makes it if it is not in the cache, and prints its directory.
prepare() {
    case $1 in
        mips) malta_guest ;;
        *) debian_guest "$1" ;;
    esac
}

# The Debian package of a guest's kernel.
kernel_package() {
    case $1 in
        6.1) newest linux-image-amd64 ;;
        6.12) newest linux-image-6.12-amd64 ;;
        mipsel) newest linux-image-4kc-malta:mipsel ;;
        arm) newest linux-image-armmp:armhf ;;
    esac
}

# The patched VXLAN driver for a guest.
patched_driver() {
    local image
    apt_of_guests
    image=$(kernel_package "$1")
    "$here/../../patches/build.sh" "${image#linux-image-}"
}

# boot GUEST INITRAMFS SECONDS CONSOLE: runs it; what it says goes into the file CONSOLE.
boot() {
    local dir machine options=console=ttyS0
    dir=$(prepare "$1")
    case $1 in
        # The check of the timer fails on a machine with much to do.
        6.*) options+=" no_timer_check mitigations=off" machine=(qemu-system-x86_64 -M q35 -cpu max -smp 2 -m 1024
            -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap
            -device virtio-9p-pci,fsdev=root,mount_tag=root) ;;
        mips) machine=(qemu-system-mips -M malta -m 256) ;;
        mipsel) machine=(qemu-system-mipsel -M malta -m 256) ;;
        arm) machine=(qemu-system-arm -M virt -cpu cortex-a15 -m 256) options=console=ttyAMA0 ;;
    esac
    timeout -k 5 "$3" "${machine[@]}" -accel tcg,thread=multi -kernel "$dir/kernel" -initrd "$2" \
        -append "$options panic=-1 quiet loglevel=3" -nodefaults -no-user-config -display none \
        -no-reboot -serial "file:$4" </dev/null 2>&1
}

# scene_in DIRECTORY SCENE LINE...: what a guest needs to play a scene; the lines set variables.
scene_in() {
    local dir=$1 scene=$2
    shift 2
    mkdir -p "$dir/scene/modules"
    cp "$here/lib.sh" "$here/scenes/$scene.sh" "$dir/scene/"
    [ ! -d "$here/scenes/$scene" ] || cp -r "$here/scenes/$scene" "$dir/scene/files"
    [ -z "${DMEVPN_MODULES:-}" ] || cp "$DMEVPN_MODULES"/*.ko "$dir/scene/modules/"
    printf '%s\n' "$@" "PATIENCE=${DMEVPN_PATIENCE:-1}" 'exec </dev/null' '. /scene/lib.sh' ". /scene/$scene.sh" results >"$dir/scene/start"
}

# The archive of a directory, as the kernel unpacks it.
archive() { (cd "$1" && find . | cpio -o -H newc --quiet); }

# --- what guests are made of ---

# made NAME KEY COMMAND...: the directory of something that COMMAND makes, once, in an empty directory.
made() {
    local dir=$cache/$1-$2 name=$1 new
    shift 2
    if [ ! -d "$dir" ]; then
        mkdir -p "$cache"
        (
            flock 9
            [ ! -d "$dir" ] || exit 0
            new=$(mktemp -d "$cache/new.XXXXXX")
            echo "making $name" >&2
            # In a shell of its own, since this one, in a condition, does not end at the first failure.
            if ! (cd "$new" && bash -euo pipefail -c '. "$0/guests.sh"; "$@"' "$here" "$@") >"$cache/$name.log" 2>&1; then
                tail -n 30 "$cache/$name.log" >&2
                rm -rf "$new"
                exit 1
            fi
            mv "$new" "$dir"
        ) 9>"$cache/$name.lock" || return 1
    fi
    echo "$dir"
}

# Some digits that change with the text.
hash() { printf '%s\n' "$*" | sha256sum | cut -c 1-12; }
hash_files() { cat "$@" | sha256sum | cut -c 1-12; }

# Debian 12 for all guests' architectures, apart from what is configured here.
apt_of_guests() {
    local dir=$cache/apt
    (
        flock 9
        [ -z "$(find "$dir/updated" -mtime -7 2>/dev/null)" ] || exit 0
        mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
        : >"$dir/status"
        printf '%s\n' 'APT::Architecture "amd64"; APT::Architectures { "amd64"; "mipsel"; "armhf"; };' \
            "Dir::State \"$dir\"; Dir::State::status \"$dir/status\"; Dir::Cache \"$dir/cache\";" \
            "Dir::Etc::sourceparts \"/dev/null\"; Dir::Etc::sourcelist \"$dir/sources.list\";" \
            'Acquire::Languages "none"; APT::Sandbox::User "root";' >"$dir/apt.conf"
        local from=http://deb.debian.org by='signed-by=/usr/share/keyrings/debian-archive-keyring.gpg'
        printf '%s\n' "deb [$by] $from/debian bookworm main" "deb-src [$by] $from/debian bookworm main" \
            "deb [$by arch=amd64] $from/debian-security bookworm-security main" >"$dir/sources.list"
        APT_CONFIG=$dir/apt.conf apt-get update -qq >&2 && touch "$dir/updated"
    ) 9>"$cache/apt.lock"
    export APT_CONFIG=$dir/apt.conf
}

# The package that a package for "the newest kernel" stands for.
newest() {
    local name=${1%:*} architecture=${1#"${1%:*}"}
    apt-cache depends "$1" | sed -n "s/^ *Depends: \(linux-image-[0-9][^:]*\).*/\1$architecture/p" | head -n 1 | grep . ||
        { echo "no package $name" >&2; return 1; }
}

version_of() { apt-cache policy "$1" | sed -n 's/^ *Candidate: //p' | tr ':/' '__'; }

# What decides how a guest is made.
recipe() {
    cat "$here/init"
    declare -f make_debian_guest make_malta_guest extract_kernel initramfs
    declare -p network_modules host_root_modules needed_modules
}

debian_guest() {
    local image tools=""
    apt_of_guests
    image=$(kernel_package "$1") || return 1
    [ -z "$(triplet "$1")" ] || tools=$(tools_of "$1") || return 1
    made "guest-$1" "$(version_of "$image")-$(hash "$image" "$tools" "$(recipe)")" \
        make_debian_guest "$1" "$image" "$tools"
}

make_debian_guest() {
    local guest=$1 modules=("${network_modules[@]}") patterns=(./boot/vmlinu[xz]-*) m
    case $guest in 6.*) modules+=("${host_root_modules[@]}") ;; esac
    for m in "${modules[@]}" "${needed_modules[@]}"; do
        patterns+=("*/$m.ko" "*/$m.ko.xz")
    done
    patterns+=('./lib/modules/*/modules.*')
    apt-get download "$2"
    mkdir unpacked
    # Most patterns match nothing: that is no failure here.
    dpkg-deb --fsys-tarfile ./*.deb | tar -x -C unpacked --wildcards "${patterns[@]}" || true
    extract_kernel unpacked/boot/vmlinu* kernel
    find unpacked -name '*.ko.xz' -exec unxz {} +
    initramfs unpacked "$3" "${modules[@]}"
    rm -rf unpacked ./*.deb
}

# A bzImage takes its time to unpack itself on an emulated processor.
extract_kernel() {
    local setup offset length
    [ "$(od -An -tx4 -j514 -N4 "$1" | tr -d ' ')" = 53726448 ] || { cp "$1" "$2"; return; } # not "HdrS"
    setup=$(($(od -An -tu1 -j497 -N1 "$1") * 512 + 512))
    offset=$(od -An -tu4 -j584 -N4 "$1")
    length=$(od -An -tu4 -j588 -N4 "$1")
    # The last 4 octets are not part of the compressed stream.
    tail -c +$((setup + offset + 1)) "$1" | head -c $((length - 4)) >payload || true # `tail` has more
    case $(od -An -tx1 -N4 payload | tr -d ' ') in
        fd377a58) xz -dc --single-stream <payload >"$2" ;;
        28b52ffd) zstd -dcq <payload >"$2" ;;
        *) cp "$1" "$2" ;;
    esac
    rm payload
}

# initramfs UNPACKED TOOLS MODULE...: makes initramfs.gz.
initramfs() {
    local unpacked=$1 tools=$2 version
    shift 2
    mkdir -p root/{bin,sbin,etc,dev,proc,sys,tmp,run/netns,var}
    ln -s /run root/var/run
    cp "$here/init" root/init
    printf '%s\n' "$@" >root/etc/modules
    if [ -n "$tools" ]; then
        cp "$tools"/* root/bin/
    else
        cp -L /bin/busybox root/bin/busybox
    fi
    if [ -d "$unpacked/lib/modules" ]; then
        cp -r "$unpacked/lib" root/
        for version in root/lib/modules/*; do depmod -b root "${version##*/}"; done
    fi
    archive root | gzip -1 >initramfs.gz
    rm -rf root
}

# The big-endian guest: Debian has no kernel for it, so it is built from Debian's source.
malta_guest() {
    local tools kernel
    apt_of_guests
    tools=$(tools_of mips) || return 1
    kernel=$(made malta-kernel "$(version_of linux-source-6.1)-$(hash_files "$here/malta.config")" make_malta_kernel) ||
        return 1
    made guest-mips "$(hash "$tools" "$kernel" "$(recipe)")" \
        make_malta_guest "$kernel" "$tools"
}

make_malta_kernel() {
    local make=(make -s -C linux ARCH=mips CROSS_COMPILE=mips-linux-gnu- "KCONFIG_ALLCONFIG=$here/malta.config")
    apt-get download linux-source-6.1
    dpkg-deb --fsys-tarfile ./*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' >source.tar.xz
    mkdir linux
    tar -x -C linux --strip-components=1 -f source.tar.xz
    rm source.tar.xz ./*.deb
    "${make[@]}" allnoconfig
    all_options_in linux/.config "$here/malta.config"
    "${make[@]}" -j2 vmlinux
    cp linux/vmlinux linux/.config .
    rm -rf linux
}

# An option that is not known, or that misses another one, is left out without a word.
all_options_in() {
    ! grep '^CONFIG' "$2" | grep -vxFf "$1" || { echo "these options are not in the configuration"; return 1; }
}

make_malta_guest() {
    initramfs none "$2" "${network_modules[@]}"
    cp "$1/vmlinux" kernel
}

# Static busybox, ip, bridge and tc for a guest.
tools_of() {
    made "tools-$1" "$(hash "$(source_version busybox)" "$(source_version iproute2)" "$(hash_files "$here/busybox.config")" \
        "$(declare -f make_tools make_busybox make_iproute2)")" make_tools "$(triplet "$1")"
}

source_version() { apt-cache showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -V | tail -n 1; }

make_tools() {
    apt-get source --download-only -qq busybox iproute2
    make_busybox "$1"
    make_iproute2 "$1"
    rm -rf build ./*.tar.* ./*.dsc
}

make_busybox() {
    mkdir build
    tar -x -C build --strip-components=1 -f busybox_*.orig.tar.*
    make -s -C build allnoconfig
    sed 's/=.*/[= ]/; s/^/^\\(# \\)\\?/' "$here/busybox.config" | grep -vf - build/.config >build/config
    cat build/config "$here/busybox.config" >build/.config
    # What else there is to choose, as by default. (`yes` never ends well.)
    yes '' | make -s -C build oldconfig || true
    all_options_in build/.config "$here/busybox.config"
    make -s -C build -j2 CROSS_COMPILE="$1-"
    cp build/busybox .
    rm -rf build
}

make_iproute2() {
    mkdir build
    tar -x -C build --strip-components=1 -f iproute2_*.orig.tar.*
    # Instead of ./configure, which asks for what is installed here.
    printf '%s\n' 'PKG_CONFIG := false' 'HAVE_SETNS := y' 'TC_CONFIG_NO_XT := y' 'YACC := bison' 'LDFLAGS += -static' \
        'CFLAGS += -DHAVE_SETNS -DHAVE_HANDLE_AT -DNEED_STRLCPY' '%.o: %.c' \
        $'\t$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(CPPFLAGS) -c -o $@ $<' >build/config.mk
    make -s -C build -j2 SHARED_LIBS=n HOSTCC=gcc CC="$1-gcc" AR="$1-ar" SUBDIRS='lib ip bridge tc'
    "$1-strip" -o ip build/ip/ip
    "$1-strip" -o bridge build/bridge/bridge
    "$1-strip" -o tc build/tc/tc
}
