"""Upstreams: those that are named, and those that a route writes out as URLs."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.load.problems import closest
from tidegate.lower.address import NOWHERE, authority, endpoint, is_secure, is_stream
from tidegate.lower.limit import lower_key
from tidegate.lower.work import each
from tidegate.model import defaults
from tidegate.model.upstream import ActiveHealth, Endpoint, HashBalance, PassiveHealth, Retry, Timeouts, Tls, Upstream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidegate.lower.work import Path, Work

__all__ = ["Upstreams", "lower_retry", "lower_timeouts"]

_BALANCES: dict[str, plan.Balance] = {
    "least_latency": plan.LeastLatency(),
    "least_requests": plan.LeastRequests(),
    "round_robin": plan.RoundRobin(),
}
_NO_RETRY = Retry(attempts=1)
_STATUS = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")


class Upstreams:
    """The plan's upstreams while routes point at them."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.written: list[Upstream] = []
        self.by_name: dict[str, int] = {}
        self.by_urls: dict[tuple[str, ...], int] = {}
        self.used: dict[int, bool] = {}
        for name, entry in work.config.upstreams.items():
            self._named(name, entry)

    def _check_protocol(self, written: Upstream, path: Path) -> None:
        """HTTP/2 connections are shared by clients, so they can't speak for one; tcp listeners speak no HTTP at all."""
        if written.protocol == "http1":
            return
        if written.proxy_protocol is not None:
            self.work.error(
                (*path, "proxy_protocol"),
                "a PROXY header tells of one client, and a connection of HTTP/2 is shared by many",
                "leave `protocol` out, or rely on `server.forwarded`",
            )
        entries: Iterable[tuple[str | Endpoint, Path]] = each(written.endpoints, path)
        if any(is_stream(entry if isinstance(entry, str) else entry.url) for entry, _ in entries):
            self.work.error((*path, "protocol"), "tcp listeners speak no HTTP to these endpoints", "leave it out")

    def index(self, written: str | list[str], path: Path, *, stream: bool = False) -> int:
        """The upstream that a route means, or (`stream`) a tcp listener; what is wrong is noted."""
        if isinstance(written, str) and not _is_url(written):
            index = self.by_name.get(written)
            if index is None:
                self.work.error(path, f"no upstream is called `{written}`", self._right(written))
                return 0
        else:
            urls = [written] if isinstance(written, str) else written
            index = self._inline(urls, path, stream)
        self._use(index, path, stream)
        return index

    def _use(self, index: int, path: Path, stream: bool) -> None:
        """Notes who leads to an upstream: its endpoints speak HTTP, or take what tcp listeners pass on, never both."""
        if index >= len(self.written):
            return
        entries: Iterable[tuple[str | Endpoint, Path]] = each(self.written[index].endpoints, ())
        urls = [entry if isinstance(entry, str) else entry.url for entry, _ in entries]
        url = urls[0] if urls else ""
        bare = url.partition("://")[2]
        if stream and url[:4].lower() == "http":
            scheme = "tls" if is_secure(url) else "tcp"
            self.work.error(path, f"`{url}` is spoken HTTP to, a tcp listener is not", f"write `{scheme}://{bare}`")
        elif not stream and is_stream(url):
            scheme = "https" if is_secure(url) else "http"
            self.work.error(path, f"`{url}` is for tcp listeners, a route speaks HTTP", f"write `{scheme}://{bare}`")
        elif self.used.get(index, stream) != stream:
            name = self.work.upstreams[index].name
            self.work.error(
                path, f"`{name}` is spoken HTTP to elsewhere", "name another upstream with the same endpoints"
            )
        self.used[index] = stream

    def timeouts(self, index: int | None) -> Timeouts:
        """What the upstream says for routes that do not."""
        return self.written[index].timeouts if index is not None and index < len(self.written) else Timeouts()

    def retry(self, index: int | None) -> Retry | bool:
        """What the upstream says for routes that do not."""
        return self.written[index].retry if index is not None and index < len(self.written) else Retry()

    def warn_unused(self) -> None:
        """Warns of upstreams that nothing leads to; a hook may pick any."""
        if self.work.config.routes and not self.work.hooks:
            for name, index in self.by_name.items():
                if index not in self.used:
                    path = self.work.where.key_place(("upstreams", name))
                    self.work.problems.warn_at(path, f"no route leads to the upstream `{name}`", "leave it out")

    def add(self, name: str, written: Upstream, path: Path, endpoints_path: Path) -> int:
        """One more upstream, which no route names; what is wrong is noted."""
        while name in self.by_name:
            name += "#"
        return self._add(name, written, path, endpoints_path)

    def _named(self, name: str, written: str | list[str] | Upstream) -> None:
        path: Path = ("upstreams", name)
        if not name or _is_url(name) or not name.isprintable():
            self.work.problems.error_at(
                self.work.where.key_place(path), f"`{name}` cannot be a name", "write letters, digits, `-` and `_`"
            )
        if isinstance(written, Upstream):
            entry, at = written, (*path, "endpoints")
        else:
            entry, at = Upstream(endpoints=[*written] if isinstance(written, list) else written), path
        self.by_name[name] = self._add(name, entry, path, at)

    def _inline(self, urls: list[str], path: Path, stream: bool) -> int:
        index = self.by_urls.get(key := (str(stream), *urls))
        if index is not None:
            return index
        for position, url in enumerate(urls):
            if url in self.work.config.upstreams:
                self.work.error(
                    (*path, position), f"`{url}` is an upstream's name in a list of URLs", f"write `upstream: {url}`"
                )
                return 0
        base = urls[0] if len(urls) == 1 else f"{urls[0]}+{len(urls) - 1}" if urls else ""
        name, count = base, 1
        while name in self.by_name:
            count += 1
            name = f"{base}#{count}"
        index = self._add(name, Upstream(endpoints=[*urls]), path, path)
        self.by_urls[key] = self.by_name[name] = index
        return index

    def _add(self, name: str, written: Upstream, path: Path, endpoints_path: Path) -> int:
        work = self.work
        self._check_protocol(written, path)
        made = plan.Upstream(
            name=name,
            endpoints=_endpoints(written, endpoints_path, work),
            balance=_balance(written.balance, (*path, "balance"), work),
            protocol=written.protocol,
            tls=_tls(written, path, endpoints_path, work),
            proxy_protocol=written.proxy_protocol,
            pool=plan.Pool(
                idle_max=written.pool.idle_max,
                idle_ms=work.milliseconds(written.pool.idle, (*path, "pool", "idle")),
                lifetime_ms=work.milliseconds(written.pool.lifetime, (*path, "pool", "lifetime")),
                max_connections=written.pool.max_connections,
                queue_max=written.pool.queue_max,
                queue_ms=work.milliseconds(written.pool.queue, (*path, "pool", "queue")),
            ),
            passive=_passive(written.health.passive, (*path, "health", "passive"), work),
            active=_active(written.health.active, (*path, "health", "active"), work),
            slow_start_ms=work.milliseconds(written.slow_start, (*path, "slow_start")),
        )
        work.upstreams.append(made)
        work.upstream_paths.append(path)
        self.written.append(written)
        return len(work.upstreams) - 1

    def _right(self, name: str) -> str:
        if meant := closest(name, [known for known in self.by_name if not _is_url(known)]):
            return f"did you mean `{meant}`?"
        if re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+", name) or "." in name:
            return f"write `http://{name}`"
        return f"add it: `upstreams: {{{name}: http://HOST:PORT}}`"


