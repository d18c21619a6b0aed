"""Virtual keys that people make at run time: kept by the hash of their secret, revoked as rows that stay.

Knows: the tables of keys, how a secret looks.
Never: the plan, who calls, usage.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import msgspec

from tidegate.ai.database import DatabaseError, transaction
from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Kept", "Key", "KeyError_", "KeyStore", "Metric", "Spend", "Window", "digest", "new_secret"]

PREFIX: Final = "tg-"
Metric = Literal["requests", "input_tokens", "output_tokens", "tokens", "usd", "in_flight"]
Window = Literal["none", "minute", "hour", "day", "week", "month"]
SECRET_BYTES: Final = 32  # 43 characters of base64


_SELECT: Final = (
    "SELECT k.name, s.sha256, k.tenant, k.team, k.user, k.models, k.surfaces, k.allow, k.expires_ms, k.spend,"
    " k.tags, s.hint, k.created_ms, k.revoked_ms, s.until_ms FROM keys k JOIN secrets s USING (number)"
)


class KeyError_(TidegateError):  # noqa: N801 — KeyError is Python's
    """A key can't be made or changed; the text says why."""


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """One limit or budget."""

    metric: Metric
    limit: int
    """The most in one window; picodollars for `usd`."""
    window: Window
    """When it begins again; `none` for never, and for calls in flight."""
    model: str = ""
    """Only calls for models of that name or pattern count; empty for all."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without its secret."""

    name: str
    sha256: str = ""
    """64 hexadecimal digits."""
    tenant: str = ""
    team: str = ""
    user: str = ""
    models: list[str] | None = None
    surfaces: list[str] | None = None
    allow: list[str] = []
    expires_ms: int | None = None
    spend: list[Spend] = []
    tags: list[str] = []
    hint: str = ""
    """The secret's first characters, by which people tell keys apart."""
    created_ms: int = 0
    revoked_ms: int | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan needs of the store; also the form of the copy for days on which the store can't be read."""

    generation: int = 0
    exists: bool = False
    keys: list[Key] = []


class Made(NamedTuple):
    """A new secret, shown once."""

    secret: str
    key: Key


