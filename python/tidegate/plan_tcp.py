"""The part of the plan for connections that are passed on as they are, and for requests that come back."""

from __future__ import annotations

from typing import Literal

from tidegate.plan_part import Access, Part, Retry

__all__ = ["LoopGuard", "ProxyVersion", "SniRoute", "Tcp", "TcpTarget"]

ProxyVersion = Literal["v1", "v2"]


class TcpTarget(Part, frozen=True, kw_only=True):
    """An upstream, and how it is connected to."""

    upstream: int
    connect_ms: int
    retry: Retry


class SniRoute(Part, frozen=True, kw_only=True):
    """What clients that ask for a name get."""

    host: str
    target: TcpTarget


class Tcp(Part, frozen=True, kw_only=True):
    """How the connections of a listener are passed on."""

    sni: list[SniRoute]
    default: TcpTarget | None
    access: Access | None
    limits: list[int]
    concurrency: list[int]
    max_connections: int
    hello_ms: int
    hello_bytes: int
    idle_ms: int
    access_log: bool


class LoopGuard(Part, frozen=True, kw_only=True):
    """How requests are known that passed this gateway before."""

    id: str
    field: Literal["cdn_loop", "via"]
    most: int
