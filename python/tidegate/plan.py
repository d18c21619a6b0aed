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
from tidegate.plan_auth import Any as Any  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import ApiKey as ApiKey  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import ApiKeys as ApiKeys  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import Auth as Auth  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import AuthForward as AuthForward  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import Basic as Basic  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import BasicUser as BasicUser  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import ClaimHeader as ClaimHeader  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import ForwardCache as ForwardCache  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import Jwt as Jwt  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeyBearer as KeyBearer  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeyCookie as KeyCookie  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeyFetch as KeyFetch  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeyHeader as KeyHeader  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeyQuery as KeyQuery  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeySet as KeySet  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import KeySource as KeySource  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import Oidc as Oidc  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import OidcProvider as OidcProvider  # noqa: PLC0414 — a name of this page too
from tidegate.plan_auth import PasswordHash as PasswordHash  # noqa: PLC0414 — a name of this page too
from tidegate.plan_cache import CacheStore as CacheStore  # noqa: PLC0414 — a name of this page too
from tidegate.plan_cache import RouteCache as RouteCache  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import Access as Access  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import ApiKeyPart as ApiKeyPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import ClaimPart as ClaimPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import ClientIpPart as ClientIpPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import CookiePart as CookiePart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import HeaderPart as HeaderPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import HostPart as HostPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import KeyPart as KeyPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import Part as Part  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import PathPart as PathPart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import Retry as Retry  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import RetryReason as RetryReason  # noqa: PLC0414 — a name of this page too
from tidegate.plan_part import RoutePart as RoutePart  # noqa: PLC0414 — a name of this page too
from tidegate.plan_tcp import LoopGuard as LoopGuard  # noqa: PLC0414 — a name of this page too
from tidegate.plan_tcp import ProxyVersion as ProxyVersion  # noqa: PLC0414 — a name of this page too
from tidegate.plan_tcp import SniRoute as SniRoute  # noqa: PLC0414 — a name of this page too
from tidegate.plan_tcp import Tcp as Tcp  # noqa: PLC0414 — a name of this page too
from tidegate.plan_tcp import TcpTarget as TcpTarget  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import Capture as Capture  # noqa: PLC0414 — a name of this page too
from tidegate.plan_text import ClaimValue as ClaimValue  # noqa: PLC0414 — a name of this page too
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
    drain_ms: int
    max_connections: int
    trusted_proxies: list[str]
    forwarded: Literal["x_forwarded", "forwarded", "both", "none"]
    via: bool
    loop_guard: LoopGuard | None
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
    challenges: list[Certificate]
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
    tcp: Tcp | None


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
    tunnel_idle_ms: int


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


class OriginSuffix(Part, frozen=True, kw_only=True):
    """Origins of all subdomains."""

    scheme: str
    suffix: str


class Cors(Part, frozen=True, kw_only=True):
    """Which pages of other origins may use a route."""

    any: bool
    origins: list[str]
    suffixes: list[OriginSuffix]
    methods: str
    headers: str | None
    expose: str
    credentials: bool
    max_age_s: int


class Route(Part, frozen=True, kw_only=True):
    """One route: conditions, stages, action."""

    name: str
    listeners: list[int]
    matches: Matches
    access: Access | None
    auth: Auth | None
    cors: Cors | None
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
    proxy_protocol: ProxyVersion | None
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
