"""Upstreams: which endpoint is chosen, what is tried again, who is left out, how long is waited."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, message, once
from tests.support.gateway import Tidegate
from tests.support.http import Request
from tests.support.upstream import Peer, Upstream
from tests.support.waiting import dawdle, until


def dead() -> str:
    """The URL of a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def silent(peer: Peer) -> None:
    """Takes everything and says nothing."""
    peer.stream.rest()


def up(gateway: Tidegate, upstream: Upstream) -> float:
    """The share of workers that choose the endpoint; negative where nothing is known yet."""
    seen = gateway.metrics().some("tidegate_upstream_endpoint_up", endpoint=upstream.address)
    return next(iter(seen.values()), -1)


def test_round_robin_shares_by_weight(start: Start, serve: Serve) -> None:
    first, second = serve(), serve()
    endpoints = [{"url": first.url, "weight": 3}, {"url": second.url}]
    gateway = start(
        {"upstreams": {"a": {"endpoints": endpoints, "balance": "round_robin"}}, "routes": [{"upstream": "a"}]}
    )
    with gateway.client() as client:
        for _ in range(40):
            assert client.request("GET").status == 200
    assert (len(first.requests), len(second.requests)) == (30, 10)


def test_a_busy_endpoint_is_left_alone(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def wait(request: Request, peer: Peer) -> None:
        if request.target == "/slow":
            go.wait(20)
        peer.respond()

    both = [serve(wait), serve(wait)]
    gateway = start(
        {
            "upstreams": {
                "a": {"endpoints": [upstream.url for upstream in both], "balance": "least_requests", "slow_start": "0"}
            },
            "routes": [{"upstream": "a"}],
        }
    )
    with gateway.client() as warm:
        until(lambda: warm.request("GET").status == 200 and all(upstream.requests for upstream in both), "both known")
    held = gateway.client()
    held.send(message("GET", "/slow"))
    until(lambda: any(request.target == "/slow" for upstream in both for request in upstream.requests), "the slow one")
    busy = next(upstream for upstream in both if upstream.requests[-1].target == "/slow")
    before = len(busy.requests)
    with gateway.client() as client:
        for _ in range(30):
            assert client.request("GET").status == 200
    go.set()
    assert held.receive().status == 200
    held.close()
    assert len(busy.requests) == before


def test_a_slow_endpoint_gets_little(start: Start, serve: Serve) -> None:
    def slowly(request: Request, peer: Peer) -> None:
        dawdle(0.05)
        peer.respond()

    quick, slow = serve(), serve(slowly)
    gateway = start({"routes": [{"upstream": [quick.url, slow.url]}]})
    with gateway.client() as client:
        assert [client.request("GET").status for _ in range(100)] == [200] * 100
    assert len(slow.requests) < 25


def test_a_hash_sends_the_same_key_to_the_same_endpoint(start: Start, serve: Serve) -> None:
    many = [serve() for _ in range(4)]
    balance = {"hash": "header:X-User"}
    gateway = start(
        {
            "workers": 2,
            "upstreams": {"a": {"endpoints": [upstream.url for upstream in many], "balance": balance}},
            "routes": [{"upstream": "a"}],
        }
    )
    for user in range(12):
        for _ in range(4):
            assert gateway.get(X_User=f"user{user}").status == 200
    homes: dict[str, set[str]] = {}
    for upstream in many:
        for request in upstream.requests:
            homes.setdefault(request.fields.get("X-User") or "", set()).add(upstream.url)
    assert all(len(where) == 1 for where in homes.values()), homes
    assert len({url for where in homes.values() for url in where}) >= 2


def test_a_dead_endpoint_is_tried_around(start: Start, serve: Serve) -> None:
    alive = serve()
    gateway = start({"routes": [{"upstream": [dead(), alive.url]}]})
    with gateway.client() as client:
        assert [client.request("POST", "/", (), b"x").status for _ in range(20)] == [200] * 20
    assert len(alive.requests) == 20
    assert gateway.metrics().sum("tidegate_retries_total") >= 1
    assert max(record["attempts"] for record in gateway.records(20)) == 2


def test_an_upstream_that_is_not_there_is_a_502(start: Start) -> None:
    gateway = start({"routes": [{"upstream": dead()}]})
    answer = gateway.get()
    assert (answer.status, answer.problem) == (502, "connect_failed")
    (record,) = gateway.records(1)
    assert (record["status"], record["reason"]) == (502, "connect_failed")


def test_a_name_that_does_not_resolve_is_told_so(start: Start) -> None:
    gateway = start({"routes": [{"upstream": "http://no-such-name.invalid:80"}]})
    answer = gateway.get()
    assert (answer.status, answer.problem) == (503, "no_endpoint")


def test_an_idempotent_request_that_is_cut_off_is_tried_again_and_another_is_not(start: Start, serve: Serve) -> None:
    seen: list[str] = []

    def drop_first(request: Request, peer: Peer) -> None:
        seen.append(request.method)
        if seen.count(request.method) == 1:
            peer.close()
        else:
            peer.respond()

    gateway = start({"routes": [{"upstream": serve(drop_first).url}]})
    assert once(gateway.address, "PUT", body=b"body").status == 200
    assert seen == ["PUT", "PUT"]
    answer = once(gateway.address, "POST", body=b"body")
    assert (answer.status, answer.problem) == (502, "upstream_reset")
    assert seen.count("POST") == 1


def test_a_kept_connection_that_has_ended_costs_nobody_an_error(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        for number in range(10):
            assert client.request("POST", f"/{number}", (), b"x").status == 200
            upstream.close_connections()
    assert [request.target for request in upstream.requests] == [f"/{number}" for number in range(10)]


def test_statuses_are_tried_again_where_that_is_asked_for(start: Start, serve: Serve) -> None:
    good = serve()
    bad = serve(lambda request, peer: peer.respond(503, b"busy", reason="Service Unavailable"))
    upstreams = {"a": {"endpoints": [bad.url, good.url], "balance": "round_robin"}}
    retry = {"on": ["503"], "attempts": 2, "budget": "100%"}
    gateway = start({"upstreams": upstreams, "routes": [{"upstream": "a", "retry": retry}]})
    assert Counter(gateway.get().status for _ in range(10)) == {200: 10}
    assert bad.requests


def test_without_being_asked_a_status_is_the_upstreams_word(start: Start, serve: Serve) -> None:
    bad = serve(lambda request, peer: peer.respond(503, b"busy", "X-Own: 1", reason="Busy Now"))
    gateway = start({"routes": [{"upstream": bad.url}]})
    answer = gateway.get()
    assert (answer.status, answer.reason, answer.body, answer.fields.get("X-Own")) == (503, "Busy Now", b"busy", "1")
    assert len(bad.requests) == 1


def test_an_endpoint_that_keeps_failing_is_left_out_and_comes_back(start: Start, serve: Serve) -> None:
    ill = threading.Event()
    ill.set()

    def sick(request: Request, peer: Peer) -> None:
        if ill.is_set():
            peer.reset()
        else:
            peer.respond()

    good, bad = serve(), serve(sick)
    passive = {"failures": 3, "eject": "300ms", "max_percent": "50%"}
    upstream = {
        "endpoints": [good.url, bad.url],
        "balance": "round_robin",
        "health": {"passive": passive},
        "slow_start": "0",
        "retry": {"budget": "100%"},
    }
    gateway = start({"upstreams": {"a": upstream}, "routes": [{"upstream": "a"}]})
    with gateway.client() as client:
        until(lambda: client.request("GET").status == 200 and up(gateway, bad) == 0, "the bad one to be left out")
        until(lambda: up(gateway, good) == 1, "the good one to stay")
        ill.clear()
        until(lambda: client.request("GET").status == 200 and up(gateway, bad) == 1, "it to come back")
        before = len(bad.requests)
        until(lambda: client.request("GET").status == 200 and len(bad.requests) > before + 3, "its share of requests")


def test_probes_leave_an_endpoint_out_before_any_request_sees_it(start: Start, serve: Serve) -> None:
    well = threading.Event()
    well.set()

    def health(request: Request, peer: Peer) -> None:
        if request.target == "/health" and not well.is_set():
            peer.respond(500, b"", reason="Ill")
        else:
            peer.respond()

    good, shaky = serve(), serve(health)
    active = {
        "path": "/health",
        "host": "probe.test",
        "interval": "100ms",
        "timeout": "1s",
        "healthy": 1,
        "unhealthy": 2,
    }
    upstream = {
        "endpoints": [good.url, shaky.url],
        "balance": "round_robin",
        "health": {"active": active},
        "slow_start": "0",
    }
    gateway = start({"workers": 2, "upstreams": {"a": upstream}, "routes": [{"upstream": "a"}]})
    until(lambda: shaky.requests, "a probe")
    assert shaky.requests[0].fields.get("Host") == "probe.test"
    well.clear()
    until(lambda: up(gateway, shaky) == 0, "the shaky one to be left out")
    before = [request for request in shaky.requests if request.target != "/health"]
    assert [gateway.get("/x").status for _ in range(10)] == [200] * 10
    assert [request for request in shaky.requests if request.target != "/health"] == before
    well.set()
    until(lambda: up(gateway, shaky) == 1, "it to come back")


@pytest.mark.parametrize(
    ("timeouts", "reason"),
    [({"head": "200ms"}, "upstream_timeout"), ({"total": "200ms"}, "total_timeout")],
)
def test_an_upstream_that_says_nothing_is_a_504(
    start: Start, serve: Serve, timeouts: dict[str, str], reason: str
) -> None:
    gateway = start({"routes": [{"upstream": serve(serve=silent).url, "timeouts": timeouts}]})
    answer = gateway.get()
    assert (answer.status, answer.problem) == (504, reason)


def test_a_body_that_stalls_ends_the_connection_unfinished(start: Start, serve: Serve) -> None:
    def half(peer: Peer) -> None:
        peer.stream.line()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.stream.rest()

    gateway = start({"routes": [{"upstream": serve(serve=half).url, "timeouts": {"idle": "200ms"}}]})
    with gateway.client() as client:
        client.send(message("GET"))
        assert client.receive_head()[0] == 200
        assert client.stream.rest() == b"half"
    (record,) = gateway.records(1)
    assert (record["status"], record["reason"]) == (200, "upstream_stalled")


def test_connections_are_bounded_and_the_rest_waits_its_turn(start: Start, serve: Serve) -> None:
    most = [0]
    go = threading.Semaphore(0)
    lock = threading.Lock()
    at_once = [0]

    def count(request: Request, peer: Peer) -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        assert go.acquire(timeout=20)
        with lock:
            at_once[0] -= 1
        peer.respond()

    upstream = serve(count)
    pool = {"max_connections": 2, "queue_max": 3, "queue": "10s"}
    gateway = start(
        {"workers": 2, "upstreams": {"a": {"endpoints": upstream.url, "pool": pool}}, "routes": [{"upstream": "a"}]}
    )
    held = [gateway.client() for _ in range(6)]
    for number, client in enumerate(held):
        client.send(message("GET", f"/{number}"))
    upstream.wait(2)
    refused = until(lambda: _readable(held), "a refusal")
    answer = refused[0].receive()
    assert (answer.status, answer.problem) == (503, "upstream_full")
    for _ in held:
        go.release()
    assert [client.receive().status for client in held if client not in refused] == [200] * 5
    for client in held:
        client.close()
    assert most[0] == 2


def _readable(clients: list[Client]) -> list[Client]:
    ready = select.select([client.sock for client in clients], [], [], 0)[0]
    return [client for client in clients if client.sock in ready]


def test_waiting_for_a_connection_has_an_end(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def wait(request: Request, peer: Peer) -> None:
        go.wait(20)
        peer.respond()

    upstream = serve(wait)
    pool = {"max_connections": 1, "queue": "200ms"}
    gateway = start({"upstreams": {"a": {"endpoints": upstream.url, "pool": pool}}, "routes": [{"upstream": "a"}]})
    held = gateway.client()
    held.send(message("GET"))
    upstream.wait(1)
    answer = gateway.get()
    assert (answer.status, answer.problem) == (503, "queue_timeout")
    go.set()
    assert held.receive().status == 200
    held.close()


def test_idle_connections_are_kept_and_given_up_in_time(start: Start, serve: Serve) -> None:
    upstream = serve()
    pool = {"idle": "300ms", "idle_max": 2}
    gateway = start({"upstreams": {"a": {"endpoints": upstream.url, "pool": pool}}, "routes": [{"upstream": "a"}]})
    for _ in range(5):
        assert gateway.get().status == 200
    assert upstream.accepted == 1
    until(lambda: upstream.open == 0, "the idle connection to be given up")


def test_a_dead_upstream_at_the_start_stops_nobody(start: Start, serve: Serve) -> None:
    alive = serve()
    routes: list[dict[str, Any]] = [{"match": {"path": "/dead"}, "upstream": dead()}, {"upstream": alive.url}]
    gateway = start({"routes": routes})
    assert gateway.get("/dead").status == 502
    assert gateway.get("/").status == 200
    assert gateway.admin("/readyz").status == 200
