"""Upgraded under load: another process takes the sockets over, and no client notices."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.test_ai_kill import Spender, settings
from tests.conftest import Provide, Serve, Start
from tests.support.client import Client, message, once
from tests.support.gateway import Tidegate, command
from tests.support.http import Cut, Ended
from tests.support.load import Load
from tests.support.providers import Script
from tests.support.waiting import dawdle, until


def running(gateway: Tidegate) -> int:
    """The process that the state directory names."""
    pid: int = json.loads((gateway.state / "run.json").read_text())["pid"]
    return pid


def upgraded(gateway: Tidegate, before: int) -> int:
    """The next process, once it says that it is the one."""
    return until(lambda: (pid := running(gateway)) != before and pid, "another process to run")


class Connects:
    """Clients that make a connection for each request."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self._address = address
        self._over = threading.Event()
        self.failures: list[str] = []
        self.count = 0
        self._threads = [threading.Thread(target=self._connect, daemon=True) for _ in range(clients)]

    @contextlib.contextmanager
    def running(self) -> Iterator[Connects]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(20)

    def _connect(self) -> None:
        while not self._over.is_set():
            try:
                with Client(self._address) as client:
                    status = client.request("GET").status
                if status != 200:
                    self.failures.append(str(status))
            except (OSError, Ended, Cut) as error:
                self.failures.append(repr(error))
            self.count += 1


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_three_upgrades_under_load_lose_nothing(start: Start, serve: Serve, tmp_path: Path, kind: str) -> None:
    listener = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path / 'front'}"
    gateway = start({"listeners": [listener], "workers": 2, "routes": [{"upstream": serve().url}]})
    pid = gateway.pid
    with Load(gateway.address, 4).running() as load, Connects(gateway.address).running() as connects:
        load.more(100)
        for _ in range(3):
            os.kill(pid, signal.SIGUSR2)
            pid = upgraded(gateway, pid)
            load.more(200)
        assert gateway.process.wait(20) == 0
    assert not load.failures
    assert not connects.failures
    assert set(load.statuses) == {200}
    assert connects.count > 100
    assert gateway.get().status == 200
    assert gateway.status()["pid"] == pid


def test_the_verb_upgrades_and_says_who_serves(start: Start) -> None:
    gateway = start({"routes": [{"respond": {"body": "old"}}]})
    kept: Any = {"routes": [{"respond": {"body": "new"}}]}
    gateway.write(kept)
    done = command(gateway.folder, "upgrade", "-c", str(gateway.file))
    assert done.returncode == 0, done
    pid = upgraded(gateway, gateway.pid)
    assert f"process {pid} serves" in done.stdout
    until(lambda: once(gateway.address).body == b"new", "the new process to be the only one that accepts")
    assert gateway.process.wait(20) == 0
    assert gateway.status()["predecessor"] == {"pid": gateway.pid, "draining": False}
    assert command(gateway.folder, "stop", "-c", str(gateway.file)).returncode == 0
    assert not (gateway.state / "control.sock").exists()


def test_a_program_that_does_not_start_leaves_the_old_one_serving(start: Start) -> None:
    gateway = start({"routes": [{"respond": {"body": "old"}}]})
    for binary, reason in (("/nowhere/tidegate", "not_started"), ("/bin/false", "exited")):
        done = command(gateway.folder, "upgrade", "-c", str(gateway.file), "--binary", binary)
        assert done.returncode == 1
        assert f"process {gateway.pid} goes on serving" in done.stderr
        gateway.said.wait(f"upgrade .* failed.*{reason}")
        assert gateway.status()["upgrade"]["reason"] == reason
    gateway.write("routes: 7")
    done = command(gateway.folder, "upgrade", "--state", str(gateway.state))
    assert done.returncode == 1
    assert "tidegate.yaml:1:" in done.stderr
    assert gateway.status()["upgrade"]["reason"] == "refused"
    assert gateway.get().body == b"old"
    assert running(gateway) == gateway.pid


def test_upgrades_to_more_and_to_fewer_workers_lose_nothing(start: Start) -> None:
    """Every socket of the old workers is accepted from, however many workers there are after them."""
    config: dict[str, Any] = {"workers": 2, "routes": [{"respond": {"body": "here"}}]}
    gateway = start(config)
    pid = gateway.pid
    with Connects(gateway.address).running() as connects:
        for workers in (4, 1, 3):
            gateway.write({**config, "workers": workers})
            before = connects.count
            os.kill(pid, signal.SIGUSR2)
            pid = upgraded(gateway, pid)
            until(lambda: gateway.status()["predecessor"]["draining"] is False, "the old one to have gone")
            assert gateway.status()["workers"] == workers

            def more(before: int = before) -> bool:
                return connects.count > before + 200

            until(more, "connections")
    assert not connects.failures


