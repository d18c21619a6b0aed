"""The compiled configuration, as `rust/plan` decodes it: plain data, every key there, no defaults.

Knows: the shape of a plan and its schema number.
Never: what people write, which value is a good one.

Times are milliseconds and sizes bytes. `rust/plan/src` says what each key means; the names are the same.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidegate.plan_ai import Ai as Ai  # noqa: PLC0414 — a name of this page too
from tidegate.plan_ai import AiRoute as AiRoute  # noqa: PLC0414 — a name of this page too
from tidegate.plan_cache import CacheStore as CacheStore  # noqa: PLC0414 — a name of this page too
from tidegate.plan_cache import RouteCache as RouteCache  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import Access as Access  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import Part as Part  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import Capture as Capture  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import CookieValue as CookieValue  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import HeaderValue as HeaderValue  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import QueryValue as QueryValue  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import Template as Template  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import TemplatePart as TemplatePart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import Text as Text  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ValueAbsent as ValueAbsent  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ValueExact as ValueExact  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ValueMatch as ValueMatch  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ValuePresent as ValuePresent  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ValueRegex as ValueRegex  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ValueTest as ValueTest  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import Variable as Variable  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import VariableName as VariableName  # noqa: PLC0414 — a name of this page too

SCHEMA = 1
"""The schema of the plans that are lowered; the engine refuses any other."""


class AddressIp(Part, tag_field="kind", tag="ip", frozen=True, kw_only=True):
    """A literal IP address, `ip` without brackets."""

    ip: str
    port: int


class AddressName(Part, tag_field="kind", tag="name", frozen=True, kw_only=True):
    """A host name (endpoints only)."""

    host: str
    port: int


class AddressUnix(Part, tag_field="kind", tag="unix", frozen=True, kw_only=True):
    """A Unix stream socket."""

    path: str


Address = AddressIp | AddressName | AddressUnix


class RequestId(Part, frozen=True, kw_only=True):
    """The request id that is sent upstream and logged."""

    header: str
    trust: bool
    respond: bool


class MemoryOff(Part, tag_field="kind", tag="off", frozen=True, kw_only=True):
    """Nobody looks."""


class MemoryShare(Part, tag_field="kind", tag="share", frozen=True, kw_only=True):
    """A share of what the machine gives."""

    percent: int


class MemoryBytes(Part, tag_field="kind", tag="bytes", frozen=True, kw_only=True):
    """So much."""

    bytes: int


class Abuse(Part, frozen=True, kw_only=True):
    """What clients may cost."""

    min_body_rate: int
    min_send_rate: int
    rate_grace_ms: int
    connections_per_client: int
    memory: MemoryOff | MemoryShare | MemoryBytes


class Server(Part, frozen=True, kw_only=True):
    """Bounds and manners that all listeners share."""

    head_bytes: int
    head_fields: int
    handshake_timeout_ms: int
    head_timeout_ms: int
    body_timeout_ms: int
    send_timeout_ms: int
    keep_alive_ms: int
    keep_alive_requests: int
    max_streams: int
    tunnel_idle_ms: int
    drain_ms: int
    max_connections: int
    trusted_proxies: list[str]
    forwarded: Literal["x_forwarded", "forwarded", "both", "none"]
    via: bool
    request_id: RequestId
    trace: bool
    server_name: str
    merge_slashes: bool
    limit_keys: int
    abuse: Abuse


class Certificate(Part, frozen=True, kw_only=True):
    """A certificate with its chain and its key."""

    name: str
    names: list[str]
    chain: str
    key: str
    ocsp: str
    not_after_s: int

    def __repr__(self) -> str:
        return f"Certificate({self.name}, names={self.names})"  # the key is for nobody's eyes


class ClientCertificates(Part, frozen=True, kw_only=True):
    """Certificates of clients."""

    ca: str
    required: bool


class ListenerTls(Part, frozen=True, kw_only=True):
    """TLS on a listener."""

    certificates: list[Certificate]
    unknown_name: Literal["first", "refuse"]
    client: ClientCertificates | None
    profile: Literal["modern", "intermediate"]
    tickets_s: int
    hsts: str


class Listener(Part, frozen=True, kw_only=True):
    """One listening socket."""

    name: str
    address: Address
    proxy_protocol: bool
    http2: bool
    admin: bool
    tls: ListenerTls | None


class PathPrefix(Part, tag_field="kind", tag="prefix", frozen=True, kw_only=True):
    """By whole segments."""

    value: str


class PathExact(Part, tag_field="kind", tag="exact", frozen=True, kw_only=True):
    """The whole path."""

    value: str


class PathRegex(Part, tag_field="kind", tag="regex", frozen=True, kw_only=True):
    """Unanchored."""

    value: str


PathMatch = PathPrefix | PathExact | PathRegex


class Matches(Part, frozen=True, kw_only=True):
    """The conditions of a route."""

    hosts: list[str]
    path: PathMatch
    methods: list[str]
    headers: list[ValueMatch]
    query: list[ValueMatch]


class KeyHeader(Part, tag_field="kind", tag="header", frozen=True, kw_only=True):
    """A field whose whole value is the key."""

    name: str


class KeyBearer(Part, tag_field="kind", tag="bearer", frozen=True, kw_only=True):
    """`Authorization: Bearer KEY`."""


class KeyQuery(Part, tag_field="kind", tag="query", frozen=True, kw_only=True):
    """A query parameter."""

    name: str


KeySource = KeyHeader | KeyBearer | KeyQuery


class ApiKey(Part, frozen=True, kw_only=True):
    """One key."""

    name: str
    sha256: str


class ApiKeys(Part, tag_field="kind", tag="api_keys", frozen=True, kw_only=True):
    """API keys, by hash."""

    source: KeySource
    keys: list[ApiKey]
    strip: bool


class BasicUser(Part, frozen=True, kw_only=True):
    """One user."""

    name: str
    sha256: str


class Basic(Part, tag_field="kind", tag="basic", frozen=True, kw_only=True):
    """Names and passwords, by hash."""

    realm: str
    users: list[BasicUser]
    strip: bool


Auth = ApiKeys | Basic


class RewritePrefix(Part, tag_field="kind", tag="prefix", frozen=True, kw_only=True):
    """The part that the route's prefix matched is replaced."""

    with_: str = msgspec.field(name="with")


