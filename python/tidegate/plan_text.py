"""Texts with variables and tests of values, as several pages of the plan have them."""

from __future__ import annotations

from typing import Literal

from tidegate.plan_part import Part

VariableName = Literal[
    "client_ip",
    "peer_ip",
    "peer_port",
    "host",
    "authority",
    "scheme",
    "method",
    "path",
    "query",
    "request_uri",
    "request_id",
    "route",
    "upstream",
    "user",
    "listener",
    "status",
    "duration",
    "time",
    "protocol",
    "tls_version",
    "tls_cipher",
    "tls_client_subject",
    "tls_client_san",
    "tls_client_verified",
    "sni",
    "dollar",
]


class Text(Part, tag_field="kind", tag="text", frozen=True, kw_only=True):
    """As it stands."""

    value: str


class Variable(Part, tag_field="kind", tag="variable", frozen=True, kw_only=True):
    """Something that the request knows."""

    name: VariableName


class HeaderValue(Part, tag_field="kind", tag="header", frozen=True, kw_only=True):
    """`${header:NAME}`."""

    name: str


class QueryValue(Part, tag_field="kind", tag="query", frozen=True, kw_only=True):
    """`${query:NAME}`."""

    name: str


class CookieValue(Part, tag_field="kind", tag="cookie", frozen=True, kw_only=True):
    """`${cookie:NAME}`."""

    name: str


class ClaimValue(Part, tag_field="kind", tag="claim", frozen=True, kw_only=True):
    """`${claim:NAME}`."""

    name: str


class Capture(Part, tag_field="kind", tag="capture", frozen=True, kw_only=True):
    """`${1}`, `${name}`, `${capture:name}`."""

    name: str


TemplatePart = Text | Variable | HeaderValue | QueryValue | CookieValue | ClaimValue | Capture
Template = list[TemplatePart]


class ValuePresent(Part, tag_field="kind", tag="present", frozen=True, kw_only=True):
    """It is there."""


class ValueAbsent(Part, tag_field="kind", tag="absent", frozen=True, kw_only=True):
    """It is not there."""


class ValueExact(Part, tag_field="kind", tag="exact", frozen=True, kw_only=True):
    """It is this."""

    value: str


class ValueRegex(Part, tag_field="kind", tag="regex", frozen=True, kw_only=True):
    """The pattern is found in it."""

    value: str


ValueTest = ValuePresent | ValueAbsent | ValueExact | ValueRegex


class ValueMatch(Part, frozen=True, kw_only=True):
    """A condition on one header field or one query parameter."""

    name: str
    test: ValueTest
