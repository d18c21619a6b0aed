"""What the dialects' words have in common: events, pieces of JSON, vectors, what makes a request wrong."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any, Protocol

from tests.support.http import Request
from tests.support.providers.script import Asked, Script


class NotServed(Exception):
    """The provider has nothing at this path."""


class Wrong(Exception):
    """The request is not what the provider's documentation asks for."""


class Words(Protocol):
    """One dialect: a module with these."""

    STREAM_TYPE: str
    PREFIX: str

    def read(self, request: Request) -> Asked:
        """What is asked for; raises NotServed and Wrong."""

    def credential(self, request: Request) -> str | None:
        """The key that came, from where the dialect has it."""

    def whole(self, asked: Asked, script: Script) -> Any:
        """The whole answer."""

    def frames(self, asked: Asked, script: Script) -> list[bytes]:
        """The answer in pieces."""

    def refusal(self, script: Script) -> tuple[Any, list[str]]:
        """An error's body, and the fields that go with it."""

    def failure(self, script: Script) -> bytes:
        """An error as a piece of a stream."""


def must(holds: object, what: str) -> None:
    if not holds:
        raise Wrong(what)


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def data(value: Any) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + compact(value) + b"\n\n"


def event(name: str, value: Any) -> bytes:
    """A server-sent event with one."""
    return f"event: {name}\n".encode() + data(value)


def pieces(text: str, count: int = 3) -> list[str]:
    """A text in so many pieces, none at a place that means anything."""
    step = max(1, -(-len(text) // count))
    return [text[at : at + step] for at in range(0, len(text), step)]


def arguments(call: Mapping[str, Any]) -> str:
    return json.dumps(call, ensure_ascii=False)


def bearer(request: Request) -> str | None:
    told = request.fields.get("Authorization") or ""
    return told.removeprefix("Bearer ") if told.startswith("Bearer ") else None


def json_body(request: Request) -> dict[str, Any]:
    must((request.fields.get("Content-Type") or "").startswith("application/json"), "the body is not called JSON")
    try:
        body = json.loads(request.body)
    except ValueError as bad:
        raise Wrong(f"the body is not JSON: {bad}") from None
    must(isinstance(body, dict), "the body is not an object")
    whole: dict[str, Any] = body
    return whole


def vector(text: str) -> list[float]:
    """Numbers that tell texts apart and are exact in 32 bits."""
    raw = text.encode()
    return [len(raw) / 8, sum(raw) % 97 / 4, (raw[0] if raw else 0) / 2, -1.0]


def packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def texts(given: Any) -> list[str]:
    """What is to become vectors."""
    many = [given] if isinstance(given, str) else given
    must(isinstance(many, list) and many and all(isinstance(one, str) for one in many), "no texts")
    return list(many)


def tools_by_function(body: Mapping[str, Any]) -> None:
    """Tools as OpenAI and those who follow have them."""
    for tool in body.get("tools") or []:
        must(tool.get("type") == "function", f"a tool of no known type: {tool}")
        must(tool["function"].get("name"), f"a tool without a name: {tool}")
        must(isinstance(tool["function"].get("parameters", {}), dict), f"parameters that are no schema: {tool}")


def turns_by_role(messages: Any, roles: set[str]) -> tuple[str, ...]:
    """Messages as OpenAI and those who follow have them; the results that they end with."""
    must(isinstance(messages, list) and messages, "no messages")
    open_calls: list[str] = []
    results: list[str] = []
    for message in messages:
        role = message.get("role")
        must(role in roles, f"no such role: {role}")
        if role == "tool":
            must(message.get("tool_call_id") in open_calls, f"a result of no call: {message}")
            open_calls.remove(message["tool_call_id"])
            results.append(plain(message.get("content")))
            continue
        must(not open_calls, f"calls without results: {open_calls}")
        results = []
        if role == "assistant":
            open_calls = [call["id"] for call in message.get("tool_calls") or []]
            for call in message.get("tool_calls") or []:
                json.loads(call["function"]["arguments"])
    must(not open_calls, f"calls without results: {open_calls}")
    return tuple(results)


def plain(content: Any) -> str:
    """The text of a content that is a string or parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_plain_part(part) for part in content)
    return json.dumps(content) if content is not None else ""


def _plain_part(part: Any) -> str:
    """Of a text, or of a document that is one."""
    if "bytes" in (source := (part.get("document") or part).get("source") or {}):
        return base64.b64decode(source["bytes"]).decode()
    for inner in (part.get("text"), source.get("data"), source.get("text"), part.get("json")):
        if inner:
            return inner if isinstance(inner, str) else json.dumps(inner)
    return json.dumps(part)
