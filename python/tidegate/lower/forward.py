"""Somebody else decides: whom a route asks, and what goes which way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower.headers import is_framing, is_token
from tidegate.lower.limit import lower_key
from tidegate.lower.work import each
from tidegate.model import defaults

if TYPE_CHECKING:
    from tidegate.lower.upstream import Upstreams
    from tidegate.lower.work import Path, Work
    from tidegate.model.auth import Forward

__all__ = ["lower_forward"]


def lower_forward(written: Forward, path: Path, work: Work, upstreams: Upstreams) -> plan.AuthForward:
    """Whom a route asks; what is wrong is noted."""
    before, _, rest = written.url.rpartition("://")
    host, slash, tail = rest.partition("/")
    base = f"{before}://{host}" if before else host
    target = f"/{tail}" if slash else "/"
    at = (*path, "url")
    if any(not "!" <= char <= "~" or char == "#" for char in target):
        work.error(at, f"`{target}` is no path", "write visible characters of ASCII, others as `%C3%A9`")
    response = _names(written.headers.response, (*path, "headers", "response"), work, theirs=True)
    cache = written.cache
    asked = written.headers.request if written.headers.request is not None else [*defaults.AUTH_HEADERS]
    if written.user is not None and not is_token(written.user):
        work.error((*path, "user"), f"`{written.user}` is not a header's name", "write `X-User`")
    return plan.AuthForward(
        upstream=upstreams.index(base, at),
        target=target,
        request_headers=_names(asked, (*path, "headers", "request"), work),
        response_headers=response,
        client_headers=_names(written.headers.client, (*path, "headers", "client"), work),
        user=written.user,
        redirects=written.redirects,
        connect_ms=work.milliseconds(written.connect, (*path, "connect"), least=1),
        timeout_ms=work.milliseconds(written.timeout, (*path, "timeout"), least=1),
        cache=plan.ForwardCache(
            key=lower_key(cache.key, (*path, "cache", "key"), work),
            ttl_s=work.milliseconds(cache.ttl, (*path, "cache", "ttl"), least=1000) // 1000,
        )
        if cache is not None
        else None,
    )


def _names(written: str | list[str], path: Path, work: Work, *, theirs: bool = False) -> list[str]:
    made: list[str] = []
    for name, at in each(written, path):
        if not is_token(name):
            work.error(at, f"`{name}` is not a header's name", "write `X-User`")
        elif is_framing(name) or name.lower() in ("host", "content-length"):
            work.error(at, f"`{name}` belongs to its own message", "leave it out")
        elif name.lower() in (known.lower() for known in made):
            work.error(at, f"`{name}` is there twice", "leave one out")
        elif theirs and name.lower() in ("cookie", "set-cookie"):
            work.error(at, f"`{name}` would take the client's place", "write a header of your own: `X-User`")
        else:
            made.append(name)
    return made
