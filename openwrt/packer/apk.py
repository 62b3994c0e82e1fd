"""Packages of apk (OpenWrt 25.12): apk-tools' format 3.

A file is a header and blocks, all numbers little-endian. The first block, ADB, describes the package as a tree of values;
a DATA block for each file follows, that is not empty. A value is a word: four bits for its kind, 28 for the value itself
or for the place in the block where it is. See apk-v3(5) and apk-package(5).
"""

import hashlib
import struct
import zlib

from .package import File, Package, directories, lines, sha256, with_kept

NUMBER, NUMBER_32 = 0x1 << 28, 0x2 << 28
BLOB_8, BLOB_16, BLOB_32 = 0x8 << 28, 0x9 << 28, 0xA << 28
OBJECT = 0xE << 28  # an array, too: so does `apk mkpkg`
NULL = 0

BLOCK_ADB, BLOCK_DATA = 0, 2

POST_INSTALL = """#!/bin/sh
[ "${{IPKG_NO_SCRIPT}}" = "1" ] && exit 0
[ -s ${{IPKG_INSTROOT}}/lib/functions.sh ] || exit 0
. ${{IPKG_INSTROOT}}/lib/functions.sh
export root="${{IPKG_INSTROOT}}"
export pkgname="{name}"
add_group_and_user
default_postinst
"""
PRE_DEINSTALL = """#!/bin/sh
[ -s ${{IPKG_INSTROOT}}/lib/functions.sh ] || exit 0
. ${{IPKG_INSTROOT}}/lib/functions.sh
export root="${{IPKG_INSTROOT}}"
export pkgname="{name}"
default_prerm
"""


def file_name(package: Package) -> str:
    return f"{package.name}-{package.version}.apk"


def pack(package: Package, time: int) -> bytes:
    files = with_lists(package)
    paths = directories(files)
    tree = {path: {} for path in paths}
    for path, file in sorted(files.items()):
        parent, _, name = path.rpartition("/")
        tree[parent][name] = file
    plain = b"ADB.pckg" + block(BLOCK_ADB, database(package, tree, time))
    for at, path in enumerate(paths, 1):
        for number, file in enumerate(tree[path].values(), 1):
            if file.content:
                plain += block(BLOCK_DATA, struct.pack("<II", at, number) + file.content)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"ADBd" + compressor.compress(plain) + compressor.flush()


def with_lists(package: Package) -> dict[str, File]:
    """The files, and those by which OpenWrt's functions.sh knows a package's files and user, and sysupgrade what was changed."""
    files = with_kept(package)
    base = f"lib/apk/packages/{package.name}"
    if package.user:
        files[f"{base}.rusers"] = File(0o644, lines([package.user]))
    files[f"{base}.list"] = File(0o644, lines(sorted(f"/{path}" for path in files)))
    if package.conffiles:
        files[f"{base}.conffiles"] = File(0o644, lines(package.conffiles))
        brought = [path for path in package.conffiles if path.lstrip("/") in files]
        if brought:
            sums = [f"{path} {sha256(files[path.lstrip('/')].content)}" for path in brought]
            files[f"{base}.conffiles_static"] = File(0o644, lines(sums))
    return files


def scripts(package: Package) -> list[str | None]:
    """In the format's order: trigger, pre-install, post-install, pre-deinstall, post-deinstall, pre-upgrade, post-upgrade."""
    install = POST_INSTALL.format(name=package.name) + without_interpreter(package.postinst)
    remove = PRE_DEINSTALL.format(name=package.name) + without_interpreter(package.prerm)
    upgrade = "#!/bin/sh\nexport PKG_UPGRADE=1\n" + without_interpreter(install)
    return [None, None, install, remove, package.postrm, None, upgrade]


def without_interpreter(script: str) -> str:
    return "".join(f"{line}\n" for line in script.splitlines() if not line.lstrip().startswith("#!"))


def block(kind: int, payload: bytes) -> bytes:
    """A word before the payload says its kind and length; after it come zeros up to a multiple of 8."""
    length = 4 + len(payload)
    return struct.pack("<I", kind << 30 | length) + payload + bytes(-length % 8)


def database(package: Package, tree: dict[str, dict[str, File]], time: int) -> bytes:
    values = Values()
    # The package's unique id is made of all the rest; until then these octets are zero, and no other value's.
    identity = values.blob(bytes(20))
    architecture = "noarch" if package.architecture == "all" else package.architecture
    info = values.object(
        values.text(package.name),
        values.text(package.version),
        identity,
        values.text(" ".join(package.description.split())),
        values.text(architecture),
        values.text(package.license),
        values.text(package.source),
        values.text(package.maintainer),
        values.text(package.url),
        NULL,  # commit of a repository
        NULL,  # time of building
        values.number(sum(len(file.content) for files in tree.values() for file in files.values())),
        NULL,  # size of the file: in indexes only
        NULL,  # priority as a provider
        values.array([values.object(values.text(name)) for name in sorted(package.depends)]),
        values.array([values.object(values.text(f"{package.name}-any"))]),
    )
    paths = [
        values.object(
            values.text(path),
            values.access(0o755),
            values.array([values.file(name, file, time) for name, file in files.items()]),
        )
        for path, files in tree.items()
    ]
    root = values.object(
        info,
        values.array(paths),
        values.object(*(values.text(script or "") for script in scripts(package))),
    )
    payload = bytearray(values.finish(root))
    at = (identity & 0x0FFFFFFF) + 1
    payload[at:at + 20] = hashlib.sha256(payload).digest()[:20]
    return bytes(payload)


class Values:
    """The payload of an ADB block while it grows; equal values are there once."""

    def __init__(self) -> None:
        self.octets = bytearray(8)  # two versions, zero, and the root's word
        self.places: dict[tuple[int, bytes], int] = {}

    def finish(self, root: int) -> bytes:
        struct.pack_into("<I", self.octets, 4, root)
        return bytes(self.octets)

    def number(self, value: int) -> int:
        if value < 1 << 28:
            return NUMBER | value
        return NUMBER_32 | self.place(struct.pack("<I", value), 4)

    def text(self, text: str) -> int:
        return self.blob(text.encode())

    def blob(self, data: bytes) -> int:
        if not data:
            return NULL
        if len(data) < 1 << 8:
            return BLOB_8 | self.place(struct.pack("<B", len(data)) + data, 1)
        if len(data) < 1 << 16:
            return BLOB_16 | self.place(struct.pack("<H", len(data)) + data, 2)
        return BLOB_32 | self.place(struct.pack("<I", len(data)) + data, 4)

    def array(self, words: list[int]) -> int:
        return OBJECT | self.slots(words) if words else NULL

    def object(self, *words: int) -> int:
        used = list(words)
        while used and used[-1] == NULL:
            used.pop()
        return OBJECT | self.slots(used) if used else NULL

    def access(self, mode: int) -> int:
        return self.object(self.number(mode), self.text("root"), self.text("root"))

    def file(self, name: str, file: File, time: int) -> int:
        return self.object(
            self.text(name),
            self.access(file.mode),
            self.number(len(file.content)),
            self.number(time),
            self.blob(hashlib.sha256(file.content).digest()),
        )

    def slots(self, words: list[int]) -> int:
        return self.place(struct.pack(f"<{len(words) + 1}I", len(words) + 1, *words), 4)

    def place(self, octets: bytes, alignment: int) -> int:
        key = alignment, octets
        if key not in self.places:
            self.octets += bytes(-len(self.octets) % alignment)
            self.places[key] = len(self.octets)
            self.octets += octets
        return self.places[key]
