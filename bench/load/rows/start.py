"""From exec to the first answer, and what a process that has served a little keeps in memory."""

from __future__ import annotations

import http.client
import time

from bench.load import meter
from bench.load.client import Request, count_loop
from bench.load.lab import START_SECONDS, Contestant, Lab
from bench.load.process import Child, StartError
from bench.load.result import Result, Series
from bench.load.rounds import HAPROXY, NGINX, TIDEGATE
from bench.load.settings import Settings


def start(settings: Settings) -> Result:
    """Several starts of each, in turns."""
    result = Result(
        "start",
        "Start and base memory",
        "Milliseconds from exec to the first proxied answer; MB (10^6 bytes) after 1,000 requests.",
    )
    with Lab(settings) as lab:
        placement = settings.placement(1)
        origin = lab.origin(placement)
        contestants = [each for each in (TIDEGATE, NGINX, HAPROXY) if not lab.missing(each.product)]
        series = {each.name: Series(each.name) for each in contestants}
        for _ in range(settings.starts):
            for contestant in contestants:
                config, port = lab.configure(contestant, origin)
                began = time.perf_counter()
                child = lab.spawn(contestant.name, lab.command(contestant, config), placement.proxy)
                seconds = _first_answer(child, contestant, port, began)
                count_loop(lab, port, Request(), requests=1_000, connections=8, cores=placement.load)
                memory = meter.memory(meter.tree(child.pid))
                lab.end(child)
                series[contestant.name].add(
                    first_answer_ms=seconds * 1e3, rss_mb=memory.rss / 1e6, pss_mb=memory.pss / 1e6
                )
        result.series += series.values()
    mine = result.of("tidegate")
    if mine:
        result.figures["start_seconds"] = mine.median("first_answer_ms") / 1e3
        result.figures["base_mb"] = mine.median("rss_mb")
    return result


def _first_answer(child: Child, contestant: Contestant, port: int, began: float) -> float:
    while time.perf_counter() - began < START_SECONDS:
        if not child.running():
            raise StartError(f"{contestant.name} ended: {child.last_words()}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return time.perf_counter() - began
        except (OSError, http.client.HTTPException):
            time.sleep(0.001)
        finally:
            connection.close()
    raise StartError(f"{contestant.name} gave no answer within {START_SECONDS:.0f} s: {child.last_words()}")
