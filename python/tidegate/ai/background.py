"""What a running gateway does for its AI part beside the requests: the ledger taken in, keys looked at, one thread.

Knows: the state directory, when to look.
Never: the plan, the engine; it tells whoever asked that keys have changed.

A store that can't be read never takes a key away: the last keys that were read stay, here and in a copy on disk.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidegate.log import Seldom, say

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tidegate.ai.ledger import Ledger, Taken
    from tidegate.ai.record import Record
    from tidegate.ai.store import Kept, Key
    from tidegate.model.config import Config

__all__ = ["AiBackground", "Snapshot", "wanted"]

LOOK_S: Final = 0.25
"""Between two looks at journal and keys: a revoked key is refused well within a second."""
AGAIN_S: Final = 5.0
"""After a failure, and until a change of keys that was refused is tried anew."""
FORGET_EVERY_S: Final = 600.0
STOP_S: Final = 10.0
NICE: Final = 10
COPY: Final = "ai-keys.json"
JOURNAL: Final = "usage"
"""The journal's folder in the state directory, unless the configuration names another."""


class Snapshot:
    """What a lowering asks of the store: keys as of one moment, sums when they are asked for, until it is closed."""

    def __init__(self, kept: Kept, openings: Mapping[str, tuple[int, int]], db: sqlite3.Connection | None) -> None:
        self._kept = kept
        self._openings = openings
        self._db = db

    def close(self) -> None:
        """Sums can't be asked for any more."""
        if self._db is not None:
            self._db.close()

    @property
    def exists(self) -> bool:
        """Whether there ever was a key."""
        return self._kept.exists

    def keys(self) -> Sequence[Key]:
        """Those in force."""
        return self._kept.keys

    def openings(self) -> Mapping[str, tuple[int, int]]:
        """What accounts have spent, by name."""
        return self._openings


class Figures(NamedTuple):
    """What happened since the start."""

    records: int = 0
    unreadable: int = 0
    damaged_segments: int = 0


def wanted(config: Config) -> bool:
    """Whether a configuration has an AI part."""
    from tidegate.model.ai import Ai

    return config.ai != Ai() or any(route.ai is not None for route in config.routes)


