"""The AI gateway's page of the plan, as `rust/plan/src/ai.rs` decodes it: who is asked, by which name, for how much.

Knows: the shape of the AI part of a plan.
Never: what people write, which value is a good one.

Times are milliseconds, money is picodollars (10⁻¹² USD), so that sums are exact. Records that hold a secret are
printed without it.
"""

from __future__ import annotations

from typing import Literal

from tidegate.plan_part import Access, Part

ProviderDialect = Literal[
    "openai",
    "responses",
    "azure",
    "anthropic",
    "gemini",
    "vertex",
    "bedrock",
    "cohere",
    "mistral",
    "ollama",
    "echo",
]


class UsageJournal(Part, frozen=True, kw_only=True):
    """Where usage records are written."""

    path: str
    segment_bytes: int


class LoadProbe(Part, frozen=True, kw_only=True):
    """Reads the load of an inference server."""

    path: str
    interval_ms: int


class SchemeNone(Part, tag_field="kind", tag="none", frozen=True, kw_only=True):
    """A credential that is not told at all."""


class SchemeClient(Part, tag_field="kind", tag="client", frozen=True, kw_only=True):
    """The client's own credential is passed on."""


class SchemeHeader(Part, tag_field="kind", tag="header", frozen=True, kw_only=True):
    """One field."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"SchemeHeader(name={self.name!r}, value=…)"


class SchemeQuery(Part, tag_field="kind", tag="query", frozen=True, kw_only=True):
    """A query parameter."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"SchemeQuery(name={self.name!r}, value=…)"


class SchemeAws(Part, tag_field="kind", tag="aws", frozen=True, kw_only=True):
    """AWS Signature Version 4."""

    access_key: str
    secret_key: str
    session_token: str

    def __repr__(self) -> str:
        return f"SchemeAws(access_key={self.access_key!r}, …)"


CredentialScheme = SchemeNone | SchemeClient | SchemeHeader | SchemeQuery | SchemeAws


class Credential(Part, frozen=True, kw_only=True):
    """How a call is let in at a provider."""

    name: str
    weight: int
    scheme: CredentialScheme


class Provider(Part, frozen=True, kw_only=True):
    """Somebody who answers."""

    name: str
    dialect: ProviderDialect
    upstream: int | None
    base_path: str
    connect_ms: int
    credentials: list[Credential]
    headers: list[tuple[str, str]]
    paths: list[tuple[str, str]]
    unsupported: list[str]
    region: str
    project: str
    api_version: str
    load: LoadProbe | None

    def __repr__(self) -> str:
        return f"Provider(name={self.name!r}, dialect={self.dialect!r}, upstream={self.upstream!r}, …)"


class Rates(Part, frozen=True, kw_only=True):
    """Picodollars a token; `null` where nothing is said."""

    input: int | None
    cache_read: int | None
    cache_write_5m: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    audio_in: int | None
    audio_out: int | None
    image: int | None
    request: int | None


class Price(Part, frozen=True, kw_only=True):
    """Picodollars a token, and the steps at which they change."""

    version: str
    rates: Rates
    tiers: list[tuple[int, Rates]]


class Target(Part, frozen=True, kw_only=True):
    """One that serves a model."""

    provider: int
    model: str
    weight: int
    variant: str
    price: Price | None
    prices: list[tuple[str, Price]]
    context_tokens: int
    busy_calls: int
    busy_queue_ms: int


FallbackCause = Literal["rate_limited", "down", "context_too_long", "content_filter", "too_slow", "over_budget"]


class Fallback(Part, frozen=True, kw_only=True):
    """A model that is asked instead."""

    model: int
    on: list[FallbackCause]


class ModelCache(Part, frozen=True, kw_only=True):
    """Answers that are kept."""

    ttl_ms: int
    shared: bool
    max_temperature: float | None
    tools: bool


class Hedge(Part, frozen=True, kw_only=True):
    """A second attempt before the first token."""

    after_ms: int
    budget_percent: int


