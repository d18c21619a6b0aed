"""Endpoints of passed-on connections that die in the middle: those on them see a break, everybody else goes on."""

from __future__ import annotations

import socket
import threading

from tests.conftest import Start
from tests.support.client import connect
from tests.support.streams import StreamServer, echo
from tests.support.waiting import until


def _talk(address: str, count: int) -> tuple[int, int]:
    """Connections, one after the other, each with a question; how many were answered and how many were not."""
    good = bad = 0
    for number in range(count):
        try:
            with connect(address) as sock:
                sock.sendall(b"%d" % number)
                good += sock.recv(100) == b"%d" % number
        except OSError:
            bad += 1
    return good, bad


def test_an_endpoint_that_dies_takes_only_its_own_connections_with_it(start: Start) -> None:
    stays, dies = StreamServer(echo), StreamServer(echo)
    upstream = {
        "endpoints": [stays.url, dies.url],
        "balance": "round_robin",
        "health": {"passive": {"failures": 2}},
        "retry": {"budget": "100%"},
    }
    listener = {"address": "127.0.0.1:0", "protocol": "tcp", "upstream": "a"}
    gateway = start({"workers": 2, "listeners": [listener], "upstreams": {"a": upstream}})
    held = [connect(gateway.address) for _ in range(20)]
    for sock in held:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    assert stays.accepted > 0
    assert dies.accepted > 0
    dies.close()
    on_it = dies.accepted
    broken = 0
    for sock in held:
        try:
            sock.sendall(b"y")
            broken += sock.recv(1) != b"y"
        except OSError:
            broken += 1
        sock.close()
    assert broken == on_it, "exactly those who were on it"
    good, bad = _talk(gateway.address, 100)
    assert (good, bad) == (100, 0), "new ones are tried elsewhere before anything was sent"
    assert any("left out" in line for line in gateway.said.all())
    stays.close()


def test_reloads_and_a_dead_endpoint_under_load_lose_no_new_connection(start: Start) -> None:
    servers = [StreamServer(echo) for _ in range(3)]

    def config(number: int) -> dict[str, object]:
        upstream = {"endpoints": [server.url for server in servers], "retry": {"budget": "100%"}}
        listener = {"address": "127.0.0.1:0", "name": "t", "protocol": "tcp", "upstream": "a"}
        limits = [{"match": {"path": f"/{number}"}, "respond": 200}]
        return {"workers": 2, "listeners": [listener], "upstreams": {"a": upstream}, "routes": limits}

    gateway = start(config(0))
    address, results = gateway.address, []

    def load() -> None:
        results.append(_talk(address, 300))

    threads = [threading.Thread(target=load) for _ in range(3)]
    with connect(address) as held:
        held.sendall(b"a")
        assert held.recv(1) == b"a"
        victim = next(server for server in servers if server.accepted == 0)
        for thread in threads:
            thread.start()
        for number in range(1, 8):
            gateway.reload(config(number))
        victim.close()
        for thread in threads:
            thread.join()
        held.sendall(b"b")
        assert held.recv(1) == b"b", "a connection outlives reloads"
    lost = sum(bad for _, bad in results)
    assert lost <= 3, "at most those that were on it when it died"
    assert sum(good for good, _ in results) + lost >= 897
    for server in servers:
        server.close()


def test_descriptors_and_memory_are_flat_after_thousands_of_connections(start: Start) -> None:
    server = StreamServer(echo)
    listener = {"address": "127.0.0.1:0", "protocol": "tcp", "upstream": server.url}
    gateway = start({"listeners": [listener], "access_log": False})
    _talk(gateway.address, 300)
    until(lambda: gateway.connections() <= 1, "all to have gone")
    descriptors, memory = gateway.descriptors(), gateway.memory_kib()
    for _ in range(5):
        assert _talk(gateway.address, 300)[1] == 0
    until(lambda: gateway.connections() <= 1, "all to have gone")
    assert gateway.descriptors() <= descriptors + 2
    assert gateway.memory_kib() - memory < 4096
    with connect(gateway.address) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    server.close()
