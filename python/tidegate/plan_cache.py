"""The page of the plan on what is kept of answers, as `rust/plan/src/cache.rs` decodes it.

Knows: the shape of the rules of a route and of the store.
Never: what people write, which value is a good one.
"""

from __future__ import annotations

from typing import Literal

from tidegate.plan_part import Part
from tidegate.plan_text import Template, ValueMatch


class CacheStore(Part, frozen=True, kw_only=True):
    """The store of kept answers."""

    memory_bytes: int


class CacheTtl(Part, frozen=True, kw_only=True):
    """A time by status; 0 for all that a cache may keep by itself."""

    status: int
    seconds: int


class CacheQuery(Part, frozen=True, kw_only=True):
    """Which of the query counts."""

    sort: bool
    keep: list[str] | None
    drop: list[str]


class CacheKey(Part, frozen=True, kw_only=True):
    """What tells answers apart."""

    space: str
    scheme: bool
    host: bool
    query: CacheQuery
    headers: list[str]
    cookies: list[str]
    template: Template


class CacheVary(Part, frozen=True, kw_only=True):
    """How `Vary` is met."""

    accept_encoding: list[str]
    accept_language: list[str]
    ignore: list[str]
    most: int


class CacheBypass(Part, frozen=True, kw_only=True):
    """A reason not to use the store: `header`, `cookie` or `query`."""

    part: Literal["header", "cookie", "query"]
    test: ValueMatch


class CacheDebug(Part, frozen=True, kw_only=True):
    """Who is told keys."""

    header: str
    allow: list[str]


class RouteCache(Part, frozen=True, kw_only=True):
    """What is kept of a route's answers, and for whom."""

    ttl: list[CacheTtl]
    key: CacheKey
    vary: CacheVary
    bypass: list[CacheBypass]
    stale_while_revalidate_s: int
    stale_if_error_s: int
    heuristic_percent: int
    negative_s: int
    object_bytes: int
    set_cookie: bool
    authorized: bool
    request_control: bool
    tags: list[str]
    hide: list[str]
    strip: list[str]
    debug: CacheDebug | None
    coalesce_ms: int
