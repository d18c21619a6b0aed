"""One worker and two, and what 8 cores would then do, as a projection."""

from __future__ import annotations

from dataclasses import replace

from bench.load.client import Request
from bench.load.lab import SMALL_BODY, Lab
from bench.load.result import Result
from bench.load.rounds import NGINX, TIDEGATE, check, closed_rounds
from bench.load.settings import Placement, Settings

PROJECTED_CORES = 8


def workers(settings: Settings) -> Result:
    """Both on the same cores; on a host of few cores they share them with the load generator and the origin."""
    result = Result(
        "workers", "One worker and two", "Microseconds of CPU a request, all workers together; closed loop (wrk)."
    )
    placement = settings.placement(2)
    contestants = [
        replace(base, name=f"{base.name}-{count}", workers=count) for base in (TIDEGATE, NGINX) for count in (1, 2)
    ]
    with Lab(settings) as lab:
        runnings = lab.start_all(contestants, placement)
        check(runnings, 200, len(SMALL_BODY))
        closed_rounds(lab, result, runnings, lambda _: Request(), placement)
    result.compare("tidegate-2", "tidegate-1", "cpu_us", "workers_growth")
    result.compare("nginx-2", "nginx-1", "cpu_us")
    result.compare("tidegate-1", "nginx-1", "cpu_us", "workers_1")
    result.compare("tidegate-2", "nginx-2", "cpu_us", "workers_2")
    _project(result, placement)
    return result


def _project(result: Result, placement: Placement) -> None:
    """Each further worker is taken to add to the cost of a request what the second added; never less than nothing."""
    one, two = result.of("tidegate-1"), result.of("tidegate-2")
    if one is None or two is None:
        return
    cost, growth = one.median("cpu_us"), max(0.0, result.figures["workers_growth"] - 1)
    projected = cost * (1 + growth * (PROJECTED_CORES - 1))
    result.figures["projected_8_cores_rps"] = PROJECTED_CORES / projected * 1e6
    shared = "" if placement.apart else ", which shared their cores with the load generator"
    result.notes.append(
        f"Projection, not a measurement: {PROJECTED_CORES} cores of proxy alone, from one and two workers{shared}:"
        f" {result.figures['projected_8_cores_rps']:,.0f} small requests a second at {projected:.1f} µs each."
    )
