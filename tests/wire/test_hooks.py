"""Python's word on a request: refuse, answer, modify, pick; and what happens when it has none, is late or breaks."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.client import once
from tests.support.gateway import Tidegate
from tests.support.upstream import Upstream

POLICIES = '''
"""Policies of a test."""

import asyncio
import time

from tidegate import answer, modify, refuse

calls = 0


def nothing(request):
    """Lets everything pass."""


def check(request):
    """Refuses whoever has no token."""
    if request.header("X-Token") != "right":
        return refuse(403, "a token is needed", {"X-Why": "token"})


async def slowly(request):
    """Lets everything pass after a turn of the loop."""
    await asyncio.sleep(0)
    return modify(set_headers={"X-Async": "yes"})


def describe(request):
    """Answers with what it sees."""
    return answer(
        200,
        {
            "method": request.method, "path": request.path, "query": request.query, "host": request.host,
            "client_ip": request.client_ip, "route": request.route, "user": request.user, "scheme": request.scheme,
            "target": request.target, "listener": request.listener, "request_id": request.request_id,
            "headers": request.headers.items_as_sent(), "body": None if request.body is None else request.body.decode(),
        },
        {"X-From": "hook"},
    )


def change(request):
    """Sets and removes headers."""
    return modify(set_headers={"X-Set": "by hook", "X-Tenant": request.host}, remove_headers=["X-Remove"])


def pick(request):
    """Sends some elsewhere."""
    return modify(upstream=request.header("X-To")) if request.header("X-To") else None


def length(request):
    """Looks at the body and lets it pass."""
    return modify(set_headers={"X-Length": str(len(request.body))})


def broken(request):
    raise RuntimeError("the policy is broken")


def blocks(request):
    """Keeps the interpreter for itself."""
    time.sleep(0.2)  # a hook


async def late(request):
    """Comes never."""
    await asyncio.sleep(60)  # a hook
'''


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A folder with policies in it, for a gateway to run in."""
    folder = tmp_path / "with-policies"
    folder.mkdir()
    (folder / "policies.py").write_text(POLICIES)
    return folder


def route(path: str, hook: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"match": {"path": path}, "hook": hook, **more}


def test_a_hook_refuses_and_lets_pass(start: Start, serve: Serve, policies: Path) -> None:
    upstream = serve()
    gateway = start({"routes": [route("/", "policies:check", upstream=upstream.url)]}, folder=policies)
    refused = gateway.get()
    assert refused.status == 403
    assert refused.json()["detail"].startswith("A token is needed") or "a token is needed" in refused.json()["detail"]
    assert refused.fields.get("X-Why") == "token"
    assert gateway.get(X_Token="right").status == 200
    assert len(upstream.requests) == 1


def test_an_async_hook_and_one_without_a_word_let_pass(start: Start, serve: Serve, policies: Path) -> None:
    upstream = serve()
    routes = [
        route("/a", "policies:slowly", upstream=upstream.url),
        route("/b", "policies:nothing", upstream=upstream.url),
    ]
    gateway = start({"workers": 2, "routes": routes}, folder=policies)
    with gateway.client() as client:
        for _ in range(20):
            assert client.request("GET", "/a").status == 200
            assert client.request("GET", "/b").status == 200
    assert [request.fields.get("X-Async") for request in upstream.requests] == ["yes", None] * 20


def test_a_hook_sees_the_request_as_it_came(start: Start, policies: Path) -> None:
    gateway = start(
        {"routes": [{"name": "seen", **route("/", {"call": "policies:describe", "body": True})}]}, folder=policies
    )
    fields = [("Host", "Shop.Example:81"), ("X-A", "1"), ("x-a", "é")]
    reply = once(gateway.address, "POST", "/a%20b/../c?d=e", fields, b"the body")
    assert (reply.status, reply.fields.get("X-From"), reply.fields.get("Content-Type")) == (
        200,
        "hook",
        "application/json",
    )
    seen = reply.json()
    assert seen["method"] == "POST"
    assert seen["target"] == "/a%20b/../c?d=e"
    assert (seen["path"], seen["query"]) == ("/c", "d=e")
    assert (seen["host"], seen["client_ip"], seen["scheme"]) == ("shop.example", "127.0.0.1", "http")
    assert (seen["route"], seen["user"], seen["body"]) == ("seen", "", "the body")
    assert seen["headers"] == [["Host", "Shop.Example:81"], ["X-A", "1"], ["x-a", "é"], ["Content-Length", "8"]]
    assert seen["request_id"] == gateway.records(1)[0]["request_id"]


def test_a_hook_changes_what_the_upstream_gets(start: Start, serve: Serve, policies: Path) -> None:
    upstream = serve()
    gateway = start({"routes": [route("/", "policies:change", upstream=upstream.url)]}, folder=policies)
    assert once(gateway.address, headers=[("X-Set", "by client"), ("X-Remove", "1"), ("x-remove", "2")]).status == 200
    got = upstream.requests[0].fields
    assert (got.get("X-Set"), got.get("X-Tenant")) == ("by hook", "a.example")
    assert "X-Remove" not in got