def lower_timeouts(route: Timeouts, upstream: Timeouts, paths: tuple[Path, Path], work: Work) -> plan.Timeouts:
    """The waiting times of a route: its own, else its upstream's, else the defaults."""

    def pick(mine: str | None, theirs: str | None, otherwise: str, key: str) -> int:
        if mine is not None:
            return work.milliseconds(mine, (*paths[0], "timeouts", key))
        return work.milliseconds(theirs if theirs is not None else otherwise, (*paths[1], "timeouts", key))

    return plan.Timeouts(
        connect_ms=pick(route.connect, upstream.connect, defaults.CONNECT, "connect"),
        head_ms=pick(route.head, upstream.head, defaults.HEAD, "head"),
        idle_ms=pick(route.idle, upstream.idle, defaults.IDLE, "idle"),
        total_ms=pick(route.total, upstream.total, defaults.TOTAL, "total"),
        tunnel_idle_ms=_tunnel_idle(route, upstream, paths, work),
    )


def _tunnel_idle(route: Timeouts, upstream: Timeouts, paths: tuple[Path, Path], work: Work) -> int:
    for written, path in ((route.tunnel_idle, paths[0]), (upstream.tunnel_idle, paths[1])):
        if written is not None:
            return work.milliseconds(written, (*path, "timeouts", "tunnel_idle"))
    return work.tunnel_idle_ms


def lower_retry(route: Retry | bool, upstream: Retry | bool, paths: tuple[Path, Path], work: Work) -> plan.Retry:
    """When a route's failed attempts are followed by others: its own word, else its upstream's, else the defaults."""
    mine, theirs = _retry(route), _retry(upstream)
    if route is True:
        theirs = Retry()
    budget, replay = mine.budget or theirs.budget, mine.replay or theirs.replay
    at = paths[0] if mine.budget is not None else paths[1]
    at_replay = paths[0] if mine.replay is not None else paths[1]
    attempts = mine.attempts or theirs.attempts or defaults.ATTEMPTS
    reasons = mine.on if mine.on is not None else theirs.on
    non_idempotent = mine.non_idempotent if mine.non_idempotent is not None else theirs.non_idempotent
    on: list[plan.RetryReason] = list(dict.fromkeys(defaults.RETRY_ON if reasons is None else reasons))
    return plan.Retry(
        attempts=attempts,
        on=on,
        non_idempotent=bool(non_idempotent),
        budget_percent=work.percent(budget or defaults.RETRY_BUDGET, (*at, "retry", "budget")),
        replay_bytes=work.bytes(replay or defaults.REPLAY, (*at_replay, "retry", "replay")),
    )


