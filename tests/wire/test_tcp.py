"""Connections that are passed on, between real clients and real servers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.conftest import Serve, Start
from tests.support.client import connect, once
from tests.support.gateway import Tidegate, program
from tests.support.peers import OpenSsl, Postgres, ProxyReader, Redis, port_of
from tests.support.streams import Handler, StreamServer, echo, read_all, read_exactly, reset
from tests.support.waiting import until

Stream = Callable[[Handler], StreamServer]


@pytest.fixture
def stream() -> Iterator[Stream]:
    """Starts servers and ends them with the test."""
    running: list[StreamServer] = []

    def begin(handler: Handler) -> StreamServer:
        running.append(StreamServer(handler))
        return running[-1]

    yield begin
    for server in running:
        server.close()


def passing(upstream: Any, **listener: Any) -> dict[str, Any]:
    """A configuration with one listener that passes on."""
    return {"listeners": [{"address": "127.0.0.1:0", "protocol": "tcp", "upstream": upstream, **listener}]}


def port(gateway: Tidegate) -> str:
    return gateway.address.rsplit(":", 1)[1]


def test_psql_talks_to_postgresql_through_it(start: Start) -> None:
    server = Postgres()
    try:
        gateway = start(passing(server.address))
        base = [program("psql"), "-X", "-At", "-h", "127.0.0.1", "-p", port(gateway), "-U", "postgres"]
        sums = subprocess.run(
            [*base, "-c", "select count(*), sum(n) from generate_series(1, 200000) n"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert sums.stdout == "200000|20000100000\n"
        script = "create table t (n int, s text); copy t from stdin;\n"
        script += "".join(f"{n}\t{'x' * 100}\n" for n in range(20_000)) + "\\.\nselect count(*) from t;\ntable t;\n"
        copied = subprocess.run(base, input=script, capture_output=True, text=True, check=True, timeout=30)
        lines = copied.stdout.splitlines()
        assert lines[2] == "20000"
        assert len(lines) == 20_003
        record = gateway.records(2)[1]
        assert record["reason"] == "client_end"
        assert record["bytes_received"] > 2_000_000
        assert record["bytes_sent"] > 2_000_000
    finally:
        server.stop()


def test_redis_pipelines_go_through_it(start: Start) -> None:
    server = Redis()
    try:
        gateway = start(passing(server.address))
        commands = "".join(f"SET k{n} {'v' * 100}\nGET k{n}\n" for n in range(5000))
        told = subprocess.run(
            [program("redis-cli"), "-p", port(gateway)],
            input=commands,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert told.stdout == f"OK\n{'v' * 100}\n" * 5000
    finally:
        server.stop()


class Names:
    """An authority, and openssl servers with certificates of their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.servers: list[OpenSsl] = []

    def server(self, name: str) -> OpenSsl:
        signed = self.authority.issue_cert(name)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        signed.private_key_pem.write_to_path(str(key))
        signed.cert_chain_pems[0].write_to_path(str(cert))
        self.servers.append(OpenSsl(cert, key))
        return self.servers[-1]

    def ask(self, gateway: Tidegate, name: str) -> str:
        """Shakes hands, trusting nobody but a server of that name; the page about it."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        with connect(gateway.address) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
            secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
            parts = []
            while data := secure.recv(65536):
                parts.append(data)
            return b"".join(parts).decode("latin-1")


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    made = Names(tmp_path)
    yield made
    for server in made.servers:
        server.stop()


def test_tls_goes_by_the_name_that_is_asked_for_and_is_not_ended_here(start: Start, names: Names) -> None:
    a, b = names.server("a.example.com"), names.server("x.example.org")
    sni = [{"host": "a.example.com", "upstream": a.url}, {"host": "*.example.org", "upstream": b.url}]
    gateway = start({"listeners": [{"address": "127.0.0.1:0", "protocol": "tcp", "sni": sni}]})
    assert "Ciphers supported" in names.ask(gateway, "a.example.com")
    assert "Ciphers supported" in names.ask(gateway, "x.example.org")
    with pytest.raises(ssl.SSLError) as refused:
        names.ask(gateway, "b.example.net")
    assert refused.value.reason in ("TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME")
    with connect(gateway.address) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
        assert read_all(plain) == b""
    told = [(record["host"], record["protocol"], record["reason"], record["status"]) for record in gateway.records(4)]
    assert told[2:] == [
        ("b.example.net", "TLS", "unknown_server_name", 403),
        ("", "TCP", "not_tls", 400),
    ]
    assert {record[0] for record in told[:2]} == {"a.example.com", "x.example.org"}


def test_tls_to_the_upstream_is_made_and_checked(start: Start, names: Names) -> None:
    """The other way round: a plain client, and TLS from here on."""
    ca = names.folder / "ca.pem"
    names.authority.cert_pem.write_to_path(str(ca))
    server = names.server("a.example.com")
    url = server.url.replace("tcp://", "tls://")
    tls = {"ca": str(ca), "server_name": "a.example.com"}
    gateway = start({**passing("a"), "upstreams": {"a": {"endpoints": url, "tls": tls}}})
    with connect(gateway.address) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"Ciphers supported" in read_all(sock)
    tls["server_name"] = "b.example.com"
    gateway.reload({**passing("a"), "upstreams": {"a": {"endpoints": url, "tls": tls}}})
    gateway.look()
    with connect(gateway.addresses[-1]) as sock:
        assert read_all(sock) == b""
    assert gateway.records(2)[1]["reason"] == "tls_certificate_refused"


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("reader", ["haproxy", "nginx"])
def test_proxy_headers_tell_real_readers_who_the_client_is(
    start: Start, tmp_path: Path, reader: str, version: str
) -> None:
    peer = ProxyReader(tmp_path / "reader", reader)
    try:
        config = passing("seen")
        config["listeners"].append("127.0.0.1:0")
        config["upstreams"] = {
            "seen": {"endpoints": f"tcp://{peer.address}", "proxy_protocol": version},
            "http": {
                "endpoints": f"http://{peer.address}",
                "proxy_protocol": version,
            },
        }
        config["routes"] = [{"upstream": "http"}]
        gateway = start(config)
        for address in gateway.addresses:
            for _ in range(2):
                with connect(address) as sock:
                    own = sock.getsockname()[1]
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    body = read_all(sock).partition(b"\r\n\r\n")[2].decode()
                assert body.startswith("127.0.0.1:")
                assert port_of(body) == own
        if reader == "nginx":
            assert "broken header" not in peer.errors.read_text()
    finally:
        peer.stop()


@pytest.mark.parametrize(
    ("version", "header"), [("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
)
def test_a_probe_opens_with_a_header_of_its_own(start: Start, stream: Stream, version: str, header: bytes) -> None:
    came: list[bytes] = []
    server = stream(lambda sock: came.append(read_all(sock)))
    upstream = {"endpoints": server.url, "proxy_protocol": version, "health": {"active": {"interval": "100ms"}}}
    start({**passing("a"), "upstreams": {"a": upstream}})
    until(lambda: len(came) >= 2, "two probes")
    assert set(came) == {header}


def test_the_name_is_told_in_an_extension(start: Start, tmp_path: Path) -> None:
    """HAProxy ends TLS behind it; what it knows of the name before that comes from the PROXY header."""
    came: list[bytes] = []

    def note(sock: socket.socket) -> None:
        came.append(read_exactly(sock, 16))
        came.append(read_exactly(sock, int.from_bytes(came[0][14:16], "big")))

    server = StreamServer(note)
    upstreams = {"a": {"endpoints": server.url, "proxy_protocol": "v2"}}
    gateway = start({**passing(None, sni=[{"host": "a.example.com", "upstream": "a"}]), "upstreams": upstreams})
    context = ssl.create_default_context()
    context.set_alpn_protocols(["imap"])
    with connect(gateway.address) as plain, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(plain, server_hostname="a.example.com")
    server.close()
    assert came[1][12:] == b"\x01\x00\x04imap\x02\x00\x0da.example.com"


def test_an_end_is_passed_on_and_the_answer_still_comes_back(start: Start, stream: Stream) -> None:
    server = stream(lambda sock: sock.sendall(hashlib.sha256(read_all(sock)).digest()))
    gateway = start(passing(server.url))
    data = os.urandom(3_000_000)
    with connect(gateway.address) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == hashlib.sha256(data).digest()
    record = gateway.records(1)[0]
    assert (record["reason"], record["bytes_received"], record["bytes_sent"]) == ("client_end", 3_000_000, 32)
    assert record["upstream"] == server.url
    assert record["status"] == 200


def test_a_break_on_one_side_is_a_break_on_the_other(start: Start, stream: Stream) -> None:
    server = stream(lambda sock: sock.sendall(b"half an ans"))

    def die(sock: socket.socket) -> None:
        sock.recv(1)
        sock.sendall(b"half")
        reset(sock)

    broken = stream(die)
    gateway = start(
        {"listeners": [passing(server.url)["listeners"][0], passing(broken.url)["listeners"][0]], "routes": []}
    )
    with connect(gateway.addresses[0]) as sock:
        assert read_all(sock) == b"half an ans"
    with connect(gateway.addresses[1]) as sock:
        sock.sendall(b"?")
        with pytest.raises(ConnectionResetError):
            read_all(sock)


def test_large_streams_both_ways_at_once_are_exact_and_take_no_memory(start: Start, stream: Stream) -> None:
    gateway = start(passing(stream(echo).url, name="echo"))
    data = os.urandom(1 << 20) * 64
    with connect(gateway.address, timeout=30) as sock:
        sock.sendall(b"x")
        read_exactly(sock, 1)
        before = gateway.memory_kib()
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        digest, left = hashlib.sha256(), len(data)
        while left:
            part = sock.recv(min(left, 1 << 20))
            assert part
            digest.update(part)
            left -= len(part)
        sender.join()
        assert gateway.memory_kib() - before < 8 * 1024
    assert digest.digest() == hashlib.sha256(data).digest()
    gateway.records(1)
    samples = gateway.metrics()
    for direction in ("up", "down"):
        assert samples.one("tidegate_tcp_bytes_total", listener="echo", direction=direction) == len(data) + 1


def test_a_client_that_reads_nothing_holds_its_server_back(start: Start, stream: Stream) -> None:
    sent = [0]

    def flood(sock: socket.socket) -> None:
        while True:
            sent[0] += sock.send(bytes(1 << 16))

    gateway = start(passing(stream(flood).url))
    with connect(gateway.address, receive_buffer=4096):
        # Socket buffers of both hops fill up, and then nothing moves: two looks see the same.
        seen = -1

        def stands() -> bool:
            nonlocal seen
            before, seen = seen, sent[0]
            return 0 < before == seen and quiet.wait(0.3) is False and sent[0] == seen

        quiet = threading.Event()
        until(stands, "the server to be held back", 20)
        assert gateway.memory_kib() < 300 * 1024
        assert sent[0] < 64 * 1024 * 1024


def test_limits_refuse_before_anything_reaches_the_server(start: Start, stream: Stream) -> None:
    server = stream(echo)
    gateway = start(passing(server.url, limit={"key": "client_ip", "rate": "1/h", "burst": 3}, name="echo"))
    answered = 0
    for _ in range(6):
        with connect(gateway.address) as sock:
            sock.sendall(b"x")
            with contextlib.suppress(ConnectionResetError):
                answered += sock.recv(1) == b"x"
    assert answered == 3
    assert server.accepted == 3
    reasons = [record["reason"] for record in gateway.records(6)]
    assert reasons.count("rate_limited") == 3
    assert gateway.metrics().one("tidegate_tcp_ends_total", reason="rate_limited") == 3


def test_connections_beyond_the_listeners_bound_are_closed(start: Start, stream: Stream) -> None:
    gateway = start({**passing(stream(echo).url, max_connections=2, name="echo"), "workers": 2})
    held = [connect(gateway.address) for _ in range(2)]
    for sock in held:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    with connect(gateway.address) as sock:
        assert sock.recv(1) == b""
    held.pop().close()
    until(lambda: gateway.metrics().one("tidegate_tcp_connections", listener="echo") == 1, "room again")
    with connect(gateway.address) as sock:
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"
    held.pop().close()
    assert [record["reason"] for record in gateway.records(4)].count("listener_full") == 1


def test_a_drain_lets_them_go_on_then_cuts_and_tells(start: Start, stream: Stream) -> None:
    gateway = start({**passing(stream(echo).url), "server": {"drain": "700ms"}})
    with connect(gateway.address) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        gateway.signal(signal.SIGQUIT)
        gateway.said.wait("draining")
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert gateway.wait() == 0
    assert gateway.records(1)[0]["reason"] == "drain_deadline"


def test_a_stop_cuts_them_and_leaves_a_record(start: Start, stream: Stream) -> None:
    gateway = start(passing(stream(echo).url))
    with connect(gateway.address) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        gateway.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert gateway.wait() == 0
    assert gateway.records(1)[0]["reason"] == "shutdown"


def test_silence_is_ended_and_one_byte_in_time_is_not_silence(start: Start, stream: Stream) -> None:
    gateway = start(passing(stream(echo).url, timeouts={"idle": "400ms"}))
    with connect(gateway.address) as sock:
        for _ in range(8):
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            threading.Event().wait(0.1)
        assert sock.recv(1) == b""
    assert gateway.records(1)[0]["reason"] == "idle_timeout"


def test_a_probe_leaves_an_endpoint_out_that_takes_no_connection(start: Start, stream: Stream) -> None:
    well, gone = stream(echo), stream(echo)
    gone.close()
    active = {"interval": "100ms", "unhealthy": 1}
    upstream = {"endpoints": [well.url, gone.url], "health": {"active": active}, "balance": "round_robin"}
    gateway = start({**passing("a"), "upstreams": {"a": upstream}})
    gateway.said.wait("probes find .* down")
    for _ in range(4):
        with connect(gateway.address) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
    assert {record["attempts"] for record in gateway.records(4)} <= {1, 2}


def test_a_request_that_comes_back_to_itself_is_answered_508(start: Start, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    gateway = start({"listeners": [address], "routes": [{"upstream": address}]})
    answer = once(address, "GET", "/")
    assert answer.status == 508
    records = gateway.records(10)
    assert [record["status"] for record in records] == [508] * 10
    assert records[0]["reason"] == "loop_detected"
    assert gateway.metrics().one("tidegate_refusals_total", reason="loop_detected") == 1


def test_http_behind_a_listener_of_each_kind_is_the_same(start: Start, serve: Serve) -> None:
    upstream = serve()
    config = passing(upstream.url.replace("http://", "tcp://"))
    config["listeners"].append("127.0.0.1:0")
    gateway = start({**config, "routes": [{"upstream": upstream.url}]})
    assert once(gateway.addresses[0], "GET", "/").status == once(gateway.addresses[1], "GET", "/").status == 200
