"""Servers that speak no HTTP: one handler for each connection, on a port of their own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

Handler = Callable[[socket.socket], None]


class StreamServer:
    """Hands each connection to `handler` in a thread; `close` breaks those that are open."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Dies: takes no more connections and breaks those that are there."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                reset(sock)
            self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._handler(sock)
        with self._lock:
            self._open.discard(sock)
        sock.close()


def echo(sock: socket.socket) -> None:
    """Sends back what comes, up to its end."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)


def reset(sock: socket.socket) -> None:
    """Breaks a connection off."""
    with contextlib.suppress(OSError):  # closed by its handler already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)  # wakes whoever reads from it
    sock.close()


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end; a break raises."""
    parts = []
    while data := sock.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def read_exactly(sock: socket.socket, length: int) -> bytes:
    """That many bytes, or fewer where it ends before."""
    out = bytearray()
    while len(out) < length and (data := sock.recv(length - len(out))):
        out += data
    return bytes(out)
