"""Connections that are passed on: what a byte costs, what a message there and back costs, what a connection costs."""

from __future__ import annotations

from dataclasses import replace

from bench.load.client import Request
from bench.load.lab import LARGE_BYTES, SMALL_BODY, Contestant, Lab
from bench.load.result import Result
from bench.load.rounds import CONTROL, HAPROXY, NGINX, TIDEGATE, check, closed_rounds
from bench.load.settings import Settings

UNIT = "Microseconds of CPU, proxy on its own core where there are two; closed loop (wrk) through a TCP proxy."


def _passing(contestant: Contestant) -> Contestant:
    frame = {"nginx": "nginx-stream", "haproxy": "haproxy-tcp", "tidegate": "tidegate-tcp"}[contestant.product]
    return replace(contestant, variant="tcp", frame=frame, values={"SPLICE": ""})


def _splicing() -> Contestant:
    return replace(_passing(HAPROXY), name="haproxy-splice", values={"SPLICE": "  option splice-auto"})


def tcp_bytes(settings: Settings) -> Result:
    """64 KiB to the client for each request of 60 bytes, on kept connections."""
    result = Result("tcp_bytes", "TCP: 64 KiB passed on", UNIT)
    contestants = [*(_passing(each) for each in (TIDEGATE, NGINX, HAPROXY, CONTROL)), _splicing()]
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all(contestants, placement)
        check(runnings, 200, LARGE_BYTES, "/64k")
        closed_rounds(lab, result, runnings, lambda _: Request("/64k"), placement)
    _compare(result)
    result.compare("haproxy-splice", "haproxy", "cpu_us")
    return result


def tcp_messages(settings: Settings) -> Result:
    """A few bytes there and back, on kept connections."""
    result = Result("tcp_messages", "TCP: a small message there and back", UNIT)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([_passing(each) for each in (TIDEGATE, NGINX, HAPROXY, CONTROL)], placement)
        check(runnings, 200, len(SMALL_BODY))
        closed_rounds(lab, result, runnings, lambda _: Request(), placement)
    _compare(result)
    return result


def tcp_connections(settings: Settings) -> Result:
    """A connection for each small message there and back."""
    result = Result("tcp_connections", "TCP: a connection for each message", UNIT)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([_passing(each) for each in (TIDEGATE, NGINX, HAPROXY, CONTROL)], placement)
        check(runnings, 200, len(SMALL_BODY))
        closed_rounds(lab, result, runnings, lambda _: Request(headers={"Connection": "close"}), placement)
    _compare(result)
    return result


def _compare(result: Result) -> None:
    result.compare("tidegate", "nginx", "cpu_us")
    result.compare("tidegate", "haproxy", "cpu_us")
    result.compare("haproxy", "nginx", "cpu_us")
    result.compare("nginx-again", "nginx", "cpu_us")
