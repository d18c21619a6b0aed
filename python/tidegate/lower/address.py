"""Addresses: where listeners bind, where endpoints answer, which peers are meant."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tidegate import plan

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["NOWHERE", "authority", "bind", "cidr", "endpoint", "is_secure", "is_stream", "show"]

_PORTED = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:/]*)):(\d{1,6})")
_URL = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<authority>[^/?#]*)(?P<rest>[/?#].*)?", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
NOWHERE = plan.AddressIp(ip="0.0.0.0", port=0)  # noqa: S104 — nothing is bound
"""Stands for an address that was wrong and has been told; a plan with one is never made."""

_UNIX_MAX = 107
"""sockaddr_un holds 108 bytes with the final NUL."""


def bind(text: str, path: Path, work: Work) -> plan.Address:
    """Where a listener binds: `host:port`, `[::]:port`, `:port` (all addresses, v4 and v6), `unix:/path`."""
    if text.startswith("unix:"):
        return _unix(text[5:], path, work)
    right = "write `127.0.0.1:8080`, `[::1]:8080`, `:8080` or `unix:/path`"
    if "://" in text:
        bare = text.split("://", 1)[1].split("/", 1)[0]
        work.error(path, f"`{text}` is a URL, a listener has an address", f"write `{bare}`")
        return NOWHERE
    found = _PORTED.fullmatch(text)
    if not found:
        if text.isdecimal():
            right = f"write `:{text}` for all addresses, or `127.0.0.1:{text}`"
        elif text and ":" not in text:
            right = f"write `{text}:8080`"
        elif text.count(":") > 2 and "[" not in text:
            right = "write `[{}]:{}`".format(*text.rsplit(":", 1))
        work.error(path, f"`{text}` is not an address to listen on", right)
        return NOWHERE
    host, port = found[1] or found[2], int(found[3])
    if port > 65535:
        work.error(path, f"there is no port {port}", "write 1 to 65535, or 0 to let the system choose")
        return NOWHERE
    if host == "":
        return plan.AddressIp(ip="::", port=port)
    if host == "localhost":
        return plan.AddressIp(ip="127.0.0.1", port=port)
    ip = _ip(host)
    if ip is None:
        right = f"write `:{port}`" if host == "*" else f"write the IP address of {host}, or `:{port}` for all"
        work.error(path, f"`{host}` is not an IP address of this machine", right)
        return NOWHERE
    return plan.AddressIp(ip=ip, port=port)


def endpoint(text: str, path: Path, work: Work) -> plan.Address:
    """Where an endpoint answers: `http://host:port`, `https://…`, `tcp://…`, `tls://…` or `unix:/path`."""
    if text.startswith("unix:"):
        return _unix(text[5:], path, work)
    found = _URL.fullmatch(text)
    scheme = found["scheme"] if found else None
    if not found or scheme is None:
        port = text.removeprefix(":")
        meant = f"127.0.0.1:{port}" if port.isdecimal() else text or "HOST:PORT"
        work.error(path, f"`{text}` is not a URL", f"write `http://{meant}`")
        return NOWHERE
    where, rest = found["authority"], found["rest"] or ""
    if scheme.lower() not in ("http", "https", "tcp", "tls"):
        right = f"write `http://{where}`, `https://{where}` or `unix:/path`"
        work.error(path, f"`{scheme}://` is not spoken to upstreams", right)
        return NOWHERE
    if where.startswith("unix:") or where == "unix":
        socket = where.removeprefix("unix").removeprefix(":") + rest
        work.error(path, "a socket has no `http://` before it", f"write `unix:{socket if socket != '/' else '/path'}`")
        return NOWHERE
    if "@" in where:
        bare = where.rsplit("@", 1)[1]
        if is_stream(text):
            work.error(path, "a name and a password do not belong into this URL", f"write `{scheme}://{bare}`")
            return NOWHERE
        right = f"write `{scheme}://{bare}` and set the Authorization header by `headers: {{request: {{set: …}}}}`"
        work.error(path, "a name and a password do not belong into this URL", right)
        return NOWHERE
    if rest not in ("", "/"):
        prefix = rest.split("?")[0].rstrip("/") or "/"
        right = f"write `{scheme}://{where}`"
        if not is_stream(text):
            right = f"write `{scheme}://{where}` and, in the route, `rewrite: {{prefix: {prefix}}}`"
        work.error(path, f"an endpoint has no path, this one has `{rest}`", right)
        return NOWHERE
    return _host_port(where, text, path, work)


def is_secure(text: str) -> bool:
    """Whether an endpoint is spoken to by TLS."""
    return text[:8].lower() == "https://" or text[:6].lower() == "tls://"


def is_stream(text: str) -> bool:
    """Whether an endpoint takes whatever a tcp listener passes on, instead of HTTP."""
    return text[:6].lower() in ("tcp://", "tls://")


def _host_port(where: str, text: str, path: Path, work: Work) -> plan.Address:
    port_of_scheme = 443 if is_secure(text) else 80
    if is_stream(text) and not re.search(r":\d+$", where):
        work.error(path, f"`{text}` has no port", f"write `{text.rstrip('/')}:PORT`")
        return NOWHERE
    with_port = _PORTED.fullmatch(where if re.search(r":\d+$", where) else f"{where}:{port_of_scheme}")
    host = (with_port[1] or with_port[2]) if with_port else ""
    if not with_port or not host:
        work.error(path, f"`{text}` has no proper host and port", "write `http://HOST:PORT`")
        return NOWHERE
    port = int(with_port[3])
    if not 1 <= port <= 65535:
        work.error(path, f"there is no port {port}", "write 1 to 65535")
        return NOWHERE
    ip = _ip(host)
    if ip is not None:
        return plan.AddressIp(ip=ip, port=port)
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():
        work.error(path, f"`{host}` is neither a host name nor an IP address", "write `http://HOST:PORT`")
        return NOWHERE
    return plan.AddressName(host=host.lower(), port=port)


def authority(address: plan.Address, *, secure: bool = False) -> str:
    """The Host field of an address: without port where that is the scheme's."""
    if isinstance(address, plan.AddressUnix):
        return "localhost"
    host = address.host if isinstance(address, plan.AddressName) else address.ip
    host = f"[{host}]" if ":" in host else host
    return host if address.port == (443 if secure else 80) else f"{host}:{address.port}"


