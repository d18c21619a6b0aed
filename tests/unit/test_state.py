"""The state directory: who owns it, what is left behind, who is found there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.state import SOCKET_PATH_MAX, Running, State, StateError, directory, running


@pytest.mark.parametrize(
    ("configured", "environ", "expected"),
    [
        ("/a", {"STATE_DIRECTORY": "/b"}, ("/a", True)),
        (None, {"STATE_DIRECTORY": "/b:/c", "XDG_STATE_HOME": "/d"}, ("/b", True)),
        (None, {"XDG_STATE_HOME": "/d", "HOME": "/h"}, ("/d/tidegate", False)),
        (None, {"HOME": "/h"}, ("/h/.local/state/tidegate", False)),
    ],
)
def test_the_first_that_is_named_is_the_directory(
    configured: str | None, environ: dict[str, str], expected: tuple[str, bool]
) -> None:
    assert directory(configured, environ) == expected


def test_the_first_process_owns_the_directory_and_the_next_goes_beside_it(tmp_path: Path) -> None:
    first, second = State(str(tmp_path)), State(str(tmp_path))
    assert (first.owner, second.owner) == (True, False)
    assert first.control == str(tmp_path / "control.sock")
    assert second.control == str(tmp_path / f"control-{os.getpid()}.sock")
    second.release()
    first.release()
    third = State(str(tmp_path))
    assert third.owner
    third.release()


def test_a_directory_that_we_make_is_ours_alone(tmp_path: Path) -> None:
    State(str(tmp_path / "a" / "b")).release()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot use the state directory"):
        State(str(tmp_path / "file"))


def test_what_dead_processes_left_is_swept_and_what_others_put_there_is_not(tmp_path: Path) -> None:
    import socket

    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    pid = int(dead.stdout)
    left = [tmp_path / f"run-{pid}.json", tmp_path / f"control-{pid}.sock"]
    kept = [tmp_path / f"run-{os.getpid()}.json", tmp_path / "run-notes.json", tmp_path / "journal"]
    for path in (*left, *kept):
        path.write_text("{}")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "control.sock"))
    state = State(str(tmp_path))
    assert not (tmp_path / "control.sock").exists()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    state.release()


def test_running_processes_are_found_the_owner_first_and_dead_ones_are_not(tmp_path: Path) -> None:
    first, second = State(str(tmp_path)), State(str(tmp_path))
    here = os.getpid()
    for state, name in ((second, "b.yaml"), (first, "a.yaml")):
        state.announce(Running(here, state.control, ["127.0.0.1:9640"], 1, name, state.path))
    (tmp_path / "run-999999999.json").write_text(
        '{"pid": 999999999, "control": "", "admin": [], "generation": 1, "config": null, "state": ""}'
    )
    (tmp_path / "run-1.json").write_text("not json")
    assert [process.config for process in running(str(tmp_path))] == ["a.yaml", "b.yaml"]
    first.release()
    second.release()
    assert running(str(tmp_path)) == []
    assert running(str(tmp_path / "nowhere")) == []


def test_the_plan_is_kept_whole_and_for_us_alone(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    with pytest.raises(StateError, match="no last good plan"):
        state.kept_plan()
    state.keep_plan(b'{"schema":1}', {"config": "/a.yaml"})
    state.keep_plan(b'{"schema":2}', {"config": "/a.yaml"})
    plan, about = state.kept_plan()
    assert (plan, about["config"]) == (b'{"schema":2}', "/a.yaml")
    assert (tmp_path / "last-good.plan").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.new"))
    (tmp_path / "last-good.plan").write_text("garbage")
    with pytest.raises(StateError, match="can't be read"):
        state.kept_plan()
    state.release()


def test_only_the_owner_keeps_a_plan(tmp_path: Path) -> None:
    first, second = State(str(tmp_path)), State(str(tmp_path))
    second.keep_plan(b"{}", {})
    assert not (tmp_path / "last-good.plan").exists()
    first.release()
    second.release()


def test_a_path_too_long_for_a_socket_gets_a_short_one_in_a_folder_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "t"
    short.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(short))
    deep = tmp_path / ("x" * 120)
    state = State(str(deep))
    assert len(state.control) <= SOCKET_PATH_MAX
    assert Path(state.control).parent.stat().st_mode & 0o777 == 0o700
    again = State(str(deep))
    assert Path(again.control).parent == Path(state.control).parent
    again.release()
    state.release()
    Path(state.control).parent.chmod(0o755)
    with pytest.raises(StateError, match="not a folder of ours alone"):
        State(str(deep))