class RewriteTemplate(Part, tag_field="kind", tag="template", frozen=True, kw_only=True):
    """The whole path."""

    template: Template


class RewriteRegex(Part, tag_field="kind", tag="regex", frozen=True, kw_only=True):
    """Every place where the pattern is found."""

    pattern: str
    with_: str = msgspec.field(name="with")


PathRewrite = RewritePrefix | RewriteTemplate | RewriteRegex


class Rewrite(Part, frozen=True, kw_only=True):
    """What the upstream gets instead of the request's own target and host."""

    path: PathRewrite | None
    host: Template | None
    query: Template | None


class HeaderEdit(Part, frozen=True, kw_only=True):
    """One edit of a head's fields."""

    kind: Literal["set", "add", "remove"]
    name: str
    value: Template


class Timeouts(Part, frozen=True, kw_only=True):
    """Waiting times towards an upstream; 0 for no bound."""

    connect_ms: int
    head_ms: int
    idle_ms: int
    total_ms: int


RetryReason = Literal["connect", "reset", "timeout", "500", "502", "503", "504", "429"]


class Retry(Part, frozen=True, kw_only=True):
    """When a failed attempt is followed by another."""

    attempts: int
    on: list[RetryReason]
    non_idempotent: bool
    budget_percent: int
    replay_bytes: int


class Forward(Part, tag_field="kind", tag="forward", frozen=True, kw_only=True):
    """An upstream answers."""

    upstream: int


class Redirect(Part, tag_field="kind", tag="redirect", frozen=True, kw_only=True):
    """A redirect."""

    status: int
    location: Template


class Respond(Part, tag_field="kind", tag="respond", frozen=True, kw_only=True):
    """A fixed response."""

    status: int
    content_type: str
    body: Template


class Builtin(Part, tag_field="kind", tag="builtin", frozen=True, kw_only=True):
    """Something that the engine itself knows."""

    name: Literal["healthz", "readyz", "metrics", "not_found"]


class Https(Part, tag_field="kind", tag="https", frozen=True, kw_only=True):
    """The same over TLS."""

    port: int


class HookAction(Part, tag_field="kind", tag="hook", frozen=True, kw_only=True):
    """The route's hook answers."""


Action = Forward | Redirect | Respond | Https | Builtin | AiRoute | HookAction


class Route(Part, frozen=True, kw_only=True):
    """One route: conditions, stages, action."""

    name: str
    listeners: list[int]
    matches: Matches
    access: Access | None
    auth: Auth | None
    limits: list[int]
    concurrency: list[int]
    hook: int | None
    body_bytes: int | None
    rewrite: Rewrite | None
    request_headers: list[HeaderEdit]
    response_headers: list[HeaderEdit]
    timeouts: Timeouts
    retry: Retry
    cache: RouteCache | None
    access_log: bool
    action: Action


class ClientIpPart(Part, tag_field="kind", tag="client_ip", frozen=True, kw_only=True):
    """The client's address."""


class HeaderPart(Part, tag_field="kind", tag="header", frozen=True, kw_only=True):
    """A request field."""

    name: str


class CookiePart(Part, tag_field="kind", tag="cookie", frozen=True, kw_only=True):
    """A cookie."""

    name: str


class ApiKeyPart(Part, tag_field="kind", tag="api_key", frozen=True, kw_only=True):
    """The name of the key or user."""


class PathPart(Part, tag_field="kind", tag="path", frozen=True, kw_only=True):
    """The normalised path."""


class HostPart(Part, tag_field="kind", tag="host", frozen=True, kw_only=True):
    """The host."""


class RoutePart(Part, tag_field="kind", tag="route", frozen=True, kw_only=True):
    """The route."""


