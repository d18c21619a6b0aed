"""What is counted adds up with what was sent, and every scrape is strict Prometheus text."""

from __future__ import annotations

import pytest
from tests.conftest import Serve, Start
from tests.support.client import message
from tests.support.waiting import until


@pytest.mark.parametrize("workers", [1, 2])
def test_counters_add_up_with_what_was_sent(start: Start, serve: Serve, workers: int) -> None:
    upstream = serve()
    routes = [
        {"name": "forwarded", "match": {"path": "/up"}, "upstream": upstream.url},
        {"name": "own", "match": {"path": "/own"}, "respond": 204},
        {
            "name": "limited",
            "match": {"path": "/few"},
            "limit": {"name": "few", "key": "route", "rate": "1/h"},
            "respond": 200,
        },
    ]
    gateway = start({"workers": workers, "routes": routes})
    assert not gateway.metrics().some("tidegate_requests_total")
    clients = [gateway.client() for _ in range(4)]
    for client in clients:
        for _ in range(5):
            client.request("POST", "/up", (), b"12345")
            client.request("GET", "/own")
            client.request("GET", "/few")
            client.request("GET", "/nowhere")
    for client in clients:
        client.send(b"BAD\r\n\r\n")
        assert client.receive().status == 400
    until(lambda: gateway.metrics().sum("tidegate_requests_total") == 84, "84 requests")
    seen = gateway.metrics()
    assert seen.one("tidegate_requests_total", route="forwarded", **{"class": "2xx"}) == 20
    assert seen.one("tidegate_requests_total", route="own", **{"class": "2xx"}) == 20
    assert seen.one("tidegate_requests_total", route="limited", **{"class": "2xx"}) == 1
    assert seen.one("tidegate_requests_total", route="limited", **{"class": "4xx"}) == 19
    assert seen.one("tidegate_request_bytes_total", route="forwarded") == 100
    assert seen.one("tidegate_response_bytes_total", route="forwarded") == 40
    assert {
        dict(labels)["code"]: count for labels, count in seen.some("tidegate_responses_total").items() if count
    } == {
        "200": 21,
        "204": 20,
        "400": 4,
        "404": 20,
        "429": 19,
    }
    assert seen.one("tidegate_request_duration_seconds_count") == 84
    assert seen.sum("tidegate_worker_requests_total") == 84
    assert seen.one("tidegate_refusals_total", reason="rate_limited") == 19
    assert seen.one("tidegate_refusals_total", reason="no_route") == 20
    assert seen.sum("tidegate_refusals_total") == 19 + 20 + 4
    assert seen.sum("tidegate_upstream_attempts_total", outcome="ok") == 20
    hits, misses = seen.sum("tidegate_upstream_pool_hits_total"), seen.sum("tidegate_upstream_pool_misses_total")
    assert (hits + misses, misses) == (20, upstream.accepted)
    assert seen.one("tidegate_limit_decisions_total", limit="few", decision="refused") == 19
    assert seen.one("tidegate_panics_total") == 0
    assert seen.one("tidegate_workers") == workers
    for client in clients:
        client.close()


def test_open_connections_are_counted_up_and_down(start: Start) -> None:
    gateway = start({"workers": 2, "routes": [{"respond": 200}]})

    def open_now() -> float:
        return gateway.metrics().one("tidegate_connections")

    before = open_now()
    clients = [gateway.client() for _ in range(10)]
    assert all(client.request("GET").status == 200 for client in clients)
    until(lambda: open_now() == before + 10, "ten more connections")
    for client in clients:
        client.close()
    until(lambda: open_now() == before, "ten fewer connections")


def test_a_full_gateway_still_answers_its_admin(start: Start) -> None:
    gateway = start({"server": {"max_connections": 2}, "routes": [{"respond": 200}]})
    held = [gateway.client() for _ in range(2)]
    assert [client.request("GET").status for client in held] == [200, 200]
    for path in ("/healthz", "/readyz", "/metrics", "/status"):
        assert gateway.admin(path).status == 200, "whoever looks after it must see that it is full"
    for client in held:
        client.close()


def test_upstreams_tell_their_state_and_their_idle_connections(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"upstreams": {"named": upstream.url}, "routes": [{"upstream": "named"}]})
    assert gateway.get().status == 200
    where = {"upstream": "named", "endpoint": upstream.address}
    until(lambda: gateway.metrics().one("tidegate_upstream_endpoint_up", **where) == 1, "the endpoint to be up")
    until(
        lambda: gateway.metrics().one("tidegate_upstream_idle_connections", upstream="named") == 1, "an idle connection"
    )
    assert gateway.metrics().one("tidegate_upstream_in_flight", **where) == 0


def test_reloads_are_counted_by_the_plans_number(start: Start) -> None:
    gateway = start({"routes": [{"respond": 200}]})
    assert gateway.metrics().one("tidegate_plan_generation") == 1
    gateway.reload({"routes": [{"respond": 204}]})
    gateway.look()
    generation = gateway.status()["generation"]
    assert generation == 2


def test_the_status_for_people_and_the_metrics_agree(start: Start) -> None:
    gateway = start({"routes": [{"respond": 200}]})
    with gateway.client() as client:
        for _ in range(7):
            client.send(message("GET"))
            client.receive()
    status = gateway.status()
    assert status["engine"]["requests"] == 7
    assert status["engine"]["statuses"] == {"200": 7}
    assert status["version"]
    assert status["pid"] == gateway.pid
