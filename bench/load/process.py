"""Children that never outlive the run: each in its own process group, pinned to its cores, killed at the end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class StartError(RuntimeError):
    """A child ended, or did not answer, before it could be used."""


class Child:
    """One process group."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cores: Iterable[int],
        log: Path,
        env: dict[str, str] | None = None,
        talks: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        cores = tuple(cores)
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                preexec_fn=lambda: _settle(cores),  # noqa: PLW1509 - the harness has one thread
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, line: str) -> None:
        """Writes a line to its standard input; only for one that talks."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def running(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self.running():
            self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 5.0) -> int:
        """Asks it to end, then makes it; its exit code."""
        self.send(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        # What it left behind in its group goes too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        return code

    def wait_for_port(self, port: int, seconds: float) -> None:
        """Returns once something accepts on `port`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.running():
                raise StartError(f"{self.name} ended with {self.process.returncode}: {self.last_words()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.005)
        raise StartError(f"{self.name} did not listen within {seconds:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        text = self.log.read_text(errors="replace").strip()
        return text[-1500:] or "it said nothing"


class Nursery:
    """Owns children; leaving it, however that happens, ends them all, the youngest first."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.send(signal.SIGTERM)
        for child in reversed(self._children):
            child.stop()
        self._children.clear()

    def adopt(self, child: Child) -> Child:
        self._children.append(child)
        return child

    def release(self, child: Child, number: signal.Signals = signal.SIGTERM) -> int:
        self._children.remove(child)
        return child.stop(number)


class Ports:
    """Free TCP ports, each handed out once; below those that the system gives to outgoing connections."""

    def __init__(self) -> None:
        self._random = random.Random()
        self._taken: set[int] = set()

    def take(self) -> int:
        for _ in range(1000):
            port = self._random.randrange(12_000, 32_000)
            if port in self._taken or not _free(port):
                continue
            self._taken.add(port)
            return port
        raise StartError("no free TCP port between 12000 and 32000")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _settle(cores: tuple[int, ...]) -> None:
    """In the child, before exec: its cores, that it can be interrupted, and that it dies with the harness."""
    os.sched_setaffinity(0, cores)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
