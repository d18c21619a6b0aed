"""What all pages of a plan have in common."""

from __future__ import annotations

import msgspec

__all__ = ["Access", "Part"]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What all records of a plan have in common: nothing is optional, nothing unknown, nothing in a cycle."""


class Access(Part, frozen=True, kw_only=True):
    """Who may come by address."""

    allow: list[str]
    deny: list[str]
