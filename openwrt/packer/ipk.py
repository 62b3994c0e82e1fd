"""Packages of opkg (OpenWrt 23.05 and 24.10): a tar in a tar."""

import gzip
import io
import tarfile

from .package import File, Package, directories, lines, with_kept

POSTINST = """#!/bin/sh
[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_postinst $0 $@
"""
PRERM = """#!/bin/sh
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_prerm $0 $@
"""


def file_name(package: Package) -> str:
    return f"{package.name}_{package.version}_{package.architecture}.ipk"


def pack(package: Package, time: int) -> bytes:
    data = tar(with_kept(package), time)
    control = {"control": File(0o644, control_text(package, len(data), time).encode())}
    if package.conffiles:
        control["conffiles"] = File(0o644, lines(package.conffiles))
    control["postinst"] = File(0o755, POSTINST.encode())
    control["prerm"] = File(0o755, PRERM.encode())
    # default_postinst and default_prerm call the package's own.
    for name, script in (("postinst-pkg", package.postinst), ("prerm-pkg", package.prerm), ("postrm", package.postrm)):
        if script:
            control[name] = File(0o755, script.encode())
    outer = {
        "debian-binary": File(0o644, b"2.0\n"),
        "data.tar.gz": File(0o644, compress(data)),
        "control.tar.gz": File(0o644, compress(tar(dict(sorted(control.items())), time))),
    }
    return compress(tar(outer, time, with_directories=False))


def control_text(package: Package, installed_size: int, time: int) -> str:
    fields = {
        "Package": package.name,
        "Version": package.version,
        "Depends": ", ".join(package.depends),
        "Source": package.source,
        "SourceName": package.name,
        "License": package.license,
        "Section": package.section,
        "Require-User": package.user,
        "SourceDateEpoch": str(time),
        "URL": package.url,
        "Maintainer": package.maintainer,
        "Architecture": package.architecture,
        "Installed-Size": str(installed_size),
        "Description": "".join(f" {line.strip()}\n" for line in package.description.strip().splitlines()).rstrip(),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def tar(files: dict[str, File], time: int, with_directories: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        entries = [(directory, None) for directory in directories(files)] if with_directories else []
        # An archive is read in one go: a directory comes before what is in it.
        for path, file in sorted(entries + list(files.items())) if with_directories else files.items():
            info = tarfile.TarInfo(f"./{path}" if path else "./")
            info.mtime = time
            if file:
                info.mode, info.size = file.mode, len(file.content)
                archive.addfile(info, io.BytesIO(file.content))
            else:
                info.mode, info.type = 0o755, tarfile.DIRTYPE
                archive.addfile(info)
    return out.getvalue()


def compress(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)