def test_connections_that_nobody_has_accepted_yet_are_served_by_the_new_process(start: Start) -> None:
    gateway = start({"workers": 2, "routes": [{"respond": {"body": "here"}}]})
    gateway.write({"workers": 1, "routes": [{"respond": {"body": "new"}}]})
    assert command(gateway.folder, "upgrade", "-c", str(gateway.file)).returncode == 0
    pid = upgraded(gateway, gateway.pid)
    assert gateway.process.wait(20) == 0
    os.kill(pid, signal.SIGSTOP)
    try:
        waiting = [Client(gateway.address) for _ in range(30)]  # in the queues of both sockets
        for client in waiting:
            client.send(message("GET"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [client.receive().body for client in waiting] == [b"new"] * 30
    for client in waiting:
        client.close()


def test_a_second_upgrade_at_once_is_refused_by_name(start: Start, tmp_path: Path) -> None:
    gateway = start({"routes": [{"respond": {"body": "old"}}]})
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    slow.chmod(0o755)
    first = threading.Thread(
        target=command, args=(gateway.folder, "upgrade", "-c", str(gateway.file), "--binary", str(slow))
    )
    first.start()
    child = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the program to start"))
    assert gateway.status()["upgrade"]["state"] == "under_way"
    second = command(gateway.folder, "upgrade", "-c", str(gateway.file))
    assert second.returncode == 1
    assert "another upgrade is under way" in second.stderr
    gateway.signal(signal.SIGUSR2)
    gateway.said.wait("SIGUSR2.* failed.*under_way")
    assert gateway.get().body == b"old"
    gateway.signal(signal.SIGTERM)
    assert gateway.process.wait(10) == 0
    until(lambda: not Path(f"/proc/{child}").exists(), "the program to be ended with the process that started it")
    first.join(20)


def test_a_listener_that_the_new_configuration_lacks_goes_with_the_old_process(start: Start, tmp_path: Path) -> None:
    here, gone = f"unix:{tmp_path / 'here'}", f"unix:{tmp_path / 'gone'}"
    gateway = start({"listeners": [here, gone], "routes": [{"respond": 200}]})
    gateway.write({"listeners": [here, f"unix:{tmp_path / 'fresh'}"], "routes": [{"respond": 200}]})
    assert command(gateway.folder, "upgrade", "-c", str(gateway.file)).returncode == 0
    assert gateway.process.wait(20) == 0
    until(lambda: not (tmp_path / "gone").exists(), "what nobody listens on to be removed")
    assert once(here).status == once(f"unix:{tmp_path / 'fresh'}").status == 200
    assert command(gateway.folder, "stop", "-c", str(gateway.file)).returncode == 0
    assert not (tmp_path / "here").exists()
    assert not (tmp_path / "fresh").exists()


def test_a_kill_of_the_whole_group_at_any_moment_leaves_nothing_in_the_way(
    start: Start, provide: Provide, tmp_path: Path
) -> None:
    """Sockets, run file, locks, journal: all of it, and in the middle of an upgrade too."""
    chance = random.Random(4)
    folder = tmp_path / "same"
    provider = provide("openai", m=Script())
    ai = settings(provider)
    first = start(ai, folder=folder)
    config = {**ai, "listeners": [first.address, f"unix:{tmp_path / 'front'}"]}
    first.stop()
    for turn in range(6):
        gateway = start(config, folder=folder, before=("setsid",))
        assert gateway.get().status in (200, 404)
        assert once(f"unix:{tmp_path / 'front'}").status in (200, 404)
        assert running(gateway) == gateway.status()["pid"] == gateway.pid
        assert "another process owns" not in gateway.said.text
        spender = Spender(turn)
        threads = spender.spend(gateway.address)
        dawdle(0.05)
        if turn % 2:
            gateway.signal(signal.SIGUSR2)
            dawdle(chance.random() * 1.2)
        os.killpg(gateway.pid, signal.SIGKILL)
        gateway.wait()
        for thread in threads:
            thread.join()
        assert not spender.refused
    last = start(config, folder=folder)
    assert last.status()["ai"]["store"] == "ok"
    assert last.address == first.address
