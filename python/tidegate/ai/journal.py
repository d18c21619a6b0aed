"""Reads the engine's journal: segments of framed records, as the crate `tidegate-journal` writes and documents them.

Knows: the format, whether a segment's owner still runs.
Never: what a record says, the database.
"""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

import xxhash

__all__ = ["CLOSED", "HEADER_BYTES", "End", "Header", "Segment", "read", "segments"]

MAGIC: Final = b"TGJ1"
HEADER_BYTES: Final = 64
CLOSED: Final = 2**32 - 1
CHUNK: Final = 1 << 20
"""Bytes that are read at once; a record that is larger is read whole."""

_HEADER: Final = struct.Struct("<4sIQQQIIQQII")
_HEAD: Final = struct.Struct("<II")
_LOW: Final = 2**32 - 1


class End:
    """Why no further record was read."""

    OPEN = "open"
    """None was written yet; or ever, if the owner is gone."""
    CLOSED = "closed"
    """None will be."""
    DAMAGED = "damaged"
    """The next frame is not what was written; in a segment that is being written it may be whole the next time."""
    MORE = "more"
    """As many were read as were asked for."""


class Header(NamedTuple):
    """Whose segment it is."""

    segment_bytes: int
    nonce: int
    number: int
    pid: int
    worker: int
    started: int
    boot: int

    def pack(self) -> bytes:
        """The header's bytes."""
        first = _HEADER.pack(
            MAGIC, HEADER_BYTES, self.segment_bytes, self.nonce, self.number, self.pid, self.worker, self.started,
            self.boot, 0, 0,
        )[:60]  # fmt: skip
        return first + struct.pack("<I", _sum(first))

    @classmethod
    def parse(cls, data: bytes) -> Header | None:
        """The header that the bytes begin with; None where they begin with none, or a damaged one."""
        if len(data) < HEADER_BYTES:
            return None
        magic, length, *fields, _, check = _HEADER.unpack_from(data)
        if magic != MAGIC or length != HEADER_BYTES or check != _sum(data[:60]):
            return None
        return cls(*fields)

    @property
    def name(self) -> str:
        """The segment's file name; those of one writer sort in the order in which it filled them."""
        return f"{self.nonce:016x}-{self.worker:04d}-{self.number:012d}.tgj"

    def owner_is_gone(self) -> bool:
        """Whether the process that made it runs no more; False where that can't be told.

        Look first, then read to the end: what the owner appends in between would be lost with the file otherwise.
        """
        boot = boot_id()
        if boot is None:
            return False
        if boot != self.boot:
            return True
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                started = _started(file.read())
        except (FileNotFoundError, ProcessLookupError):
            return True
        except OSError:
            return False
        return started is not None and started != self.started


class Segment(NamedTuple):
    """Records that were read, and where to read on."""

    records: list[bytes]
    offsets: list[int]
    next: int
    end: str


def segments(folder: str) -> list[str]:
    """The file names of a folder's segments, in order; none where there is no folder."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".tgj"))
    except FileNotFoundError:
        return []


def read(descriptor: int, offset: int, most: int) -> Segment:
    """Whole records from `offset` on (one that was answered as `next`, or 0), at most so many."""
    records: list[bytes] = []
    offsets: list[int] = []
    at = max(offset, HEADER_BYTES)
    base, chunk = at, os.pread(descriptor, CHUNK, at)
    digest, unpack = xxhash.xxh3_64_intdigest, _HEAD.unpack_from
    while True:
        if len(records) >= most:
            return Segment(records, offsets, at, End.MORE)
        if at + 8 > base + len(chunk):
            base, chunk = at, os.pread(descriptor, CHUNK, at)
            if len(chunk) < 8:
                return Segment(records, offsets, at, End.OPEN)
        length, check = unpack(chunk, at - base)
        if length == 0 and check == 0:
            return Segment(records, offsets, at, End.OPEN)
        if length == CLOSED and check == CLOSED:
            return Segment(records, offsets, at, End.CLOSED)
        start = at - base + 8
        if start + length > len(chunk):
            size = os.fstat(descriptor).st_size
            if length == 0 or at + 8 + length > size:
                return Segment(records, offsets, at, End.DAMAGED)
            base, chunk = at, os.pread(descriptor, max(CHUNK, 8 + length), at)
            start = 8
        record = chunk[start : start + length]
        if length == 0 or len(record) != length or digest(record) & _LOW != check:
            return Segment(records, offsets, at, End.DAMAGED)
        records.append(record)
        offsets.append(at)
        at += (8 + length + 7) & ~7


def frame(record: bytes) -> bytes:
    """A record as it stands in a segment."""
    return (_HEAD.pack(len(record), _sum(record)) + record).ljust((8 + len(record) + 7) & ~7, b"\0")


def boot_id() -> int | None:
    """Which boot this is; None where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            digits = file.read().strip().replace("-", "")[:16]
        return int(digits, 16)
    except (OSError, ValueError):
        return None


def started(pid: int) -> int | None:
    """When a process started, in ticks since boot."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return _started(file.read())
    except OSError:
        return None


def _started(stat: bytes) -> int | None:
    # Field 22; the second is the program's name in parentheses, which may hold anything.
    fields = stat.rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def _sum(data: bytes) -> int:
    return int(xxhash.xxh3_64_intdigest(data)) & _LOW
