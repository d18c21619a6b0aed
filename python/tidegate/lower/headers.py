"""Edits of header fields: removed first, then set, then added."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower.template import Captures, template
from tidegate.lower.work import each

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.route import Edits

__all__ = ["is_framing", "is_token", "lower_edits"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_OURS = {
    "connection": "whether a connection is kept is decided hop by hop (RFC 9110 §7.6.1)",
    "content-length": "framing is always derived anew (RFC 9112 §6.3)",
    "keep-alive": "whether a connection is kept is decided hop by hop (RFC 9110 §7.6.1)",
    "proxy-connection": "it never leaves (RFC 9110 §7.6.1)",
    "te": "it belongs to one hop (RFC 9110 §10.1.4)",
    "trailer": "framing is always derived anew (RFC 9110 §6.6.2)",
    "transfer-encoding": "framing is always derived anew (RFC 9112 §6.1)",
    "upgrade": "upgrades are passed on where the upstream agrees (RFC 9110 §7.8)",
}


def is_token(name: str) -> bool:
    """Whether it can be a field's name (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def is_framing(name: str) -> bool:
    """Whether a field frames a message or belongs to one hop, so that only Tidegate writes it."""
    return name.lower() in _OURS


def lower_edits(edits: Edits, path: Path, work: Work, captures: Captures, *, request: bool) -> list[plan.HeaderEdit]:
    """The edits of one direction, in the order in which they are done."""
    out = []
    for name, at in each(edits.remove, (*path, "remove")):
        _check(name, at, work, request)
        out.append(plan.HeaderEdit(kind="remove", name=name, value=[]))
    for name, text in edits.set.items():
        at = (*path, "set", name)
        _check(name, at, work, request)
        out.append(plan.HeaderEdit(kind="set", name=name, value=template(text, at, work, captures)))
    for name, texts in edits.add.items():
        _check(name, (*path, "add", name), work, request)
        for text, at in each(texts, (*path, "add", name)):
            out.append(plan.HeaderEdit(kind="add", name=name, value=template(text, at, work, captures)))
    return out


def _check(name: str, path: Path, work: Work, request: bool) -> None:
    place = work.where.key_place if not isinstance(path[-1], int) and path[-1] == name else work.where.place
    if not is_token(name):
        work.problems.error_at(place(path), f"`{name}` is not a header's name", "write letters, digits and `-`")
    elif (reason := _OURS.get(name.lower())) is not None:
        work.problems.error_at(place(path), f"`{name}` cannot be edited: {reason}", "leave it out")
    elif request and name.lower() == "host":
        work.problems.error_at(place(path), "`Host` is not edited as a header", "write `rewrite: {host: NAME}`")
