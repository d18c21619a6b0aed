"""Files and flags to the model, with the place of every value.

Knows: YAML, TOML, the environment, includes.
Never: the plan, what a value is good for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping as Environ
    from collections.abc import Sequence

    from tidegate.load.problems import Problems
    from tidegate.load.tree import Mapping, Node, SourceMap
    from tidegate.model.config import Config

__all__ = ["Loaded", "from_flags", "load"]


class Loaded(NamedTuple):
    """A configuration and where it came from."""

    config: Config
    where: SourceMap
    files: list[Path]
    """The files that were read, the main one first: what a watcher watches."""


def load(
    path: str | Path,
    *,
    listen: Sequence[str] = (),
    admin: str | None = None,
    workers: int | None = None,
    environ: Environ[str, str] | None = None,
) -> Loaded:
    """Reads a file (`.toml`, else YAML) and all that it includes; raises `ConfigErrors` with all that is wrong.

    Flags that are given take the place of the file's `listeners`, `admin` and `workers`.
    """
    from tidegate.load.include import read
    from tidegate.load.pause import without_collection
    from tidegate.load.problems import Problems

    problems = Problems()
    files: list[Path] = []
    known = os.environ if environ is None else environ
    flags = _flags(listen, (), admin, workers)
    with without_collection():
        root = read(Path(path), problems, known, files)
        if root is None:
            problems.raise_if_any()
            raise AssertionError("a file that cannot be read is told")
        root.entries.update(flags.entries)
        return _finish(root, files, problems, known)


def from_flags(
    listen: Sequence[str] = (),
    to: str | Sequence[str] = (),
    admin: str | None = None,
    workers: int | None = None,
    *,
    environ: Environ[str, str] | None = None,
) -> Loaded:
    """The configuration of `run --listen ADDR --to URL`, with no file; raises `ConfigErrors`."""
    from tidegate.load.problems import Problems

    urls = [to] if isinstance(to, str) else list(to)
    root = _flags(listen or [":8080"], urls, admin, workers)
    return _finish(root, [], Problems(), os.environ if environ is None else environ)


def _finish(root: Mapping, files: list[Path], problems: Problems, environ: Environ[str, str]) -> Loaded:
    from tidegate.load.decode import decode
    from tidegate.load.tree import SourceMap

    config = decode(root, problems, environ)
    problems.raise_if_any()
    assert config is not None, "what cannot be decoded is told"
    where = SourceMap(root)
    if config.ai.providers or config.ai.models:
        import msgspec

        from tidegate.load.ai import with_environment

        config = msgspec.structs.replace(config, ai=with_environment(config.ai, environ))
    if config.state is not None:
        import msgspec

        state = Path(where.directory(("state",)), Path(config.state).expanduser())
        config = msgspec.structs.replace(config, state=str(state))
    return Loaded(config, where, files)


def _flags(listen: Sequence[str], to: Sequence[str], admin: str | None, workers: int | None) -> Mapping:
    from tidegate.load.tree import Key, Mapping, Scalar, Sequence_, Source

    entries: dict[str, tuple[Key, Node]] = {}

    def flag(name: str) -> Source:
        return Source(name, str(Path.cwd()))

    def add(key: str, node: Node) -> None:
        entries[key] = (Key(key, node.source, 0, 0), node)

    if listen:
        source = flag("--listen")
        add("listeners", Sequence_([Scalar(_literal(text), source) for text in listen], source))
    if to:
        source = flag("--to")
        urls = Sequence_([Scalar(_literal(text), source) for text in to], source)
        route = Mapping({"upstream": (Key("upstream", source, 0, 0), urls)}, source)
        add("routes", Sequence_([route], source))
    if admin is not None:
        add("admin", Scalar(_literal(admin), flag("--admin")))
    if workers is not None:
        add("workers", Scalar(str(workers), flag("--workers")))
    return Mapping(entries, flag("the command line"))


def _literal(text: str) -> str:
    """A flag is taken as it stands: the shell has already put the environment in."""
    return text.replace("${", "$${")
