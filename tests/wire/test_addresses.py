"""Where a request came from: IPv6, Unix sockets, trusted proxies, the PROXY protocol."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, message, once
from tests.support.waiting import until

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
TELL = {"respond": {"body": "${client_ip}"}}


def test_both_families_are_served_and_named(start: Start) -> None:
    gateway = start({"listeners": ["127.0.0.1:0", "[::1]:0"], "routes": [TELL]})
    assert once(gateway.addresses[0]).body == b"127.0.0.1"
    assert once(gateway.addresses[1]).body == b"::1"


def test_a_bare_port_takes_both_families(start: Start) -> None:
    gateway = start({"listeners": [":0"], "routes": [TELL]})
    port = gateway.address.rpartition(":")[2]
    assert once(f"127.0.0.1:{port}").body == b"127.0.0.1"
    assert once(f"[::1]:{port}").body == b"::1"


def test_unix_sockets_serve_on_both_sides(start: Start, serve: Serve, tmp_path: Path) -> None:
    upstream = serve(unix=str(tmp_path / "up.sock"))
    path = tmp_path / "in.sock"
    gateway = start({"listeners": [f"unix:{path}"], "routes": [{"upstream": upstream.url}]})
    assert gateway.address == f"unix:{path}"
    with Client(gateway.address) as client:
        assert [client.request("POST", "/u", (), b"x").status for _ in range(3)] == [200] * 3
    assert upstream.accepted == 1
    gateway.stop()
    assert not path.exists(), "the socket's file goes with the process"


def test_an_upstream_may_answer_over_ipv6(start: Start, serve: Serve) -> None:
    upstream = serve(host="::1")
    gateway = start({"routes": [{"upstream": upstream.url}]})
    assert gateway.get().status == 200


def test_a_name_is_resolved_without_a_restart(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"routes": [{"upstream": f"http://localhost:{upstream.port}"}]})
    # Names are looked up beside the requests: the first may come before the first answer.
    until(lambda: gateway.get().status == 200, "the name to be resolved")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ([], "1.2.3.4", "127.0.0.1"),
        (["127.0.0.1"], "1.2.3.4", "1.2.3.4"),
        (["127.0.0.1"], "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (["127.0.0.1", "10.0.0.0/8"], "6.6.6.6, 1.2.3.4, 10.1.2.3", "1.2.3.4"),
        (["127.0.0.1"], "2001:db8::1", "2001:db8::1"),
        (["127.0.0.1"], "nonsense", "127.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_who_the_client_is(
    start: Start, trusted: list[str], forwarded: str, client: str
) -> None:
    gateway = start({"server": {"trusted_proxies": trusted}, "routes": [TELL]})
    assert gateway.get(X_Forwarded_For=forwarded).body.decode() == client


def test_the_upstream_gets_the_list_of_a_trusted_proxy_and_nobody_elses(start: Start, serve: Serve) -> None:
    upstream = serve()
    for trusted, expected in (([], "127.0.0.1"), (["127.0.0.0/8"], "1.2.3.4, 127.0.0.1")):
        gateway = start({"server": {"trusted_proxies": trusted}, "routes": [{"upstream": upstream.url}]})
        assert gateway.get(X_Forwarded_For="1.2.3.4", X_Forwarded_Proto="https").status == 200
        got = upstream.requests[-1].fields
        assert got.get("X-Forwarded-For") == expected
        assert got.get("X-Forwarded-Proto") == ("https" if trusted else "http")


def test_the_standard_field_tells_the_same(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"server": {"forwarded": "forwarded", "via": True}, "routes": [{"upstream": upstream.url}]})
    answer = gateway.get()
    got = upstream.requests[-1].fields
    assert got.get("Forwarded") == 'for=127.0.0.1;proto=http;host="a.example"'
    assert "X-Forwarded-For" not in got
    assert got.get("Via") == answer.fields.get("Via") == "1.1 tidegate"


def v2(address: str, port: int, command: int = 0x21) -> bytes:
    """A PROXY header of version 2 for a v4 or v6 source."""
    if ":" in address:
        body = socket.inet_pton(socket.AF_INET6, address) * 2 + struct.pack("!HH", port, 80)
        return V2 + struct.pack("!BBH", command, 0x21, len(body)) + body
    body = socket.inet_aton(address) * 2 + struct.pack("!HH", port, 80)
    return V2 + struct.pack("!BBH", command, 0x11, len(body)) + body


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 5555 80\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (v2("192.0.2.8", 1234), "192.0.2.8"),
        (v2("2001:db8::8", 1234), "2001:db8::8"),
        (v2("192.0.2.8", 1234, 0x20), "127.0.0.1"),
    ],
    ids=["v1", "v1 v6", "v1 unknown", "v2", "v2 v6", "v2 local"],
)
def test_a_proxy_header_names_the_client(start: Start, header: bytes, client: str) -> None:
    config = {
        "listeners": [{"address": "127.0.0.1:0", "proxy_protocol": True}],
        "server": {"trusted_proxies": ["127.0.0.1"]},
        "routes": [TELL],
    }
    gateway = start(config)
    with gateway.client() as connection:
        for byte in header:
            connection.send(bytes([byte]))
        connection.send(message("GET"))
        assert connection.receive().body.decode() == client
        assert connection.request("GET").body.decode() == client, "it holds for the whole connection"


@pytest.mark.parametrize(
    ("trusted", "opening"),
    [
        (["127.0.0.1"], message("GET")),
        (["127.0.0.1"], b"PROXY TCP4 999.0.2.7 192.0.2.1 5555 80\r\n" + message("GET")),
        (["127.0.0.1"], V2 + b"\x31\x11\x00\x00" + message("GET")),
        (["10.0.0.0/8"], b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\n" + message("GET")),
    ],
    ids=["no header", "no address", "no version", "not trusted"],
)
def test_a_connection_without_its_proxy_header_is_not_served(start: Start, trusted: list[str], opening: bytes) -> None:
    config = {
        "listeners": [{"address": "127.0.0.1:0", "proxy_protocol": True}],
        "server": {"trusted_proxies": trusted},
        "routes": [TELL],
    }
    gateway = start(config)
    with gateway.client() as connection:
        connection.send(opening)
        assert connection.is_closed()
    assert sum(gateway.status()["engine"]["refusals"].values()) == 1
