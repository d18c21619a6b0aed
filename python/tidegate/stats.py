"""The process's own figures, and the status that is put together from them and from the engine's."""

import time
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final, TypedDict

from tidegate.machine import memory_bytes

BOUNDS_MS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


class HookFigures:
    """What became of one hook's calls, and how long its function took."""

    __slots__ = ("_buckets", "failed", "full", "late", "name", "total_s")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed = 0
        self.late = 0
        self.full = 0
        self.total_s = 0.0
        self._buckets = [0] * (len(BOUNDS_MS) + 1)

    def took(self, seconds: float) -> None:
        """Counts one call."""
        self.total_s += seconds
        self._buckets[bisect_left(BOUNDS_MS, seconds * 1000)] += 1

    @property
    def calls(self) -> int:
        """Those that the function ran for."""
        return sum(self._buckets)

    def quantile_ms(self, share: float) -> float | None:
        """The bound of the bucket that this share of calls ends in; None where there are none, or it has no bound."""
        wanted = share * self.calls
        seen = 0
        for bound, count in zip((*BOUNDS_MS, None), self._buckets, strict=True):
            seen += count
            if seen >= wanted and seen:
                return bound
        return None

    def as_json(self) -> dict[str, Any]:
        """For `/status`."""
        return {
            "name": self.name,
            "calls": self.calls,
            "failed": self.failed,
            "late": self.late,
            "refused_full": self.full,
            "mean_ms": round(self.total_s * 1000 / self.calls, 3) if self.calls else None,
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
        }


class Reloads:
    """What came of the configurations that were tried since the start."""

    def __init__(self) -> None:
        self.generation = 0
        self.applied = 0
        self.failed = 0
        self.last_at: float | None = None
        self.last_error: str | None = None

    def succeeded(self) -> None:
        """A plan is in force."""
        self.generation += 1
        self.applied += 1
        self.last_at, self.last_error = time.time(), None

    def unchanged(self) -> None:
        """What was loaded is what runs already."""
        self.last_at, self.last_error = time.time(), None

    def refused(self, error: str) -> None:
        """A configuration was wrong; the plan before it stays."""
        self.failed += 1
        self.last_at, self.last_error = time.time(), error

    def as_json(self) -> dict[str, Any]:
        """For `/status`; the start counts as the first one applied."""
        return {
            "applied": self.applied,
            "failed": self.failed,
            "last_at": None if self.last_at is None else round(self.last_at, 3),
            "last_error": self.last_error,
        }


class EngineStats(TypedDict, total=False):
    """What of the engine's `stats()` is read here; `rust/engine/src/metrics/stats.rs` writes it.

    Counters are totals since the start, over all workers.
    """

    requests: int
    connections: int
    panics: int
    log_lines_dropped: int
    duration_us: dict[str, int]
    routes_used: int
    routes: list[dict[str, Any]]
    upstreams: list[dict[str, Any]]
    limits: list[dict[str, Any]]
    refusals: dict[str, int]


def assemble(
    *, about: dict[str, Any], reloads: Reloads, hooks: Iterable[HookFigures], engine: EngineStats
) -> dict[str, Any]:
    """The whole status: what the process knows about itself, then what the engine counted."""
    return {
        **about,
        "generation": reloads.generation,
        "reloads": reloads.as_json(),
        "memory_bytes": memory_bytes(),
        "hooks": [figures.as_json() for figures in hooks],
        "engine": engine,
    }
