"""Trees to the model: each key read as what the model says it is, everything that is wrong told at once.

A reader is made once for every type of the model. What a scalar is, its key decides: `off` is a switch
for a switch and a text for a text, and a number may be quoted (as it must where it is `"${PORT}"`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from tidegate.load.environment import EnvironmentError_, expand, unescape
from tidegate.load.problems import Problems, closest
from tidegate.load.tree import Mapping, Node, Scalar, Sequence_
from tidegate.model import units
from tidegate.model.config import Config
from tidegate.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Environ

__all__ = ["decode"]

INVALID: Any = msgspec.UNSET
"""Stands for a value that was wrong and has been told."""

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_ON = frozenset(("true", "on", "yes"))
_OFF = frozenset(("false", "off", "no"))


class Context:
    """What all readers of one run share."""

    __slots__ = ("environ", "problems")

    def __init__(self, problems: Problems, environ: Environ[str, str]) -> None:
        self.problems = problems
        self.environ = environ

    def wrong(self, node: Node, what: str, right: str, find: str = "") -> Any:
        """Notes an error at a value."""
        place = node.place
        if find and 0 < node.line <= len(node.source.lines):
            at = node.source.lines[node.line - 1].find(find, node.col - 1)
            if at >= 0:
                place = place._replace(col=at + 1)
        self.problems.error_at(place, what, right)
        return INVALID

    def text(self, node: Scalar) -> str | None:
        """The scalar's text with the environment in it; None where that failed and has been told."""
        if "${" not in node.text:
            return node.text
        try:
            return expand(node.text, self.environ)
        except EnvironmentError_ as error:
            self.wrong(node, error.what, error.right, error.find)
            return None


if TYPE_CHECKING:
    Reader = Callable[[Node, Context], Any]


def decode(root: Mapping, problems: Problems, environ: Environ[str, str]) -> Config | None:
    """The configuration that a tree says; None where something is wrong, which has been told."""
    value = _reader(Config)(root, Context(problems, environ))
    return value if isinstance(value, Config) else None


@cache
def _reader(root: type[Config]) -> Reader:
    return _make(inspect.type_info(root), "", "")


def _make(kind: inspect.Type, reads: str, name: str) -> Reader:
    while isinstance(kind, inspect.Metadata):
        reads = (kind.extra or {}).get("reads", reads)
        kind = kind.type
    if isinstance(kind, inspect.StructType):
        return _struct(kind)
    if isinstance(kind, inspect.UnionType):
        return _union(kind, name)
    if isinstance(kind, inspect.ListType):
        return _list(_make(kind.item_type, "", name), name)
    if isinstance(kind, inspect.DictType):
        return _dict(_make(kind.value_type, "", name), name)
    if isinstance(kind, inspect.BoolType):
        return _bool
    if isinstance(kind, inspect.IntType):
        return _int(kind)
    if isinstance(kind, inspect.LiteralType):
        return _literal(kind.values)
    if isinstance(kind, inspect.CustomType) and kind.cls is Secret:
        return _secret
    if isinstance(kind, inspect.AnyType):
        return _free
    assert isinstance(kind, inspect.StrType), kind
    return _str(reads, kind.pattern)


def _struct(kind: inspect.StructType) -> Reader:
    cls = kind.cls
    fields = {field.encode_name: (field.name, _make(field.type, "", field.encode_name)) for field in kind.fields}
    known = list(fields)
    required = [field.encode_name for field in kind.fields if field.required]
    nullable = {field.encode_name for field in kind.fields if not field.required}

    def read(node: Node, context: Context) -> Any:
        if not isinstance(node, Mapping):
            if _is_null(node) and not required:
                return cls()
            return context.wrong(node, f"a mapping belongs here, not {_called(node)}", f"its keys are {_listed(known)}")
        values: dict[str, Any] = {}
        whole = True
        for name, (key, inner) in node.entries.items():
            field = fields.get(name)
            if field is None:
                whole = False
                _unknown(name, key.place, known, context)
                continue
            if name in nullable and _is_null(inner):
                continue
            value = field[1](inner, context)
            if value is INVALID:
                whole = False
            values[field[0]] = value
        for name in required:
            if name not in node.entries:
                whole = context.wrong(node, f"`{name}` is missing", f"add `{name}: …`") is not INVALID
        return cls(**values) if whole else INVALID

    return read


