"""What accounts have spent before, by the names that the lowering gives them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ai_journal import NOW, begin, end, segment

from tidegate.ai.database import connect
from tidegate.ai.ledger import HOUR_MS, Ledger
from tidegate.ai.openings import Account, Openings, parse, window_start

DAY = 24 * HOUR_MS


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("key ci: requests per minute", Account(("key", "ci"), "", "requests", "minute")),
        ("key a: b: usd per month", Account(("key", "a: b"), "", "usd", "month")),
        ("tenant acme, model big*: input tokens per day", Account(("tenant", "acme"), "big*", "input tokens", "day")),
        ("team acme/platform: usd", Account(("team", "acme", "platform"), "", "usd", "none")),
        ("user acme/ann: tokens per week", Account(("user", "acme", "", "ann"), "", "tokens", "week")),
        ("user acme/core/ann: tokens per hour", Account(("user", "acme", "core", "ann"), "", "tokens", "hour")),
        ("tag x, y: usd per day", Account(("tag", "x, y"), "", "usd", "day")),
        ("open, model small: requests per day", Account(("open",), "small", "requests", "day")),
        ("key ci: in flight", None),
        ("key ci: requests per year", None),
        ("somebody: usd per day", None),
        ("", None),
    ],
)
def test_names_of_accounts_are_read(name: str, account: Account | None) -> None:
    assert parse(name) == account


def test_an_account_opens_with_what_its_window_has_seen(tmp_path: Path) -> None:
    calls = [
        end("1", usd=10, input=1, output=2),
        end("2", usd=20, input=4, cache_read=8, output=16, reasoning=32, model="big-1", tags=["x", "x"]),
        end("3", usd=40, key="", tenant="", team=""),
        end("4", usd=80, user="ann", key="other"),
        end("5", usd=160, at_ms=NOW - 32 * DAY),
        end("6", usd=None, outcome="error", input=None, output=None),
        {**end("1", usd=320, input=0, output=0), "kind": "loser"},
        begin("7", team="platform"),
    ]
    segment(tmp_path / "usage", calls)
    with closing(connect(str(tmp_path))) as db:
        Ledger(db).drain(str(tmp_path / "usage"))
        openings = Openings(db, NOW + 1)

        def spent(name: str) -> int:
            at, much = openings.get(name, (NOW + 1, 0))
            assert at == NOW + 1
            return much

        for window in ("minute", "hour", "day", "week", "month"):
            assert spent(f"key ci: usd per {window}") == 10 + 20 + 320 + 9
        assert spent("key ci: usd") == 10 + 20 + 160 + 320 + 9
        assert spent("key ci: requests per day") == 3
        assert spent("key ci: input tokens per day") == 1 + 12 + 3
        assert spent("key ci: output tokens per day") == 2 + 48 + 4
        assert spent("key ci: tokens per day") == 16 + 54
        assert spent("tenant acme: usd per day") == 10 + 20 + 80 + 320 + 9
        assert spent("team acme/platform, model big*: usd per day") == 20
        assert spent("user acme/platform/ann: usd per day") == 80
        assert spent("user acme/ann: usd per day") == 0
        assert spent("open: usd per day") == 40
        assert spent("tag x: usd per day") == 20
        assert spent("tag x: usd per minute") == 20
        assert spent("key unknown: usd per day") == 0
        assert "key unknown: usd per day" not in openings


@given(st.integers(0, 4 * 10**12), st.sampled_from(["minute", "hour", "day", "week", "month"]))
def test_a_window_begins_before_each_of_its_moments_and_begins_itself(at_ms: int, window: str) -> None:
    start = window_start(window, at_ms)
    assert start <= at_ms
    assert window_start(window, start) == start
    most = {"minute": 60_000, "hour": HOUR_MS, "day": DAY, "week": 7 * DAY, "month": 31 * DAY}[window]
    assert at_ms - start < most


@pytest.mark.parametrize(
    ("window", "at", "start"),
    [("week", 0, 0), ("week", 4 * DAY, 4 * DAY), ("week", 11 * DAY - 1, 4 * DAY), ("month", 40 * DAY, 31 * DAY)],
)
def test_weeks_begin_on_monday_and_months_on_their_first(window: str, at: int, start: int) -> None:
    assert window_start(window, at) == start
