"""WebSocket and Server-Sent Events: every byte and every event as it came, when it came."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websockets.sync.server
from tests.conftest import Start
from tests.support.client import Client, connect
from tests.support.gateway import Tidegate
from tests.support.streams import StreamServer, read_exactly
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import CloseCode, Opcode
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as ws_connect
from websockets.sync.server import ServerConnection
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws
from wsproto.connection import ConnectionState
from wsproto.frame_protocol import CloseReason

LARGE = 16 * 1024 * 1024

Handler = Callable[[ServerConnection], None]


@contextmanager
def server(handler: Handler, **options: Any) -> Iterator[str]:
    """A WebSocket server; its URL for upstreams."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = websockets.sync.server.serve(handler, sock=listener, max_size=2 * LARGE, **options)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        made.shutdown()
        thread.join(10)


def opened(gateway: Tidegate, **options: Any) -> ClientConnection:
    url = f"ws://{gateway.address}/"
    made: ClientConnection = ws_connect(url, max_size=2 * LARGE, compression=None, proxy=None, **options)
    return made


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def test_messages_of_all_kinds_and_sizes_come_back_as_they_were(start: Start) -> None:
    with server(echo, compression=None) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with opened(gateway) as client:
            sizes = [0, 1, 125, 126, 65_535, 65_536, 1_000_000, LARGE]
            for size in sizes:
                data = os.urandom(size)
                client.send(data)
                assert client.recv(timeout=30) == data, size
            client.send("grüße 🌊")
            assert client.recv(timeout=10) == "grüße 🌊"
        record = gateway.records(1)[0]
        assert (record["status"], record["reason"]) == (101, "")
        assert record["bytes_received"] > sum(sizes)


def test_compression_is_agreed_on_end_to_end(start: Start) -> None:
    with server(echo) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with ws_connect(f"ws://{gateway.address}/", proxy=None) as client:
            assert client.protocol.extensions, "permessage-deflate is between the two ends"
            client.send("again and again " * 10_000)
            assert client.recv(timeout=10) == "again and again " * 10_000
        assert gateway.records(1)[0]["bytes_received"] < 10_000


def test_fragments_stay_fragments_and_control_frames_come_between_them(start: Start) -> None:
    seen: list[Any] = []

    def note(connection: ServerConnection) -> None:
        seen.extend(connection.recv_streaming())
        connection.send(iter(["one ", "two ", "three"]))
        connection.recv()

    with server(note, compression=None) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with opened(gateway) as client:

            def parts() -> Iterator[bytes]:
                for number in range(5):
                    yield bytes([number]) * 10
                    assert client.ping().wait(10), "a pong between two fragments"

            client.send(parts())
            assert [part for part in client.recv_streaming() if part] == ["one ", "two ", "three"]
            client.send("done")
        assert [part for part in seen if part] == [bytes([number]) * 10 for number in range(5)]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (4321, "my own ü"), (1011, "x" * 120)])
def test_close_codes_and_reasons_reach_the_client(start: Start, code: int, reason: str) -> None:
    with server(lambda connection: connection.close(code, reason)) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with opened(gateway) as client:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (3000, ""), (4999, "last")])
def test_close_codes_and_reasons_reach_the_server(start: Start, code: int, reason: str) -> None:
    told: list[tuple[int, str]] = []
    over = threading.Event()

    def note(connection: ServerConnection) -> None:
        try:
            connection.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            told.append((closed.rcvd.code, closed.rcvd.reason))
        over.set()

    with server(note) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with opened(gateway) as client:
            client.close(code, reason)
        assert over.wait(10)
        assert told == [(code, reason)]


def test_a_server_that_dies_without_a_word_is_seen_to_have_died(start: Start) -> None:
    def die(connection: ServerConnection) -> None:
        connection.send("first")
        connection.socket.shutdown(socket.SHUT_RDWR)

    with server(die) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with opened(gateway) as client:
            assert client.recv(timeout=10) == "first"
            with pytest.raises(ConnectionClosedError) as closed:
                client.recv(timeout=10)
            assert closed.value.rcvd is None, "no close frame was made up"


class Wire:
    """wsproto on one end, and what it says to the byte."""

    def __init__(self, sock: socket.socket, kind: ConnectionType) -> None:
        self.sock = sock
        self.protocol = WSConnection(kind)
        self.sent, self.received = bytearray(), bytearray()

    def send(self, event: ws.Event) -> None:
        data = self.protocol.send(event)
        self.sent += data
        self.sock.sendall(data)

    def events(self, until: type[ws.Event]) -> list[ws.Event]:
        """What comes, up to an event of that kind; pings are answered."""
        out: list[ws.Event] = []
        while not any(isinstance(event, until) for event in out):
            data = self.sock.recv(65_536)
            self.received += data
            self.protocol.receive_data(data or None)
            for event in self.protocol.events():
                out.append(event)
                if isinstance(event, ws.Ping) and self.protocol.state is ConnectionState.OPEN:
                    self.send(event.response())
        return out


