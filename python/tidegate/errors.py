"""What can be wrong with a configuration, each with its place, what is wrong and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ConfigError", "ConfigErrors", "ConfigWarning", "Place", "TidegateError"]


class Place(NamedTuple):
    """Where something was written; line and column count from 1, 0 where there is none (flags, whole files)."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        if self.line == 0:
            return self.file
        return f"{self.file}:{self.line}:{self.col}"


class TidegateError(Exception):
    """The root of what Tidegate itself raises."""


class ConfigError(TidegateError):
    """One thing that is wrong: `FILE:LINE:COL: what; what would be right`."""

    def __init__(self, file: str, line: int, col: int, what: str, right: str = "") -> None:
        super().__init__(file, line, col, what, right)
        self.file = file
        self.line = line
        self.col = col
        self.what = what
        self.right = right

    @classmethod
    def at(cls, place: Place, what: str, right: str = "") -> ConfigError:
        """The same, of a place."""
        return cls(place.file, place.line, place.col, what, right)

    @property
    def place(self) -> Place:
        """Where."""
        return Place(self.file, self.line, self.col)

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" + (f"; {self.right}" if self.right else "")


class ConfigErrors(TidegateError):
    """Everything that was found wrong in one go, in the order of the files; printed one a line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors: tuple[ConfigError, ...] = tuple(errors)
        super().__init__(self.errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class ConfigWarning(NamedTuple):
    """Something that is allowed and hardly meant."""

    place: Place
    what: str
    right: str = ""

    def __str__(self) -> str:
        return f"{self.place}: warning: {self.what}" + (f"; {self.right}" if self.right else "")
