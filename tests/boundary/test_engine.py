"""Values across the boundary: a plan in, addresses and figures out, calls and verdicts by value, errors by name."""

from __future__ import annotations

import gc
import json
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.client import Client, message, once
from tests.support.http import Response
from tests.support.waiting import until

from tidegate import _engine
from tidegate.load import from_flags, load
from tidegate.lower import lower

ROOT = Path(__file__).parents[2]


def plan_of(folder: Path, config: dict[str, Any]) -> bytes:
    file = folder / "tidegate.yaml"
    file.write_text(json.dumps({"listeners": ["127.0.0.1:0"], "access_log": False, **config}))
    loaded = load(str(file))
    return lower(loaded.config, loaded.where).bytes


HOOK = {"routes": [{"name": "asked", "hook": {"call": "m:f", "body": True, "timeout": "5s"}, "respond": 200}]}


@pytest.fixture
def engine() -> Iterator[_engine.Gateway]:
    gateway = _engine.Gateway(2)
    yield gateway
    gateway.stop()


class Asked:
    """A request in a thread of its own, while the test plays Python's part."""

    def __init__(self, address: str, data: bytes) -> None:
        self._client = Client(address)
        self._client.send(data)

    def answer(self) -> Response:
        try:
            return self._client.receive()
        finally:
            self._client.close()


def call_of(engine: _engine.Gateway) -> _engine.Call:
    """Waits at the descriptor, as the loop does, and takes the one call."""
    ready, _, _ = select.select([engine.calls_fd()], [], [], 10)
    assert ready, "the descriptor never became readable"
    (call,) = engine.take_calls(16)
    return call


def test_a_plan_goes_in_and_bound_addresses_come_out(engine: _engine.Gateway, tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path, {"listeners": ["127.0.0.1:0", f"unix:{tmp_path / 's'}"], "routes": [{"respond": {"body": "a"}}]}
    )
    first, second = engine.start(plan)
    assert first.startswith("127.0.0.1:")
    assert not first.endswith(":0")
    assert second == f"unix:{tmp_path / 's'}"
    assert once(first).body == once(second).body == b"a"
    assert engine.apply(plan_of(tmp_path, {"routes": [{"respond": {"body": "b"}}]}))[0] == first
    assert once(first).body == b"b"


def test_starting_twice_is_refused_and_the_first_start_stays(engine: _engine.Gateway, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"routes": [{"respond": 200}]})
    (address,) = engine.start(plan)
    with pytest.raises(_engine.EngineError):
        engine.start(plan)
    assert once(address).status == 200


def test_applying_before_the_start_is_refused(engine: _engine.Gateway, tmp_path: Path) -> None:
    with pytest.raises(_engine.EngineError):
        engine.apply(plan_of(tmp_path, {"routes": [{"respond": 200}]}))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\xfe", b'{"schema": 999999}', b"null"])
def test_what_is_no_plan_is_refused_by_every_entry(engine: _engine.Gateway, data: bytes) -> None:
    entries: list[Callable[[], object]] = [
        lambda: engine.start(data),
        lambda: _engine.check(data),
        lambda: _engine.explain(data, 0, "GET", "/", []),
    ]
    for entry in entries:
        with pytest.raises(_engine.PlanRejected) as caught:
            entry()
        assert caught.value.why
        assert isinstance(caught.value.path, str)


def test_a_plan_is_refused_with_the_place_that_is_wrong(engine: _engine.Gateway, tmp_path: Path) -> None:
    good = plan_of(tmp_path, {"routes": [{"respond": 200}, {"match": {"regex": "^/a"}, "respond": 200}]})
    (address,) = engine.start(good)
    bad = json.loads(good)
    route = next(
        at for at, route in enumerate(bad["routes"]) if (route["matches"]["path"] or {}).get("kind") == "regex"
    )
    bad["routes"][route]["matches"]["path"]["value"] = "(["
    data = json.dumps(bad).encode()
    for entry in (_engine.check, engine.apply):
        with pytest.raises(_engine.PlanRejected) as caught:
            entry(data)
        assert caught.value.path.startswith(f"routes[{route}].matches.path")
        assert caught.value.why
    assert once(address).status == 200, "the old plan stays"


@pytest.mark.parametrize("key", ["schema", "listeners", "routes", "server"])
def test_no_key_of_a_plan_may_be_left_out(tmp_path: Path, key: str) -> None:
    plan = json.loads(plan_of(tmp_path, {"routes": [{"respond": 200}]}))
    del plan[key]
    with pytest.raises(_engine.PlanRejected):
        _engine.check(json.dumps(plan).encode())


