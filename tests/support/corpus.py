"""The cases of `tests/corpus/http1`, as its README describes them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "corpus" / "http1"


class Case:
    """Bytes, and the verdict on them."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.name: str = told["name"]
        self.expect: str = told["expect"]
        self.reason: str | None = told.get("reason")
        self.status: int | None = told.get("status")
        self.upstream: list[dict[str, Any]] = told.get("upstream", [])
        self.method: str = told.get("request_method", "GET")

    @property
    def bytes(self) -> bytes:
        if encoded := self.told.get("base64"):
            return base64.b64decode(encoded)
        parts = self.told["bytes"]
        if isinstance(parts, str):
            return parts.encode()
        texts = (part if isinstance(part, str) else part["repeat"] * part["times"] for part in parts)
        return "".join(texts).encode()

    def __repr__(self) -> str:
        return self.name


def cases(*, responses: bool) -> list[Case]:
    """Of one side, in the files' order."""
    told = [case for path in sorted(FOLDER.glob("*.json")) for case in json.loads(path.read_text())]
    return [Case(case) for case in told if ("request_method" in case) == responses]
