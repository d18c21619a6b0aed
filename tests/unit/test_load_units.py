"""How times, sizes, rates and shares are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import units
from tidegate.model.units import Rate, Unreadable


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("500ms", 500),
        ("10s", 10_000),
        ("5m", 300_000),
        ("5min", 300_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("1.5s", 1500),
        ("0.25s", 250),
        ("1h1m1s1ms", 3_661_001),
        ("49d", 49 * 86_400_000),
    ],
)
def test_times_are_read(text: str, milliseconds: int) -> None:
    assert units.duration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10", "`10` is a time without a unit; write `10s` or `10ms`"),
        ("", "`` is not a time; write it as `500ms`, `10s`, `5m` or `1h30m`"),
        ("10 s", "`10 s` is not a time; write it as `500ms`, `10s`, `5m` or `1h30m`"),
        ("-1s", "`-1s` is not a time; write it as `500ms`, `10s`, `5m` or `1h30m`"),
        ("10sec", "`10sec` is not a time; write it as `500ms`, `10s`, `5m` or `1h30m`"),
        ("1m1h", "`1m1h` is not a time; write units once and from large to small, as `1h30m`"),
        ("1s1s", "`1s1s` is not a time; write units once and from large to small, as `1h30m`"),
        ("0.5ms", "`0.5ms` is finer than a millisecond; write whole milliseconds"),
        ("50d", "`50d` is too long; write at most 49d"),
        ("١s", "`١s` is not a time; write it as `500ms`, `10s`, `5m` or `1h30m`"),
    ],
)
def test_what_is_no_time_is_told(text: str, told: str) -> None:
    with pytest.raises(Unreadable) as caught:
        units.duration(text)
    assert f"{caught.value.what}; {caught.value.right}" == told


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("10", 10),
        ("10B", 10),
        ("64KiB", 65_536),
        ("64kib", 65_536),
        ("64 KiB", 65_536),
        ("1MB", 1_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2TiB", 2_199_023_255_552),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert units.size(text) == size


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10k", "`10k` is not a size; write `10KiB` (1024) or `10KB` (1000)"),
        ("1 M", "`1 M` is not a size; write `1MiB` (1024) or `1MB` (1000)"),
        ("ten", "`ten` is not a size; write it as `64KiB`, `1MB` or `10` (bytes)"),
        ("1.1B", "`1.1B` is not a whole number of bytes; write `1`"),
        ("9999999TiB", "`9999999TiB` is too large; write at most 8388607TiB"),
    ],
)
def test_what_is_no_size_is_told(text: str, told: str) -> None:
    with pytest.raises(Unreadable) as caught:
        units.size(text)
    assert f"{caught.value.what}; {caught.value.right}" == told


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 1000)),
        ("600/min", Rate(600, 60_000)),
        ("600/m", Rate(600, 60_000)),
        ("5/h", Rate(5, 3_600_000)),
        ("1000/day", Rate(1000, 86_400_000)),
        ("1/10s", Rate(1, 10_000)),
        ("7 / second", Rate(7, 1000)),
    ],
)
def test_rates_are_read(text: str, rate: Rate) -> None:
    assert units.rate(text) == rate


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("100", "`100` is not a rate; write `100/s` or `100/min`"),
        ("100r/s", "`100r/s` is not a rate; write it as `100/s`, `600/min` or `5/h`"),
        ("1/fortnight", "`1/fortnight` is not a rate; write it as `100/s`, `600/min` or `5/h`"),
        (
            "0/s",
            "`0/s` lets nothing through; to refuse everything, use `access: {deny: [0.0.0.0/0, ::/0]}`",
        ),
        ("9999999999/s", "`9999999999/s` is too fast to count; leave the limit out"),
    ],
)
def test_what_is_no_rate_is_told(text: str, told: str) -> None:
    with pytest.raises(Unreadable) as caught:
        units.rate(text)
    assert f"{caught.value.what}; {caught.value.right}" == told


@pytest.mark.parametrize(("text", "share"), [("0%", 0), ("20%", 20), ("100", 100)])
def test_shares_are_read(text: str, share: int) -> None:
    assert units.percent(text) == share


@pytest.mark.parametrize("text", ["101%", "-1%", "half", ""])
def test_what_is_no_share_is_told(text: str) -> None:
    with pytest.raises(Unreadable):
        units.percent(text)


@given(st.integers(0, units.MAX_MS))
def test_a_shown_time_reads_back(milliseconds: int) -> None:
    assert units.duration(units.show_duration(milliseconds)) == milliseconds


@given(st.integers(0, 2**63 - 1))
def test_a_shown_size_reads_back(size: int) -> None:
    assert units.size(units.show_size(size)) == size


@given(st.integers(1, 2**32 - 1), st.integers(1, units.MAX_MS))
def test_a_shown_rate_reads_back(tokens: int, per_ms: int) -> None:
    assert units.rate(units.show_rate(Rate(tokens, per_ms))) == (tokens, per_ms)


@given(st.text(max_size=12))
def test_no_text_is_more_than_unreadable(text: str) -> None:
    readers = (units.quota, units.money, units.budget, units.decimal, units.moment)
    for read in (units.duration, units.size, units.rate, units.percent, *readers):
        try:
            read(text)
        except Unreadable as wrong:
            assert wrong.what
            assert wrong.right


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("600/min", (600, "minute")),
        ("100k/min", (100_000, "minute")),
        ("1.5M/day", (1_500_000, "day")),
        ("1_000 / hour", (1000, "hour")),
        ("5/w", (5, "week")),
        ("2G/month", (2 * 10**9, "month")),
    ],
)
def test_so_many_in_a_window_are_read(text: str, count: tuple[int, str]) -> None:
    assert units.quota(text) == count


@pytest.mark.parametrize("text", ["600", "600/s", "0/min", "1.5/min", "x/min", "5/5min", "_/min", "9999999999G/min"])
def test_what_is_not_so_many_in_a_window_is_told(text: str) -> None:
    with pytest.raises(Unreadable):
        units.quota(text)


@pytest.mark.parametrize(
    ("text", "picodollars"),
    [
        ("50", 50 * 10**12),
        ("$2.50", 2_500_000_000_000),
        ("0.000000000001", 1),
        ("1_000 USD", 10**15),
        ("0", 0),
    ],
)
def test_dollars_are_read_exactly(text: str, picodollars: int) -> None:
    assert units.money(text) == picodollars


@pytest.mark.parametrize("text", ["-1", "1,5", "1e3", "€5", "0.0000000000001", ""])
def test_what_are_no_dollars_is_told(text: str) -> None:
    with pytest.raises(Unreadable):
        units.money(text)


def test_budgets_are_read() -> None:
    assert units.budget("$5.25/day") == (5_250_000_000_000, "day")
    for text in ("50", "50/s", "/day", "five/day"):
        with pytest.raises(Unreadable):
            units.budget(text)


def test_days_last_until_their_end_and_moments_do_not() -> None:
    assert units.moment("1970-01-01") == 86_400_000
    assert units.moment("1970-01-01T00:00:01") == 1000
    assert units.moment("1970-01-01T01:00:00+01:00") == 0
    for text in ("tomorrow", "9999-12-31", "1969-01-01", "2027-13-01"):
        with pytest.raises(Unreadable):
            units.moment(text)
