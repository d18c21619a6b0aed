"""Descriptors and memory that run out: what is given up goes in the stated order, and all comes back."""

from __future__ import annotations

import contextlib

from tests.conftest import Serve, Start
from tests.support.attack import horde
from tests.support.client import message
from tests.support.gateway import Tidegate
from tests.support.http import Cut, Ended, Request
from tests.support.neighbour import beside
from tests.support.upstream import Peer
from tests.support.waiting import until

MIB = 1024 * 1024


def refused(gateway: Tidegate, reason: str) -> float:
    return gateway.metrics().sum("tidegate_refusals_total", reason=reason)


def test_descriptors_that_run_out_leave_some_for_the_admin_listener_and_upstreams(start: Start, serve: Serve) -> None:
    upstream = serve()
    routes = [{"match": {"path": "/up"}, "upstream": upstream.url}, {"respond": 200}]
    gateway = start({"workers": 2, "server": {"memory": "off"}, "routes": routes}, descriptors=128)
    kept = gateway.client()
    assert kept.request("GET").status == 200
    with horde(gateway.address, 200) as many:
        until(lambda: refused(gateway, "out_of_descriptors") > 50, "clients to be turned away by name")
        gateway.said.wait("raise the limit on open files")
        assert kept.request("GET", "/").status == 200, "who is in is served"
        assert kept.request("GET", "/up").status == 200, "with what the upstream needs"
        assert gateway.admin("/readyz").status == 200, "and whoever looks after it"
        assert gateway.metrics().sum("tidegate_accept_errors_total") == 0, "nothing ran into the limit itself"
        assert many.closed() < 200
    until(lambda: answers(gateway), "new clients to be taken again")
    assert gateway.said.count < 40, "it is said seldom"


def test_an_upstream_is_not_to_blame_for_descriptors_that_we_lack(start: Start, serve: Serve) -> None:
    """Every request holds one descriptor and needs another: those that get none are told so, and nobody is ejected."""

    def hold(request: Request, peer: Peer) -> None:
        if request.target == "/up/hold":
            until(lambda: over, "the test to be over", 30)
        peer.respond()

    over: list[bool] = []
    upstream = serve(hold)
    health = {"passive": {"failures": 1, "eject": "60s"}}
    config = {
        "server": {"memory": "off"},
        "upstreams": {"a": {"endpoints": upstream.url, "health": health, "retry": "off"}},
        "routes": [{"match": {"path": "/up"}, "upstream": "a"}, {"respond": 200}],
    }
    gateway = start(config, descriptors=96)
    with horde(gateway.address, 70) as many:
        many.send(message("GET", "/up/hold"))
        until(lambda: refused(gateway, "out_of_descriptors") > 3, "requests that find no descriptor")
        assert gateway.metrics().sum("tidegate_upstream_endpoint_up") == 1
        over.append(True)
    until(lambda: gateway.get("/up").status == 200, "the upstream to be used again")
    assert refused(gateway, "no_endpoint") == 0


def test_memory_that_runs_short_is_given_back_in_order_and_the_admin_listener_answers(
    start: Start, serve: Serve
) -> None:
    """Readers that take nothing hold a buffer each, until the budget is spent."""

    def pour(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))

    upstream = serve(pour)

    def config(memory: str) -> dict[str, object]:
        routes = [{"match": {"path": "/up"}, "upstream": upstream.url}, {"respond": 200}]
        return {"workers": 2, "server": {"memory": memory, "min_send_rate": "off"}, "routes": routes}

    gateway = start(config("off"))
    with beside(gateway.address):
        pass  # what a served client takes is taken
    calm = gateway.memory_kib() * 1024
    budget = calm * 2
    gateway.reload(config(str(budget)))
    kept = gateway.client()
    assert kept.request("GET").status == 200

    def level() -> float:
        return gateway.metrics().one("tidegate_overload_level")

    assert level() == 0
    with horde(gateway.address, 10, receive_buffer=4096) as many:

        def squeeze() -> bool:
            if level() < 2:
                many.more(40)
                many.send(message("GET", "/up"))
            return level() >= 2

        until(squeeze, "memory to run short", 60)
        assert kept.is_closed(), "idle connections went first"
        assert gateway.metrics().sum("tidegate_connection_closes_total", reason="overload") >= 1
        gateway.said.wait(r"level 1: idle connections")
        gateway.said.wait(r"level 2: new connections")
        until(lambda: not answers(gateway), "new connections to be refused")
        assert refused(gateway, "overloaded") >= 1
        assert gateway.admin("/readyz").status == 200
        assert gateway.memory_kib() * 1024 < budget + 64 * MIB
    until(lambda: level() == 0, "the memory to be given back", 30)
    until(lambda: answers(gateway), "everybody to be served again")


def answers(gateway: Tidegate) -> bool:
    """Whether a new connection is taken and served."""
    with contextlib.suppress(OSError, Ended, Cut):
        return gateway.get().status == 200
    return False
