"""How much: rates, caps, bodies, heads, connections; counted exactly, over all workers."""

from __future__ import annotations

import re
import threading
import time

from tests.conftest import Serve, Start
from tests.support.client import Client, message, once
from tests.support.http import Request
from tests.support.upstream import Peer
from tests.support.waiting import until


def test_a_burst_is_counted_exactly_over_two_workers(start: Start) -> None:
    gateway = start(
        {"workers": 2, "routes": [{"limit": {"key": "client_ip", "rate": "1/h", "burst": 25}, "respond": 200}]}
    )
    clients = [gateway.client() for _ in range(20)]
    statuses = [client.request("GET").status for _ in range(3) for client in clients]
    for client in clients:
        client.close()
    assert statuses.count(200) == 25
    assert statuses.count(429) == 35
    assert gateway.metrics().sum("tidegate_refusals_total", reason="rate_limited") == 35


def test_a_429_says_when_to_come_back(start: Start) -> None:
    gateway = start({"routes": [{"limit": {"name": "api", "key": "client_ip", "rate": "2/min"}, "respond": 200}]})
    with gateway.client() as client:
        assert [client.request("GET").status for _ in range(2)] == [200, 200]
        answer = client.request("GET")
        assert (answer.status, answer.problem) == (429, "rate_limited")
        wait = int(answer.fields.get("Retry-After") or 0)
        assert 28 <= wait <= 30
        assert answer.fields.get("RateLimit-Policy") == '"api";q=2;w=60'
        assert answer.fields.get("RateLimit") == f'"api";r=0;t={wait}'
        assert client.request("GET").status == 429, "the connection stays"


def test_a_bucket_fills_again_with_time(start: Start) -> None:
    gateway = start({"routes": [{"limit": {"key": "client_ip", "rate": "10/s", "burst": 1}, "respond": 200}]})
    with gateway.client() as client:
        assert client.request("GET").status == 200
        assert client.request("GET").status == 429
        until(lambda: client.request("GET").status == 200, "a token", 2)


def test_keys_are_counted_apart_and_names_are_shared(start: Start) -> None:
    limit = {"name": "both", "key": ["header:X-Tenant", "path"], "rate": "1/h", "burst": 1}
    routes = [
        {"match": {"path": "/a"}, "limit": limit, "respond": 200},
        {"match": {"path": "/b"}, "limit": {"key": ["cookie:s"], "rate": "1/h", "burst": 1}, "respond": 200},
    ]
    gateway = start({"routes": routes})
    assert gateway.get("/a/1", X_Tenant="x").status == 200
    assert gateway.get("/a/1", X_Tenant="x").status == 429
    assert gateway.get("/a/1", X_Tenant="y").status == 200
    assert gateway.get("/a/2", X_Tenant="x").status == 200
    assert gateway.get("/b", Cookie="q=1; s=one").status == 200
    assert gateway.get("/b", Cookie="s=one; q=2").status == 429
    assert gateway.get("/b", Cookie="s=two").status == 200


def test_a_delay_holds_requests_back_instead_of_refusing_them(start: Start) -> None:
    limit = {"key": "client_ip", "rate": "20/s", "burst": 1, "delay": "5s"}
    gateway = start({"routes": [{"limit": limit, "respond": 200}]})
    began = time.monotonic()
    with gateway.client() as client:
        assert [client.request("GET").status for _ in range(6)] == [200] * 6
    assert 0.2 < time.monotonic() - began < 2


def test_a_cost_takes_that_many_tokens(start: Start) -> None:
    gateway = start(
        {"routes": [{"limit": {"key": "client_ip", "rate": "1/h", "burst": 10, "cost": 4}, "respond": 200}]}
    )
    assert [gateway.get().status for _ in range(3)] == [200, 200, 429]


