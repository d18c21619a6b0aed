"""The archive of modules behind the program: the standard library, what PyPI gives, and `tidegate`, compiled.

The same inputs give the same bytes: entries are sorted, their times are one, and nothing tells where they were built.
"""

from __future__ import annotations

import io
import marshal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER
from pathlib import Path

LEFT_OUT = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3", "ensurepip", "pydoc_data", "distutils",
    "venv",
    "site-packages", "dist-packages", "__pycache__", "ctypes", "curses", "dbm", "lib-dynload", "_bootsubprocess.py",
    "antigravity.py",     "this.py", "__phello__", "LICENSE.txt",
}  # fmt: skip
"""Of the standard library: what is for developing, and what needs libraries that are not linked in."""
EMPTY = 16 - len(MAGIC_NUMBER)
"""Bytes of a .pyc's header behind its magic number: flags, time and size, all unused in an archive."""
THE_TIME = (1980, 1, 1, 0, 0, 0)
"""Of all entries; the first that the format has."""
LINKED = {
    "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1",
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}  # fmt: skip
"""What a compiled module may ask the system for: the C library, which is several files before version 2.34."""
FOR_TESTS = ("_test", "_xx", "xx", "_ctypes_test", "ossaudiodev")
"""How modules begin that are for CPython's own tests, or for a device that no server has."""


def compiled(source: Path, name: str) -> bytes:
    """A module as the interpreter keeps it; `name` is what tracebacks call its file, which is on no disk."""
    code = compile(source.read_bytes(), f"<{name}>", "exec", dont_inherit=True, optimize=0)
    # Once through marshal and back, so that what the compiler happened to share does not show in the bytes.
    return MAGIC_NUMBER + bytes(EMPTY) + marshal.dumps(marshal.loads(marshal.dumps(code)))


def package(root: Path, below: str = "", *, data: bool = False) -> Iterator[tuple[str, bytes]]:
    """All modules under a folder, and with `data` its other files too, under the name `below` in the archive."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if LEFT_OUT & set(parts) or not path.is_file():
            continue
        name = "/".join((below, *parts)) if below else "/".join(parts)
        if path.suffix == ".py":
            yield f"{name}c", compiled(path, name)
        elif data and path.suffix not in (".pyi", ".so", ".pyc") and path.name != "py.typed":
            yield name, path.read_bytes()


def extensions(root: Path, floor: str, provided: set[str]) -> Iterator[tuple[str, bytes]]:
    """All compiled modules under a folder that need nothing but `provided` and a C library of version `floor`."""
    for path in sorted(root.rglob("*.so")):
        module = path.relative_to(root).parent / path.name.partition(".")[0]
        if path.name.startswith(FOR_TESTS):
            continue
        if needs(path) <= LINKED | provided and glibc(path) <= version(floor):
            yield f"{module}.so", stripped(path)


def needs(path: Path) -> set[str]:
    """The shared libraries that a file asks for."""
    lines = _told("objdump", "-p", str(path)).splitlines()
    return {words[1] for line in lines if (words := line.split()) and words[0] == "NEEDED"}


def glibc(path: Path) -> tuple[int, ...]:
    """The oldest C library that a file can be used with."""
    words = _told("objdump", "-T", str(path)).replace("(", " ").replace(")", " ").split()
    found = [version(word.removeprefix("GLIBC_")) for word in words if word.startswith("GLIBC_2")]
    return max(found, default=(2,))


def version(text: str) -> tuple[int, ...]:
    """`2.31` as something to compare."""
    return tuple(int(part) for part in text.split("."))


def stripped(path: Path) -> bytes:
    """A shared library without what only debuggers read."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        subprocess.run(["strip", "--strip-all", "-o", str(copy), str(path)], check=True)
        return copy.read_bytes()


def packed(entries: dict[str, bytes]) -> bytes:
    """The archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, THE_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, entries[name], compresslevel=9)
    return file.getvalue()


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


assert sys.version_info[:2] == (3, 11), "modules are compiled by the Python that will run them"
