"""HTTP/2 in plain text, by h2load: local answers and small proxied requests, many streams on few connections."""

from __future__ import annotations

import re
from dataclasses import replace

from bench.load import meter
from bench.load.client import finish_words
from bench.load.lab import Lab
from bench.load.process import StartError
from bench.load.result import Result, Series
from bench.load.rounds import CONTROL, NGINX, TIDEGATE, interleaved, note_disturbance
from bench.load.settings import Settings

_CONTESTANTS = tuple(replace(contestant, variant="http2") for contestant in (TIDEGATE, NGINX, CONTROL))
_DONE = re.compile(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded")


def local(settings: Settings) -> Result:
    """An answer that the proxy itself gives: the protocol and nothing else."""
    return _row(settings, "http2_local", "HTTP/2, local answer", "/local")


def proxied(settings: Settings) -> Result:
    """The answer of the row `small`, from an upstream that speaks HTTP/1.1."""
    return _row(settings, "http2_proxied", "HTTP/2, small proxied request", "/")


def _row(settings: Settings, name: str, title: str, path: str) -> Result:
    unit = "Microseconds of CPU a request, 8 connections with 32 streams each (h2load)."
    result = Result(name, title, unit)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all(_CONTESTANTS, placement)
        series = {running.name: Series(running.name) for running in runnings}
        for running in interleaved(runnings, settings.rounds):
            before = meter.cpu(running.pids)
            url = f"http://127.0.0.1:{running.port}{path}"
            command = ["h2load", "-c", "8", "-m", "32", "-D", str(round(settings.seconds)), "--warm-up-time", "0", url]
            told = finish_words(lab, lab.spawn("h2load", command, placement.load), settings.seconds)
            used = meter.cpu(running.pids) - before
            done = _DONE.search(told)
            # A timed run ends with requests under way, which h2load counts in the total.
            if done is None or int(done[1]) - int(done[2]) > 8 * 32 or not int(done[2]):
                raise StartError(f"{running.name}: {told[-300:]}")
            count = int(done[2])
            series[running.name].add(cpu_us=used.total / count * 1e6, requests_a_cpu_second=count / used.total)
        result.series += series.values()
        note_disturbance(result, placement)
    result.compare("tidegate", "nginx", "cpu_us", name)
    result.compare("nginx-again", "nginx", "cpu_us", f"{name}_control")
    return result
