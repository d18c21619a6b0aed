"""What is kept of answers: the rules of routes, and the store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan, plan_cache
from tidegate.lower.headers import is_token
from tidegate.lower.server import cidrs
from tidegate.lower.template import template
from tidegate.lower.work import each
from tidegate.model import defaults
from tidegate.model.cache import Cache, CacheCoalesce, CacheQuery, CacheStore

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.cache import CacheDebug, CacheKey, CacheVary
    from tidegate.model.route import Route

__all__ = ["lower_cache", "lower_store"]

_BYPASS = re.compile(r"(header|cookie|query):([^=]+)(?:=(.*))?", re.DOTALL)
_KEY_VARIABLES = ("host", "authority", "scheme", "path", "query", "request_uri", "route", "dollar")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def lower_cache(route: Route, name: str, path: Path, work: Work) -> plan.RouteCache | None:
    """The rules of a route; None where nothing is kept."""
    written = route.cache
    if written is None or written is False:
        return None
    cache = Cache() if written is True else written
    if route.upstream is None and route.hook is None:
        work.error(path, "nothing is sent upstream from here, so there is nothing to keep", "leave `cache` out")
    return plan.RouteCache(
        ttl=_ttl(cache.ttl, (*path, "ttl"), work),
        key=_key(cache.key, route, name, (*path, "key"), work),
        vary=_vary(cache.vary, (*path, "vary"), work),
        bypass=[made for text, at in each(cache.bypass, (*path, "bypass")) if (made := _bypass(text, at, work))],
        stale_while_revalidate_s=_seconds(cache.stale_while_revalidate, (*path, "stale_while_revalidate"), work),
        stale_if_error_s=_seconds(cache.stale_if_error, (*path, "stale_if_error"), work),
        heuristic_percent=_heuristic(cache.heuristic, (*path, "heuristic"), work),
        negative_s=_seconds(cache.negative_ttl, (*path, "negative_ttl"), work),
        object_bytes=work.bytes(cache.max_object, (*path, "max_object"), least=1, most=2**32),
        set_cookie=cache.set_cookie,
        authorized=cache.authorized,
        request_control=cache.request_control,
        tags=_tags(cache.tags, (*path, "tags"), work),
        hide=_names(cache.hide, (*path, "hide"), work),
        strip=_strip(cache, route, (*path, "strip"), work),
        debug=_debug(cache.debug, (*path, "debug"), work) if cache.debug is not None else None,
        coalesce_ms=_coalesce(cache.coalesce, (*path, "coalesce"), work),
    )


def lower_store(work: Work, routes: list[plan.Route]) -> plan.CacheStore | None:
    """The store, where any route keeps something."""
    written = work.config.cache
    at: Path = ("cache",)
    if not any(route.cache is not None for route in routes):
        if written != CacheStore():
            work.warn(at, "no route keeps anything", "add `cache: {}` to a route")
        return None
    memory = work.bytes(written.memory, (*at, "memory"), least=2**20, most=2**42)
    largest = max((route.cache.object_bytes for route in routes if route.cache is not None), default=0)
    if largest * 4 > memory:
        work.warn(
            at,
            "the store holds only a few of the largest objects that routes keep",
            "raise `memory`, or lower the routes' `max_object`",
        )
    return plan.CacheStore(memory_bytes=memory)


def _seconds(text: str, path: Path, work: Work) -> int:
    milliseconds = work.milliseconds(text, path)
    if milliseconds % 1000:
        work.error(path, f"`{text}`: caches count in whole seconds", f"write `{milliseconds // 1000 + 1}s`")
    return milliseconds // 1000


def _ttl(written: str | dict[str, str] | None, path: Path, work: Work) -> list[plan_cache.CacheTtl]:
    if written is None:
        return []
    if isinstance(written, str):
        return [plan_cache.CacheTtl(status=0, seconds=_seconds(written, path, work))]
    out = []
    for name, text in written.items():
        at = (*path, name)
        if not (name.isascii() and name.isdecimal() and 200 <= int(name) <= 599):
            work.problems.error_at(work.where.key_place(at), f"`{name}` is not the status of an answer", "write `200`")
            continue
        out.append(plan_cache.CacheTtl(status=int(name), seconds=_seconds(text, at, work)))
    return out


def _key(key: CacheKey, route: Route, name: str, path: Path, work: Work) -> plan_cache.CacheKey:
    space = name if key.space is None else key.space
    if not space.isprintable() or not space:
        work.error((*path, "space"), f"`{space}` cannot be a name", "write a short word")
    parts = template(key.template, (*path, "template"), work)
    for part in parts:
        if isinstance(part, plan.Variable) and part.name not in _KEY_VARIABLES:
            shown = f"${{{part.name}}}"
            right = "write " + ", ".join(f"`${{{known}}}`" for known in _KEY_VARIABLES[:6]) + ", headers, cookies"
            work.error((*path, "template"), f"`{shown}` is not what a URL or a header says", right, shown)
    # Of several lines with one name all count, so nothing is said twice.
    headers = [text.lower() for text in _names(key.headers, (*path, "headers"), work)]
    return plan_cache.CacheKey(
        space=space,
        scheme=key.scheme,
        host=key.host,
        query=_query(key.query, route, (*path, "query"), work),
        headers=list(dict.fromkeys(headers)),
        cookies=list(dict.fromkeys(_names(key.cookies, (*path, "cookies"), work))),
        template=parts,
    )


def _query(written: CacheQuery | bool, route: Route, path: Path, work: Work) -> plan_cache.CacheQuery:
    query = CacheQuery(keep=None if written else []) if isinstance(written, bool) else written
    keep = None if query.keep is None else [text for text, _ in each(query.keep, path)]
    drop = [text for text, _ in each(query.drop, path)]
    for text, at in each(query.drop, (*path, "drop")):
        if "&" in text or "=" in text or not text:
            work.error(at, f"`{text}` is not a parameter's name", "write `utm_*` or `fbclid`")
    api_keys = route.auth.api_keys if route.auth is not None else None
    if api_keys is not None and api_keys.query is not None and not api_keys.forward:
        # A credential tells nobody's answers apart: what depends on it is not for all.
        drop.append(api_keys.query)
    return plan_cache.CacheQuery(sort=query.sort, keep=keep, drop=list(dict.fromkeys(drop)))


def _vary(vary: CacheVary, path: Path, work: Work) -> plan_cache.CacheVary:
    encodings: list[str] = []
    if not isinstance(vary.accept_encoding, bool):
        encodings = [text.lower() for text in _names(vary.accept_encoding, (*path, "accept_encoding"), work)]
    elif vary.accept_encoding:
        encodings = defaults.CACHE_ENCODINGS
    languages = []
    for text, at in each(vary.accept_language, (*path, "accept_language")):
        if not _LANGUAGE.fullmatch(text):
            work.error(at, f"`{text}` is no language", "write `en` or `pt-BR`")
        languages.append(text)
    return plan_cache.CacheVary(
        accept_encoding=encodings,
        accept_language=languages,
        ignore=[text.lower() for text in _names(vary.ignore, (*path, "ignore"), work)],
        most=vary.max,
    )


def _bypass(text: str, path: Path, work: Work) -> plan_cache.CacheBypass | None:
    found = _BYPASS.fullmatch(text)
    if found is None or (found[1] != "query" and not is_token(found[2])):
        work.error(path, f"`{text}` names nothing of a request", "write `header:NAME`, `cookie:NAME` or `query:NAME`")
        return None
    test: plan.ValueTest = plan.ValuePresent() if found[3] is None else plan.ValueExact(value=found[3])
    return plan_cache.CacheBypass(
        part=found[1],  # type: ignore[arg-type]  # one of three, says the pattern
        test=plan.ValueMatch(name=found[2], test=test),
    )


def _heuristic(written: bool | str, path: Path, work: Work) -> int:
    if isinstance(written, bool):
        written = defaults.CACHE_HEURISTIC if written else "0%"
    return work.percent(written, path)


def _tags(written: str | list[str] | bool, path: Path, work: Work) -> list[str]:
    if isinstance(written, bool):
        return defaults.CACHE_TAGS if written else []
    return _names(written, path, work)


def _strip(cache: Cache, route: Route, path: Path, work: Work) -> list[str]:
    if isinstance(cache.strip, bool):
        names = defaults.CACHE_STRIP if cache.strip else []
    else:
        names = _names(cache.strip, path, work)
    keyed = {text.lower() for text, _ in each(cache.key.headers, path)}
    # What the route itself matches by is told apart by the route's own space.
    keyed |= {name.lower() for name in route.match.headers}
    return [name for name in names if name.lower() not in keyed]


def _debug(debug: CacheDebug, path: Path, work: Work) -> plan_cache.CacheDebug:
    _names([debug.header], (*path, "header"), work)
    return plan_cache.CacheDebug(header=debug.header, allow=cidrs(debug.allow, (*path, "allow"), work))


def _coalesce(written: CacheCoalesce | bool, path: Path, work: Work) -> int:
    if isinstance(written, bool):
        written = CacheCoalesce() if written else CacheCoalesce(wait="0")
    return work.milliseconds(written.wait, (*path, "wait"))


def _names(written: str | list[str], path: Path, work: Work) -> list[str]:
    out = []
    for text, at in each(written, path):
        if not is_token(text):
            work.error(at, f"`{text}` is not a name", "write letters, digits and `-`")
            continue
        out.append(text)
    return out
