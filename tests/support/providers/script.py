"""What a fake provider is told to say, in words that belong to no dialect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.http import Request


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str = "weather"
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"city": "Paris"})
    id: str = "call_paris01"


@dataclass(frozen=True)
class Usage:
    """Tokens, in disjoint sorts."""

    input: int = 11
    cache_read: int = 0
    cache_write: int = 0
    output: int = 7
    reasoning: int = 0

    @property
    def all_input(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def all_output(self) -> int:
        return self.output + self.reasoning


@dataclass(frozen=True)
class Raw:
    """An answer that is in no dialect's words."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


class Gate:
    """Where a provider waits until the test lets it go on."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()


@dataclass(frozen=True)
class Script:
    """One answer."""

    text: tuple[str, ...] = ("Hello", " from", " the", " tide.")
    thought: str = ""
    signature: str = ""
    calls: tuple[Call, ...] = ()
    usage: Usage | None = Usage()
    finish: str = ""
    """`stop`, `length`, `tool_calls`, `content_filter`; as the content has it unless given."""
    status: int = 200
    why: str = ""
    """What kind of refusal: `context`, `quota`, `filter`; as the status has it unless given."""
    fields: tuple[str, ...] = ()
    """Field lines that go with it, refusals and answers: `Retry-After: 1`."""
    head_gate: Gate | None = None
    """Where it waits before the first byte."""
    stall_at: int | None = None
    """Behind so many frames it waits for `gate`."""
    gate: Gate | None = None
    cut_at: int | None = None
    """Behind so many frames, and half of the next, the connection ends."""
    fail_at: int | None = None
    """Behind so many frames comes an error in the dialect's words, and nothing more."""
    trickle: bool = False
    """Every byte is a write of its own."""
    raw: Raw | None = None
    edit: Callable[[list[bytes]], list[bytes]] | None = None
    """Changes the frames of a stream."""
    change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Changes the whole answer."""

    @property
    def ends(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")

    @property
    def said(self) -> str:
        return "".join(self.text)


@dataclass
class Asked:
    """One call, as the provider understood it."""

    model: str
    stream: bool
    surface: str
    body: Any
    request: Request
    results: tuple[str, ...] = ()
    """The tools' results that the conversation ends with."""
    ended: str = ""
    """`whole`, `cut` (the script's wish) or `gone` (the caller's)."""

    @property
    def header(self) -> Callable[[str], str | None]:
        return self.request.fields.get


PARIS = Call()
ROME = Call(arguments={"city": "Rome", "days": [1, 2]}, id="call_rome002")

SCRIPTS: dict[str, Script] = {
    "plain": Script(),
    "tool": Script(text=(), calls=(PARIS,)),
    "tools": Script(text=("Let me", " look."), calls=(PARIS, ROME)),
    "think": Script(thought="The tide turns at six.", signature="c2lnbmVkLWJ5LXRoZS1mYWtl"),
    "think-tool": Script(text=(), thought="I should look.", signature="c2lnbmVkLWJ5LXRoZS1mYWtl", calls=(PARIS,)),
    "cached": Script(usage=Usage(input=5, cache_read=100, output=3)),
    "reasoned": Script(usage=Usage(input=5, output=3, reasoning=20)),
    "long": Script(finish="length"),
    "filtered": Script(text=(), finish="content_filter"),
    "no-usage": Script(usage=None),
    "bad-request": Script(status=400),
    "unauthorized": Script(status=401),
    "limited": Script(status=429),
    "quota": Script(status=429, why="quota"),
    "too-long": Script(status=400, why="context"),
    "broken": Script(status=500),
    "overloaded": Script(status=529),
    "html": Script(raw=Raw(b"<!doctype html><html><title>502 Bad Gateway</title></html>", "text/html", 502)),
    "html-200": Script(raw=Raw(b"<!doctype html><html><title>Sign in</title></html>", "text/html")),
    "cut": Script(cut_at=2),
    "fails-midway": Script(fail_at=3),
    "trickle": Script(trickle=True),
}
"""Answers by the model's name, where a provider has no other for it."""

REFUSALS: dict[int, str] = {
    400: "This is not a request.",
    401: "This is not a key.",
    403: "This is not for you.",
    404: "There is no such model.",
    429: "That was too much.",
    500: "Something broke.",
    503: "There is no room.",
    529: "There is no room.",
}


def reason(script: Script) -> str:
    """What a refusal says in its message."""
    match script.why:
        case "context":
            return "This model's maximum context length is 128 tokens; prompt is too long: 131 tokens > 128 maximum."
        case "quota":
            return "You exceeded your current quota, please check your plan and billing details."
        case "filter":
            return "The prompt was declined by the content filter."
    return REFUSALS.get(script.status, "No.")