def _retry(written: Retry | bool) -> Retry:
    if isinstance(written, bool):
        return Retry() if written else _NO_RETRY
    return written


def _is_url(text: str) -> bool:
    return "://" in text or text.startswith("unix:")


def _endpoints(written: Upstream, path: Path, work: Work) -> list[plan.Endpoint]:
    made: dict[plan.Address, plan.Endpoint] = {}
    entries: Iterable[tuple[str | Endpoint, Path]] = each(written.endpoints, path)
    for entry, at in entries:
        url, weight = (entry, 1) if isinstance(entry, str) else (entry.url, entry.weight)
        where = at if isinstance(entry, str) else (*at, "url")
        address = endpoint(url, where, work)
        if address is not NOWHERE and address in made:
            work.error(where, f"`{url}` is there twice", "give it a `weight: 2` instead")
        made[address] = plan.Endpoint(
            address=address, weight=weight, authority=authority(address, secure=is_secure(url))
        )
    if not made:
        work.error(path, "there is no endpoint", "add `http://HOST:PORT`")
    return list(made.values())


def _tls(written: Upstream, path: Path, endpoints_path: Path, work: Work) -> plan.UpstreamTls | None:
    """How the endpoints are secured: all of them or none."""
    entries: Iterable[tuple[str | Endpoint, Path]] = each(written.endpoints, endpoints_path)
    urls = [(entry, at) if isinstance(entry, str) else (entry.url, (*at, "url")) for entry, at in entries]
    streams = [is_stream(url) for url, _ in urls if not url.startswith("unix:")]
    if any(streams) and not all(streams):
        work.error(endpoints_path, "some of the endpoints speak HTTP and some do not", "write two upstreams")
    secure = [is_secure(url) for url, _ in urls]
    if not any(secure):
        if written.tls is not None:
            right = "write `https://` at the endpoints, or leave `tls` out"
            if any(streams):
                right = "write `tls://` at the endpoints, or leave `tls` out"
            work.error((*path, "tls"), "the endpoints are spoken to without TLS", right)
        return None
    if not all(secure):
        url, at = urls[secure.index(not secure[0])]
        work.error(
            at, f"`{url}` stands beside endpoints of another scheme", "write `https://` at all of them or at none"
        )
    entry = written.tls or Tls()
    name = entry.server_name or ""
    if entry.server_name is not None and (not name or not name.isascii() or any(char in " :/" for char in name)):
        work.error((*path, "tls", "server_name"), f"`{name}` is not a host name", "write `api.example.com`")
    client: tuple[str, str] | None = None
    if entry.client is not None:
        at = (*path, "tls", "client")
        client = _file(entry.client.cert, (*at, "cert"), work), _file(entry.client.key, (*at, "key"), work)
    ca = _file(entry.ca, (*path, "tls", "ca"), work) if entry.ca is not None else ""
    if not entry.verify and entry.ca is not None:
        work.error((*path, "tls", "ca"), "nothing is checked, so nobody is asked", "leave `ca` out, or `verify: off`")
    return plan.UpstreamTls(server_name=name, ca=ca, verify=entry.verify, client=client)


def _file(name: str, path: Path, work: Work) -> str:
    if not name:
        work.error(path, "this names no file", "write its path")
    return os.path.normpath(os.path.join(work.where.directory(path), os.path.expanduser(name)))


def _balance(written: str | HashBalance, path: Path, work: Work) -> plan.Balance:
    if isinstance(written, HashBalance):
        return plan.Hash(key=lower_key(written.hash, (*path, "hash"), work))
    return _BALANCES[written]


def _passive(written: PassiveHealth | bool, path: Path, work: Work) -> plan.PassiveHealth | None:
    if written is False:
        return None
    entry = PassiveHealth() if written is True else written
    return plan.PassiveHealth(
        failures=entry.failures,
        count_5xx=entry.count_5xx,
        eject_ms=work.milliseconds(entry.eject, (*path, "eject"), least=1),
        max_percent=work.percent(entry.max_percent, (*path, "max_percent")),
    )


def _active(written: ActiveHealth | bool, path: Path, work: Work) -> plan.ActiveHealth | None:
    if written is False:
        return None
    entry = ActiveHealth() if written is True else written
    probe: plan.HealthProbe = plan.TcpProbe()
    if entry.path is not None:
        if not entry.path.startswith("/") or any(char <= " " for char in entry.path):
            work.error((*path, "path"), f"`{entry.path}` is not a path", "write `/healthz`")
        found = _STATUS.fullmatch(entry.status)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not found or low > high:
            work.error((*path, "status"), f"`{entry.status}` is no range of status codes", "write `200` or `200-399`")
        probe = plan.HttpProbe(path=entry.path, host=entry.host or "", status=(low, high))
    elif entry.host is not None:
        work.error((*path, "host"), "a connection has no Host field", "add `path: /healthz`")
    return plan.ActiveHealth(
        probe=probe,
        interval_ms=work.milliseconds(entry.interval, (*path, "interval"), least=100),
        timeout_ms=work.milliseconds(entry.timeout, (*path, "timeout"), least=1),
        healthy=entry.healthy,
        unhealthy=entry.unhealthy,
    )
