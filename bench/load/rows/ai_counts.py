"""What is counted of an AI call: system calls, allocations, instructions, of the engine alone and without Python.

The plan is the one that Tidegate itself compiled and kept; `serve`, an example of the engine, runs it.
"""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.load.client import Request, count_loop
from bench.load.lab import START_SECONDS, Lab, Running
from bench.load.process import Child, StartError
from bench.load.result import Result, Series
from bench.load.rows.ai import AI, HEADERS, PLAIN, TIDEGATE_AI, chat
from bench.load.rows.counts import CALLGRIND, COLLECTED, SLOW_START_SECONDS, calls_a_request
from bench.load.settings import Placement, Settings
from bench.load.tools import engine

CONNECTIONS = 8
ALLOCATIONS = re.compile(r"^allocations (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """A sort of call: where, for which model, how many are counted for one of the others."""

    name: str
    path: str
    model: str
    stream: bool = False


ASKED = (
    Asked("plain", PLAIN, "passed"),
    Asked("passed", AI, "passed"),
    Asked("translated", AI, "translated"),
    Asked("stream of 20 events", AI, "stream-1000x20", stream=True),
    Asked("stream of 20 events, translated", AI, "translated-stream-1000x20", stream=True),
)


def ai_counts(settings: Settings) -> Result:
    """strace, callgrind and the allocator's own count, by sort of call."""
    result = Result(
        "ai_counts",
        "System calls, allocations and instructions of an AI call",
        f"A call each, the engine alone; {CONNECTIONS} connections. Instructions are those outside the kernel.",
    )
    few = max(settings.counted_requests // 4, 100)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        provider = lab.provider(placement)
        plan, port = _plan(lab, provider, placement)
        command = [str(settings.engine or engine()), str(plan)]
        child = _start(lab, command, port, placement, START_SECONDS)
        running = Running(TIDEGATE_AI, child, port, plan)
        for asked in ASKED:
            request = _request(lab, asked)
            count_loop(lab, port, request, requests=few, connections=CONNECTIONS, cores=placement.load)
            before = _allocations(child)
            count_loop(lab, port, request, requests=few, connections=CONNECTIONS, cores=placement.load)
            allocations = (_allocations(child) - before) / few
            calls = calls_a_request(lab, running, CONNECTIONS, placement, request)
            series = Series(asked.name)
            series.add(allocations=allocations, **calls.metrics)
            result.series.append(series)
            result.notes.append(f"{asked.name}: {calls.named}")
        _stop(lab, child)
        for asked, series in zip(ASKED, result.series, strict=True):
            request = _request(lab, asked)
            totals = [_instructions(lab, command, port, placement, request, n) for n in (few // 4, few // 4 * 3)]
            series.add(instructions=(totals[1] - totals[0]) / (few // 4 * 2))
    for name in ("passed", "translated"):
        result.compare(name, "plain", "instructions", f"ai_{name}_instructions")
        result.figures[f"ai_{name}_allocations"] = _of(result, name, "allocations")
        calls_more = [_of(result, each, "receive") + _of(result, each, "send") for each in (name, "plain")]
        result.figures[f"ai_{name}_io"] = calls_more[0] - calls_more[1]
    return result


def _of(result: Result, name: str, metric: str) -> float:
    series = result.of(name)
    assert series is not None
    return series.median(metric)


def _request(lab: Lab, asked: Asked) -> Request:
    body = lab.write(f"{asked.model}.json", chat(asked.model, stream=asked.stream).decode())
    return Request(asked.path, "POST", headers=HEADERS, body=body)


def _plan(lab: Lab, provider: int, placement: Placement) -> tuple[Path, int]:
    """What Tidegate compiled of the rows' configuration, as it keeps it for a start whose configuration is broken."""
    contestant = replace(TIDEGATE_AI, name="tidegate-plan")
    running = lab.start(contestant, provider, placement)
    kept = lab.directory / f"{contestant.name}-state" / "last-good.plan"
    end = time.monotonic() + START_SECONDS
    # It is kept aside, by a thread that may wait for the disk.
    while not kept.exists():
        if time.monotonic() > end:
            raise StartError("Tidegate kept no plan")
        time.sleep(0.1)
    lab.end(running.child)
    _, _, plan = kept.read_text().partition("\n")
    return lab.write("plan.json", plan), running.port


def _start(lab: Lab, command: list[str], port: int, placement: Placement, seconds: float) -> Child:
    child = lab.spawn("engine", command, placement.proxy, talks=True)
    child.wait_for_port(port, seconds)
    return child


def _stop(lab: Lab, child: Child) -> None:
    """Ends the engine as its input ends."""
    assert child.process.stdin is not None
    child.process.stdin.close()
    child.process.wait(SLOW_START_SECONDS)
    lab.end(child, signal.SIGTERM)


def _allocations(child: Child) -> int:
    """How often the engine has asked its allocator for memory."""
    seen = len(ALLOCATIONS.findall(child.log.read_text()))
    child.say("")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        told = ALLOCATIONS.findall(child.log.read_text())
        if len(told) > seen:
            return int(told[-1])
        time.sleep(0.01)
    raise StartError(f"the engine did not tell its allocations: {child.last_words()}")


def _instructions(
    lab: Lab, command: list[str], port: int, placement: Placement, request: Request, requests: int
) -> int:
    child = _start(lab, ["valgrind", *CALLGRIND, *command], port, placement, SLOW_START_SECONDS)
    count_loop(
        lab,
        port,
        request,
        requests=requests,
        connections=CONNECTIONS,
        cores=placement.load,
        grace=SLOW_START_SECONDS,
    )
    _stop(lab, child)
    found = COLLECTED.search(child.log.read_text(errors="replace"))
    if found is None:
        raise StartError(f"valgrind told nothing: {child.last_words()}")
    return int(found[1])
