"""The ledger: takes the engine's journal into the database, each record exactly once, and sums it by the hour.

Knows: segments, records, the tables of usage.
Never: the engine, the loop. A ledger belongs to one thread at a time.

A segment's offset moves in the same transaction as its records are inserted and summed, so a crash at any point takes
back all of them or none, and two processes that take the same segment do it one after the other. A segment is removed
once it was wholly taken and that is committed, and only then forgotten.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tidegate.ai.database import transaction
from tidegate.ai.journal import HEADER_BYTES, End, Header, read, segments
from tidegate.ai.record import BUCKETS, COLUMNS, Record, decode, row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

__all__ = ["BATCH", "HOUR_MS", "RETENTION_DAYS", "USD_UNIT", "Ledger", "Taken"]

BATCH: Final = 5_000
"""Records of one transaction: some 200 ms, so that nobody waits long for the lock."""
HOUR_MS: Final = 3_600_000
USD_UNIT: Final = 10**9
"""Sums of money are kept in two columns, units and the rest, so that no sum leaves 64 bits."""
RETENTION_DAYS: Final = 30
"""How long single records are kept; their sums are kept for ever."""

_SUMS: Final = ("calls", "counted", *BUCKETS, "usd_high", "usd_low", "unpriced")
_BY: Final = ("hour", "kind", "key", "tenant", "team", "user", "model", "served", "provider", "variant")
_TAG_SUMS: Final = ("counted", "input", "output", "usd_high", "usd_low")
_TAG_BY: Final = ("hour", "tag", "model")


def _upsert(table: str, by: Sequence[str], sums: Sequence[str]) -> str:
    columns = (*by, *sums)
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 — names of ours
        f" ON CONFLICT DO UPDATE SET {added}"
    )


_INSERT: Final = f"INSERT INTO records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_ROLL: Final = _upsert("rollups", _BY, _SUMS)
_ROLL_TAG: Final = _upsert("tag_rollups", _TAG_BY, _TAG_SUMS)
_ASKED: Final = 500  # ids of one look-up: SQLite takes at least 999 values


class Taken(NamedTuple):
    """What one pass took."""

    records: int
    more: bool
    """Whether there may be more at once."""
    damaged: tuple[str, ...]
    """Segments that were set aside, unreadable from some point on."""
    unreadable: int
    """Records that say nothing, kept in the table `unreadable`."""
    elsewhere: tuple[Record, ...] = ()
    """Those that count and that another process wrote: this one's accounts do not have them."""


