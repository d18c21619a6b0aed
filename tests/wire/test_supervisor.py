"""What a supervisor is told: ready, reloading, whose the service is, and that all is well only while it is."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Start
from tests.support.gateway import command
from tests.support.waiting import until

ROUTES = {"routes": [{"respond": {"body": "here"}}]}


class Supervisor:
    """Hears what is sent to `$NOTIFY_SOCKET`, and by which process."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(str(path))
        self.sock.settimeout(10)
        self.environment = {"NOTIFY_SOCKET": str(path)}

    def hear(self) -> tuple[int, dict[str, str]]:
        """The next message: who sent it, and what it says."""
        data, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
        (sender, _, _) = struct.unpack("iii", ancillary[0][2])
        return sender, dict(line.split("=", 1) for line in data.decode().splitlines())

    def hear_of(self, name: str) -> tuple[int, dict[str, str]]:
        """The next message that says something of this."""
        while True:
            sender, told = self.hear()
            if name in told:
                return sender, told


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "notify")
    yield made
    made.sock.close()


def test_a_life_is_told(start: Start, supervisor: Supervisor) -> None:
    gateway = start(ROUTES, environment=supervisor.environment)
    sender, told = supervisor.hear()
    assert (sender, told["READY"], told["MAINPID"]) == (gateway.pid, "1", str(gateway.pid))
    assert "1 route" in told["STATUS"]
    gateway.reload({"routes": [{"respond": 200}]})
    _, told = supervisor.hear()
    assert told["RELOADING"] == "1"
    assert int(told["MONOTONIC_USEC"]) > 0
    assert "generation 2" in supervisor.hear()[1]["STATUS"]
    gateway.signal(signal.SIGQUIT)
    assert supervisor.hear()[1]["STOPPING"] == "1"


def test_an_upgrade_tells_who_the_service_is(start: Start, supervisor: Supervisor) -> None:
    gateway = start(ROUTES, environment=supervisor.environment)
    assert supervisor.hear()[1]["READY"] == "1"
    assert command(gateway.folder, "upgrade", "-c", str(gateway.file)).returncode == 0
    sender, told = supervisor.hear()
    assert sender == gateway.pid, "only who is the service yet is heard"
    new = int(told["MAINPID"])
    assert new != gateway.pid
    sender, told = supervisor.hear()
    assert (sender, told["READY"], told["MAINPID"]) == (new, "1", str(new))
    assert gateway.process.wait(20) == 0
    assert command(gateway.folder, "reload", "-c", str(gateway.file)).returncode == 0
    assert supervisor.hear()[1]["RELOADING"] == "1", "the old one has said no word of its end"
    assert command(gateway.folder, "stop", "-c", str(gateway.file)).returncode == 0


def test_the_watchdog_is_told_that_all_is_well_before_and_after_an_upgrade(
    start: Start, supervisor: Supervisor
) -> None:
    gateway = start(ROUTES, environment={**supervisor.environment, "WATCHDOG_USEC": "1000000"})
    for _ in range(3):
        assert supervisor.hear_of("WATCHDOG")[0] == gateway.pid
    assert command(gateway.folder, "upgrade", "-c", str(gateway.file)).returncode == 0
    new = int(supervisor.hear_of("MAINPID")[1]["MAINPID"])
    until(lambda: supervisor.hear_of("WATCHDOG")[0] == new, "the new process to speak")
    assert command(gateway.folder, "stop", "-c", str(gateway.file)).returncode == 0


def test_a_stopped_process_is_not_well(start: Start, supervisor: Supervisor) -> None:
    gateway = start(ROUTES, environment={**supervisor.environment, "WATCHDOG_USEC": "600000"})
    supervisor.hear_of("WATCHDOG")
    gateway.signal(signal.SIGSTOP)
    supervisor.sock.settimeout(1.2)
    with pytest.raises(TimeoutError):
        while True:
            supervisor.hear()
    gateway.signal(signal.SIGCONT)
    assert supervisor.hear_of("WATCHDOG")[0] == gateway.pid
