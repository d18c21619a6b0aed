"""What a process and its descendants used, from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """Seconds on a core. `total` is exact to the nanosecond where the kernel keeps schedstat; the split is by ticks."""

    user: float
    kernel: float
    total: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.user - before.user, self.kernel - before.kernel, self.total - before.total)

    def split(self) -> tuple[float, float]:
        """User and kernel seconds that add up to `total`."""
        ticks = self.user + self.kernel
        share = self.user / ticks if ticks > 0 else 0.0
        return self.total * share, self.total * (1 - share)


@dataclass(frozen=True)
class Memory:
    """Bytes. `rss` counts shared pages once for each process, `pss` once in all."""

    rss: int
    pss: int


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(entry)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu(pids: list[int]) -> Cpu:
    """The sum over all threads of these processes, the ended ones' ticks included."""
    user = kernel = total = 0.0
    for pid in pids:
        fields = _stat(Path(f"/proc/{pid}"))
        if not fields:
            continue
        user += int(fields[11]) * TICK
        kernel += int(fields[12]) * TICK
        total += _run_seconds(pid)
    return Cpu(user, kernel, total or user + kernel)


def engine_seconds(pids: list[int]) -> float:
    """Run time of the threads that are the engine's by their names; the others are the interpreter's."""
    nanos = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                if (task / "comm").read_text().startswith("tidegate-"):
                    nanos += int((task / "schedstat").read_text().split()[0])
            except (OSError, IndexError):
                continue
    return nanos / 1e9


def memory(pids: list[int]) -> Memory:
    """The sum over these processes."""
    rss = pss = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(":")
            if name == "Rss":
                rss += int(value.split()[0]) * 1024
            elif name == "Pss":
                pss += int(value.split()[0]) * 1024
    return Memory(rss, pss)


def core_seconds(cores: tuple[int, ...]) -> float:
    """Seconds for which these cores ran anything at all."""
    busy = 0
    wanted = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counts[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy * TICK


def _stat(process: Path) -> list[str]:
    """The fields of /proc/PID/stat after the name: 0 is the state, 1 the parent, 11 utime, 12 stime."""
    try:
        text = (process / "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _run_seconds(pid: int) -> float:
    nanos = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanos += int((task / "schedstat").read_text().split()[0])
    except (OSError, IndexError):
        return 0.0
    return nanos / 1e9
