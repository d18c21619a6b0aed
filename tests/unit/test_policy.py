"""What hooks are given and what they may say."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from tests.unit.fake_engine import FakeCall

import tidegate
from tidegate.policy import Headers, Request


def test_headers_are_found_in_any_case_and_repeated_ones_are_kept() -> None:
    headers = Headers([("X-A", "1"), ("Accept", "a"), ("accept", "b")])
    assert headers["x-a"] == "1"
    assert headers["ACCEPT"] == "a"
    assert headers.getall("Accept") == ["a", "b"]
    assert "x-b" not in headers
    assert headers.get("x-b", "none") == "none"
    assert list(headers) == ["x-a", "accept"]
    assert len(headers) == 2


def test_a_printed_request_shows_no_value_of_a_header() -> None:
    request = Request(FakeCall(1, headers=[("Authorization", "Bearer secret")]))
    assert "secret" not in f"{request!r} {request.headers!r}"
    assert "authorization" in repr(request.headers)


def test_a_request_tells_all_that_the_engine_knows() -> None:
    request = Request(FakeCall(1, headers=[("X-A", "1")], body=b"hello", user="web"))
    assert (request.method, request.target, request.path, request.query) == ("GET", "/a?b=c", "/a", "b=c")
    assert (request.host, request.scheme, request.client_ip, request.user) == (
        "example.com",
        "http",
        "192.0.2.1",
        "web",
    )
    assert (request.route, request.listener, request.request_id) == ("all", "control", "r-1")
    assert request.header("x-a") == "1"
    assert request.header("x-b", "none") == "none"
    assert request.body == b"hello"


@pytest.mark.parametrize(
    ("body", "kind", "written"),
    [
        ("é", "text/plain; charset=utf-8", "é".encode()),
        ({"a": [1]}, "application/json", b'{"a":[1]}'),
        (b"raw", None, b"raw"),
    ],
)
def test_an_answers_type_follows_its_body(body: Any, kind: str | None, written: bytes) -> None:
    said = tidegate.answer(200, body)
    assert said.body == written
    assert dict(said.response_headers).get("Content-Type") == kind


def test_an_answers_own_type_is_kept() -> None:
    assert tidegate.answer(200, "<p>", {"content-type": "text/html"}).response_headers == (
        ("content-type", "text/html"),
    )


@pytest.mark.parametrize("status", [200, 399, 600])
def test_only_errors_refuse(status: int) -> None:
    with pytest.raises(ValueError, match="does not refuse"):
        tidegate.refuse(status)


@pytest.mark.parametrize("status", [100, 101, 199, 600])
def test_only_final_statuses_answer(status: int) -> None:
    with pytest.raises(ValueError, match="no final status"):
        tidegate.answer(status)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é"])
def test_what_is_no_header_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no header name"):
        tidegate.modify(set_headers={name: "x"})


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection"])
def test_headers_that_frame_a_message_are_not_a_hooks_to_write(name: str) -> None:
    with pytest.raises(ValueError, match="the gateway's to write"):
        tidegate.modify(remove_headers=[name])


@pytest.mark.parametrize("value", ["a\r\nX-B: c", "a\nb", "a\0b", "\x7f"])
def test_a_value_cannot_end_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        tidegate.answer(200, headers={"X-A": value})


def test_one_name_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(TypeError, match="list of names"):
        tidegate.modify(remove_headers="X-A")


def test_importing_the_package_brings_in_nothing_heavy() -> None:
    heavy = ("msgspec", "asyncio", "yaml", "tidegate._engine")
    code = f"import sys, tidegate; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": "python"}
    )
    assert done.stdout.strip() == "[]"
