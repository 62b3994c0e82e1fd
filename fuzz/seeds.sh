#!/bin/sh
# Makes fuzz/corpus/wire from the golden frames, alone and behind GRE and the VPN header, fuzz/corpus/probes,
# fuzz/corpus/import, and a first history for fuzz/corpus/operations; examples of configurations, and questions, for `uci`
# and `control`.
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
mkdir -p corpus/probes
for hex in "$golden"/[t-v]-*.hex "$golden/loop-frame.hex"; do
    octets "$hex" > "corpus/probes/$(basename "$hex" .hex)"
done
mkdir -p corpus/import
cp ../tests/import/*.conf corpus/import
mkdir -p corpus/operations
head -c 200 ../README.md > corpus/operations/text
mkdir -p corpus/uci corpus/control corpus/netlink
cp ../uci/examples/* ../tests/import/*.uci corpus/uci
printf '\100{"cmd":"macs","vn":"lan","mac":"02:00:00:00:00:01"}\n{"cmd":"status"}\n' > corpus/control/lines
printf '\003\000\000\000\003\004\000\000' > corpus/control/frame
# A forwarding entry, and a device, of which a MAC and a name are known.
printf '\034\007\000\000\000\003\000\000\000\002\000\002\000\012\000\002\002\000\000\000\000\011\000\000' > corpus/netlink/entry
printf '\020\000\000\000\000\003\000\000\000\001\000\000\000\000\000\000\000\010\000\003\000eth\000' > corpus/netlink/device
