"""Bodies on their way: event streams, uploads, backpressure, tunnels; nothing is held back and nothing piles up."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
from collections.abc import Callable

from tests.conftest import Serve, Start
from tests.support.http import Request, read_chunk, read_request_head, read_response
from tests.support.upstream import Peer, echo
from tests.support.waiting import until

MANY = 64 * 1024 * 1024


def test_an_event_stream_is_passed_on_event_by_event(start: Start, serve: Serve) -> None:
    said = threading.Semaphore(0)

    def events(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            event = b"data: %d\n\n" % number
            peer.send(b"%x\r\n%s\r\n" % (len(event), event))
            assert said.acquire(timeout=10), "the event before did not arrive on its own"
        peer.send(b"0\r\n\r\n")

    gateway = start({"routes": [{"upstream": serve(events).url}]})
    with gateway.client() as client:
        client.send(b"GET /events HTTP/1.1\r\nHost: a.example\r\nAccept: text/event-stream\r\n\r\n")
        status, fields = client.receive_head()
        assert (status, fields.get("Content-Type")) == (200, "text/event-stream")
        for number in range(5):
            assert read_chunk(client.stream) == b"data: %d\n\n" % number
            said.release()
        assert read_chunk(client.stream) == b""


def test_a_head_arrives_before_the_first_byte_of_its_body(start: Start, serve: Serve) -> None:
    seen = threading.Event()

    def late(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        assert seen.wait(10)
        peer.send(b"late")

    gateway = start({"routes": [{"upstream": serve(late).url}]})
    with gateway.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        status, _ = client.receive_head()
        assert status == 200
        seen.set()
        assert client.stream.exactly(4) == b"late"


def test_an_upload_is_passed_on_piece_by_piece(start: Start, serve: Serve) -> None:
    got: list[bytes] = []

    def take(peer: Peer) -> None:
        read_request_head(peer.stream)
        while piece := read_chunk(peer.stream):
            got.append(piece)
        peer.stream.line()
        peer.respond(201, b"")

    gateway = start({"routes": [{"upstream": serve(serve=take).url}]})
    with gateway.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            client.send(b"5\r\npart%d\r\n" % number)
            until(lambda: b"part%d" % number in b"".join(got), f"part {number} at the upstream")  # noqa: B023
        client.send(b"0\r\n\r\n")
        assert client.receive("POST").status == 201


def test_trailers_of_a_request_and_a_response_are_not_mistaken_for_fields(start: Start, serve: Serve) -> None:
    def answer(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        peer.send(b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

    upstream = serve(answer)
    gateway = start({"routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        head = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Digest\r\n\r\n"
        client.send(head + b"2\r\nhi\r\n0\r\nX-Digest: 7\r\nContent-Length: 9\r\n\r\n")
        response = client.receive("POST")
        assert response.body == b"ok"
        assert "X-Sum" not in response.fields
        assert client.request("GET").body == b"ok"
    assert upstream.requests[0].body == b"hi"
    assert "X-Digest" not in upstream.requests[0].fields
    assert "Content-Length" not in upstream.requests[0].trailers


def test_a_client_that_waits_for_continue_gets_it_and_then_the_answer(start: Start, serve: Serve) -> None:
    def wait(peer: Peer) -> None:
        _, _, _, fields, _ = read_request_head(peer.stream)
        assert fields.get("Expect") == "100-continue"
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert peer.stream.exactly(5) == b"hello"
        peer.respond(200, b"thanks")

    gateway = start({"routes": [{"upstream": serve(serve=wait).url}]})
    with gateway.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.receive_any("PUT").status == 100
        client.send(b"hello")
        assert client.receive("PUT").body == b"thanks"


def test_an_upstream_may_refuse_before_the_body_is_sent(start: Start, serve: Serve) -> None:
    def refuse(peer: Peer) -> None:
        read_request_head(peer.stream)
        peer.respond(401, b"no", reason="Unauthorized")

    gateway = start({"routes": [{"upstream": serve(serve=refuse).url}]})
    with gateway.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        response = client.receive_any("PUT")
        assert (response.status, response.body) == (401, b"no")
        assert client.is_closed()


def test_an_early_answer_reaches_a_client_that_is_still_sending(start: Start, serve: Serve) -> None:
    def refuse(peer: Peer) -> None:
        read_request_head(peer.stream)
        peer.respond(413, b"too much", "Connection: close", reason="Content Too Large")
        peer.stream.rest()

    gateway = start({"routes": [{"upstream": serve(serve=refuse).url}]})
    with gateway.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n" + bytes(50_000))
        assert client.receive("POST").status == 413


def test_a_slow_reader_holds_the_upstream_back_and_not_the_memory(start: Start, serve: Serve) -> None:
    sent = [0]

    def pour(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MANY)
        piece = bytes(65536)
        while sent[0] < MANY:
            peer.send(piece)
            sent[0] += len(piece)

    gateway = start({"routes": [{"upstream": serve(pour).url}]})
    with gateway.client(receive_buffer=8192, timeout=30) as client:
        before = gateway.memory_kib()
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert client.receive_head()[0] == 200
        standing = _stands_still(lambda: sent[0])
        assert standing < MANY, "the upstream was never held back"
        assert gateway.memory_kib() - before < 4096
        left, content = MANY, hashlib.sha256()
        while left:
            taken = client.stream.exactly(min(left, 1 << 20))
            content.update(taken)
            left -= len(taken)
        assert content.hexdigest() == hashlib.sha256(bytes(MANY)).hexdigest()
        assert gateway.memory_kib() - before < 6144


def test_a_slow_upstream_holds_the_client_back_and_not_the_memory(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def dawdle(peer: Peer) -> None:
        read_request_head(peer.stream)
        assert go.wait(30)
        left = MANY - len(peer.stream.buffer)
        peer.stream.buffer.clear()
        while left:
            left -= len(peer.sock.recv(min(left, 1 << 20)))
        peer.respond(200, b"all")

    gateway = start({"routes": [{"upstream": serve(serve=dawdle).url, "retry": "off"}]})
    sent = [0]

    def upload(sock: socket.socket) -> None:
        piece = bytes(65536)
        while sent[0] < MANY:
            sock.sendall(piece)
            sent[0] += len(piece)

    with gateway.client(timeout=30) as client:
        before = gateway.memory_kib()
        client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % MANY)
        thread = threading.Thread(target=upload, args=(client.sock,), daemon=True)
        thread.start()
        assert _stands_still(lambda: sent[0]) < MANY, "the client was never held back"
        assert gateway.memory_kib() - before < 4096
        go.set()
        assert client.receive("POST").body == b"all"
        thread.join(10)


def _stands_still(look: Callable[[], int]) -> int:
    """The figure once it has been the same for many looks in a row."""
    last, same = -1, 0

    def still() -> bool:
        nonlocal last, same
        now = look()
        same = same + 1 if now == last and now > 0 else 0
        last = now
        return same >= 60

    until(still, "the sender to stand still", 20)
    return last


def test_a_body_of_every_size_around_a_buffer_comes_back_the_same(start: Start, serve: Serve) -> None:
    gateway = start({"routes": [{"upstream": serve(echo).url}]})
    with gateway.client() as client:
        for size in (0, 1, 4095, 4096, 65_535, 65_536, 131_071, 131_072, 131_073, 300_000):
            content = os.urandom(size)
            assert client.request("POST", "/", (), content).body == content


def test_a_websocket_carries_frames_both_ways_until_one_side_ends_it(start: Start, serve: Serve) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()

    def speak(peer: Peer) -> None:
        _, _, _, fields, _ = read_request_head(peer.stream)
        assert fields.get("Upgrade") == "websocket"
        assert fields.get("Connection") == "Upgrade"
        assert not peer.stream.buffer, "bytes came before the switch was agreed on"
        switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        switch += f"Sec-WebSocket-Accept: {accept}"
        peer.send(f"{switch}\r\n\r\n".encode() + b"\x81\x05first")
        while peer.stream.begun():
            peer.send(bytes(peer.stream.buffer))
            peer.stream.buffer.clear()

    gateway = start({"routes": [{"upstream": serve(serve=speak).url}]})
    with gateway.client() as client:
        fields = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        client.send(f"GET /chat HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n".encode())
        switched = read_response(client.stream)
        assert switched.status == 101
        assert switched.fields.get("Sec-WebSocket-Accept") == accept
        assert client.stream.exactly(7) == b"\x81\x05first"
        for size in (1, 125, 65_536, 1_000_000):
            frame = os.urandom(size)
            threading.Thread(target=client.send, args=(frame,), daemon=True).start()
            assert client.stream.exactly(size) == frame
        client.no_more()
        assert client.is_closed()
    (record,) = gateway.records(1)
    assert record["status"] == 101


def test_an_upgrade_that_the_upstream_declines_is_an_ordinary_answer(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        answer = client.request("GET", "/", {"Upgrade": "websocket", "Connection": "Upgrade"})
        assert (answer.status, answer.body) == (200, b"ok")
        assert client.request("GET").status == 200


def test_a_response_that_ends_with_its_connection_reaches_the_client_in_chunks(start: Start, serve: Serve) -> None:
    def pour(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
        peer.close()

    gateway = start({"routes": [{"upstream": serve(pour).url}]})
    with gateway.client() as client:
        for _ in range(2):
            answer = client.request("GET")
            assert (answer.framing, len(answer.body)) == ("chunked", 100_000)


def test_a_client_that_ends_its_half_still_gets_its_answer(start: Start, serve: Serve) -> None:
    gateway = start({"routes": [{"upstream": serve().url}]})
    with gateway.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        client.no_more()
        assert client.receive().status == 200
        assert client.is_closed()


def test_what_an_upstream_says_beyond_its_response_never_reaches_a_client(start: Start, serve: Serve) -> None:
    def more(request: Request, peer: Peer) -> None:
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )

    upstream = serve(more)
    gateway = start({"routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        for _ in range(3):
            assert client.request("GET").body == b"ok"
    assert upstream.accepted == 3, "a connection with more on it was used again"


def test_fields_of_a_response_keep_their_order_spelling_and_repetition(start: Start, serve: Serve) -> None:
    def fields(request: Request, peer: Peer) -> None:
        peer.respond(200, b"", "sEt-COOKIE: a=1", "X-Empty:", "Set-Cookie: b=2", 'X-Odd: a, b;  c="d"')

    gateway = start({"routes": [{"upstream": serve(fields).url}]})
    answer = gateway.get()
    passed = [pair for pair in answer.fields if pair[0].lower() in ("set-cookie", "x-empty", "x-odd")]
    assert passed == [("sEt-COOKIE", "a=1"), ("X-Empty", ""), ("Set-Cookie", "b=2"), ("X-Odd", 'a, b;  c="d"')]
