"""What the lowering asks of a store of keys: `tidegate keys` fills it, a plan carries what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.plan_ai import Metric, Window

__all__ = ["AiStore", "StoredKey", "StoredSpend"]


class StoredSpend(Protocol):
    """One limit or budget of a stored key."""

    @property
    def metric(self) -> Metric:
        """What is counted."""

    @property
    def limit(self) -> int:
        """The most in one window; picodollars for `usd`."""

    @property
    def window(self) -> Window:
        """When it begins again."""

    @property
    def model(self) -> str:
        """Only calls for models of that name or pattern count; empty for all."""


class StoredKey(Protocol):
    """A key that was made by `tidegate keys create`."""

    @property
    def name(self) -> str:
        """Unique among stored keys."""

    @property
    def sha256(self) -> str:
        """64 lower-case hexadecimal digits."""

    @property
    def tenant(self) -> str:
        """Empty for nobody's."""

    @property
    def team(self) -> str:
        """Empty for none."""

    @property
    def user(self) -> str:
        """Empty for none."""

    @property
    def models(self) -> Sequence[str] | None:
        """Names and patterns; None for all."""

    @property
    def surfaces(self) -> Sequence[str] | None:
        """None for all."""

    @property
    def allow(self) -> Sequence[str]:
        """CIDR blocks; empty for everywhere."""

    @property
    def expires_ms(self) -> int | None:
        """Milliseconds since 1970; None for never."""

    @property
    def spend(self) -> Sequence[StoredSpend]:
        """Limits and budgets."""

    @property
    def tags(self) -> Sequence[str]:
        """Tags that all its calls bear."""


class AiStore(Protocol):
    """Keys and sums that outlive a process."""

    @property
    def exists(self) -> bool:
        """Whether it ever held a key: from then on nobody is let in without one."""

    def keys(self) -> Sequence[StoredKey]:
        """Those that are in force."""

    def openings(self) -> Mapping[str, tuple[int, int]]:
        """What was spent, by an account's name: any moment of its window (ms since 1970), and how much."""
