"""The command line: what each verb prints, where, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

import tidegate
from tidegate import cli
from tidegate.cli import control
from tidegate.state import Running, State

STATUS = {
    "version": "0.1.0",
    "pid": os.getpid(),
    "config": None,
    "state": "/s",
    "control": "/s/control.sock",
    "started_at": 0.0,
    "uptime_s": 10.0,
    "workers": 1,
    "draining": False,
    "listeners": [{"name": ":8080", "address": "[::]:8080", "admin": False}],
    "routes": 1,
    "generation": 1,
    "reloads": {"applied": 1, "failed": 0, "last_at": 0.0, "last_error": None},
    "memory_bytes": 1048576,
    "hooks": [],
    "engine": {"requests": 10, "connections": 1, "in_flight": 0},
}


class Process:
    """Stands in for a running process: answers on a Unix socket, from a table."""

    def __init__(self, folder: Path, config: str | None) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.state = State(str(folder))
        process = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                process.asked.append(f"{self.command} {self.path}")
                status, content = process.answers.get(f"{self.command} {self.path}", (404, {"detail": "not here"}))
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if "/stop" in self.path:
                    process.state.release()

            do_POST = do_GET  # noqa: N815 — the base class names them

            def address_string(self) -> str:
                return ""

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingUnixStreamServer(self.state.control, Handler)
        self.state.announce(Running(os.getpid(), self.state.control, [], 1, config, str(folder)))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        if "POST /stop" not in "".join(self.asked):
            self.state.release()


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(control, "RATE_OVER_S", 0)
    process = Process(tmp_path / "state", str(tmp_path / "tidegate.yaml"))
    (tmp_path / "tidegate.yaml").write_text(f"state: {tmp_path / 'state'}\n")
    yield process
    process.close()


def tidegate_with(*arguments: str) -> int:
    """The exit status, as a shell would see it."""
    try:
        return cli.main(arguments)
    except SystemExit as left:
        return int(left.code or 0)


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_with("version") == 0
    assert tidegate_with("-v") == 0
    assert capsys.readouterr().out == f"tidegate {tidegate.__version__}\n" * 2


def test_quick_verbs_bring_in_nothing_heavy() -> None:
    code = (
        "import sys; from tidegate.cli import main; main(['version']);"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'asyncio', 'uvloop', 'msgspec', 'yaml', 'http'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": "python"}
    )
    assert done.stdout.splitlines()[1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("run", "--workers", "many"),
        ("run", "--workers", "5000"),
        ("run", "-c", "a.yaml", "--to", "http://127.0.0.1:1"),
        ("explain", "GET"),
    ],
)
def test_a_wrong_command_is_status_2_with_its_usage(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tidegate_with(*arguments) == 2
    assert "usage: tidegate" in capsys.readouterr().err


def test_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = ["run", "check", "explain", "schema", "reload", "status", "stop", "healthcheck", "version"]
    for verb in verbs:
        assert tidegate_with(verb, "--help") == 0
    shown = capsys.readouterr().out
    assert all(f"usage: tidegate {verb}" in shown for verb in verbs)


def test_check_tells_every_error_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("listeners: ['127.0.0.1:0']\nroutess: []\nworkers: many\n")
    assert tidegate_with("check", "-c", str(file)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{file}:2:1: ")
    assert lines[1].startswith(f"{file}:3:10: ")


def test_check_finds_a_hook_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("listeners: ['127.0.0.1:0']\nroutes:\n  - respond: 200\n    hook: not_there:check\n")
    assert tidegate_with("check", "-c", str(file)) == 1
    assert f"{file}:4:11: hook 'not_there:check': there is no module" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_with("check", "-c", str(tmp_path / "none.yaml")) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_with("schema") == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


def test_reload_tells_what_came_of_it(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.answers["POST /reload"] = (200, {"error": "", "changed": True, "generation": 2, "summary": "3 routes"})
    assert tidegate_with("reload") == 0
    process.answers["POST /reload"] = (200, {"error": "", "changed": False, "generation": 2, "summary": "3 routes"})
    assert tidegate_with("reload", "-c", "tidegate.yaml") == 0
    assert capsys.readouterr().out == "reloaded: generation 2, 3 routes\nnothing has changed: generation 2\n"


def test_a_refused_reload_is_status_1_with_the_whole_error(
    process: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    process.answers["POST /reload"] = (422, {"detail": "a.yaml:1:1: no\na.yaml:2:1: neither"})
    assert tidegate_with("reload") == 1
    told = capsys.readouterr().err
    assert told == "a.yaml:1:1: no\na.yaml:2:1: neither\nthe old configuration stays in force\n"


def test_a_process_is_found_though_its_file_is_broken(process: Process, tmp_path: Path) -> None:
    (tmp_path / "tidegate.yaml").write_text(f"state: {tmp_path / 'state'}\nroutes: 5\nnonsense: 3\n")
    process.answers["POST /reload"] = (422, {"detail": "no"})
    assert tidegate_with("reload") == 1
    assert process.asked == ["POST /reload"]


def test_status_is_a_table_or_json(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.answers["GET /status"] = (200, STATUS)
    assert tidegate_with("status") == 0
    shown = capsys.readouterr().out
    assert "[::]:8080" in shown
    assert "10 in all" in shown
    assert tidegate_with("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["engine"]["requests"] == 10


def test_stop_waits_for_the_end(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.answers["POST /stop"] = (200, {"stopping": "drain"})
    assert tidegate_with("stop") == 0
    assert capsys.readouterr().out == f"stopped {os.getpid()}\n"


def test_stop_now_says_so(process: Process) -> None:
    process.answers["POST /stop?now"] = (200, {"stopping": "now"})
    assert tidegate_with("stop", "--now") == 0
    assert process.asked == ["POST /stop?now"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_healthcheck_follows_readyz(process: Process, status: int, code: int) -> None:
    process.answers["GET /readyz"] = (status, {})
    assert tidegate_with("healthcheck") == code
    assert tidegate_with("healthcheck", "--url", f"unix:{process.state.control}") == code


def test_healthcheck_of_nobody_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_with("healthcheck", "--state", str(tmp_path)) == 1
    assert tidegate_with("healthcheck", "--url", f"unix:{tmp_path / 'gone.sock'}") == 1
    assert tidegate_with("healthcheck", "--url", "https://example.com/") == 1
    told = capsys.readouterr().err
    assert "nothing runs" in told
    assert "does not answer" in told
    assert "is no http:// URL" in told


def test_nothing_that_runs_is_told_with_where_it_was_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tidegate_with("status", "--state", str(tmp_path)) == 1
    assert f"nothing runs with the state directory {tmp_path}" in capsys.readouterr().err


def test_of_several_the_one_that_runs_the_file_is_asked(
    process: Process, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Process(tmp_path / "state", str(tmp_path / "other.yaml"))
    try:
        for one in (process, other):
            one.answers["POST /reload"] = (200, {"error": "", "changed": False, "generation": 1, "summary": ""})
        assert tidegate_with("reload", "-c", "other.yaml", "--state", str(tmp_path / "state")) == 0
        assert (process.asked, other.asked) == ([], ["POST /reload"])
        assert tidegate_with("reload") == 0
        assert process.asked == ["POST /reload"]
        (tmp_path / "tidegate.yaml").unlink()
        assert tidegate_with("reload", "--state", str(tmp_path / "state")) == 1
        assert "several run" in capsys.readouterr().err
        assert tidegate_with("reload", "-c", "third.yaml", "--state", str(tmp_path / "state")) == 1
        assert "nothing runs" in capsys.readouterr().err
    finally:
        other.close()
