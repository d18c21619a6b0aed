"""Where connections are accepted."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model.noun import Noun, about
from tidegate.model.tls import ListenerTls


class Listener(Noun, frozen=True, kw_only=True):
    """One listening socket."""

    address: Annotated[
        str,
        about(
            "Where: `host:port` (an IP address), `[::]:port`, `:port` (all addresses, IPv4 and IPv6), `unix:/path`.",
            ":8080",
            "127.0.0.1:8080",
            "unix:/run/app.sock",
        ),
    ]
    name: Annotated[
        str | None, about("What logs, metrics and `routes.listeners` call it; the address as written unless given.")
    ] = None
    proxy_protocol: Annotated[
        bool,
        about(
            "Whether every connection opens with a PROXY protocol header (v1 or v2); only those of "
            "`server.trusted_proxies` are taken."
        ),
    ] = False
    http2: Annotated[
        bool, about("Whether HTTP/2 is spoken: offered within TLS, and taken from clients that begin with it.")
    ] = True
    tls: Annotated[ListenerTls | None, about("How its connections are secured; plain unless given.")] = None
    redirect_https: Annotated[
        bool | Annotated[int, Meta(ge=1, le=65535)],
        about("Answers every request by 308 to the same over TLS, at port 443 or this one.", True, 8443),
    ] = False