class Batch(Part, frozen=True, kw_only=True):
    """Small embedding calls become one."""

    window_ms: int
    inputs: int


class Shadow(Part, frozen=True, kw_only=True):
    """Calls that are asked of another model too."""

    model: int
    percent: int


class Rule(Part, frozen=True, kw_only=True):
    """Another model for some calls."""

    model: int
    min_tokens: int | None
    max_tokens: int | None
    tag: str | None
    header: tuple[str, str] | None


class Model(Part, frozen=True, kw_only=True):
    """A name that clients see."""

    name: str
    targets: list[Target]
    balance: Literal["weight", "least_busy", "latency", "cost", "headroom", "order"]
    fallback: list[Fallback]
    attempts: int
    backoff_ms: int
    retry_after_most_ms: int
    first_token_ms: int
    between_tokens_ms: int
    total_ms: int
    cooldown_ms: int
    deduplicate: bool
    cache: ModelCache | None
    hedge: Hedge | None
    batch: Batch | None
    session_header: str
    prefix_affinity: bool
    sticky: str
    shadow: Shadow | None
    rules: list[Rule]
    drop_unsupported: bool
    on_disconnect: Literal["abort", "drain"]
    expected_output: int
    prompt_bytes: int
    max_output: int


class AiKey(Part, frozen=True, kw_only=True):
    """Somebody who may ask."""

    name: str
    sha256: str
    tenant: str
    team: str
    user: str
    models: list[int] | None
    surfaces: list[str] | None
    access: Access | None
    expires_ms: int | None
    accounts: list[int]
    guards: list[int]
    tags: list[str]


class Opening(Part, frozen=True, kw_only=True):
    """What was spent before."""

    at_ms: int
    spent: int


Metric = Literal["requests", "input_tokens", "output_tokens", "tokens", "usd", "in_flight"]
Window = Literal["none", "minute", "hour", "day", "week", "month"]


class Account(Part, frozen=True, kw_only=True):
    """One limit or budget."""

    name: str
    metric: Metric
    limit: int
    window: Window
    models: list[int] | None
    tag: str | None
    opening: Opening | None


class PromptVersion(Part, frozen=True, kw_only=True):
    """One version of a prompt."""

    version: str
    weight: int
    model: int
    messages: list[tuple[str, str]]
    input: str
    output: str | None
    parameters: str


class Prompt(Part, frozen=True, kw_only=True):
    """A prompt as an API."""

    name: str
    description: str
    versions: list[PromptVersion]


class LookForPii(Part, tag_field="kind", tag="pii", frozen=True, kw_only=True):
    """Personal data."""

    kinds: list[str]


class LookForKeywords(Part, tag_field="kind", tag="keywords", frozen=True, kw_only=True):
    """Words, in any case, as whole words."""

    words: list[str]


class LookForRegex(Part, tag_field="kind", tag="regex", frozen=True, kw_only=True):
    """A regular expression of the regex crate."""

    pattern: str


LookFor = LookForPii | LookForKeywords | LookForRegex


class Guard(Part, frozen=True, kw_only=True):
    """What is looked for in texts."""

    name: str
    scope: Literal["request", "response", "both"]
    look_for: LookFor
    action: Literal["block", "mask", "restore"]


class AiRoute(Part, tag_field="kind", tag="ai", frozen=True, kw_only=True):
    """The AI surfaces, under the prefix that the route's path matches."""

    guards: list[int]


class Ai(Part, frozen=True, kw_only=True):
    """All that AI routes share."""

    providers: list[Provider]
    models: list[Model]
    keys: list[AiKey]
    open: bool
    accounts: list[Account]
    open_accounts: list[int]
    prompts: list[Prompt]
    guards: list[Guard]
    cache_bytes: int
    journal: UsageJournal | None
    log_content: Literal["off", "redacted", "full"]
    tag_header: str
