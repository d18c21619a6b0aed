"""HTTP to a running process, over its Unix socket."""

import http.client
import socket
from typing import Any, NamedTuple

import msgspec

from tidegate.errors import TidegateError


class Unreachable(TidegateError):
    """Nobody answers there."""


class Answer(NamedTuple):
    """A response."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body's content."""
        return msgspec.json.decode(self.body)

    @property
    def detail(self) -> str:
        """What a problem says in words, else the body as it is."""
        try:
            return str(self.json()["detail"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return self.body.decode("utf-8", "replace").strip()


def ask(path: str, method: str, target: str, *, timeout_s: float = 30, body: bytes | None = None) -> Answer:
    """One request over the Unix socket at `path`; raises Unreachable."""
    return _exchange(_UnixConnection(path, timeout_s), path, method, target, body)


def ask_url(url: str, timeout_s: float) -> Answer:
    """One GET of an `http://` or `unix:` URL; raises Unreachable."""
    if url.startswith("unix:"):
        path, _, target = url.removeprefix("unix:").partition(":")
        return ask(path, "GET", target or "/readyz", timeout_s=timeout_s)
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Unreachable(f"{url} is no http:// URL")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_s)
    target = (parts.path or "/readyz") + (f"?{parts.query}" if parts.query else "")
    return _exchange(connection, url, "GET", target)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _exchange(
    connection: http.client.HTTPConnection, where: str, method: str, target: str, body: bytes | None = None
) -> Answer:
    try:
        connection.request(method, target, body=body, headers={"Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except TimeoutError as error:
        raise Unreachable(f"{where} does not answer in time") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{where} does not answer: {error}") from error
    finally:
        connection.close()