class AiBackground:
    """Keys and usage of one state directory. `owner`: whether this process takes the journal in."""

    def __init__(self, folder: str, *, owner: bool = True, retention_days: int | None = None) -> None:
        self.folder = folder
        self._owner = owner
        self._ingesting = threading.Lock()
        self.elsewhere: Callable[[Sequence[Record]], object] | None = None
        """Called with records of other processes that were taken in, in whatever thread did that."""
        self._retention_days = retention_days
        self._seldom = Seldom()
        self._lock = threading.Lock()
        self._kept: Kept | None = None
        self._in_force: int | None = None
        self._journal: str | None = None
        self._error = ""
        self._figures = Figures()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._paused = False

    # -- for the lowering ----------------------------------------------------------------------------------------------

    def prepare(self) -> Snapshot:
        """Takes in what the journal has, reads keys and sums for a plan. Waits for the disk; never raises for it."""
        from tidegate.ai.openings import Openings

        db = None
        openings: Mapping[str, tuple[int, int]] = {}
        try:
            db = self._connect()
            self._drain(db)
            openings = _Careful(Openings(db, _now_ms()), self._failed)
        except self._errors() as error:
            self._failed(error)
        return Snapshot(self._read_keys(), openings, db)

    def in_force(self, journal: str | None) -> None:
        """A plan with the keys that were prepared last runs; its records go to that folder."""
        if self._kept is not None:
            self._in_force = self._kept.generation
        if journal is not None and os.path.normpath(journal) != self._default:
            self._journal = os.path.normpath(journal)

    def _read_keys(self) -> Kept:
        from tidegate.ai.database import DatabaseError
        from tidegate.ai.store import Kept, KeyStore

        before = self._kept or self._read_copy()
        try:
            with self._opened() as db:
                kept = KeyStore(db).kept(_now_ms())
            if before is not None and before.exists and not kept.exists:
                raise DatabaseError(f"{self.folder}: the store of keys is empty, and was not before")
        except self._errors() as error:
            self._failed(error)
            # Without any knowledge: as if there were keys, so that nobody is let in who should not be.
            kept = before or Kept(exists=True)
        else:
            if kept != before:
                self._write_copy(kept)
        self._kept = kept
        return kept

    # -- the thread ----------------------------------------------------------------------------------------------------

    def start(self, changed: Callable[[], object]) -> None:
        """Begins to look; `changed` is called, in the thread, when keys are not as in the plan in force."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(changed,), name="tidegate-ai", daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Leaves the journal to another process, which has it alone once this returns. Waits for the disk."""
        with self._ingesting:
            self._owner, self._paused = False, self._owner

    def resume(self) -> None:
        """Takes it back."""
        with self._ingesting:
            self._owner = self._owner or self._paused

    def stop(self) -> None:
        """Ends the thread, and takes in what is left."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None
            with contextlib.suppress(*self._errors()):
                self.flush(STOP_S)

    def flush(self, most_s: float | None = None) -> int:
        """Takes in what the journal has, all of it or for so long; how many records. Raises what the database does."""
        with self._opened() as db:
            return self._drain(db, most_s)

    def outdated(self) -> bool:
        """Whether keys have changed since the plan in force was prepared."""
        from tidegate.ai.store import KeyStore

        try:
            with self._opened() as db:
                return KeyStore(db).generation() != self._in_force
        except self._errors() as error:
            self._failed(error)
            return False

    def status(self) -> dict[str, Any]:
        """For `/status`."""
        return {
            "store": "ok" if not self._error else "failing",
            "error": self._error or None,
            "keys": len(self._kept.keys) if self._kept is not None else None,
            **self._figures._asdict(),
        }

    def _run(self, changed: Callable[[], object]) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        look = _Look(changed)
        db: sqlite3.Connection | None = None
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                # Looked at before it is opened: a file that takes its place in between is seen the next time.
                if look.replaced(self._file) or db is None:
                    db = self._connect()
                more = self._look(db, look)
                self._well()
                wait = 0.0 if more else LOOK_S
            except self._errors() as error:
                self._failed(error)
                if db is not None:
                    db.close()
                db, wait = None, AGAIN_S
        if db is not None:
            db.close()

    def _look(self, db: sqlite3.Connection, look: _Look) -> bool:
        from tidegate.ai.ledger import Ledger
        from tidegate.ai.store import KeyStore

        generation = KeyStore(db).generation()
        if generation != self._in_force:
            look.tell(generation)
        more = False
        for folder in self._journals(db):
            taken = self._take(Ledger(db), folder)
            more = more or (taken is not None and taken.more)
        if not self._owner:
            return False
        if look.time_to_forget():
            return self._forget(db, look) or more
        return more

    def _forget(self, db: sqlite3.Connection, look: _Look) -> bool:
        from tidegate.ai.ledger import RETENTION_DAYS, Ledger

        days = RETENTION_DAYS if self._retention_days is None else self._retention_days
        gone = Ledger(db).forget(_now_ms() - days * 86_400_000)
        if not gone:
            look.forgotten()
        return bool(gone)

    def _drain(self, db: sqlite3.Connection, most_s: float | None = None) -> int:
        from tidegate.ai.ledger import Ledger

        if not self._owner:
            return 0
        records = 0
        until = None if most_s is None else time.monotonic() + most_s
        for folder in self._journals(db):
            while until is None or time.monotonic() < until:
                taken = self._take(Ledger(db), folder)
                records += 0 if taken is None else taken.records
                if taken is None or not taken.more:
                    break
        return records

    def _take(self, ledger: Ledger, folder: str) -> Taken | None:
        """One transaction's worth; None where another process takes the journal in."""
        with self._ingesting:
            if not self._owner:
                return None
            taken = ledger.take(folder)
        self._count(taken)
        if taken.elsewhere and self.elsewhere is not None:
            self.elsewhere(taken.elsewhere)
        return taken

    def _journals(self, db: sqlite3.Connection) -> list[str]:
        paths = [path for (path,) in db.execute("SELECT path FROM journals")]
        if self._journal is not None and self._journal not in paths:
            # Remembered, because it must be taken in before the configuration that names it is read the next time.
            db.execute("INSERT OR IGNORE INTO journals VALUES (?)", (self._journal,))
            paths.append(self._journal)
        return [self._default, *paths]

    def _count(self, taken: Taken) -> None:
        if not (taken.records or taken.damaged):
            return
        with self._lock:
            self._figures = Figures(
                self._figures.records + taken.records,
                self._figures.unreadable + taken.unreadable,
                self._figures.damaged_segments + len(taken.damaged),
            )
        if taken.damaged:
            self._seldom.say("damaged", f"usage journal: {', '.join(taken.damaged)} is damaged and was set aside")
        if taken.unreadable:
            self._seldom.say(
                "unreadable", f"usage journal: {taken.unreadable} records say nothing; they are kept aside"
            )

    # -- the database and its failures ---------------------------------------------------------------------------------

    @property
    def _default(self) -> str:
        return os.path.join(self.folder, JOURNAL)

    @property
    def _file(self) -> str:
        from tidegate.ai.database import FILE

        return os.path.join(self.folder, FILE)

    def _connect(self) -> sqlite3.Connection:
        from tidegate.ai.database import connect

        return connect(self.folder)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        db = self._connect()
        try:
            yield db
        finally:
            db.close()

    @staticmethod
    def _errors() -> tuple[type[Exception], ...]:
        import sqlite3

        from tidegate.ai.database import DatabaseError

        return (sqlite3.Error, DatabaseError, OSError)

    def _failed(self, error: Exception) -> None:
        self._error = str(error)
        self._seldom.say("store", f"AI store: {error}; the last keys that were read stay in force")

    def _well(self) -> None:
        if self._error:
            say("AI store: it can be used again")
        self._error = ""

    # -- the copy ------------------------------------------------------------------------------------------------------

    def _read_copy(self) -> Kept | None:
        import msgspec

        from tidegate.ai.store import Kept

        try:
            with open(os.path.join(self.folder, COPY), "rb") as file:
                return msgspec.json.decode(file.read(), type=Kept)
        except (OSError, msgspec.MsgspecError):
            return None

    def _write_copy(self, kept: Kept) -> None:
        import msgspec

        path = os.path.join(self.folder, COPY)
        temporary = f"{path}.{os.getpid()}.{threading.get_native_id()}.new"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(kept))
            os.replace(temporary, path)
        except OSError as error:
            self._seldom.say("copy", f"AI store: {path} can't be written: {error.strerror}", "warn")


