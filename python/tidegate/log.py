"""The process's own log: one line an event on standard error, which never stops the process."""

import contextlib
import os
import sys
import time
from typing import Final, Literal

Level = Literal["info", "warn", "error"]

_PRIORITY: Final = {"info": 6, "warn": 4, "error": 3}  # sd-daemon(3), as syslog has them


def say(text: str, level: Level = "info") -> None:
    """Writes one event as the engine does: `2026-11-21T04:00:00.123Z LEVEL TEXT`; the journal gets a priority instead.

    Further lines of a text are indented, so that an event can be told from the next.
    """
    line = text.replace("\n", "\n  ")
    if os.environ.get("JOURNAL_STREAM"):
        head = f"<{_PRIORITY[level]}>"
    else:
        now = time.time()
        head = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z {level} "
    # A full disk or a closed pipe under the log is no reason to stop serving.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{head}{line}\n")
        sys.stderr.flush()


class Seldom:
    """Says the first of a kind at once and, of those that follow within the interval, only how many there were."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._kinds: dict[str, tuple[float, int]] = {}

    def say(self, kind: str, text: str, level: Level = "error") -> None:
        """Says it unless one of its kind was said within the interval."""
        now = time.monotonic()
        last, held_back = self._kinds.get(kind, (float("-inf"), 0))
        if now - last < self._every_s:
            self._kinds[kind] = (last, held_back + 1)
            return
        if len(self._kinds) >= 256 and kind not in self._kinds:
            self._kinds.clear()  # kinds come from code, but their names may come from anywhere
        self._kinds[kind] = (now, 0)
        say(text + (f" (and {held_back} more like it before)" if held_back else ""), level)
