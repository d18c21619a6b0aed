"""Upstreams that a test scripts: they keep every request as it came and say what they are told to say."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType

from tests.support.http import Cut, Ended, Malformed, Request, Stream, read_request
from tests.support.waiting import PATIENCE_S, until


class Peer:
    """One connection to an upstream, as the upstream sees it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.stream = Stream(sock)
        self.closed = False

    def shake_hands(self, context: ssl.SSLContext) -> None:
        """Goes on within TLS."""
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.stream = Stream(self.sock)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def respond(self, status: int = 200, body: bytes = b"ok", *fields: str, reason: str = "OK") -> None:
        """A response with a length."""
        lines = [f"HTTP/1.1 {status} {reason}", *fields, f"Content-Length: {len(body)}"]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """Ends the connection by RST."""
        self.closed = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Answer = Callable[[Request, Peer], None]
Serve = Callable[[Peer], None]


def ok(request: Request, peer: Peer) -> None:
    peer.respond()


def echo(request: Request, peer: Peer) -> None:
    """Gives the request's body back."""
    peer.respond(200, request.body)


class Upstream:
    """Listens, reads requests strictly, keeps them, answers each by `answer`; or leaves a connection to `serve`.

    What is not HTTP in one reading only is kept in `faults`, which must be empty when the test ends.
    """

    def __init__(
        self,
        answer: Answer = ok,
        *,
        serve: Serve | None = None,
        unix: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self._tls = tls
        self._serve = serve
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self.accepted = 0
        self._peers: set[Peer] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        if unix is not None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unix)
            self._listener.bind(unix)
            self.address, self.url, self.port = f"unix:{unix}", f"unix:{unix}", 0
        else:
            self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self.port = self._listener.getsockname()[1]
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
            self.url = f"http{'s' if tls else ''}://{self.address}"
        self._listener.listen(512)
        self._start(self._accept)

    def __enter__(self) -> Upstream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            assert not self.faults, self.faults

    def wait(self, count: int, within: float = PATIENCE_S) -> list[Request]:
        """The requests, once there are that many."""
        until(lambda: len(self.requests) >= count, f"{count} requests at the upstream", within)
        return list(self.requests)

    def close_connections(self) -> None:
        """Ends what is open; new connections are still taken."""
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            peer.close()

    @property
    def open(self) -> int:
        """Connections that are open."""
        with self._lock:
            return len(self._peers)

    def close(self) -> None:
        """Stops listening and cuts what is open."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                peer = Peer(sock, self.accepted)
                if self._stopping:
                    sock.close()
                    return
                self._peers.add(peer)
            self._start(lambda peer=peer: self._converse(peer))  # type: ignore[misc]  # bound now, not when it runs

    def _converse(self, peer: Peer) -> None:
        try:
            if self._tls is not None:
                peer.shake_hands(self._tls)
            if self._serve is not None:
                self._serve(peer)
                return
            while not peer.closed:
                request = read_request(peer.stream)
                with self._lock:
                    self.requests.append(request)
                self.answer(request, peer)
        except (Ended, Cut, OSError):
            pass  # the gateway has gone, or the test closed the connection
        except Malformed as fault:
            self.faults.append(f"{fault}")
        except Exception as error:  # a script that fails must fail its test
            self.faults.append(f"the upstream's script failed: {error!r}")
        finally:
            peer.close()
            with self._lock:
                self._peers.discard(peer)