class _Look:
    """What the thread remembers from one look to the next."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._told: tuple[int, float] = (-1, 0.0)
        self._forgot_at = time.monotonic() - FORGET_EVERY_S + 60
        self._inode = -1

    def tell(self, generation: int) -> None:
        """Once for each generation, and again after a while if nothing came of it."""
        now = time.monotonic()
        if self._told[0] != generation or now - self._told[1] >= AGAIN_S:
            self._told = (generation, now)
            self._changed()

    def replaced(self, path: str) -> bool:
        """Whether the file is another than the last time."""
        try:
            inode = os.stat(path).st_ino
        except OSError:
            inode = -1
        same = inode == self._inode
        self._inode = inode
        return not same

    def time_to_forget(self) -> bool:
        return time.monotonic() - self._forgot_at >= FORGET_EVERY_S

    def forgotten(self) -> None:
        self._forgot_at = time.monotonic()


class _Careful(dict[str, tuple[int, int]]):
    """Openings that are missing, instead of an error, where the database fails while it is asked."""

    def __init__(self, inner: Mapping[str, tuple[int, int]], failed: Callable[[Exception], None]) -> None:
        super().__init__()
        self._inner = inner
        self._fail = failed

    def __missing__(self, name: str) -> tuple[int, int]:
        import sqlite3

        try:
            return self._inner[name]
        except sqlite3.Error as error:
            self._fail(error)
            raise KeyError(name) from error

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None


def _now_ms() -> int:
    return int(time.time() * 1000)