def _unknown(name: str, place: Any, known: list[str], context: Context) -> None:
    meant = closest(name, known)
    right = f"did you mean `{meant}`?" if meant else f"the keys here are {_listed(known)}"
    context.problems.error_at(place, f"`{name}` is not a key here", right)


def _union(kind: inspect.UnionType, name: str) -> Reader:
    """A union is told apart by what was written: a mapping, a list, a switch, a number, a text."""
    mapping: Reader | None = None
    sequence: Reader | None = None
    switch = False
    number: Reader | None = None
    text: Reader | None = None
    for member in kind.types:
        reader = None if isinstance(member, inspect.NoneType) else _make(member, "", name)
        bare = member
        while isinstance(bare, inspect.Metadata):
            bare = bare.type
        if isinstance(bare, (inspect.StructType, inspect.DictType)):
            mapping = reader
        elif isinstance(bare, inspect.ListType):
            sequence = reader
        elif isinstance(bare, inspect.BoolType):
            switch = True
        elif isinstance(bare, inspect.IntType):
            number = reader
        elif reader is not None:
            text = reader
    forms = [
        form
        for form, there in (
            ("`on` or `off`", switch),
            ("a number", number),
            ("a text", text),
            ("a list", sequence),
            ("a mapping", mapping),
        )
        if there
    ]
    expected = " or ".join([", ".join(forms[:-1]), forms[-1]]) if len(forms) > 1 else forms[0]

    def read(node: Node, context: Context) -> Any:
        if isinstance(node, Mapping):
            reader = mapping
        elif isinstance(node, Sequence_):
            reader = sequence
        elif switch and node.text.lower() in _ON | _OFF:
            reader = _bool
        else:
            reader = text or number or (_bool if switch else None)
        if reader is None:
            right = f"write {expected}"
            return context.wrong(node, f"`{name}` cannot be {_called(node)}", right)
        return reader(node, context)

    return read


def _list(item: Reader, name: str) -> Reader:
    def read(node: Node, context: Context) -> Any:
        if not isinstance(node, Sequence_):
            if _is_null(node):
                return []
            return context.wrong(
                node, f"`{name}` is a list, not {_called(node)}", f"write `{name}: [ … ]` or one `- …` a line"
            )
        values = [item(inner, context) for inner in node.items]
        return INVALID if INVALID in values else values

    return read


def _dict(item: Reader, name: str) -> Reader:
    def read(node: Node, context: Context) -> Any:
        if not isinstance(node, Mapping):
            if _is_null(node):
                return {}
            return context.wrong(
                node, f"`{name}` is a mapping of names, not {_called(node)}", f"write `{name}: {{NAME: …}}`"
            )
        values = {key: item(inner, context) for key, (_, inner) in node.entries.items()}
        return INVALID if any(value is INVALID for value in values.values()) else values

    return read


def _bool(node: Node, context: Context) -> Any:
    if isinstance(node, Scalar):
        text = context.text(node)
        if text is None:
            return INVALID
        if text.lower() in _ON:
            return True
        if text.lower() in _OFF:
            return False
    return context.wrong(node, f"{_called(node)} is neither on nor off", "write `on` or `off`")


