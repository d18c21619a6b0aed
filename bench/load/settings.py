"""How long and how much: the figures of a full run and of a smoke run."""

from __future__ import annotations

import os
import resource
import shlex
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
REPOSITORY = BENCH.parent
LITELLM = REPOSITORY / "target" / "litellm" / "bin" / "litellm"


@dataclass(frozen=True)
class Placement:
    """Which cores run the proxy, and which the load generator and the origin."""

    proxy: tuple[int, ...]
    load: tuple[int, ...]

    @property
    def apart(self) -> bool:
        return not set(self.proxy) & set(self.load)


@dataclass(frozen=True)
class Settings:
    """A full run unless a value is given."""

    quick: bool = False
    out: Path = BENCH / "results"
    tidegate: tuple[str, ...] = (".venv/bin/tidegate",)
    without: frozenset[str] = frozenset()
    rounds: int = 5
    seconds: float = 4.0
    connections: int = 32
    rates: tuple[int, ...] = (10_000, 25_000)
    open_connections: int = 64
    routes: int = 10_000
    idle_connections: int = 10_000
    starts: int = 9
    reload_rate: int = 5_000
    reload_seconds: float = 8.0
    reload_rounds: int = 3
    counted_requests: int = 4_000
    # What runs a plan without Python; built where none is given.
    engine: Path | None = None
    # How long streams are held; a few seconds unless given.
    stream_minutes: float = 0.0
    cores: tuple[int, ...] = field(default_factory=lambda: tuple(sorted(os.sched_getaffinity(0))))

    @classmethod
    def smoke(cls, *, out: Path, tidegate: tuple[str, ...], without: frozenset[str]) -> Settings:
        """Shows that every row runs; its figures mean nothing."""
        return cls(
            quick=True,
            out=out,
            tidegate=tidegate,
            without=without,
            rounds=1,
            seconds=0.5,
            rates=(2_000,),
            routes=1_000,
            idle_connections=1_000,
            starts=2,
            reload_rate=1_000,
            reload_seconds=2.0,
            reload_rounds=1,
            counted_requests=500,
        )

    def placement(self, workers: int) -> Placement:
        """Cores of their own for the proxy where there are enough, else all share all."""
        if len(self.cores) > workers:
            return Placement(self.cores[:workers], self.cores[workers:])
        return Placement(self.cores, self.cores)


def tidegate_command(text: str) -> tuple[str, ...]:
    """The command line that starts Tidegate; a path within the repository is made absolute."""
    words = shlex.split(text)
    if "/" in words[0]:
        words[0] = str((REPOSITORY / words[0]).absolute())
    return tuple(words)


def raise_file_limit() -> int:
    """Lets this process and its children open as many files as the system allows; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
