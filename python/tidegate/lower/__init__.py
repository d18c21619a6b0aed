"""The model to the plan: every default filled in, every name an index, every text with variables taken apart.

Knows: the model, the plan, the place of every value.
Never: files, the engine; the engine's own check is handed in by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.errors import ConfigWarning
    from tidegate.load.tree import SourceMap
    from tidegate.lower.acme import Order
    from tidegate.lower.ai.price import Catalogue
    from tidegate.lower.ai.store import AiStore
    from tidegate.lower.paths import PlanPaths
    from tidegate.model.config import Config
    from tidegate.plan import Plan

__all__ = ["Lowered", "lower", "verify"]


class Lowered(NamedTuple):
    """A plan, the bytes that the engine takes, and the way back to the configuration."""

    plan: Plan
    bytes: bytes
    paths: PlanPaths
    warnings: list[ConfigWarning]
    files: list[str] = []  # noqa: RUF012 — a tuple's default, which nobody changes
    """What was read beside the configuration, and is watched with it."""
    orders: list[Order] = []  # noqa: RUF012 — a tuple's default, which nobody changes
    """Certificates that are to be had by ACME."""


def lower(
    config: Config,
    where: SourceMap,
    *,
    control_socket: str | None = None,
    ai_store: AiStore | None = None,
    state: str | None = None,
    catalogue: Callable[[], Catalogue | None] | None = None,
    kept_keys: Callable[[str], str | None] | None = None,
) -> Lowered:
    """The plan of a configuration; raises `ConfigErrors` with all that is wrong.

    The configuration's listeners and routes keep their places in the plan's lists; those of the admin come behind
    them. With `control_socket`, an absolute path, the admin API also answers there. `ai_store` holds the keys that
    were not written into the configuration, `state` is where usage is kept if the configuration does not say (nowhere
    without it), `catalogue` reads the price list (the one that Tidegate brings unless given), `kept_keys` the
    keys that were fetched last from a URL.
    """
    from tidegate.load.pause import without_collection
    from tidegate.lower.ai import Around
    from tidegate.lower.whole import lower_whole

    with without_collection():
        return lower_whole(config, where, control_socket, Around(ai_store, state, catalogue, kept_keys))


def verify(lowered: Lowered, check_plan: Callable[[bytes], object]) -> None:
    """Asks the engine's check; its refusal is raised as `ConfigErrors` with the place in the configuration.

    `check_plan` raises an exception with `path` and `why` where it refuses (the engine's `PlanRejected`).
    """
    from tidegate.errors import ConfigError, ConfigErrors

    try:
        check_plan(lowered.bytes)
    except Exception as refusal:
        path, why = getattr(refusal, "path", None), getattr(refusal, "why", None)
        if not isinstance(path, str) or not isinstance(why, str):
            raise
        raise ConfigErrors([ConfigError.at(lowered.paths.place(path), why)]) from refusal
