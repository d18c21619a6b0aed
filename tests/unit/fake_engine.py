"""An engine for tests of the control plane: it takes plans and hands out calls, and moves no byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass
class FakeCall:
    """One hook call, with every field set."""

    id: int
    hook: int = 0
    generation: int = 1
    method: str = "GET"
    target: str = "/a?b=c"
    path: str = "/a"
    query: str = "b=c"
    host: str = "example.com"
    scheme: str = "http"
    tls_version: str = ""
    tls_cipher: str = ""
    tls_client_subject: str = ""
    tls_client_san: str = ""
    tls_client_verified: str = ""
    sni: str = ""
    client_ip: str = "192.0.2.1"
    request_id: str = "r-1"
    route: str = "all"
    listener: str = "control"
    user: str = ""
    about: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | None = None

    def header(self, name: str, /) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Failed(Exception):
    """What the awaited outcome of a failed call raises."""


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop turn until it holds; the test's own time-out is the bound."""
    while not condition():  # noqa: ASYNC110 — what is waited for happens in threads and signal handlers too
        await asyncio.sleep(0)


class FakeEngine:
    """Records what it is told; `refusal` is raised by the next start or apply."""

    def __init__(self, workers: int = 1) -> None:
        self.threads = workers
        self.plans: list[Any] = []
        self.refusal: Exception | None = None
        self.events: list[str] = []
        self.booked: list[tuple[str, int, int]] = []
        self.pulse = (0, False)
        self.open_connections = 0
        self.batches: list[int] = []
        self._calls: list[FakeCall] = []
        self._outcomes: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)

    def start(self, plan: bytes, inherited: list[tuple[int, list[int]]] = [], /) -> list[str]:  # noqa: B006
        self.events.append("start")
        self.inherited = list(inherited)
        return self._take(plan)

    def sockets(self) -> list[list[int]]:
        return [[] for _ in self.plans[-1]["listeners"]]

    def own(self, listeners: list[int], /) -> None:
        self.events.append(f"own {listeners}")

    def workers(self) -> tuple[int, bool]:
        return self.pulse

    def book(self, taken: list[tuple[str, int, int]], /) -> None:
        self.booked += taken

    def hand_over(self) -> None:
        self.events.append("hand_over")

    def apply(self, plan: bytes, /) -> list[str]:
        self.events.append("apply")
        return self._take(plan)

    def drain(self) -> None:
        self.events.append("drain")

    def connections(self) -> int:
        return self.open_connections

    def stop(self) -> None:
        self.events.append("stop")

    def reopen_logs(self) -> None:
        self.events.append("reopen_logs")

    def stats(self) -> bytes:
        return b'{"requests": 7, "connections": 1, "in_flight": 0}'

    def metrics(self) -> bytes:
        return b"tidegate_cache_bytes 5\n"

    def cache_purge(self, what: str, value: bytes, soft: bool, /) -> bool | None:
        self.events.append(f"cache_purge {what} {value.decode()} {soft}")
        return True

    def cache_get(self, text: bytes, /) -> bytes | None:
        return b"{}" if text == b"kept" else None

    def set_keys(self, name: str, jwks: bytes, /) -> tuple[int, list[str]] | None:
        self.events.append(f"set_keys {name}")
        return 1, []

    def keys_failed(self, name: str, /) -> None:
        self.events.append(f"keys_failed {name}")

    def calls_fd(self) -> int:
        return self._readable

    def take_calls(self, most: int, /) -> list[FakeCall]:
        taken, self._calls = self._calls[:most], self._calls[most:]
        if not self._calls:
            os.read(self._readable, 1)
        return taken

    def answer(self, answers: list[tuple[int, Any]], /) -> None:
        self.batches.append(len(answers))
        for call_id, verdict in answers:
            self._settle(call_id, verdict, None)

    def fail(self, failures: list[tuple[int, str]], /) -> None:
        for call_id, why in failures:
            self._settle(call_id, None, Failed(why))

    def call(self, **fields: Any) -> asyncio.Future[Any]:
        """Puts a call in; what becomes of it: a verdict's keywords, None, or Failed."""
        self._next += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._outcomes[self._next] = future
        if not self._calls:
            os.write(self._writable, b"1")
        self._calls.append(FakeCall(self._next, **fields))
        return future

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)

    def _take(self, plan: bytes) -> list[str]:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        self.plans.append(msgspec.json.decode(plan))
        return [listener["name"] for listener in self.plans[-1]["listeners"]]

    def _settle(self, call_id: int, verdict: Any, error: Exception | None) -> None:
        future = self._outcomes.pop(call_id)

        def settle() -> None:
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(verdict)

        future.get_loop().call_soon_threadsafe(settle)
