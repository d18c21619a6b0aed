"""A fake provider: a server that speaks one dialect and nothing else, and is strict about what it is asked."""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.support.http import Cut, Request
from tests.support.providers import anthropic, bedrock, cohere, gemini, mistral, ollama, openai, responses
from tests.support.providers.script import SCRIPTS, Asked, Gate, Script
from tests.support.providers.wording import NotServed, Words, Wrong, compact
from tests.support.upstream import Peer, Upstream
from tests.support.waiting import PATIENCE_S, until

DIALECTS: dict[str, Words] = {
    "openai": openai,
    "responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": bedrock,
    "cohere": cohere,
    "mistral": mistral,
    "ollama": ollama,
}

KEY = "provider-secret-0123456789"
"""The credential that every fake provider takes unless told otherwise."""

Scripted = Script | Iterable[Script] | Callable[[Asked], Script]

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Provider:
    """Answers by the model's name: from `scripts`, else from `SCRIPTS`, else plainly."""

    def __init__(self, dialect: str, *, keys: Iterable[str] = (KEY,), port: int = 0, **scripts: Scripted) -> None:
        self.dialect = dialect
        self.words = DIALECTS[dialect]
        self.keys = set(keys)
        self.scripts: dict[str, Scripted] = {name.replace("_", "-"): script for name, script in scripts.items()}
        self.every: Scripted | None = None
        """For every model, before all others."""
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        """What was wrong with requests: a test that sends none that are must find this empty."""
        self.stop_before: dict[int, Gate] = {}
        """Frames of streams that wait for a gate."""
        self._lock = threading.Lock()
        self._closing = False
        self._upstream = Upstream(self._answer, port=port)

    @property
    def url(self) -> str:
        """As `base_url` in a configuration."""
        return self._upstream.url + self.words.PREFIX

    @property
    def config(self) -> dict[str, Any]:
        """As an entry of `ai.providers`."""
        return {"dialect": self.dialect, "base_url": self.url, "api_key": min(self.keys)}

    @property
    def port(self) -> int:
        return self._upstream.port

    @property
    def faults(self) -> list[str]:
        return self._upstream.faults

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return self._upstream.accepted

    def wait(self, count: int, within: float = PATIENCE_S) -> list[Asked]:
        """The calls, once there are that many."""
        until(lambda: len(self.asked) >= count, f"{count} calls at the provider", within)
        return list(self.asked)

    def last(self) -> Asked:
        return self.asked[-1]

    def close_connections(self) -> None:
        """Ends what is open; new connections are still taken."""
        self._upstream.close_connections()

    def close(self) -> None:
        self._closing = True
        self._upstream.close()

    def _script(self, asked: Asked) -> Script:
        with self._lock:
            told = self.every if self.every is not None else self.scripts.get(asked.model)
            if told is None:
                told = SCRIPTS.get(asked.model, SCRIPTS["plain"])
            if isinstance(told, Script):
                return Script() if told.calls and asked.results else told
            if callable(told):
                return told(asked)
            left = list(told)
            assert left, "a provider with nothing to say"
            rest = left[1:] or left  # the last one holds from then on
            if self.every is not None:
                self.every = rest
            else:
                self.scripts[asked.model] = rest
            return left[0]

    def _answer(self, request: Request, peer: Peer) -> None:
        try:
            asked = self.words.read(request)
        except NotServed as path:
            self.refused.append(f"nothing is served at {path}")
            return self._refuse(Script(status=404), peer)
        except Wrong as wrong:
            self.refused.append(str(wrong))
            return self._refuse(Script(status=400), peer)
        except (KeyError, TypeError, AttributeError, ValueError) as wrong:
            self.refused.append(f"{wrong!r} in {request.body[:400]!r}")
            return self._refuse(Script(status=400), peer)
        with self._lock:
            self.asked.append(asked)
        told = self.words.credential(request)
        if told not in self.keys and not (told == "none" and self.dialect == "ollama"):
            asked.ended = "whole"
            return self._refuse(Script(status=401), peer)
        script = self._script(asked)
        try:
            self._say(asked, script, peer)
            asked.ended = "cut" if script.cut_at is not None else "whole"
        except (OSError, Cut):
            asked.ended = "gone"
            raise
        return None

    def _say(self, asked: Asked, script: Script, peer: Peer) -> None:
        if script.head_gate is not None:
            self._wait(script.head_gate, peer)
        if script.raw is not None:
            raw = script.raw
            reason = _REASONS.get(raw.status, "Whatever")
            peer.respond(raw.status, raw.body, f"Content-Type: {raw.content_type}", *script.fields, reason=reason)
            return
        if script.status != 200:
            self._refuse(script, peer)
            return
        if not asked.stream:
            answer = self.words.whole(asked, script)
            if script.change is not None:
                answer = script.change(answer)
            if script.cut_at is not None:
                body = compact(answer)
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                peer.send(b"Content-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
                peer.close()
                return
            peer.respond(200, compact(answer), "Content-Type: application/json", *script.fields)
            return
        self._stream(asked, script, peer)

    def _stream(self, asked: Asked, script: Script, peer: Peer) -> None:
        lines = [
            "HTTP/1.1 200 OK",
            f"Content-Type: {self.words.STREAM_TYPE}",
            *script.fields,
            "Transfer-Encoding: chunked",
        ]
        peer.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        frames = self.words.frames(asked, script)
        if script.edit is not None:
            frames = script.edit(frames)
        for at, frame in enumerate(frames):
            if at in self.stop_before:
                self._wait(self.stop_before[at], peer)
            if at == script.cut_at:
                _chunk(peer, frame[: len(frame) // 2])
                peer.close()
                return
            if at == script.fail_at:
                _chunk(peer, self.words.failure(script))
                break
            if at == script.stall_at:
                assert script.gate is not None
                self._wait(script.gate, peer)
            if script.trickle:
                for byte in frame:
                    _chunk(peer, bytes((byte,)))
            else:
                _chunk(peer, frame)
        peer.send(b"0\r\n\r\n")

    def _wait(self, gate: Gate, peer: Peer) -> None:
        """Until the gate opens; ends the connection where the caller does."""
        while not gate.is_open:
            readable, _, _ = select.select([peer.sock], [], [], 0.005)
            if self._closing or (readable and not peer.stream.more()):
                raise Cut("the caller has gone")

    def _refuse(self, script: Script, peer: Peer) -> None:
        body, fields = self.words.refusal(script)
        reason = _REASONS.get(script.status, "No")
        with contextlib.suppress(OSError):
            peer.respond(script.status, compact(body), "Content-Type: application/json", *fields, reason=reason)


def _chunk(peer: Peer, content: bytes) -> None:
    if content:
        peer.send(b"%x\r\n" % len(content) + content + b"\r\n")
