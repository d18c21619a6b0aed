"""Attacks by HTTP/2: each ends with its own reason and costs a client beside it nothing."""

from __future__ import annotations

import time
from functools import partial

import pytest
from tests.conftest import Serve, Start
from tests.support import http2 as h2
from tests.support.gateway import Tidegate
from tests.support.http import Request
from tests.support.neighbour import beside
from tests.support.upstream import Peer, Upstream
from tests.support.waiting import until

MANY = 10
"""Connections of one attack."""


def hold(request: Request, peer: Peer) -> None:
    """Never answers."""


def pour(request: Request, peer: Peer) -> None:
    """More than every buffer on the way holds."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
    for _ in range(5):
        peer.send(bytes(1_000_000))


def gateway_of(start: Start, upstream: Upstream | None = None, **server: object) -> Tidegate:
    routes: list[dict[str, object]] = [{"respond": {"body": "ok"}}]
    if upstream is not None:
        routes.insert(0, {"match": {"path": "/up"}, "upstream": upstream.url, "retry": "off"})
    return start({"workers": 2, "server": server, "routes": routes})


def refused(gateway: Tidegate, reason: str) -> float:
    return gateway.metrics().sum("tidegate_refusals_total", reason=reason)


def ended(gateway: Tidegate, reason: str) -> float:
    return gateway.metrics().sum("tidegate_connection_closes_total", reason=reason)


def calmed(gateway: Tidegate, attack: bytes, reason: str, code: int = h2.ENHANCE_YOUR_CALM) -> None:
    """Each connection that does this is told to go, by name."""
    before = ended(gateway, reason)
    with beside(gateway.address):
        for _ in range(MANY):
            with h2.Crafted(gateway.address) as client:
                client.send(attack)
                assert client.goodbye() == code
    until(lambda: ended(gateway, reason) == before + MANY, f"them to be ended by {reason}")


def requests(count: int, path: bytes = b"/up", *, ends: bool = True) -> list[tuple[int, bytes]]:
    """Streams and their heads."""
    return [(1 + 2 * index, h2.headers(1 + 2 * index, h2.fields(path=path), ends=ends)) for index in range(count)]


def test_streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection(start: Start, serve: Serve) -> None:
    """Rapid Reset, CVE-2023-44487."""
    gateway = gateway_of(start, upstream := serve(hold))
    calmed(gateway, b"".join(head + h2.reset(stream) for stream, head in requests(300)), "resets")
    assert len(upstream.requests) <= MANY * 230, "what was reset cost the upstream no more than what was allowed"
    until(lambda: upstream.open == 0, "what was opened for them to be closed")


MADE = {
    "a window that grows by nothing": lambda stream: h2.window(stream, 0),
    "a window that overflows": lambda stream: h2.window(stream, (1 << 31) - 1),
    "data after the end": lambda stream: h2.frame(h2.DATA, 0, stream, b"x"),
    "a stream that depends on itself": lambda stream: h2.frame(h2.PRIORITY, 0, stream, stream.to_bytes(4) + b"\0"),
    "a priority of a wrong size": lambda stream: h2.frame(h2.PRIORITY, 0, stream, b"\0\0\0\0"),
}


@pytest.mark.parametrize("fault", MADE)
def test_streams_that_we_are_made_to_reset_end_the_connection(start: Start, serve: Serve, fault: str) -> None:
    """MadeYouReset, CVE-2025-8671."""
    gateway = gateway_of(start, upstream := serve(hold))
    calmed(gateway, b"".join(head + MADE[fault](stream) for stream, head in requests(160)), "faults")
    assert len(upstream.requests) <= MANY * 130
    until(lambda: upstream.open == 0, "what was opened for them to be closed")


FLOODS = {
    "pings": [h2.frame(h2.PING, payload=bytes(8))] * 400,
    "settings_frames": [h2.frame(h2.SETTINGS)] * 60,
    "priorities": [h2.frame(h2.PRIORITY, 0, 1 + 2 * number, bytes(5)) for number in range(800)],
    "window_updates": [h2.window(0, 1)] * 1500,
    "unknown_frames": [h2.frame(0xEE, payload=b"?")] * 200,
    "empty_frames": [h2.headers(1, h2.fields(b"POST", b"/up"), ends=False), *[h2.frame(h2.DATA, 0, 1)] * 200],
    "stray_frames": [
        h2.headers(1, h2.fields(path=b"/up")),
        *[h2.reset(1)] * 2000,
    ],
    "faults": [h2.headers(1, h2.fields(path=b"/up")), *[h2.headers(n * 2 + 3, b"") for n in range(200)]],
}


@pytest.mark.parametrize("reason", FLOODS)
def test_floods_of_frames_that_cost_more_than_they_bring_end_the_connection(
    start: Start, serve: Serve, reason: str
) -> None:
    gateway = gateway_of(start, serve(hold))
    calmed(gateway, b"".join(FLOODS[reason]), reason)


@pytest.mark.parametrize(
    ("piece", "count", "reason"),
    [(b"", 100, "continuations"), (b"x", 100, "continuations"), (bytes(16_000), 6, "block_too_large")],
)
def test_heads_without_an_end_end_the_connection(start: Start, piece: bytes, count: int, reason: str) -> None:
    """CONTINUATION flood, CVE-2024-27316."""
    more = h2.frame(h2.CONTINUATION, 0, 1, piece)
    calmed(gateway_of(start), h2.headers(1, h2.fields(), whole=False) + more * count, reason)


def test_large_fields_that_are_named_again_and_again_are_refused(start: Start, serve: Serve) -> None:
    """A header bomb: 60 bytes that mean 240,000."""
    gateway = gateway_of(start, upstream := serve())
    before = gateway.memory_kib()
    first = h2.block(h2.fields(path=b"/up")) + h2.kept(b"x", b"a" * 4000)
    bomb = h2.block(h2.fields(path=b"/up")) + h2.newest * 60
    streams = [h2.headers(1, first), *(h2.headers(3 + 2 * number, bomb) for number in range(160))]
    calmed(gateway, b"".join(streams), "faults")
    assert refused(gateway, "head_too_large") >= MANY * 50, "of many at once, some dozens are counted"
    assert len(upstream.requests) <= MANY, "no bomb reached the upstream"
    assert gateway.memory_kib() - before < 20 * 1024


def test_clients_that_take_nothing_hold_little_and_not_for_long(start: Start, serve: Serve) -> None:
    """Only one stream of each connection has a window: that one is served, the others end when their time is over."""
    gateway = gateway_of(start, upstream := serve(pour), send_timeout="2s")
    before = gateway.memory_kib()
    streams = requests(20)
    clients = []
    with beside(gateway.address):
        for _ in range(MANY):
            client = h2.Crafted(gateway.address)
            clients.append(client)
            client.send(h2.setting(h2.INITIAL_WINDOW_SIZE, 0) + b"".join(head for _, head in streams))
        grown = 0
        for client in clients:
            client.until(partial(is_head_of_all, client), "heads, which need no window")
            grown = max(grown, gateway.memory_kib() - before)
            client.send(h2.window(1, 6_000_000) + h2.window(0, 6_000_000))
            client.until(partial(is_whole, client, 1), "the one that is taken to come whole")
        for client in clients:
            client.until(partial(are_given_up, client), "the others to be given up", 20)
        assert refused(gateway, "send_timeout") == MANY * 19
        assert grown < 64 * 1024, "less than two windows and the kernel's share of 200 streams"
        for client in clients:
            client.send(h2.headers(101, h2.fields()) + h2.window(101, 100))
            client.until(partial(is_whole, client, 101), "the connection to go on")
    for client in clients:
        client.sock.close()
    until(lambda: upstream.open <= 2 * MANY, "what was opened for them to be closed")


def is_head_of_all(client: h2.Crafted) -> bool:
    return len(client.answered()) == 20


def is_whole(client: h2.Crafted, stream: int) -> bool:
    return stream in client.whole()


def are_given_up(client: h2.Crafted) -> bool:
    return len(client.resets()) == 19


def test_windows_that_open_byte_by_byte_are_too_slow(start: Start, serve: Serve) -> None:
    gateway = gateway_of(start, serve(pour), send_timeout="20s", min_send_rate="10KiB", rate_grace="1s")
    with beside(gateway.address), h2.Crafted(gateway.address) as client:
        client.send(h2.setting(h2.INITIAL_WINDOW_SIZE, 0) + b"".join(head for _, head in requests(10)))
        due = time.monotonic()

        def drip() -> bool:
            nonlocal due
            if time.monotonic() >= due:
                due += 0.2
                client.send(b"".join(h2.window(stream, 1) for stream, _ in requests(10)))
            return len(client.resets()) == 10

        client.until(drip, "them to be given up", 20)
        assert refused(gateway, "send_too_slow") == 10


def test_bodies_of_streams_that_stop_are_refused(start: Start, serve: Serve) -> None:
    gateway = gateway_of(start, serve(), body_timeout="1s")
    with beside(gateway.address), h2.Crafted(gateway.address) as client:
        client.send(b"".join(head for _, head in requests(20, ends=False)))
        client.until(lambda: len(client.answered() | set(client.resets())) == 20, "answers or resets")
        assert refused(gateway, "body_timeout") == 20


def test_heads_that_drip_in_pieces_end_the_connection_in_time(start: Start) -> None:
    gateway = gateway_of(start, head_timeout="1s", keep_alive="60s")
    pieces = [h2.headers(1, h2.fields(), whole=False), h2.headers(1, h2.fields())]
    with beside(gateway.address):
        for begun, piece in ((pieces[0], h2.frame(h2.CONTINUATION, 0, 1)), (pieces[1][:10], b"")):
            with h2.Crafted(gateway.address) as client:
                client.send(begun)
                due = time.monotonic()

                def drip(client: h2.Crafted = client, piece: bytes = piece) -> bool:
                    nonlocal due
                    if time.monotonic() >= due:
                        due += 0.3
                        client.send(piece)
                    return client.ended

                client.until(drip, "the head's time to be over")
                assert client.goodbye() == h2.ENHANCE_YOUR_CALM
    assert ended(gateway, "head_timeout") == 2


@pytest.mark.parametrize("begin", [h2.PREFACE[:20], h2.PREFACE, h2.PREFACE + h2.frame(h2.SETTINGS)])
def test_who_does_not_end_the_beginning_is_let_go(start: Start, begin: bytes) -> None:
    """The preface in part or alone, and SETTINGS that are not acknowledged."""
    gateway = gateway_of(start, head_timeout="1s", keep_alive="60s")
    with beside(gateway.address), h2.Crafted(gateway.address, begin) as client:
        assert client.goodbye() == h2.SETTINGS_TIMEOUT
    assert ended(gateway, "settings_timeout") == 1


def test_who_asks_for_nothing_is_idle_whatever_it_pings(start: Start) -> None:
    gateway = gateway_of(start, keep_alive="1s")
    with beside(gateway.address), h2.Crafted(gateway.address) as quiet, h2.Crafted(gateway.address) as busy:
        due = time.monotonic()

        def ping() -> bool:
            nonlocal due
            if time.monotonic() >= due:
                due += 0.3
                busy.send(h2.frame(h2.PING, payload=bytes(8)))
            return busy.ended

        busy.until(ping, "it to be let go")
        assert busy.goodbye() == quiet.goodbye() == 0
        # The neighbour's kept connection is never idle.
        assert ended(gateway, "idle") == 2


def test_streams_beyond_those_that_are_allowed_are_refused_and_the_others_served(start: Start, serve: Serve) -> None:
    held: list[Peer] = []
    gateway = gateway_of(start, serve(lambda request, peer: held.append(peer)), max_streams=50)
    with beside(gateway.address), h2.Crafted(gateway.address) as client:
        client.send(b"".join(head for _, head in requests(80)))
        client.until(lambda: len(client.resets()) == 30, "those beyond to be refused")
        assert set(client.resets().values()) == {h2.REFUSED_STREAM}
        assert refused(gateway, "too_many_streams") == 30
        until(lambda: len(held) == 50, "the others to reach the upstream")
        for peer in held:
            peer.respond()
        client.until(lambda: len(client.whole()) == 50, "the others to be served")


def test_goodbyes_of_a_client_end_no_stream_and_hold_nothing(start: Start, serve: Serve) -> None:
    held: list[Peer] = []
    gateway = gateway_of(start, serve(lambda request, peer: held.append(peer)))
    with beside(gateway.address), h2.Crafted(gateway.address) as client:
        client.send(requests(1)[0][1])
        until(lambda: len(held) == 1, "it to be under way")
        client.send(h2.frame(h2.GOAWAY, payload=bytes(8)) * 10_000)
        held[0].respond()
        client.until(lambda: 1 in client.whole(), "what was under way to be answered")
        client.until(lambda: client.ended, "the connection to be ended")
    until(lambda: gateway.connections() == 1, "nothing to be left but who asks")
