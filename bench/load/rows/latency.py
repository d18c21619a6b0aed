"""Latency at a fixed rate."""

from __future__ import annotations

from bench.load.client import Request
from bench.load.lab import SMALL_BODY, Lab
from bench.load.result import Result
from bench.load.rounds import CONTROL, HAPROXY, NGINX, TIDEGATE, check, open_rounds
from bench.load.settings import Settings


def p99(settings: Settings) -> Result:
    """Small requests that arrive as independent clients send them, whatever the proxy does."""
    result = Result(
        "p99", "Latency at a fixed rate", "Microseconds from when a request was due to its last byte; Poisson arrivals."
    )
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([TIDEGATE, NGINX, HAPROXY, CONTROL], placement)
        check(runnings, 200, len(SMALL_BODY))
        for rate in settings.rates:
            open_rounds(lab, result, runnings, Request(), placement, rate=rate)
    for rate in settings.rates:
        label = f"{rate // 1000}k"
        result.compare("tidegate", "nginx", f"p99_us_at_{label}", f"p99_{label}")
        result.compare("tidegate", "nginx", f"cpu_us_at_{label}")
        result.compare("haproxy", "nginx", f"p99_us_at_{label}")
        result.compare("nginx-again", "nginx", f"p99_us_at_{label}", f"p99_{label}_control")
    return result
