"""What accounts have spent in their present window, summed from the ledger for a process that begins.

Knows: how the lowering names accounts (`tenant acme, model big: usd per month`), the tables of sums.
Never: limits, the engine.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from tidegate.ai.ledger import HOUR_MS, USD_UNIT

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Account", "Openings", "parse", "window_start"]

_METRICS: Final = {
    "requests": 0,
    "input tokens": 1,
    "output tokens": 2,
    "tokens": 3,
    "usd": 4,
}
_WINDOWS: Final = ("minute", "hour", "day", "week", "month")
_DAY_MS: Final = 24 * HOUR_MS
_OWNERS: Final = {"key", "tenant", "team", "user", "tag"}

_SUMS: Final = (
    "sum(counted), sum(coalesce(input, 0) + coalesce(cache_read, 0) + coalesce(cache_write_5m, 0)"
    " + coalesce(cache_write_1h, 0) + coalesce(audio_in, 0)),"
    " sum(coalesce(output, 0) + coalesce(reasoning, 0) + coalesce(audio_out, 0))"
)
_WHO: Final = "key, tenant, team, user, model"
_ROLLED: Final = f"SELECT {_WHO}, {_SUMS}, sum(usd_high), sum(usd_low) FROM rollups WHERE hour >= ? GROUP BY {_WHO}"  # noqa: S608
_SINGLE: Final = (
    f"SELECT {_WHO}, {_SUMS}, sum(coalesce(usd, 0) / {USD_UNIT}), sum(coalesce(usd, 0) % {USD_UNIT})"  # noqa: S608
    f" FROM records WHERE at_ms >= ? GROUP BY {_WHO}"
)
_TAG_ROLLED: Final = (
    "SELECT tag, model, sum(counted), sum(input), sum(output), sum(usd_high), sum(usd_low) FROM tag_rollups"
    " WHERE hour >= ? GROUP BY tag, model"
)
_TAG_SINGLE: Final = (
    f"SELECT t.value, model, {_SUMS}, sum(coalesce(usd, 0) / {USD_UNIT}), sum(coalesce(usd, 0) % {USD_UNIT})"  # noqa: S608
    " FROM records, (SELECT DISTINCT value, number AS of_ FROM records r, json_each(r.tags) WHERE r.at_ms >= ?1) t"
    " WHERE t.of_ = number AND at_ms >= ?1 GROUP BY t.value, model"
)


class Account(NamedTuple):
    """What an account's name says."""

    owner: tuple[str, ...]
    """`("key", NAME)`, `("tenant", T)`, `("team", T, TEAM)`, `("user", T, TEAM or "", USER)`, `("tag", TAG)`, or
    `("open",)`."""
    model: str
    """A name or a pattern; empty for all models."""
    metric: str
    """With blanks: `input tokens`."""
    window: str
    """`none` for never."""


def parse(name: str) -> Account | None:
    """The account of that name; None where none can be called so, and for calls in flight, which nobody has spent."""
    who, colon, what = name.rpartition(": ")
    metric, per, window = what.partition(" per ")
    if not colon or metric not in _METRICS or (per and window not in _WINDOWS):
        return None
    owner, _, model = who.partition(", model ")
    kind, _, rest = owner.partition(" ")
    if owner == "open":
        return Account(("open",), model, metric, window or "none")
    if kind not in _OWNERS or not rest:
        return None
    parts = (rest,) if kind in {"key", "tag", "tenant"} else tuple(rest.split("/"))
    if kind == "user" and len(parts) == 2:
        parts = (parts[0], "", parts[1])
    if len(parts) != {"team": 2, "user": 3}.get(kind, 1):
        return None
    return Account((kind, *parts), model, metric, window or "none")


def window_start(window: str, at_ms: int) -> int:
    """The first moment of the window that a moment is in (UTC; a week begins on Monday), as the engine counts them."""
    if window == "none":
        return 0
    if window == "minute":
        return at_ms - at_ms % 60_000
    if window == "hour":
        return at_ms - at_ms % HOUR_MS
    day = at_ms // _DAY_MS
    if window == "day":
        return day * _DAY_MS
    if window == "week":
        return max(0, day - (day + 3) % 7) * _DAY_MS
    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    return (day - date.day + 1) * _DAY_MS


class Openings(Mapping[str, tuple[int, int]]):
    """By an account's name: a moment of its window, and what was spent in it. One query for each window that is asked.

    A name that says nothing, and an account that has spent nothing, are not in it.
    """

    def __init__(self, connection: sqlite3.Connection, now_ms: int) -> None:
        self._db = connection
        self._now_ms = now_ms
        self._read: dict[tuple[str, bool], dict[tuple[str, ...], dict[str, list[int]]]] = {}

    def __getitem__(self, name: str) -> tuple[int, int]:
        account = parse(name)
        spent = self._spent(account) if account is not None else 0
        if not spent:
            raise KeyError(name)
        return self._now_ms, spent

    def __iter__(self) -> Iterator[str]:
        raise TypeError("openings are asked for by an account's name")

    def __len__(self) -> int:
        raise TypeError("openings are asked for by an account's name")

    def _spent(self, account: Account) -> int:
        tag = account.owner[0] == "tag"
        if (account.window, tag) not in self._read:
            start = window_start(account.window, self._now_ms)
            self._read[account.window, tag] = self._tagged(start) if tag else self._owned(start)
        models = self._read[account.window, tag].get(account.owner, {})
        match = _matcher(account.model)
        sums = [sum(column) for column in zip(*(s for model, s in models.items() if match(model)), strict=True)]
        if not sums:
            return 0
        requests, into, out, usd = sums
        spent: int = (requests, into, out, into + out, usd)[_METRICS[account.metric]]
        return spent

    def _owned(self, start_ms: int) -> dict[tuple[str, ...], dict[str, list[int]]]:
        out: dict[tuple[str, ...], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
        sql, since = (_SINGLE, start_ms) if start_ms % HOUR_MS else (_ROLLED, start_ms // HOUR_MS)
        for key, tenant, team, user, model, *sums in self._db.execute(sql, (since,)):
            owners: list[tuple[str, ...]] = [("key", key) if key else ("open",)]
            if tenant:
                owners.append(("tenant", tenant))
                if team:
                    owners.append(("team", tenant, team))
                if user:
                    owners.append(("user", tenant, team, user))
            for owner in owners:
                _add(out[owner][model], sums)
        return out

    def _tagged(self, start_ms: int) -> dict[tuple[str, ...], dict[str, list[int]]]:
        out: dict[tuple[str, ...], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
        sql, since = (_TAG_SINGLE, start_ms) if start_ms % HOUR_MS else (_TAG_ROLLED, start_ms // HOUR_MS)
        for tag, model, *sums in self._db.execute(sql, (since,)):
            _add(out["tag", tag][model], sums)
        return out


def _add(total: list[int], sums: list[int]) -> None:
    counted, into, out, high, low = sums
    total[0] += counted
    total[1] += into
    total[2] += out
    total[3] += high * USD_UNIT + low


def _matcher(pattern: str) -> Callable[[str], bool]:
    if pattern in {"", "*"}:
        return lambda _: True
    if "*" not in pattern:
        return lambda model: model == pattern
    fits = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch
    return lambda model: fits(model) is not None
