"""Sockets that systemd has bound: matched by name and by address, shared by all workers, kept by an upgrade."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.conftest import Start
from tests.support.activation import activation, tcp, unix
from tests.support.client import once
from tests.support.gateway import command
from tests.support.waiting import until

ROUTES = {"routes": [{"respond": {"body": "here"}}]}


def test_sockets_are_matched_by_address_and_shared_by_workers(start: Start, tmp_path: Path) -> None:
    (first, one), (second, two), (third, three) = tcp(), tcp(socket.AF_INET6), unix(tmp_path / "front")
    config = {"workers": 3, "listeners": [three, two, one], "admin": False, **ROUTES}
    with first, second, third:
        # systemd names sockets after their unit where nobody else does.
        gateway = start(config, **activation((first, second, third), ("tidegate.socket",) * 3))
        assert set(gateway.addresses) == {one, two, three}
        for _ in range(20):
            assert [once(address).body for address in (one, two, three)] == [b"here"] * 3
        gateway.stop()
        assert (tmp_path / "front").exists(), "systemd's file is systemd's to remove"
        again = start(config, **activation((first, second, third)))
        assert once(three).body == b"here"
        again.stop()


def test_a_name_goes_before_an_address(start: Start) -> None:
    (web, address), (admin, other) = tcp(), tcp()
    listeners = [{"address": "127.0.0.1:0", "name": "web"}, {"address": other, "name": "inner"}]
    with web, admin:
        gateway = start({"listeners": listeners, **ROUTES}, **activation((admin, web), ("x", "web")))
        assert gateway.addresses == [address, other]
        assert once(address).body == once(other).body == b"here"


def test_an_admin_listener_is_activated_too(start: Start) -> None:
    sock, address = tcp()
    with sock:
        gateway = start({"admin": address, **ROUTES}, **activation((sock,)))
        assert gateway.admin_addresses == [address]
        assert gateway.admin("/readyz").status == 200


def test_a_socket_for_no_listener_is_refused_by_its_address(start: Start) -> None:
    (known, address), (odd, other) = tcp(), tcp()
    with known, odd:
        gateway = start({"listeners": [address], **ROUTES}, wait=False, **activation((known, odd), ("a", "b")))
        assert gateway.wait() == 1
    assert f"no listener is for {other} (`b`)" in gateway.said.text
    assert f"the configuration listens on {address}" in gateway.said.text


def test_what_does_not_listen_is_refused(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        gateway = start(ROUTES, wait=False, **activation((datagrams,), ("dns",)))
        assert gateway.wait() == 1
    assert "descriptor 3 of socket activation (`dns`) does not listen for streams" in gateway.said.text


def test_sockets_for_another_process_are_left_alone(start: Start) -> None:
    sock, _ = tcp()
    with sock:
        gateway = start(ROUTES, **activation((sock,), environment={"LISTEN_PID": "1"}))
        assert gateway.get().body == b"here"


def test_an_upgrade_keeps_what_systemd_bound(start: Start, tmp_path: Path) -> None:
    sock, address = unix(tmp_path / "front")
    with sock:
        gateway = start({"listeners": [address], "admin": False, **ROUTES}, **activation((sock,)))
        assert command(gateway.folder, "upgrade", "-c", str(gateway.file)).returncode == 0
        assert gateway.process.wait(20) == 0
        assert once(address).body == b"here"
        stopped = command(gateway.folder, "stop", "-c", str(gateway.file))
        assert stopped.returncode == 0, stopped
        until(lambda: not (gateway.state / "run.json").exists(), "the end")
        assert (tmp_path / "front").exists()
