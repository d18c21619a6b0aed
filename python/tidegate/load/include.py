"""Reading files and joining those that `include:` names.

Lists are joined in the order of the files (the including file first, then globs as written, each sorted
by name), mappings are joined by key; the same key or the same upstream twice is an error with both places.
"""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.errors import Place
from tidegate.load.environment import EnvironmentError_, expand, unescape
from tidegate.load.tree import Key, Mapping, Scalar, Sequence_, Source

if TYPE_CHECKING:
    from collections.abc import Mapping as Environ

    from tidegate.load.problems import Problems

__all__ = ["read"]

_MAX_BYTES = 64 * 1024 * 1024
_NOT_JOINED = frozenset(("upstreams",))
"""Mappings of names: a name stands for one thing, so its parts are not joined."""


def read(path: Path, problems: Problems, environ: Environ[str, str], files: list[Path]) -> Mapping | None:
    """The tree of a file and of all that it includes; None where the file itself cannot be read."""
    return _read(path, None, problems, environ, files, ())


def _read(
    path: Path,
    place: Place | None,
    problems: Problems,
    environ: Environ[str, str],
    files: list[Path],
    above: tuple[Path, ...],
) -> Mapping | None:
    text = _text(path, place, problems)
    if text is None:
        return None
    files.append(path)
    source = Source(str(path), str(path.parent.absolute()), text)
    if path.suffix == ".toml":
        from tidegate.load import toml_tree

        root = toml_tree.parse(text, source, problems)
    else:
        from tidegate.load import yaml_tree

        root = yaml_tree.parse(text, source, problems)
    if root is None:
        return None
    for scalar in _globs(root, problems):
        for found in _expanded(scalar, source, problems, environ):
            where = Path(found)
            resolved = where.resolve()
            if resolved in (*above, path.resolve()):
                problems.error_at(scalar.place, f"{found} includes itself", "leave it out")
                continue
            if resolved in {known.resolve() for known in files}:
                problems.error_at(scalar.place, f"{found} is included twice", "include it once")
                continue
            inner = _read(where, scalar.place, problems, environ, files, (*above, path.resolve()))
            if inner is not None:
                _join(root, inner, (), problems)
    return root


def _text(path: Path, place: Place | None, problems: Problems) -> str | None:
    told = place or Place(str(path))
    prefix = f"{path}: " if place else ""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        problems.error_at(told, f"{prefix}there is no such file", "check the name" if place else "name it with -c FILE")
        return None
    except OSError as error:
        problems.error_at(told, f"{prefix}cannot be read: {error.strerror}", "check its rights and its kind")
        return None
    if len(data) > _MAX_BYTES:
        problems.error_at(told, f"{prefix}is larger than 64MiB", "split it by `include:`")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        col = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problems.error_at(Place(str(path), line, col), "this is not UTF-8", "save the file as UTF-8 text")
        return None


def _globs(root: Mapping, problems: Problems) -> list[Scalar]:
    entry = root.entries.get("include")
    if entry is None:
        return []
    items = entry[1].items if isinstance(entry[1], Sequence_) else [entry[1]]
    found = []
    for item in items:
        if isinstance(item, Scalar):
            if item.text:
                found.append(item)
        else:
            problems.error_at(item.place, "`include` takes file names", "write `include: [conf.d/*.yaml]`")
    return found


def _expanded(scalar: Scalar, source: Source, problems: Problems, environ: Environ[str, str]) -> list[str]:
    try:
        pattern = unescape(expand(scalar.text, environ))
    except EnvironmentError_:
        return []  # told when the key itself is read
    base = Path(source.name).parent
    if not glob.has_magic(pattern):
        return [str(base / pattern)]
    return sorted(str(base / name) for name in glob.glob(pattern, root_dir=base, recursive=True))


def _join(into: Mapping, other: Mapping, path: tuple[str, ...], problems: Problems) -> None:
    for name, (key, node) in other.entries.items():
        if not path and name == "include":
            continue
        if name not in into.entries:
            into.entries[name] = (key, node)
            continue
        first, there = into.entries[name]
        if isinstance(there, Sequence_) and isinstance(node, Sequence_):
            into.entries[name] = (first, Sequence_([*there.items, *node.items], there.source, there.line, there.col))
        elif _joins(path) and isinstance(there, Mapping) and isinstance(node, Mapping):
            copy = Mapping(dict(there.entries), there.source, there.line, there.col)
            into.entries[name] = (first, copy)
            _join(copy, node, (*path, name), problems)
        else:
            _conflict(first, key, problems)


def _joins(path: tuple[str, ...]) -> bool:
    return not (path and path[0] in _NOT_JOINED)


def _conflict(first: Key, second: Key, problems: Problems) -> None:
    problems.error_at(second.place, f"`{second.text}` is already set at {first.place}", "keep one of them")
