"""The ledger: every record exactly once, whatever breaks; sums that equal the records."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.ai_journal import CLOSING, NOW, begin, end, segment

from tidegate.ai.database import connect
from tidegate.ai.journal import HEADER_BYTES, frame
from tidegate.ai.ledger import Ledger
from tidegate.ai.money import PICO
from tidegate.ai.usage import Asked, records, sums


def rows(db: sqlite3.Connection, sql: str = "SELECT kind, id, outcome, usd FROM records ORDER BY id") -> list[Any]:
    return db.execute(sql).fetchall()


def test_a_closed_segment_is_taken_and_removed(tmp_path: Path) -> None:
    path = segment(tmp_path / "usage", [begin("a"), end("a"), end("b")], closed=True, gone=False)
    with closing(connect(str(tmp_path))) as db:
        assert Ledger(db).drain(str(tmp_path / "usage")).records == 3
        assert [row[1] for row in rows(db)] == ["a", "b"]
    assert not path.exists()


def test_an_open_segment_is_read_on_where_it_was_left(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    path = segment(folder, [end("a")], gone=False)
    with closing(connect(str(tmp_path))) as db:
        Ledger(db).drain(str(folder))
        with path.open("r+b") as file:
            file.seek(HEADER_BYTES + len(frame(json.dumps(end("a")).encode())))
            file.write(frame(json.dumps(end("b")).encode()) + CLOSING)
        assert Ledger(db).drain(str(folder)).records == 1
        assert [row[1] for row in rows(db)] == ["a", "b"]
    assert not path.exists()


def test_a_call_whose_process_is_gone_took_what_was_reserved(tmp_path: Path) -> None:
    segment(tmp_path / "usage", [begin("a"), begin("b"), end("a")])
    with closing(connect(str(tmp_path))) as db:
        Ledger(db).drain(str(tmp_path / "usage"))
        assert rows(db) == [("end", "a", "ok", 4_500_000), ("end", "b", "lost", 9)]
        assert rows(db, "SELECT input, output, source FROM records WHERE id = 'b'") == [(3, 4, "estimated")]
        assert rows(db, "SELECT * FROM begun") == []


def test_a_call_under_way_is_not_lost_while_its_process_runs(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    segment(folder, [begin("a")], closed=True, gone=False)
    with closing(connect(str(tmp_path))) as db:
        Ledger(db).drain(str(folder))
        assert os.listdir(folder) == []
        Ledger(db).drain(str(folder))
        assert rows(db) == []
        segment(folder, [end("a")], gone=False)
        Ledger(db).drain(str(folder))
        assert rows(db) == [("end", "a", "ok", 4_500_000)]


def test_an_end_that_is_read_before_its_beginning_stays_the_only_one(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    segment(folder, [end("a")])
    segment(folder, [begin("a")])
    with closing(connect(str(tmp_path))) as db:
        while Ledger(db).take(str(folder), 1).more:
            pass
        assert rows(db) == [("end", "a", "ok", 4_500_000)]


def test_an_end_that_comes_twice_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    segment(folder, [end("a"), end("a"), {**end("a"), "kind": "loser"}])
    segment(folder, [end("a")])
    with closing(connect(str(tmp_path))) as db:
        Ledger(db).drain(str(folder))
        assert [row[0] for row in rows(db)] == ["end", "loser"]
        assert sums(db, Asked(by=())).rows[0][0] == 1


def test_damage_is_set_aside_once_nobody_writes_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    living = segment(folder, [end("a"), end("b")], gone=False)
    dead = segment(folder, [end("c"), end("d")], nonce=8)
    for path in (living, dead):
        data = bytearray(path.read_bytes())
        data[-80] ^= 1
        path.write_bytes(data)
    with closing(connect(str(tmp_path))) as db:
        assert Ledger(db).drain(str(folder)).damaged == (dead.name,)
        assert [row[1] for row in rows(db)] == ["a", "c"]
    assert living.exists()
    assert (folder / f"{dead.name}.damaged").exists()


def test_what_says_nothing_is_kept_aside_and_absurd_numbers_are_cut(tmp_path: Path) -> None:
    segment(tmp_path / "usage", [b"{not json", end("a", input=2**63 * 4, usd=-5), end("b")])
    with closing(connect(str(tmp_path))) as db:
        assert Ledger(db).drain(str(tmp_path / "usage")).unreadable == 1
        assert rows(db, "SELECT record FROM unreadable") == [(b"{not json",)]
        assert rows(db, "SELECT input, usd FROM records WHERE id = 'a'") == [(2**40, 0)]


def test_single_records_are_forgotten_and_their_sums_are_not(tmp_path: Path) -> None:
    segment(tmp_path / "usage", [end("a"), end("b", at_ms=NOW + 1)])
    with closing(connect(str(tmp_path))) as db:
        Ledger(db).drain(str(tmp_path / "usage"))
        assert Ledger(db).forget(NOW + 1) == 1
        assert [row[1] for row in rows(db)] == ["b"]
        assert sums(db, Asked(by=("key",))).rows[0][1] == 2


_texts = st.sampled_from(["", "a", "ä b"])
_counts = st.none() | st.integers(0, 10**9)
_calls = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["end", "end", "end", "loser", "shadow"]),
            "key": _texts,
            "tenant": _texts,
            "model": _texts,
            "tags": st.lists(st.sampled_from(["x", "y"]), max_size=3),
            "at_ms": st.integers(NOW, NOW + 10**8),
            "input": _counts,
            "cache_read": _counts,
            "output": _counts,
            "usd": st.none() | st.integers(0, 10**18),
        }
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=_calls, by=st.lists(st.sampled_from(["key", "tenant", "model", "day", "kind", "hour"]), unique=True))
def test_sums_equal_the_records(tmp_path_factory: pytest.TempPathFactory, calls: list[Any], by: list[str]) -> None:
    folder = tmp_path_factory.mktemp("state")
    segment(folder / "usage", [end(str(at), **call) for at, call in enumerate(calls)])
    with closing(connect(str(folder))) as db:
        Ledger(db).drain(str(folder / "usage"))
        rolled = sums(db, Asked(by=tuple(by)))
        single = sums(db, Asked(by=tuple(by), from_ms=1))  # no whole hour: from the records themselves
        assert rolled == single
        usd, calls_at = rolled.names.index("usd"), rolled.names.index("requests")
        told = sum(_pico(row[usd]) for row in rolled.rows)
        assert told == sum(call["usd"] or 0 for call in calls)
        assert sum(row[calls_at] for row in rolled.rows) == sum(call["kind"] == "end" for call in calls)
        names, each = records(db, Asked())
        assert sum(_pico(row[names.index("usd")] or "0") for row in each) == told


def _pico(text: str) -> int:
    whole, _, rest = text.partition(".")
    return int(whole) * PICO + int(rest.ljust(12, "0") or 0)


class Crash(Exception):
    """The power went."""


@settings(max_examples=60, deadline=None)
@given(crashes=st.lists(st.integers(0, 40), max_size=6), most=st.integers(1, 7))
def test_a_crash_at_any_point_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[int], most: int
) -> None:
    state = tmp_path_factory.mktemp("state")
    folder = state / "usage"
    for at in range(3):
        ids = [f"{at}{n}" for n in range(4)]
        segment(
            folder, [begin(ids[0]), *(end(id_) for id_ in ids[1:]), {**end(ids[1]), "kind": "loser"}], closed=at != 1
        )
    for steps in [*crashes, 10**9]:
        left = iter(range(steps))

        def step(*_: object, left: Any = left) -> None:
            if next(left, None) is None:
                raise Crash

        with closing(connect(str(state))) as db:
            watched = Watched(db, step)

            def unlink(path: str, step: Any = step) -> None:
                step()
                os.remove(path)

            with patch("tidegate.ai.ledger.os.unlink", unlink):
                try:
                    while Ledger(watched).take(str(folder), most).more:  # type: ignore[arg-type]
                        pass
                except Crash:
                    continue
    with closing(connect(str(state))) as db:
        kinds = rows(db, "SELECT kind, outcome, count(*) FROM records GROUP BY 1, 2 ORDER BY 1, 2")
        assert kinds == [("end", "lost", 3), ("end", "ok", 9), ("loser", "ok", 3)]
        assert sums(db, Asked(by=())).rows == sums(db, Asked(by=(), from_ms=1)).rows
    assert os.listdir(folder) == []


class Watched:
    """A connection that says when it is asked for something."""

    def __init__(self, db: sqlite3.Connection, step: Any) -> None:
        self._db, self._step = db, step

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def execute(self, sql: str, values: Any = ()) -> Any:
        if sql != "ROLLBACK":
            self._step()
        return self._db.execute(sql, values)

    def executemany(self, sql: str, values: Any) -> Any:
        self._step()
        return self._db.executemany(sql, values)
