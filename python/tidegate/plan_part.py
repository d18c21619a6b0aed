"""What all pages of a plan have in common."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Access",
    "ApiKeyPart",
    "ClaimPart",
    "ClientIpPart",
    "CookiePart",
    "HeaderPart",
    "HostPart",
    "KeyPart",
    "Part",
    "PathPart",
    "Retry",
    "RetryReason",
    "RoutePart",
]


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


class ClientIpPart(Part, tag_field="kind", tag="client_ip", frozen=True, kw_only=True):
    """The client's address."""


class HeaderPart(Part, tag_field="kind", tag="header", frozen=True, kw_only=True):
    """A request field."""

    name: str


class CookiePart(Part, tag_field="kind", tag="cookie", frozen=True, kw_only=True):
    """A cookie."""

    name: str


class ApiKeyPart(Part, tag_field="kind", tag="api_key", frozen=True, kw_only=True):
    """The name of the key or user."""


class ClaimPart(Part, tag_field="kind", tag="claim", frozen=True, kw_only=True):
    """A claim of the token."""

    name: str


class PathPart(Part, tag_field="kind", tag="path", frozen=True, kw_only=True):
    """The normalised path."""


class HostPart(Part, tag_field="kind", tag="host", frozen=True, kw_only=True):
    """The host."""


class RoutePart(Part, tag_field="kind", tag="route", frozen=True, kw_only=True):
    """The route."""


KeyPart = ClientIpPart | HeaderPart | CookiePart | ApiKeyPart | ClaimPart | PathPart | HostPart | RoutePart
