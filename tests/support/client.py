"""A client that sends the bytes that a test wants sent, and reads what comes back strictly."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Mapping
from types import TracebackType

from tests.support.http import Fields, Response, Stream, read_response, read_response_head
from tests.support.waiting import PATIENCE_S


def connect(address: str, *, timeout: float = PATIENCE_S, receive_buffer: int | None = None) -> socket.socket:
    """A connection to `127.0.0.1:80`, `[::1]:80` or `unix:/path`."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: str | tuple[str, int] = address.removeprefix("unix:")
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = (host, int(port))
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    try:
        sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


class Client:
    """One connection."""

    def __init__(self, address: str, *, timeout: float = PATIENCE_S, receive_buffer: int | None = None) -> None:
        self.sock = connect(address, timeout=timeout, receive_buffer=receive_buffer)
        self.stream = Stream(self.sock)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """The same, where the peer may answer and close before it has read all."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data)

    def no_more(self) -> None:
        """Ends this side's half of the connection."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def receive(self, method: str = "GET") -> Response:
        """The next final response; informational ones before it are dropped."""
        while (response := read_response(self.stream, method)).status < 200:
            pass
        return response

    def receive_any(self, method: str = "GET") -> Response:
        """The next response, an informational one too."""
        return read_response(self.stream, method)

    def receive_head(self) -> tuple[int, Fields]:
        """The next response's status and fields; its body is still to come."""
        status, _, _, fields, _ = read_response_head(self.stream)
        return status, fields

    def request(
        self,
        method: str,
        target: str = "/",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Response:
        """One request with a length where it has a body, and its response."""
        self.send(message(method, target, headers, body))
        return self.receive(method)

    def is_closed(self) -> bool:
        """Whether the peer ends the connection, with nothing more said."""
        try:
            return self.stream.rest() == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Ends the connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


def message(
    method: str,
    target: str = "/",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> bytes:
    """A request's bytes; Host and Content-Length are added where they are not given."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", "a.example"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    head = "".join([f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in pairs), "\r\n"])
    return head.encode("latin-1") + (body or b"")


def once(
    address: str,
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> Response:
    """One request on a connection of its own."""
    with Client(address) as client:
        return client.request(method, target, headers, body)
