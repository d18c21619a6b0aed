"""How a listener passes connections on as they are."""

from __future__ import annotations

from typing import Annotated

from tidegate.model import defaults
from tidegate.model.noun import Many, Noun, about
from tidegate.model.units import Duration


class Sni(Noun, frozen=True, kw_only=True):
    """Where TLS clients go that ask for a name."""

    host: Annotated[
        Many,
        about("`a.example.com` or `*.example.com` (one or more labels before it), one or a list.", "a.example.com"),
    ]
    upstream: Annotated[Many, about("The name of an upstream, a URL, or a list of URLs.", "a", "tcp://10.0.0.1:443")]


class TcpTimeouts(Noun, frozen=True, kw_only=True):
    """Waiting times of connections that are passed on."""

    hello: Annotated[Duration, about("For the ClientHello, where `sni` waits for one.")] = defaults.HEAD_TIMEOUT
    idle: Annotated[
        Duration | None,
        about("How long a connection may be silent in both directions; `server.tunnel_idle` unless given."),
    ] = None
