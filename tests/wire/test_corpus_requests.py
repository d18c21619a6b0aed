"""Every request of the corpus, over real sockets: what is refused reaches no upstream, what is taken does once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.client import Client, once
from tests.support.corpus import Case, cases
from tests.support.gateway import Tidegate
from tests.support.http import Cut, Ended, Request, read_response
from tests.support.upstream import Upstream

CASES = cases(responses=False)
_fences = itertools.count()


class Scene:
    """A gateway of one worker before an upstream that keeps what it gets."""

    def __init__(self, gateway: Tidegate, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream

    def reached(self) -> list[Request]:
        """What has reached the upstream since the last call, once all that was under way has.

        The fence goes through the same worker after everything that was sent before it.
        """
        fence = f"/fence/{next(_fences)}"
        assert once(self.gateway.address, target=fence).status == 200
        requests = list(self.upstream.requests)
        self.upstream.requests.clear()
        assert requests[-1].target == fence, "what came before a fence comes after it"
        faults, self.upstream.faults[:] = list(self.upstream.faults), []
        assert not faults
        return requests[:-1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("corpus")
    with Upstream() as upstream:
        listener = {"address": "127.0.0.1:0", "http2": False}  # the cases are of HTTP/1
        gateway = Tidegate(folder, {"listeners": [listener], "routes": [{"upstream": upstream.url}]})
        try:
            yield Scene(gateway.ready(), upstream)
        finally:
            gateway.stop()


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "refuse"], ids=repr)
def test_a_refused_request_gets_its_reason_and_never_reaches_the_upstream(scene: Scene, case: Case) -> None:
    with scene.gateway.client() as client:
        client.send_what_is_taken(case.bytes)
        for _ in case.upstream:  # those before the one that is refused
            assert client.receive().status == 200
        answer = client.receive("HEAD" if case.bytes.startswith(b"HEAD ") else "GET")
        assert answer.status == case.status
        if answer.body:
            assert answer.problem == case.reason
        assert answer.fields.get("Connection") == "close"
        assert client.is_closed()
    check(scene.reached(), case)


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "accept"], ids=repr)
def test_an_accepted_request_reaches_the_upstream_exactly_once(scene: Scene, case: Case) -> None:
    with scene.gateway.client() as client:
        client.send_what_is_taken(case.bytes)
        for expected in case.upstream:
            assert client.receive(expected["method"]).status == 200
        if case.told.get("keep_alive") is False:
            assert client.is_closed()
        elif case.told.get("keep_alive") is True:
            assert client.request("GET", "/again").status == 200
            case.upstream.append({"method": "GET", "target": "/again", "body_length": 0})
    try:
        check(scene.reached(), case)
    finally:
        if case.upstream and case.upstream[-1]["target"] == "/again":
            case.upstream.pop()


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "partial"], ids=repr)
def test_half_a_request_never_becomes_a_whole_one(scene: Scene, case: Case) -> None:
    with scene.gateway.client() as client:
        client.send(case.bytes)
        client.no_more()
        answers = []
        with pytest.raises((Ended, Cut, ConnectionResetError)):
            while True:
                answers.append(read_response(client.stream))
        assert [answer.status for answer in answers] in ([], [400], [408])
    assert not scene.reached()


def test_a_request_that_drips_in_byte_by_byte_is_the_same_request(scene: Scene) -> None:
    with scene.gateway.client() as client:
        for (
            byte
        ) in b"POST /slow HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n":
            client.send(bytes([byte]))
        assert client.receive().status == 200
    (request,) = scene.reached()
    assert (request.method, request.target, request.body) == ("POST", "/slow", b"hello")


def test_a_hundred_pipelined_requests_are_answered_in_their_order(scene: Scene) -> None:
    with scene.gateway.client() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % number for number in range(100)))
        for _ in range(100):
            assert client.receive().status == 200
    assert [request.target for request in scene.reached()] == [f"/{number}" for number in range(100)]


def check(requests: list[Request], case: Case) -> None:
    assert [request.method for request in requests] == [expected["method"] for expected in case.upstream]
    for request, expected in zip(requests, case.upstream, strict=True):
        same(request, expected)


def same(request: Request, expected: dict[str, Any]) -> None:
    assert request.target == expected["target"]
    assert len(request.body) == expected["body_length"]
    if "body" in expected:
        assert request.body == expected["body"].encode()
    if "host" in expected:
        assert request.fields.get("Host") == expected["host"]
    for name, value in expected.get("present", []):
        as_bytes = value.encode().decode("latin-1")
        assert as_bytes in request.fields.all(name), f"{name} is not forwarded: {request.fields}"
    for name in expected.get("absent", []):
        assert name not in request.fields or name.lower() in ("connection", "transfer-encoding"), f"{name} is forwarded"


def test_a_client_that_sends_nothing_is_told_nothing(scene: Scene) -> None:
    with Client(scene.gateway.address) as client:
        client.no_more()
        assert client.is_closed()