class Ledger:
    """Usage records of one state directory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def take(self, folder: str, most: int = BATCH) -> Taken:
        """One transaction's worth of a journal's records; raises `sqlite3.Error` and `OSError`, with nothing taken."""
        # In this order: what a process wrote before it was seen to be gone is in the listing.
        gone = self._gone()
        if not gone and not segments(folder):
            return Taken(0, False, (), 0)
        batch = _Batch()
        with transaction(self._db):
            names = segments(folder)  # anew: another process may have taken some meanwhile
            more = self._read(folder, names, most, batch, gone)
            self._keep(batch)
            if not more:
                batch.elsewhere += self._lose(gone - batch.unfinished)
                more = bool(batch.begun_by_gone)
        self._remove(folder, batch.finished, batch.damaged)
        return Taken(len(batch.records), more, tuple(batch.damaged), len(batch.unreadable), tuple(batch.elsewhere))

    def drain(self, folder: str) -> Taken:
        """All that is there now, and what calls of processes that are gone have left."""
        records = unreadable = 0
        damaged: list[str] = []
        while True:
            taken = self.take(folder)
            records += taken.records
            unreadable += taken.unreadable
            damaged += taken.damaged
            if not taken.more:
                return Taken(records, False, tuple(damaged), unreadable)

    def forget(self, before_ms: int, most: int = 10_000) -> int:
        """Removes the oldest single records, at most so many; their sums stay. How many it were."""
        with transaction(self._db):
            sql = "DELETE FROM records WHERE number IN (SELECT number FROM records WHERE at_ms < ? LIMIT ?)"
            return self._db.execute(sql, (before_ms, most)).rowcount

    def _gone(self) -> set[str]:
        """Journals that hold a call without an end and whose process runs no more."""
        sql = "SELECT nonce, pid, started, boot FROM owners WHERE nonce IN (SELECT nonce FROM begun)"
        return {
            nonce
            for nonce, pid, started, boot in self._db.execute(sql)
            if Header(0, 0, 0, pid, 0, started, int(boot, 16)).owner_is_gone()
        }

    # -- one transaction -----------------------------------------------------------------------------------------------

    def _read(self, folder: str, names: list[str], most: int, batch: _Batch, gone: set[str]) -> bool:
        """Fills the batch and moves the offsets; whether there is more to read at once."""
        known = {name: (offset, taken) for name, offset, taken in self._db.execute(_KNOWN)}
        more = False
        for name in names:
            offset, taken = known.get(name, (0, 0))
            nonce = name.partition("-")[0]
            if taken:
                batch.finished.append(name)  # it was not removed the last time
                continue
            if len(batch.records) >= most:
                batch.unfinished.add(nonce)
                more = True
                continue
            try:
                descriptor = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                header = Header.parse(os.pread(descriptor, HEADER_BYTES, 0))
                if header is None:
                    if nonce in gone:
                        batch.finished.append(name)  # its process ended while it made it: it holds no record
                    continue
                ownerless = header.owner_is_gone()
                part = read(descriptor, offset, most - len(batch.records))
            finally:
                os.close(descriptor)
            batch.add(name, nonce, part.records, part.offsets, ownerless, header.pid == os.getpid())
            whole = part.end == End.CLOSED or (ownerless and part.end in {End.OPEN, End.DAMAGED})
            if whole:
                (batch.damaged if part.end == End.DAMAGED else batch.finished).append(name)
            else:
                batch.unfinished.add(nonce)
                more = more or part.end == End.MORE
            if part.next != max(offset, HEADER_BYTES) or whole:
                self._db.execute(_MOVE, (name, nonce, part.next, whole))
                owner = (f"{header.nonce:016x}", header.pid, header.started, f"{header.boot:x}")
                self._db.execute("INSERT OR IGNORE INTO owners VALUES (?, ?, ?, ?)", owner)
        there = set(names)
        self._db.executemany("DELETE FROM segments WHERE name = ?", [(name,) for name in known if name not in there])
        return more

    def _keep(self, batch: _Batch) -> None:
        known = self._ended([*batch.ends, *batch.begun])
        ends = [record for id_, record in batch.ends.items() if id_ not in known]
        begun = [
            (id_, nonce, data)
            for id_, (nonce, data) in batch.begun.items()
            if id_ not in known and id_ not in batch.ends
        ]
        batch.begun_by_gone = any(nonce in batch.ownerless for _, nonce, _ in begun)
        self._db.executemany("DELETE FROM begun WHERE id = ?", [(id_,) for id_ in batch.ends])
        self._db.executemany("INSERT OR IGNORE INTO begun VALUES (?, ?, ?)", begun)
        self._insert([*ends, *batch.others])
        batch.elsewhere = [record for record in (*ends, *batch.others) if record.id not in batch.own]
        self._db.executemany("INSERT OR IGNORE INTO unreadable VALUES (?, ?, ?, ?)", batch.unreadable)

    def _lose(self, nonces: Iterable[str]) -> list[Record]:
        """What processes that are gone began and never ended: each becomes an end that took what was reserved."""
        all_lost: list[Record] = []
        for nonce in nonces:
            rows = self._db.execute("SELECT record FROM begun WHERE nonce = ?", (nonce,)).fetchall()
            lost = [decode(data).lost() for (data,) in rows]
            self._insert(lost)
            all_lost += lost
            self._db.execute("DELETE FROM begun WHERE nonce = ?", (nonce,))
            self._db.execute("DELETE FROM owners WHERE nonce = ?", (nonce,))
        return all_lost

    def _ended(self, ids: list[str]) -> set[str]:
        """Those of the ids that have their end already."""
        found: set[str] = set()
        for at in range(0, len(ids), _ASKED):
            some = ids[at : at + _ASKED]
            sql = f"SELECT id FROM records WHERE kind = 'end' AND id IN ({','.join('?' * len(some))})"  # noqa: S608
            found.update(id_ for (id_,) in self._db.execute(sql, some))
        return found

    def _insert(self, records: list[Record]) -> None:
        if not records:
            return
        self._db.executemany(_INSERT, map(row, records))
        self._db.executemany(_ROLL, _sums(records))
        self._db.executemany(_ROLL_TAG, _tag_sums(records))

    # -- afterwards ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _remove(folder: str, finished: Iterable[str], damaged: Iterable[str]) -> None:
        """Their rows go with the next pass, which sees that the files are gone."""
        for name in finished:
            path = os.path.join(folder, name)
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
        for name in damaged:
            path = os.path.join(folder, name)
            try:
                os.rename(path, f"{path}.damaged")
            except FileNotFoundError:
                continue


_KNOWN: Final = "SELECT name, offset, taken FROM segments"
_MOVE: Final = (
    "INSERT INTO segments VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET offset = excluded.offset, taken = excluded.taken"
)


class _Batch:
    """Records of one transaction, sorted out."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.begun: dict[str, tuple[str, bytes]] = {}
        self.ends: dict[str, Record] = {}
        self.others: list[Record] = []
        self.unreadable: list[tuple[str, int, str, bytes]] = []
        self.finished: list[str] = []
        self.damaged: list[str] = []
        self.unfinished: set[str] = set()
        """Journals with more to read, now or later."""
        self.ownerless: set[str] = set()
        self.begun_by_gone = False
        self.own: set[str] = set()
        """Ids of what this process wrote."""
        self.elsewhere: list[Record] = []

    def add(
        self, segment: str, nonce: str, records: list[bytes], offsets: list[int], ownerless: bool, own: bool
    ) -> None:
        """Records of one segment."""
        self.records += records
        if ownerless:
            self.ownerless.add(nonce)
        for data, offset in zip(records, offsets, strict=True):
            try:
                record = decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self.unreadable.append((segment, offset, str(error), data))
                continue
            if own:
                self.own.add(record.id)
            if record.kind == "begin":
                self.begun.setdefault(record.id, (nonce, data))
            elif record.kind == "end":
                self.ends.setdefault(record.id, record)
            else:
                self.others.append(record)


