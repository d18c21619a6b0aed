"""Interleaved rounds: every contestant in each round, in turns from the front and from the back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from bench.load import meter
from bench.load.client import Request, open_loop, wrk
from bench.load.lab import Contestant, Lab, Running, expect
from bench.load.process import StartError
from bench.load.result import Result, Series
from bench.load.settings import Placement

NGINX = Contestant("nginx", "nginx")
CONTROL = Contestant("nginx-again", "nginx")
HAPROXY = Contestant("haproxy", "haproxy")
TIDEGATE = Contestant("tidegate", "tidegate")

# Above this share of the proxy's core taken by others, a round is told as disturbed.
DISTURBED_PERCENT = 5.0
# Above this the generator did not get its core in time, and a round's latencies are partly its own.
LATE_US = 1000.0


def interleaved(runnings: Sequence[Running], rounds: int) -> Iterator[Running]:
    """A B C, C B A, A B C: what drifts over the run falls on all alike."""
    for number in range(rounds):
        yield from runnings if number % 2 == 0 else list(reversed(runnings))


def closed_rounds(
    lab: Lab,
    result: Result,
    runnings: Sequence[Running],
    requests: Callable[[Running], Request],
    placement: Placement,
    *,
    refused: bool = False,
) -> None:
    """CPU per request and requests a second of each contestant, with as much load as the client makes."""
    series = {running.name: Series(running.name) for running in runnings}
    for running in runnings if not lab.settings.quick else ():
        wrk(lab, running.port, requests(running), seconds=1, cores=placement.load)
    for running in interleaved(runnings, lab.settings.rounds):
        series[running.name].add(**_closed_round(lab, running, requests(running), placement, refused=refused))
        running.truncate_logs()
    result.series += series.values()
    note_disturbance(result, placement)


def open_rounds(
    lab: Lab, result: Result, runnings: Sequence[Running], request: Request, placement: Placement, *, rate: int
) -> None:
    """Latency at a fixed rate, and CPU per request at that rate."""
    settings = lab.settings
    label = f"{rate // 1000}k"
    series = {running.name: result.of(running.name) or Series(running.name) for running in runnings}
    for running in runnings:
        open_loop(lab, running.port, request, rate=rate, seconds=settings.seconds / 4, warmup=0, cores=placement.load)
    for running in interleaved(runnings, settings.rounds):
        pids = running.pids
        before = meter.cpu(pids)
        answer = open_loop(
            lab, running.port, request, rate=rate, seconds=settings.seconds, warmup=0.5, cores=placement.load
        )
        used = meter.cpu(pids) - before
        latency = answer["latency_us"]
        metrics = {
            f"p50_us_at_{label}": latency["p50"],
            f"p99_us_at_{label}": latency["p99"],
            f"p999_us_at_{label}": latency["p999"],
            f"cpu_us_at_{label}": used.total / answer["answered"] * 1e6,
            f"failed_at_{label}": answer["failed"],
            f"generator_late_p99_us_at_{label}": answer["lateness_us"]["p99"],
        }
        series[running.name].add(**metrics)
        if answer["lateness_us"]["p99"] > LATE_US:
            result.notes.append(
                f"Disturbed: at {label} the generator itself was late by {answer['lateness_us']['p99']:,.0f} µs (p99)"
                f" in a round of {running.name}."
            )
    result.series += [each for each in series.values() if each not in result.series]


def note_disturbance(result: Result, placement: Placement) -> None:
    """Says so where somebody else ran on the proxy's core."""
    if not placement.apart:
        result.notes.append("The proxy shared its cores with the load generator and the origin.")
        return
    for each in result.series:
        worst = max(each.values.get("others_percent", [0.0]))
        if worst > DISTURBED_PERCENT:
            result.notes.append(
                f"Disturbed: others took {worst:.0f} % of the proxy's core in a round of {each.contestant}."
            )


def check(
    runnings: Sequence[Running], status: int, size: int | None, path: str = "/", headers: dict[str, str] | None = None
) -> None:
    """Every contestant does what the row is about."""
    for running in runnings:
        expect(running, status, size, path, headers)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _closed_round(
    lab: Lab, running: Running, request: Request, placement: Placement, *, refused: bool
) -> dict[str, float]:
    pids = running.pids
    busy = meter.core_seconds(placement.proxy)
    before = meter.cpu(pids)
    answer = wrk(lab, running.port, request, seconds=lab.settings.seconds, cores=placement.load)
    used = meter.cpu(pids) - before
    busy = meter.core_seconds(placement.proxy) - busy
    share = answer.statuses / max(answer.requests, 1)
    if answer.failed or (share < 0.99 if refused else answer.statuses):
        raise StartError(
            f"{running.name}: {answer.failed} connections failed,"
            f" {answer.statuses} of {answer.requests} answers were 4xx or 5xx"
        )
    user, kernel = used.split()
    metrics = {
        "cpu_us": used.total / answer.requests * 1e6,
        "user_us": user / answer.requests * 1e6,
        "kernel_us": kernel / answer.requests * 1e6,
        "requests_per_second": answer.requests / answer.seconds,
        "proxy_core_percent": used.total / answer.seconds / len(placement.proxy) * 100,
    }
    if placement.apart:
        metrics["others_percent"] = max(0.0, (busy - used.total) / answer.seconds / len(placement.proxy) * 100)
    return metrics
