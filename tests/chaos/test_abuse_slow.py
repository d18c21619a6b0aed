"""Clients that are slow on purpose hold nothing for long, and cost others nothing."""

from __future__ import annotations

import time

from tests.conftest import Serve, Start
from tests.support.attack import horde
from tests.support.gateway import Tidegate
from tests.support.http import Request
from tests.support.neighbour import beside
from tests.support.upstream import Peer
from tests.support.waiting import dawdle, until

MANY = 200
SERVER = {
    "head_timeout": "1s",
    "body_timeout": "20s",
    "send_timeout": "20s",
    "min_body_rate": "1KiB",
    "min_send_rate": "1KiB",
    "rate_grace": "1s",
}


def pour(request: Request, peer: Peer) -> None:
    """More than sockets hold."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
    for _ in range(30):
        peer.send(bytes(1_000_000))


def swallow(request: Request, peer: Peer) -> None:
    peer.respond()


def gateway_of(start: Start, upstream: str, **server: str) -> Tidegate:
    routes = [{"match": {"path": "/up"}, "upstream": upstream, "retry": "off"}, {"respond": {"body": "ok"}}]
    return start({"workers": 2, "server": {**SERVER, **server}, "routes": routes})


def refused(gateway: Tidegate, reason: str) -> float:
    return gateway.metrics().sum("tidegate_refusals_total", reason=reason)


def test_heads_that_drip_are_refused_when_their_time_is_over(start: Start, serve: Serve) -> None:
    gateway = gateway_of(start, serve().url)
    with beside(gateway.address), horde(gateway.address, MANY) as slow:
        slow.send(b"GET /up HTTP/1.1\r\nHost: a.example\r\n")
        started = time.monotonic()
        slow.drip(lambda: slow.send(b"X-A: b\r\n"), lambda: slow.closed() == MANY)
        assert time.monotonic() - started < 8, "dripping does not make a head's time longer"
        assert refused(gateway, "head_timeout") == MANY


def test_bodies_that_drip_are_refused_though_something_always_comes(start: Start, serve: Serve) -> None:
    upstream = serve(swallow)
    gateway = gateway_of(start, upstream.url)
    with beside(gateway.address), horde(gateway.address, 50) as slow:
        slow.send(b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n")
        slow.drip(lambda: slow.send(b"x"), lambda: slow.closed() == 50)
        assert refused(gateway, "body_too_slow") == 50
    until(lambda: upstream.open == 0, "what was opened for them to be closed")


def test_bodies_of_chunks_of_one_byte_are_refused_when_they_drip(start: Start, serve: Serve) -> None:
    upstream = serve(swallow)
    gateway = gateway_of(start, upstream.url)
    with beside(gateway.address), horde(gateway.address, 50) as slow:
        slow.send(b"POST /up HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n")
        slow.drip(lambda: slow.send(b"1;" + b"a" * 100 + b"\r\nx\r\n"), lambda: slow.closed() == 50)
        assert refused(gateway, "body_too_slow") == 50


def test_readers_that_drip_are_cut_off_though_they_always_take_something(start: Start, serve: Serve) -> None:
    upstream = serve(pour)
    gateway = gateway_of(start, upstream.url, min_send_rate="100KiB")
    with beside(gateway.address), horde(gateway.address, 20, receive_buffer=4096) as slow:
        slow.send(b"GET /up HTTP/1.1\r\nHost: a.example\r\n\r\n")
        slow.drip(lambda: slow.take(3000), lambda: refused(gateway, "send_too_slow") == 20, within=40, every=0.2)
    until(lambda: upstream.open == 0, "what was opened for them to be closed")


def test_readers_that_take_nothing_are_cut_off(start: Start, serve: Serve) -> None:
    upstream = serve(pour)
    gateway = gateway_of(start, upstream.url, send_timeout="1s")
    with beside(gateway.address), horde(gateway.address, 20, receive_buffer=4096) as slow:
        slow.send(b"GET /up HTTP/1.1\r\nHost: a.example\r\n\r\n")
        until(lambda: refused(gateway, "send_timeout") == 20, "zero windows to be given up", 20)
    until(lambda: upstream.open == 0, "what was opened for them to be closed")


def test_a_quiet_event_stream_is_left_alone(start: Start, serve: Serve) -> None:
    """The counterpart: who has nothing to take is not slow."""

    def events(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            dawdle(0.9)
            peer.send(b"8\r\ndata: 1\n\r\n")
        peer.send(b"0\r\n\r\n")

    gateway = gateway_of(start, serve(events).url)
    with gateway.client() as client:
        response = client.request("GET", "/up")
    assert response.body == b"data: 1\n" * 4
    assert refused(gateway, "send_too_slow") == 0
