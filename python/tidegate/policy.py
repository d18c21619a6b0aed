"""What a hook is given and what it may say: a request, and a decision."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tidegate.ports import Call

Fields = Mapping[str, str] | Iterable[tuple[str, str]]

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_NOT_IN_A_VALUE: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5
_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; older Pythons know them by older names."""
_OURS: Final = frozenset(
    (
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""What frames a message or addresses it is the gateway's to write."""


class Decision(msgspec.Struct, frozen=True):
    """A hook's word. `refuse`, `answer` and `modify` make one; `None` in its place lets the request pass."""

    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    upstream: str | None = None
    status: int | None = None
    response_headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None  # with a status, None has the gateway write application/problem+json
    reason: str | None = None


def refuse(status: int = 403, message: str | None = None, headers: Fields = ()) -> Decision:
    """Refuses the request with `application/problem+json`; the message is its detail, and the log's reason."""
    if not 400 <= status <= 599:
        raise ValueError(f"{status} does not refuse; use 400 to 599, or answer()")
    return Decision(status=status, response_headers=_pairs(headers), reason=message)


def answer(status: int = 200, body: Any = b"", headers: Fields = ()) -> Decision:
    """Answers in the upstream's place: bytes as they are, text as UTF-8, anything else as JSON.

    The content type follows the body (none for bytes) unless `headers` names one.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is no final status; use 200 to 599")
    fields = _pairs(headers)
    kind = None
    if isinstance(body, str):
        kind, body = "text/plain; charset=utf-8", body.encode()
    elif not isinstance(body, bytes):
        kind, body = "application/json", json.dumps(body, separators=(",", ":")).encode()
    if kind is not None and not any(name.lower() == "content-type" for name, _ in fields):
        fields = (("Content-Type", kind), *fields)
    return Decision(status=status, response_headers=fields, body=body)


def modify(*, set_headers: Fields = (), remove_headers: Iterable[str] = (), upstream: str | None = None) -> Decision:
    """Lets the request go on, changed: request headers set or removed, another upstream of the configuration."""
    if isinstance(remove_headers, str):
        raise TypeError("remove_headers is a list of names, not one name")
    return Decision(
        set_headers=_pairs(set_headers), remove_headers=tuple(map(_name, remove_headers)), upstream=upstream
    )


def problem(status: int, reason: str, detail: str, request_id: str) -> bytes:
    """The body of a refusal (RFC 9457), with the keys that the engine's own have."""
    title = _TITLES.get(status) or (HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "")
    told = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "reason": reason,
        "detail": detail,
        "request_id": request_id,
    }
    return msgspec.json.encode(told) + b"\n"


class Headers(Mapping[str, str]):
    """Request headers by name in any case; of a repeated one the first value, `getall` gives them all."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __getitem__(self, name: str) -> str:
        wanted = name.lower()
        for key, value in self._pairs:
            if key.lower() == wanted:
                return value
        raise KeyError(name)

    def getall(self, name: str) -> list[str]:
        """Every value of that name, in the order they came."""
        wanted = name.lower()
        return [value for key, value in self._pairs if key.lower() == wanted]

    def items_as_sent(self) -> list[tuple[str, str]]:
        """Names and values as the client sent them, repeated ones too."""
        return list(self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.lower() for key, _ in self._pairs))

    def __len__(self) -> int:
        return len({key.lower() for key, _ in self._pairs})

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"  # names only: values carry secrets


class Request:
    """A request as a hook sees it: read only, and each part is fetched when it is first asked for."""

    __slots__ = ("_call", "_headers")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._headers: Headers | None = None

    @property
    def method(self) -> str:
        """As sent: `GET`."""
        return self._call.method

    @property
    def target(self) -> str:
        """As sent: `/a%20b?c=d`."""
        return self._call.target

    @property
    def path(self) -> str:
        """The normalised path, which routes are matched on."""
        return self._call.path

    @property
    def query(self) -> str:
        """Without `?`; empty for none."""
        return self._call.query

    @property
    def host(self) -> str:
        """Lower case, without port."""
        return self._call.host

    @property
    def scheme(self) -> str:
        """`http` or `https`, as trusted proxies tell it."""
        return self._call.scheme

    @property
    def tls_version(self) -> str:
        """`TLSv1.3`; this and the next five are empty where the connection is plain."""
        return self._call.tls_version

    @property
    def tls_cipher(self) -> str:
        """The suite: `TLS_AES_128_GCM_SHA256`."""
        return self._call.tls_cipher

    @property
    def tls_client_subject(self) -> str:
        """The subject of the client's certificate (RFC 4514), which has been checked; empty where it has shown none."""
        return self._call.tls_client_subject

    @property
    def tls_client_san(self) -> str:
        """The alternative names of the client's certificate: `DNS:a.example.com,URI:spiffe://a`."""
        return self._call.tls_client_san

    @property
    def tls_client_verified(self) -> str:
        """`success` where the client has shown a certificate, else `none`."""
        return self._call.tls_client_verified

    @property
    def sni(self) -> str:
        """The name that the client asked for in its TLS handshake."""
        return self._call.sni

    @property
    def client_ip(self) -> str:
        """The client's address, as trusted proxies tell it."""
        return self._call.client_ip

    @property
    def request_id(self) -> str:
        """As the log and the upstream know it."""
        return self._call.request_id

    @property
    def route(self) -> str:
        """The name of the route that matched."""
        return self._call.route

    @property
    def listener(self) -> str:
        """The name of the listener that took the connection."""
        return self._call.listener

    @property
    def user(self) -> str:
        """The name of the API key or user that came in; empty for none."""
        return self._call.user

    @property
    def about(self) -> str:
        """What Tidegate itself asks for; empty for a route's hook."""
        return self._call.about

    @property
    def headers(self) -> Headers:
        """All headers."""
        if self._headers is None:
            self._headers = Headers(self._call.headers)
        return self._headers

    def header(self, name: str, default: str | None = None) -> str | None:
        """One header's first value: cheaper than `headers` where one is all that is needed."""
        value = self._call.header(name)
        return default if value is None else value

    @property
    def body(self) -> bytes | None:
        """The whole body where the configuration asks for it (`body: true`), else `None`."""
        return self._call.body

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} {self.request_id}>"


def _pairs(fields: Fields) -> tuple[tuple[str, str], ...]:
    items = fields.items() if isinstance(fields, Mapping) else fields
    return tuple((_name(name), _value(name, value)) for name, value in items)


def _name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no header name")
    if name.lower() in _OURS:
        raise ValueError(f"{name} is the gateway's to write; `rewrite.host` in the configuration changes the Host")
    return name


def _value(name: str, value: object) -> str:
    text = str(value)
    if _NOT_IN_A_VALUE.search(text):
        raise ValueError(f"the value of {name} has control characters in it")
    return text
