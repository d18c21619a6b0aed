"""The admin API: what it tells, what it hides, and who may change something."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.unit.fake_engine import FakeCall

from tidegate.admin import Admin
from tidegate.admin.redact import redacted
from tidegate.gateway import End, Reloaded
from tidegate.policy import Decision, Request

if TYPE_CHECKING:
    from tidegate.gateway import Gateway


class FakeGateway:
    """A process that only remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.reloaded = Reloaded("", True, 2, "1 route")

    def status(self) -> dict[str, Any]:
        return {"generation": 1}

    def plan(self) -> bytes:
        return b'{"auth": {"keys": [{"name": "web", "sha256": "abcd"}]}}'

    async def reload(self, why: str) -> Reloaded:
        self.asked.append(why)
        return self.reloaded

    def drain(self) -> None:
        self.asked.append("drain")

    def end_soon(self, how: End) -> None:
        self.asked.append(how)

    def trusts(self, listener: str) -> bool:
        return listener == "control"


def ask(gateway: FakeGateway, method: str, path: str, query: str = "", listener: str = "control") -> Decision:
    call = FakeCall(1, method=method, path=path, query=query, listener=listener)
    return asyncio.run(Admin(cast("Gateway", gateway)).handle(Request(call)))


def test_status_and_configuration_are_json() -> None:
    status = ask(FakeGateway(), "GET", "/status", listener="127.0.0.1:9640")
    assert json.loads(status.body or b"") == {"generation": 1}
    assert ("Content-Type", "application/json") in status.response_headers
    config = ask(FakeGateway(), "GET", "/config", listener="127.0.0.1:9640")
    assert json.loads(config.body or b"")["auth"]["keys"] == [{"name": "web", "sha256": "(hidden)"}]


def test_head_is_answered_as_get_is() -> None:
    assert ask(FakeGateway(), "HEAD", "/status").status == 200


@pytest.mark.parametrize("path", ["/reload", "/stop", "/drain"])
def test_nothing_is_changed_over_tcp(path: str) -> None:
    gateway = FakeGateway()
    said = ask(gateway, "POST", path, listener="127.0.0.1:9640")
    assert said.status == 403
    assert json.loads(said.body or b"")["reason"] == "unix_socket_only"
    assert gateway.asked == []


@pytest.mark.parametrize("path", ["/reload", "/stop", "/drain"])
def test_nothing_is_changed_by_a_get(path: str) -> None:
    gateway = FakeGateway()
    said = ask(gateway, "GET", path)
    assert said.status == 405
    assert ("Allow", "POST") in said.response_headers
    assert gateway.asked == []


def test_what_is_not_there_is_a_404_that_says_what_is() -> None:
    said = ask(FakeGateway(), "GET", "/")
    assert said.status == 404
    assert "/status" in json.loads(said.body or b"")["detail"]


def test_a_reload_tells_the_new_generation() -> None:
    said = ask(FakeGateway(), "POST", "/reload")
    assert json.loads(said.body or b"") == {"error": "", "changed": True, "generation": 2, "summary": "1 route"}


def test_a_refused_reload_is_a_422_with_the_whole_text() -> None:
    gateway = FakeGateway()
    gateway.reloaded = Reloaded("a.yaml:1:2: no\na.yaml:2:2: neither", False, 1, "")
    said = ask(gateway, "POST", "/reload")
    assert said.status == 422
    assert json.loads(said.body or b"") == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "reason": "configuration_refused",
        "detail": "a.yaml:1:2: no\na.yaml:2:2: neither",
        "request_id": "r-1",
    }


@pytest.mark.parametrize(
    ("query", "how"), [("", End.DRAIN), ("now", End.NOW), ("a=b&now", End.NOW), ("nowhere", End.DRAIN)]
)
def test_stop_drains_unless_it_is_to_be_now(query: str, how: End) -> None:
    gateway = FakeGateway()
    assert ask(gateway, "POST", "/stop", query).status == 200
    assert gateway.asked == [how]


def test_drain_goes_on_running() -> None:
    gateway = FakeGateway()
    assert ask(gateway, "POST", "/drain").status == 200
    assert gateway.asked == ["drain"]


def test_values_of_secret_headers_are_hidden_and_others_are_not() -> None:
    text = {"kind": "text", "value": "Bearer abc"}
    variable = {"kind": "variable", "name": "client_ip"}
    plan = {
        "request_headers": [
            {"kind": "set", "name": "Authorization", "value": [text, variable]},
            {"kind": "set", "name": "X-Team", "value": [{"kind": "text", "value": "core"}]},
        ],
        "matches": {"headers": [{"name": "X-Api-Key", "test": {"kind": "exact", "value": "k"}}]},
    }
    shown = redacted(plan)
    assert shown["request_headers"][0]["value"] == [{"kind": "text", "value": "(hidden)"}, variable]
    assert shown["request_headers"][1]["value"] == [{"kind": "text", "value": "core"}]
    assert shown["matches"]["headers"][0]["test"] == {"kind": "exact", "value": "(hidden)"}