def test_indices_that_point_nowhere_are_refused(tmp_path: Path) -> None:
    plan = json.loads(plan_of(tmp_path, {"routes": [{"upstream": "http://127.0.0.1:9"}]}))
    for change in (
        lambda p: p["routes"][0]["action"].update(upstream=7),
        lambda p: p["routes"][0].update(hook=3),
        lambda p: p["routes"][0].update(limits=[5]),
        lambda p: p["routes"][0].update(listeners=[9]),
    ):
        broken = json.loads(json.dumps(plan))
        change(broken)  # type: ignore[no-untyped-call]  # a lambda
        with pytest.raises(_engine.PlanRejected) as caught:
            _engine.check(json.dumps(broken).encode())
        assert "routes[0]" in caught.value.path


def test_a_port_in_use_is_an_engine_error_that_names_it(engine: _engine.Gateway, tmp_path: Path) -> None:
    other = _engine.Gateway(1)
    (address,) = other.start(plan_of(tmp_path, {"routes": [{"respond": 200}]}))
    try:
        with pytest.raises(_engine.EngineError, match=address):
            engine.start(plan_of(tmp_path, {"listeners": [address], "routes": [{"respond": 200}]}))
    finally:
        other.stop()


def test_a_call_tells_the_request_and_a_verdict_answers_it(engine: _engine.Gateway, tmp_path: Path) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    asked = Asked(address, message("POST", "/a%20b/../c?d=e", [("Host", "Shop.Example:81"), ("X-A", "\xe9")], b"body"))
    call = call_of(engine)
    assert (call.hook, call.hook_name, call.generation) == (0, "m:f", 1)
    assert (call.method, call.target, call.path, call.query) == ("POST", "/a%20b/../c?d=e", "/c", "d=e")
    assert (call.host, call.scheme, call.client_ip, call.route, call.user) == (
        "shop.example",
        "http",
        "127.0.0.1",
        "asked",
        "",
    )
    assert call.headers == [("Host", "Shop.Example:81"), ("X-A", "\xe9"), ("Content-Length", "4")]
    assert call.header("x-a") == "\xe9"
    assert call.header("x-b") is None
    assert call.body == b"body"
    assert len(call.request_id) == 32
    verdict = _engine.Verdict(
        status=201, response_headers=[("X-From", "hook"), ("X-L", "\xe9"), ("X-U", "€")], body=b"made"
    )
    engine.answer([(call.id, verdict)])
    answer = asked.answer()
    assert (answer.status, answer.body, answer.fields.get("X-From")) == (201, b"made", "hook")
    assert answer.fields.get("X-L") == "\xe9"
    assert (answer.fields.get("X-U") or "").encode("latin-1") == "€".encode()


def test_fields_of_a_call_are_built_when_they_are_read_and_outlive_their_request(
    engine: _engine.Gateway, tmp_path: Path
) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    asked = Asked(address, message("GET", "/kept"))
    call = call_of(engine)
    assert call.headers is not call.headers
    engine.answer([(call.id, None)])
    assert asked.answer().status == 200
    engine.stop()
    assert (call.target, call.body) == ("/kept", b"")


def test_a_failure_leaves_the_word_to_on_failure(engine: _engine.Gateway, tmp_path: Path) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    asked = Asked(address, message("GET"))
    engine.fail([(call_of(engine).id, "it broke")])
    answer = asked.answer()
    assert (answer.status, answer.problem) == (503, "hook_failed")


def test_answers_that_nobody_waits_for_are_dropped(engine: _engine.Gateway, tmp_path: Path) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    engine.answer([(2**63, None), (0, _engine.Verdict(status=200))])
    engine.fail([(77, "nobody")])
    asked = Asked(address, message("GET"))
    call = call_of(engine)
    engine.answer([(call.id, None), (call.id, _engine.Verdict(status=500))])
    assert asked.answer().status == 200


def test_a_verdict_can_not_smuggle_a_line_into_a_head(engine: _engine.Gateway, tmp_path: Path) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    asked = Asked(address, message("GET"))
    fields = [
        ("X-A", "a\r\nSet-Cookie: evil=1"),
        ("X B", "1"),
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
    ]
    engine.answer([(call_of(engine).id, _engine.Verdict(status=200, response_headers=fields, body=b"four"))])
    answer = asked.answer()
    assert answer.body == b"four"
    assert "Set-Cookie" not in answer.fields
    assert answer.fields.get("Content-Length") == "4"


