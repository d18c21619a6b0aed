"""One usage record, as the engine writes it into its journal and the ledger keeps it.

Knows: the fields, what of a call counts.
Never: where records come from and go to.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["BUCKETS", "COLUMNS", "Record", "decode", "row"]

BUCKETS: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_in",
    "audio_out",
    "images",
)
"""Disjoint: no token is in two of them."""

MOST: Final = 2**40
"""More than any call takes. A provider that reports more is not believed, so that sums stay within 64 bits."""
MOST_USD: Final = 10**18
"""A million dollars, in picodollars: more than any call costs."""


class Record(msgspec.Struct, kw_only=True):
    """One call's end, or what belongs to it. Times: milliseconds since 1970, or microseconds; money: picodollars."""

    v: int = 1
    kind: str
    """`begin`, `end`, `loser` (a hedge that came second) or `shadow`."""
    id: str
    """One per call; all of its records share it."""
    request_id: str = ""
    at_ms: int
    """When it was written: an end's is when the call was settled."""
    started_ms: int = 0
    key: str = ""
    tenant: str = ""
    team: str = ""
    user: str = ""
    tags: list[str] = []
    surface: str = ""
    client_dialect: str = ""
    model: str = ""
    """As it was asked for."""
    served: str = ""
    """The provider's name of it."""
    provider: str = ""
    variant: str = ""
    credential: str = ""
    prompt: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = ""
    reason: str = ""
    finish: str = ""
    attempts: int = 0
    fallbacks: int = 0
    cache: str = "off"
    source: str = "unknown"
    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    images: int | None = None
    usd: int | None = None
    """None where the price is unknown."""
    price_version: str = ""
    queue_us: int | None = None
    first_token_us: int | None = None
    total_us: int | None = None
    reserved_usd: int | None = None
    reserved_input: int | None = None
    reserved_output: int | None = None
    guard: str | None = ""
    content: msgspec.Raw | None = None

    @property
    def input_total(self) -> int:
        """All input tokens."""
        return (
            (self.input or 0)
            + (self.cache_read or 0)
            + (self.cache_write_5m or 0)
            + (self.cache_write_1h or 0)
            + (self.audio_in or 0)
        )

    @property
    def output_total(self) -> int:
        """All output tokens."""
        return (self.output or 0) + (self.reasoning or 0) + (self.audio_out or 0)

    @property
    def counted(self) -> bool:
        """Whether limits on requests count it: it reached somebody who answered, or who may have."""
        if self.kind != "end":
            return False
        answered = self.outcome not in ("error", "refused")
        return answered or self.attempts > 0 or bool(self.usd or self.input_total or self.output_total)

    @property
    def unpriced(self) -> bool:
        """Whether it used something that has no known price; a call that failed without an answer used nothing."""
        used = self.outcome == "ok" or bool(self.input_total or self.output_total)
        return self.usd is None and used

    def lost(self) -> Record:
        """What a beginning becomes whose process is gone: an end that took what was reserved for it."""
        return msgspec.structs.replace(
            self,
            kind="end",
            outcome="lost",
            reason=self.reason or "process_gone",
            source="estimated",
            started_ms=self.started_ms or self.at_ms,
            input=self.reserved_input if self.reserved_input is not None else self.input,
            output=self.reserved_output if self.reserved_output is not None else self.output,
            usd=self.reserved_usd if self.reserved_usd is not None else self.usd,
        )


COLUMNS: Final = (
    "kind", "id", "request_id", "at_ms", "started_ms", "key", "tenant", "team", "user", "model", "tags", "surface",
    "client_dialect", "served", "provider", "variant", "credential", "prompt", "stream", "status", "outcome", "reason",
    "finish", "attempts", "fallbacks", "cache", "source", *BUCKETS, "usd", "price_version", "queue_us",
    "first_token_us", "total_us", "reserved_usd", "guard", "counted", "content",
)  # fmt: skip
"""Of the table `records`, in the order of [`row`]."""

_DECODER: Final = msgspec.json.Decoder(Record)
_tags = msgspec.json.Encoder().encode


def decode(data: bytes) -> Record:
    """The record of these bytes, with absurd numbers cut; raises `msgspec.MsgspecError` where they are none."""
    record = _DECODER.decode(data)
    for name in BUCKETS:
        value = getattr(record, name)
        if value is not None and not 0 <= value <= MOST:
            setattr(record, name, min(max(value, 0), MOST))
    for name in ("usd", "reserved_usd"):
        value = getattr(record, name)
        if value is not None and not 0 <= value <= MOST_USD:
            setattr(record, name, min(max(value, 0), MOST_USD))
    for name in ("reserved_input", "reserved_output", "queue_us", "first_token_us", "total_us"):
        value = getattr(record, name)
        if value is not None and not 0 <= value <= MOST:
            setattr(record, name, min(max(value, 0), MOST))
    for name in ("at_ms", "started_ms", "status", "attempts", "fallbacks"):
        value = getattr(record, name)
        if not 0 <= value <= MOST * 8:
            setattr(record, name, min(max(value, 0), MOST * 8))
    return record


def row(record: Record) -> tuple[Any, ...]:
    """The values of [`COLUMNS`]."""
    return (
        record.kind, record.id, record.request_id, record.at_ms, record.started_ms, record.key, record.tenant,
        record.team, record.user, record.model, _tags(record.tags).decode() if record.tags else "[]", record.surface,
        record.client_dialect, record.served, record.provider, record.variant, record.credential, record.prompt,
        record.stream, record.status, record.outcome, record.reason, record.finish, record.attempts, record.fallbacks,
        record.cache, record.source, record.input, record.cache_read, record.cache_write_5m, record.cache_write_1h,
        record.output, record.reasoning, record.audio_in, record.audio_out, record.images, record.usd,
        record.price_version, record.queue_us, record.first_token_us, record.total_us, record.reserved_usd,
        record.guard or "", record.counted, bytes(record.content).decode() if record.content is not None else None,
    )  # fmt: skip
