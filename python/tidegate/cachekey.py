"""The key that an answer is kept under: its text and its hash, equal to the engine's (`rust/cache/src/key.rs`).

Knows: a route's rules, what a request says.
Never: the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidegate import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.plan_cache import CacheKey, CacheQuery

__all__ = ["Asked", "hashed", "key_text"]

Fields = "Sequence[tuple[str, str]]"


class Asked(NamedTuple):
    """A request: its target as it would be sent, its fields, and how it is matched."""

    scheme: str
    authority: str
    host: str
    target: str
    path: str
    route: str
    fields: Sequence[tuple[str, str]]


def key_text(key: CacheKey, asked: Asked) -> bytes:
    """The text: the space, the URL, then what else tells answers apart, each on a line."""
    raw_path, question, query = asked.target.partition("?")
    url = f"{asked.scheme}://" if key.scheme else "//"
    url += (asked.host if key.host else "") + (raw_path or "/")
    if question:
        url += _query(key.query, query)
    lines = [key.space, url]
    for name in key.headers:
        values = [value for other, value in asked.fields if other.lower() == name]
        lines.append(f"header {name}" + (f": {', '.join(values)}" if values else ""))
    for name in key.cookies:
        cookie = _cookie(asked.fields, name)
        lines.append(f"cookie {name}" + (f"={cookie}" if cookie is not None else ""))
    if key.template:
        text = "".join(_part(part, asked, query) for part in key.template)
        lines.append("template " + text.replace("\n", " "))
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def hashed(text: bytes) -> str:
    """Its hash, in 32 hexadecimal digits."""
    import xxhash

    return xxhash.xxh3_128_hexdigest(text)


def _query(rules: CacheQuery, query: str) -> str:
    if not rules.sort and rules.keep is None and not rules.drop:
        return f"?{query}"
    kept = [part for part in query.split("&") if part and _counts(rules, part.split("=", 1)[0])]
    if rules.sort:
        kept.sort(key=lambda part: part.split("=", 1)[0].encode("utf-8", "surrogateescape"))
    return "?" + "&".join(kept) if kept else ""


def _counts(rules: CacheQuery, name: str) -> bool:
    def among(patterns: list[str]) -> bool:
        return any(name.startswith(it[:-1]) if it.endswith("*") else name == it for it in patterns)

    return (rules.keep is None or among(rules.keep)) and not among(rules.drop)


def _cookie(fields: Sequence[tuple[str, str]], name: str) -> str | None:
    for other, value in fields:
        if other.lower() != "cookie":
            continue
        for pair in value.split(";"):
            key, equals, text = pair.strip(" \t\r\n\f").partition("=")
            if equals and key == name:
                return text
    return None


def _part(part: plan.TemplatePart, asked: Asked, query: str) -> str:
    match part:
        case plan.Text(value=value):
            return value
        case plan.HeaderValue(name=name):
            return next((value for other, value in asked.fields if other.lower() == name.lower()), "")
        case plan.CookieValue(name=name):
            return _cookie(asked.fields, name) or ""
        case plan.QueryValue(name=name):
            return _parameter(query, name)
        case plan.Variable(name=name):
            known = {
                "host": asked.host,
                "authority": asked.authority,
                "scheme": asked.scheme,
                "path": asked.path,
                "query": query,
                "request_uri": asked.target,
                "route": asked.route,
                "dollar": "$",
            }
            return known[name]
    raise AssertionError(part)


def _parameter(query: str, name: str) -> str:
    """The first parameter of that name, decoded, as `${query:NAME}` has it."""
    from urllib.parse import unquote_plus

    for part in query.split("&"):
        key, _, value = part.partition("=")
        if unquote_plus(key, errors="surrogateescape") == name:
            return unquote_plus(value, errors="surrogateescape")
    return ""
