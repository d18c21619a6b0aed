"""Virtual keys: made once, shown once, revoked for good; and the database that they are in."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.ai.background import AiBackground
from tidegate.ai.database import FILE, MIGRATIONS, DatabaseError, connect
from tidegate.ai.manage import create, limit, plain
from tidegate.ai.store import Key, KeyError_, KeyStore, Spend, digest


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    with closing(connect(str(tmp_path))) as db:
        yield KeyStore(db)


def test_only_the_hash_of_a_secret_is_kept(tmp_path: Path, store: KeyStore) -> None:
    made = store.create(Key(name="ci", tenant="acme"), 1)
    assert made.secret.startswith("tg-")
    assert len(made.secret) == 46
    assert made.key.sha256 == digest(made.secret)
    for path in tmp_path.iterdir():
        assert made.secret.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.secret not in str(plain(made.key))
    assert made.key.sha256 not in str(plain(made.key))


def test_a_revoked_key_is_gone_from_the_plan_and_stays_a_row(store: KeyStore) -> None:
    store.create(Key(name="ci"), 1)
    before = store.generation()
    store.revoke("ci", 5)
    assert store.generation() > before
    kept = store.kept(6)
    assert kept.keys == []
    assert kept.exists
    assert store.all()[0].revoked_ms == 5
    with pytest.raises(KeyError_, match="revoked already"):
        store.revoke("ci", 7)
    with pytest.raises(KeyError_, match="there is, or was"):
        store.create(Key(name="ci"), 8)


def test_a_rotated_key_takes_both_secrets_until_its_grace_is_over(store: KeyStore) -> None:
    first = store.create(Key(name="ci", expires_ms=10_000), 1).secret
    second = store.rotate("ci", 100, grace_ms=50).secret
    assert {(key.sha256, key.expires_ms) for key in store.kept(120).keys} == {
        (digest(first), 150),
        (digest(second), 10_000),
    }
    assert [key.sha256 for key in store.kept(150).keys] == [digest(second)]
    third = store.rotate("ci", 200).secret
    assert [key.sha256 for key in store.kept(200).keys] == [digest(third)]


def test_a_key_is_made_of_the_words_of_the_configuration(store: KeyStore) -> None:
    told = create(
        store,
        b'{"name": "ci", "tenant": "acme", "limits": ["requests=600/min", "concurrent=5@big"], "budget": ["50/month"]}',
    )
    assert told["limits"] == ["600 requests per minute", "5 in flight, model big", "50 USD per month"]
    assert store.get("ci").spend[2] == Spend(metric="usd", limit=50 * 10**12, window="month")


@pytest.mark.parametrize("text", ["requests", "requests=5", "dollars=5/min", "concurrent=x", "requests=0/min"])
def test_a_limit_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(KeyError_, match=r"write|limit"):
        limit(text)


@pytest.mark.parametrize(
    "key",
    [Key(name=""), Key(name="a: b"), Key(name="a", team="x"), Key(name="a", tenant="a/b"), Key(name="a\nb")],
)
def test_a_key_that_could_not_be_told_apart_is_refused(store: KeyStore, key: Key) -> None:
    with pytest.raises(KeyError_):
        store.create(key, 1)
    assert not store.kept(1).exists


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with closing(connect(str(tmp_path))) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(DatabaseError, match="newer Tidegate"):
        connect(str(tmp_path))


def test_migrations_begin_where_the_file_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (0,)
    for _ in range(2):
        with closing(connect(str(tmp_path))) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("harm", ["broken", "emptied", "removed"])
def test_a_store_that_breaks_takes_no_key_away(tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(connect(str(tmp_path))) as db:
        KeyStore(db).create(Key(name="ci"), 1)
    before = AiBackground(str(tmp_path)).prepare()
    assert [key.name for key in list(before.keys())] == ["ci"]
    before.close()
    for path in tmp_path.glob(f"{FILE}*"):
        path.unlink()
    if harm != "removed":
        (tmp_path / FILE).write_bytes(b"no database" * 1000 if harm == "broken" else b"")
    background = AiBackground(str(tmp_path))  # even of a new process
    snapshot = background.prepare()
    assert [key.name for key in list(snapshot.keys())] == ["ci"]
    assert snapshot.exists
    snapshot.close()
    assert background.status()["store"] == "failing"
    assert "last keys" in capsys.readouterr().err


def test_without_any_knowledge_nobody_is_let_in(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    assert AiBackground(str(tmp_path)).prepare().exists
