"""Upgrades seen from one process: what may begin, what is refused, what is whose; and workers that are looked after."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from tests.unit.fake_engine import until
from tests.unit.test_gateway import Scene, nothing

from tidegate import gateway, inherit, upgrade
from tidegate.gateway import BROKEN_STATUS, End, Gateway
from tidegate.inherit import Came
from tidegate.source import PlanListener
from tidegate.upgrade import Handed, Reason, UpgradeError

NOTHING = Handed(pid=1, state_lock=None, state_owner=False, listeners=[])
TELLS = """
import json, os, socket, sys
channel = socket.socket(fileno=int(os.environ["TIDEGATE_UPGRADE"]))
told = json.loads(channel.makefile("rb").readline())
{act}
"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def script(act: str) -> list[str]:
    return [sys.executable, "-c", TELLS.format(act=act)]


def fails(command: list[str]) -> UpgradeError:
    with pytest.raises(UpgradeError) as caught:
        asyncio.run(upgrade.start(command, os.environ, NOTHING))
    return caught.value


def test_a_new_process_that_serves_is_let_go_with_all_that_is_shared() -> None:
    act = 'channel.sendall(b\'{"ready": {}}\\n\'); heard = channel.recv(100); sys.exit(7 if b"yours" in heard else 1)'

    async def inner() -> int:
        successor = await upgrade.start(script(act), os.environ, NOTHING)
        successor.take_all()
        return successor.pid

    assert os.waitstatus_to_exitcode(os.waitpid(asyncio.run(inner()), 0)[1]) == 7


def test_a_new_process_that_does_not_serve_in_time_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(upgrade, "READY_S", 0.7)
    act = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); channel.recv(1)"
    error = fails(script(act))
    assert error.reason is Reason.NOT_READY
    assert "0.7 s" in error.detail
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("command", "reason", "told"),
    [
        (["/nowhere/tidegate"], Reason.NOT_STARTED, "No such file"),
        ([sys.executable, "-c", "raise SystemExit(3)"], Reason.EXITED, "with exit status 3"),
        (script("os.kill(os.getpid(), 9)"), Reason.EXITED, "by signal 9"),
        (script('channel.sendall(b\'{"failed": "x.yaml:1:2: no"}\\n\')'), Reason.REFUSED, "x.yaml:1:2: no"),
        (script("channel.sendall(b'nonsense\\n')"), Reason.EXITED, "ended before"),
    ],
)
def test_what_comes_to_nothing_has_a_reason(command: list[str], reason: Reason, told: str) -> None:
    error = fails(command)
    assert error.reason is reason
    assert told in error.detail


def test_another_format_is_refused_by_the_new_process() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b'{"format": 99}\n')
        with pytest.raises(UpgradeError, match="format 99"):
            upgrade.predecessor({upgrade.VARIABLE: str(theirs.detach())})


def test_the_first_process_of_a_container_is_not_upgraded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(process: Gateway) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("tidegate.takeover.os.getpid", lambda: 1)
            with pytest.raises(UpgradeError) as caught:
                await process.takeover.upgrade(None, "test")
        assert caught.value.reason is Reason.FIRST_PROCESS
        assert process.status()["upgrade"]["reason"] == "first_process"

    assert scene.run(body) == 0
    assert "hand_over" not in scene.engine.events


def test_a_process_that_ends_is_not_upgraded(scene: Scene) -> None:
    async def body(process: Gateway) -> None:
        scene.engine.open_connections = 1
        process.end(End.DRAIN)
        with pytest.raises(UpgradeError) as caught:
            await process.takeover.upgrade(None, "test")
        assert caught.value.reason is Reason.ENDING
        scene.engine.open_connections = 0

    assert scene.run(body, end=None) == 0


def test_an_upgrade_hands_over_and_leaves_what_is_shared(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    act = "channel.sendall(b'{\"ready\": {}}\\n'); channel.recv(100)"
    monkeypatch.setattr("tidegate.takeover.command", lambda _: script(act))
    run_file = scene.folder / "state" / "run.json"

    async def body(process: Gateway) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)
        await until(lambda: "hand_over" in scene.engine.events)
        assert (await process.reload("test")).error == "another process has taken over: tell that one"

    assert scene.run(body, end=None) == 0
    assert scene.engine.events == ["start", "hand_over", "stop"]
    assert run_file.exists(), "it is the new process's"


def test_a_failed_upgrade_is_told_in_the_status_and_can_be_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.takeover.command", lambda _: ["/bin/false"])

    async def body(process: Gateway) -> None:
        for _ in range(2):
            with pytest.raises(UpgradeError, match="exited"):
                await process.takeover.upgrade(None, "test")
            told = process.status()["upgrade"]
            assert (told["state"], told["reason"]) == ("failed", "exited")
        assert not (await process.reload("test")).error

    assert scene.run(body) == 0
    assert "hand_over" not in scene.engine.events


def test_a_lost_worker_ends_the_process_with_a_status_that_says_so(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.engine.pulse = (0, True)
    assert scene.run(nothing, end=None) == BROKEN_STATUS
    assert "a worker is lost" in capsys.readouterr().err


def test_a_stuck_worker_stops_the_watchdog_until_it_turns_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setattr(gateway, "LOOK_AFTER_S", 0.01)

    async def body(process: Gateway) -> None:
        told: list[int] = []
        monkeypatch.setattr(process.notifier, "alive", lambda: told.append(1))
        await until(lambda: len(told) > 1)
        scene.engine.pulse = (60_000, False)
        await until(lambda: "has not turned for 60000 ms" in capsys.readouterr().err)
        count = len(told)
        until_late = asyncio.get_running_loop().time() + 0.1  # the watchdog's time, twice
        await until(lambda: asyncio.get_running_loop().time() > until_late)
        assert len(told) == count
        scene.engine.pulse = (20, False)
        await until(lambda: len(told) > count)

    assert scene.run(body) == 0


def listener(name: str, address: str) -> PlanListener:
    return PlanListener(name, admin=False, unix=address.startswith("unix:"), control=False, address=address)


def test_sockets_go_to_listeners_by_name_and_then_by_address() -> None:
    listeners = [listener("web", "127.0.0.1:80"), listener("b", "[::1]:81"), listener("c", "unix:/c")]
    came = [
        Came("", "", "unix:/c", [3]),
        Came("web", "", "127.0.0.1:8080", [4]),
        Came("tidegate.socket", "", "[::1]:81", [5]),
        Came("web", "", "127.0.0.1:80", [6]),
    ]
    matched = inherit.match(listeners, came)
    assert {at: entry.descriptors for at, entry in matched.listeners.items()} == {0: [4], 1: [5], 2: [3]}
    assert [entry.descriptors for entry in matched.left] == [[6]]


def test_a_listener_that_was_moved_does_not_take_its_old_sockets_over() -> None:
    listeners = [listener("web", "127.0.0.1:90"), listener("other", "127.0.0.1:80")]
    came = [Came("web", "127.0.0.1:80", "127.0.0.1:80", [3]), Came("any", "127.0.0.1:0", "127.0.0.1:4711", [4])]
    matched = inherit.match(listeners, came)
    assert {at: entry.name for at, entry in matched.listeners.items()} == {1: "web"}
    assert [entry.name for entry in matched.left] == ["any"]
