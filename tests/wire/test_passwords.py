"""Password files: made by htpasswd and by libraries, read anew when they change, checked aside."""

from __future__ import annotations

import base64
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from tests.conftest import Start
from tests.support.gateway import Tidegate, command, program
from tests.support.waiting import until


def htpasswd(file: Path, *users: str, kind: str = "-B") -> None:
    for user in users:
        name, _, password = user.partition(":")
        flags = ["-C", "5"] if kind == "-B" else []
        create = [] if file.exists() else ["-c"]
        arguments = [program("htpasswd"), "-b", kind, *flags, *create, str(file), name, password]
        subprocess.run(arguments, check=True, capture_output=True)


def ask(gateway: Tidegate, pair: str) -> int:
    value = "Basic " + base64.b64encode(pair.encode()).decode()
    return gateway.get("/", Authorization=value).status


def config(file: Path | str) -> dict[str, object]:
    return {"routes": [{"auth": {"basic": {"file": str(file)}}, "respond": {"body": "${user}"}}]}


@pytest.mark.parametrize("kind", ["-B", "-m", "-s", "-2", "-5"])
def test_what_htpasswd_writes_is_read(run: Start, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "users"
    htpasswd(file, "ann:correct horse", "bob:", kind=kind)
    gateway = run(config(file))
    assert ask(gateway, "ann:correct horse") == 200
    assert ask(gateway, "bob:") == 200
    for pair in ("ann:Correct horse", "ann:", "bob:x", "eve:correct horse", ":", "ann"):
        assert ask(gateway, pair) == 401, pair
    assert ask(gateway, "ann:correct horse") == 200, "also when it is remembered"


def test_argon2id_is_read(run: Start, tmp_path: Path) -> None:
    made = Argon2id(salt=os.urandom(16), length=32, iterations=1, lanes=1, memory_cost=64)
    (tmp_path / "users").write_text(f"ann:{made.derive_phc_encoded(b'secret')}\n")
    gateway = run(config(tmp_path / "users"))
    assert [ask(gateway, pair) for pair in ("ann:secret", "ann:other", "bob:secret")] == [200, 401, 401]


def test_a_file_that_changes_is_read_anew_and_a_bad_one_is_not_taken(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "users"
    htpasswd(file, "ann:one")
    gateway = start(config(file), watch=True)
    assert ask(gateway, "ann:one") == 200
    fresh = tmp_path / "fresh"
    htpasswd(fresh, "ann:two", "bob:two")
    fresh.replace(file)
    until(lambda: ask(gateway, "bob:two") == 200, "the new file")
    assert (ask(gateway, "ann:two"), ask(gateway, "ann:one")) == (200, 401), "what was remembered is forgotten"
    file.write_text("ann:plain text\n")
    gateway.said.wait(f"{file}:1:5: the password stands there as it is")
    assert ask(gateway, "ann:two") == 200


def test_other_requests_do_not_wait_for_slow_hashes(run: Start, tmp_path: Path) -> None:
    file = tmp_path / "users"
    subprocess.run(
        [program("htpasswd"), "-b", "-c", "-B", "-C", "11", str(file), "ann", "secret"], check=True, capture_output=True
    )
    routes = [*config(file)["routes"], {"match": {"path": "/free"}, "respond": 204}]  # type: ignore[misc]
    gateway = run({"routes": routes})
    with ThreadPoolExecutor(6) as several:
        slow = [several.submit(ask, gateway, f"ann:wrong{number}") for number in range(6)]
        until(lambda: gateway.connections() > 1 or all(done.done() for done in slow), "checks under way")
        waits = [gateway.get("/free").status for _ in range(20)]
        unfinished = [done for done in slow if not done.done()]
        assert waits == [204] * 20
        assert unfinished, "twenty answers took longer than six slow hashes"
        assert [done.result() for done in slow] == [401] * 6


def test_check_names_what_is_wrong_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("# comment\nann:secret\nbob\nann2:$1$a$b\neve:$2y$05$short\n")
    (tmp_path / "t.yaml").write_text("routes:\n  - {auth: {basic: {file: users}}, respond: 204}\n")
    told = command(tmp_path, "check", "-c", "t.yaml")
    assert told.returncode == 1
    users = tmp_path / "users"
    for place in (
        f"{users}:2:5: the password stands there as it is",
        f"{users}:3:1: this is no `NAME:HASH`",
        f"{users}:4:6: this kind of hash is not known",
        f"{users}:5:5: the hash is cut",
    ):
        assert place in told.stderr + told.stdout
    assert "secret" not in told.stderr + told.stdout
