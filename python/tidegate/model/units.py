"""How times, sizes, rates and shares are written: `10s`, `64KiB`, `100/s`, `20%`.

The model keeps them as they were written, so that what is printed is what was meant; the lowering reads
them with the functions here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

MAX_MS = 2**32 - 1
"""The longest time that a plan can hold: 49 days."""


def _written(kind: str, *examples: str) -> Meta:
    """What reads the text, for the loader, and what it looks like, for editors."""
    return Meta(extra={"reads": kind}, extra_json_schema={"format": kind, "examples": [*examples]})


Duration = Annotated[str, _written("duration", "500ms", "10s", "5m")]
"""`500ms`, `10s`, `1h30m`; `0` where it means "no bound"."""

Age = Annotated[str, _written("age", "365d")]
"""`365d`: whole seconds, up to 68 years."""

Size = Annotated[str, _written("size", "64KiB", "1MB", "10")]
"""`64KiB`, `1MB`, `10` (bytes)."""

RateText = Annotated[str, _written("rate", "100/s", "600/min", "5/h")]
"""`100/s`, `600/min`, `5/h`, `1/10s`."""

Percent = Annotated[str, _written("percent", "20%")]
"""`20%`."""


Quota = Annotated[str, _written("quota", "600/min", "100k/min", "1M/day")]
"""`600/min`, `100k/min`, `1M/day`: so many in each minute, hour, day, week or month."""

Money = Annotated[str, _written("money", "50", "2.50")]
"""US dollars: `50`, `2.50`."""

Decimal = Annotated[str, _written("decimal", "0.5")]
"""A number that need not be whole: `0.5`."""

BudgetText = Annotated[str, _written("budget", "50/month", "$5/day")]
"""US dollars in each hour, day, week or month: `50/month`."""

MomentText = Annotated[str, _written("moment", "2027-01-31", "2027-01-31T12:00:00Z")]
"""A day (until its end, UTC) or a moment (ISO 8601)."""


class Unreadable(ValueError):
    """A text that is none of what it should be: what is wrong, and what would be right."""

    def __init__(self, what: str, right: str) -> None:
        super().__init__(what, right)
        self.what = what
        self.right = right


class Rate(NamedTuple):
    """`tokens` every `per_ms` milliseconds."""

    tokens: int
    per_ms: int


Window = Literal["minute", "hour", "day", "week", "month"]


class Count(NamedTuple):
    """So many in each window."""

    most: int
    window: Window


PICODOLLARS = 10**12
"""In one dollar."""

_WINDOWS: dict[str, Window] = {
    **dict.fromkeys(("m", "min", "minute"), "minute"),
    **dict.fromkeys(("h", "hour"), "hour"),
    **dict.fromkeys(("d", "day"), "day"),
    **dict.fromkeys(("w", "week"), "week"),
    **dict.fromkeys(("mo", "month"), "month"),
}
_MANY = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_QUOTA = re.compile(r"([\d_]{1,18})(?:\.(\d{1,9}))?([kKMGB]?) ?/ ?([a-z]+)", re.ASCII)
_MONEY = re.compile(r"\$? ?([\d_]{1,12})(?:\.(\d{1,12}))?(?: ?(?:USD|usd|\$))?", re.ASCII)
_TIME = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_PER = {**_TIME, "sec": 1000, "second": 1000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,3})?(?:ms|s|min|m|h|d))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d{1,19})(?:\.(\d{1,3}))? ?([A-Za-z]*)", re.ASCII)
_RATE = re.compile(r"(\d{1,12}) ?/ ?(?:(\d{0,9})([a-z]+)|((?:\d+[a-z]+){2,}))", re.ASCII)
_PERCENT = re.compile(r"(\d{1,4}) ?%?", re.ASCII)


MAX_AGE_S = 2**31 - 1
"""The longest age: what every client can count, 68 years."""


def duration(text: str) -> int:
    """Milliseconds of `1h30m`, `10s`, `500ms` or `0`; raises `Unreadable`."""
    total = _milliseconds(text)
    if total > MAX_MS:
        raise Unreadable(f"`{text}` is too long", "write at most 49d")
    return total


def age(text: str) -> int:
    """Seconds of a time that may be longer than a plan's milliseconds can hold, as `365d`; raises `Unreadable`."""
    seconds, rest = divmod(_milliseconds(text), 1000)
    if rest or seconds > MAX_AGE_S:
        raise Unreadable(f"`{text}` will not do here", "write whole seconds up to 68 years, as `365d`")
    return seconds


