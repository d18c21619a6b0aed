"""Upgraded under load: another process takes the sockets over, and no client notices."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, once
from tests.support.gateway import Tidegate, command
from tests.support.http import Cut, Ended
from tests.support.load import Load
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def successors(start: Start, tmp_path: Path) -> Iterator[None]:
    """Ends what was started by a gateway and not by the test."""
    yield
    for file in tmp_path.glob("*/state/run*.json"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


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
