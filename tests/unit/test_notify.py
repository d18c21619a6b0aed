"""sd_notify(3): the datagrams that a supervisor gets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tidegate.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_arrive_at_both_kinds_of_address(tmp_path: Path, abstract: bool) -> None:
    name = f"tidegate-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + name if abstract else name)
        supervisor.settimeout(10)
        environ = {"NOTIFY_SOCKET": "@" + name if abstract else name}
        notifier = Notifier(environ)
        notifier.ready("all\nis well")
        assert supervisor.recv(999).decode() == f"READY=1\nSTATUS=all is well\nMAINPID={os.getpid()}"
        notifier.reloading()
        assert supervisor.recv(999).decode().startswith("RELOADING=1\nMONOTONIC_USEC=")
        notifier.stopping("draining")
        assert supervisor.recv(999).decode() == "STOPPING=1\nSTATUS=draining"
        notifier.alive()
        assert supervisor.recv(999).decode() == "WATCHDOG=1"
        assert environ == {}


def test_without_a_supervisor_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready("x")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")


@pytest.mark.parametrize(
    ("environ", "every"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(environ: dict[str, str], every: float | None) -> None:
    assert Notifier(environ).watchdog_s == every
