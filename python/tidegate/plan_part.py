"""What all pages of a plan have in common."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Access", "Part", "Retry", "RetryReason"]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What all records of a plan have in common: nothing is optional, nothing unknown, nothing in a cycle."""


class Access(Part, frozen=True, kw_only=True):
    """Who may come by address."""

    allow: list[str]
    deny: list[str]


RetryReason = Literal["connect", "reset", "timeout", "500", "502", "503", "504", "429"]


class Retry(Part, frozen=True, kw_only=True):
    """When a failed attempt is followed by another."""

    attempts: int
    on: list[RetryReason]
    non_idempotent: bool
    budget_percent: int
    replay_bytes: int
