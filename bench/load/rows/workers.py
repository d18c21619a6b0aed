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
    """A range: from each further worker adding to the cost of a request what the second added, to none adding any."""
    one, two = result.of("tidegate-1"), result.of("tidegate-2")
    if one is None or two is None:
        return
    growth = max(0.0, result.figures["workers_growth"] - 1)
    least = two.median("cpu_us")
    most = max(least, one.median("cpu_us") * (1 + growth * (PROJECTED_CORES - 1)))
    low, high = (PROJECTED_CORES / cost * 1e6 for cost in (most, least))
    result.figures |= {"projected_8_cores_rps_low": low, "projected_8_cores_rps_high": high}
    shared = "" if placement.apart else ", which shared their cores with the load generator"
    result.notes.append(
        f"Projection, not a measurement: {PROJECTED_CORES} cores of proxy alone, from one and two workers{shared}:"
        f" {low:,.0f} to {high:,.0f} small requests a second."
    )