@lru_cache(maxsize=1024)
def _milliseconds(text: str) -> int:
    if text == "0":
        return 0
    if not _DURATION.fullmatch(text):
        if text.isdecimal():
            raise Unreadable(f"`{text}` is a time without a unit", f"write `{text}s` or `{text}ms`")
        raise Unreadable(f"`{text}` is not a time", "write it as `500ms`, `10s`, `5m` or `1h30m`")
    total = 0
    smallest = MAX_MS + 1
    for number, unit in _DURATION_PART.findall(text):
        if _TIME[unit] >= smallest:
            raise Unreadable(f"`{text}` is not a time", "write units once and from large to small, as `1h30m`")
        smallest = _TIME[unit]
        whole, _, fraction = number.partition(".")
        milliseconds = int(whole) * smallest * 1000 + int(fraction.ljust(3, "0") or 0) * smallest
        if milliseconds % 1000:
            raise Unreadable(f"`{text}` is finer than a millisecond", "write whole milliseconds")
        total += milliseconds // 1000
    return total


@lru_cache(maxsize=1024)
def size(text: str) -> int:
    """Bytes of `64KiB`, `1MB`, `1.5GiB` or `10`; raises `Unreadable`."""
    found = _SIZE.fullmatch(text)
    unit = found[3].lower() if found else ""
    if not found or unit not in _BYTES:
        right = "write it as `64KiB`, `1MB` or `10` (bytes)"
        if found and unit in ("k", "m", "g", "t"):
            letter = unit.upper()
            right = f"write `{text[:-1].strip()}{letter}iB` (1024) or `{text[:-1].strip()}{letter}B` (1000)"
        raise Unreadable(f"`{text}` is not a size", right)
    fraction = int((found[2] or "").ljust(3, "0"))
    total, rest = divmod(int(found[1]) * 1000 * _BYTES[unit] + fraction * _BYTES[unit], 1000)
    if rest:
        raise Unreadable(f"`{text}` is not a whole number of bytes", f"write `{total}`")
    if total >= 2**63:
        raise Unreadable(f"`{text}` is too large", "write at most 8388607TiB")
    return total


@lru_cache(maxsize=1024)
def rate(text: str) -> Rate:
    """What `100/s`, `600/min`, `5/h` or `1/10s` says; raises `Unreadable`."""
    found = _RATE.fullmatch(text)
    if not found or (found[4] is None and found[3] not in _PER):
        right = "write it as `100/s`, `600/min` or `5/h`"
        if text.isdecimal():
            right = f"write `{text}/s` or `{text}/min`"
        raise Unreadable(f"`{text}` is not a rate", right)
    tokens = int(found[1])
    per_ms = duration(found[4]) if found[4] is not None else int(found[2] or 1) * _PER[found[3]]
    if tokens == 0 or per_ms == 0:
        raise Unreadable(
            f"`{text}` lets nothing through", "to refuse everything, use `access: {deny: [0.0.0.0/0, ::/0]}`"
        )
    if tokens >= 2**32:
        raise Unreadable(f"`{text}` is too fast to count", "leave the limit out")
    return Rate(tokens, per_ms)


@lru_cache(maxsize=256)
def percent(text: str) -> int:
    """The number of `20%`, 0 to 100; raises `Unreadable`."""
    found = _PERCENT.fullmatch(text)
    if not found or int(found[1]) > 100:
        raise Unreadable(f"`{text}` is not a share", "write `0%` to `100%`")
    return int(found[1])


