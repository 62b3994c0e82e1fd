#!/bin/sh
# prepare.sh TARBALL VERSION DIR
#
# Takes the VXLAN driver of Linux VERSION out of the kernel's TARBALL, patches it, and leaves it in the empty directory
# DIR, ready for `make -C KERNEL M=DIR modules` (see Kbuild). Used by build.sh and by OpenWrt's package.
set -eu

[ $# -eq 3 ] || { sed -n '2s/^# /usage: /p' "$0" >&2; exit 2; }
tarball=$1 version=$2 dir=$3
here=$(cd "$(dirname "$0")" && pwd)

line=$(echo "$version" | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')
patch=$(find "$here" -name "$line-*.patch")
[ -n "$patch" ] || { echo "prepare.sh: there is no patch for Linux $version" >&2; exit 1; }

tar -x -C "$dir" --strip-components=1 -f "$tarball" --wildcards '*/drivers/net/vxlan*'
patch -d "$dir" -p1 <"$patch"
# A directory, or before 5.15.126 one file.
if [ -d "$dir/drivers/net/vxlan" ]; then
    mv "$dir"/drivers/net/vxlan/* "$dir"
else
    mv "$dir/drivers/net/vxlan.c" "$dir"
fi
rm -r "$dir/drivers"
cp "$here/Kbuild" "$dir"
