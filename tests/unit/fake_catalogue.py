"""A price catalogue of three models, which never changes: golden plans must not follow the market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class FakeRates(NamedTuple):
    """Picodollars a token."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None


class FakeEntry(NamedTuple):
    """One model."""

    rates: FakeRates
    tiers: list[tuple[int, FakeRates]]
    context_tokens: int | None


OPENAI = {
    "gpt-4o": FakeEntry(
        FakeRates(2_500_000, 10_000_000, 1_250_000), [(200_000, FakeRates(5_000_000, 15_000_000))], 128_000
    ),
    "gpt-4o-mini": FakeEntry(FakeRates(150_000, 600_000), [], 128_000),
    "text-embedding-3-small": FakeEntry(FakeRates(20_001), [], None),
}


class FakeCatalogue:
    """Knows OpenAI alone."""

    version = "fake-1"

    def price(self, provider: str, model: str) -> FakeEntry | None:
        return OPENAI.get(model) if provider == "openai" else None

    def all(self, provider: str) -> Mapping[str, FakeEntry]:
        return OPENAI if provider == "openai" else {}
