"""What all parts of one lowering share: the source of every value, the problems found, the plan's lists so far."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.load.problems import Problems
from tidegate.load.tree import SourceMap, Step
from tidegate.model import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from tidegate.lower.acme import Order
    from tidegate.model.config import Config

    T = TypeVar("T")

__all__ = ["Path", "Work", "each"]

Path = tuple[Step, ...]
"""Where a value stands in the configuration: `("routes", 3, "upstream")`."""

U32 = 2**32 - 1


class Work:
    """One lowering under way."""

    def __init__(self, config: Config, where: SourceMap) -> None:
        self.config = config
        self.where = where
        self.problems = Problems()
        self.files: list[str] = []
        """Beside the configuration: what was read while it was lowered."""
        self.listeners: list[plan.Listener] = []
        self.orders: list[Order] = []
        self.order_paths: list[Path] = []
        self.limits: list[plan.Limit] = []
        self.concurrency: list[plan.Concurrency] = []
        self.hooks: list[plan.Hook] = []
        self.hook_indices: dict[plan.Hook, int] = {}
        self.upstreams: list[plan.Upstream] = []
        self.listener_paths: list[Path] = []
        self.limit_paths: list[Path] = []
        self.concurrency_paths: list[Path] = []
        self.hook_paths: list[Path] = []
        self.upstream_paths: list[Path] = []
        self.kept_keys: Callable[[str], str | None] = lambda _: None
        """The keys that were fetched last from a URL."""
        self.tunnel_idle_ms = 0
        self.listener_limits: list[list[int]] = []
        self.listener_caps: list[list[int]] = []
        self.ai_paths: dict[str, list[Path]] = {}

    def file(self, name: str, path: Path) -> str:
        """The file that is named at a value, seen from the configuration's folder."""
        return os.path.normpath(os.path.join(self.where.directory(path), os.path.expanduser(name)))

    def read(self, file: str, path: Path, most: int) -> bytes | None:
        """What stands in a file, which is watched from now on; None where it can't be read, which is noted."""
        self.files.append(file)
        try:
            with open(file, "rb") as opened:
                content = opened.read(most + 1)
        except OSError as error:
            self.error(path, f"`{file}` can't be read: {error.strerror}", "write the path of a file that can be")
            return None
        if len(content) > most:
            self.error(path, f"`{file}` is larger than {most:,} bytes", "write the path of the right file")
            return None
        return content

    def error(self, path: Path, what: str, right: str, find: str = "") -> None:
        """Notes an error at a value, or at a text within it."""
        self.problems.error_at(self.where.place(path, find), what, right)

    def warn(self, path: Path, what: str, right: str, find: str = "") -> None:
        """Notes a warning at a value, or at a text within it."""
        self.problems.warn_at(self.where.place(path, find), what, right)

    def place(self, path: Path) -> str:
        """A place for a message about another place."""
        return str(self.where.place(path))

    def milliseconds(self, text: str, path: Path, *, least: int = 0) -> int:
        """The time, at least `least`; what is wrong is noted."""
        value = self._read(units.duration, text, path, least)
        if value < least:
            shown = units.show_duration(least)
            self.error(path, f"`{text}` is too short here", f"write `{shown}` or more")
        return value

    def bytes(self, text: str, path: Path, *, least: int = 0, most: int = U32) -> int:
        """The size between two bounds; what is wrong is noted."""
        value = self._read(units.size, text, path, least)
        if not least <= value <= most:
            low, high = units.show_size(least), units.show_size(most)
            self.error(path, f"`{text}` is out of bounds", f"write `{low}` to `{high}`")
            return least
        return value

    def percent(self, text: str, path: Path) -> int:
        """The share; what is wrong is noted."""
        return self._read(units.percent, text, path, 0)

    def rate(self, text: str, path: Path) -> plan.Rate:
        """The rate; what is wrong is noted."""
        tokens, per_ms = self._read(units.rate, text, path, units.Rate(1, 1000))
        return plan.Rate(tokens=tokens, per_ms=per_ms)

    def _read(self, reader: Callable[[str], T], text: str, path: Path, otherwise: T) -> T:
        try:
            return reader(text)
        except units.Unreadable as wrong:
            self.error(path, wrong.what, wrong.right)
            return otherwise


def each(value: T | list[T], path: Path) -> Iterator[tuple[T, Path]]:
    """The one or all of a list, each with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield item, (*path, index)
    else:
        yield value, path