def _sums(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for record in records:
        by = (
            record.at_ms // HOUR_MS, record.kind, record.key, record.tenant, record.team, record.user, record.model,
            record.served, record.provider, record.variant,
        )  # fmt: skip
        total = sums.get(by)
        if total is None:
            total = sums[by] = [0] * len(_SUMS)
        usd = record.usd or 0
        values = (
            1, record.counted, record.input or 0, record.cache_read or 0, record.cache_write_5m or 0,
            record.cache_write_1h or 0, record.output or 0, record.reasoning or 0, record.audio_in or 0,
            record.audio_out or 0, record.images or 0, usd // USD_UNIT, usd % USD_UNIT, record.unpriced,
        )  # fmt: skip
        for at, value in enumerate(values):
            if value:
                total[at] += value
    return [(*by, *total) for by, total in sums.items()]


def _tag_sums(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for record in records:
        for tag in dict.fromkeys(record.tags):
            total = sums.setdefault((record.at_ms // HOUR_MS, tag, record.model), [0] * len(_TAG_SUMS))
            usd = record.usd or 0
            values = (record.counted, record.input_total, record.output_total, usd // USD_UNIT, usd % USD_UNIT)
            for at, value in enumerate(values):
                total[at] += value
    return [(*by, *total) for by, total in sums.items()]
