"""A store of keys in memory: two keys of a tenant, and what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.plan_ai import Metric, Window


@dataclass(frozen=True)
class FakeSpend:
    """One limit."""

    metric: Metric
    limit: int
    window: Window
    model: str = ""


@dataclass(frozen=True)
class FakeKey:
    """One stored key."""

    name: str
    sha256: str
    tenant: str = ""
    team: str = ""
    user: str = ""
    models: Sequence[str] | None = None
    surfaces: Sequence[str] | None = None
    allow: Sequence[str] = ()
    expires_ms: int | None = None
    spend: Sequence[FakeSpend] = ()
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class FakeStore:
    """All that the lowering asks."""

    held: Sequence[FakeKey] = ()
    exists: bool = True
    spent: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def keys(self) -> Sequence[FakeKey]:
        return self.held

    def openings(self) -> Mapping[str, tuple[int, int]]:
        return self.spent


STORE = FakeStore(
    held=(
        FakeKey(
            "stored",
            "a" * 64,
            tenant="acme",
            models=["small", "gone"],
            surfaces=["chat"],
            allow=["10.0.0.0/8"],
            expires_ms=1_900_000_000_000,
            spend=(FakeSpend("usd", 10**13, "month"), FakeSpend("requests", 5, "minute", "big")),
            tags=["project-x"],
        ),
        FakeKey("ci", "b" * 64),
    ),
    spent={
        "tenant acme: usd per month": (1_893_456_000_000, 7 * 10**12),
        "key stored: usd per month": (1_893_456_000_000, 10**12),
    },
)
