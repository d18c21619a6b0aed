"""Which pages of other origins may use a route."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidegate import plan
from tidegate.lower.headers import is_token
from tidegate.lower.work import each

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.cors import Cors
    from tidegate.model.route import Route

__all__ = ["cors_edits", "lower_cors"]

_TOLD = ("Allow-Origin", "Allow-Credentials", "Allow-Methods", "Allow-Headers", "Expose-Headers", "Max-Age")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.\-_\[\]:]+")


def cors_edits(written: Cors | None) -> list[plan.HeaderEdit]:
    """What an upstream says about it is left out: two who say something are one too many for browsers."""
    if written is None:
        return []
    return [plan.HeaderEdit(kind="remove", name=f"Access-Control-{name}", value=[]) for name in _TOLD]


def lower_cors(written: Cors, route: Route, path: Path, work: Work) -> plan.Cors:
    """What browsers are told; what is wrong is noted."""
    origins: list[str] = []
    suffixes: list[plan.OriginSuffix] = []
    everybody = False
    for text, at in each(written.origins, (*path, "origins")):
        if text == "*":
            everybody = True
            if written.credentials:
                what = "every page of the web could act as its user"
                work.error(at, what, "name the origins, or leave `credentials` out")
        elif text == "null":
            work.error(at, "`null` is every page in a sandbox, whoever wrote it", "name an origin")
        elif (wrong := _wrong(text)) is not None:
            work.error(at, *wrong)
        elif "://*." in text:
            scheme, _, suffix = text.partition("*")
            suffixes.append(plan.OriginSuffix(scheme=scheme, suffix=suffix))
        else:
            origins.append(text)
    if not written.origins:
        work.error((*path, "origins"), "no origin is named", "write `origins: https://app.example.com`")
    if everybody and (origins or suffixes):
        work.warn((*path, "origins"), "`*` is everybody, the others too", "keep `*` or the others")
    methods = _names(written.methods, (*path, "methods"), "a method", work)
    if route.match.methods and "OPTIONS" not in route.match.methods:
        right = "add `OPTIONS` to `match.methods`"
        work.warn(path, "the question before a request (OPTIONS) never comes to this route", right)
    return plan.Cors(
        any=everybody,
        origins=origins,
        suffixes=suffixes,
        methods=", ".join(methods),
        headers=", ".join(_names(written.headers, (*path, "headers"), "a header", work))
        if written.headers is not None
        else None,
        expose=", ".join(_names(written.expose, (*path, "expose"), "a header", work)),
        credentials=written.credentials,
        max_age_s=work.milliseconds(written.max_age, (*path, "max_age")) // 1000,
    )


def _wrong(text: str) -> tuple[str, str] | None:
    """What is wrong with an origin, and what would be right (RFC 6454 §6.2)."""
    bare = text.replace("://*.", "://", 1)
    parts = urlsplit(bare)
    if not parts.scheme or not parts.netloc or "*" in bare:
        return f"`{text}` is no origin", "write `https://app.example.com` or `https://*.example.com`"
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return f"`{text}` has more than an origin has", f"write `{parts.scheme}://{parts.netloc.rpartition('@')[2]}`"
    if not _ORIGIN.fullmatch(bare):
        return f"`{text}` is not as browsers write it", f"write `{text.lower()}`"
    if (parts.scheme, parts.port) in (("https", 443), ("http", 80)):
        return f"browsers leave the port of `{text}` out", f"write `{text.rpartition(':')[0]}`"
    return None


def _names(written: str | list[str], path: Path, kind: str, work: Work) -> list[str]:
    made = []
    for text, at in each(written, path):
        for name in (part.strip() for part in text.split(",")):
            if not is_token(name):
                work.error(at, f"`{name}` is not {kind}'s name", "write names, one or a list")
            made.append(name)
    return made
