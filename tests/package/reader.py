"""Reads packages as their formats say, knowing nothing of how ours are made: each problem is an AssertionError."""

import gzip
import hashlib
import io
import struct
import tarfile
import zlib

SLOTS = {
    "package": ["info", "paths", "scripts", "triggers", "replaces-priority"],
    "info": ["name", "version", "id", "description", "arch", "license", "origin", "maintainer", "url", "repo-commit", "build-time",
             "installed-size", "file-size", "provider-priority", "depends", "provides"],
    "scripts": ["trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade"],
    "directory": ["name", "acl", "files"],
    "acl": ["mode", "user", "group", "xattrs"],
    "file": ["name", "acl", "size", "mtime", "hash", "target"],
    "dependency": ["name", "version", "match"],
}


def ipk(octets):
    """{"control": text, "scripts": {name: text}, "entries": {path: (mode, owner, group, content or None)}, "times": set}"""
    outer = members(gzip.decompress(octets))
    assert list(outer) == ["./debian-binary", "./data.tar.gz", "./control.tar.gz"], list(outer)
    assert outer["./debian-binary"][3] == b"2.0\n"
    control = members(gzip.decompress(outer["./control.tar.gz"][3]))
    data = members(gzip.decompress(outer["./data.tar.gz"][3]))
    scripts = {path[2:]: content.decode() for path, (mode, _, _, content, _) in control.items() if content is not None}
    for name in ("postinst", "prerm", "postinst-pkg", "prerm-pkg", "postrm"):
        assert f"./{name}" not in control or control[f"./{name}"][0] == 0o755, name
    return {
        "control": scripts.pop("control"),
        "scripts": scripts,
        "entries": {path[1:].rstrip("/") or "/": entry[:4] for path, entry in data.items()},
        "times": {entry[4] for part in (outer, control, data) for entry in part.values()},
    }


def members(octets):
    found = {}
    with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
        for member in archive:
            assert member.name not in found and (member.isfile() or member.isdir()), member.name
            parent = member.name.rpartition("/")[0]
            assert parent in found or parent in ("", "."), f"{member.name} comes before its directory"
            content = archive.extractfile(member).read() if member.isfile() else None
            owner = str(member.uid), str(member.gid)
            found["./" if member.name == "." else member.name] = member.mode, *owner, content, member.mtime
    return found


def apk(octets):
    """As `ipk`, with "info" in place of "control"."""
    assert octets[:4] == b"ADBd"
    plain = zlib.decompress(octets[4:], -15)
    assert plain[:8] == b"ADB.pckg"
    blocks = list(blocks_of(plain, 8))
    assert [kind for kind, _ in blocks] == [0] + [2] * (len(blocks) - 1), "one ADB block, then data"
    tree = Adb(blocks[0][1])
    package = tree.object(tree.root, "package")
    info = tree.object(package["info"], "info")
    identity = tree.blob(info["id"])
    zeroed = tree.octets.replace(identity, bytes(20), 1)
    assert hashlib.sha256(zeroed).digest()[:20] == identity, "the unique id"
    entries, times, names, expected = {}, set(), [], []
    for at, word in enumerate(tree.array(package["paths"]), 1):
        directory = tree.object(word, "directory")
        name = tree.text(directory["name"])
        names.append(name)
        entries[f"/{name}"] = *tree.acl(directory["acl"]), None
        files = [tree.object(file, "file") for file in tree.array(directory["files"])]
        inside = [tree.text(file["name"]) for file in files]
        assert inside == sorted(set(inside)), inside
        for number, file in enumerate(files, 1):
            assert not file["target"], "a link"
            size, path = tree.number(file["size"]), f"{name}/{tree.text(file['name'])}".lstrip("/")
            if size:
                expected.append((at, number))
            content = blocks[len(expected)][1] if size else struct.pack("<II", at, number)
            assert struct.unpack_from("<II", content) == (at, number), f"{path}: its data is not where it should be"
            assert len(content) == 8 + size, path
            assert hashlib.sha256(content[8:]).digest() == tree.blob(file["hash"]), path
            times.add(tree.number(file["mtime"]))
            entries[f"/{path}"] = *tree.acl(file["acl"]), content[8:]
    assert names == sorted(set(names)) and names[0] == "", names
    assert all(not name or name.rpartition("/")[0] in names for name in names), "a directory without its parent"
    assert len(blocks) == 1 + len(expected), "data of no file"
    scripts = tree.object(package["scripts"], "scripts")
    return {
        "info": {
            key: tree.number(word) if key == "installed-size" else
            [tree.text(tree.object(item, "dependency")["name"]) for item in tree.array(word)] if key in ("depends", "provides") else
            tree.text(word)
            for key, word in info.items() if key != "id" and word
        },
        "scripts": {name: tree.text(word) for name, word in scripts.items() if word},
        "entries": entries,
        "times": times,
    }


def blocks_of(plain, at):
    while at < len(plain):
        word, = struct.unpack_from("<I", plain, at)
        kind, length = word >> 30, word & 0x3FFFFFFF
        assert kind != 3 and length >= 4, "a large block"
        yield kind, plain[at + 4:at + length]
        end = at + length + -length % 8
        assert not plain[at + length:end].strip(b"\0") and end <= len(plain), "padding"
        at = end


class Adb:
    """The payload of an ADB block."""

    def __init__(self, octets):
        self.octets = octets
        assert octets[:4] == bytes(4), "compatibility, version"
        self.root, = struct.unpack_from("<I", octets, 4)

    def read(self, form, at):
        assert 8 <= at and at % struct.calcsize(form) == 0, f"a value of {form} at {at}"
        value, = struct.unpack_from(form, self.octets, at)
        return value

    def number(self, word):
        kind, value = word >> 28, word & 0x0FFFFFFF
        if word == 0:
            return 0
        assert kind in (1, 2), hex(word)
        return value if kind == 1 else self.read("<I", value)

    def blob(self, word):
        kind, at = word >> 28, word & 0x0FFFFFFF
        if word == 0:
            return b""
        form = {8: "<B", 9: "<H", 10: "<I"}[kind]
        length, start = self.read(form, at), at + struct.calcsize(form)
        assert length and start + length <= len(self.octets)
        return self.octets[start:start + length]

    def text(self, word):
        return self.blob(word).decode()

    def array(self, word):
        """Also an object: apk does not tell them apart."""
        if word == 0:
            return []
        assert word >> 28 in (0xD, 0xE), hex(word)
        at = word & 0x0FFFFFFF
        words = [self.read("<I", at + 4 * slot) for slot in range(self.read("<I", at))]
        assert len(words) > 1 and words[-1] != 0, "nulls at the end"
        return words[1:]

    def object(self, word, schema):
        words = self.array(word)
        names = SLOTS[schema]
        assert len(words) <= len(names), schema
        return dict(zip(names, words + [0] * (len(names) - len(words))))

    def acl(self, word):
        acl = self.object(word, "acl")
        return self.number(acl["mode"]), self.text(acl["user"]), self.text(acl["group"])
