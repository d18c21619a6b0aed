"""Clients that send or connect too much are refused by name, and cost others nothing."""

from __future__ import annotations

import contextlib
import time

from tests.conftest import Serve, Start
from tests.support.attack import ADDRESS, horde
from tests.support.client import Client, message
from tests.support.gateway import Tidegate
from tests.support.http import Request
from tests.support.neighbour import beside
from tests.support.upstream import Peer
from tests.support.waiting import until

GET = message("GET", "/")


def gateway_of(start: Start, upstream: str | None = None, **server: object) -> Tidegate:
    routes: list[dict[str, object]] = [{"respond": {"body": "ok"}}]
    if upstream is not None:
        routes.insert(0, {"match": {"path": "/up"}, "upstream": upstream, "retry": "off"})
    return start({"workers": 2, "server": server, "routes": routes})


def refused(gateway: Tidegate, reason: str) -> float:
    return gateway.metrics().sum("tidegate_refusals_total", reason=reason)


def open_ones(gateway: Tidegate) -> int:
    """Client connections, but for the one that asks."""
    return gateway.connections() - 1


def test_a_client_that_connects_too_often_is_turned_away_and_others_are_not(start: Start) -> None:
    gateway = gateway_of(start, connections_per_client=20)
    with beside(gateway.address), horde(gateway.address, 120) as many:
        until(lambda: many.closed() == 100, "all but twenty to be turned away")
        assert refused(gateway, "too_many_connections_of_client") == 100
        assert many.send(GET) >= 20
        until(lambda: many.answered(b"HTTP/1.1 200 ") == 20, "those that are in to be served")
    until(lambda: open_ones(gateway) == 0, "their connections to be gone")
    with horde(gateway.address, 20) as few:
        assert few.closed() == 0, "those that went made room"


