#!/usr/bin/env python3
"""size.py [TARGET | ARCHITECTURE]...: compares the built programs, and the packages for OpenWrt's ARCHITECTURE, with
cross/size-budget.toml; fails when one is too large. Without an argument it takes all that have a budget."""
import lzma
import os
import pathlib
import sys
import tomllib

here = pathlib.Path(__file__).parent
programs = pathlib.Path(os.environ.get("OUT", here.parent / "target/cross"))
packages = here.parent / "target/openwrt"
budgets = tomllib.loads((here / "size-budget.toml").read_text())


def sizes(name: str) -> dict[str, int]:
    """The sizes of a target's program, or of the package for an architecture and of the program in it."""
    if name in budgets["programs"]:
        program = (programs / name / "dmevpn").read_bytes()
        return {"binary": len(program), "compressed": compressed(program)}
    package, = (packages / name).glob("dmevpn_*.ipk")
    program = (programs / f"{budgets['packages'][name]['target']}-dynamic" / "dmevpn").read_bytes()
    return {"package": package.stat().st_size, "compressed": compressed(program)}


def compressed(program: bytes) -> int:
    """As OpenWrt's squashfs images compress: an upper bound, since they know the processor's code."""
    return len(lzma.compress(program, preset=9 | lzma.PRESET_EXTREME))


too_large = 0
for name in sys.argv[1:] or [name for table in budgets.values() for name in table]:
    budget = budgets["programs"].get(name) or budgets["packages"][name]
    for what, size in sizes(name).items():
        limit = budget[what] * 1024
        verdict = "ok" if size <= limit else "TOO LARGE"
        too_large += size > limit
        print(f"{name:30} {what:10} {size / 1024:6.1f} of {limit / 1024:3.0f} KiB  {verdict}")
sys.exit(1 if too_large else 0)
