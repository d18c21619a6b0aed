"""The process, from start to stop, on an engine that only records."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.unit.fake_engine import FakeEngine, until

from tidegate import _engine, gateway
from tidegate.gateway import End, Gateway, Options
from tidegate.source import Source
from tidegate.state import running

CONFIG = """\
listeners: ["127.0.0.1:0"]
state: {state}
server: {{drain: 5s}}
routes:
  - match: {{path: {path}}}
    upstream: http://127.0.0.1:9
"""


class Scene:
    """A configuration in a folder of its own, and a process that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "tidegate.yaml"
        self.engine = FakeEngine()
        self.write(path="/one")

    def write(self, text: str = CONFIG, **values: str) -> None:
        """Replaces the file, as editors do."""
        fresh = self.folder / "fresh"
        fresh.write_text(text.format(state=self.folder / "state", **values) if values else text)
        fresh.replace(self.file)

    def run(
        self, body: Callable[[Gateway], Awaitable[None]], *, end: End | None = End.NOW, options: Options | None = None
    ) -> int:
        """Starts, runs the test's body once it serves, ends; the exit status."""

        def engine(workers: int) -> Any:
            self.engine.threads = workers
            return self.engine

        async def inner() -> int:
            process = Gateway(Source(str(self.file)), options or Options(watch=False), engine=engine, verdict=dict)
            life = asyncio.create_task(process.live())
            await until(lambda: "start" in self.engine.events or life.done())
            if not life.done():
                await asyncio.sleep(0)
                try:
                    await body(process)
                finally:
                    if end is not None:
                        process.end(end)
            return await life

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(inner())

    def paths(self) -> list[str]:
        """The path of the first route of each plan that the engine was given."""
        return [plan["routes"][0]["matches"]["path"]["value"] for plan in self.engine.plans]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def nothing(_: Gateway) -> None:
    return None


