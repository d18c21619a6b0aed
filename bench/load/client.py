"""The clients: wrk in a closed loop, the open-loop generator, and connections that only wait."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load.lab import Lab
from bench.load.process import Child, StartError
from bench.load.tools import built

CLIENT_LUA = Path(__file__).with_name("client.lua")
GRACE = 20.0


@dataclass(frozen=True)
class Request:
    """What a client sends."""

    path: str = "/"
    scheme: str = "http"
    method: str = "GET"
    body_bytes: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    targets: Path | None = None
    body: Path | None = None


@dataclass(frozen=True)
class Closed:
    """What wrk counted."""

    requests: int
    seconds: float
    statuses: int
    failed: int


def wrk(lab: Lab, port: int, request: Request, *, seconds: float, cores: Sequence[int]) -> Closed:
    """As many requests as are answered, on the settings' number of connections."""
    threads = min(len(cores), 4)
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{lab.settings.connections}",
        f"-d{max(1, round(seconds))}s",
        "-s",
        str(CLIENT_LUA),
    ]
    command += [f"{request.scheme}://127.0.0.1:{port}{request.path}", "--", f"method={request.method}"]
    command += [f"header={name}: {value}" for name, value in request.headers.items()]
    if request.body_bytes:
        command.append(f"body_bytes={request.body_bytes}")
    if request.body:
        command.append(f"body={request.body}")
    if request.targets:
        command.append(f"targets={request.targets}")
    child = lab.spawn("wrk", command, cores)
    text = _finish(lab, child, seconds + GRACE)
    line = next((line for line in text.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise StartError(f"wrk said nothing that is understood: {text[-500:]}")
    raw = json.loads(line.removeprefix("RESULT "))
    return Closed(raw["requests"], raw["seconds"], raw["statuses"], raw["failed"])


def open_loop(
    lab: Lab, port: int, request: Request, *, rate: int, seconds: float, warmup: float, cores: Sequence[int]
) -> dict[str, Any]:
    """Requests at a fixed rate, latency counted from when each was due."""
    child = begin_open_loop(lab, port, request, rate=rate, seconds=seconds, warmup=warmup, cores=cores)
    return finish_open_loop(lab, child, seconds)


def begin_open_loop(
    lab: Lab, port: int, request: Request, *, rate: int, seconds: float, warmup: float, cores: Sequence[int]
) -> Child:
    """The same, still running."""
    command = [
        str(built("openloop")),
        "open",
        "--rate",
        str(rate),
        "--seconds",
        str(seconds + warmup),
        "--warmup",
        str(warmup),
    ]
    command += ["--connections", str(lab.settings.open_connections), *_common(port, request)]
    return lab.spawn("openloop", command, cores)


def begin_streams(
    lab: Lab,
    port: int,
    request: Request,
    *,
    streams: int,
    events: int,
    period: float,
    seconds: float,
    cores: Sequence[int],
) -> Child:
    """So many streams at a time for `seconds`, each begun again after `period`; their events are checked."""
    command = [str(built("openloop")), "streams", "--connections", str(streams), "--events", str(events)]
    command += ["--period", str(period), "--seconds", str(seconds), *_common(port, request)]
    return lab.spawn("openloop", command, cores)


def finish_open_loop(lab: Lab, child: Child, seconds: float) -> dict[str, Any]:
    return _json(_finish(lab, child, seconds + GRACE))


def count_loop(
    lab: Lab,
    port: int,
    request: Request,
    *,
    requests: int,
    connections: int,
    cores: Sequence[int],
    grace: float = 120.0,
) -> dict[str, Any]:
    """Exactly so many requests."""
    command = [str(built("openloop")), "closed", "--requests", str(requests), "--connections", str(connections)]
    child = lab.spawn("openloop", [*command, "--timeout", "60", *_common(port, request)], cores)
    result = _json(_finish(lab, child, grace))
    if result["failed"] or result["answered"] != requests:
        raise StartError(f"{result['failed']} of {requests} requests failed: {result}")
    return result


def finish_words(lab: Lab, child: Child, seconds: float) -> str:
    """What a client said that ran for `seconds`."""
    return _finish(lab, child, seconds + GRACE)


class Idlers:
    """Many connections that have had one answer and now wait."""

    def __init__(self, within: ssl.SSLContext | None = None) -> None:
        self._within = within
        self._sockets: list[socket.socket] = []

    def open(self, port: int, count: int) -> None:
        request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        for _ in range(count):
            opened = socket.create_connection(("127.0.0.1", port), timeout=10)
            if self._within is not None:
                opened = self._within.wrap_socket(opened, server_hostname="bench.test")
            self._sockets.append(opened)
            if not _served(opened, request):
                raise StartError(f"connection {len(self._sockets)} was not served")

    def alive(self, port: int, step: int) -> int:
        """How many of every `step`th connection still answer."""
        request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        return sum(_served(opened, request) for opened in self._sockets[::step])

    def close(self) -> None:
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.close()
        self._sockets.clear()


def _common(port: int, request: Request) -> list[str]:
    words = ["--address", f"127.0.0.1:{port}", "--path", request.path]
    for name, value in request.headers.items():
        words += ["--header", f"{name}: {value}"]
    if request.body_bytes:
        words += ["--body-bytes", str(request.body_bytes)]
    if request.body:
        words += ["--body-file", str(request.body)]
    if request.targets:
        words += ["--targets", str(request.targets)]
    return words


def _finish(lab: Lab, child: Child, seconds: float) -> str:
    try:
        code = child.process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise StartError(f"{child.name} did not end within {seconds:.0f} s: {child.last_words()}") from None
    finally:
        lab.end(child)
    if code != 0:
        raise StartError(f"{child.name} ended with {code}: {child.last_words()}")
    return child.log.read_text()


def _json(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return parsed


def _served(opened: socket.socket, request: bytes) -> bool:
    try:
        opened.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 128:
            part = opened.recv(4096)
            if not part:
                return False
            answer += part
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")
