"""The ledger's database fails while calls go on: nobody is told that a key is wrong, and no record is lost."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import KEY, ask, config, said, usage
from tests.support.gateway import Tidegate, command
from tests.support.waiting import until

CALLS = 60
DATABASE = "ai.sqlite3"


def failing(gateway: Tidegate) -> bool:
    told: dict[str, Any] = gateway.status()["ai"]
    return bool(told["store"] == "failing")


def lock(gateway: Tidegate) -> Callable[[], None]:
    """Somebody writes and does not end."""
    holder = sqlite3.connect(gateway.state / DATABASE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    return holder.close


def replace(gateway: Tidegate) -> Callable[[], None]:
    """Another file is in its place, which is no database."""
    aside = gateway.state / "aside"
    aside.mkdir()
    names = [path.name for path in gateway.state.glob(f"{DATABASE}*")]
    for name in names:
        (gateway.state / name).rename(aside / name)
    (gateway.state / DATABASE).write_bytes(b"this is no database" * 1000)

    def undo() -> None:
        for path in gateway.state.glob(f"{DATABASE}*"):
            path.unlink()
        for name in names:
            if (aside / name).exists():
                (aside / name).rename(gateway.state / name)

    return undo


def fill(gateway: Tidegate) -> Callable[[], None]:
    """No file may grow beyond a few bytes, as on a full disk."""

    def bound(most: str) -> None:
        subprocess.run(["prlimit", f"--pid={gateway.pid}", f"--fsize={most}:unlimited"], check=True)

    bound("1000")
    return lambda: bound("unlimited")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("trouble", [lock, replace, fill])
def test_calls_go_on_while_the_database_can_t_be_used_and_are_taken_in_later(
    start: Start, provide: Provide, trouble: Callable[[Tidegate], Callable[[], None]]
) -> None:
    gateway = start(config({"a": provide("openai")}))
    made = command(gateway.folder, "keys", "create", "stored", "-c", str(gateway.file)).stdout.strip()
    until(lambda: ask(gateway, "a-plain", key=made).status == 200, "the key to be in force")
    before = len(usage(gateway))
    undo = trouble(gateway)
    try:
        for number in range(CALLS):
            assert said(ask(gateway, "a-plain", key=(KEY, made)[number % 2])) == "Hello from the tide."
        until(lambda: failing(gateway), "it says so", 20)
        assert said(ask(gateway, "a-plain", key=made)) == "Hello from the tide."
        assert ask(gateway, "a-plain", key="wrong-secret-0123456789").status == 401
    finally:
        undo()
    gateway.said.wait("AI store: it can be used again", within=20)
    records = usage(gateway, before + CALLS + 1)
    good = [record for record in records if record["outcome"] == "ok"]
    assert len({record["id"] for record in good}) == len(good) == before + CALLS + 1


def test_a_gateway_that_starts_without_its_database_lets_in_whom_it_let_in_before(
    start: Start, provide: Provide
) -> None:
    settings = config({"a": provide("openai")}, keys=[])
    gateway = start(settings)
    made = command(gateway.folder, "keys", "create", "stored", "-c", str(gateway.file)).stdout.strip()
    until(lambda: ask(gateway, "a-plain", key=None).status == 401, "keys to be needed")
    assert ask(gateway, "a-plain", key=made).status == 200
    usage(gateway, 1)  # between the last byte and the record a kill would lose the call
    gateway.kill()
    undo = replace(gateway)
    gateway = start(settings, folder=gateway.folder)
    assert failing(gateway)
    assert said(ask(gateway, "a-plain", key=made)) == "Hello from the tide."
    assert ask(gateway, "a-plain", key=None).status == 401
    undo()
    gateway.said.wait("AI store: it can be used again", within=20)
    gateway.since = 0  # also of the one that was killed
    assert [record["outcome"] for record in usage(gateway, 2)].count("ok") == 2
    assert command(gateway.folder, "keys", "revoke", "stored", "-c", str(gateway.file)).returncode == 0
    until(lambda: ask(gateway, "a-plain", key=made).status == 401, "the key to end", 1)


def test_a_disk_that_is_full_for_long_refuses_calls_before_their_usage_is_lost(start: Start, provide: Provide) -> None:
    """Records wait in memory while no segment can be made; when too many do, calls are refused, not their usage."""
    settings = config({"a": provide("openai")})
    settings["ai"]["journal"] = {"segment": "64KiB"}
    gateway = start(settings)
    undo = fill(gateway)
    answered = 0
    try:
        while (response := ask(gateway, "a-plain")).status == 200:
            answered += 1
            assert answered < 20_000, "memory is bounded"
        assert response.status == 503
        assert response.json()["error"]["code"] == "usage_journal_full"
    finally:
        undo()
    until(lambda: ask(gateway, "a-plain").status == 200, "calls to be taken again", 20)
    records = usage(gateway, answered + 1)
    assert sum(record["outcome"] == "ok" for record in records) == answered + 1


def test_what_is_locked_for_a_moment_is_not_told_as_broken(start: Start, provide: Provide) -> None:
    gateway = start(config({"a": provide("openai")}))
    assert ask(gateway, "a-plain").status == 200
    usage(gateway)
    with closing(sqlite3.connect(gateway.state / DATABASE, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert ask(gateway, "a-plain").status == 200
    assert len(usage(gateway, 2)) == 2
    assert not failing(gateway)
