"""Sums and single records of the ledger, for people: queries and what they are written as.

Knows: the tables of usage, CSV, JSON, tables of text, Parquet where a library for it is there.
Never: how records came in.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tidegate.ai.ledger import HOUR_MS, USD_UNIT
from tidegate.ai.money import dollars
from tidegate.ai.record import BUCKETS, COLUMNS
from tidegate.errors import TidegateError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["BY", "FILTERS", "FORMATS", "Asked", "UsageError", "moment", "records", "sums", "write"]

_TIMES: Final = {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}
_ROLLED: Final = ("key", "tenant", "team", "user", "model", "served", "provider", "variant", "kind")
_SINGLE: Final = (
    "surface", "client_dialect", "credential", "prompt", "status", "outcome", "finish", "cache", "source",
    "price_version",
)  # fmt: skip
BY: Final = (*_TIMES, *_ROLLED, *_SINGLE, "tag")
"""What sums can be divided by. Those that only single records know reach back as far as records are kept; by `tag`, a
call with several tags is in each of their sums."""
FILTERS: Final = (*_ROLLED, "tag")
FORMATS: Final = ("table", "json", "csv", "parquet")


class UsageError(TidegateError):
    """What was asked for can't be told; the text says why."""


class Asked(NamedTuple):
    """Which usage."""

    by: tuple[str, ...] = ("key", "model", "day")
    from_ms: int | None = None
    to_ms: int | None = None
    """Before this moment."""
    only: tuple[tuple[str, str], ...] = ()
    """Fields of FILTERS and their values, all of which must hold."""


class Table(NamedTuple):
    """Rows under their names."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def sums(db: sqlite3.Connection, asked: Asked) -> Table:
    """Rows with the fields of `by`, the calls, the disjoint buckets, dollars as exact decimal text, and how many
    records had no price. Sums of whole hours come from the sums that are kept for ever, others from single records."""
    unknown = [name for name in asked.by if name not in BY]
    if unknown:
        raise UsageError(f"usage can't be divided by `{unknown[0]}`; by {', '.join(BY)} it can")
    whole_hours = not any((edge or 0) % HOUR_MS for edge in (asked.from_ms, asked.to_ms))
    single = not whole_hours or any(name in _SINGLE or name == "tag" for name in (*asked.by, *dict(asked.only)))
    where, values = _where(asked, single)
    time = "at_ms" if single else "hour * 3600000"
    groups = [_group(name, time) for name in asked.by]
    if single:
        counts = [
            "sum(kind = 'end')",
            *(f"sum(coalesce(r.{name}, 0))" for name in BUCKETS),
            f"sum(coalesce(usd, 0) / {USD_UNIT})",
            f"sum(coalesce(usd, 0) % {USD_UNIT})",
            "sum(usd IS NULL)",
        ]
        table = "records r" + (", json_each(r.tags) t" if "tag" in asked.by else "")
    else:
        names = (*BUCKETS, "usd_high", "usd_low", "unpriced")
        counts = ["sum(CASE WHEN kind = 'end' THEN calls ELSE 0 END)", *(f"sum(r.{name})" for name in names)]
        table = "rollups r"
    sql = f"SELECT {', '.join([*groups, *counts])} FROM {table}{where}"  # noqa: S608 — names of ours
    if groups:
        order = ", ".join(str(at + 1) for at in range(len(groups)))
        sql += f" GROUP BY {order} ORDER BY {order}"
    width = len(groups)
    rows = []
    for row in db.execute(sql, values):
        if row[width] is None:
            continue  # a sum of nothing
        *left, high, low, unpriced = row
        rows.append((*left, dollars(high * USD_UNIT + low), unpriced))
    return Table((*asked.by, "requests", *BUCKETS, "usd", "unpriced"), rows)


def records(db: sqlite3.Connection, asked: Asked) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """Single records in the order in which they came: names of their fields, and rows as they are read."""
    where, values = _where(asked, True)
    names = tuple(name for name in COLUMNS if name != "counted")
    sql = f"SELECT {', '.join(f'r.{name}' for name in names)} FROM records r{where} ORDER BY number"  # noqa: S608
    usd = names.index("usd")
    reserved, tags, stream = names.index("reserved_usd"), names.index("tags"), names.index("stream")

    def told() -> Iterator[tuple[Any, ...]]:
        for row in db.execute(sql, values):
            out = list(row)
            for at in (usd, reserved):
                out[at] = None if out[at] is None else dollars(out[at])
            out[tags] = msgspec.json.decode(out[tags])
            out[stream] = bool(out[stream])
            yield tuple(out)

    return names, told()


def write(table: tuple[Sequence[str], Iterable[tuple[Any, ...]]], form: str) -> Iterator[bytes]:
    """The rows as `json` (a list), `csv`, `table` or `parquet`, in pieces."""
    names, rows = table
    if form == "json":
        yield from _json(names, rows)
    elif form == "csv":
        yield from _csv(names, rows)
    elif form == "parquet":
        yield _parquet(names, rows)
    else:
        from tidegate.status import columns

        text = columns([[_cell(value) for value in row] for row in rows], [name.upper() for name in names])
        yield (text or "no usage").encode() + b"\n"


def moment(text: str) -> int:
    """Milliseconds since 1970 of `2026-11-21`, `2026-11-21T08:00`, `2026-11`, or `7d` ago; raises UsageError. UTC."""
    amount, unit = text[:-1], text[-1:]
    if amount.isdigit() and unit in "hd":
        now = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)
        back = dt.timedelta(hours=int(amount) * (24 if unit == "d" else 1))
        return int((now - back).timestamp() * 1000)
    try:
        said = dt.datetime.fromisoformat(f"{text}-01" if len(text) == 7 else text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"`{text}` is no moment; write 2026-11-21, 2026-11-21T08:00 (UTC) or 7d") from error
    if said.tzinfo is None:
        said = said.replace(tzinfo=dt.UTC)
    return int(said.timestamp() * 1000)


def _where(asked: Asked, single: bool) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    column, unit = ("r.at_ms", 1) if single else ("r.hour", HOUR_MS)
    for edge, sign in ((asked.from_ms, ">="), (asked.to_ms, "<")):
        if edge is not None:
            parts.append(f"{column} {sign} ?")
            values.append(edge // unit)
    for name, value in asked.only:
        if name not in FILTERS:
            raise UsageError(f"usage can't be chosen by `{name}`; by {', '.join(FILTERS)} it can")
        parts.append(
            "EXISTS (SELECT 1 FROM json_each(r.tags) e WHERE e.value = ?)" if name == "tag" else f"r.{name} = ?"
        )
        values.append(value)
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _group(name: str, time: str) -> str:
    if name in _TIMES:
        return f"strftime('{_TIMES[name]}', {time} / 1000, 'unixepoch')"
    return "t.value" if name == "tag" else f"r.{name}"


def _json(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    lead = b"[\n"
    for row in rows:
        yield lead + msgspec.json.encode(dict(zip(names, row, strict=True)))
        lead = b",\n"
    yield b"[]\n" if lead == b"[\n" else b"\n]\n"


def _csv(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([";".join(value) if isinstance(value, list) else value for value in row])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _parquet(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> bytes:
    try:
        import pyarrow as pa  # type: ignore[import-not-found, unused-ignore]
        from pyarrow import parquet  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'tidegate[parquet]'; csv and json need nothing") from None
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    table = pa.table({name: list(column) for name, column in zip(names, columns, strict=True)})
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()


def _cell(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list) else value
