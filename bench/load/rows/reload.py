"""Reloading a large configuration under load: what fails, and what the others wait."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import replace
from typing import Any

from bench.load.client import Request, begin_open_loop, finish_open_loop
from bench.load.lab import Lab, Running, ask
from bench.load.process import StartError
from bench.load.result import Result, Series
from bench.load.rounds import NGINX, TIDEGATE, check, interleaved
from bench.load.rows.table import routes_of, targets_of
from bench.load.settings import Placement, Settings

WARMUP = 0.5
LIVE_SECONDS = 30.0


def reload(settings: Settings) -> Result:
    """The same load with HUPs, one as soon as the last is live, and without any."""
    result = Result(
        "reload",
        f"Reload of {settings.routes:,} routes under load",
        f"Microseconds from when a request was due, {settings.reload_rate:,} requests a second;"
        " the proxy has one core for traffic and reload.",
    )
    contestants = [
        replace(base, variant="routes", values=routes_of(base.product, settings.routes)) for base in (TIDEGATE, NGINX)
    ]
    with Lab(settings) as lab:
        placement = settings.placement(1)
        origin = lab.origin(placement)
        runnings = [lab.start(each, origin, placement) for each in contestants if not lab.missing(each.product)]
        check(runnings, 200, 1, "/generation")
        targets = lab.write("targets", "".join(f"{host} {path}\n" for host, path in targets_of(settings.routes)))
        request = Request(targets=targets)
        quiet = {running.name: Series(running.name) for running in runnings}
        reloaded = {running.name: Series(f"{running.name}-reloading") for running in runnings}
        for running in interleaved(runnings, settings.reload_rounds):
            quiet[running.name].add(**_metrics(_load(lab, running, request, placement)))
            child = begin_open_loop(
                lab,
                running.port,
                request,
                rate=settings.reload_rate,
                seconds=settings.reload_seconds,
                warmup=WARMUP,
                cores=placement.load,
            )
            times = _reload_until(lab, running, origin, time.monotonic() + WARMUP + settings.reload_seconds - 0.5)
            answer = finish_open_loop(lab, child, settings.reload_seconds + LIVE_SECONDS)
            if not times:
                raise StartError(f"{running.name} finished no reload while under load: {running.child.last_words()}")
            reloaded[running.name].add(**_metrics(answer), reloads=len(times), reload_ms=sum(times) / len(times) * 1e3)
        result.series += [*quiet.values(), *reloaded.values()]
    for base in (TIDEGATE, NGINX):
        mine = base is TIDEGATE
        result.compare(f"{base.name}-reloading", base.name, "p99_us", "reload_p99" if mine else None)
    series = result.of("tidegate-reloading")
    if series:
        result.figures["reload_failed"] = sum(series.values["failed"])
        result.figures["reload_count"] = sum(series.values["reloads"])
        result.figures["reload_ms"] = series.median("reload_ms")
    return result


def _load(lab: Lab, running: Running, request: Request, placement: Placement) -> dict[str, Any]:
    settings = lab.settings
    child = begin_open_loop(
        lab,
        running.port,
        request,
        rate=settings.reload_rate,
        seconds=settings.reload_seconds,
        warmup=WARMUP,
        cores=placement.load,
    )
    return finish_open_loop(lab, child, settings.reload_seconds)


def _metrics(answer: dict[str, Any]) -> dict[str, float]:
    bad = sum(count for status, count in answer["statuses"].items() if status != "200")
    latency = answer["latency_us"]
    return {
        "p50_us": latency["p50"],
        "p99_us": latency["p99"],
        "max_us": latency["max"],
        "failed": answer["failed"] + bad,
        "closed_idle": answer["closed_idle"],
    }


def _reload_until(lab: Lab, running: Running, origin: int, end: float) -> list[float]:
    """One reload after the other, each with a configuration of its own; how many seconds each took to be live."""
    times: list[float] = []
    time.sleep(WARMUP + 0.2)
    while time.monotonic() < end:
        generation = 1 + (running.generation % 9)
        values = routes_of(running.contestant.product, lab.settings.routes, generation)
        lab.rewrite(replace(running.contestant, values=values), running.config, running.port, origin)
        began = time.monotonic()
        running.child.send(signal.SIGHUP)
        if not _live(running, generation, began + LIVE_SECONDS):
            raise StartError(f"{running.name} did not take generation {generation}: {running.child.last_words()}")
        times.append(time.monotonic() - began)
        running.generation = generation
        time.sleep(0.3)
    return times


def _live(running: Running, generation: int, end: float) -> bool:
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if ask(running.port, "/generation") == (200, str(generation).encode()):
                return True
        time.sleep(0.02)
    return False