def test_a_life_is_start_then_stop(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert scene.run(nothing) == 0
    assert scene.engine.events == ["start", "stop"]
    said = capsys.readouterr().err
    assert "listening on 127.0.0.1:0" in said
    assert "1 route, 1 upstream, 0 hooks" in said
    assert "control" not in said


def test_a_running_process_can_be_found_and_a_stopped_one_cannot(scene: Scene) -> None:
    state = str(scene.folder / "state")

    async def body(process: Gateway) -> None:
        (found,) = running(state)
        assert found.pid == os.getpid()
        assert found.config == str(scene.file)
        assert found.generation == 1
        assert process.status()["control"] == found.control

    scene.run(body)
    assert running(state) == []


def test_a_wrong_configuration_does_not_start_and_says_where(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.write("listeners: [':8080']\nroutess: []\n")
    assert scene.run(nothing, end=None) == 1
    assert scene.engine.events == []
    assert f"{scene.file}:2:1: " in capsys.readouterr().err


def test_what_the_engine_rejects_is_told_at_its_place_in_the_file(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = _engine.PlanRejected("routes[0].matches.path: no")
    rejected.path, rejected.why = "routes[0].matches.path", "no such pattern"
    scene.engine.refusal = rejected
    assert scene.run(nothing, end=None) == 1
    assert f"{scene.file}:5:19: no such pattern" in capsys.readouterr().err


def test_an_address_in_use_is_told(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.engine.refusal = _engine.EngineError("can't listen on 127.0.0.1:0: the address is in use")
    assert scene.run(nothing, end=None) == 1
    assert "the address is in use" in capsys.readouterr().err


def test_a_reload_swaps_the_plan(scene: Scene) -> None:
    async def body(process: Gateway) -> None:
        scene.write(path="/two")
        reloaded = await process.reload("test")
        assert (reloaded.error, reloaded.changed, reloaded.generation) == ("", True, 2)
        assert process.status()["generation"] == 2

    scene.run(body)
    assert scene.paths() == ["/one", "/two"]


def test_a_reload_of_the_same_configuration_changes_nothing(scene: Scene) -> None:
    async def body(process: Gateway) -> None:
        scene.file.write_text(scene.file.read_text() + "# a comment\n")
        reloaded = await process.reload("test")
        assert (reloaded.error, reloaded.changed, reloaded.generation) == ("", False, 1)

    scene.run(body)
    assert scene.engine.events == ["start", "stop"]


def test_a_wrong_configuration_leaves_the_old_plan_in_force(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(process: Gateway) -> None:
        scene.write("routes: 5\n")
        reloaded = await process.reload("test")
        assert f"{scene.file}:1:9: " in reloaded.error
        told = process.status()
        assert told["generation"] == 1
        assert told["reloads"]["failed"] == 1
        assert told["reloads"]["last_error"] == reloaded.error
        scene.write(path="/three")
        assert (await process.reload("test")).generation == 2
        assert process.status()["reloads"]["last_error"] is None

    scene.run(body)
    assert scene.paths() == ["/one", "/three"]
    assert "refused, generation 1 stays" in capsys.readouterr().err


def test_a_plan_that_the_engine_refuses_leaves_the_old_one_in_force(scene: Scene) -> None:
    async def body(process: Gateway) -> None:
        scene.write(path="/two")
        scene.engine.refusal = _engine.EngineError("no descriptors left")
        assert (await process.reload("test")).error == "no descriptors left"
        reloaded = await process.reload("test")
        assert reloaded.generation == 2

    scene.run(body)
    assert scene.paths() == ["/one", "/two"]


def test_reloads_at_once_happen_one_after_the_other(scene: Scene) -> None:
    async def body(process: Gateway) -> None:
        scene.write(path="/two")
        first, second = await asyncio.gather(process.reload("a"), process.reload("b"))
        assert (first.changed, second.changed) == (True, False)

    scene.run(body)


def test_signals_mean_what_they_mean_to_nginx(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(_: Gateway) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: "reopen_logs" in scene.engine.events)
        scene.write(path="/two")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(scene.engine.plans) == 2)
        os.kill(os.getpid(), signal.SIGQUIT)

    assert scene.run(body, end=None) == 0
    assert scene.engine.events == ["start", "reopen_logs", "apply", "drain", "stop"]
    assert "reloaded (SIGHUP): generation 2" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_stop_without_a_drain(scene: Scene, number: signal.Signals) -> None:
    async def body(_: Gateway) -> None:
        os.kill(os.getpid(), number)

    scene.engine.open_connections = 3
    assert scene.run(body, end=None) == 0
    assert scene.engine.events == ["start", "stop"]


def test_a_drain_waits_until_the_last_connection_has_gone(scene: Scene) -> None:
    async def body(process: Gateway) -> None:
        scene.engine.open_connections = 1
        process.end(End.DRAIN)
        await until(lambda: "drain" in scene.engine.events)
        assert process.status()["draining"] is True
        assert "stop" not in scene.engine.events
        scene.engine.open_connections = 0

    assert scene.run(body, end=None) == 0
    assert scene.engine.events == ["start", "drain", "stop"]


def test_a_second_word_cuts_a_drain_short(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(process: Gateway) -> None:
        scene.engine.open_connections = 2
        process.end(End.DRAIN)
        await until(lambda: "drain" in scene.engine.events)
        process.end(End.NOW)

    assert scene.run(body, end=None) == 0
    assert "cutting 2 connections" in capsys.readouterr().err


def test_a_drain_ends_when_its_time_is_over(scene: Scene) -> None:
    scene.write(CONFIG.replace("5s", "30ms"), path="/one")
    scene.engine.open_connections = 1
    assert scene.run(nothing, end=End.DRAIN) == 0
    assert scene.engine.events == ["start", "drain", "stop"]


def test_a_changed_file_is_reloaded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "EVERY_S", 0.001)

    async def body(_: Gateway) -> None:
        scene.write(path="/two")
        await until(lambda: len(scene.engine.plans) == 2)

    scene.run(body, options=Options())
    assert scene.paths() == ["/one", "/two"]


def test_the_last_good_plan_is_kept_and_serves_when_the_file_is_broken(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = scene.folder / "state" / "last-good.plan"

    async def until_kept(_: Gateway) -> None:
        await until(kept.exists)

    scene.run(until_kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    scene.write(f"state: {scene.folder / 'state'}\nroutes: 5\n")
    scene.engine.events.clear()
    assert scene.run(nothing, end=None) == 1
    assert scene.engine.events == []

    async def mended(process: Gateway) -> None:
        assert process.status()["reloads"]["failed"] == 1
        scene.write(path="/two")
        assert (await process.reload("test")).error == ""

    assert scene.run(mended, options=Options(last_good=True, watch=False)) == 0
    assert scene.paths() == ["/one", "/one", "/two"]
    assert "starting with the last good plan instead" in capsys.readouterr().err


def test_without_a_last_good_plan_a_broken_file_is_told(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.write(f"state: {scene.folder / 'state'}\nroutes: 5\n")
    assert scene.run(nothing, end=None, options=Options(last_good=True)) == 1
    said = capsys.readouterr().err
    assert f"{scene.file}:2:9: " in said
    assert "no last good plan is kept" in said


def test_a_state_directory_that_cannot_be_used_is_an_error_where_it_was_chosen(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    (scene.folder / "state").write_text("a file")
    assert scene.run(nothing, end=None) == 1
    assert "cannot use the state directory" in capsys.readouterr().err


def test_a_state_directory_that_nobody_chose_is_done_without(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(scene.file))
    scene.write("listeners: ['127.0.0.1:0']\nroutes: [{respond: 204}]\n")

    async def body(process: Gateway) -> None:
        assert process.status()["control"] is None

    assert scene.run(body) == 0
    assert "there is no control socket" in capsys.readouterr().err


def test_a_second_process_in_the_same_state_directory_has_a_socket_of_its_own(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    from tidegate.state import State

    first = State(str(scene.folder / "state"))

    async def body(process: Gateway) -> None:
        assert process.status()["control"] == str(scene.folder / "state" / f"control-{os.getpid()}.sock")

    try:
        assert scene.run(body) == 0
    finally:
        first.release()
    assert "another process owns" in capsys.readouterr().err


def test_a_hook_is_found_beside_the_configuration_and_anew_after_a_reload(scene: Scene) -> None:
    def hook(word: str) -> None:
        (scene.folder / "gateway_policies.py").write_text(
            f"import tidegate\nasync def check(request):\n    return tidegate.answer(200, {word!r})\n"
        )

    hook("one")
    scene.write(CONFIG + "    hook: gateway_policies:check\n", path="/one")

    async def body(process: Gateway) -> None:
        assert (await scene.engine.call())["body"] == b"one"
        hook("two")
        assert (await process.reload("test")).generation == 2
        assert (await scene.engine.call(generation=1))["body"] == b"one"
        assert (await scene.engine.call(generation=2))["body"] == b"two"
        hook("three is broken(")
        (scene.folder / "gateway_policies.py").write_text("def check(:\n")
        assert "gateway_policies.py:1:" in (await process.reload("test")).error
        assert (await scene.engine.call(generation=2))["body"] == b"two"

    assert scene.run(body) == 0


def test_the_supervisor_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(scene.folder / "notify"))
        supervisor.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(scene.folder / "notify"))

        async def body(process: Gateway) -> None:
            scene.write(path="/two")
            await process.reload("test")

        scene.run(body)
        heard = [supervisor.recv(4096).decode().split("\n")[0] for _ in range(4)]
    assert heard == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_the_plan_that_is_kept_names_its_configuration(scene: Scene) -> None:
    kept = scene.folder / "state" / "last-good.plan"

    async def until_kept(_: Gateway) -> None:
        await until(kept.exists)

    scene.run(until_kept)
    about, plan = kept.read_bytes().split(b"\n", 1)
    assert json.loads(about)["config"] == str(scene.file)
    assert json.loads(plan)["schema"] == 1
