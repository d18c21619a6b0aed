"""What a file says before anyone knows what it means: texts, lists and mappings, each with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.errors import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Key", "Mapping", "Node", "Scalar", "Sequence_", "Source", "SourceMap", "Step"]

Step = str | int
"""A key or an index on the way from the root to a value."""


class Source:
    """One file: its name as messages print it, the directory that relative paths start from, its lines."""

    __slots__ = ("directory", "lines", "name")

    def __init__(self, name: str, directory: str, text: str = "") -> None:
        self.name = name
        self.directory = directory
        self.lines = text.splitlines()


class Key:
    """A key and where it stands; line and column count from 1."""

    __slots__ = ("col", "line", "source", "text")

    def __init__(self, text: str, source: Source, line: int, col: int) -> None:
        self.text = text
        self.source = source
        self.line = line
        self.col = col

    @property
    def place(self) -> Place:
        """Where."""
        return Place(self.source.name, self.line, self.col)


class Scalar:
    """A text as it was written, without its quotes; `plain` says that it had none."""

    __slots__ = ("col", "line", "plain", "source", "text")

    def __init__(self, text: str, source: Source, line: int = 0, col: int = 0, plain: bool = False) -> None:
        self.text = text
        self.source = source
        self.line = line
        self.col = col
        self.plain = plain

    @property
    def place(self) -> Place:
        """Where."""
        return Place(self.source.name, self.line, self.col)


class Sequence_:  # noqa: N801 — `Sequence` is typing's
    """A list."""

    __slots__ = ("col", "items", "line", "source")

    def __init__(self, items: list[Node], source: Source, line: int = 0, col: int = 0) -> None:
        self.items = items
        self.source = source
        self.line = line
        self.col = col

    @property
    def place(self) -> Place:
        """Where."""
        return Place(self.source.name, self.line, self.col)


class Mapping:
    """Keys and values in the order of the file."""

    __slots__ = ("col", "entries", "line", "source")

    def __init__(self, entries: dict[str, tuple[Key, Node]], source: Source, line: int = 0, col: int = 0) -> None:
        self.entries = entries
        self.source = source
        self.line = line
        self.col = col

    @property
    def place(self) -> Place:
        """Where."""
        return Place(self.source.name, self.line, self.col)


Node = Scalar | Sequence_ | Mapping


class SourceMap:
    """From a path in the configuration to its place in a file."""

    def __init__(self, root: Mapping) -> None:
        self.root = root

    def node(self, path: Sequence[Step]) -> tuple[Node, int]:
        """The deepest value on that path which was written, and how many steps lead to it."""
        node: Node = self.root
        for depth, step in enumerate(path):
            if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
                node = node.entries[step][1]
            elif isinstance(node, Sequence_) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                return node, depth
        return node, len(path)

    def place(self, path: Sequence[Step], find: str = "") -> Place:
        """Where the value of that path was written, or what is nearest to it: the deepest part that was.

        With `find`, the place of that text within the value, where it stands on the value's first line.
        """
        node, _ = self.node(path)
        if find and 0 < node.line <= len(node.source.lines):
            at = node.source.lines[node.line - 1].find(find, node.col - 1)
            if at >= 0:
                return Place(node.source.name, node.line, at + 1)
        return node.place

    def key_place(self, path: Sequence[Step]) -> Place:
        """Where the last key of that path was written; as `place` where it is an index or was not written."""
        parent, depth = self.node(path[:-1])
        if depth == len(path) - 1 and isinstance(parent, Mapping):
            entry = parent.entries.get(str(path[-1]))
            if entry:
                return entry[0].place
        return self.place(path)

    def has(self, path: Sequence[Step]) -> bool:
        """Whether that path was written."""
        return self.node(path)[1] == len(path)

    def directory(self, path: Sequence[Step]) -> str:
        """The directory that a relative file name written at that path starts from."""
        return self.node(path)[0].source.directory
