"""Running it: start, reload, drain, stop, signals, verbs, and what is said when something is wrong."""

from __future__ import annotations

import re
import signal
import socket
import threading
from pathlib import Path

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, message, once
from tests.support.gateway import command
from tests.support.http import Ended, Request
from tests.support.upstream import Peer
from tests.support.waiting import until

ONE = {"routes": [{"respond": {"body": "one"}}]}
TWO = {"routes": [{"respond": {"body": "two"}}]}


def test_a_reload_takes_a_new_configuration_on_open_connections(start: Start) -> None:
    gateway = start(ONE)
    with gateway.client() as client:
        assert client.request("GET").body == b"one"
        assert "generation 2" in gateway.reload(TWO)
        assert client.request("GET").body == b"two"
    assert "nothing has changed" in gateway.reload(TWO)


def test_a_wrong_configuration_is_told_by_place_and_changes_nothing(start: Start) -> None:
    gateway = start(ONE)
    text = gateway.file.read_text().replace('"routes"', '"rutes"')
    line = text[: text.index('"rutes"')].count("\n") + 1
    assert "refused" in gateway.reload(text)
    told = gateway.said.wait(re.escape(f"{gateway.file}:{line}:") + r"\d+: .*")
    assert "routes" in told.group(0), "it says what was probably meant"
    assert gateway.get().body == b"one"
    status = gateway.status()
    assert status["reloads"]["failed"] == 1
    assert f"{gateway.file}:{line}:" in status["reloads"]["last_error"]
    assert "generation 2" in gateway.reload(TWO)
    assert gateway.get().body == b"two"


def test_a_pattern_that_only_the_engine_can_refuse_is_told_by_place(start: Start) -> None:
    gateway = start(ONE)
    assert "refused" in gateway.reload({"routes": [{"match": {"regex": "a(?<b>[c"}, "respond": 200}]})
    gateway.said.wait(re.escape(str(gateway.file)) + r":\d+:\d+: ")
    assert gateway.get().body == b"one"


def test_a_changed_file_is_noticed(start: Start) -> None:
    gateway = start(ONE, watch=True)
    assert gateway.get().body == b"one"
    gateway.write(TWO)
    until(lambda: gateway.get().body == b"two", "the new file to be in force")
    gateway.write("not: [a configuration")
    gateway.said.wait("refused")
    assert gateway.get().body == b"two"


def test_listeners_come_and_go_with_reloads(start: Start) -> None:
    both = {"listeners": [{"address": "127.0.0.1:0", "name": "a"}, {"address": "127.0.0.1:0", "name": "b"}], **ONE}
    gateway = start(both)
    first, second = gateway.addresses
    assert once(second).body == b"one"
    with Client(second) as kept:
        assert kept.request("GET").status == 200
        assert "generation 2" in gateway.reload({"listeners": [{"address": "127.0.0.1:0", "name": "a"}], **TWO})
        assert once(first).body == b"two"
        with pytest.raises(ConnectionRefusedError):
            Client(second)
        with pytest.raises((Ended, ConnectionError)):
            kept.request("GET")
    assert "generation 3" in gateway.reload({**both, **ONE})
    again = next(entry["address"] for entry in gateway.status()["listeners"] if entry["name"] == "b")
    assert once(again).body == b"one"


def test_a_named_listener_moves_to_its_new_address(start: Start, tmp_path: Path) -> None:
    gateway = start({"listeners": [{"address": f"unix:{tmp_path / 'old'}", "name": "front"}], **ONE})
    assert once(f"unix:{tmp_path / 'old'}").body == b"one"
    gateway.reload({"listeners": [{"address": f"unix:{tmp_path / 'new'}", "name": "front"}], **TWO})
    assert once(f"unix:{tmp_path / 'new'}").body == b"two"
    assert not (tmp_path / "old").exists()


