"""A journal for tests: what the engine writes, written in Python."""

from __future__ import annotations

import itertools
import json
import os
import struct
from pathlib import Path
from typing import Any

from tidegate.ai.journal import Header, boot_id, frame, started

_numbers = itertools.count(1)
CLOSING = struct.pack("<II", 2**32 - 1, 2**32 - 1)
GONE = 2**22 + 1  # larger than any process id of Linux
NOW = 1_763_700_000_000


def segment(folder: Path, records: list[Any], *, closed: bool = False, gone: bool = True, nonce: int = 7) -> Path:
    """A segment file with these records; bytes are written as they are."""
    folder.mkdir(exist_ok=True)
    pid = GONE if gone else os.getpid()
    header = Header(1 << 20, nonce, next(_numbers), pid, 0, started(os.getpid()) or 0, boot_id() or 0)
    path = folder / header.name
    data = b"".join(frame(record if isinstance(record, bytes) else _encode(record)) for record in records)
    path.write_bytes(header.pack() + data + (CLOSING if closed else b"\0" * 64))
    return path


def _encode(record: Any) -> bytes:
    return json.dumps(record).encode()


def end(id_: str, **fields: Any) -> dict[str, Any]:
    """A call's end."""
    known = {
        "v": 1, "kind": "end", "id": id_, "at_ms": NOW, "started_ms": NOW - 100, "key": "ci", "tenant": "acme",
        "team": "platform", "user": "", "tags": [], "surface": "chat", "model": "small", "served": "gpt-4o-mini",
        "provider": "openai", "status": 200, "outcome": "ok", "source": "reported", "input": 10, "output": 5,
        "usd": 4_500_000, "price_version": "t", "total_us": 5000,
    }  # fmt: skip
    return {**known, **fields}


def begin(id_: str, **fields: Any) -> dict[str, Any]:
    """A call's beginning."""
    known = {"v": 1, "kind": "begin", "id": id_, "at_ms": NOW, "key": "ci", "tenant": "acme", "model": "small"}
    return {**known, "reserved_usd": 9, "reserved_input": 3, "reserved_output": 4, **fields}