KeyPart = ClientIpPart | HeaderPart | CookiePart | ApiKeyPart | PathPart | HostPart | RoutePart


class Rate(Part, frozen=True, kw_only=True):
    """`tokens` every `per_ms`."""

    tokens: int
    per_ms: int


class Limit(Part, frozen=True, kw_only=True):
    """A token bucket for each value of a key."""

    name: str
    key: list[KeyPart]
    rate: Rate
    burst: int
    cost: int
    delay_ms: int


class Concurrency(Part, frozen=True, kw_only=True):
    """A cap on requests in flight for each value of a key."""

    name: str
    key: list[KeyPart]
    max: int


class Endpoint(Part, frozen=True, kw_only=True):
    """One address that answers."""

    address: Address
    weight: int
    authority: str


class RoundRobin(Part, tag_field="kind", tag="round_robin", frozen=True, kw_only=True):
    """Smooth weighted round robin."""


class LeastRequests(Part, tag_field="kind", tag="least_requests", frozen=True, kw_only=True):
    """The fewest in flight by weight."""


class LeastLatency(Part, tag_field="kind", tag="least_latency", frozen=True, kw_only=True):
    """The better of two random ones by latency times in flight."""


class Hash(Part, tag_field="kind", tag="hash", frozen=True, kw_only=True):
    """The same endpoint for the same key."""

    key: list[KeyPart]


Balance = RoundRobin | LeastRequests | LeastLatency | Hash


class Pool(Part, frozen=True, kw_only=True):
    """Connections to one endpoint."""

    idle_max: int
    idle_ms: int
    lifetime_ms: int
    max_connections: int
    queue_max: int
    queue_ms: int


class PassiveHealth(Part, frozen=True, kw_only=True):
    """Ejection by what requests saw."""

    failures: int
    count_5xx: bool
    eject_ms: int
    max_percent: int


class TcpProbe(Part, tag_field="kind", tag="tcp", frozen=True, kw_only=True):
    """A connection."""


class HttpProbe(Part, tag_field="kind", tag="http", frozen=True, kw_only=True):
    """`GET path`."""

    path: str
    host: str
    status: tuple[int, int]


HealthProbe = TcpProbe | HttpProbe


class ActiveHealth(Part, frozen=True, kw_only=True):
    """Ejection by probes."""

    probe: HealthProbe
    interval_ms: int
    timeout_ms: int
    healthy: int
    unhealthy: int


class UpstreamTls(Part, frozen=True, kw_only=True):
    """TLS towards an upstream."""

    server_name: str
    ca: str
    verify: bool
    client: tuple[str, str] | None


class Upstream(Part, frozen=True, kw_only=True):
    """A group of endpoints that serve the same thing."""

    name: str
    endpoints: list[Endpoint]
    balance: Balance
    protocol: Literal["http1", "http2", "auto"]
    tls: UpstreamTls | None
    pool: Pool
    passive: PassiveHealth | None
    active: ActiveHealth | None
    slow_start_ms: int


class Hook(Part, frozen=True, kw_only=True):
    """A Python function that routes call."""

    name: str
    timeout_ms: int
    body: bool
    body_bytes: int
    on_failure: Literal["allow", "refuse"]


class CombinedFormat(Part, tag_field="kind", tag="combined", frozen=True, kw_only=True):
    """nginx's `combined`."""


class JsonFormat(Part, tag_field="kind", tag="json", frozen=True, kw_only=True):
    """One JSON object a line."""


class TemplateFormat(Part, tag_field="kind", tag="template", frozen=True, kw_only=True):
    """A template."""

    template: Template


LogFormat = CombinedFormat | JsonFormat | TemplateFormat


class FileSink(Part, tag_field="kind", tag="file", frozen=True, kw_only=True):
    """A file, absolute."""

    path: str


class StdoutSink(Part, tag_field="kind", tag="stdout", frozen=True, kw_only=True):
    """Standard output."""


class SyslogSink(Part, tag_field="kind", tag="syslog", frozen=True, kw_only=True):
    """RFC 5424."""

    address: Address
    facility: int
    tag: str


LogSink = FileSink | StdoutSink | SyslogSink


class AccessLog(Part, frozen=True, kw_only=True):
    """One line a request."""

    format: LogFormat
    sink: LogSink
    buffer_bytes: int
    flush_ms: int


class Plan(Part, frozen=True, kw_only=True):
    """Everything that the engine runs."""

    schema: int
    server: Server
    listeners: list[Listener]
    routes: list[Route]
    upstreams: list[Upstream]
    limits: list[Limit]
    concurrency: list[Concurrency]
    hooks: list[Hook]
    access_log: AccessLog | None
    ai: Ai | None
    cache: CacheStore | None


def encode(plan: Plan) -> bytes:
    """The plan as the engine takes it."""
    return msgspec.json.encode(plan)


def decode(data: bytes) -> Plan:
    """The plan of those bytes; raises `msgspec.ValidationError` with a path where they are none."""
    return msgspec.json.decode(data, type=Plan)
