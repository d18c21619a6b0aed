"""YAML texts to trees, with the place of every value.

A scalar stays the text that was written: what it is (a number, a switch, a time) the key that it
belongs to decides. So YAML 1.1's surprises cannot happen: `access_log: off` is a switch because
`access_log` is one, `address: 10:30` is no number of base 60, `name: no` is a name, `0644` no octal number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from tidegate.errors import ConfigError, Place
from tidegate.load.tree import Key, Mapping, Node, Scalar, Sequence_, Source

if TYPE_CHECKING:
    from tidegate.load.problems import Problems

_MAX_DEPTH = 64
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Reader: Any = yaml.reader.Reader
_STANDARD = "tag:yaml.org,2002:"
_TAGS = frozenset(_STANDARD + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp"))


def parse(text: str, source: Source, problems: Problems) -> Mapping | None:
    """The tree of one document, None where the text is no YAML; what is wrong goes to `problems`."""
    try:
        builder = _Builder(source, problems, _Loader(text))
        root = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source.name, mark.line + 1, mark.column + 1) if mark else Place(source.name)
        problems.error_at(place, _told(error), _right(source, place))
        return None
    except yaml.reader.ReaderError:
        found = _Reader.NON_PRINTABLE.search(text)
        before = text[: found.start()] if found else ""
        place = Place(source.name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        problems.error_at(place, "a character that YAML does not allow", 'write it as "\\x07" in double quotes')
        return None
    except ConfigError as error:
        problems.errors.append(error)
        return None
    if root is None or (isinstance(root, Scalar) and root.plain and root.text in ("", "~", "null")):
        return Mapping({}, source, 1, 1)
    if not isinstance(root, Mapping):
        problems.error_at(root.place, "a configuration is a mapping", "begin with `listeners:` or `routes:`")
        return None
    return root


class _Builder:
    """Turns the parser's events into nodes."""

    def __init__(self, source: Source, problems: Problems, loader: Any) -> None:
        self.source = source
        self.problems = problems
        self.next = loader.get_event
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node | None:
        root: Node | None = None
        while True:
            event = self.next()
            if isinstance(event, StreamEndEvent):
                return root
            if isinstance(event, (StreamStartEvent, DocumentStartEvent, DocumentEndEvent)):
                if isinstance(event, DocumentStartEvent) and root is not None:
                    mark: Any = event.start_mark
                    raise ConfigError(
                        self.source.name,
                        mark.line + 1,
                        mark.column + 1,
                        "a second document begins here",
                        "keep one document a file; use `include:` for more files",
                    )
                continue
            root = self.node(event, 0)

    def node(self, event: Any, depth: int) -> Node:
        mark = event.start_mark
        line, col = mark.line + 1, mark.column + 1
        kind = type(event)
        if kind is AliasEvent:
            return self.alias(event.anchor, line, col)
        if event.tag is not None and event.tag not in _TAGS and event.tag != "!":
            tag = event.tag.replace(_STANDARD, "!!")
            self.problems.error_at(
                Place(self.source.name, line, col), f"the tag `{tag}` means nothing here", "leave it out"
            )
        if kind is ScalarEvent:
            scalar = Scalar(event.value, self.source, line, col, not event.style)
            if event.anchor:
                self.anchors[event.anchor] = scalar
            return scalar
        if depth > _MAX_DEPTH:
            raise ConfigError(
                self.source.name,
                line,
                col,
                f"more than {_MAX_DEPTH} levels deep",
                "nothing in a configuration is nested so deep",
            )
        if event.anchor:
            self.anchors[event.anchor] = None
        made: Node
        made = self.sequence(line, col, depth) if kind is SequenceStartEvent else self.mapping(event, line, col, depth)
        if event.anchor:
            self.anchors[event.anchor] = made
        return made

    def alias(self, anchor: str, line: int, col: int) -> Node:
        if anchor not in self.anchors:
            raise ConfigError(
                self.source.name,
                line,
                col,
                f"`*{anchor}` refers to nothing above",
                f"write `&{anchor}` before the value that is meant",
            )
        node = self.anchors[anchor]
        if node is None:
            raise ConfigError(
                self.source.name, line, col, f"`*{anchor}` refers to what it is part of", "write the value out"
            )
        return node

    def sequence(self, line: int, col: int, depth: int) -> Sequence_:
        items: list[Node] = []
        while True:
            event = self.next()
            if type(event) is SequenceEndEvent:
                return Sequence_(items, self.source, line, col)
            items.append(self.node(event, depth + 1))

    def mapping(self, start: Any, line: int, col: int, depth: int) -> Mapping:
        assert type(start) is MappingStartEvent
        entries: dict[str, tuple[Key, Node]] = {}
        merged: list[tuple[Key, Node]] = []
        while True:
            event = self.next()
            if type(event) is MappingEndEvent:
                break
            name = self.node(event, depth + 1)
            value = self.node(self.next(), depth + 1)
            if not isinstance(name, Scalar):
                self.problems.error_at(name.place, "a key is a text", "quote it, or write `key: value`")
                continue
            key = Key(name.text, self.source, name.line, name.col)
            if name.plain and key.text == "<<":
                merged.append((key, value))
            elif key.text in entries:
                first = entries[key.text][0].place
                self.problems.error_at(
                    key.place, f"`{key.text}` is here twice, first at line {first.line}", "keep one of them"
                )
            else:
                entries[key.text] = (key, value)
        for key, value in merged:
            self.merge(entries, key, value)
        return Mapping(entries, self.source, line, col)

    def merge(self, entries: dict[str, tuple[Key, Node]], key: Key, value: Node) -> None:
        for other in value.items if isinstance(value, Sequence_) else [value]:
            if not isinstance(other, Mapping):
                self.problems.error_at(key.place, "`<<` takes a mapping or a list of mappings", "write `<<: *anchor`")
                continue
            for name, entry in other.entries.items():
                entries.setdefault(name, entry)


def _told(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "not YAML").replace("\n", " ")
    if "\\t" in problem or "cannot start any token" in problem:
        return "this cannot start a value (a tab, `%`, `@` or a backquote)"
    return f"not YAML: {problem}"


def _right(source: Source, place: Place) -> str:
    line = source.lines[place.line - 1] if 0 < place.line <= len(source.lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, never with tabs"
    if "${" in line:
        return 'between { } or [ ], quote what has `${…}` in it: "${NAME}"'
    if "{" in line or "[" in line:
        return "close every { and [, and separate entries by commas"
    return "check the indentation, and quote texts that have `: ` or ` #` in them"
