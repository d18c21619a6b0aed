"""Socket activation without systemd: sockets that a test has bound, handed to a gateway as systemd does."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HAND_IN = """
import fcntl, os, sys
descriptors = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 200) for number in sys.argv[1].split(",")]
for at, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + at)
    os.close(descriptor)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def activation(
    sockets: Sequence[socket.socket], names: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Options of `start`: these sockets are descriptors 3 and up, with their names."""
    told = {"LISTEN_FDS": str(len(sockets)), **(environment or {})}
    if names:
        told["LISTEN_FDNAMES"] = ":".join(names)
    numbers = [sock.fileno() for sock in sockets]
    before = [sys.executable, "-c", _HAND_IN, ",".join(map(str, numbers))]
    return {"before": before, "pass_fds": numbers, "environment": told}


def tcp(family: socket.AddressFamily = socket.AF_INET) -> tuple[socket.socket, str]:
    """A listening socket and its address."""
    sock = socket.create_server(("127.0.0.1" if family == socket.AF_INET else "::1", 0), family=family)
    host, port = sock.getsockname()[:2]
    return sock, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unix(path: Path) -> tuple[socket.socket, str]:
    """The same with a path."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen(100)
    return sock, f"unix:{path}"
