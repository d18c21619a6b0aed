"""`${NAME}`, `${NAME:-default}` and `${NAME:?message}` in values.

Names of the environment are upper case (`[A-Z_][A-Z0-9_]*`); `${lower}`, `${header:X}` and `${1}` are the
request's and stay for the templates. `$${` is a `${` that stands for itself. What comes from the
environment is never read as a variable again: its own `${` is escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EnvironmentError_", "expand", "unescape"]

_OPEN = re.compile(r"\$\$\{|\$\{([A-Z_][A-Z0-9_]*)(:-|:\?|\})")


class EnvironmentError_(ValueError):  # noqa: N801 — the built-in one is another
    """A variable that is not there: what is wrong, what would be right, and the text to point at."""

    def __init__(self, what: str, right: str, find: str) -> None:
        super().__init__(what)
        self.what = what
        self.right = right
        self.find = find


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with the environment's variables in place; `$${` stays as it is, for `unescape` or a template."""
    out: list[str] = []
    at = 0
    while found := _OPEN.search(text, at):
        out.append(text[at : found.start()])
        at = found.end()
        name = found[1]
        if name is None:
            out.append("$${")
            continue
        if found[2] == "}":
            if name not in environ:
                right = f"set it, or write `${{{name}:-default}}`"
                raise EnvironmentError_(f"the environment variable {name} is not set", right, found[0])
            out.append(environ[name].replace("${", "$${"))
            continue
        end = _end(text, at)
        if end is None:
            raise EnvironmentError_(f"`${{{name}` is not closed", "write the closing `}`", found[0])
        rest, at = text[at:end], end + 1
        if value := environ.get(name):
            out.append(value.replace("${", "$${"))
        elif found[2] == ":-":
            out.append(expand(rest, environ))
        else:
            raise EnvironmentError_(
                f"the environment variable {name} is not set", expand(rest, environ) or "set it", found[0]
            )
    out.append(text[at:])
    return "".join(out)


def unescape(text: str) -> str:
    """The text with `${` for `$${`."""
    return text.replace("$${", "${")


def _end(text: str, at: int) -> int | None:
    """Where the brace that is open at `at` closes."""
    depth = 0
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 1
        elif text[at] == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return None
