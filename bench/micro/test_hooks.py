"""Hook round trips: from a request on a socket over Python and back, beside the same request without a hook."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from tidegate.hooks import Hooks
from tidegate.policy import Request
from tidegate.resolve import Function, Resolver
from tidegate.source import Source

_engine = pytest.importorskip("tidegate._engine")

CONFIG = """\
listeners: ["127.0.0.1:0"]
access_log: off
routes:
  - {match: {exact: /plain}, respond: 204}
  - {match: {exact: /async}, respond: 204, hook: "hooks:nothing"}
  - {match: {exact: /sync}, respond: 204, hook: "hooks:nothing_in_a_thread"}
  - {match: {exact: /answer}, hook: "hooks:answer"}
"""

POLICIES = """\
import tidegate

async def nothing(request):
    return None

def nothing_in_a_thread(request):
    return None

async def answer(request):
    return tidegate.answer(204, headers={"X-Caller": request.header("x-caller", "none")})
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Where an engine of one worker answers, with its hooks on a loop in a thread."""
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "tidegate.yaml").write_text(CONFIG)
    (folder / "hooks.py").write_text(POLICIES)
    source = Source(str(folder / "tidegate.yaml"))
    compiled = source.compile(Resolver(source.folder), None)
    engine = _engine.Gateway(1)
    started = threading.Event()
    stop: list[Callable[[], object]] = []
    bound: list[str] = []

    async def serve(functions: list[Function]) -> None:
        loop = asyncio.get_running_loop()
        hooks = Hooks(engine, loop, _engine.Verdict)
        hooks.install(1, functions, compiled.hook_timeouts_ms)
        bound.extend(engine.start(compiled.plan))
        hooks.listen()
        told = asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(told.set))
        started.set()
        await told.wait()
        hooks.close()
        engine.stop()

    def life() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(compiled.functions))

    thread = threading.Thread(target=life)
    thread.start()
    assert started.wait(10)
    host, _, port = bound[0].rpartition(":")
    yield host, int(port)
    stop[0]()
    thread.join()


@pytest.mark.parametrize("path", ["/plain", "/async", "/sync", "/answer"])
def test_round_trip(benchmark: Any, address: tuple[str, int], path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.create_connection(address) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def once() -> bytes:
            client.sendall(request)
            return client.recv(4096)

        assert once().startswith(b"HTTP/1.1 204")
        benchmark(once)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_python_alone(benchmark: Any, kind: str) -> None:
    """A thousand calls through the runner, with an engine that hands them out at once."""

    async def nothing(_: Request) -> None:
        return None

    def plain(_: Request) -> None:
        return None

    class Handed:
        """Hands out calls without a descriptor."""

        def __init__(self) -> None:
            self.calls: list[Any] = []
            self.left = 0
            self.done = threading.Event()

        def calls_fd(self) -> int:
            return -1

        def take_calls(self, most: int, /) -> list[Any]:
            taken, self.calls = self.calls[:most], self.calls[most:]
            return taken

        def answer(self, answers: list[tuple[int, Any]], /) -> None:
            self.left -= len(answers)
            if self.left == 0:
                self.done.set()

        def fail(self, failures: list[tuple[int, str]], /) -> None:
            raise AssertionError(failures)

    class Call:
        """The least that the runner looks at."""

        id = 1
        generation = 1
        hook = 0

    loop = uvloop.new_event_loop()
    handed = Handed()
    hooks = Hooks(handed, loop, dict)
    hooks.install(1, [Function("m:f", nothing if kind == "async" else plain, kind == "async")], [60_000])

    def thousand() -> None:
        for _ in range(10):  # fewer than a hook may have under way
            handed.calls, handed.left = [Call()] * 100, 100
            handed.done.clear()
            hooks.take()
            while not handed.done.is_set():
                loop.run_until_complete(asyncio.sleep(0)) if kind == "async" else handed.done.wait()

    benchmark(thousand)
    hooks.uninstall(1)
    loop.close()
