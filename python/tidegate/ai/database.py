"""The embedded database of keys and usage: how it is opened, and the numbered steps that made its tables.

Knows: SQLite, the tables.
Never: what a key or a record means.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FILE", "MIGRATIONS", "DatabaseError", "connect", "transaction"]

FILE: Final = "ai.sqlite3"
BUSY_S: Final = 5.0
"""How long a writer waits for another: an ingestion holds the lock for some hundred milliseconds at most."""

_SUMS: Final = """
    calls INTEGER NOT NULL, counted INTEGER NOT NULL,
    input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL, reasoning INTEGER NOT NULL, audio_in INTEGER NOT NULL, audio_out INTEGER NOT NULL,
    images INTEGER NOT NULL, usd_high INTEGER NOT NULL, usd_low INTEGER NOT NULL, unpriced INTEGER NOT NULL
"""
_WHO: Final = """
    key TEXT NOT NULL, tenant TEXT NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL, model TEXT NOT NULL
"""

MIGRATIONS: Final[tuple[str, ...]] = (
    f"""
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('keys_generation', 0);
    CREATE TABLE keys (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL,
        models TEXT, surfaces TEXT, allow TEXT NOT NULL, expires_ms INTEGER, spend TEXT NOT NULL, tags TEXT NOT NULL,
        created_ms INTEGER NOT NULL, revoked_ms INTEGER
    );
    CREATE TABLE secrets (
        sha256 TEXT PRIMARY KEY, number INTEGER NOT NULL REFERENCES keys, hint TEXT NOT NULL,
        created_ms INTEGER NOT NULL, until_ms INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE journals (path TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE segments (
        name TEXT PRIMARY KEY, nonce TEXT NOT NULL, offset INTEGER NOT NULL, taken INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE owners (
        nonce TEXT PRIMARY KEY, pid INTEGER NOT NULL, started INTEGER NOT NULL, boot TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE begun (id TEXT PRIMARY KEY, nonce TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX begun_nonce ON begun (nonce);
    CREATE TABLE records (
        number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, request_id TEXT NOT NULL,
        at_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, {_WHO}, tags TEXT NOT NULL,
        surface TEXT NOT NULL, client_dialect TEXT NOT NULL, served TEXT NOT NULL, provider TEXT NOT NULL,
        variant TEXT NOT NULL, credential TEXT NOT NULL, prompt TEXT NOT NULL, stream INTEGER NOT NULL,
        status INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, finish TEXT NOT NULL,
        attempts INTEGER NOT NULL, fallbacks INTEGER NOT NULL, cache TEXT NOT NULL, source TEXT NOT NULL,
        input INTEGER, cache_read INTEGER, cache_write_5m INTEGER, cache_write_1h INTEGER, output INTEGER,
        reasoning INTEGER, audio_in INTEGER, audio_out INTEGER, images INTEGER,
        usd INTEGER, price_version TEXT NOT NULL,
        queue_us INTEGER, first_token_us INTEGER, total_us INTEGER, reserved_usd INTEGER,
        guard TEXT NOT NULL, counted INTEGER NOT NULL, content TEXT
    );
    CREATE UNIQUE INDEX records_end ON records (id) WHERE kind = 'end';
    CREATE INDEX records_at ON records (at_ms);
    CREATE TABLE rollups (
        hour INTEGER NOT NULL, kind TEXT NOT NULL, {_WHO}, served TEXT NOT NULL, provider TEXT NOT NULL,
        variant TEXT NOT NULL, {_SUMS},
        PRIMARY KEY (hour, kind, key, tenant, team, user, model, served, provider, variant)
    ) WITHOUT ROWID;
    CREATE TABLE tag_rollups (
        hour INTEGER NOT NULL, tag TEXT NOT NULL, model TEXT NOT NULL,
        counted INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        usd_high INTEGER NOT NULL, usd_low INTEGER NOT NULL,
        PRIMARY KEY (hour, tag, model)
    ) WITHOUT ROWID;
    CREATE TABLE unreadable (
        segment TEXT NOT NULL, offset INTEGER NOT NULL, why TEXT NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (segment, offset)
    ) WITHOUT ROWID;
    """,  # noqa: S608 — only texts of ours
)
"""Each brings the tables from its own number to the next; those that were released are never changed."""


class DatabaseError(TidegateError):
    """The database can't be used; the text names the file and why."""


def connect(folder: str) -> sqlite3.Connection:
    """The database of a state directory, made and brought up to date where that is needed; raises DatabaseError.

    It is in autocommit mode: whoever writes says so by [`transaction`].
    """
    path = os.path.join(folder, FILE)
    connection = None
    try:
        _create(path)
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        # Segments are removed once they are committed here, so a commit must outlive a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, path)
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise DatabaseError(f"cannot use {path}: {error}") from error
    except DatabaseError:
        if connection is not None:
            connection.close()
        raise
    return connection


def _create(path: str) -> None:
    """An empty file that its owner alone may read; its -wal and -shm get the same mode.

    One that is there is not opened: to close any descriptor of a file gives up all locks that the process has on it
    (POSIX), and with them those of its other connections, under whom the next one to leave would remove the -wal.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    with transaction(connection):
        version = _version(connection)  # another process may have been faster
        if version > len(MIGRATIONS):
            raise DatabaseError(f"{path} was made by a newer Tidegate (tables of version {version})")
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
