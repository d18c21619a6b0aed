"""Memory that connections take which wait for their next request."""

from __future__ import annotations

from bench.load import meter
from bench.load.client import Idlers, Request, count_loop
from bench.load.lab import SMALL_BODY, Lab
from bench.load.process import StartError
from bench.load.result import Result, Series
from bench.load.rounds import HAPROXY, NGINX, TIDEGATE, check
from bench.load.settings import Settings, raise_file_limit


def idle(settings: Settings) -> Result:
    """Each connection has had one answer; growth is counted from a proxy that is warm."""
    count = min(settings.idle_connections, raise_file_limit() - 500)
    result = Result(
        "idle",
        f"{count:,} idle connections",
        "MB of memory (10^6 bytes, shared pages counted once), whole process tree.",
    )
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([TIDEGATE, NGINX, HAPROXY], placement)
        check(runnings, 200, len(SMALL_BODY))
        for running in runnings:
            count_loop(
                lab, running.port, Request(), requests=5_000, connections=settings.connections, cores=placement.load
            )
            before = meter.memory(running.pids)
            idlers = Idlers()
            try:
                idlers.open(running.port, count)
                after = meter.memory(running.pids)
                asked = len(range(0, count, 100))
                alive = idlers.alive(running.port, 100)
            finally:
                idlers.close()
            if alive != asked:
                raise StartError(f"{running.name}: {asked - alive} of {asked} idle connections no longer answered")
            series = Series(running.name)
            growth = after.pss - before.pss
            series.add(growth_mb=growth / 1e6, bytes_a_connection=growth / count, before_mb=before.pss / 1e6)
            result.series.append(series)
    mine = result.of("tidegate")
    if mine:
        # The budget is for 10,000; where the host allows fewer, what they take is scaled.
        result.figures["idle_mb"] = mine.median("growth_mb") * 10_000 / count
    return result
