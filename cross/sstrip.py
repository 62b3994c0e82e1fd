#!/usr/bin/env python3
"""sstrip.py FROM TO: copies an ELF program without its section headers and all that follows its last segment.

The kernel loads segments; sections only serve tools such as debuggers."""
import os
import struct
import sys

source, copy = sys.argv[1:]
with open(source, "rb") as file:
    elf = bytearray(file.read())
assert elf[:4] == b"\x7fELF", f"{source} is not an ELF file"
order = "<" if elf[5] == 1 else ">"
# Offsets of e_phoff, e_shoff, e_phentsize; those of p_offset and p_filesz inside a program header.
if elf[4] == 1:
    word, e_phoff, e_shoff, e_phentsize, p_offset, p_filesz = "I", 28, 32, 42, 4, 16
else:
    word, e_phoff, e_shoff, e_phentsize, p_offset, p_filesz = "Q", 32, 40, 54, 8, 32


def read(format, offset):
    return struct.unpack_from(order + format, elf, offset)[0]


start, size, count = read(word, e_phoff), read("H", e_phentsize), read("H", e_phentsize + 2)
headers = range(start, start + size * count, size)
end = max([headers.stop] + [read(word, h + p_offset) + read(word, h + p_filesz) for h in headers])
struct.pack_into(order + word, elf, e_shoff, 0)
struct.pack_into(order + "HHH", elf, e_phentsize + 4, 0, 0, 0)
with open(copy, "wb") as file:
    file.write(elf[:end])
os.chmod(copy, 0o755)
