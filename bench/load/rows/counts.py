"""What is counted instead of timed: system calls, instructions, allocations.

Every count is a difference: one run of N requests, one of 3 N, and what the 2 N between them took. Starting, stopping,
opening and closing connections are in both and cancel.
"""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Sequence

from bench.load.client import Request, count_loop
from bench.load.lab import SMALL_BODY, Contestant, Lab, Running
from bench.load.process import Child, StartError
from bench.load.result import Result, Series
from bench.load.rounds import HAPROXY, NGINX, TIDEGATE, check
from bench.load.settings import Placement, Settings

KINDS = {
    "receive": {"read", "readv", "recvfrom", "recvmsg", "recvmmsg"},
    "send": {"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"},
    "poll": {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"},
}
SLOW_START_SECONDS = 180.0
CALLGRIND = ("--tool=callgrind", "--callgrind-out-file=/dev/null")
MEMCHECK = ("--tool=memcheck", "--leak-check=no", "--undef-value-errors=no")
COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")
ALLOCATED = re.compile(r"total heap usage: ([\d,]+) allocs")


def syscalls(settings: Settings) -> Result:
    """By strace, with one connection and with many."""
    result = Result(
        "syscalls",
        "System calls per small proxied request",
        "Calls a request, by strace; `failed` are those that returned an error (EAGAIN).",
    )
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([TIDEGATE, NGINX, HAPROXY], placement)
        check(runnings, 200, len(SMALL_BODY))
        for connections in (1, settings.connections):
            for running in runnings:
                calls = calls_a_request(lab, running, connections, placement, Request())
                series = Series(f"{running.name}, {connections} connection{'s' if connections > 1 else ''}")
                series.add(**calls.metrics)
                result.series.append(series)
                result.notes.append(f"{series.contestant}: {calls.named}")
                if running.name == "tidegate":
                    result.figures[f"syscalls_io_{connections}"] = calls.metrics["receive"] + calls.metrics["send"]
                    result.figures[f"syscalls_all_{connections}"] = calls.metrics["all"]
    return result


def instructions(settings: Settings) -> Result:
    """By callgrind: what runs outside the kernel."""
    result = Result(
        "instructions", "Instructions per small proxied request", "Instructions outside the kernel, by callgrind."
    )
    _under_valgrind(settings, result, CALLGRIND, COLLECTED, "instructions")
    result.compare("tidegate", "nginx", "instructions", "instructions_nginx")
    return result


def allocations(settings: Settings) -> Result:
    """By memcheck: calls of malloc and its kin, wherever in the process."""
    result = Result(
        "allocations",
        "Allocations per small proxied request",
        "Calls of malloc, calloc and realloc a request, by valgrind.",
    )
    _under_valgrind(settings, result, MEMCHECK, ALLOCATED, "allocations")
    return result


def _under_valgrind(
    settings: Settings, result: Result, tool: Sequence[str], pattern: re.Pattern[str], metric: str
) -> None:
    few = settings.counted_requests
    with Lab(settings) as lab:
        placement = settings.placement(1)
        origin = lab.origin(placement)
        for contestant in (TIDEGATE, NGINX, HAPROXY):
            if lab.missing(contestant.product):
                continue
            totals = [
                _total(lab, contestant, origin, placement, tool, pattern, requests) for requests in (few, 3 * few)
            ]
            series = Series(contestant.name)
            series.add(**{metric: (totals[1] - totals[0]) / (2 * few)})
            result.series.append(series)
    mine = result.of("tidegate")
    if mine:
        result.figures[metric] = mine.median(metric)


def _total(
    lab: Lab,
    contestant: Contestant,
    origin: int,
    placement: Placement,
    tool: Sequence[str],
    pattern: re.Pattern[str],
    requests: int,
) -> int:
    """What a whole life with so many requests took."""
    config, port = lab.configure(contestant, origin)
    command = lab.command(contestant, config)
    if contestant.product == "nginx":
        command += ["-g", "master_process off;"]
    child = lab.spawn(f"valgrind-{contestant.name}", ["valgrind", *tool, *command], placement.proxy)
    child.wait_for_port(port, SLOW_START_SECONDS)
    count_loop(lab, port, Request(), requests=requests, connections=8, cores=placement.load, grace=SLOW_START_SECONDS)
    child.stop(signal.SIGTERM, SLOW_START_SECONDS)
    lab.end(child)
    found = pattern.search(child.log.read_text(errors="replace"))
    if found is None:
        raise StartError(f"valgrind told nothing of {contestant.name}: {child.last_words()}")
    return int(found[1].replace(",", ""))


class Calls:
    """Calls a request: by kind for the table, by name for the note."""

    def __init__(self, calls: Counter[str], failed: int, requests: int) -> None:
        by_kind = {kind: sum(calls[name] for name in names) / requests for kind, names in KINDS.items()}
        every = sum(calls.values()) / requests
        self.metrics = {**by_kind, "other": every - sum(by_kind.values()), "all": every, "failed": failed / requests}
        shown = [f"{name} {count / requests:.2f}" for name, count in calls.most_common() if count / requests >= 0.005]
        self.named = ", ".join(shown)


def calls_a_request(lab: Lab, running: Running, connections: int, placement: Placement, request: Request) -> Calls:
    """By strace, from two runs whose difference is taken."""
    few = max(connections * 4, lab.settings.counted_requests // 4)
    # The proxy's own connections towards the origin are opened before anything is counted.
    count_loop(lab, running.port, request, requests=few, connections=connections, cores=placement.load)
    first, first_failed = _trace(lab, running, few, connections, placement, request)
    second, second_failed = _trace(lab, running, 3 * few, connections, placement, request)
    difference = Counter({name: max(0, second[name] - first[name]) for name in second})
    return Calls(difference, max(0, second_failed - first_failed), 2 * few)


def _trace(
    lab: Lab, running: Running, requests: int, connections: int, placement: Placement, request: Request
) -> tuple[Counter[str], int]:
    pids = running.pids
    out = lab.directory / "strace.out"
    command = ["strace", "-f", "-c", "-U", "calls,errors,name", "-o", str(out)]
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = lab.spawn("strace", command, placement.proxy)
    _wait_attached(tracer, len(pids))
    count_loop(lab, running.port, request, requests=requests, connections=connections, cores=placement.load)
    tracer.stop(signal.SIGINT)
    lab.end(tracer)
    return parse_strace(out.read_text())


def _wait_attached(tracer: Child, count: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if tracer.log.read_text().count("attached") >= count:
            return
        if not tracer.running():
            break
        time.sleep(0.02)
    raise StartError(f"strace could not attach: {tracer.last_words()}")


def parse_strace(text: str) -> tuple[Counter[str], int]:
    """Calls by name, and how many failed, from `strace -c -U calls,errors,name`."""
    calls: Counter[str] = Counter()
    failed = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) not in {2, 3} or not words[0].isdigit() or words[-1] == "total":
            continue
        calls[words[-1]] += int(words[0])
        failed += int(words[1]) if len(words) == 3 else 0
    return calls, failed
