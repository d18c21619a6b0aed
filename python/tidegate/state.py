"""The directory of what outlives a request: the control socket, who runs here, and the last good plan."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tidegate.errors import TidegateError

SOCKET_PATH_MAX: Final = 107  # sockaddr_un holds 108 bytes with the final NUL


class StateError(TidegateError):
    """The directory can't be used; the text names it and why."""


class Running(NamedTuple):
    """A process that runs here, as its run file tells."""

    pid: int
    control: str
    admin: list[str]
    generation: int
    config: str | None
    state: str


def directory(configured: str | None, environ: Mapping[str, str] = os.environ) -> tuple[str, bool]:
    """Where state is kept, and whether somebody chose it (then a failure there is an error, else a warning)."""
    if configured:
        return os.path.abspath(os.path.expanduser(configured)), True
    if systemd := environ.get("STATE_DIRECTORY"):
        return systemd.split(":")[0], True  # systemd lists several with colons
    if xdg := environ.get("XDG_STATE_HOME"):
        return os.path.join(xdg, "tidegate"), False
    return os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local/state/tidegate"), False


class State:
    """One process's hold on a state directory.

    The first process there owns it, by a lock that ends with the process; others get a control socket and a run file
    with their pid in the name, and keep no plan.
    """

    def __init__(self, path: str, *, lock: int | None = None, owner: bool = False) -> None:
        """Raises StateError where the directory can't be made or written.

        `lock`: the lock's descriptor, of the process that this one takes over from, and whether that one owns the
        directory. Both hold the lock then, until one of them ends, so that no third one can come in between.
        """
        self.path = path
        self.ours = True
        """Whether the run file and the control socket are this process's to write and to remove."""
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            self._lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"cannot use the state directory {path}: {error.strerror}") from error
        if lock is not None:
            if owner and os.path.samestat(os.fstat(lock), os.fstat(self._lock)):
                self.ours = False
                self._lock, lock = lock, self._lock
            os.close(lock)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.owner = True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(self._lock)
                raise StateError(f"cannot lock the state directory {path}: {error.strerror}") from error
            self.owner = False
        own = "" if self.owner else f"-{os.getpid()}"
        self.run_file = os.path.join(path, f"run{own}.json")
        self.control = _socket_path(path, f"control{own}.sock")
        self._plan_file = os.path.join(path, "last-good.plan")
        self._sweep()

    def announce(self, running: Running) -> None:
        """Writes the run file, which `tidegate status` and its like look for."""
        replace(self.run_file, json.dumps(running._asdict()).encode() + b"\n")

    def protect(self) -> None:
        """Keeps others of this machine from the control socket, once it is bound."""
        with contextlib.suppress(OSError):
            os.chmod(self.control, 0o600)

    def keep_plan(self, plan: bytes, about: Mapping[str, Any]) -> None:
        """Keeps a plan that is in force, for a start whose configuration is broken. Only the owner does."""
        if self.owner:
            replace(self._plan_file, json.dumps({**about, "kept_at": int(time.time())}).encode() + b"\n" + plan)

    def kept_plan(self) -> tuple[bytes, dict[str, Any]]:
        """The plan that was kept and what was said about it; raises StateError where there is none."""
        try:
            with open(self._plan_file, "rb") as file:
                about, plan = json.loads(file.readline()), file.read()
        except FileNotFoundError:
            raise StateError(f"no last good plan is kept in {self.path}") from None
        except (OSError, ValueError) as error:
            raise StateError(f"the last good plan in {self.path} can't be read: {error}") from error
        return plan, about

    @property
    def lock(self) -> int:
        """The lock's descriptor."""
        return self._lock

    def hand_over(self) -> None:
        """Another process has the directory from now on."""
        self.ours = not self.owner  # files with our own process id in their names stay ours

    def release(self) -> None:
        """Takes back what others could mistake for a running process."""
        for path in (self.run_file, self.control) if self.ours else ():
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.close(self._lock)

    def _sweep(self) -> None:
        """Removes what dead processes left, first of all a socket at our own path."""
        with contextlib.suppress(OSError):
            if self.ours and stat.S_ISSOCK(os.lstat(self.control).st_mode):
                os.unlink(self.control)
        for name in os.listdir(self.path):
            kind, _, rest = name.partition("-")
            pid, _, ending = rest.partition(".")
            if (kind, ending) in (("control", "sock"), ("run", "json")) and pid.isdigit() and not _lives(int(pid)):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self.path, name))


def kept_keys(state: str | None, url: str) -> str | None:
    """The keys that were fetched last from a URL; None where none were kept."""
    if state is None:
        return None
    try:
        with open(_keys_file(state, url), encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def keep_keys(state: str, url: str, jwks: bytes) -> None:
    """Keeps keys that were fetched, for a start at which their URL does not answer; raises StateError."""
    path = _keys_file(state, url)
    with contextlib.suppress(FileExistsError):
        try:
            os.mkdir(os.path.dirname(path), 0o700)
        except FileExistsError:
            raise
        except OSError as error:
            raise StateError(f"cannot make {os.path.dirname(path)}: {error.strerror}") from error
    replace(path, jwks)


def _keys_file(state: str, url: str) -> str:
    return os.path.join(state, "key-sets", hashlib.sha256(url.encode()).hexdigest()[:32] + ".json")


def running(path: str) -> list[Running]:
    """The processes that run in a state directory, the owner first."""
    try:
        names = os.listdir(path)
    except OSError:
        return []
    found = []
    for name in sorted(names, key=lambda name: (name != "run.json", name)):
        if name == "run.json" or (name.startswith("run-") and name.endswith(".json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                with open(os.path.join(path, name), "rb") as file:
                    one = Running(**json.load(file))
                if _lives(one.pid):
                    found.append(one)
    return found


def _socket_path(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        return path
    import tempfile

    short = hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()
    home = os.path.join(tempfile.gettempdir(), f"tidegate-{os.getuid()}-{short}")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(home, 0o700)
        found = os.lstat(home)
    except OSError as error:
        raise StateError(f"{path} is too long for a socket, and {home} can't be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateError(f"{path} is too long for a socket, and {home} is not a folder of ours alone")
    return os.path.join(home, name)


def replace(path: str, content: bytes) -> None:
    """All of it or nothing, readable by us alone."""
    temporary = f"{path}.{os.getpid()}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise StateError(f"cannot write {path}: {error.strerror}") from error


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's, but alive
    return True
