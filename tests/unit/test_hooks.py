"""Hooks: every call is answered once, whatever its function does."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from tests.unit.fake_engine import Failed, FakeEngine, until

import tidegate
from tidegate import hooks as hooks_module
from tidegate.hooks import Hooks
from tidegate.policy import Request
from tidegate.resolve import Function


def run(
    body: Callable[[FakeEngine, Hooks], Awaitable[None]], *functions: Callable[..., Any], timeout_ms: int = 5000
) -> None:
    """Runs a test's body on uvloop beside hooks that serve these functions as generation 1."""

    async def inner() -> None:
        engine = FakeEngine()
        hooks = Hooks(engine, asyncio.get_running_loop(), dict)
        found = [Function(f"m:{f.__name__}", f, asyncio.iscoroutinefunction(f)) for f in functions]
        hooks.install(1, found, [timeout_ms] * len(found))
        hooks.listen()
        try:
            await body(engine, hooks)
        finally:
            hooks.close()
            engine.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(inner())


def test_a_hook_that_says_nothing_lets_the_request_pass() -> None:
    async def nothing(_: Request) -> None:
        return None

    async def body(engine: FakeEngine, _: Hooks) -> None:
        assert await engine.call() is None

    run(body, nothing)


def test_a_plain_function_runs_outside_the_loop_and_its_word_arrives() -> None:
    seen: list[str] = []

    def plain(request: Request) -> Any:
        seen.append(threading.current_thread().name)
        return tidegate.modify(set_headers={"X-User": request.client_ip}, remove_headers=["X-Debug"], upstream="b")

    async def body(engine: FakeEngine, _: Hooks) -> None:
        verdict = await engine.call()
        assert verdict["set_headers"] == [("X-User", "192.0.2.1")]
        assert verdict["remove_headers"] == ["X-Debug"]
        assert verdict["upstream"] == "b"
        assert verdict["status"] is None
        assert seen == ["hook m:plain"]

    run(body, plain)


def test_a_refusal_is_a_problem_with_the_request_id() -> None:
    async def no(_: Request) -> Any:
        return tidegate.refuse(402, "pay first", {"X-Plan": "free"})

    async def body(engine: FakeEngine, _: Hooks) -> None:
        verdict = await engine.call(request_id="abc")
        assert verdict["status"] == 402
        assert verdict["response_headers"] == [("Content-Type", "application/problem+json"), ("X-Plan", "free")]
        assert verdict["body"] == (
            b'{"type":"about:blank","title":"Payment Required","status":402,"reason":"hook_refused",'
            b'"detail":"pay first","request_id":"abc"}\n'
        )
        assert verdict["reason"] == "pay first"

    run(body, no)


def test_what_a_hook_raises_is_told_to_the_engine_and_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(_: Request) -> None:
        raise KeyError("boom")

    async def body(engine: FakeEngine, _: Hooks) -> None:
        outcomes = await asyncio.gather(*(engine.call() for _ in range(50)), return_exceptions=True)
        assert {str(outcome) for outcome in outcomes} == {"KeyError: 'boom'"}

    run(body, broken)
    logged = capsys.readouterr().err
    assert logged.count("hook m:broken: KeyError: 'boom'") == 1
    assert "test_hooks.py" in logged


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt, MemoryError])
def test_a_hook_cannot_end_the_process(leave: type[BaseException]) -> None:
    def plain(_: Request) -> None:
        raise leave

    async def body(engine: FakeEngine, _: Hooks) -> None:
        for _again in range(3):
            with pytest.raises(Failed, match=leave.__name__):
                await engine.call()

    run(body, plain)


def test_sys_exit_in_an_async_hook_is_a_failure_of_that_call_alone() -> None:
    async def leaving(request: Request) -> None:
        if request.path == "/exit":
            sys.exit(3)

    async def body(engine: FakeEngine, _: Hooks) -> None:
        with pytest.raises(Failed, match="SystemExit: 3"):
            await engine.call(path="/exit")
        assert await engine.call() is None

    run(body, leaving)


@pytest.mark.parametrize("value", [True, 403, "no", {"status": 403}])
def test_a_word_that_is_none_of_ours_is_a_failure_that_says_what_to_return(value: object) -> None:
    async def odd(_: Request) -> object:
        return value

    async def body(engine: FakeEngine, _: Hooks) -> None:
        with pytest.raises(Failed, match=f"returned {type(value).__name__}; return None, or what tidegate.refuse"):
            await engine.call()

    run(body, odd)


