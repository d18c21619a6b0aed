"""Keys and usage of a running gateway: what the verbs do is in force within a second, whatever else is broken."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.ai_journal import NOW, end, segment
from tests.unit.fake_engine import until
from tests.unit.test_gateway import Scene

from tidegate import cli
from tidegate.ai.database import FILE, connect
from tidegate.ai.store import digest
from tidegate.gateway import Gateway

CONFIG = """\
listeners: ["127.0.0.1:0"]
state: {state}
routes:
  - {{match: {{path: /ai/}}, ai: {{}}}}
ai:
  providers: {{local: {{dialect: openai, base_url: "http://127.0.0.1:9/v1"}}}}
  models: {{small: local/llama}}
  tenants: {{acme: {{budget: 50/month}}}}
"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    (tmp_path / "state").mkdir()
    scene.write(CONFIG, path="")
    return scene


def verb(scene: Scene, *arguments: str) -> int:
    return cli.main([arguments[0], *arguments[1:], "-c", str(scene.file)])


def created(scene: Scene, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert verb(scene, "keys", "create", *arguments) == 0
    return capsys.readouterr().out.strip()


def keys(scene: Scene) -> list[tuple[str, str]]:
    return [(key["name"], key["sha256"]) for key in scene.engine.plans[-1]["ai"]["keys"]]


def test_a_key_is_in_force_and_out_of_it_within_a_second(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(process: Gateway) -> None:
        assert scene.engine.plans[0]["ai"]["open"]
        secret = await asyncio.to_thread(created, scene, capsys, "ci", "--tenant", "acme", "--limit", "requests=5/min")
        async with asyncio.timeout(1):
            await until(lambda: keys(scene))
        assert keys(scene) == [("ci", digest(secret))]
        assert not scene.engine.plans[-1]["ai"]["open"]
        scene.file.write_text("broken: [")  # a revoked key must be refused also while somebody edits
        assert await asyncio.to_thread(cli.main, ["keys", "revoke", "ci", "--state", str(scene.folder / "state")]) == 0
        async with asyncio.timeout(1):
            await until(lambda: not keys(scene))
        assert not scene.engine.plans[-1]["ai"]["open"]
        assert process.status()["ai"]["store"] == "ok"

    assert scene.run(body) == 0


def test_a_rotated_key_pays_from_one_account_with_both_secrets(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    first = created(scene, capsys, "ci", "--tenant", "acme", "--budget", "5/day")
    assert verb(scene, "keys", "rotate", "ci", "--grace", "1h") == 0
    second = capsys.readouterr().out.strip()

    async def body(_: Gateway) -> None:
        assert sorted(keys(scene)) == sorted([("ci", digest(first)), ("ci", digest(second))])
        one, other = scene.engine.plans[-1]["ai"]["keys"]
        assert one["accounts"] == other["accounts"]

    assert scene.run(body) == 0


def test_a_store_that_breaks_while_it_runs_takes_no_key_away(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    secret = created(scene, capsys, "ci")

    async def body(process: Gateway) -> None:
        database = scene.folder / "state" / FILE
        fresh = scene.folder / "fresh"
        fresh.write_bytes(b"no database" * 1000)
        fresh.replace(database)
        for name in (f"{FILE}-wal", f"{FILE}-shm"):  # what is in them would be read as the database
            (scene.folder / "state" / name).unlink(missing_ok=True)
        await until(lambda: process.status()["ai"]["store"] == "failing")
        await process.reload("test")
        assert keys(scene) == [("ci", digest(secret))]

    assert scene.run(body) == 0
    assert "the last keys that were read stay in force" in capsys.readouterr().err


def test_accounts_open_with_what_a_killed_process_left_in_the_journal(scene: Scene) -> None:
    from time import time

    segment(scene.folder / "state" / "usage", [end("a", usd=7, at_ms=int(time() * 1000))])

    async def body(_: Gateway) -> None:
        (account,) = scene.engine.plans[0]["ai"]["accounts"]
        assert account["name"] == "tenant acme: usd per month"
        assert account["opening"]["spent"] == 7

    assert scene.run(body) == 0


def test_usage_is_told_while_it_runs_and_when_it_does_not(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    usage = scene.folder / "state" / "usage"

    def told() -> list[Any]:
        capsys.readouterr()
        assert verb(scene, "usage", "--by", "key,model,day", "--format", "json") == 0
        rows: list[Any] = json.loads(capsys.readouterr().out)
        return rows

    segment(usage, [end("a")])
    (row,) = told()
    assert (row["key"], row["model"], row["day"], row["requests"]) == ("ci", "small", "2025-11-21", 1)
    assert (row["input"], row["output"], row["usd"]) == (10, 5, "0.0000045")

    async def body(process: Gateway) -> None:
        segment(usage, [end("b")], gone=False)
        await until(lambda: process.status()["ai"]["records"])

    assert scene.run(body) == 0
    assert told()[0]["requests"] == 2


def test_usage_is_written_in_every_form(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    segment(scene.folder / "state" / "usage", [end("a", tags=["x", "y"]), end("b", key="other", usd=None)])
    assert verb(scene, "usage") == 0
    assert "0.0000045" in capsys.readouterr().out
    assert verb(scene, "usage", "--by", "key", "--format", "csv", "--key", "other") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["key"], row["usd"], row["unpriced"]) == ("other", "0", "1")
    assert verb(scene, "usage", "--records", "--format", "json", "--tag", "x") == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["id"], record["tags"], record["usd"]) == ("a", ["x", "y"], "0.0000045")
    assert verb(scene, "usage", "--by", "tag", "--format", "json") == 0
    assert [row["tag"] for row in json.loads(capsys.readouterr().out)] == ["x", "y"]
    assert verb(scene, "usage", "--from", "2025-11-22", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert verb(scene, "usage", "--by", "weather") == 1
    assert "can't be divided by `weather`" in capsys.readouterr().err


def test_the_admin_api_has_the_same_verbs(scene: Scene) -> None:
    async def body(_: Gateway) -> None:
        engine = scene.engine

        async def ask(method: str, path: str, query: str = "", data: bytes = b"", listener: str = "") -> Any:
            hook = next(at for at, hook in enumerate(engine.plans[-1]["hooks"]) if hook["name"].startswith("tidegate."))
            control = next(one["name"] for one in engine.plans[-1]["listeners"] if one["admin"])
            given = {"method": method, "path": path, "query": query, "body": data, "generation": generation}
            told = await engine.call(hook=hook, listener=listener or control, **given)
            return told["status"], json.loads(told["body"])

        generation = 1
        status, made = await ask("POST", "/ai/keys", data=b'{"name": "ci", "tenant": "acme"}')
        assert status == 200
        assert keys(scene) == [("ci", digest(made["key"]))]
        generation = 2
        assert "key" not in (await ask("GET", "/ai/keys"))[1][0]
        assert (await ask("POST", "/ai/keys", data=b'{"name": "ci"}'))[0] == 400
        assert (await ask("DELETE", "/ai/keys", "name=ci", listener="127.0.0.1:9640"))[0] == 403
        segment(scene.folder / "state" / "usage", [end("a", at_ms=NOW)], gone=False)
        status, rows = await ask("GET", "/ai/usage", "by=key")
        assert [(row["key"], row["requests"]) for row in rows] == [("ci", 1)]
        assert (await ask("GET", "/ai/usage", "by=weather"))[0] == 400
        assert (await ask("DELETE", "/ai/keys", "name=ci"))[1]["state"] == "revoked"
        assert keys(scene) == []

    assert scene.run(body) == 0


def test_a_configuration_without_ai_makes_no_database(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def body(process: Gateway) -> None:
        assert "ai" not in process.status()

    assert scene.run(body) == 0
    assert not (tmp_path / "state" / FILE).exists()


def test_another_journal_folder_is_remembered(scene: Scene) -> None:
    scene.write(CONFIG + "  journal: {{path: elsewhere}}\n", path="")

    async def body(process: Gateway) -> None:
        segment(scene.folder / "elsewhere", [end("a")], gone=False)
        await until(lambda: process.status()["ai"]["records"])

    assert scene.run(body) == 0
    with closing(connect(str(scene.folder / "state"))) as db:
        assert db.execute("SELECT path FROM journals").fetchall() == [(str(scene.folder / "elsewhere"),)]
