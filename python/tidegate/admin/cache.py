"""The admin API's cache part: `/cache`, `/cache/object` and `/cache/purge`.

Knows: what the engine tells of its store and takes.
Never: keys' making: whoever asks brings the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from tidegate.policy import Decision, Request, answer, problem

if TYPE_CHECKING:
    from tidegate.gateway import Gateway

__all__ = ["CacheResources"]

_SAMPLE = re.compile(r"tidegate_cache_(\w+?)(?:_total)?(?:\{(.*)\})? (\d+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


class Purge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be forgotten."""

    what: Literal["key", "prefix", "host", "tag", "all"]
    value: str = ""
    soft: bool = False


class CacheResources:
    """What one process keeps of answers."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def stats(self, _: Request) -> Decision:
        """What the store holds and what it did, by route."""
        told: dict[str, Any] = {}
        for line in self._gateway.engine_metrics().decode().splitlines():
            if (found := _SAMPLE.fullmatch(line)) is None:
                continue
            name, labels, value = found[1], dict(_LABEL.findall(found[2] or "")), int(found[3])
            if not labels:
                told[name] = value
                continue
            route = told.setdefault("routes", {}).setdefault(labels.pop("route"), {})
            route.setdefault(name, {})[next(iter(labels.values()), "")] = value
        return _json(told)

    async def object(self, request: Request) -> Decision:
        """What is kept under `?key=`, the text of a key."""
        text = dict(parse_qsl(request.query, keep_blank_values=True)).get("key", "")
        found = self._gateway.cache_get(text.encode())
        if found is None:
            return _refuse(request, 404, "not_kept", "Nothing is kept under this key.")
        return answer(200, found + b"\n", _HEADERS)

    async def purge(self, request: Request) -> Decision:
        """Forgets, or with `soft` counts as stale: a JSON body of `what`, `value` and `soft`."""
        try:
            wanted = msgspec.json.decode(request.body or b"{}", type=Purge)
        except msgspec.DecodeError as error:
            return _refuse(request, 400, "purge_refused", f"{error}.")
        if wanted.what != "all" and not wanted.value:
            return _refuse(request, 400, "purge_refused", f"A {wanted.what} is missing.")
        done = self._gateway.cache_purge(wanted.what, wanted.value.encode(), soft=wanted.soft)
        if done is None:
            return _refuse(request, 409, "no_cache", "No route of this process keeps answers.")
        return _json({"purged": done})


def _refuse(request: Request, status: int, reason: str, detail: str) -> Decision:
    fields = {"Content-Type": "application/problem+json"}
    return answer(status, problem(status, reason, detail, request.request_id), fields)


def _json(content: Any) -> Decision:
    return answer(200, msgspec.json.encode(content) + b"\n", _HEADERS)
