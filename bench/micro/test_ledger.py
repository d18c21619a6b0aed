"""How fast the ledger takes a journal in: 100,000 records a round."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from tests.unit.ai_journal import NOW, begin, end, segment

from tidegate.ai.database import connect
from tidegate.ai.ledger import Ledger

CALLS = 50_000


def test_a_hundred_thousand_records(benchmark: Any, tmp_path_factory: Any) -> None:
    def setup() -> tuple[tuple[Path], dict[str, Any]]:
        state = tmp_path_factory.mktemp("state")
        records = []
        for at in range(CALLS):
            id_ = f"01JD{at:022d}"
            who = {"key": f"key-{at % 50}", "model": f"model-{at % 7}", "at_ms": NOW + at}
            records += [begin(id_, **who), end(id_, **who)]
        segment(state / "usage", records, closed=True)
        return (state,), {}

    def take(state: Path) -> None:
        with closing(connect(str(state))) as db:
            assert Ledger(db).drain(str(state / "usage")).records == 2 * CALLS

    benchmark.pedantic(take, setup=setup, rounds=3)
    benchmark.extra_info["records/s"] = round(2 * CALLS / benchmark.stats.stats.median)