def test_calls_of_many_requests_come_in_batches_and_oldest_first(engine: _engine.Gateway, tmp_path: Path) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    waiting = []
    ids: list[int] = []
    for number in range(10):
        waiting.append(Asked(address, message("GET", f"/{number}")))
        if number == 0:
            select.select([engine.calls_fd()], [], [], 10)
    seen: list[str] = []
    while len(seen) < 10:
        select.select([engine.calls_fd()], [], [], 10)
        for call in engine.take_calls(3):
            seen.append(call.target)
            ids.append(call.id)
    assert sorted(seen) == [f"/{number}" for number in range(10)]
    assert ids == sorted(ids)
    assert engine.take_calls(3) == []
    engine.answer([(call_id, None) for call_id in ids])
    assert [asked.answer().status for asked in waiting] == [200] * 10


def test_a_plan_that_is_replaced_still_answers_the_calls_that_it_made(engine: _engine.Gateway, tmp_path: Path) -> None:
    (address,) = engine.start(plan_of(tmp_path, HOOK))
    asked = Asked(address, message("GET"))
    call = call_of(engine)
    engine.apply(plan_of(tmp_path, {"routes": [{"respond": 204}]}))
    engine.answer([(call.id, None)])
    assert asked.answer().status == 200
    assert once(address).status == 204


def test_figures_are_json_and_metrics_are_text(engine: _engine.Gateway, tmp_path: Path) -> None:
    from tests.support.prometheus import parse

    (address,) = engine.start(plan_of(tmp_path, {"routes": [{"respond": 200}]}))
    once(address)
    until(lambda: json.loads(engine.stats())["requests"] == 1, "the record of the request")
    assert parse(engine.metrics().decode()).sum("tidegate_requests_total") == 1
    assert engine.connections() in (0, 1)


def test_an_engine_that_never_started_can_be_asked_and_dropped() -> None:
    engine = _engine.Gateway(1)
    assert json.loads(engine.stats())["requests"] == 0
    assert engine.metrics()
    assert engine.take_calls(10) == []
    engine.drain()
    engine.reopen_logs()
    engine.stop()
    engine.stop()


def test_a_dropped_engine_ends_its_threads_and_its_sockets(tmp_path: Path) -> None:
    before = threading_names()
    engine = _engine.Gateway(3)
    (address,) = engine.start(plan_of(tmp_path, {"routes": [{"respond": 200}]}))
    assert once(address).status == 200
    assert len(threading_names()) >= len(before) + 3
    del engine
    gc.collect()
    with pytest.raises(ConnectionRefusedError):
        Client(address)
    assert not [name for name in threading_names() if name.startswith("tidegate-w")]


def threading_names() -> list[str]:
    """Of all threads of this process, those of the engine too."""
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def test_waiting_for_the_engine_lets_other_threads_run(engine: _engine.Gateway, tmp_path: Path) -> None:
    engine.start(plan_of(tmp_path, {"routes": [{"respond": 200}]}))
    large = plan_of(tmp_path, {"routes": [{"match": {"path": f"/{number}"}, "respond": 200} for number in range(2000)]})
    turns = [0]
    over = threading.Event()

    def count() -> None:
        while not over.is_set():
            turns[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = turns[0]
        engine.apply(large)
        assert turns[0] > before
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("method", "url", "route"),
    [("GET", "http://a.example/v1/x", "v1"), ("POST", "/other", None), ("GET", "http://a.example/../x", "refused")],
)
def test_explain_says_what_a_request_would_meet(tmp_path: Path, method: str, url: str, route: str | None) -> None:
    plan = plan_of(tmp_path, {"routes": [{"name": "v1", "match": {"path": "/v1"}, "respond": 200}]})
    told = json.loads(_engine.explain(plan, 0, method, url, [("Host", "a.example")] if url.startswith("/") else []))
    if route == "refused":
        assert told["refused"]
    elif route is None:
        assert told["route"] is None
    else:
        assert json.loads(plan)["routes"][told["route"]]["name"] == route
        assert told["matched_prefix"] == 3


def test_the_welcome_page_needs_no_configuration(engine: _engine.Gateway) -> None:
    loaded = from_flags(["127.0.0.1:0"], ["http://127.0.0.1:9"], None, None)
    (address,) = engine.start(lower(loaded.config, loaded.where).bytes)
    assert once(address).status == 502


def test_the_engines_version_is_the_packages() -> None:
    import tidegate

    assert _engine.version() == tidegate.__version__


def test_the_stub_says_what_the_engine_has() -> None:
    """`mypy.stubtest` in the installed wheel, outside of the checkout."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "tidegate._engine"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
