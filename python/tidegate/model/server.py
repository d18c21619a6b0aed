"""What holds for every listener: bounds on heads and bodies, waiting times, what upstreams are told."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model.noun import Many, Noun, about
from tidegate.model.units import Duration, Size

OrNone = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class RequestId(Noun):
    """The request id that is sent upstream and logged."""

    header: Annotated[str, about("The header that carries it.")] = "X-Request-Id"
    trust: Annotated[bool, about("Whether a client's own id is kept.")] = False
    respond: Annotated[bool, about("Whether the response carries it too.")] = False


class Server(Noun):
    """Bounds and manners that all listeners share; each default's reason stands in the documentation of the module."""

    head_bytes: Annotated[Size, about("A request head larger than this is refused with 431.")] = "32KiB"
    head_fields: Annotated[int, Meta(ge=1, le=1000, description="More header lines than this are refused with 431.")] = 100
    head_timeout: Annotated[Duration, about("From the first byte of a request to the end of its head, else 408.")] = "10s"
    body_timeout: Annotated[Duration, about("Between two reads of a request body, else 408.")] = "30s"
    send_timeout: Annotated[Duration, about("Between two writes that the client takes, else the connection is closed.")] = "30s"
    keep_alive: Annotated[Duration, about("How long an idle connection is kept for another request.")] = "75s"
    keep_alive_requests: Annotated[OrNone, about("Requests on one connection before it is closed; 0 for no bound.")] = 0
    tunnel_idle: Annotated[Duration, about("How long a tunnel (WebSocket) may be silent in both directions.")] = "1h"
    drain: Annotated[Duration, about("How long a drain waits for exchanges under way before it cuts them.")] = "30s"
    max_body: Annotated[Size | bool, about("A larger request body is refused with 413, where a route does not say; `off` for no bound.")] = "100MiB"
    max_connections: Annotated[int, Meta(ge=1, le=2**32 - 1, description="Client connections in all workers together; more are refused with 503.")] = 65536
    trusted_proxies: Annotated[Many, about("Peers whose word on the client's address is taken, as addresses and CIDR blocks.", ["10.0.0.0/8"])] = []
    forwarded: Annotated[Literal["x_forwarded", "forwarded", "both", "none"], about("Which headers tell the upstream about the client.")] = "x_forwarded"
    via: Annotated[bool, about("Whether `Via` is added, both ways.")] = False
    request_id: Annotated[RequestId | bool, about("The request id that is sent upstream and logged; `off` sends none.")] = RequestId()
    trace: Annotated[bool, about("Whether a traceparent is made for requests that bring none.")] = False
    server_name: Annotated[str, about("The value of `Server` on the gateway's own answers; empty for none.")] = "tidegate"
    merge_slashes: Annotated[bool, about("Whether `//` in a path counts as `/` for matching.")] = True
    limit_keys: Annotated[int, Meta(ge=1, le=2**31, description="The most keys that each of the limit tables holds.")] = 1_000_000
