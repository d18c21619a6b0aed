"""The status as people read it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tidegate.stats import BOUNDS_MS, HookFigures, Reloads, assemble
from tidegate.status import columns, duration, size, table


def endpoint(address: str, choosing: int, knowing: int) -> dict[str, Any]:
    return {
        "upstream": "api",
        "endpoint": address,
        "ok": 5,
        "failed": 0,
        "in_flight": 1,
        "workers_choosing": choosing,
        "workers_knowing": knowing,
    }


ENGINE: dict[str, Any] = {
    "requests": 12345,
    "connections": 3,
    "panics": 0,
    "log_lines_dropped": 0,
    "duration_us": {"p50": 400, "p99": 12500},
    "routes_used": 12,
    "routes": [{"route": f"r{at}", "requests": 1000 - at, "2xx": 900, "5xx": 3, "mean_us": 1250} for at in range(12)],
    "upstreams": [
        {"upstream": "api", "pool_hits": 12000, "pool_misses": 3, "idle": 2},
        endpoint("10.0.0.1:80", 2, 2),
        endpoint("10.0.0.2:80", 1, 2),
        endpoint("10.0.0.3:80", 0, 2),
        endpoint("10.0.0.4:80", 0, 0),
    ],
    "limits": [{"limit": "per-client", "allowed": 10, "delayed": 0, "refused": 7}],
    "refusals": {"rate_limited": 7, "no_route": 0},
}


def whole(**changes: Any) -> dict[str, Any]:
    reloads = Reloads()
    reloads.succeeded()
    figures = HookFigures("policies:check")
    figures.took(0.0004)
    about = {
        "version": "0.1.0",
        "pid": 7,
        "config": "/etc/tidegate.yaml",
        "uptime_s": 3700.0,
        "workers": 2,
        "draining": False,
        "listeners": [{"name": ":8080", "address": "[::]:8080", "admin": False}],
        "routes": 3,
    }
    made = assemble(about=about, reloads=reloads, hooks=[figures], engine=copy.deepcopy(ENGINE))  # type: ignore[arg-type]
    return {**made, "requests_per_s": 99.5, **changes}


def test_all_that_matters_is_shown() -> None:
    shown = table(whole())
    for text in (
        "process 7, up 1h 1m",
        "/etc/tidegate.yaml, generation 1, 3 routes",
        "99.5/s now, 12,345 in all, 3 connections",
        "p50 0.4 ms, p99 12.5 ms",
        "per-client",
        "and 2 more",
        "2 workers",
        "[::]:8080",
        "policies:check",
        "rate_limited",
    ):
        assert text in shown
    assert "no_route" not in shown
    assert "draining" not in shown
    assert "WARNING" not in shown


def test_an_endpoint_is_as_well_as_the_workers_find_it() -> None:
    rows = [line for line in table(whole()).splitlines() if line.startswith("api ")]
    assert len(rows) == 4
    states = ("up", "out for 1 of 2 workers", "out", "not asked yet")
    assert all(f"  {state}  " in row for state, row in zip(states, rows, strict=True))


def test_what_should_not_happen_stands_out() -> None:
    assert "WARNING        2 exchanges panicked" in table(whole(engine={**ENGINE, "panics": 2}))


def test_an_engine_that_counts_less_is_shown_all_the_same() -> None:
    assert "0 in all" in table(whole(engine={}))


def test_a_refused_reload_stands_out() -> None:
    status = whole()
    status["reloads"]["last_error"] = "a.yaml:1:1: no\na.yaml:2:1: neither"
    shown = table(status)
    assert "REFUSED; the configuration before it stays in force" in shown
    assert "a.yaml:2:1: neither" in shown


def test_a_drain_is_shown() -> None:
    assert "up 1h 1m, draining" in table(whole(draining=True))


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    assert columns([("a", 5), ("bcd", 12345)], ("NAME", "COUNT")) == "NAME   COUNT\na          5\nbcd   12,345"
    assert columns([], ("NAME",)) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0s"), (0.42, "0.4s"), (59, "59s"), (61, "1m 1s"), (3600, "1h"), (90061, "1d 1h")]
)
def test_durations_have_two_parts(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3072.0 GiB")]
)
def test_sizes_have_a_unit(count: int, text: str) -> None:
    assert size(count) == text


def test_quantiles_are_the_bounds_of_their_buckets() -> None:
    figures = HookFigures("a")
    assert figures.quantile_ms(0.5) is None
    for _ in range(99):
        figures.took(0.0009)
    figures.took(0.2)
    assert (figures.quantile_ms(0.5), figures.quantile_ms(0.99), figures.quantile_ms(1)) == (1, 1, 250)
    figures.took(100)
    assert figures.quantile_ms(1) is None
    assert figures.calls == 101
    assert tuple(sorted(BOUNDS_MS)) == BOUNDS_MS


def test_reloads_count_what_came_of_each() -> None:
    reloads = Reloads()
    reloads.succeeded()
    reloads.refused("no")
    assert reloads.as_json()["last_error"] == "no"
    assert (reloads.generation, reloads.applied, reloads.failed) == (1, 1, 1)
    reloads.unchanged()
    assert (reloads.generation, reloads.as_json()["last_error"]) == (1, None)
