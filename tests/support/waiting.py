"""Waiting for something to become true, never for time to pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long anything on this machine may take before a test gives it up."""

_BETWEEN_LOOKS_S = 0.005
_never = threading.Event()


def dawdle(seconds: float) -> None:
    """For upstreams that are slow because a test wants them to be."""
    _never.wait(seconds)


def until(look: Callable[[], T], what: str, within: float = PATIENCE_S) -> T:
    """The first truthy value that `look` gives; fails the test when none comes in time."""
    deadline = time.monotonic() + within
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}; last seen: {seen!r}")
        _never.wait(_BETWEEN_LOOKS_S)
