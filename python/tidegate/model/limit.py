"""How much: token buckets and caps on requests in flight."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model.noun import Many, Noun, about
from tidegate.model.units import Duration, RateText

Count = Annotated[int, Meta(ge=1, le=2**32 - 1)]


class Limit(Noun, frozen=True, kw_only=True):
    """A token bucket for each value of a key; a request that finds it empty is answered 429."""

    key: Annotated[
        Many | None,
        about(
            (
                "What is counted apart: `client_ip` (IPv6 by /64), `header:NAME`, `cookie:NAME`, `claim:NAME`, "
                "`api_key`, `path`, `host`, `route`, or a list of these."
            ),
            "client_ip",
            ["route", "header:X-Tenant"],
        ),
    ] = None
    rate: Annotated[RateText | None, about("How fast tokens come back.")] = None
    burst: Annotated[
        Count | None, about("Tokens in a full bucket; as many as one period of `rate` brings unless given.")
    ] = None
    cost: Annotated[Count, about("Tokens that a request takes.")] = 1
    delay: Annotated[
        Duration, about("The longest that a request is held back instead of refused; `0` refuses at once.")
    ] = "0"
    name: Annotated[
        str | None, about("Limits of one name share their counts: written out once, elsewhere only named.")
    ] = None


class Concurrency(Noun, frozen=True, kw_only=True):
    """A cap on requests in flight for each value of a key; one more is answered 429."""

    key: Annotated[Many | None, about("What is counted apart, as in `limit.key`.", "route")] = None
    max: Annotated[Count | None, about("Requests in flight.")] = None
    name: Annotated[
        str | None, about("Caps of one name share their counts: written out once, elsewhere only named.")
    ] = None