@lru_cache(maxsize=1024)
def quota(text: str) -> Count:
    """What `600/min`, `100k/min` or `1M/day` says; raises `Unreadable`."""
    found = _QUOTA.fullmatch(text)
    if not found or found[4] not in _WINDOWS or not found[1].strip("_"):
        right = "write it as `600/min`, `100k/hour` or `1M/day`"
        if re.fullmatch(r"[\d_]+[kKMGB]?", text, re.ASCII):
            right = f"write `{text}/min`, `{text}/hour` or `{text}/day`"
        elif found and found[4] in ("s", "sec", "second"):
            right = "the shortest window is a minute: write `…/min`, or add `limit` to the route for bursts"
        raise Unreadable(f"`{text}` is not so many in a window", right)
    unit = _MANY[found[3]]
    fraction = found[2] or ""
    most, rest = divmod(
        int(found[1].replace("_", "")) * unit * 10 ** len(fraction) + int(fraction or 0) * unit, 10 ** len(fraction)
    )
    if rest:
        raise Unreadable(f"`{text}` is not a whole number", f"write `{most}/{found[4]}`")
    if not 1 <= most < 2**63:
        raise Unreadable(f"`{text}` lets nothing through", "write at least 1, or leave the model out of `models`")
    return Count(most, _WINDOWS[found[4]])


@lru_cache(maxsize=1024)
def money(text: str) -> int:
    """Picodollars of `50` or `2.50`; raises `Unreadable`."""
    found = _MONEY.fullmatch(text)
    if not found or not found[1].strip("_"):
        raise Unreadable(f"`{text}` is not a sum of dollars", "write it as `50` or `2.50`")
    return int(found[1].replace("_", "")) * PICODOLLARS + int((found[2] or "").ljust(12, "0"))


def decimal(text: str) -> float:
    """The number of `0.5`; raises `Unreadable`."""
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text, re.ASCII):
        raise Unreadable(f"`{text}` is not a number", "write it as `0.5`")
    return float(text)


@lru_cache(maxsize=256)
def budget(text: str) -> Count:
    """Picodollars in each window, of `50/month` or `$5/day`; raises `Unreadable`."""
    sum_, slash, window = text.partition("/")
    if not slash or window.strip() not in _WINDOWS:
        right = "write it as `50/month`, `5/day`, or `{usd: 50, per: month}`"
        raise Unreadable(f"`{text}` is not a budget", right)
    return Count(money(sum_.strip()), _WINDOWS[window.strip()])


@lru_cache(maxsize=256)
def moment(text: str) -> int:
    """Milliseconds since 1970 of a moment, or of a day's end, in UTC unless it says otherwise; raises `Unreadable`."""
    from datetime import UTC, datetime, timedelta

    try:
        read = datetime.fromisoformat(text)
        read += timedelta(days=int(len(text) == len("2027-01-31")))
    except (ValueError, OverflowError):
        raise Unreadable(f"`{text}` is not a day or a moment", "write `2027-01-31` or `2027-01-31T12:00:00Z`") from None
    read = read.replace(tzinfo=read.tzinfo or UTC)
    if read.year < 1970:
        raise Unreadable(f"`{text}` is too long ago", "write `2027-01-31` or `2027-01-31T12:00:00Z`")
    return round(read.timestamp() * 1000)


def show_duration(milliseconds: int) -> str:
    """The shortest way to write a time, as `1h30m`; `duration` reads it back."""
    if milliseconds == 0:
        return "0"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, milliseconds = divmod(milliseconds, _TIME[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def show_size(number: int) -> str:
    """The shortest exact way to write a size, as `64KiB`; `size` reads it back."""
    for unit, name in ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{name}"
    return str(number)


def show_rate(value: Rate) -> str:
    """How a rate is written, as `100/s`; `rate` reads it back."""
    names = {1000: "s", 60_000: "min", 3_600_000: "h", 86_400_000: "d"}
    return f"{value.tokens}/{names.get(value.per_ms) or show_duration(value.per_ms)}"
