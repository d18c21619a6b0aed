"""The providers that are known by name: `providers.json` beside this file, read once.

Knows: whose words each speaks, where it answers, which variable holds its key, what it can't take.
Never: the configuration, the plan, a network.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

__all__ = ["KnownProvider", "known"]


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a provider."""

    dialect: str
    base_url: str
    """With `{region}` where it has one; empty where every customer has an address of their own."""
    env: list[str]
    """Variables that hold its key, the first that is set counts."""
    catalogue: list[str]
    """What the price catalogue calls it, best first."""
    unsupported: list[str] = []
    """Fields of OpenAI's requests that it refuses."""
    local: bool = False
    """Whether it is a server of one's own, which needs no key."""


@cache
def known() -> dict[str, KnownProvider]:
    """All of them by name."""
    data = files("tidegate.ai").joinpath("providers.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, KnownProvider])
