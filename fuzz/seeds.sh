#!/bin/sh
# Makes fuzz/corpus/wire from the golden frames, alone and behind GRE and the VPN header, fuzz/corpus/import, and a first
# history for fuzz/corpus/operations.
set -eu
cd "$(dirname "$0")"
golden=../tests/golden
corpus=corpus/wire
mkdir -p "$corpus"
octets() { sed 's/#.*//' "$@" | xxd -r -p; }
for hex in "$golden"/*.hex; do
    name=$(basename "$hex" .hex)
    octets "$hex" > "$corpus/$name"
    { printf '\000\000\040\001'; octets "$golden/llc-prefix.hex" "$hex"; } > "$corpus/gre-$name"
done
mkdir -p corpus/import
cp ../tests/import/*.conf corpus/import
mkdir -p corpus/operations
head -c 200 ../README.md > corpus/operations/text
