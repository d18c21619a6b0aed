"""HTTP/2 by hand: frames that no client's library would send, and what a gateway says to them (RFC 9113, RFC 7541)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from types import TracebackType

from tests.support.attack import ADDRESS
from tests.support.waiting import until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PROTOCOL_ERROR, SETTINGS_TIMEOUT, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 1, 4, 7, 8, 11
INITIAL_WINDOW_SIZE = 4

Fields = Iterable[tuple[bytes, bytes]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, payload=name.to_bytes(2) + value.to_bytes(4))


def _text(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes((len(value),)) + value
    rest, out = len(value) - 127, b"\x7f"
    while rest >= 128:
        out += bytes((rest % 128 + 128,))
        rest //= 128
    return out + bytes((rest,)) + value


def block(fields: Fields) -> bytes:
    """Fields that touch no table, byte for byte."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def kept(name: bytes, value: bytes) -> bytes:
    """A field that the table keeps: `newest` means it after that."""
    return b"\x40" + _text(name) + _text(value)


newest = bytes((0x80 | 62,))


def fields(
    method: bytes = b"GET", path: bytes = b"/", authority: bytes = b"a.example", more: Fields = ()
) -> list[tuple[bytes, bytes]]:
    """A request's."""
    pseudo = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", authority)]
    return [*pseudo, *more]


def headers(stream: int, which: Fields | bytes, *, ends: bool = True, whole: bool = True) -> bytes:
    """A request's HEADERS."""
    encoded = which if isinstance(which, bytes) else block(which)
    return frame(HEADERS, END_STREAM * ends | END_HEADERS * whole, stream, encoded)


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def window(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4))


class Crafted:
    """One connection: what is sent is sent as it stands, and what comes is kept by frames."""

    def __init__(self, address: str, begin: bytes | None = None, *, source: str = ADDRESS) -> None:
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), 10, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self._bytes = b""
        self.frames: list[tuple[int, int, int, bytes]] = []
        """Kind, flags, stream, payload."""
        self.ended = False
        self.send(PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK) if begin is None else begin)

    def __enter__(self) -> Crafted:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """All of it, while what comes is read; or as much as the gateway takes before it ends the connection."""

        def step() -> bool:
            nonlocal data
            with contextlib.suppress(BlockingIOError):
                try:
                    data = data[self.sock.send(data) :]
                except OSError as error:
                    if isinstance(error, BlockingIOError):
                        raise
                    data = b""
            if data:
                self.look()
            return not data or self.ended

        until(step, "the gateway to take what is sent")

    def look(self) -> None:
        """Takes what has come."""
        try:
            while more := self.sock.recv(1 << 16):
                self._bytes += more
            self.ended = True
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        while len(self._bytes) >= 9 and len(self._bytes) >= 9 + (length := int.from_bytes(self._bytes[:3])):
            head, payload = self._bytes[:9], self._bytes[9 : 9 + length]
            self._bytes = self._bytes[9 + length :]
            self.frames.append((head[3], head[4], int.from_bytes(head[5:]), payload))

    def until(self, done: Callable[[], object], what: str, within: float = 10) -> None:
        """Reads until then."""

        def step() -> object:
            self.look()
            return done()

        until(step, what, within)

    def goodbye(self, within: float = 10) -> int | None:
        """The code of GOAWAY, once the gateway has ended the connection; `None` where it said none."""
        self.until(lambda: self.ended, "the connection to be ended", within)
        codes = [int.from_bytes(payload[4:8]) for kind, _, _, payload in self.frames if kind == GOAWAY]
        return codes[-1] if codes else None

    def resets(self) -> dict[int, int]:
        """Streams that the gateway has reset, and the codes."""
        return {stream: int.from_bytes(payload) for kind, _, stream, payload in self.frames if kind == RST_STREAM}

    def answered(self) -> set[int]:
        """Streams of which an answer's head has come."""
        return {stream for kind, _, stream, _ in self.frames if kind == HEADERS}

    def whole(self) -> set[int]:
        """Streams whose answer has come to its end."""
        return {stream for kind, flags, stream, _ in self.frames if kind in (DATA, HEADERS) and flags & END_STREAM}
