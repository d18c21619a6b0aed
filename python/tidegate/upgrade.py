"""One process takes over from another without losing a connection: both sides of it.

The old process starts the new one with its listening sockets and a channel; the new one says when it serves, and only
then the old one lets go. Until then nothing of what both share (socket files, the run file, the lock) is the new one's.

Knows: processes, the channel between two of them, why an upgrade can fail.
Never: the engine, what is served.
"""

import asyncio
import contextlib
import enum
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, NamedTuple

from tidegate.errors import TidegateError
from tidegate.inherit import Came

VARIABLE: Final = "TIDEGATE_UPGRADE"
"""Names the channel's descriptor, in the environment of the new process."""
FORMAT: Final = 1
"""Of what is said over the channel; a program that knows another one refuses."""
READY_S: Final = 30.0
"""How long the new process may take until it serves."""
LISTEN_S: Final = 10.0
"""How long the new process waits for what the old one has to say first."""


class Reason(enum.Enum):
    """Why an upgrade came to nothing."""

    UNDER_WAY = "under_way"
    """Another one is."""
    ENDING = "ending"
    """The process drains, or was told to stop."""
    FIRST_PROCESS = "first_process"
    """The process is number 1 of its container, which would end with it."""
    NO_PROGRAM = "no_program"
    """It is not known what to start."""
    NOT_STARTED = "not_started"
    """The system would not start the program."""
    REFUSED = "refused"
    """The new process says why it does not serve."""
    EXITED = "exited"
    """It ended without a word."""
    NOT_READY = "not_ready"
    """It did not serve in time."""


class UpgradeError(TidegateError):
    """The old process goes on serving; `reason` names why, the text says it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class Handed(NamedTuple):
    """What goes from the old process to the new one."""

    pid: int
    state_lock: int | None
    state_owner: bool
    listeners: list[Came]


class Upgrades:
    """The old process's side, and what became of what it tried."""

    def __init__(self) -> None:
        self._state = "none"
        self._reason: str | None = None
        self._detail: str | None = None
        self._at: float | None = None
        self._pid: int | None = None

    @property
    def under_way(self) -> bool:
        """Whether a new process is on its way."""
        return self._state == "under_way"

    @property
    def is_over(self) -> bool:
        """Whether another process has taken over."""
        return self._state == "handed_over"

    def as_json(self) -> dict[str, Any]:
        """For `/status`."""
        return {
            "state": self._state,
            "reason": self._reason,
            "detail": self._detail,
            "at": None if self._at is None else round(self._at, 3),
            "pid": self._pid,
        }

    def begins(self) -> None:
        """One is under way from now on."""
        self._told("under_way")

    def failed(self, error: BaseException) -> None:
        """It came to nothing."""
        if isinstance(error, UpgradeError):
            self._told("failed", error.reason.value, error.detail)
        else:
            self._told("failed", Reason.ENDING.value, "it was given up")

    def handed_over(self, pid: int) -> None:
        """The new process serves, and this one goes."""
        self._told("handed_over", pid=pid)

    def _told(self, state: str, reason: str | None = None, detail: str | None = None, pid: int | None = None) -> None:
        self._state, self._reason, self._detail, self._pid, self._at = state, reason, detail, pid, time.time()


class Successor:
    """A new process that serves, and waits for the word that all is its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
        self._process = process
        self._channel = channel

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def end(self) -> None:
        """Ends it: this process changed its mind."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def take_all(self) -> None:
        """Says that word."""
        with contextlib.suppress(OSError):
            self._channel.send(_line({"yours": True}))
        self._channel.close()
        self._process.returncode = 0  # it outlives this one, which is nothing to warn of


class Predecessor:
    """The new process's side: what the old one handed over, and the channel to it."""

    def __init__(self, channel: socket.socket, handed: Handed) -> None:
        self._channel = channel
        self.handed = handed

    @property
    def pid(self) -> int:
        """Of the old process."""
        return self.handed.pid

    @property
    def is_gone(self) -> bool:
        """Whether it has ended: it is this one's parent until it does."""
        return os.getppid() != self.pid

    def ready(self, about: Mapping[str, Any]) -> None:
        """Says that this process serves."""
        with contextlib.suppress(OSError):
            self._channel.sendall(_line({"ready": dict(about)}))

    def failed(self, why: str) -> None:
        """Says why it does not, and that it ends."""
        with contextlib.suppress(OSError):
            self._channel.sendall(_line({"failed": why}))
        self._channel.close()

    async def all_is_ours(self) -> None:
        """Returns once the old process has let go of what both share; also where it has died instead."""
        loop = asyncio.get_running_loop()
        self._channel.setblocking(False)
        with contextlib.suppress(OSError):
            await loop.sock_recv(self._channel, 4096)
        self._channel.close()


