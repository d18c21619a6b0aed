"""Groups of endpoints: how one is chosen, how long is waited, when it is tried again."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.noun import Many, Noun, about
from tidegate.model.units import Duration, Percent, Size

Some = Annotated[int, Meta(ge=1, le=2**31)]
OrNone = Annotated[int, Meta(ge=0, le=2**31)]


class Endpoint(Noun, frozen=True, kw_only=True):
    """One address that answers."""

    url: Annotated[
        str,
        about(
            "`http://host:port`, `https://host:port` or `unix:/path`; for `tcp` listeners `tcp://host:port`, "
            "`tls://host:port` or `unix:/path`.",
            "http://10.0.0.1:8080",
            "tcp://10.0.0.1:5432",
        ),
    ]
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share, 1 to 1000.")] = 1


class HashBalance(Noun, frozen=True, kw_only=True):
    """The same endpoint for the same key, with bounded load."""

    hash: Annotated[Many, about("What is hashed, as in `limit.key`.", "client_ip")]


class Pool(Noun, frozen=True, kw_only=True):
    """Connections to one endpoint."""

    idle_max: Annotated[OrNone, about("Idle connections that each worker keeps.")] = defaults.POOL_IDLE_MAX
    idle: Annotated[Duration, about("How long one is kept idle.")] = defaults.POOL_IDLE
    lifetime: Annotated[Duration, about("How old one may get; `0` for no bound.")] = "0"
    max_connections: Annotated[OrNone, about("Connections to one endpoint, all workers together; 0 for no bound.")] = 0
    queue_max: Annotated[OrNone, about("Requests that may wait for one; more are answered 503.")] = (
        defaults.POOL_QUEUE_MAX
    )
    queue: Annotated[Duration, about("How long a request may wait for one.")] = defaults.POOL_QUEUE


class PassiveHealth(Noun, frozen=True, kw_only=True):
    """Ejection by what requests saw."""

    failures: Annotated[Some, about("Failures in a row after which an endpoint is left out.")] = defaults.EJECT_FAILURES
    count_5xx: Annotated[
        bool, about("Whether 500, 502, 503 and 504 count as failures, beside those of the connection.")
    ] = False
    eject: Annotated[
        Duration, about("How long it is left out the first time; doubled each time, up to ten times this.")
    ] = defaults.EJECT
    max_percent: Annotated[Percent, about("The most that may be left out at once; one at least always stays.")] = (
        defaults.EJECT_PERCENT
    )


class ActiveHealth(Noun, frozen=True, kw_only=True):
    """Ejection by probes: a connection, or `GET path` where `path` is given."""

    path: Annotated[str | None, about("What is asked; without it a connection is enough.", "/healthz")] = None
    host: Annotated[str | None, about("The Host field; the endpoint's own address unless given.")] = None
    status: Annotated[str, about("Status codes that are good: `200` or `200-399`.")] = "200-399"
    interval: Annotated[Duration, about("Between two probes.")] = defaults.PROBE_INTERVAL
    timeout: Annotated[Duration, about("For one probe.")] = defaults.PROBE_TIMEOUT
    healthy: Annotated[Some, about("Good ones in a row after which it is back.")] = defaults.PROBE_HEALTHY
    unhealthy: Annotated[Some, about("Bad ones in a row after which it is out.")] = defaults.PROBE_UNHEALTHY


class Health(Noun, frozen=True, kw_only=True):
    """When an endpoint is left out."""

    passive: Annotated[PassiveHealth | bool, about("By what requests saw; `off` for never.")] = True
    active: Annotated[ActiveHealth | bool, about("By probes; `on` for a connection every 5s.")] = False


class Timeouts(Noun, frozen=True, kw_only=True):
    """Waiting times towards an upstream; what a route leaves out its upstream decides, then the defaults."""

    connect: Annotated[Duration | None, about("For a connection; 5s unless given.")] = None
    head: Annotated[
        Duration | None,
        about("From the last byte of the request to the response's head; 60s unless given, `0` for no bound."),
    ] = None
    idle: Annotated[
        Duration | None, about("Between two reads or writes of a body; 60s unless given, `0` for no bound.")
    ] = None
    total: Annotated[
        Duration | None,
        about("From the request's head to the response's last byte, all attempts; no bound unless given."),
    ] = None
    tunnel_idle: Annotated[
        Duration | None,
        about("How long a tunnel (WebSocket) may be silent in both directions; `server.tunnel_idle` unless given."),
    ] = None


Reason = Literal["connect", "reset", "timeout", "500", "502", "503", "504", "429"]


class Retry(Noun, frozen=True, kw_only=True):
    """When a failed attempt is followed by another; what a route leaves out its upstream decides, then the defaults."""

    attempts: Annotated[
        Annotated[int, Meta(ge=1, le=16)] | None, about("Attempts in all, 1 to 16; 2 unless given.")
    ] = None
    on: Annotated[
        list[Reason] | None,
        about(
            "What is tried again: `connect` (no connection), `reset` (it ended before the response's first "
            "byte), `timeout`, 500, 502, 503, 504, 429; connect and reset unless given."
        ),
    ] = None
    non_idempotent: Annotated[
        bool | None,
        about(
            "Whether POST and PATCH are tried again after they were sent; off unless given (those never sent "
            "always are)."
        ),
    ] = None
    budget: Annotated[Percent | None, about("Retries as a share of requests over ten seconds; 20% unless given.")] = (
        None
    )
    replay: Annotated[Size | None, about("A body up to this size is kept for another attempt; 64KiB unless given.")] = (
        None
    )


class ClientCertificate(Noun, frozen=True, kw_only=True):
    """What is shown to upstreams that ask for a certificate."""

    cert: Annotated[str, about("A file with the certificate chain in PEM.", "client.pem")]
    key: Annotated[str, about("A file with its key in PEM.", "client.key")]


class Tls(Noun, frozen=True, kw_only=True):
    """How `https://` endpoints are trusted (TLS 1.2 and 1.3)."""

    ca: Annotated[
        str | None, about("A file with the authorities in PEM that are trusted; the system's unless given.")
    ] = None
    server_name: Annotated[
        str | None,
        about("The name that the certificate must bear and that SNI tells; the endpoint's own host unless given."),
    ] = None
    verify: Annotated[bool, about("Whether the certificate is checked; `off` lets anybody listen in.")] = True
    client: Annotated[ClientCertificate | None, about("A certificate of our own, shown on request.")] = None


class Upstream(Noun, frozen=True, kw_only=True):
    """A group of endpoints that serve the same thing."""

    endpoints: Annotated[
        str | list[str | Endpoint], about("Where it answers.", ["http://10.0.0.1:8080", "http://10.0.0.2:8080"])
    ]
    balance: Annotated[
        Literal["least_latency", "least_requests", "round_robin"] | HashBalance, about("How an endpoint is chosen.")
    ] = "least_latency"
    protocol: Annotated[
        Literal["http1", "http2", "auto"],
        about(
            "Which HTTP its endpoints speak: `http1`, `http2` (gRPC needs it; requests share connections), or `auto`: "
            "what they choose in the TLS handshake."
        ),
    ] = "http1"
    tls: Annotated[Tls | None, about("For `https://` endpoints: whom to trust, which name to ask for.")] = None
    proxy_protocol: Annotated[
        Literal["v1", "v2"] | None,
        about("Opens each connection with a PROXY protocol header, which tells the endpoint who the client is."),
    ] = None
    pool: Annotated[Pool, about("Connections that are kept.")] = Pool()
    health: Annotated[Health, about("When an endpoint is left out.")] = Health()
    slow_start: Annotated[
        Duration, about("How long an endpoint that came back takes to get its full share; `0` for at once.")
    ] = defaults.SLOW_START
    timeouts: Annotated[Timeouts, about("For routes that do not say.")] = Timeouts()
    retry: Annotated[Retry | bool, about("For routes that do not say; `off` for never.")] = Retry()
