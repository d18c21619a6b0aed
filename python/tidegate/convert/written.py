"""A converted configuration on its way to paper: plain data, and notes that stand above what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tidegate.errors import TidegateError

__all__ = ["ConvertError", "Converted", "Piece"]


class ConvertError(TidegateError):
    """The file is not what it should be: where, and what is wrong."""

    def __init__(self, name: str, line: int, what: str) -> None:
        super().__init__(f"{name}:{line}: {what}" if line else f"{name}: {what}")


@dataclass
class Piece:
    """An entry of a list or a mapping, with the notes above it."""

    content: Any
    notes: list[str] = field(default_factory=list)


@dataclass
class Converted:
    """A configuration."""

    source: str
    """The file's name, as notes call it."""
    notes: list[str] = field(default_factory=list)
    """About all of it."""
    head: dict[str, Any] = field(default_factory=dict)
    """Keys that stand before the routes."""
    routes: list[Piece] = field(default_factory=list)
    upstreams: dict[str, Piece] = field(default_factory=dict)
    tail: dict[str, Any] = field(default_factory=dict)
    """Keys that stand behind everything."""

    def note(self, line: int, what: str) -> str:
        """A note as it is written, with the line that it is about."""
        return f"{self.source}:{line}: {what}"

    @property
    def all_notes(self) -> list[str]:
        """In the order in which they are written."""
        pieces = [*self.routes, *self.upstreams.values()]
        return [*self.notes, *(note for piece in pieces for note in piece.notes)]

    def config(self) -> dict[str, Any]:
        """The configuration as plain data."""
        out = dict(self.head)
        if self.routes:
            out["routes"] = [piece.content for piece in self.routes]
        if self.upstreams:
            out["upstreams"] = {name: piece.content for name, piece in self.upstreams.items()}
        return {**out, **self.tail}

    def text(self) -> str:
        """As tidegate.yaml."""
        lines = [
            "# yaml-language-server: $schema=tidegate.schema.json",
            f"# Converted from {self.source} by `tidegate convert`; NOTE says where the meaning is another.",
            *_comments(self.notes),
        ]
        for key, value in self.head.items():
            lines += _yaml({key: value})
        if self.routes:
            lines += ["", "routes:"]
            for piece in self.routes:
                lines += _indented(_comments(piece.notes) + _yaml([piece.content]))
        if self.upstreams:
            lines += ["", "upstreams:"]
            for name, piece in self.upstreams.items():
                lines += _indented(_comments(piece.notes) + _yaml({name: piece.content}))
        for key, value in self.tail.items():
            lines += ["", *_yaml({key: value})]
        return "\n".join(lines) + "\n"


def _comments(notes: Iterable[str]) -> list[str]:
    return [f"# NOTE {' '.join(note.split())}" for note in dict.fromkeys(notes)]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" if line else line for line in lines]


def _yaml(value: Any) -> list[str]:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None).splitlines()
