"""A strict reading of HTTP/1.1, independent of the gateway's own: what it does not know by heart it refuses.

It reads what the gateway wrote, so it may be stricter than any RFC: one spelling of each thing is enough.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(
    rb"(" + _TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
_LENGTH = re.compile(rb"0|[1-9][0-9]*")
_CHUNK_SIZE = re.compile(rb"0|[1-9A-Fa-f][0-9A-Fa-f]*")


class Malformed(Exception):
    """What came is not HTTP/1.1 in one reading only."""


class Ended(Exception):
    """The peer closed the connection before the first byte of a message."""


class Cut(Exception):
    """The peer closed the connection within a message."""


class Fields:
    """Field lines in their order; names compare in any case."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []

    def append(self, pair: tuple[str, str]) -> None:
        self._pairs.append(pair)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __repr__(self) -> str:
        return repr(self._pairs)

    def all(self, name: str) -> list[str]:
        return [value for known, value in self._pairs if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the one line of that name; more than one is the test's failure."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else None

    def __contains__(self, name: object) -> bool:
        return bool(self.all(str(name)))


@dataclass(frozen=True)
class Request:
    """One request as it came, and the bytes of its head."""

    method: str
    target: str
    version: str
    fields: Fields
    body: bytes
    framing: str
    trailers: Fields
    head: bytes


@dataclass(frozen=True)
class Response:
    """One response as it came, and the bytes of its head."""

    status: int
    reason: str
    version: str
    fields: Fields
    body: bytes
    framing: str
    trailers: Fields
    head: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The reason that an answer of the gateway's own names."""
        assert self.fields.get("Content-Type") == "application/problem+json", self.fields
        told = self.json()
        assert told["status"] == self.status, told
        assert set(told) == {"type", "title", "status", "reason", "detail", "request_id"}, told
        assert told["detail"], told
        return str(told["reason"])


class Stream:
    """A socket, read in lines and counts."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self.ended = False

    def more(self) -> bool:
        """Reads once; false at the end."""
        if self.ended:
            return False
        got = self.sock.recv(262_144)
        if not got:
            self.ended = True
        self.buffer += got
        return bool(got)

    def line(self) -> bytes:
        """Up to CR LF, without it."""
        while (at := self.buffer.find(b"\n")) < 0:
            if not self.more():
                raise Cut(bytes(self.buffer))
        line = bytes(self.buffer[: at + 1])
        del self.buffer[: at + 1]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise Malformed(f"a line that does not end in CR LF alone: {line!r}")
        return line[:-2]

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.more():
                raise Cut(f"{len(self.buffer)} of {count} bytes")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def rest(self) -> bytes:
        """All that comes until the peer ends the connection."""
        while self.more():
            pass
        taken = bytes(self.buffer)
        self.buffer.clear()
        return taken

    def begun(self) -> bool:
        """Waits for the first byte of something; false where the end comes instead."""
        return bool(self.buffer) or self.more()


def read_request_head(stream: Stream) -> tuple[str, str, str, Fields, bytes]:
    """Method, target, version, fields, and the bytes themselves."""
    if not stream.begun():
        raise Ended
    first = stream.line()
    found = _REQUEST_LINE.fullmatch(first)
    if not found:
        raise Malformed(f"no request line: {first!r}")
    fields, raw = _fields(stream)
    if found[3] == b"1" and len(fields.all("Host")) != 1:
        raise Malformed(f"{len(fields.all('Host'))} Host fields")
    return found[1].decode(), found[2].decode(), f"1.{found[3].decode()}", fields, first + b"\r\n" + raw


def read_request(stream: Stream) -> Request:
    """One whole request; raises Ended where the peer has nothing more to say."""
    method, target, version, fields, head = read_request_head(stream)
    framing = _framing(fields)
    body, trailers = _body(stream, framing, fields)
    return Request(method, target, version, fields, body, framing, trailers, head)


def read_response_head(stream: Stream) -> tuple[int, str, str, Fields, bytes]:
    """Status, reason, version, fields, and the bytes themselves."""
    if not stream.begun():
        raise Ended
    first = stream.line()
    found = _STATUS_LINE.fullmatch(first)
    if not found:
        raise Malformed(f"no status line: {first!r}")
    fields, raw = _fields(stream)
    return int(found[2]), found[3].decode("latin-1"), f"1.{found[1].decode()}", fields, first + b"\r\n" + raw


def read_response(stream: Stream, method: str = "GET") -> Response:
    """One whole response, an informational one too; raises Ended where the peer closes before it."""
    status, reason, version, fields, head = read_response_head(stream)
    framing = _framing(fields)
    if method == "HEAD" or status in (204, 304) or status < 200:
        if status < 200 or status == 204:
            _none_of(fields, "Content-Length", "Transfer-Encoding")
        framing = "none"
    elif framing == "none":
        framing = "until_close"
    body, trailers = _body(stream, framing, fields)
    return Response(status, reason, version, fields, body, framing, trailers, head)


def read_chunk(stream: Stream) -> bytes:
    """One chunk's content; empty for the last one, whose trailers are still to be read."""
    size = stream.line()
    if not _CHUNK_SIZE.fullmatch(size):
        raise Malformed(f"no chunk size: {size!r}")
    count = int(size, 16)
    if count == 0:
        return b""
    content = stream.exactly(count)
    if stream.exactly(2) != b"\r\n":
        raise Malformed("a chunk that does not end with its size")
    return content


def _fields(stream: Stream) -> tuple[Fields, bytes]:
    fields, raw = Fields(), b""
    while True:
        line = stream.line()
        raw += line + b"\r\n"
        if not line:
            return fields, raw
        found = _FIELD.fullmatch(line)
        if not found:
            raise Malformed(f"no field line: {line!r}")
        fields.append((found[1].decode(), found[2].decode("latin-1")))


def _framing(fields: Fields) -> str:
    lengths, codings = fields.all("Content-Length"), fields.all("Transfer-Encoding")
    if lengths and codings:
        raise Malformed("both Content-Length and Transfer-Encoding")
    if len(lengths) > 1 or len(codings) > 1:
        raise Malformed(f"framing told twice: {lengths + codings}")
    if lengths:
        if not _LENGTH.fullmatch(lengths[0].encode()):
            raise Malformed(f"no length: {lengths[0]!r}")
        return "exact"
    if codings:
        if codings[0] != "chunked":
            raise Malformed(f"no coding that is known: {codings[0]!r}")
        return "chunked"
    return "none"


def _body(stream: Stream, framing: str, fields: Fields) -> tuple[bytes, Fields]:
    match framing:
        case "exact":
            return stream.exactly(int(fields.all("Content-Length")[0])), Fields()
        case "chunked":
            parts = []
            while part := read_chunk(stream):
                parts.append(part)
            trailers, _ = _fields(stream)
            return b"".join(parts), trailers
        case "until_close":
            return stream.rest(), Fields()
    return b"", Fields()


def _none_of(fields: Fields, *names: str) -> None:
    for name in names:
        if name in fields:
            raise Malformed(f"{name} where there is no body")
