"""A hundred thousand good and bad requests leave neither memory nor descriptors behind."""

from __future__ import annotations

import contextlib
import random
import time

from tests.conftest import Serve, Start
from tests.support.attack import horde
from tests.support.client import message
from tests.support.corpus import cases
from tests.support.gateway import Tidegate
from tests.support.waiting import until

REQUESTS = 100_000
BATCH = 60
GOOD = message("GET", "/") * BATCH


def test_a_hundred_thousand_good_and_bad_requests_leave_nothing_behind(start: Start, serve: Serve) -> None:
    upstream = serve()
    routes = [{"match": {"path": "/up"}, "upstream": upstream.url}, {"respond": 200}]
    gateway = start({"workers": 2, "routes": routes, "access_log": "off"})
    bad = [case.bytes for case in cases(responses=False) if case.expect != "accept" and len(case.bytes) < 4000]
    dice = random.Random(7)

    def round_of(count: int) -> None:
        """So many, of which one in a hundred is bad or goes through an upstream."""
        done = 0
        while done < count:
            done += _good(gateway)
            for case in dice.sample(bad, 4):
                with horde(gateway.address, 1) as one:
                    one.send(case)
                    if dice.random() < 0.5:
                        one.reset()
                done += 1
            with gateway.client() as client:
                assert client.request("POST", "/up", (), bytes(dice.randrange(3000))).status == 200
            done += 1

    round_of(REQUESTS // 5)  # what is kept for later is kept by now
    until(lambda: gateway.connections() <= 1, "its connections to be gone")
    memory, descriptors = gateway.memory_kib(), gateway.descriptors()
    started = time.monotonic()
    round_of(REQUESTS)
    until(lambda: gateway.connections() <= 1, "its connections to be gone")
    until(lambda: gateway.descriptors() <= descriptors + 2, f"as few descriptors as before ({descriptors})")
    assert gateway.memory_kib() < memory + 4096, f"memory grew from {memory} KiB to {gateway.memory_kib()} KiB"
    assert time.monotonic() - started < 120


def _good(gateway: Tidegate) -> int:
    """Pipelined ones on one connection; how many were answered."""
    with contextlib.closing(gateway.client()) as client:
        client.send(GOOD)
        client.no_more()
        answers = client.stream.rest()
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == BATCH
    return BATCH
