"""The verbs of the cache: key, get, purge, stats. All but `key` talk to the running process."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from tidegate.cli.common import out
from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.lower import Lowered

__all__ = ["get", "key", "purge", "stats"]


def key(options: argparse.Namespace) -> int:
    """Prints the text of a URL's key and its hash."""
    from tidegate.cachekey import hashed

    text = _text(options)
    out(f"{hashed(text)}\n{text.decode('utf-8', 'backslashreplace')}")
    return 0


def get(options: argparse.Namespace) -> int:
    """Prints what is kept under a URL's key."""
    told = _ask(options, "GET", f"/cache/object?key={quote(_text(options), safe='')}")
    out(msgspec.json.format(msgspec.json.encode(told)).decode())
    return 0


def purge(options: argparse.Namespace) -> int:
    """Forgets what is kept."""
    given: list[tuple[str, str]] = [
        (what, getattr(options, what)) for what in ("prefix", "host", "tag") if getattr(options, what) is not None
    ]
    if options.url is not None:
        given.append(("key", _text(options).decode("utf-8", "replace")))
    if options.all:
        given.append(("all", ""))
    if len(given) != 1:
        options.usage_error("name one of URL, --prefix, --host, --tag and --all")
    what, value = given[0]
    told = _ask(options, "POST", "/cache/purge", {"what": what, "value": value, "soft": options.soft})
    if what == "key":
        out("purged" if told["purged"] else "nothing was kept there")
    else:
        out("purged")
    return 0


def stats(options: argparse.Namespace) -> int:
    """Prints what the store holds and did."""
    told = _ask(options, "GET", "/cache")
    if options.json:
        out(msgspec.json.format(msgspec.json.encode(told)).decode())
        return 0
    for name, value in told.items():
        if name != "routes":
            out(f"{name:<16} {value}")
    for route, figures in told.get("routes", {}).items():
        requests: dict[str, int] = figures.get("requests", {})
        total = sum(requests.values()) or 1
        shown = ", ".join(f"{name} {count} ({100 * count // total} %)" for name, count in requests.items())
        out(f"{route or '(none)'}: {shown}")
    return 0


def _ask(options: argparse.Namespace, method: str, target: str, body: Any = None) -> Any:
    from tidegate.cli.control import find
    from tidegate.cli.talk import ask

    answer = ask(find(options).control, method, target, body=None if body is None else msgspec.json.encode(body))
    if answer.status != 200:
        raise TidegateError(answer.detail)
    return answer.json()


def _text(options: argparse.Namespace) -> bytes:
    """The text of the key that the options' URL has in the configuration."""
    from tidegate import gateway
    from tidegate.cachekey import Asked, key_text
    from tidegate.cli.look import field_of, listeners_of
    from tidegate.lower import lower
    from tidegate.source import Source

    fields = [field_of(options, text) for text in options.header]
    loaded = Source(options.config).load()
    lowered: Lowered = lower(loaded.config, loaded.where)
    parts = urlsplit(options.url)
    target = options.url.split("://", 1)[-1]
    target = target[len(parts.netloc) :] if parts.netloc else options.url
    target = target.split("#", 1)[0]
    if not target.startswith("/"):
        target = f"/{target}"
    for at in listeners_of(lowered.plan, options.url):
        told = msgspec.json.decode(gateway.explain(lowered, at, "GET", options.url, fields))
        if told.get("route") is None:
            continue
        route = lowered.plan.routes[told["route"]]
        if route.cache is None:
            raise TidegateError(f"{options.url}: the route {route.name} keeps nothing")
        authority = next((value for name, value in fields if name.lower() == "host"), parts.netloc)
        asked = Asked(
            scheme=parts.scheme or "http",
            authority=authority,
            host=told["host"],
            target=target,
            path=told["path"],
            route=route.name,
            fields=[("Host", authority), *[pair for pair in fields if pair[0].lower() != "host"]],
        )
        return key_text(route.cache.key, asked)
    raise TidegateError(f"{options.url}: no route takes it")
