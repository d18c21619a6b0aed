"""What clients may cost: least rates, connections of each, memory of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["lower_abuse"]

LEAST_MEMORY = 32 * 1024 * 1024
"""Less than this an empty process takes itself, so that nobody would ever be served."""


def lower_abuse(work: Work) -> plan.Abuse:
    """The bounds on what clients may cost."""
    server = work.config.server
    at: Path = ("server",)
    return plan.Abuse(
        min_body_rate=_rate(server.min_body_rate, (*at, "min_body_rate"), work),
        min_send_rate=_rate(server.min_send_rate, (*at, "min_send_rate"), work),
        rate_grace_ms=work.milliseconds(server.rate_grace, (*at, "rate_grace"), least=100),
        connections_per_client=server.connections_per_client,
        memory=_memory(server.memory, (*at, "memory"), work),
    )


def _rate(written: str | bool, path: Path, work: Work) -> int:
    """Bytes a second; 0 for no bound."""
    if isinstance(written, bool):
        if written:
            work.error(path, "`on` is no rate", "write bytes a second, as `256B`, or `off`")
        return 0
    return work.bytes(written, path)


def _memory(written: str | bool, path: Path, work: Work) -> plan.MemoryOff | plan.MemoryShare | plan.MemoryBytes:
    if isinstance(written, bool):
        if written:
            work.error(path, "`on` is no amount of memory", "write a share, as `90%`, a size, as `2GiB`, or `off`")
        return plan.MemoryOff()
    if written.rstrip().endswith("%"):
        percent = work.percent(written, path)
        if not 1 <= percent <= 100:
            work.error(path, f"`{written}` is no share of the memory that there is", "write `1%` to `100%`")
            percent = 100
        return plan.MemoryShare(percent=percent)
    return plan.MemoryBytes(bytes=work.bytes(written, path, least=LEAST_MEMORY, most=2**63 - 1))
