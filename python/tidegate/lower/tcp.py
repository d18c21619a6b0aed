"""Listeners that pass connections on: where to, by which name, within which bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tidegate import plan
from tidegate.lower.auth import lower_access
from tidegate.lower.match import lower_host
from tidegate.lower.upstream import lower_retry
from tidegate.lower.work import each
from tidegate.model import defaults
from tidegate.model.listener import Listener
from tidegate.model.upstream import Retry

if TYPE_CHECKING:
    from tidegate.lower.upstream import Upstreams
    from tidegate.lower.work import Path, Work

__all__ = ["is_tcp", "lower_tcp"]

_ONLY_TCP = ("upstream", "sni", "access", "limit", "concurrency", "max_connections", "timeouts", "access_log")
_NAMELESS = (plan.HeaderPart, plan.CookiePart, plan.ApiKeyPart, plan.ClaimPart, plan.PathPart)


def is_tcp(work: Work, index: int) -> bool:
    """Whether the listener passes connections on; admin listeners come behind those of the configuration."""
    written = work.config.listeners
    entry = written[index] if index < len(written) else ""
    return isinstance(entry, Listener) and entry.protocol == "tcp"


def lower_tcp(work: Work, upstreams: Upstreams) -> None:
    """Completes the listeners; called when routes have their limits, which listeners may share."""
    for index, entry in enumerate(work.config.listeners):
        path: Path = ("listeners", index)
        if not isinstance(entry, Listener):
            continue
        if entry.protocol == "tcp":
            for key in ("tls", "http2", "redirect_https"):
                if work.where.has((*path, key)):
                    place = work.where.key_place((*path, key))
                    right = "leave it out; `sni` chooses the upstream by name, which ends TLS itself"
                    work.problems.error_at(place, f"`{key}` is for listeners that speak HTTP", right)
            made = _tcp(entry, path, work, upstreams)
            limits, caps = work.listener_limits[index], work.listener_caps[index]
            _check_keys(limits, caps, path, work)
            made = msgspec.structs.replace(made, limits=limits, concurrency=caps)
            work.listeners[index] = msgspec.structs.replace(work.listeners[index], tcp=made)
            continue
        for key in _ONLY_TCP:
            if work.where.has((*path, key)):
                place = work.where.key_place((*path, key))
                right = "add `protocol: tcp`, or write it in a route"
                work.problems.error_at(place, f"`{key}` is for listeners that pass connections on", right)


def _tcp(entry: Listener, path: Path, work: Work, upstreams: Upstreams) -> plan.Tcp:
    default = None
    if entry.upstream is not None:
        default = _target(entry.upstream, (*path, "upstream"), work, upstreams)
    elif not entry.sni:
        work.error(path, "connections are passed on to nowhere", "add `upstream: tcp://HOST:PORT`")
    routes: dict[str, plan.SniRoute] = {}
    for number, sni in enumerate(entry.sni):
        at: Path = (*path, "sni", number)
        target = _target(sni.upstream, (*at, "upstream"), work, upstreams)
        if not sni.host:
            work.error((*at, "host"), "there is no name", "write `a.example.com`")
        for text, place in each(sni.host, (*at, "host")):
            host = lower_host(text, place, work)
            if host in routes:
                work.error(place, f"`{text}` is there twice", "leave one out")
            routes[host] = plan.SniRoute(host=host, target=target)
    timeouts = entry.timeouts
    idle = work.tunnel_idle_ms
    if timeouts.idle is not None:
        idle = work.milliseconds(timeouts.idle, (*path, "timeouts", "idle"))
    return plan.Tcp(
        sni=list(routes.values()),
        default=default,
        access=lower_access(entry.access, (*path, "access"), work) if entry.access is not None else None,
        limits=[],
        concurrency=[],
        max_connections=entry.max_connections,
        hello_ms=work.milliseconds(timeouts.hello, (*path, "timeouts", "hello"), least=1),
        hello_bytes=work.bytes(defaults.TCP_HELLO_BYTES, path),
        idle_ms=idle,
        access_log=entry.access_log,
    )


def _target(written: str | list[str], path: Path, work: Work, upstreams: Upstreams) -> plan.TcpTarget:
    index = upstreams.index(written, path, stream=True)
    at = work.upstream_paths[index] if index < len(work.upstream_paths) else path
    connect = upstreams.timeouts(index).connect
    retry = upstreams.retry(index)
    if isinstance(retry, Retry) and retry.attempts is None:
        retry = msgspec.structs.replace(retry, attempts=defaults.TCP_ATTEMPTS)
    return plan.TcpTarget(
        upstream=index,
        connect_ms=work.milliseconds(connect or defaults.CONNECT, (*at, "timeouts", "connect")),
        retry=lower_retry(Retry(), retry, (path, at), work),
    )


def _check_keys(limits: list[int], caps: list[int], path: Path, work: Work) -> None:
    for noun, keys in (
        ("limit", [work.limits[index].key for index in limits]),
        ("concurrency", [work.concurrency[index].key for index in caps]),
    ):
        if any(isinstance(part, _NAMELESS) for key in keys for part in key):
            right = "write `client_ip`, `host` (the name that a TLS client asks for) or `route` (the listener)"
            work.error((*path, noun), "a connection that is passed on has none of this to count by", right)
