"""The harness's own arithmetic and parsing."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from bench import table
from bench.load.process import Child, Nursery, Ports, StartError
from bench.load.result import Result, Series
from bench.load.rows import GROUPS, ROWS
from bench.load.rows.ai import chat
from bench.load.rows.counts import parse_strace
from bench.load.rows.table import routes_of, targets_of
from bench.load.settings import Settings

STRACE = """\
    calls    errors syscall
--------- --------- ----------------
     2010        10 recvfrom
     2000           writev
       70           epoll_wait
--------- --------- ----------------
     4080        10 total
"""


def test_strace_s_table_is_read_without_its_sum() -> None:
    calls, failed = parse_strace(STRACE)
    assert calls == {"recvfrom": 2010, "writev": 2000, "epoll_wait": 70}
    assert failed == 10


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    one, two = Series("one"), Series("two")
    for above, below in [(10.0, 10.0), (22.0, 20.0), (36.0, 30.0)]:
        one.add(cpu_us=above)
        two.add(cpu_us=below)
    result = Result("row", "Row", "µs", [one, two])
    result.compare("one", "two", "cpu_us", "figure")
    assert result.figures == {"figure": pytest.approx(1.1)}


def test_a_contestant_that_did_not_run_leaves_no_figure() -> None:
    result = Result("row", "Row", "µs", [Series("nginx", {"cpu_us": [1.0]})])
    result.compare("tidegate", "nginx", "cpu_us", "figure")
    assert (result.ratios, result.figures) == ([], {})


@pytest.mark.parametrize("count", [10, 1000, 10_000])
def test_every_route_has_a_target_of_its_own(count: int) -> None:
    assert len(set(targets_of(count))) == count
    assert routes_of("nginx", count)["ROUTES"].count("proxy_pass") == count
    assert routes_of("tidegate", count)["ROUTES"].count("upstream: origin") == count


def test_the_proxy_has_cores_of_its_own_where_there_are_enough() -> None:
    two = Settings(cores=(0, 1))
    assert (two.placement(1).proxy, two.placement(1).load) == ((0,), (1,))
    assert two.placement(1).apart
    assert not two.placement(2).apart


def test_a_child_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    with Nursery() as nursery:
        command = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
        child = nursery.adopt(Child("child", command, cores=(0,), log=tmp_path / "log"))
        with pytest.raises(StartError, match="no such thing"):
            child.wait_for_port(Ports().take(), 10)


def test_leaving_the_nursery_ends_a_child_that_ignores_being_asked(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    with Nursery() as nursery:
        child = nursery.adopt(Child("deaf", [sys.executable, "-c", deaf], cores=(0,), log=tmp_path / "log"))
        assert child.stop(signal.SIGTERM, seconds=0.5) in {-signal.SIGKILL, -signal.SIGTERM}
    assert not child.running()


def test_a_budget_tells_must_and_aim_apart() -> None:
    budget = table.Budget("row", "figure", "case", 0.95, 0.8)
    assert [budget.verdict(value) for value in (0.79, 0.9, 0.96)] == ["holds, aim reached", "holds", "**misses**"]
    assert budget.verdict(0.954) == "**misses**"
    assert table.Budget("row", "figure", "case", 0, slack=0.005).verdict(0.001) == "holds"


def test_the_table_names_every_budget_and_labels_the_projection() -> None:
    projection = {"projected_8_cores_rps_low": 6e5, "projected_8_cores_rps_high": 7e5, "workers_growth": 1.02}
    rows = {
        "small": {"figures": {"small": 0.82}, "contestants": {}, "host": _host()},
        "workers": {"figures": projection, "host": _host()},
    }
    told = table.text(rows)
    assert all(budget.case in told for budget in table.BUDGETS)
    assert "| ≤ 0.95 | ≤ 0.8 | 0.82 | holds |" in told
    assert "a projection and not a measurement" in told


def _host() -> dict[str, object]:
    versions = {"nginx": "1", "haproxy": "2"}
    return {
        "cores": 2,
        "cpu": "CPU",
        "kernel": "6",
        "when": "2026-01-01 00:00 UTC",
        "virtual": True,
        "versions": versions,
    }


def test_a_bound_may_be_the_least_that_is_wanted() -> None:
    budget = table.Budget("row", "figure", "case", 150, at_least=True)
    assert budget.bound() == "≥ 150"
    assert (budget.verdict(149.0), budget.verdict(150.0)) == ("**misses**", "holds")


def test_groups_name_every_row_once() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(ROWS)


def test_the_question_of_the_ai_rows_is_about_a_kilobyte_and_names_its_model_once() -> None:
    body = chat("stream-20x40", stream=True)
    assert 900 < len(body) < 1200
    assert body.count(b'"model"') == 1