def test_what_wsproto_sends_is_what_wsproto_gets_to_the_byte(start: Start) -> None:
    """Both ends keep what they sent and got behind the handshake; frames of every size, cut anywhere."""
    ends: list[Wire] = []

    def serve(sock: socket.socket) -> None:
        wire = Wire(sock, ConnectionType.SERVER)
        wire.events(ws.Request)
        sock.sendall(wire.protocol.send(ws.AcceptConnection()))
        ends.append(wire)
        wire.received.clear()
        for size in (0, 125, 126, 65_536, 300_000):
            wire.send(ws.BytesMessage(data=os.urandom(size), message_finished=size == 300_000))
            wire.send(ws.Ping(payload=str(size).encode()))
        closing = wire.events(ws.CloseConnection)[-1]
        assert isinstance(closing, ws.CloseConnection)
        wire.send(closing.response())

    upstream = StreamServer(serve)
    gateway = start({"routes": [{"upstream": upstream.url.replace("tcp://", "http://")}]})
    with connect(gateway.address) as sock:
        client = Wire(sock, ConnectionType.CLIENT)
        client.send(ws.Request(host="a.example", target="/"))
        client.sent.clear()
        client.events(ws.AcceptConnection)
        # Frames may have come with the answer, and pings among them are answered already.
        client.received[:] = bytes(client.received).partition(b"\r\n\r\n")[2]
        for number, size in enumerate((1, 125, 126, 65_535, 65_536, 500_000)):
            client.send(ws.BytesMessage(data=os.urandom(size), message_finished=number % 2 == 1))
            client.send(ws.Ping(payload=bytes([number])))
        client.send(ws.CloseConnection(code=CloseReason.GOING_AWAY, reason="done"))
        client.events(ws.CloseConnection)
    (far,) = ends
    upstream.close()
    assert hashlib.sha256(far.received).digest() == hashlib.sha256(client.sent).digest()
    assert hashlib.sha256(client.received).digest() == hashlib.sha256(far.sent).digest()


def test_a_frame_behind_the_handshake_in_the_same_packet_is_not_lost(start: Start) -> None:
    with server(echo, compression=None) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with connect(gateway.address) as sock:
            client = WSConnection(ConnectionType.CLIENT)
            head = client.send(ws.Request(host="a.example", target="/"))
            frame = b"\x82\x83\x00\x00\x00\x00abc"  # binary, masked with zeros
            sock.sendall(head + frame)
            stream = bytearray()
            while not stream.endswith(b"\x82\x03abc"):
                data = sock.recv(65_536)
                assert data, stream
                stream += data


def test_silence_beyond_the_routes_time_ends_a_tunnel_and_pings_keep_it(start: Start) -> None:
    with server(echo, compression=None, ping_interval=None) as url:
        routes = [
            {"match": {"path": "/quick"}, "timeouts": {"tunnel_idle": "500ms"}, "upstream": url},
            {"upstream": url},
        ]
        gateway = start({"routes": routes})
        address = f"ws://{gateway.address}"
        with (
            ws_connect(f"{address}/quick", proxy=None, ping_interval=0.1, compression=None) as pinging,
            ws_connect(f"{address}/quick", proxy=None, ping_interval=None, compression=None) as silent,
            ws_connect(f"{address}/", proxy=None, ping_interval=None, compression=None) as patient,
        ):
            with pytest.raises(ConnectionClosed):
                silent.recv(timeout=10)
            for client in (pinging, patient):
                client.send("still here")
                assert client.recv(timeout=10) == "still here"


def test_a_frame_that_is_pending_at_a_slow_client_is_not_dropped(start: Start) -> None:
    data = os.urandom(LARGE)
    with server(lambda connection: connection.send(data), compression=None) as url:
        gateway = start({"routes": [{"upstream": url}]})
        with connect(gateway.address, receive_buffer=4096, timeout=30) as sock:
            client = WSConnection(ConnectionType.CLIENT)
            sock.sendall(client.send(ws.Request(host="a.example", target="/")))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            frame = read_exactly(sock, 10 + LARGE)
        assert frame[0] == 0x80 | Opcode.BINARY
        assert hashlib.sha256(frame[10:]).digest() == hashlib.sha256(data).digest()


def test_the_close_code_of_a_cut_is_no_close_code(start: Start) -> None:
    """A drain that is over breaks the tunnel; the client sees 1006, which is none that was sent (RFC 6455 §7.1.5)."""
    with server(echo, compression=None) as url:
        gateway = start({"routes": [{"upstream": url}], "server": {"drain": "300ms"}})
        with opened(gateway) as client:
            client.send("x")
            assert client.recv(timeout=10) == "x"
            gateway.process.terminate()
            with pytest.raises(ConnectionClosedError):
                client.recv(timeout=10)
            assert client.protocol.close_code == CloseCode.ABNORMAL_CLOSURE


def test_each_event_of_a_stream_reaches_the_client_before_the_next_is_sent(start: Start) -> None:
    """The server waits until the client has read an event before it sends another: a buffer anywhere would stop it."""
    read = threading.Semaphore(0)
    taken: list[float] = []

    def serve(sock: socket.socket) -> None:
        while not sock.recv(65_536).endswith(b"\r\n\r\n"):
            pass
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(200):
            event = b"id: %d\ndata: %s\n\n" % (number, b"x" * (number * 7 % 900))
            taken.append(time.perf_counter())
            sock.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            assert read.acquire(timeout=10)
        sock.sendall(b"0\r\n\r\n")

    upstream = StreamServer(serve)
    gateway = start({"routes": [{"upstream": upstream.url.replace("tcp://", "http://")}]})
    times: list[float] = []
    with Client(gateway.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
        text = b""
        for number in range(200):
            mark = b"id: %d\n" % number
            while mark not in text or not text.rpartition(mark)[2].endswith(b"\n\n\r\n"):
                data = client.sock.recv(65_536)
                assert data
                text += data
            times.append(time.perf_counter() - taken[number])
            read.release()
    upstream.close()
    times.sort()
    assert times[len(times) // 2] < 0.02, f"the median event took {times[len(times) // 2] * 1000:.1f} ms"
