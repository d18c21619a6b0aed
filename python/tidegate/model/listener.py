"""Where connections are accepted."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model.auth import Access
from tidegate.model.limit import Concurrency, Limit
from tidegate.model.noun import Many, Noun, about
from tidegate.model.tcp import Sni, TcpTimeouts
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
    protocol: Annotated[
        Literal["http", "tcp"], about("`tcp` passes connections on as they are, without a look at what is said.")
    ] = "http"
    upstream: Annotated[
        Many | None,
        about(
            "Where connections go (`protocol: tcp`), with `sni` those that no name matches: the name of an upstream, "
            "a URL, or a list of URLs.",
            "db",
            "tcp://10.0.0.1:5432",
        ),
    ] = None
    sni: Annotated[
        list[Sni], about("Where TLS connections go by the name that the client asks for; TLS is not ended here.")
    ] = []
    access: Annotated[Access | None, about("Who may connect by address (`protocol: tcp`).")] = None
    limit: Annotated[
        Limit | list[Limit],
        about("Token buckets for new connections (`protocol: tcp`), by `client_ip`, `host` (the SNI) or `route`."),
    ] = []
    concurrency: Annotated[
        Concurrency | list[Concurrency], about("Caps on open connections (`protocol: tcp`), counted as in `limit`.")
    ] = []
    max_connections: Annotated[
        int,
        Meta(ge=0, le=2**31, description="Open connections of this listener (`protocol: tcp`); 0 for no bound."),
    ] = 0
    timeouts: Annotated[TcpTimeouts, about("Waiting times (`protocol: tcp`).")] = TcpTimeouts()
    access_log: Annotated[bool, about("Whether its connections are logged (`protocol: tcp`).")] = True