def test_a_late_async_hook_is_cancelled() -> None:
    cancelled = threading.Event()

    async def endless(_: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def body(engine: FakeEngine, hooks: Hooks) -> None:
        with pytest.raises(Failed, match="late"):
            await engine.call()
        assert cancelled.is_set()
        assert hooks.figures()[0].late == 1

    run(body, endless, timeout_ms=10)


def test_a_hook_that_comes_due_while_the_loop_was_busy_still_answers() -> None:
    async def stalls_the_loop(_: Request) -> None:
        threading.Event().wait(0.03)  # longer than the time-out: all deadlines of the batch pass before a task may run

    async def body(engine: FakeEngine, _: Hooks) -> None:
        outcomes = await asyncio.gather(*(engine.call() for _ in range(3)), return_exceptions=True)
        assert len(outcomes) == 3

    run(body, stalls_the_loop, timeout_ms=10)


def test_a_plain_hook_that_blocks_delays_no_other_hook() -> None:
    held = threading.Event()

    def blocks(_: Request) -> None:
        held.wait(10)

    def quick(_: Request) -> None:
        return None

    async def quick_async(_: Request) -> None:
        return None

    async def body(engine: FakeEngine, _: Hooks) -> None:
        stuck = [engine.call(hook=0) for _ in range(hooks_module.THREADS + 3)]
        assert await engine.call(hook=1) is None
        assert await engine.call(hook=2) is None
        assert not any(call.done() for call in stuck)
        held.set()
        assert await asyncio.gather(*stuck) == [None] * len(stuck)

    run(body, blocks, quick, quick_async)


def test_plain_calls_that_waited_too_long_for_a_thread_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("tidegate.hooks.time.monotonic", lambda: clock[0])
    held = threading.Event()
    ran: list[str] = []

    def blocks(request: Request) -> None:
        ran.append(request.path)
        held.wait(10)

    async def body(engine: FakeEngine, hooks: Hooks) -> None:
        first = [engine.call(path="/first") for _ in range(hooks_module.THREADS)]
        await until(lambda: len(ran) == hooks_module.THREADS)
        late = engine.call(path="/late")
        await until(lambda: hooks._lanes[1][0].under_way > hooks_module.THREADS)
        clock[0] = 6.0
        held.set()
        with pytest.raises(Failed, match="late"):
            await late
        await asyncio.gather(*first)
        assert "/late" not in ran

    run(body, blocks)


def test_one_hook_takes_only_so_many_calls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks_module, "WAITING_MAX", 2)
    go = asyncio.Event()

    async def waits(_: Request) -> None:
        await go.wait()

    async def body(engine: FakeEngine, hooks: Hooks) -> None:
        taken = [engine.call(), engine.call()]
        with pytest.raises(Failed, match="under way already"):
            await engine.call()
        go.set()
        assert await asyncio.gather(*taken) == [None, None]
        assert await engine.call() is None
        assert hooks.figures()[0].full == 1

    run(body, waits)


def test_answers_of_one_turn_go_back_together() -> None:
    async def nothing(_: Request) -> None:
        return None

    async def body(engine: FakeEngine, _: Hooks) -> None:
        await asyncio.gather(*(engine.call() for _ in range(100)))
        assert engine.batches == [100]

    run(body, nothing)


def test_requests_of_an_old_plan_are_asked_of_its_own_functions() -> None:
    async def old(_: Request) -> Any:
        return tidegate.answer(200, "old")

    async def new(_: Request) -> Any:
        return tidegate.answer(200, "new")

    async def body(engine: FakeEngine, hooks: Hooks) -> None:
        hooks.install(2, [Function("m:new", new, True)], [1000])
        assert (await engine.call(generation=1))["body"] == b"old"
        assert (await engine.call(generation=2))["body"] == b"new"
        hooks.uninstall(2)
        with pytest.raises(Failed, match="plan that this request runs on is gone"):
            await engine.call(generation=2)

    run(body, old)


def test_a_plain_function_may_return_an_awaitable() -> None:
    async def inner() -> Any:
        return tidegate.answer(204)

    def outer(_: Request) -> Any:
        return inner()

    async def body(engine: FakeEngine, _: Hooks) -> None:
        assert (await engine.call())["status"] == 204

    run(body, outer)


def test_time_is_counted_for_each_hook() -> None:
    async def nothing(_: Request) -> None:
        return None

    def plain(_: Request) -> None:
        return None

    async def body(engine: FakeEngine, hooks: Hooks) -> None:
        await asyncio.gather(*(engine.call(hook=at % 2) for at in range(20)))
        # A thread counts after it has answered.
        await until(lambda: all(figures.calls == 10 for figures in hooks.figures()))
        for figures in hooks.figures():
            assert figures.as_json()["failed"] == 0
            assert figures.quantile_ms(0.5) is not None

    run(body, nothing, plain)
