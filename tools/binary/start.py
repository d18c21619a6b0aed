"""The first module that the single file runs: loads compiled modules without touching the disk, runs `tidegate`."""

import contextlib
import os
import sys
from importlib.machinery import BuiltinImporter, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_loader

import _tidegate_load  # type: ignore[import-not-found]  # linked into the program

MFD_CLOEXEC = 1
MFD_EXEC = 0x10
"""Since Linux 6.3: says that the memory is for code, which `vm.memfd_noexec=1` asks for."""
BEFORE = {
    "_ssl": ("libcrypto.so.3", "libssl.so.3"),
    "_hashlib": ("libcrypto.so.3",),
    "_sqlite3": ("libsqlite3.so.0",),
    "cryptography.hazmat.bindings._rust": ("libgcc_s.so.1",),
}
"""Shared libraries by the module that needs them, in the order in which they are opened."""


class Archived:
    """Finds compiled modules in the archive: `a.b` is `a/b.so` there."""

    def __init__(self, archive: str) -> None:
        import zipimport

        self._zip = zipimport.zipimporter(archive)
        self._archive = archive
        self._compiled = {
            name.removesuffix(".so").replace(os.sep, "."): name for name in self._zip._files if name.endswith(".so")
        }
        self._opened: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """As `sys.meta_path` asks for it."""
        if (
            name in sys.builtin_module_names
        ):  # the engine; Python's own finder looks for no built-in module inside a package
            return spec_from_loader(name, BuiltinImporter, origin="built-in")
        if name not in self._compiled:
            return None
        for library in BEFORE.get(name, ()):
            if library not in self._opened:
                self._opened.add(library)
                with self._as_file(f"lib/{library}") as file:
                    _tidegate_load.library(file)
        return spec_from_loader(name, Loader(name, self), origin=f"{self._archive}/{self._compiled[name]}")

    def module_file(self, name: str) -> "contextlib.AbstractContextManager[str]":
        """A path that the dynamic linker can open, for as long as the context lasts."""
        return self._as_file(self._compiled[name])

    @contextlib.contextmanager
    def _as_file(self, member: str):  # type: ignore[no-untyped-def]
        content = self._zip.get_data(f"{self._archive}{os.sep}{member}")
        descriptor = _memory(member)
        if descriptor is None:
            with _folder() as folder:
                path = os.path.join(folder, os.path.basename(member))
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700), "wb") as file:
                    file.write(content)
                try:
                    yield path
                finally:
                    os.unlink(path)
            return
        # Left open: the dynamic linker takes two libraries of one name for one, so no number may come twice.
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"


class Loader(ExtensionFileLoader):
    """Creates a module from the archive; where its code lies only matters while it is opened."""

    def __init__(self, name: str, archived: Archived) -> None:
        super().__init__(name, name)
        self._archived = archived

    def create_module(self, spec: ModuleSpec):  # type: ignore[no-untyped-def]
        """As the import system asks for it."""
        with self._archived.module_file(spec.name) as file:
            there = spec.origin
            spec.origin = self.path = file
            try:
                return super().create_module(spec)
            finally:
                spec.origin = there


def _memory(name: str) -> "int | None":
    """A file in memory that can be opened by name and run; None where this machine has it not."""
    for flags in (MFD_CLOEXEC | MFD_EXEC, MFD_CLOEXEC):
        try:
            descriptor = os.memfd_create(name, flags)
        except OSError:
            continue
        if os.path.exists(f"/proc/self/fd/{descriptor}"):
            return descriptor
        os.close(descriptor)
    return None


def _folder() -> "contextlib.AbstractContextManager[str]":
    """A folder of ours alone, where there is no /proc or memory may not be run."""
    import tempfile

    places = [os.environ.get(name) for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "CACHE_DIRECTORY")]
    for place in [*(place.split(":")[0] for place in places if place), "/dev/shm", None]:
        with contextlib.suppress(OSError):
            return tempfile.TemporaryDirectory(prefix="tidegate-", dir=place)
    raise ImportError("no memory that can be run, and no folder to write to: compiled modules can't be loaded")


def main() -> None:
    """Runs `tidegate` with this process's arguments."""
    archive = sys.path[0]
    sys.frozen = True  # type: ignore[attr-defined]  # as packers of programs say it
    sys.meta_path.insert(2, Archived(archive))  # after what is built in and what is frozen, before what lies on paths
    sys.argv[0] = "tidegate"
    from tidegate.cli import main as run

    raise SystemExit(run())