def _int(kind: inspect.IntType) -> Reader:
    least = kind.ge if kind.ge is not None else -(2**63)
    most = kind.le if kind.le is not None else 2**63

    def read(node: Node, context: Context) -> Any:
        if not isinstance(node, Scalar):
            return context.wrong(node, f"a number belongs here, not {_called(node)}", "write digits")
        text = context.text(node)
        if text is None:
            return INVALID
        digits = text.replace("_", "")
        if not (digits.isascii() and digits.removeprefix("-").isdecimal()):
            return context.wrong(node, f"`{text}` is not a number", "write digits")
        if digits != "0" and digits.startswith("0"):
            right = f"write `{digits.lstrip('0') or '0'}`"
            return context.wrong(node, f"`{text}` might be meant as octal or as decimal", right)
        value = int(digits)
        if not least <= value <= most:
            return context.wrong(node, f"{value} is out of bounds", f"write {least} to {most}")
        return value

    return read


def _literal(values: tuple[Any, ...]) -> Reader:
    texts = {str(value): value for value in values}

    def read(node: Node, context: Context) -> Any:
        if not isinstance(node, Scalar):
            return context.wrong(
                node, f"{_called(node)} is not one of the values here", f"write {_listed(list(texts), 'or')}"
            )
        text = context.text(node)
        if text is None:
            return INVALID
        if text in texts:
            return texts[text]
        meant = None if text.isdecimal() else closest(text, list(texts))
        right = f"did you mean `{meant}`?" if meant else f"write {_listed(list(texts), 'or')}"
        return context.wrong(node, f"`{text}` is not one of the values here", right)

    return read


def _secret(node: Node, context: Context) -> Any:
    if not isinstance(node, Scalar):
        return context.wrong(
            node, f"a secret is a text, not {_called(node)}", 'write "${NAME}" to take it from the environment'
        )
    text = context.text(node)
    if text is None:
        return INVALID
    if not text:
        return context.wrong(node, "the secret is empty", 'write "${NAME}" to take it from the environment')
    return Secret(unescape(text))


def _free(node: Node, context: Context) -> Any:
    """What JSON can say, as a JSON Schema does: here the form of a plain scalar decides (YAML 1.2's core schema)."""
    if isinstance(node, Mapping):
        values = {key: _free(inner, context) for key, (_, inner) in node.entries.items()}
        return INVALID if any(value is INVALID for value in values.values()) else values
    if isinstance(node, Sequence_):
        items = [_free(inner, context) for inner in node.items]
        return INVALID if any(item is INVALID for item in items) else items
    text = context.text(node)
    if text is None:
        return INVALID
    if not node.plain:
        return unescape(text)
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        return float(text) if set(text) & set(".eE") else int(text)
    return unescape(text)


def _str(reads: str, pattern: str | None) -> Reader:
    checks: dict[str, Callable[[str], object]] = {
        "duration": units.duration,
        "age": units.age,
        "size": units.size,
        "rate": units.rate,
        "percent": units.percent,
        "quota": units.quota,
        "money": units.money,
        "decimal": units.decimal,
        "budget": units.budget,
        "moment": units.moment,
    }
    check = checks.get(reads)
    keep = reads in ("template", "replacement")

    def read(node: Node, context: Context) -> Any:
        if not isinstance(node, Scalar):
            return context.wrong(
                node, f"a text belongs here, not {_called(node)}", "write a text, in quotes where it begins with a sign"
            )
        text = context.text(node)
        if text is None:
            return INVALID
        if keep:
            return text
        if "${" in text:
            bare = text.replace("$${", "")
            if "${" in bare:
                found = bare[bare.index("${") :]
                found = found[: found.find("}") + 1] or found
                right = "the environment's are upper case, as `${NAME}`; `$${` writes a `${` as it stands"
                return context.wrong(node, f"`{found}` has no value here", right, found)
            text = unescape(text)
        if check is not None:
            try:
                check(text)
            except units.Unreadable as error:
                return context.wrong(node, error.what, error.right)
        if pattern is not None and not _matches(pattern, text):
            return context.wrong(node, "this is not what belongs here", "write 64 lower-case hexadecimal digits")
        return text

    return read


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null")


def _called(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence_):
        return "a list"
    return f"`{node.text}`" if node.text else "nothing"


def _listed(names: list[str], last: str = "and") -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