class KeyStore:
    """The keys of one state directory. Raises DatabaseError where the database can't be used."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    # -- for the plan --------------------------------------------------------------------------------------------------

    def generation(self) -> int:
        """Rises with every change of any key."""
        with _named():
            (value,) = self._db.execute("SELECT value FROM meta WHERE name = 'keys_generation'").fetchone()
            return int(value)

    def kept(self, now_ms: int) -> Kept:
        """The keys in force, at one moment. During a rotation's grace a name comes twice, with two hashes."""
        with _named():
            self._db.execute("BEGIN")
            try:
                generation = self.generation()
                exists = self._db.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None
                rows = list(self._rows("k.revoked_ms IS NULL AND (s.until_ms IS NULL OR s.until_ms > ?)", now_ms))
            finally:
                self._db.execute("COMMIT")
        return Kept(generation=generation, exists=exists, keys=rows)

    # -- for people ----------------------------------------------------------------------------------------------------

    def create(self, key: Key, now_ms: int) -> Made:
        """A new key; raises KeyError_ where the name was used before (usage tells keys apart by name)."""
        _check(key)
        secret = new_secret()
        values = (
            key.name, key.tenant, key.team, key.user, _list(key.models), _list(key.surfaces), _list(key.allow),
            key.expires_ms, msgspec.json.encode(key.spend).decode(), _list(key.tags), now_ms,
        )  # fmt: skip
        sql = (
            "INSERT INTO keys (name, tenant, team, user, models, surfaces, allow, expires_ms, spend, tags, created_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        with _named(), transaction(self._db):
            if self._number(key.name) is not None:
                raise KeyError_(f"there is, or was, a key `{key.name}`; usage tells keys apart by name, choose another")
            number = self._db.execute(sql, values).lastrowid
            self._add_secret(number, secret, now_ms)
            self._changed()
        return Made(secret, self.get(key.name))

    def rotate(self, name: str, now_ms: int, grace_ms: int = 0) -> Made:
        """A new secret; the one before is refused from now on, or after the grace."""
        secret = new_secret()
        with _named(), transaction(self._db):
            number = self._in_force(name)
            self._db.execute(
                "UPDATE secrets SET until_ms = min(coalesce(until_ms, ?1), ?1) WHERE number = ?2",
                (now_ms + grace_ms, number),
            )
            self._db.execute("DELETE FROM secrets WHERE number = ? AND until_ms <= ?", (number, now_ms))
            self._add_secret(number, secret, now_ms)
            self._changed()
        return Made(secret, self.get(name))

    def revoke(self, name: str, now_ms: int) -> Key:
        """From now on it is refused, with all of its secrets; what it was stays."""
        with _named(), transaction(self._db):
            number = self._in_force(name)
            self._db.execute("UPDATE keys SET revoked_ms = ? WHERE number = ?", (now_ms, number))
            self._changed()
        return self.get(name)

    def get(self, name: str) -> Key:
        """One key, with its newest secret's hash; raises KeyError_."""
        with _named():
            found = list(self._rows("k.name = ? AND s.until_ms IS NULL", name))
        if not found:
            raise KeyError_(f"there is no key `{name}`")
        return found[0]

    def all(self) -> list[Key]:
        """All keys, the revoked too, in the order in which they were made."""
        with _named():
            return list(self._rows("s.until_ms IS NULL"))

    # -- below ---------------------------------------------------------------------------------------------------------

    def _rows(self, where: str, *values: object) -> Iterator[Key]:
        sql = f"{_SELECT} WHERE {where} ORDER BY k.number, s.until_ms IS NOT NULL"
        for row in self._db.execute(sql, values):
            ends = [moment for moment in (row[8], row[14]) if moment is not None]
            yield Key(
                name=row[0], sha256=row[1], tenant=row[2], team=row[3], user=row[4], models=_read(row[5]),
                surfaces=_read(row[6]), allow=_read(row[7]) or [], expires_ms=min(ends, default=None),
                spend=msgspec.json.decode(row[9], type=list[Spend]), tags=_read(row[10]) or [], hint=row[11],
                created_ms=row[12], revoked_ms=row[13],
            )  # fmt: skip

    def _number(self, name: str) -> tuple[int, int | None] | None:
        found: tuple[int, int | None] | None = self._db.execute(
            "SELECT number, revoked_ms FROM keys WHERE name = ?", (name,)
        ).fetchone()
        return found

    def _in_force(self, name: str) -> int:
        found = self._number(name)
        if found is None:
            raise KeyError_(f"there is no key `{name}`")
        if found[1] is not None:
            raise KeyError_(f"the key `{name}` is revoked already")
        return found[0]

    def _add_secret(self, number: int | None, secret: str, now_ms: int) -> None:
        values = (digest(secret), number, secret[: len(PREFIX) + 4], now_ms)
        self._db.execute("INSERT INTO secrets (sha256, number, hint, created_ms) VALUES (?, ?, ?, ?)", values)

    def _changed(self) -> None:
        self._db.execute("UPDATE meta SET value = value + 1 WHERE name = 'keys_generation'")


def new_secret() -> str:
    """`tg-` and 43 characters that fit into URLs: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """SHA-256 in hexadecimal digits. A secret of 256 random bits needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


class _named:  # noqa: N801 — a context manager that reads as a word
    """Tells what SQLite refuses in our own words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise DatabaseError(f"the store of keys can't be used: {error}") from error


def _check(key: Key) -> None:
    for called, text in (("name", key.name), ("tenant", key.tenant), ("team", key.team), ("user", key.user)):
        if text and (not text.isprintable() or len(text) > 200 or text != text.strip()):
            raise KeyError_(f"the {called} can't be printed, or is too long, or has blanks around it")
        if called != "name" and "/" in text:
            raise KeyError_(f"the {called} `{text}` has a `/`, which divides tenants from teams")
    if not key.name:
        raise KeyError_("the key needs a name")
    if ", model " in key.name or ": " in key.name:
        raise KeyError_(f"`{key.name}` can't be a name: `: ` and `, model ` divide names of limits")
    if (key.team or key.user) and not key.tenant:
        raise KeyError_("a team and a user belong to a tenant: name it")
    for entry in key.spend:
        if entry.metric not in get_args(Metric) or not 0 <= entry.limit < 2**63:
            raise KeyError_(f"a limit of {entry.limit} {entry.metric} can't be counted")


def _list(values: Sequence[str] | None) -> str | None:
    return None if values is None else msgspec.json.encode(list(values)).decode()


def _read(text: str | None) -> list[str] | None:
    return None if text is None else msgspec.json.decode(text, type=list[str])
