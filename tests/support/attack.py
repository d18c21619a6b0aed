"""What attackers do: many connections at once from an address of their own, each fed by hand."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

from tests.support.waiting import until

ADDRESS = "127.0.0.66"
"""Where they come from."""


class Horde:
    """Connections to a gateway that are all in one hand."""

    def __init__(self, address: str, count: int, *, source: str = ADDRESS, receive_buffer: int | None = None) -> None:
        self._address = address
        self._source = source
        self._buffer = receive_buffer
        self.socks: list[socket.socket] = []
        self.more(count)

    def more(self, count: int) -> None:
        """Opens that many more."""
        host, _, port = self._address.rpartition(":")
        for _ in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            sock.settimeout(10)
            sock.bind((self._source, 0))
            sock.connect((host, int(port)))
            sock.setblocking(False)
            self.socks.append(sock)

    def send(self, data: bytes) -> int:
        """Sends on each as far as it is taken; how many took something."""
        took = 0
        for sock in self.socks:
            with contextlib.suppress(OSError):
                took += sock.send(data) > 0
        return took

    def take(self, most: int) -> int:
        """Reads at most so much of each; how much it was together."""
        taken = 0
        for sock in self.socks:
            with contextlib.suppress(OSError):
                taken += len(sock.recv(most))
        return taken

    def answered(self, beginning: bytes) -> int:
        """How many have an answer waiting that begins so; it stays to be read."""
        count = 0
        for sock in self.socks:
            with contextlib.suppress(OSError):
                count += sock.recv(len(beginning), socket.MSG_PEEK) == beginning
        return count

    def closed(self) -> int:
        """How many the gateway has ended; what it said before is read."""
        return sum(_is_closed(sock) for sock in self.socks)

    def drip(
        self, each: Callable[[], object], ended: Callable[[], bool], within: float = 20, every: float = 0.1
    ) -> None:
        """Does `each` again and again until it has ended."""
        due = time.monotonic()

        def step() -> bool:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + every
                each()
            return ended()

        until(step, "the attack to be ended", within)

    def reset(self) -> None:
        """Breaks all off."""
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.socks.clear()

    def close(self) -> None:
        for sock in self.socks:
            sock.close()
        self.socks.clear()


@contextlib.contextmanager
def horde(address: str, count: int, *, source: str = ADDRESS, receive_buffer: int | None = None) -> Iterator[Horde]:
    """Connections that are closed in the end."""
    made = Horde(address, count, source=source, receive_buffer=receive_buffer)
    try:
        yield made
    finally:
        made.close()


def _is_closed(sock: socket.socket) -> bool:
    try:
        while sock.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True