def test_a_hook_picks_another_upstream_and_a_wrong_name_is_an_error(start: Start, serve: Serve, policies: Path) -> None:
    one, two = serve(), serve()
    config = {
        "upstreams": {"one": one.url, "two": two.url},
        "routes": [route("/", "policies:pick", upstream="one")],
    }
    gateway = start(config, folder=policies)
    assert gateway.get().status == 200
    assert gateway.get(X_To="two").status == 200
    assert (len(one.requests), len(two.requests)) == (1, 1)
    wrong = gateway.get(X_To="three")
    assert (wrong.status, wrong.problem) == (500, "hook_unknown_upstream")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hook_reads_the_body_and_the_upstream_gets_it_all_the_same(
    start: Start, serve: Serve, policies: Path, chunked: bool
) -> None:
    upstream = serve()
    hook = {"call": "policies:length", "body": True, "max_body": "200KiB"}
    gateway = start({"routes": [route("/", hook, upstream=upstream.url)]}, folder=policies)
    content = b"abc" * 50_000
    with gateway.client() as client:
        if chunked:
            client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))
            assert client.receive("POST").status == 200
        else:
            assert client.request("POST", "/", (), content).status == 200
        assert client.request("GET").status == 200
    first = upstream.requests[0]
    assert (first.fields.get("X-Length"), first.body) == ("150000", content)
    with gateway.client() as client:
        client.send_what_is_taken(
            b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
        )
        too_large = client.receive("POST")
    assert (too_large.status, too_large.problem) == (413, "body_too_large")


@pytest.mark.parametrize(("function", "reason"), [("broken", "hook_failed"), ("late", "hook_timeout")])
def test_a_hook_that_fails_refuses_or_allows_as_its_route_says(
    start: Start, serve: Serve, policies: Path, function: str, reason: str
) -> None:
    upstream = serve()

    def hook(on_failure: str) -> dict[str, Any]:
        return {"call": f"policies:{function}", "timeout": "200ms", "on_failure": on_failure}

    routes = [route("/no", hook("refuse"), upstream=upstream.url), route("/yes", hook("allow"), upstream=upstream.url)]
    gateway = start({"routes": routes}, folder=policies)
    refused = gateway.get("/no")
    assert (refused.status, refused.problem) == (503, reason)
    assert gateway.get("/yes").status == 200
    assert [request.target for request in upstream.requests] == ["/yes"]
    if function == "broken":
        gateway.said.wait("the policy is broken")
    # A traceback of the policy's own is no fault of the gateway.
    gateway.said.wait("policies", within=1) if function == "broken" else None


def test_a_hook_that_blocks_moves_no_other_route(start: Start, serve: Serve, policies: Path) -> None:
    upstream = serve()
    routes = [
        route("/slow", {"call": "policies:blocks", "timeout": "20s"}, upstream=upstream.url),
        {"upstream": upstream.url},
    ]
    gateway = start({"routes": routes}, folder=policies)

    def median(count: int) -> float:
        took = []
        with gateway.client() as client:
            for _ in range(count):
                began = time.perf_counter()
                assert client.request("GET", "/plain").status == 200
                took.append(time.perf_counter() - began)
        return statistics.median(took)

    quiet = median(300)
    over = threading.Event()
    blocked = [0]

    def block() -> None:
        with gateway.client(timeout=20) as client:
            while not over.is_set():
                assert client.request("GET", "/slow").status == 200
                blocked[0] += 1

    thread = threading.Thread(target=block)
    thread.start()
    while not blocked[0]:
        assert gateway.get("/plain").status == 200
    busy = median(300)
    over.set()
    thread.join(20)
    assert blocked[0] >= 1
    assert busy < max(4 * quiet, 0.02), f"{busy * 1000:.2f} ms while a hook blocks, {quiet * 1000:.2f} ms else"


def test_hooks_are_loaded_anew_with_the_configuration(start: Start, policies: Path) -> None:
    config = {"routes": [route("/", "policies:describe")]}
    gateway = start(config, folder=policies)
    assert gateway.get().fields.get("X-From") == "hook"
    (policies / "policies.py").write_text(POLICIES.replace('"X-From": "hook"', '"X-From": "new hook"'))
    gateway.reload(config)
    assert gateway.get().fields.get("X-From") == "new hook"


def test_a_hook_that_does_not_exist_is_told_by_place(start: Start, policies: Path) -> None:
    gateway = start({"routes": [route("/", "policies:nobody", respond=200)]}, folder=policies, wait=False)
    assert gateway.wait() == 1
    assert "nobody" in gateway.said.text
    assert f"{gateway.file}:" in gateway.said.text


def test_many_calls_at_once_all_get_their_own_verdict(start: Start, policies: Path) -> None:
    gateway: Tidegate = start({"workers": 2, "routes": [route("/", "policies:describe")]}, folder=policies)
    clients = [gateway.client() for _ in range(50)]
    for round_ in range(4):
        for number, client in enumerate(clients):
            client.send(f"GET /{number}/{round_} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        for number, client in enumerate(clients):
            assert client.receive().json()["path"] == f"/{number}/{round_}"
    for client in clients:
        client.close()
    figures = gateway.status()["hooks"]
    assert next(hook for hook in figures if hook["name"] == "policies:describe")["calls"] == 200


def test_a_client_that_leaves_while_a_hook_decides_harms_nobody(start: Start, serve: Serve, policies: Path) -> None:
    upstream: Upstream = serve()
    gateway = start(
        {"routes": [route("/slow", "policies:blocks", upstream=upstream.url), {"respond": 200}]}, folder=policies
    )
    for _ in range(5):
        client = gateway.client()
        client.send(b"GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n")
        client.reset()
    assert gateway.get("/plain").status == 200
    assert gateway.get("/slow").status == 200
