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
# No fuzz: a hunk that only nearly fits may land in the wrong place.
if [ -d "$dir/drivers/net/vxlan" ]; then
    patch -d "$dir" -p1 -F0 <"$patch"
    mv "$dir"/drivers/net/vxlan/* "$dir"
else # before 5.15.126 and 5.10.190 the driver is one file
    patch -F0 "$dir/drivers/net/vxlan.c" "$patch"
    mv "$dir/drivers/net/vxlan.c" "$dir"
fi
rm -r "$dir/drivers"
cp "$here/Kbuild" "$dir"
