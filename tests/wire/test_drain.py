"""Long streams at the end of a drain: they go on until its time is over, and then end with a reason."""

from __future__ import annotations

import signal

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, message
from tests.support.gateway import Tidegate
from tests.support.http import Cut, Request
from tests.support.upstream import Peer

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
DRAIN = {"drain": "700ms"}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def begun(gateway: Tidegate, *fields: tuple[str, str]) -> Client:
    """A client whose response has begun."""
    client = gateway.client()
    client.send(message("GET", "/", fields))
    status, _ = client.receive_head()
    assert status in (101, 200)
    return client


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGUSR2])
def test_a_stream_of_events_goes_on_while_it_drains_and_ends_by_name(
    start: Start, serve: Serve, how: signal.Signals
) -> None:
    peers: list[Peer] = []

    def stream(request: Request, peer: Peer) -> None:
        peers.append(peer)
        peer.send(EVENTS + chunk(b"data: 1\n\n"))
        peer.stream.rest()  # until the gateway goes

    gateway = start({"server": DRAIN, "routes": [{"upstream": serve(stream).url}]})
    client = begun(gateway)
    assert client.stream.exactly(len(chunk(b"data: 1\n\n"))) == chunk(b"data: 1\n\n")
    gateway.signal(how)
    gateway.said.wait("draining|upgraded")
    peers[0].send(chunk(b"data: 2\n\n"))
    assert client.stream.exactly(len(chunk(b"data: 2\n\n"))) == chunk(b"data: 2\n\n")
    with pytest.raises(Cut):
        client.stream.exactly(1)
    assert gateway.process.wait(10) == 0
    gateway.said.wait("cutting 1 connection")
    (record,) = gateway.records(1)
    assert (record["reason"], record["status"]) == ("shutdown", 200)


def test_a_websocket_goes_on_while_it_drains_and_ends_by_name(start: Start, serve: Serve) -> None:
    def echo(request: Request, peer: Peer) -> None:
        peer.send(SWITCH)
        while peer.stream.begun():
            peer.send(peer.stream.exactly(6))

    gateway = start({"server": DRAIN, "routes": [{"upstream": serve(echo).url}]})
    client = begun(gateway, ("Upgrade", "websocket"), ("Connection", "Upgrade"))
    frame = b"\x81\x80abcd"  # an empty text, masked
    for turn in range(3):
        client.send(frame)
        assert client.stream.exactly(6) == frame
        if turn == 0:
            gateway.signal(signal.SIGQUIT)
            gateway.said.wait("draining")
    assert client.is_closed()
    assert gateway.process.wait(10) == 0
    (record,) = gateway.records(1)
    assert (record["reason"], record["status"]) == ("shutdown", 101)


def test_who_waits_for_an_answer_is_told_that_none_will_come(start: Start, serve: Serve) -> None:
    upstream = serve(lambda _, peer: peer.stream.rest() and None)
    gateway = start({"server": DRAIN, "routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        client.send(message("GET"))
        upstream.wait(1)
        gateway.signal(signal.SIGTERM)
        answer = client.receive()
        assert (answer.status, answer.problem) == (503, "shutdown")
    assert gateway.process.wait(10) == 0
