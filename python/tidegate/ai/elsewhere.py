"""What calls of another process took, as bookings on this one's accounts.

A process sums its own calls as they end. Calls that end in the process before it, which drains, come to it by the
journal.

Knows: how the lowering names accounts, whom a record belongs to.
Never: the ledger, the engine.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from tidegate.ai.openings import Account, parse

if TYPE_CHECKING:
    from tidegate.ai.record import Record

__all__ = ["Booking", "account_names", "bookings"]

Booking = tuple[str, int, int]
"""An account's name, a moment (milliseconds since 1970), and how much, in the account's unit."""


def bookings(names: Iterable[str], records: Iterable[Record]) -> list[Booking]:
    """What the records took, for each of the named accounts that pays for them; nothing where that is nothing."""
    by_owner: dict[tuple[str, ...], list[tuple[str, Account]]] = defaultdict(list)
    for name in names:
        if (account := parse(name)) is not None:
            by_owner[account.owner].append((name, account))
    return [
        (name, record.at_ms, amount)
        for record in records
        for owner in _owners(record)
        for name, account in by_owner.get(owner, ())
        if _means(account.model, record.model) and (amount := _amount(account.metric, record))
    ]


def _owners(record: Record) -> list[tuple[str, ...]]:
    owners: list[tuple[str, ...]] = [("key", record.key) if record.key else ("open",)]
    if record.tenant:
        owners.append(("tenant", record.tenant))
        if record.team:
            owners.append(("team", record.tenant, record.team))
        if record.user:
            owners.append(("user", record.tenant, record.team, record.user))
    return owners + [("tag", tag) for tag in dict.fromkeys(record.tags)]


def _means(pattern: str, model: str) -> bool:
    if pattern in {"", "*"}:
        return True
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), model, re.DOTALL) is not None


def _amount(metric: str, record: Record) -> int:
    if metric == "requests":
        return int(record.counted)
    if metric == "input tokens":
        return record.input_total
    if metric == "output tokens":
        return record.output_total
    if metric == "tokens":
        return record.input_total + record.output_total
    return record.usd or 0


class _Named(msgspec.Struct):
    name: str


class _Ai(msgspec.Struct):
    accounts: list[_Named] = []


class _Plan(msgspec.Struct):
    ai: _Ai | None = None


def account_names(plan: bytes) -> list[str]:
    """Those of a plan's accounts."""
    ai = msgspec.json.decode(plan, type=_Plan).ai
    return [account.name for account in ai.accounts] if ai is not None else []
