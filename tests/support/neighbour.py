"""A client that behaves well while another attacks: its latency before and during the attack, and what it was told.

It runs in a process of its own, so that what it measures is the gateway and not this interpreter. It speaks HTTP/1.1
over one connection that it keeps and, every fifth time, over a new one; it comes from an address of its own.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.waiting import until

ADDRESS = "127.0.0.9"
"""Where it comes from; attackers come from others."""

PACE_S = 0.01
CALM = 60
"""Requests before the attack, which say what is usual."""

DURING = 60
"""Requests that the attack must last for at least."""

TIMES = 10
FLOOR_S = 0.35
"""p99 may be `TIMES` its calm value, or this: two busy cores make a client wait so long, a good attack longer."""

PATIENCE_S = 5.0
"""After this a request counts as lost."""


class Neighbour:
    """One such client, asking for `/` of a gateway."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.neighbour", address],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._seen: list[tuple[float, str]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def more(self, count: int) -> list[tuple[float, str]]:
        """What became of the next requests: seconds and status each."""
        before = len(self._seen)
        until(lambda: len(self._seen) >= before + count, f"{count} more requests of the neighbour", 60)
        return self._seen[before:]

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._thread.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            seconds, status = line.split(maxsplit=1)
            self._seen.append((float(seconds), status.strip()))


@contextlib.contextmanager
def beside(address: str) -> Iterator[Neighbour]:
    """What happens within is an attack: the neighbour is served all the while, about as fast as before."""
    neighbour = Neighbour(address)
    try:
        calm = p99(neighbour.more(CALM))
        before = len(neighbour._seen)
        yield neighbour
        while len(neighbour._seen) < before + DURING:
            neighbour.more(1)
        during = neighbour._seen[before:]
    finally:
        neighbour.stop()
    told = {status for _, status in during}
    assert told == {"200"}, f"the neighbour was told {told}"
    bound = max(TIMES * calm, FLOOR_S)
    assert p99(during) <= bound, f"p99 was {calm:.4f} s and became {p99(during):.4f} s; at most {bound:.4f} s is right"


def p99(seen: list[tuple[float, str]]) -> float:
    """Of one second of theirs in a hundred."""
    times = sorted(seconds for seconds, _ in seen)
    return times[min(len(times) - 1, int(len(times) * 0.99))]


def _run(address: str) -> None:
    """Asks at its pace until its input ends."""
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    kept: socket.socket | None = None
    number = 0
    due = time.monotonic()
    while not over.is_set():
        number += 1
        started = time.monotonic()
        sock = None
        try:
            if number % 5 == 0 or kept is None:
                sock = _connect(address)
                if kept is None:
                    kept = sock
            status = _ask(sock or kept)
        except OSError as error:
            status = repr(error)
            if kept is not None:
                kept.close()
            kept = None
        if sock is not None and sock is not kept:
            sock.close()
        sys.stdout.write(f"{time.monotonic() - started:.6f} {status}\n")
        sys.stdout.flush()
        due = max(due + PACE_S, time.monotonic())
        over.wait(due - time.monotonic())


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), PATIENCE_S, source_address=(ADDRESS, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _ask(sock: socket.socket) -> str:
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    seen = b""
    while b"\r\n\r\n" not in seen:
        more = sock.recv(65_536)
        if not more:
            raise ConnectionError("closed without an answer")
        seen += more
    head, _, body = seen.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        more = sock.recv(65_536)
        if not more:
            raise ConnectionError("closed within an answer")
        body += more
    return head.split(b" ")[1].decode()


if __name__ == "__main__":
    _run(sys.argv[1])