def test_a_cap_counts_what_is_in_flight_and_lets_go(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def wait(request: Request, peer: Peer) -> None:
        assert go.wait(20)
        peer.respond()

    upstream = serve(wait)
    gateway = start({"workers": 2, "routes": [{"concurrency": {"key": "route", "max": 3}, "upstream": upstream.url}]})
    held = [gateway.client() for _ in range(3)]
    for client in held:
        client.send(message("GET"))
    upstream.wait(3)
    for _ in range(4):
        answer = gateway.get()
        assert (answer.status, answer.problem) == (429, "too_many_in_flight")
    go.set()
    assert [client.receive().status for client in held] == [200] * 3
    assert gateway.get().status == 200
    held[0].close()
    for client in held[1:]:
        assert client.request("GET").status == 200
        client.close()


def test_a_client_that_leaves_gives_its_place_back(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def wait(request: Request, peer: Peer) -> None:
        go.wait(20)
        peer.respond()

    upstream = serve(wait)
    gateway = start({"routes": [{"concurrency": {"key": "route", "max": 1}, "upstream": upstream.url}]})
    client = gateway.client()
    client.send(message("GET"))
    upstream.wait(1)
    client.reset()
    go.set()
    until(lambda: gateway.get().status == 200, "the place of a client that left")


def test_a_body_beyond_its_limit_is_refused_however_it_is_framed(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"routes": [{"max_body": "1KiB", "upstream": upstream.url}]})
    with gateway.client() as client:
        assert client.request("POST", "/", (), bytes(1024)).status == 200
        client.send_what_is_taken(message("POST", "/", (), bytes(1025)))
        answer = client.receive("POST")
        assert (answer.status, answer.problem) == (413, "body_too_large")
        assert client.is_closed()
    with gateway.client() as client:
        chunk = b"200\r\n" + bytes(512) + b"\r\n"
        head = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send_what_is_taken(head + chunk * 3 + b"0\r\n\r\n")
        answer = client.receive("POST")
        assert (answer.status, answer.problem) == (413, "body_too_large")
    assert [len(request.body) for request in upstream.requests] == [1024]


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(start: Start) -> None:
    gateway = start({"routes": [{"max_body": "1KiB", "respond": 200}]})
    with gateway.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
        assert client.receive_any("PUT").status == 413


def test_heads_beyond_their_limits_are_refused(start: Start) -> None:
    gateway = start({"server": {"head_bytes": "4KiB", "head_fields": 20}, "routes": [{"respond": 200}]})
    assert once(gateway.address, headers={"X-A": "b" * 3500}).status == 200
    large = once(gateway.address, headers={"X-A": "b" * 5000})
    assert (large.status, large.problem) == (431, "head_too_large")
    many = once(gateway.address, headers=[(f"X-{number}", "") for number in range(30)])
    assert (many.status, many.problem) == (431, "too_many_fields")
    long = once(gateway.address, target="/" + "a" * 5000)
    assert (long.status, long.problem) == (414, "target_too_long")


def test_a_connection_too_many_is_told_so(start: Start) -> None:
    gateway = start({"server": {"max_connections": 5}, "routes": [{"respond": 200}]})
    held = [gateway.client() for _ in range(5)]
    assert [client.request("GET").status for client in held] == [200] * 5
    with Client(gateway.address) as one_more:
        answer = one_more.receive()
        assert (answer.status, answer.fields.get("Retry-After")) == (503, "1")
    assert gateway.metrics().one("tidegate_refusals_total", reason="too_many_connections") == 1
    held.pop().close()
    until(lambda: gateway.get().status == 200, "a free place")
    for client in held:
        client.close()


def test_a_head_that_does_not_come_in_time_is_told_so(start: Start) -> None:
    gateway = start({"server": {"head_timeout": "200ms", "keep_alive": "300ms"}, "routes": [{"respond": 200}]})
    with gateway.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost:")
        answer = client.receive()
        assert (answer.status, answer.problem) == (408, "head_timeout")
    with gateway.client() as idle:
        assert idle.request("GET").status == 200
        assert idle.is_closed(), "an idle connection goes without a word"


def test_a_body_that_does_not_come_in_time_is_told_so(start: Start, serve: Serve) -> None:
    gateway = start({"server": {"body_timeout": "200ms"}, "routes": [{"upstream": serve().url}]})
    with gateway.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhalf")
        answer = client.receive("POST")
        assert (answer.status, answer.problem) == (408, "body_timeout")
        assert re.fullmatch(r"[0-9a-f]{32}", answer.json()["request_id"])


def test_a_connection_takes_as_many_requests_as_it_may(start: Start) -> None:
    gateway = start({"server": {"keep_alive_requests": 3}, "routes": [{"respond": 200}]})
    with gateway.client() as client:
        answers = [client.request("GET") for _ in range(3)]
        assert [answer.fields.get("Connection") for answer in answers] == [None, None, "close"]
        assert client.is_closed()
