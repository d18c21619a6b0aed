"""Token buckets and caps: what is counted apart, and which routes share counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tidegate import plan
from tidegate.load.problems import closest
from tidegate.lower.headers import is_token
from tidegate.lower.work import each
from tidegate.model.limit import Concurrency, Limit

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["lower_key", "lower_route_limits"]

_KEYS: dict[str, plan.KeyPart] = {
    "client_ip": plan.ClientIpPart(),
    "api_key": plan.ApiKeyPart(),
    "path": plan.PathPart(),
    "host": plan.HostPart(),
    "route": plan.RoutePart(),
}
_ALIASES = {
    "ip": "client_ip",
    "remote_addr": "client_ip",
    "$binary_remote_addr": "client_ip",
    "user": "api_key",
    "key": "api_key",
}
_RIGHT = (
    "write `client_ip`, `header:NAME`, `cookie:NAME`, `claim:NAME`, `api_key`, `path`, `host`, `route`, "
    "or a list of these"
)

_Written = TypeVar("_Written", Limit, Concurrency)


def lower_key(written: str | list[str], path: Path, work: Work) -> list[plan.KeyPart]:
    """The parts of a key."""
    parts: list[plan.KeyPart] = []
    for text, at in each(written, path):
        kind, colon, name = text.partition(":")
        if text in _KEYS:
            part = _KEYS[text]
        elif colon and kind == "claim" and name:
            part = plan.ClaimPart(name=name)
        elif colon and kind in ("header", "cookie"):
            if not is_token(name):
                work.error(at, f"`{text}` names no {kind}", f"write `{kind}:NAME`")
                continue
            part = plan.HeaderPart(name=name) if kind == "header" else plan.CookiePart(name=name)
        else:
            meant = _ALIASES.get(text) or closest(text, [*_KEYS, "header", "cookie", "claim"])
            work.error(at, f"`{text}` is nothing to count by", f"did you mean `{meant}`?" if meant else _RIGHT)
            continue
        if part in parts:
            work.error(at, f"`{text}` is there twice", "leave one out")
        parts.append(part)
    if not parts and not written:
        work.error(path, "the key is empty", "write `route` to count all requests of the route together")
    return parts


def lower_route_limits(work: Work, names: list[str]) -> tuple[list[list[int]], list[list[int]]]:
    """The indices of buckets and caps for each route; those without a name get the route's."""
    routes = work.config.routes
    limits = _Shared(work, "limit", work.limit_paths)
    caps = _Shared(work, "concurrency", work.concurrency_paths)
    for index, route in enumerate(routes):
        for limit, path in each(route.limit, ("routes", index, "limit")):
            limits.define(index, limit, path, names[index], lambda name, it, at: _limit(name, it, at, work))
        for cap, path in each(route.concurrency, ("routes", index, "concurrency")):
            caps.define(index, cap, path, names[index], lambda name, it, at: _concurrency(name, it, at, work))
    first = len(routes)
    # Listeners that pass connections on share the counts of routes where the names are the same.
    for index, listener in enumerate(work.config.listeners):
        if isinstance(listener, str) or listener.protocol != "tcp":
            continue
        name = listener.name or listener.address
        for limit, path in each(listener.limit, ("listeners", index, "limit")):
            limits.define(first + index, limit, path, name, lambda name, it, at: _limit(name, it, at, work))
        for cap, path in each(listener.concurrency, ("listeners", index, "concurrency")):
            caps.define(first + index, cap, path, name, lambda name, it, at: _concurrency(name, it, at, work))
    work.limits = [entry for entry in limits.made if isinstance(entry, plan.Limit)]
    work.concurrency = [entry for entry in caps.made if isinstance(entry, plan.Concurrency)]
    owners = first + len(work.config.listeners)
    limits_of, caps_of = limits.resolve(owners), caps.resolve(owners)
    work.listener_limits, work.listener_caps = limits_of[first:], caps_of[first:]
    return limits_of[:first], caps_of[:first]


class _Shared:
    """Definitions by name, and who refers to them."""

    def __init__(self, work: Work, noun: str, paths: list[Path]) -> None:
        self.work = work
        self.noun = noun
        self.paths = paths
        self.made: list[plan.Limit | plan.Concurrency] = []
        self.by_name: dict[str, int] = {}
        self.used: list[tuple[int, str, Path]] = []
        self.auto: dict[str, int] = {}

    def define(self, route: int, written: Limit | Concurrency, path: Path, route_name: str, make: object) -> None:
        if written.name is not None and _only_named(written):
            self.used.append((route, written.name, path))
            return
        assert callable(make)
        name = written.name or self._free(route_name)
        made = make(name, written, path)
        if name not in self.by_name:
            self.by_name[name] = len(self.made)
            self.made.append(made)
            self.paths.append(path)
        elif self.made[self.by_name[name]] != made:
            there = self.work.place(self.paths[self.by_name[name]])
            self.work.error(
                path,
                f"the {self.noun} `{name}` is something else at {there}",
                f"write `{self.noun}: {{name: {name}}}` to share it, or another name",
            )
        self.used.append((route, name, path))

    def resolve(self, routes: int) -> list[list[int]]:
        out: list[list[int]] = [[] for _ in range(routes)]
        for route, name, path in self.used:
            index = self.by_name.get(name)
            if index is None:
                meant = closest(name, list(self.by_name))
                right = f"did you mean `{meant}`?" if meant else f"write the {self.noun} out here"
                self.work.error(path, f"no {self.noun} is called `{name}`", right)
            elif index in out[route]:
                self.work.error(path, f"the {self.noun} `{name}` is there twice", "leave one out")
            else:
                out[route].append(index)
        return out

    def _free(self, route_name: str) -> str:
        count = self.auto[route_name] = self.auto.get(route_name, 0) + 1
        return route_name if count == 1 else f"{route_name}#{count}"


def _only_named(written: Limit | Concurrency) -> bool:
    if isinstance(written, Limit):
        return written.key is None and written.rate is None and written.burst is None
    return written.key is None and written.max is None


def _limit(name: str, written: Limit, path: Path, work: Work) -> plan.Limit:
    if written.key is None:
        work.error(path, "`key` is missing: what is counted apart", "add `key: client_ip`")
    if written.rate is None:
        work.error(path, "`rate` is missing", "add `rate: 100/s`")
    rate = work.rate(written.rate or "1/s", (*path, "rate"))
    burst = written.burst or rate.tokens
    if written.cost > burst:
        work.error(
            (*path, "cost"),
            f"no bucket of {burst} ever holds {written.cost} tokens",
            f"raise `burst` to {written.cost}",
        )
    return plan.Limit(
        name=name,
        key=lower_key(written.key, (*path, "key"), work) if written.key is not None else [],
        rate=rate,
        burst=burst,
        cost=written.cost,
        delay_ms=work.milliseconds(written.delay, (*path, "delay")),
    )


def _concurrency(name: str, written: Concurrency, path: Path, work: Work) -> plan.Concurrency:
    if written.key is None:
        work.error(path, "`key` is missing: what is counted apart", "add `key: route`")
    if written.max is None:
        work.error(path, "`max` is missing", "add `max: 100`")
    key = lower_key(written.key, (*path, "key"), work) if written.key is not None else []
    return plan.Concurrency(name=name, key=key, max=written.max or 1)
