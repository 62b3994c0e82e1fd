"""What goes into a package: read from the feed's Makefiles by make itself, with buildroot/ in place of OpenWrt's; and
what OpenWrt's build adds to every package."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

here = pathlib.Path(__file__).resolve().parent

# All packages depend on it in OpenWrt.
C_LIBRARY = "libc"


@dataclasses.dataclass
class Package:
    """One package, before it gets a format."""

    name: str
    version: str
    architecture: str  # "all" for any
    title: str
    section: str
    license: str
    maintainer: str
    url: str
    source: str  # the feed's name of its directory
    user: str  # user=uid:group=gid, or nothing
    depends: list[str]
    description: str
    conffiles: list[str]
    # The package's own scripts, without what OpenWrt puts before them.
    postinst: str
    prerm: str
    postrm: str
    files: dict[str, "File"]  # by path, without the first slash


@dataclasses.dataclass
class File:
    """A regular file; all belong to root."""

    mode: int
    content: bytes


def read(directory: pathlib.Path, architecture: str, program: pathlib.Path | None) -> list[Package]:
    """The packages of a feed's directory, with `program` as what was compiled."""
    with tempfile.TemporaryDirectory() as temporary:
        programs, out = pathlib.Path(temporary, "programs"), pathlib.Path(temporary, "out")
        (programs / "bin").mkdir(parents=True)
        out.mkdir()
        if program:
            shutil.copyfile(program, programs / "bin/dmevpn")
        run_make(directory, architecture, programs, out)
        return [collect(path, directory.name) for path in sorted(out.iterdir())]


def run_make(directory: pathlib.Path, architecture: str, programs: pathlib.Path, out: pathlib.Path) -> None:
    variables = {"TOPDIR": here / "buildroot", "PROGRAMS": programs, "OUT": out, "ARCH_PACKAGES": architecture}
    command = ["make", "--silent", "--no-print-directory", "--warn-undefined-variables", "-C", str(directory)]
    # Nothing of the caller's environment may get into a package.
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    made = subprocess.run(
        command + [f"{name}={value}" for name, value in variables.items()],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if made.returncode or made.stdout:
        raise SystemExit(f"{directory}/Makefile:\n{made.stdout}")


def collect(path: pathlib.Path, directory: str) -> Package:
    """What buildroot's BuildPackage wrote to `path`."""

    def field(name: str) -> str:
        file = path / name
        return file.read_text() if file.exists() else ""

    files = dict(files_of(path / "root"))
    if not files:
        raise SystemExit(f"{path.name}: a package without files")
    return Package(
        name=path.name,
        version=field("VERSION").strip(),
        architecture=field("PKGARCH").strip(),
        title=field("TITLE").strip(),
        section=field("SECTION").strip(),
        license=field("LICENSE").strip(),
        maintainer=field("MAINTAINER").strip(),
        url=field("URL").strip(),
        source=f"feeds/dmevpn/{directory}",
        user=field("USERID").strip(),
        depends=[C_LIBRARY] + dependencies(field("DEPENDS")),
        description=field("description") or field("TITLE"),
        conffiles=field("conffiles").split(),
        postinst=field("postinst"),
        prerm=field("prerm"),
        postrm=field("postrm"),
        files=files,
    )


def dependencies(text: str) -> list[str]:
    """The names in a DEPENDS; what begins with @ is for the configuration of a build."""
    names = [word.removeprefix("+") for word in text.split() if not word.removeprefix("+").startswith("@")]
    for name in names:
        if ":" in name:
            raise SystemExit(f"the packer knows no conditional dependency: {name}")
    return names


def files_of(root: pathlib.Path):
    for file in sorted(root.rglob("*")):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise SystemExit(f"the packer knows only files and directories: {file}")
        if file.is_file():
            mode = file.stat().st_mode & 0o7777
            if mode not in (0o755, 0o644, 0o600):
                raise SystemExit(f"the packer knows no mode {mode:o}: {file}")
            yield str(file.relative_to(root)), File(mode, file.read_bytes())


def directories(files: dict[str, File]) -> list[str]:
    """All directories that the files need, "" first; each comes after the one it is in."""
    return sorted({str(parent) for path in files for parent in pathlib.PurePath(path).parents} - {"."} | {""})


def with_kept(package: Package) -> dict[str, File]:
    """The files; conffiles that the package does not bring become a list of what sysupgrade is to keep."""
    files = dict(package.files)
    absent = [path for path in package.conffiles if path.lstrip("/") not in files]
    if absent:
        keep = f"lib/upgrade/keep.d/{package.name}"
        before = files[keep].content if keep in files else b""
        files[keep] = File(0o644, before + lines(absent))
    return files


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def lines(texts: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()
