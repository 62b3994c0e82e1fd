#!/usr/bin/env python3
"""size.py [TARGET...]: compares the built programs with cross/size-budget.toml; fails when one is too large."""
import lzma
import os
import pathlib
import sys
import tomllib

here = pathlib.Path(__file__).parent
out = pathlib.Path(os.environ.get("OUT", here.parent / "target/cross"))
budgets = tomllib.loads((here / "size-budget.toml").read_text())
too_large = 0
for target in sys.argv[1:] or budgets:
    program = (out / target / "dmevpn").read_bytes()
    # As OpenWrt's squashfs images and packages compress: an upper bound, since they know the processor's code.
    sizes = {"binary": len(program), "compressed": len(lzma.compress(program, preset=9 | lzma.PRESET_EXTREME))}
    for what, size in sizes.items():
        budget = budgets[target][what] * 1024
        verdict = "ok" if size <= budget else "TOO LARGE"
        too_large += size > budget
        print(f"{target:30} {what:10} {size / 1024:6.1f} of {budget / 1024:3.0f} KiB  {verdict}")
sys.exit(1 if too_large else 0)
