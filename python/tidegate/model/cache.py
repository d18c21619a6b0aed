"""What is kept of answers: the rules of a route, and the store that all routes share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.noun import Many, Noun, TemplateText, about
from tidegate.model.units import Duration, Percent, Size


class CacheQuery(Noun, frozen=True, kw_only=True):
    """Which of the query tells answers apart; what does not is not sent to the origin either."""

    sort: Annotated[bool, about("Whether `?b=1&a=2` is `?a=2&b=1`.")] = False
    keep: Annotated[Many | None, about("Only these parameters count; `utm_*` stands for all that begin so.")] = None
    drop: Annotated[Many, about("These parameters do not count.", ["utm_*", "fbclid"])] = []


class CacheKey(Noun, frozen=True, kw_only=True):
    """What tells answers apart."""

    scheme: Annotated[bool, about("Whether `http` and `https` are two.")] = True
    host: Annotated[bool, about("Whether hosts are told apart.")] = True
    query: Annotated[CacheQuery | bool, about("Which of the query counts; `off` for nothing of it.")] = True
    headers: Annotated[Many, about("Request headers that count.", ["X-Tenant"])] = []
    cookies: Annotated[Many, about("Cookies that count.", ["theme"])] = []
    template: Annotated[
        TemplateText,
        about("Whatever else counts, of what a URL and headers say.", "${header:X-Device}"),
    ] = ""
    space: Annotated[
        str | None, about("Routes of one space share what they keep; each has its own, by its name, unless given.")
    ] = None


class CacheVary(Noun, frozen=True, kw_only=True):
    """How the `Vary` of answers is met."""

    accept_encoding: Annotated[
        Many | bool,
        about("Codings told apart and asked for, in this order; zstd, br and gzip unless given; `off`: as they came."),
    ] = True
    accept_language: Annotated[
        Many, about("Languages that there are: the best of them is asked for; none compares what came.", ["en", "de"])
    ] = []
    ignore: Annotated[Many, about("Names in `Vary` that are not told apart.", ["User-Agent"])] = []
    max: Annotated[int, Meta(ge=1, le=64, description="Variants of one key that are kept.")] = defaults.CACHE_VARIANTS


class CacheCoalesce(Noun, frozen=True, kw_only=True):
    """Requests for the same wait for the one that fetches it."""

    wait: Annotated[Duration, about("How long, until the answer begins.")] = defaults.CACHE_WAIT


class CacheDebug(Noun, frozen=True, kw_only=True):
    """Who is told the key of an answer."""

    header: Annotated[str, about("The request header that asks.")] = "X-Tidegate-Debug"
    allow: Annotated[Many, about("Clients that may, as addresses and CIDR blocks.", ["10.0.0.0/8"])] = "127.0.0.0/8"


class Cache(Noun, frozen=True, kw_only=True):
    """What is kept of a route's answers; `{}` keeps what the origin says may be kept."""

    ttl: Annotated[
        Duration | dict[str, Duration] | None,
        about("How long, where the origin does not say: a time, or times by status.", "60s", {"200": "60s"}),
    ] = None
    key: Annotated[CacheKey, about("What tells answers apart.")] = CacheKey()
    vary: Annotated[CacheVary, about("How the `Vary` of answers is met.")] = CacheVary()
    bypass: Annotated[
        Many,
        about(
            "Requests that have any of these go past the store: `header:NAME`, `cookie:NAME`, `query:NAME`, or "
            "`cookie:NAME=VALUE`.",
            ["cookie:session"],
        ),
    ] = []
    stale_while_revalidate: Annotated[
        Duration, about("How long a stale answer is given while a new one is fetched, where the origin does not say.")
    ] = "0"
    stale_if_error: Annotated[
        Duration, about("How long a stale answer is given where the origin fails, where the origin does not say.")
    ] = "0"
    heuristic: Annotated[
        bool | Percent,
        about("Whether an answer that says nothing is kept for a part of the time since its `Last-Modified`."),
    ] = False
    negative_ttl: Annotated[Duration, about("The longest that an answer of status 400 or more is kept.")] = (
        defaults.CACHE_NEGATIVE
    )
    max_object: Annotated[Size, about("A larger answer is not kept.")] = defaults.CACHE_OBJECT
    set_cookie: Annotated[bool, about("Whether answers that set cookies are kept though they are not `public`.")] = (
        False
    )
    authorized: Annotated[
        bool, about("Whether answers to requests with credentials are kept: they are the same for all who may come.")
    ] = False
    request_control: Annotated[
        bool, about("Whether a client's own Cache-Control counts, as `no-cache` or `max-age`.")
    ] = True
    tags: Annotated[
        Many | bool, about("Response headers with the tags of an answer; `Cache-Tag` and `Surrogate-Key` unless given.")
    ] = True
    hide: Annotated[Many, about("Response headers that are not kept.", ["X-Trace"])] = []
    strip: Annotated[
        Many | bool,
        about("Request headers that do not reach the origin, for they are not in the key; `off` for none."),
    ] = True
    coalesce: Annotated[
        CacheCoalesce | bool, about("Whether requests for the same wait for the one that fetches it.")
    ] = CacheCoalesce()
    debug: Annotated[CacheDebug | None, about("Who is told the key of an answer.")] = None


class CacheStore(Noun, frozen=True, kw_only=True):
    """The store that all routes share."""

    memory: Annotated[Size, about("Bytes in memory, those of the entries themselves included.")] = defaults.CACHE_MEMORY
