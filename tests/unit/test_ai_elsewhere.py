"""What another process's calls took: who pays for it here, and that a journal belongs to one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.ai_journal import NOW, end, segment

from tidegate.ai.background import AiBackground
from tidegate.ai.elsewhere import account_names, bookings
from tidegate.ai.record import Record

RECORD = Record(
    kind="end", id="a", at_ms=NOW, key="ci", tenant="acme", team="platform", user="ann", tags=["x", "x", "y"],
    model="small-1", outcome="ok", input=10, cache_read=2, output=5, reasoning=1, usd=700,
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("key ci: usd per month", 700),
        ("key ci: requests per minute", 1),
        ("key ci: input tokens per day", 12),
        ("key ci: output tokens per day", 6),
        ("key ci: tokens", 18),
        ("tenant acme: usd", 700),
        ("team acme/platform, model small*: usd per day", 700),
        ("user acme/platform/ann: requests per hour", 1),
        ("tag x: usd", 700),
        ("key other: usd per month", None),
        ("key ci, model big: usd per month", None),
        ("team acme/other: usd", None),
        ("open: usd", None),
        ("key ci: calls in flight", None),
    ],
)
def test_a_record_is_booked_on_the_accounts_that_pay_for_it(name: str, amount: int | None) -> None:
    assert bookings([name], [RECORD]) == ([] if amount is None else [(name, NOW, amount)])


def test_names_of_accounts_are_read_off_a_plan() -> None:
    assert account_names(b'{"ai": {"accounts": [{"name": "a", "limit": 3}], "x": 1}, "routes": []}') == ["a"]
    assert account_names(b'{"ai": null}') == []


def test_only_what_others_wrote_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    background = AiBackground(str(tmp_path))
    background.elsewhere = lambda records: told.extend(record.id for record in records)
    segment(tmp_path / "usage", [end("own")], gone=False, nonce=1)
    segment(tmp_path / "usage", [end("other"), end("another")], nonce=2)
    assert background.flush() == 3
    assert told == ["other", "another"]


def test_a_journal_that_is_left_to_another_process_is_not_taken_in(tmp_path: Path) -> None:
    background = AiBackground(str(tmp_path))
    segment(tmp_path / "usage", [end("a")])
    background.pause()
    assert background.flush() == 0
    background.resume()
    assert background.flush() == 1
