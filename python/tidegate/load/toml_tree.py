"""TOML texts to trees, with the place of every value.

`tomllib` says whether a text is TOML and what its values are; it keeps no places. So the text that it
took is gone over once more by a scanner that only looks for where keys and values begin.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from tidegate.errors import Place
from tidegate.load.tree import Key, Mapping, Node, Scalar, Sequence_, Source

if TYPE_CHECKING:
    from tidegate.load.problems import Problems

_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^,\]}\n#]+")
_BASIC = re.compile(r'"(?:[^"\\]|\\.)*"')
_TRIPLE = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")', re.DOTALL)
_TRIPLE_LITERAL = re.compile(r"'''.*?'{3,5}(?!')", re.DOTALL)
_BLANK = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")

_Spot = tuple[int, int]
"""A line and a column."""


def parse(text: str, source: Source, problems: Problems) -> Mapping | None:
    """The tree of a document, None where the text is no TOML; what is wrong goes to `problems`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _AT.search(message)
        line = int(found[1]) if found and found[1] else max(len(source.lines), 1)
        col = int(found[2]) if found and found[2] else 1
        what = f"not TOML: {message[: found.start()] if found else message}"
        problems.error_at(
            Place(source.name, line, col), what, 'write `key = "value"`, `[table]` or `[[list]]`, each key once'
        )
        return None
    places = _Scanner(text.replace("\r\n", "\n")).places()
    root = _build(data, (), places, source, (1, 1))
    assert isinstance(root, Mapping)
    return root


def _build(value: Any, path: tuple[str | int, ...], places: _Places, source: Source, near: _Spot) -> Node:
    _, spot = places.get(path, (near, near))
    if isinstance(value, dict):
        entries: dict[str, tuple[Key, Node]] = {}
        for name, inner in value.items():
            key_spot, value_spot = places.get((*path, name), (spot, spot))
            entries[name] = (
                Key(name, source, *key_spot),
                _build(inner, (*path, name), places, source, value_spot),
            )
        return Mapping(entries, source, *spot)
    if isinstance(value, list):
        items = [_build(inner, (*path, index), places, source, spot) for index, inner in enumerate(value)]
        return Sequence_(items, source, *spot)
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return Scalar(text, source, *spot, plain=not isinstance(value, str))


_Places = dict[tuple[str | int, ...], tuple[_Spot, _Spot]]
"""Where the key and where the value of a path begins."""


class _Scanner:
    """Finds keys and values in a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: _Places = {}
        self.counts: dict[tuple[str | int, ...], int] = {}
        self.starts = [0]
        for match in re.finditer("\n", text):
            self.starts.append(match.end())

    def places(self) -> _Places:
        table: tuple[str | int, ...] = ()
        while True:
            self.skip(_FILLER)
            if self.at >= len(self.text):
                return self.found
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> tuple[str | int, ...]:
        spot = self.spot()
        double = self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        keys = self.keys()
        self.at += 2 if double else 1
        path: tuple[str | int, ...] = ()
        for index, (name, key_spot) in enumerate(keys):
            path = (*path, name)
            self.found.setdefault(path, (key_spot, spot))
            last = index == len(keys) - 1
            if last and double:
                self.counts[path] = self.counts.get(path, -1) + 1
                path = (*path, self.counts[path])
                self.found[path] = (key_spot, spot)
            elif path in self.counts:
                path = (*path, self.counts[path])
        return path

    def pair(self, table: tuple[str | int, ...]) -> None:
        path = table
        keys = self.keys()
        self.skip(_BLANK)
        self.at += 1  # =
        self.skip(_BLANK)
        spot = self.spot()
        for name, key_spot in keys:
            path = (*path, name)
            self.found.setdefault(path, (key_spot, spot))
        self.value(path)

    def keys(self) -> list[tuple[str, _Spot]]:
        found = []
        while True:
            self.skip(_BLANK)
            spot, start = self.spot(), self.at
            if self.text[start : start + 1] == "'":
                self.at = self.text.index("'", start + 1) + 1
                name = self.text[start + 1 : self.at - 1]
            elif self.text[start : start + 1] == '"':
                self.skip(_BASIC)
                name = next(iter(tomllib.loads(f"{self.text[start : self.at]} = 0")))
            else:
                self.skip(_BARE)
                name = self.text[start : self.at]
            found.append((name, spot))
            self.skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return found
            self.at += 1

    def value(self, path: tuple[str | int, ...]) -> None:
        head = self.text[self.at : self.at + 3]
        if head[:1] == "[":
            self.at += 1
            index = 0
            while self.inside("]"):
                self.found[(*path, index)] = (self.spot(), self.spot())
                self.value((*path, index))
                index += 1
        elif head[:1] == "{":
            self.at += 1
            while self.inside("}"):
                self.pair(path)
        elif head == '"""':
            self.skip(_TRIPLE)
        elif head == "'''":
            self.skip(_TRIPLE_LITERAL)
        elif head[:1] == '"':
            self.skip(_BASIC)
        elif head[:1] == "'":
            self.at = self.text.index("'", self.at + 1) + 1
        else:
            self.skip(_PLAIN)

    def inside(self, close: str) -> bool:
        """Steps over blanks and commas; false, past it, at the closing bracket."""
        while True:
            self.skip(_FILLER)
            if self.text.startswith(",", self.at):
                self.at += 1
                continue
            if self.at >= len(self.text) or self.text.startswith(close, self.at):
                self.at += 1
                return False
            return True

    def skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self.text, self.at):
            self.at = found.end()

    def spot(self) -> _Spot:
        from bisect import bisect_right

        line = bisect_right(self.starts, self.at)
        return line, self.at - self.starts[line - 1] + 1