def predecessor(environ: MutableMapping[str, str] = os.environ) -> Predecessor | None:
    """The process that this one takes over from; None where it takes over from nobody. Raises UpgradeError."""
    number = environ.pop(VARIABLE, "")
    if not number.isdigit():
        return None
    try:
        os.set_inheritable(int(number), False)
        channel = socket.socket(fileno=int(number))
    except OSError as error:
        raise UpgradeError(Reason.REFUSED, f"there is no channel to the old process: {error}") from error
    try:
        channel.settimeout(LISTEN_S)
        with channel.makefile("rb") as lines:
            told = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        channel.close()
        raise UpgradeError(Reason.REFUSED, f"the old process says nothing that can be understood: {error}") from error
    if told.get("format") != FORMAT:
        channel.close()
        raise UpgradeError(
            Reason.REFUSED, f"the old process speaks format {told.get('format')} of upgrades, not {FORMAT}"
        )
    handed = told["handed"]
    handed["listeners"] = [Came(**listener) for listener in handed["listeners"]]
    return Predecessor(channel, Handed(**handed))


def command(binary: str | None) -> list[str]:
    """What starts this program anew, with the arguments of this process; raises UpgradeError."""
    if binary is not None:
        return [binary, *sys.argv[1:]]
    if not sys.executable:
        raise UpgradeError(Reason.NO_PROGRAM, "it is not known where this program is; name it with --binary")
    # One file has its arguments behind its own name; an interpreter its options and the script's name before them.
    rest = sys.argv[1:] if getattr(sys, "frozen", False) else sys.orig_argv[1:]
    return [sys.executable, *rest]


async def start(command: Sequence[str], environ: Mapping[str, str], handed: Handed) -> Successor:
    """Starts the new process and waits until it serves; raises UpgradeError, with nothing of it left."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    descriptors = [descriptor for listener in handed.listeners for descriptor in listener.descriptors]
    if handed.state_lock is not None:
        descriptors.append(handed.state_lock)
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 — not aside: it gets this thread's priority
                list(command),
                env={**environ, VARIABLE: str(theirs.fileno())},
                pass_fds=[theirs.fileno(), *descriptors],
                stdin=subprocess.DEVNULL,
            )
    except (OSError, ValueError) as error:
        ours.close()
        raise UpgradeError(Reason.NOT_STARTED, f"{command[0]} can't be started: {error}") from error
    try:
        await _until_ready(process, ours, handed)
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
    return Successor(process, ours)


async def _until_ready(process: "subprocess.Popen[bytes]", channel: socket.socket, handed: Handed) -> None:
    told: dict[str, Any] = {}
    try:
        async with asyncio.timeout(READY_S):
            told = await _ask(channel, handed)
    except TimeoutError:
        raise UpgradeError(
            Reason.NOT_READY, f"process {process.pid} did not serve within {READY_S:g} s and was ended"
        ) from None
    except (OSError, ValueError):
        pass
    if "failed" in told:
        raise UpgradeError(Reason.REFUSED, str(told["failed"]))
    if "ready" not in told:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        raise UpgradeError(Reason.EXITED, f"process {process.pid} ended before it served{_status(process.returncode)}")


async def _ask(channel: socket.socket, handed: Handed) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    content = {**handed._asdict(), "listeners": [listener._asdict() for listener in handed.listeners]}
    await loop.sock_sendall(channel, _line({"format": FORMAT, "handed": content}))
    heard = b""
    while b"\n" not in heard:
        piece = await loop.sock_recv(channel, 65536)
        if not piece:
            return {}
        heard += piece
    told: dict[str, Any] = json.loads(heard.partition(b"\n")[0])
    return told


def _status(code: int | None) -> str:
    if code is None:
        return ""
    return f", by signal {-code}" if code < 0 else f", with exit status {code}"


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"
