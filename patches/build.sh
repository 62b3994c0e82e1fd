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
patches=("$here/$line"-*.patch)
[ -f "${patches[0]}" ] || { echo "there is no patch for $version" >&2; exit 1; }
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
                apt-get download -qq "$package=$exact"
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
key=$(cat "$headers/.config" "$here/Kbuild" "${patches[@]}" "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-12)
out=$cache/module-$version-$key
[ ! -f "$out/$name.ko" ] || { echo "$out/$name.ko"; exit 0; }

work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
{
    tar -x -C "$work" --strip-components=1 -f "$source" --wildcards '*/drivers/net/vxlan*'
    for patch in "${patches[@]}"; do patch -d "$work" -p1 <"$patch"; done
    module=$work/drivers/net/vxlan
    [ -d "$module" ] || module=$work/drivers/net
    cp "$here/Kbuild" "$module"
    # The package's Makefile names the place where the package would be installed.
    common=$dir/usr/src/$(sed -n 's#^include .*/\(linux-headers-[^/]*\)/Makefile$#\1#p' "$headers/Makefile")
    mkdir "$work/headers"
    cp -as "$headers/." "$work/headers"
    rm "$work/headers/Makefile"
    echo "include $common/Makefile" >"$work/headers/Makefile"
    make -s -C "$work/headers" M="$module" VXLAN_MODULE="$name" CONFIG_DEBUG_INFO_BTF_MODULES= modules
    strip --strip-debug "$module/$name.ko"
    mkdir -p "$out"
    mv "$module/$name.ko" "$out"
} >&2
echo "$out/$name.ko"
