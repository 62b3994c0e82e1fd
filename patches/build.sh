#!/bin/bash
# build.sh [-m NAME] VERSION [DIR]
#
# Builds the patched vxlan driver for Debian's kernel VERSION (as `uname -r` prints it), out of tree, and prints the
# module's path. NAME is vxlan_dmevpn, or vxlan to replace the stock module.
#
# DIR has the unpacked packages linux-headers-VERSION, its -common, linux-kbuild and linux-source, all of exactly the
# image's version (`/` if they are installed). Without it they are fetched; APT_CONFIG may name another configuration
# of apt. Packages and module are kept in ${DMEVPN_CACHE:-~/.cache/dmevpn}/vxlan. Needs gcc, make, patch, xz-utils.
set -euo pipefail

usage() { sed -n '2s/^# /usage: /p' "$0" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DMEVPN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dmevpn}/vxlan
name=vxlan_dmevpn
while getopts m: option; do
    case $option in
        m) name=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || [ $# -eq 2 ] || usage
version=$1
line=$(sed -n 's/^\([0-9]*\.[0-9]*\)\..*/\1/p' <<<"$version")
for tool in gcc make patch xz; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

# Fetches and unpacks the packages of exactly the image's version, once.
fetch() {
    local exact packages dir new
    exact=$(apt-cache policy "linux-image-$version" | sed -n 's/^ *Candidate: //p')
    [ -n "$exact" ] || { echo "apt knows no linux-image-$version" >&2; exit 1; }
    dir=$cache/packages-$version-${exact//:/_}
    if [ ! -d "$dir" ]; then
        mapfile -t packages < <(apt-cache depends "linux-headers-$version" |
            sed -n 's/^ *Depends: \(linux-\(headers\|kbuild\)-.*\)/\1/p')
        new=$(mktemp -d "$cache/new.XXXXXX")
        (
            cd "$new"
            for package in "linux-headers-$version" "${packages[@]}" "linux-source-$line"; do
                apt-get download -qq -o APT::Sandbox::User=root "$package=$exact"
            done
            for package in ./*.deb; do dpkg-deb -x "$package" .; done
            rm ./*.deb
        ) >&2
        mv "$new" "$dir"
    fi
    echo "$dir"
}

mkdir -p "$cache"
dir=$(cd "${2:-$(fetch)}" && pwd)
source=$dir/usr/src/linux-source-$line.tar.xz
headers=$dir/usr/src/linux-headers-$version
for need in "$source" "$headers"; do
    [ -e "$need" ] || { echo "$need is missing" >&2; exit 1; }
done
key=$(cat "$headers/.config" "$here/Kbuild" "$here/$line"-*.patch "$here"/*.sh | sha256sum | cut -c 1-12)
out=$cache/module-$version-$key
[ ! -f "$out/$name.ko" ] || { echo "$out/$name.ko"; exit 0; }

work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
{
    mkdir "$work/driver" "$work/headers"
    "$here/prepare.sh" "$source" "$version" "$work/driver"
    # The package's Makefile names the place where the package would be installed.
    common=$dir/usr/src/$(sed -n 's#^include .*/\(linux-headers-[^/]*\)/Makefile$#\1#p' "$headers/Makefile")
    cp -as "$headers/." "$work/headers"
    rm "$work/headers/Makefile"
    echo "include $common/Makefile" >"$work/headers/Makefile"
    make -s -C "$work/headers" M="$work/driver" VXLAN_MODULE="$name" CONFIG_DEBUG_INFO_BTF_MODULES= modules
    strip --strip-debug "$work/driver/$name.ko"
    mkdir -p "$out"
    mv "$work/driver/$name.ko" "$out"
} >&2
echo "$out/$name.ko"