def test_a_client_that_is_turned_away_is_told_why(start: Start) -> None:
    gateway = gateway_of(start, connections_per_client=1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(horde(gateway.address, 1))
        # Two workers accept, and whoever is first at one of them is in.
        until(lambda: open_ones(gateway) == 1, "the first to be counted")
        second = stack.enter_context(horde(gateway.address, 1))
        second.socks[0].setblocking(True)
        told = b""
        with contextlib.suppress(ConnectionResetError):
            while more := second.socks[0].recv(4096):
                told += more
    assert told.startswith(b"HTTP/1.1 429 "), told
    assert b"\r\nRetry-After: 1\r\n" in told
    assert b'"reason":"too_many_connections_of_client"' in told


def test_nobody_takes_the_last_places_alone(start: Start) -> None:
    """Without any bound for each client: of 400 connections, one address gets three quarters at the most."""
    gateway = gateway_of(start, max_connections=400)
    with beside(gateway.address), horde(gateway.address, 400) as many:
        until(lambda: many.closed() >= 90, "the last quarter to be kept for others")
        assert refused(gateway, "too_many_connections_of_client") >= 90
        assert refused(gateway, "too_many_connections") == 0


def test_connections_in_all_are_bounded_whoever_they_come_from(start: Start) -> None:
    gateway = gateway_of(start, max_connections=100)
    with contextlib.ExitStack() as stack:
        stack.enter_context(horde(gateway.address, 60))
        until(lambda: open_ones(gateway) == 60, "the first to be counted")
        second = stack.enter_context(horde(gateway.address, 100, source="127.0.0.67"))
        until(lambda: second.closed() == 60, "the rest to be turned away")
        assert refused(gateway, "too_many_connections") == 60
        assert gateway.admin("/metrics").status == 200, "who looks after it sees it"


def test_pipelined_requests_are_served_in_turn_with_everybody_elses(start: Start) -> None:
    gateway = gateway_of(start)
    flood = GET * 500
    with beside(gateway.address), horde(gateway.address, 10) as greedy:
        over = time.monotonic() + 3
        sent = 0
        while time.monotonic() < over:
            sent += greedy.send(flood)
            greedy.take(1_000_000)
        assert sent > 10
        assert greedy.closed() == 0, "to send much is not to be refused"
    until(lambda: open_ones(gateway) == 0, "their connections to be gone")


def test_pipelined_requests_whose_answers_nobody_takes_are_held_back(start: Start) -> None:
    """Memory stays flat: what is not read fills the client's own sockets."""
    gateway = gateway_of(start, send_timeout="3s")
    before = gateway.memory_kib()
    with beside(gateway.address), horde(gateway.address, 20, receive_buffer=4096) as greedy:
        flood = GET * 1000
        over = time.monotonic() + 2
        while time.monotonic() < over:
            greedy.send(flood)
        assert gateway.memory_kib() - before < 20 * 1024
        until(lambda: open_ones(gateway) <= 2, "who takes no answers to be cut off")


def test_huge_heads_are_refused_before_they_are_whole(start: Start) -> None:
    gateway = gateway_of(start)
    before = gateway.memory_kib()
    with beside(gateway.address):
        for _ in range(10):
            with horde(gateway.address, 20) as large:
                large.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: " + b"a" * 60_000)
                until(lambda large=large: large.closed() == 20, "them to be refused")  # type: ignore[misc]
    assert refused(gateway, "head_too_large") == 200
    assert gateway.memory_kib() - before < 16 * 1024


def test_heads_of_very_many_fields_are_refused(start: Start) -> None:
    gateway = gateway_of(start)
    bomb = b"GET / HTTP/1.1\r\nHost: a.example\r\n" + b"a:b\r\n" * 5000 + b"\r\n"
    with beside(gateway.address):
        for _ in range(10):
            with horde(gateway.address, 20) as large:
                large.send(bomb)
                until(lambda large=large: large.closed() == 20, "them to be refused")  # type: ignore[misc]
    assert refused(gateway, "too_many_fields") == 200


def test_bodies_of_tiny_chunks_cost_no_more_than_their_bytes(start: Start, serve: Serve) -> None:
    """A million chunks of one byte each: relayed or refused, and nobody waits for it."""

    def count(request: Request, peer: Peer) -> None:
        peer.respond(200, str(len(request.body)).encode())

    gateway = gateway_of(start, serve(count).url)
    bomb = b"1\r\nx\r\n" * 20_000
    with beside(gateway.address), gateway.client() as client:
        client.send(message("POST", "/up", {"Transfer-Encoding": "chunked"}))
        for _ in range(10):
            client.send(bomb)
        client.send(b"0\r\n\r\n")
        assert client.receive("POST").body == b"200000"


def test_chunks_with_long_extensions_are_refused(start: Start, serve: Serve) -> None:
    gateway = gateway_of(start, serve().url)
    bomb = (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 200
    with beside(gateway.address), horde(gateway.address, 20) as many:
        many.send(message("POST", "/up", {"Transfer-Encoding": "chunked"}))
        many.drip(lambda: many.send(bomb), lambda: many.closed() == 20)
        assert refused(gateway, "chunk_extensions_too_long") == 20


def test_connections_that_are_reset_in_every_state_leave_nothing_behind(start: Start, serve: Serve) -> None:
    def pour(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))

    upstream = serve(pour)
    gateway = gateway_of(start, upstream.url)
    states = [
        b"",
        b"GET / HT",
        GET,
        message("GET", "/up"),
        b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\nx",
    ]
    with gateway.client() as client:
        assert client.request("GET").status == 200
    descriptors = gateway.descriptors()
    with beside(gateway.address):
        over = time.monotonic() + 3
        while time.monotonic() < over:
            for state in states:
                with horde(gateway.address, 10) as storm:
                    storm.send(state)
                    storm.reset()
    until(lambda: open_ones(gateway) == 0, "their connections to be gone")
    until(lambda: upstream.open <= 4, "those to the upstream too")
    until(lambda: gateway.descriptors() <= descriptors + 6, "no descriptor to be left behind")


def test_addresses_of_one_attacker_are_told_from_the_neighbours(start: Start) -> None:
    """What the other tests rely on."""
    gateway = gateway_of(start)
    with horde(gateway.address, 1) as one:
        one.send(GET)
        assert gateway.records(1)[0]["client_ip"] == ADDRESS
    with Client(gateway.address) as client:
        assert client.request("GET").status == 200