def test_a_reload_that_cannot_bind_changes_nothing(start: Start) -> None:
    gateway = start(ONE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "refused" in gateway.reload({"listeners": ["127.0.0.1:0", address], **TWO})
        gateway.said.wait("in use")
    assert gateway.get().body == b"one"


def test_a_request_under_way_ends_on_the_plan_that_it_began_on(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def wait(request: Request, peer: Peer) -> None:
        go.wait(20)
        peer.respond()

    upstream = serve(wait)
    edit = {"headers": {"response": {"set": {"X-Plan": "old"}}}}
    gateway = start({"routes": [{"upstream": upstream.url, **edit}]})
    with gateway.client() as client:
        client.send(message("GET"))
        upstream.wait(1)
        assert "generation 2" in gateway.reload(TWO)
        go.set()
        answer = client.receive()
        assert (answer.status, answer.fields.get("X-Plan")) == (200, "old")
        assert client.request("GET").body == b"two"


def test_the_verbs_reload_show_and_stop_a_running_process(start: Start) -> None:
    gateway = start(ONE)
    where = ("-c", str(gateway.file))
    gateway.write(TWO)
    reloaded = command(gateway.folder, "reload", *where)
    assert (reloaded.returncode, reloaded.stdout.startswith("reloaded: generation 2")) == (0, True), reloaded
    assert gateway.get().body == b"two"
    shown = command(gateway.folder, "status", *where)
    assert shown.returncode == 0
    assert f"process {gateway.pid}" in shown.stdout
    assert gateway.address in shown.stdout
    assert command(gateway.folder, "healthcheck", *where).returncode == 0
    gateway.write(f"state: {gateway.state}\nroutes: 7")
    refused = command(gateway.folder, "reload", *where)
    assert refused.returncode == 1
    assert re.search(r"tidegate\.yaml:2:\d+: ", refused.stderr)
    gateway.write(TWO)
    stopped = command(gateway.folder, "stop", *where)
    assert (stopped.returncode, stopped.stdout) == (0, f"stopped {gateway.pid}\n"), stopped
    assert gateway.wait() == 0
    assert command(gateway.folder, "status", *where).returncode == 1


def test_quit_lets_what_is_under_way_come_to_its_end(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def wait(request: Request, peer: Peer) -> None:
        go.wait(20)
        peer.respond(200, b"to the end")

    upstream = serve(wait)
    gateway = start({"workers": 2, "routes": [{"upstream": upstream.url}]})
    idle = gateway.client()
    busy = gateway.client()
    busy.send(message("GET"))
    upstream.wait(1)
    gateway.signal(signal.SIGQUIT)
    assert idle.is_closed(), "an idle connection is let go"
    gateway.said.wait("draining")
    until(lambda: gateway.admin("/readyz").status == 503, "readyz to say so")
    with pytest.raises((ConnectionError, Ended)):
        once(gateway.address)
    go.set()
    answer = busy.receive()
    assert (answer.body, answer.fields.get("Connection")) == (b"to the end", "close")
    assert gateway.wait() == 0
    idle.close()
    busy.close()


def test_a_drain_cuts_what_does_not_end_in_its_time(start: Start, serve: Serve) -> None:
    upstream = serve(serve=lambda peer: peer.stream.rest() and None)
    gateway = start({"server": {"drain": "300ms"}, "routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        client.send(message("GET"))
        until(lambda: upstream.accepted == 1, "the request to be under way")
        gateway.signal(signal.SIGQUIT)
        assert gateway.wait() == 0
    assert "cutting 1 connection" in gateway.said.text


def test_term_ends_at_once_and_leaves_nothing_behind(start: Start, serve: Serve) -> None:
    upstream = serve(serve=lambda peer: peer.stream.rest() and None)
    gateway = start({"routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        client.send(message("GET"))
        until(lambda: upstream.accepted == 1, "the request to be under way")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(5) == 0
    assert not (gateway.state / "control.sock").exists()
    assert not (gateway.state / "run.json").exists()


def test_a_port_in_use_is_told_and_the_start_fails(start: Start) -> None:
    first = start(ONE)
    second = start({"listeners": [first.address], "admin": False, **ONE}, wait=False)
    assert second.wait() == 1
    assert first.address in second.said.text
    assert "in use" in second.said.text
    assert first.get().status == 200


def test_a_wrong_file_is_told_and_the_start_fails(start: Start) -> None:
    gateway = start('listeners: ["127.0.0.1:0"]\nroutes:\n  - upstream: nowhere\n', wait=False)
    assert gateway.wait() == 1
    assert f"{gateway.file}:3:15: " in gateway.said.text
    assert "nowhere" in gateway.said.text


def test_the_last_good_plan_serves_where_the_file_is_broken(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "same"
    first = start({"listeners": ["127.0.0.1:0"], **ONE}, folder=folder)
    until((first.state / "last-good.plan").exists, "the plan to be kept")
    first.stop()
    first.write(f"state: {first.state}\nroutes: [")
    plain = start(folder=folder, wait=False, arguments=["-c", str(first.file)])
    assert plain.wait() == 1
    kept = start(folder=folder, arguments=["-c", str(first.file), "--last-good"])
    assert "last good plan" in kept.said.text
    assert kept.get().body == b"one"


def test_no_file_is_needed_to_stand_before_a_server(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start(arguments=["--listen", "127.0.0.1:0", "--to", upstream.url, "--workers", "1"])
    assert gateway.get("/a?b").body == b"ok"
    assert upstream.requests[0].target == "/a?b"


def test_two_processes_share_a_state_directory(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "same"
    first = start(ONE, folder=folder)
    other = tmp_path / "other.yaml"
    other.write_text(f'listeners: ["127.0.0.1:0"]\nstate: {first.state}\nroutes: [{{respond: {{body: other}}}}]\n')
    second = start(folder=folder, arguments=["-c", str(other)])
    assert "another process owns" in second.said.text
    assert second.get().body == b"other"
    assert command(folder, "status", "-c", str(other), within=20).stdout.count(f"process {second.pid}") == 1


def test_check_and_explain_need_no_running_process(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.yaml"
    file.write_text('listeners: [":8080"]\nroutes:\n  - match: {path: /v1}\n    upstream: http://127.0.0.1:9\n')
    assert command(tmp_path, "check", "-c", str(file)).returncode == 0
    told = command(tmp_path, "explain", "-c", str(file), "GET", "http://a.example:8080/v1/x")
    assert told.returncode == 0, told
    assert "http://127.0.0.1:9" in told.stdout
    file.write_text("listeners: [':8080']\nroutes:\n  - match: {regex: '['}\n    respond: 200\n")
    wrong = command(tmp_path, "check", "-c", str(file))
    assert wrong.returncode == 1
    assert re.match(re.escape(str(file)) + r":3:\d+: ", wrong.stderr), wrong.stderr


def test_the_admin_api_changes_nothing_over_tcp(start: Start) -> None:
    gateway = start(ONE)
    assert gateway.admin("/healthz").body == b"ok\n"
    assert gateway.admin("/readyz").body == b"ready\n"
    assert gateway.admin("/status").status == 200
    for path in ("/stop", "/reload", "/drain"):
        assert gateway.admin(path, "POST").status == 403
    assert gateway.control("/reload", "POST").status == 200
    assert gateway.get().body == b"one"


def test_the_configuration_is_shown_without_its_secrets(start: Start) -> None:
    keys = [{"name": "web", "key": "very-secret"}]
    gateway = start({"routes": [{"auth": {"api_keys": {"header": "X-Key", "keys": keys}}, "respond": 200}]})
    shown = gateway.admin("/config").body.decode()
    assert "web" in shown
    assert "very-secret" not in shown
    assert not re.search(r"[0-9a-f]{64}", shown)


def test_the_process_stays_small(start: Start, serve: Serve) -> None:
    gateway = start({"workers": 2, "routes": [{"upstream": serve().url}]})
    with gateway.client() as client:
        for _ in range(500):
            assert client.request("GET").status == 200
    assert gateway.memory_kib() < 50 * 1024