def show(address: plan.Address) -> str:
    """An address for people: `127.0.0.1:80`, `[::1]:80`, `unix:/path`."""
    if isinstance(address, plan.AddressUnix):
        return f"unix:{address.path}"
    host = address.host if isinstance(address, plan.AddressName) else address.ip
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def cidr(text: str, path: Path, work: Work) -> str | None:
    """A CIDR block in its canonical form; a single address becomes a block of one. None where it was wrong."""
    import ipaddress

    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        try:
            right = f"write `{ipaddress.ip_network(text, strict=False)}`"
            what = f"`{text}` has bits set behind its mask"
        except ValueError:
            what, right = (
                f"`{text}` is not an address or CIDR block",
                "write `10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`",
            )
        work.error(path, what, right)
        return None


def _unix(name: str, path: Path, work: Work) -> plan.Address:
    if not name:
        work.error(path, "`unix:` names no socket", "write `unix:/run/app.sock`")
        return NOWHERE
    whole = os.path.normpath(os.path.join(work.where.directory(path), name))
    if len(os.fsencode(whole)) > _UNIX_MAX:
        work.error(path, f"`{whole}` is longer than a socket's path may be", f"use at most {_UNIX_MAX} bytes")
    return plan.AddressUnix(path=whole)


def _ip(text: str) -> str | None:
    import ipaddress

    if not text[:1].isalnum() and text[:1] != ":":
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
