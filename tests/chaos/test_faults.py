"""Kills, resets and shortages under load: what can be served is served, and nothing is lost that need not be."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
from pathlib import Path

from tests.conftest import Serve, Start
from tests.support.client import Client, message
from tests.support.corpus import cases
from tests.support.http import Cut, Ended, Request
from tests.support.load import Load
from tests.support.upstream import Peer, Upstream
from tests.support.waiting import until


def test_an_upstream_that_is_killed_and_comes_back_is_used_again(start: Start, serve: Serve) -> None:
    first: Upstream = serve()
    passive = {"failures": 3, "eject": "200ms"}
    upstream = {"endpoints": first.url, "health": {"passive": passive}, "slow_start": "0"}
    gateway = start({"workers": 2, "upstreams": {"a": upstream}, "routes": [{"upstream": "a"}]})
    with Load(gateway.address).running() as load:
        load.more(200)
        assert set(load.statuses) == {200}
        first.close()
        until(lambda: load.statuses[502] > 20, "refusals while it is down")
        second: Upstream = serve(port=first.port)
        until(lambda: len(second.requests) > 200, "requests to reach it again", 20)
    assert not load.failures, "a client is always answered"
    assert set(load.statuses) <= {200, 502, 503}


def test_one_of_two_endpoints_may_die_without_a_single_error(start: Start, serve: Serve) -> None:
    stays, dies = serve(), serve()
    upstream = {"endpoints": [stays.url, dies.url], "retry": {"budget": "100%"}, "health": {"passive": {"failures": 2}}}
    gateway = start({"workers": 2, "upstreams": {"a": upstream}, "routes": [{"upstream": "a"}]})
    with Load(gateway.address).running() as load:
        load.more(200)
        dies.close()
        load.more(500)
    assert not load.failures
    assert set(load.statuses) == {200}


def test_fifty_reloads_under_load_lose_nothing(start: Start, serve: Serve) -> None:
    upstream = serve()

    def config(number: int) -> dict[str, object]:
        routes = [{"match": {"path": f"/r{index}"}, "respond": 200} for index in range(number % 5)]
        edits = {"response": {"set": {"X-Plan": str(number)}}}
        return {"workers": 2, "routes": [*routes, {"headers": edits, "upstream": upstream.url}]}

    gateway = start(config(0))
    with Load(gateway.address).running() as load, Load(gateway.address, 2, body=b"x" * 5000).running() as uploads:
        for number in range(1, 51):
            assert f"generation {number + 1}" in gateway.reload(config(number))
        load.more(50)
    assert not load.failures + uploads.failures
    assert set(load.statuses) == set(uploads.statuses) == {200}
    assert gateway.get().fields.get("X-Plan") == "50"
    assert gateway.status()["reloads"]["failed"] == 0


def test_new_connections_are_taken_while_plans_and_listeners_change(start: Start) -> None:
    """Every reload adds or removes a listener; the one that stays never misses a connection."""
    front = {"address": "127.0.0.1:0", "name": "front"}
    back = {"address": "127.0.0.1:0", "name": "back"}
    gateway = start({"workers": 2, "listeners": [front, back], "routes": [{"respond": 200}]})
    over = threading.Event()
    wrong: list[str] = []
    count = [0]

    def connect() -> None:
        while not over.is_set():
            try:
                with gateway.client() as client:
                    status = client.request("GET").status
                if status != 200:
                    wrong.append(str(status))
            except (OSError, Ended, Cut) as error:
                wrong.append(repr(error))
            count[0] += 1

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        listeners = [front] if number % 2 == 0 else [back, front]
        assert "generation" in gateway.reload({"workers": 2, "listeners": listeners, "routes": [{"respond": 200}]})
    until(lambda: count[0] > 200, "connections")
    over.set()
    for thread in threads:
        thread.join(10)
    assert not wrong


def test_clients_that_reset_within_a_response_harm_nobody(start: Start, serve: Serve) -> None:
    def pour(request: Request, peer: Peer) -> None:
        if request.target == "/small":
            peer.respond()
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + bytes(5_000_000))

    upstream = serve(pour)
    gateway = start({"workers": 2, "routes": [{"upstream": upstream.url}]})
    for _ in range(30):
        client = gateway.client()
        client.send(message("GET", "/large"))
        assert client.receive_head()[0] == 200
        client.stream.exactly(1000)
        client.reset()
    with gateway.client() as client:
        assert client.request("GET", "/small").status == 200
    until(lambda: upstream.open <= 2, "connections to the upstream to end with their clients")
    reasons = {record["reason"] for record in gateway.records(30) if record["target"] == "/large"}
    assert reasons == {"client_gone"}


def test_upstreams_that_reset_within_a_response_cut_it_and_nothing_else(start: Start, serve: Serve) -> None:
    def cut(request: Request, peer: Peer) -> None:
        if request.target == "/whole":
            peer.respond()
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(500))
            peer.reset()

    upstream = serve(cut)
    gateway = start({"routes": [{"upstream": upstream.url, "retry": "off"}]})
    cut_off = 0
    for _ in range(30):
        with gateway.client() as client:
            client.send(message("GET", "/cut"))
            try:
                cut_off += client.receive().status == 502
            except (Cut, Ended, ConnectionResetError):
                cut_off += 1
        assert gateway.get("/whole").status == 200
    assert cut_off == 30, "half a body is never told as a whole one"


def test_running_out_of_descriptors_is_said_and_survived(start: Start, serve: Serve) -> None:
    gateway = start({"routes": [{"respond": 200}]}, descriptors=64)
    held: list[Client] = []
    first = gateway.client()
    assert first.request("GET").status == 200
    held.extend(gateway.client() for _ in range(80))  # the kernel takes what the process can't
    gateway.said.wait("(?i)open files")
    assert first.request("GET").status == 200, "who is in is served"
    for client in held:
        client.close()
    until(lambda: _answers(gateway.address), "new connections to be taken again")
    first.close()
    assert gateway.said.count < 40, "it is said seldom"


def _answers(address: str) -> bool:
    try:
        with Client(address, timeout=1) as client:
            return client.request("GET").status == 200
    except (OSError, Ended, Cut):
        return False


def test_a_killed_process_starts_again_on_the_same_port_and_state(start: Start, serve: Serve, tmp_path: Path) -> None:
    upstream = serve()
    folder = tmp_path / "same"
    config = {"routes": [{"upstream": upstream.url}]}
    first = start(config, folder=folder)
    fixed = {**config, "listeners": [first.address]}
    first.stop()
    for _ in range(3):
        gateway = start(fixed, folder=folder)
        kept = gateway.client()
        assert kept.request("GET").status == 200
        os.kill(gateway.pid, signal.SIGKILL)
        gateway.wait()
        kept.close()
    last = start(fixed, folder=folder)
    assert last.address == first.address
    assert last.get().status == 200
    assert json.loads((last.state / "run.json").read_text())["pid"] == last.pid
    assert last.status()["pid"] == last.pid


def test_two_thousand_good_and_bad_requests_leave_nothing_behind(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"workers": 2, "routes": [{"upstream": upstream.url}]})
    bad = [case.bytes for case in cases(responses=False) if case.expect != "accept" and len(case.bytes) < 10_000]
    dice = random.Random(20)

    def one() -> None:
        with gateway.client() as client:
            if dice.random() < 0.5:
                assert client.request("POST", "/good", (), bytes(dice.randrange(3000))).status == 200
                return
            client.send_what_is_taken(dice.choice(bad))
            if dice.random() < 0.3:
                client.reset()
                return
            client.no_more()
            with contextlib.suppress(ConnectionResetError):
                client.stream.rest()

    for _ in range(500):
        one()
    until(lambda: gateway.connections() <= 1, "clients to be gone")
    descriptors, memory = gateway.descriptors(), gateway.memory_kib()
    for _ in range(1500):
        one()
    until(lambda: gateway.descriptors() <= descriptors + 2, f"as few descriptors as before ({descriptors})")
    assert gateway.memory_kib() < memory + 3072
    assert all(request.target != "/evil" for request in upstream.requests)
    assert gateway.get("/good").status == 200


def test_a_stop_under_load_ends_the_process_in_order(start: Start, serve: Serve) -> None:
    gateway = start({"workers": 2, "routes": [{"upstream": serve().url}]})
    with Load(gateway.address, 4).running() as load:
        load.more(100)
        gateway.signal(signal.SIGQUIT)
        assert gateway.wait(15) == 0
    refused = [failure for failure in load.failures if "Refused" not in failure and "Reset" not in failure]
    assert not [failure for failure in refused if "Cut" in failure], "no response was cut"
    assert set(load.statuses) == {200}
