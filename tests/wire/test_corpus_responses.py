"""Every response of the corpus, said by an upstream: what is ambiguous becomes a 502, never a response."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.client import once
from tests.support.corpus import Case, cases
from tests.support.gateway import Tidegate
from tests.support.http import Cut, Request, read_response
from tests.support.upstream import Peer, Upstream
from tests.support.waiting import until

CASES = cases(responses=True)


class Scene:
    """A gateway before an upstream that answers with the bytes of a case."""

    def __init__(self, folder: Path) -> None:
        self.says: Case | None = None
        self.upstream = Upstream(self.answer)
        route = {"upstream": self.upstream.url, "retry": "off"}
        self.gateway = Tidegate(folder, {"routes": [route], "upstreams": {}, "server": {"body_timeout": "5s"}})

    def answer(self, request: Request, peer: Peer) -> None:
        if self.says is None:
            peer.respond(200, b"")
            return
        case = self.says
        self.says = None
        try:
            peer.send(case.bytes)
        except OSError:
            return  # refused before all of it was said
        told = case.told
        if case.expect == "partial" or told.get("framing") == "until_close" or _half(case):
            peer.close()

    def ask(self, case: Case) -> tuple[int, str | None, bytes]:
        """Status, reason and body that the client gets."""
        self.says = case
        with self.gateway.client() as client:
            client.send(f"{case.method} / HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            response = client.receive(case.method)
            own = response.fields.get("Content-Type") == "application/problem+json"
            return response.status, response.problem if own and response.body else None, response.body


def _half(case: Case) -> bool:
    """A refusal that comes only once the head is known to be no more than that."""
    return case.reason in ("not_http", "invalid_status_line", "head_too_large")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("corpus"))
    try:
        scene.gateway.ready()
        yield scene
    finally:
        scene.gateway.stop()
        scene.upstream.close()
    assert not scene.upstream.faults


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "refuse" and case.status], ids=repr)
def test_an_ambiguous_response_becomes_a_502_with_its_reason(scene: Scene, case: Case) -> None:
    status, reason, _ = scene.ask(case)
    assert status == case.status
    if case.method != "HEAD":
        assert reason == case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "refuse" and not case.status], ids=repr)
def test_a_body_that_breaks_off_in_its_framing_is_never_told_as_whole(scene: Scene, case: Case) -> None:
    try:
        status, _, _ = scene.ask(case)
    except (Cut, ConnectionResetError):
        return  # the head had gone; the body did not come to its end
    assert status == 502


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.expect == "accept" and (case.status or 0) >= 200], ids=repr
)
def test_an_accepted_response_reaches_the_client_as_it_was_meant(scene: Scene, case: Case) -> None:
    status, _, body = scene.ask(case)
    assert status == case.status
    assert body == case.told.get("body", "").encode()
    before = scene.upstream.accepted
    until(lambda: case.told["keep_alive"] or scene.upstream.open == 0, "the connection to the upstream to be closed")
    assert once(scene.gateway.address).status == 200
    assert scene.upstream.accepted - before == (0 if case.told["keep_alive"] else 1)


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "partial"], ids=repr)
def test_half_a_response_is_never_told_as_whole(scene: Scene, case: Case) -> None:
    try:
        status, _, _ = scene.ask(case)
    except (Cut, ConnectionResetError):
        return
    assert status == 502


def test_early_hints_come_before_the_response_and_continue_only_to_who_waits(scene: Scene) -> None:
    def hints(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        peer.respond(200, b"after")

    scene.upstream.answer = hints
    try:
        with scene.gateway.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            first = read_response(client.stream)
            assert (first.status, first.fields.get("Link")) == (103, "</a>; rel=preload")
            assert read_response(client.stream).body == b"after"
    finally:
        scene.upstream.answer = scene.answer


def test_a_switch_that_nobody_asked_for_is_a_502(scene: Scene) -> None:
    case = next(case for case in CASES if case.name == "switching protocols")
    assert scene.ask(case)[:2] == (502, "unexpected_upgrade")
