"""The models that clients see, and who serves them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.ai.price import AiPrice
from tidegate.model.noun import Noun, about
from tidegate.model.units import Decimal, Duration, Percent, Size

Tokens = Annotated[int, Meta(ge=0, le=2**53)]
Cause = Literal["rate_limited", "down", "context_too_long", "content_filter", "too_slow", "over_budget"]


class AiTarget(Noun, frozen=True, kw_only=True):
    """One that serves a model."""

    provider: Annotated[str, about("A name of `ai.providers`.", "openai")]
    model: Annotated[
        str | None,
        about("The provider's name of the model, the same unless given; `*` is what the model's `*` stood for."),
    ] = None
    weight: Annotated[
        int, Meta(ge=0, le=1000, description="Its share, 0 to 1000; 0 is asked only where the others do not answer.")
    ] = 1
    variant: Annotated[str | None, about("What usage records call it: the side of a test.", "a")] = None
    price: Annotated[Literal["free"] | AiPrice | None, about("What it costs; the catalogue's unless given.")] = None
    context_tokens: Annotated[Tokens | None, about("The longest conversation; the catalogue's unless given.")] = None
    busy_calls: Annotated[
        Annotated[int, Meta(ge=0, le=2**31)],
        about("Calls in flight above which `balance: order` goes on to the next; 0 for no bound."),
    ] = 0
    busy_queue: Annotated[
        Duration, about("As `busy_calls`, by the server's own queue (`load` of its provider); `0` for no bound.")
    ] = "0"


class AiFallback(Noun, frozen=True, kw_only=True):
    """A model that is asked instead, for some causes."""

    model: Annotated[str, about("Its name.", "big")]
    on: Annotated[
        list[Cause] | None,
        about(
            "`rate_limited`, `down`, `context_too_long`, `content_filter`, `too_slow`, `over_budget`; all unless given."
        ),
    ] = None


class AiModelTimeouts(Noun, frozen=True, kw_only=True):
    """Waiting times of a call."""

    first_token: Annotated[Duration, about("From the request to the first event, or to the whole answer's head.")] = (
        defaults.AI_FIRST_TOKEN
    )
    between_tokens: Annotated[Duration, about("Between two events of a stream.")] = defaults.AI_BETWEEN_TOKENS
    total: Annotated[Duration, about("For the call, all attempts and fallbacks; `0` for no bound.")] = defaults.AI_TOTAL


class AiCache(Noun, frozen=True, kw_only=True):
    """Answers that are kept."""

    ttl: Annotated[Duration, about("How long.")] = defaults.AI_CACHE_TTL
    shared: Annotated[bool, about("Whether tenants share them.")] = False
    max_temperature: Annotated[
        Decimal | None, about("Calls with a higher temperature are not kept; no bound unless given.", 0.5)
    ] = None
    tools: Annotated[bool, about("Whether calls with tools are kept.")] = False


class AiHedge(Noun, frozen=True, kw_only=True):
    """A second attempt before the first token; whichever answers first is kept."""

    after: Annotated[Duration, about("How long the first is waited for.", "3s")]
    budget: Annotated[Percent, about("The most second attempts, as a share of calls.")] = defaults.AI_HEDGE_BUDGET


class AiBatch(Noun, frozen=True, kw_only=True):
    """Small embedding calls become one."""

    window: Annotated[Duration, about("How long the first waits for others.")] = defaults.AI_BATCH_WINDOW
    inputs: Annotated[int, Meta(ge=1, le=4096, description="The most inputs in one call.")] = defaults.AI_BATCH_INPUTS


class AiShadow(Noun, frozen=True, kw_only=True):
    """A share of calls is asked of another model too; that answer is thrown away, its usage recorded."""

    model: Annotated[str, about("Its name.", "candidate")]
    percent: Annotated[Percent, about("Of calls.")] = "100%"


class AiRule(Noun, frozen=True, kw_only=True):
    """Another model where all of these hold."""

    model: Annotated[str, about("The model that is asked instead.", "big")]
    min_tokens: Annotated[Tokens | None, about("Estimated input tokens, at least.")] = None
    max_tokens: Annotated[Tokens | None, about("Estimated input tokens, at most.")] = None
    tag: Annotated[str | None, about("A tag of the call.")] = None
    header: Annotated[
        str | None, about("A request header that is there, or `NAME: VALUE` for a value.", "X-Quality: high")
    ] = None


class AiModel(Noun, frozen=True, kw_only=True):
    """A name that clients see, and who serves it."""

    targets: Annotated[
        str | list[str | AiTarget],
        about("Who serves it: `PROVIDER/MODEL` or a record, one or several.", ["openai/gpt-4o-mini"]),
    ]
    balance: Annotated[
        Literal["weight", "least_busy", "latency", "cost", "headroom", "order"],
        about(
            "How a target is chosen: by `weight`, `least_busy`, `latency`, `cost`, the most `headroom` below the "
            "provider's limits, or in `order`: the next where the one before is down, limited or busy."
        ),
    ] = "weight"
    fallback: Annotated[
        str | list[str | AiFallback],
        about("Models that are asked where no target answers, in order.", ["big"], [{"model": "big", "on": ["down"]}]),
    ] = []
    attempts: Annotated[int, Meta(ge=1, le=16, description="Attempts at its own targets, 1 to 16.")] = (
        defaults.AI_ATTEMPTS
    )
    backoff: Annotated[Duration, about("The first wait between attempts; doubled each time, half of it random.")] = (
        defaults.AI_BACKOFF
    )
    retry_after: Annotated[
        Duration, about("The longest `retry-after` that is waited for; a longer one goes on to the next target.")
    ] = defaults.AI_RETRY_AFTER
    timeouts: Annotated[AiModelTimeouts, about("Waiting times.")] = AiModelTimeouts()
    cooldown: Annotated[Duration, about("How long a target is left out that said 429 or failed; `0` for not.")] = (
        defaults.AI_COOLDOWN
    )
    deduplicate: Annotated[bool, about("Whether identical calls in flight become one.")] = False
    cache: Annotated[AiCache | bool, about("Whether answers are kept, and how.")] = False
    hedge: Annotated[AiHedge | None, about("A second attempt before the first token.")] = None
    batch: Annotated[AiBatch | bool, about("Whether small embedding calls become one, and how.")] = False
    session: Annotated[
        str, about("The request header that ties calls to one target and endpoint; none unless given.", "X-Session-Id")
    ] = ""
    prefix_affinity: Annotated[bool, about("Whether a prompt goes where its beginning was served last.")] = False
    sticky: Annotated[
        str,
        about(
            "The same target for the same `key`, or for the same value of `header:NAME`: for tests.",
            "key",
            "header:X-User",
        ),
    ] = ""
    shadow: Annotated[AiShadow | str | None, about("Another model that is asked too: its name, or a record.")] = None
    rules: Annotated[list[AiRule], about("Other models for some calls; the first rule that holds goes.")] = []
    drop_unsupported: Annotated[bool, about("Whether fields that a target can't take are dropped, not refused.")] = (
        False
    )
    on_disconnect: Annotated[
        Literal["abort", "drain"],
        about(
            "What becomes of an answer whose client is gone: `abort` ends it (usage is estimated), `drain` reads it."
        ),
    ] = "abort"
    expected_output: Annotated[Tokens, about("Output tokens reserved where a call names no bound.")] = (
        defaults.AI_EXPECTED_OUTPUT
    )
    max_prompt: Annotated[Size | None, about("A longer prompt is refused; no bound but the route's unless given.")] = (
        None
    )
    max_output: Annotated[Tokens, about("The most output tokens that a call may ask for; more is cut to it.")] = 0
