#!/usr/bin/env python3
"""attribute.py PROGRAM.symbols [--functions [CRATE]]: what each crate contributes to an ELF program, in octets.

Generic functions count for the crate whose text they are, not for the one that asked for them."""
import collections
import re
import struct
import subprocess
import sys

elf = open(sys.argv[1], "rb").read()
order = "<" if elf[5] == 1 else ">"
wide = elf[4] == 2


def read(format, offset):
    return struct.unpack_from(order + format, elf, offset)


shoff, = read("Q", 40) if wide else read("I", 32)
size, count = read("HH", 58 if wide else 46)
Section = collections.namedtuple("Section", "kind flags offset size link")
sections = []
for at in range(shoff, shoff + size * count, size):
    _, kind, flags, _, offset, length, link, *_ = read("IIQQQQIIQQ" if wide else "10I", at)
    sections.append(Section(kind, flags, offset, length, link))
table = next(s for s in sections if s.kind == 2)
strings = sections[table.link].offset
symbols = []
for at in range(table.offset, table.offset + table.size, 24 if wide else 16):
    if wide:
        name, info, _, section, value, length = read("IBBHQQ", at)
    else:
        name, value, length, info, _, section = read("IIIBBH", at)
    if length and info & 15 in (1, 2) and 0 < section < len(sections) and sections[section].kind != 8:
        text = elf[strings + name : elf.index(b"\0", strings + name)].decode()
        symbols.append((section, value, length, info & 15, text))
names = subprocess.run(["c++filt"], input="\n".join(s[4] for s in symbols), text=True, capture_output=True, check=True)
crates, functions, seen = collections.Counter(), collections.Counter(), set()
for (section, value, length, kind, mangled), name in zip(symbols, names.stdout.splitlines()):
    if (section, value) in seen:
        continue
    seen.add((section, value))
    name = re.sub(r"\[[0-9a-f]{8,}\]", "", name)
    if mangled.startswith(("_ZN", "_R")):
        # <a::B as c::D>::e is a's, if a is a crate at all.
        crate = re.match(r"[<&(*\[ ]*(?:mut |dyn |const |impl )*([A-Za-z_0-9]+)(?=::|[<>])", name)
        crate = crate[1] if crate else "core"
    else:
        crate = "musl and libgcc"
    if kind == 1:
        crate += " (data)"
    crates[crate] += length
    functions[crate, name] += length
loaded = sum(s.size for s in sections if s.flags & 2 and s.kind != 8)
if len(sys.argv) > 2:
    only = sys.argv[3] if len(sys.argv) > 3 else None
    rows = [(n, f"{c}: {f}") for (c, f), n in functions.most_common() if only in (None, c)]
else:
    rows = [(n, c) for c, n in crates.most_common()]
    rows += [(loaded - sum(crates.values()), "constants, strings, tables: no symbol")]
    rows += [(loaded, "all")]
for n, what in rows:
    print(f"{n:8} {what}")
