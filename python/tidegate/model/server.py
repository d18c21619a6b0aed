"""What holds for every listener: bounds on heads and bodies, waiting times, what upstreams are told."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.noun import Many, Noun, about
from tidegate.model.units import Duration, Size

OrNone = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class RequestId(Noun, frozen=True, kw_only=True):
    """The request id that is sent upstream and logged."""

    header: Annotated[str, about("The header that carries it.")] = "X-Request-Id"
    trust: Annotated[bool, about("Whether a client's own id is kept.")] = False
    respond: Annotated[bool, about("Whether the response carries it too.")] = False


class LoopGuard(Noun, frozen=True, kw_only=True):
    """How requests are known that come back to where they were: by a name in a header of what is forwarded."""

    id: Annotated[
        str | None,
        about("What this gateway is called there; a name that each process makes up unless given.", "edge-1"),
    ] = None
    field: Annotated[
        Literal["cdn_loop", "via"], about("The header that carries it: `CDN-Loop` (RFC 8586) or `Via`.")
    ] = "cdn_loop"
    most: Annotated[
        int, Meta(ge=0, le=100, description="A request that passed this gateway more often than this is answered 508.")
    ] = defaults.LOOP_MOST


class Server(Noun, frozen=True, kw_only=True):
    """Bounds and manners that all listeners share; why each default is what it is, `model.defaults` says."""

    head_bytes: Annotated[Size, about("A request head larger than this is refused with 431.")] = defaults.HEAD_BYTES
    head_fields: Annotated[
        int, Meta(ge=1, le=1000, description="More header lines than this are refused with 431.")
    ] = defaults.HEAD_FIELDS
    handshake_timeout: Annotated[
        Duration, about("From a connection to the end of its TLS handshake, else it is closed.")
    ] = defaults.HANDSHAKE_TIMEOUT
    head_timeout: Annotated[Duration, about("From the first byte of a request to the end of its head, else 408.")] = (
        defaults.HEAD_TIMEOUT
    )
    body_timeout: Annotated[Duration, about("Between two reads of a request body, else 408.")] = defaults.BODY_TIMEOUT
    send_timeout: Annotated[
        Duration, about("Between two writes that the client takes, else the connection is closed.")
    ] = defaults.SEND_TIMEOUT
    keep_alive: Annotated[Duration, about("How long an idle connection is kept for another request.")] = (
        defaults.KEEP_ALIVE
    )
    keep_alive_requests: Annotated[OrNone, about("Requests on one connection before it is closed; 0 for no bound.")] = (
        defaults.KEEP_ALIVE_REQUESTS
    )
    max_streams: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)], about("Streams that an HTTP/2 connection may have open at once.")
    ] = defaults.MAX_STREAMS
    tunnel_idle: Annotated[Duration, about("How long a tunnel (WebSocket) may be silent in both directions.")] = (
        defaults.TUNNEL_IDLE
    )
    drain: Annotated[Duration, about("How long a drain waits for exchanges under way before it cuts them.")] = (
        defaults.DRAIN
    )
    max_body: Annotated[
        Size | bool, about("A larger request body is refused with 413, where a route does not say; `off` for no bound.")
    ] = defaults.MAX_BODY
    max_connections: Annotated[
        int,
        Meta(ge=1, le=2**32 - 1, description="Client connections in all workers together; more are refused with 503."),
    ] = defaults.MAX_CONNECTIONS
    connections_per_client: Annotated[
        OrNone, about("Connections of one client address (IPv6: of one /64), else 429; 0 for no bound of its own.")
    ] = defaults.CONNECTIONS_PER_CLIENT
    min_body_rate: Annotated[
        Size | bool,
        about("Bytes a second that a request body must come with while it is waited for, else 408; `off` for none."),
    ] = defaults.MIN_BODY_RATE
    min_send_rate: Annotated[
        Size | bool,
        about("Bytes a second that a client must take of what waits for it, else it is cut off; `off` for none."),
    ] = defaults.MIN_SEND_RATE
    rate_grace: Annotated[Duration, about("How long a client may be slower than that while it is waited for.")] = (
        defaults.RATE_GRACE
    )
    memory: Annotated[
        str | bool,
        about(
            "What the process may take before it gives up serving somebody: a size, or a share of the machine's "
            "(its control group's) memory; `off` looks at nothing.",
            ["90%", "2GiB"],
        ),
    ] = defaults.MEMORY
    trusted_proxies: Annotated[
        Many, about("Peers whose word on the client's address is taken, as addresses and CIDR blocks.", ["10.0.0.0/8"])
    ] = []
    forwarded: Annotated[
        Literal["x_forwarded", "forwarded", "both", "none"], about("Which headers tell the upstream about the client.")
    ] = "x_forwarded"
    via: Annotated[bool, about("Whether `Via` is added, both ways.")] = False
    loop_guard: Annotated[
        LoopGuard | bool, about("How requests are known that come back; `off`: they are not, and no header is added.")
    ] = True
    request_id: Annotated[
        RequestId | bool, about("The request id that is sent upstream and logged; `off` sends none.")
    ] = RequestId()
    trace: Annotated[bool, about("Whether a traceparent is made for requests that bring none.")] = False
    server_name: Annotated[str, about("The value of `Server` on the gateway's own answers; empty for none.")] = (
        "tidegate"
    )
    merge_slashes: Annotated[bool, about("Whether `//` in a path counts as `/` for matching.")] = True
    limit_keys: Annotated[
        int, Meta(ge=1, le=2**31, description="The most keys that each of the limit tables holds.")
    ] = defaults.LIMIT_KEYS
