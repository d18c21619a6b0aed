"""CPU per request in a closed loop: small, 64 KiB, refused, POST, with features, with many routes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from bench.load.client import Request
from bench.load.lab import LARGE_BYTES, SECRET, SMALL_BODY, Contestant, Lab, expect
from bench.load.result import Result
from bench.load.rounds import CONTROL, HAPROXY, NGINX, TIDEGATE, check, closed_rounds
from bench.load.rows.table import routes_of, targets_of
from bench.load.settings import Settings

UNIT = "Microseconds of CPU a request, proxy on its own core where there are two; closed loop (wrk)."


def small(settings: Settings) -> Result:
    """A 128-byte answer on kept connections: the bare journey."""
    result = Result("small", "Small proxied request", UNIT)
    defaults = replace(TIDEGATE, name="tidegate-defaults", variant="defaults")
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([TIDEGATE, NGINX, HAPROXY, CONTROL, defaults], placement)
        check(runnings, 200, len(SMALL_BODY))
        closed_rounds(lab, result, runnings, lambda _: Request(), placement)
    result.compare("tidegate", "nginx", "cpu_us", "small")
    result.compare("tidegate", "haproxy", "cpu_us")
    result.compare("tidegate-defaults", "nginx", "cpu_us")
    result.compare("haproxy", "nginx", "cpu_us")
    result.compare("nginx-again", "nginx", "cpu_us", "small_control")
    return result


def body64k(settings: Settings) -> Result:
    """A 64 KiB answer: how few system calls and copies move it."""
    result = Result("body64k", "64 KiB proxied response", UNIT)
    nginx, control = (replace(each, variant="large") for each in (NGINX, CONTROL))
    defaults = Contestant("nginx-defaults", "nginx", "defaults")
    haproxy = replace(HAPROXY, values={"BUFSIZE": "81920"})
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([TIDEGATE, nginx, defaults, haproxy, control], placement)
        check(runnings, 200, LARGE_BYTES, "/64k")
        closed_rounds(lab, result, runnings, lambda _: Request("/64k"), placement)
    result.compare("tidegate", "nginx", "cpu_us", "body64k")
    result.compare("tidegate", "nginx-defaults", "cpu_us", "body64k_defaults")
    result.compare("tidegate", "haproxy", "cpu_us")
    result.compare("haproxy", "nginx", "cpu_us")
    result.compare("nginx-again", "nginx", "cpu_us", "body64k_control")
    return result


def refused(settings: Settings) -> Result:
    """A limit of one request a second: nearly every answer is 429, none reaches the origin."""
    result = Result("429", "Refused by a limit (429)", UNIT)
    contestants = [replace(each, variant="limit") for each in (TIDEGATE, NGINX, HAPROXY, CONTROL)]
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all(contestants, placement)
        closed_rounds(lab, result, runnings, lambda _: Request(), placement, refused=True)
    result.compare("tidegate", "nginx", "cpu_us", "refused")
    result.compare("tidegate", "haproxy", "cpu_us")
    result.compare("haproxy", "nginx", "cpu_us")
    result.compare("nginx-again", "nginx", "cpu_us", "refused_control")
    return result


def post(settings: Settings) -> Result:
    """A POST with a body of 1 KiB."""
    result = Result("post", "POST with 1 KiB", UNIT)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([TIDEGATE, NGINX, HAPROXY, CONTROL], placement)
        check(runnings, 200, len(SMALL_BODY))
        closed_rounds(lab, result, runnings, lambda _: Request(method="POST", body_bytes=1024), placement)
    result.compare("tidegate", "nginx", "cpu_us", "post")
    result.compare("tidegate", "haproxy", "cpu_us")
    result.compare("nginx-again", "nginx", "cpu_us", "post_control")
    return result


def features(settings: Settings) -> Result:
    """API key, limit by key, header edits both ways and a JSON log line, against none of them."""
    result = Result("features", "API key, limit, header edits and JSON log", UNIT)
    sent = {"X-Api-Key": SECRET.format(7), "X-Debug": "1"}
    contestants = [
        TIDEGATE,
        replace(TIDEGATE, name="tidegate-features", variant="features"),
        NGINX,
        replace(NGINX, name="nginx-features", variant="features"),
    ]
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all(contestants, placement)
        check(runnings, 200, len(SMALL_BODY), headers=sent)
        for running in runnings:
            if running.contestant.variant == "features":
                expect(running, 401, headers={"X-Api-Key": "wrong"})
        closed_rounds(lab, result, runnings, lambda _: Request(headers=sent), placement)
    result.compare("tidegate-features", "tidegate", "cpu_us", "features")
    result.compare("nginx-features", "nginx", "cpu_us")
    result.compare("tidegate-features", "nginx-features", "cpu_us", "features_nginx")
    return result


def routes(settings: Settings) -> Result:
    """Requests for every route in turn, among 10 and among 10,000."""
    many = settings.routes
    result = Result("routes", f"10 routes and {many:,} routes", UNIT)
    contestants = {
        f"{base.name}-{count}": (
            replace(base, name=f"{base.name}-{count}", variant="routes", values=routes_of(base.product, count)),
            count,
        )
        for base in (TIDEGATE, NGINX)
        for count in (10, many)
    }
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = lab.start_all([contestant for contestant, _ in contestants.values()], placement)
        files: dict[int, Path] = {}
        for count in (10, many):
            targets = targets_of(count)
            random.Random(1).shuffle(targets)
            files[count] = lab.write(f"targets-{count}", "".join(f"{host} {path}\n" for host, path in targets))
        for running in runnings:
            host, path = targets_of(contestants[running.name][1])[-1]
            expect(running, 200, len(SMALL_BODY), path, {"Host": host})
            expect(running, 404, None, "/nowhere", {"Host": host})
        closed_rounds(
            lab, result, runnings, lambda running: Request(targets=files[contestants[running.name][1]]), placement
        )
    result.compare(f"tidegate-{many}", "tidegate-10", "cpu_us", "routes")
    result.compare(f"nginx-{many}", "nginx-10", "cpu_us")
    result.compare(f"tidegate-{many}", f"nginx-{many}", "cpu_us", "routes_nginx")
    return result
