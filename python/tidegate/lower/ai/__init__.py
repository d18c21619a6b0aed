"""The AI part of a plan, lowered: providers become upstreams, names indices, limits accounts, keys hashes.

Knows: the model of `ai`, the plan's AI page, what a store of keys and a price catalogue are asked.
Never: the store itself, the engine, a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.lower.ai.price import Catalogue
    from tidegate.lower.ai.store import AiStore

__all__ = ["Around"]


class Around(NamedTuple):
    """What a lowering gets beside the configuration."""

    store: AiStore | None = None
    """Keys that were not written into the configuration, and what was spent."""
    state: str | None = None
    """Where usage is kept if the configuration does not say."""
    catalogue: Callable[[], Catalogue | None] | None = None
    """Reads the price list; the one that Tidegate brings unless given."""
    kept_keys: Callable[[str], str | None] | None = None
    """The keys that were fetched last from a URL."""
