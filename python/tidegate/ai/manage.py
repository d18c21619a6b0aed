"""What `tidegate keys`, `tidegate usage` and the admin API do alike: words of people into keys and questions, and back.

Knows: the words of the configuration for limits and budgets.
Never: sockets, terminals.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from tidegate.ai.money import dollars
from tidegate.ai.store import Key, KeyError_, Spend
from tidegate.ai.usage import FILTERS, Asked, moment
from tidegate.model import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidegate.ai.store import KeyStore, Metric

__all__ = ["asked_of", "create", "expiry", "limit", "plain", "revoke", "rotate"]

_METRICS: Final = ("requests", "tokens", "input_tokens", "output_tokens")


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made, in the words of `ai.keys`."""

    name: str
    tenant: str = ""
    team: str = ""
    user: str = ""
    models: list[str] | None = None
    surfaces: list[str] | None = None
    allow: list[str] = []
    expires: str | None = None
    limits: list[str] = []
    """`requests=600/min`, `concurrent=5`, `tokens=100k/day@MODEL`."""
    budget: list[str] = []
    """`50/month`, `50/month@MODEL`."""
    tags: list[str] = []


def create(store: KeyStore, data: bytes) -> dict[str, Any]:
    """Makes a key; what is told has its secret."""
    try:
        wanted = msgspec.json.decode(data, type=Wanted)
    except msgspec.MsgspecError as error:
        raise KeyError_(f"this describes no key: {error}") from error
    key = Key(
        name=wanted.name,
        tenant=wanted.tenant,
        team=wanted.team,
        user=wanted.user,
        models=wanted.models,
        surfaces=_surfaces(wanted.surfaces),
        allow=_allow(wanted.allow),
        expires_ms=expiry(wanted.expires) if wanted.expires else None,
        spend=[*map(limit, wanted.limits), *map(_budget, wanted.budget)],
        tags=wanted.tags,
    )
    made = store.create(key, _now_ms())
    return {**plain(made.key), "key": made.secret}


def rotate(store: KeyStore, name: str, grace: str | None) -> dict[str, Any]:
    """Gives a key a new secret; what is told has it."""
    made = store.rotate(name, _now_ms(), _read(units.duration, grace) if grace else 0)
    return {**plain(made.key), "key": made.secret}


def revoke(store: KeyStore, name: str) -> dict[str, Any]:
    """Refuses a key from now on."""
    return plain(store.revoke(name, _now_ms()))


def plain(key: Key) -> dict[str, Any]:
    """A key for people: neither secret nor hash."""
    now = _now_ms()
    state = "revoked" if key.revoked_ms is not None else "in force"
    if state == "in force" and key.expires_ms is not None and key.expires_ms <= now:
        state = "expired"
    return {
        "name": key.name,
        "state": state,
        "hint": f"{key.hint}…",
        "tenant": key.tenant,
        "team": key.team,
        "user": key.user,
        "models": key.models,
        "surfaces": key.surfaces,
        "allow": key.allow,
        "limits": [_shown(spend) for spend in key.spend],
        "tags": key.tags,
        "created": _moment(key.created_ms),
        "expires": _moment(key.expires_ms),
        "revoked": _moment(key.revoked_ms),
    }


def limit(text: str) -> Spend:
    """`requests=600/min`, `concurrent=5`, `tokens=100k/day@MODEL`; raises KeyError_."""
    name, equals, rest = text.partition("=")
    value, _, model = rest.partition("@")
    name = name.strip().replace("-", "_")
    if name == "concurrent" and value.strip().isdigit():
        return Spend(metric="in_flight", limit=int(value), window="none", model=model)
    if not equals or name not in _METRICS:
        known = ", ".join((*_METRICS, "concurrent"))
        raise KeyError_(f"`{text}` is no limit; write requests=600/min ({known}), or concurrent=5")
    count = _read(units.quota, value)
    return Spend(metric=cast("Metric", name), limit=count.most, window=count.window, model=model)


def expiry(text: str) -> int:
    """Milliseconds since 1970 of a day's end or a moment (UTC), or of so many days from now: `90d`."""
    if text[-1:] == "d" and text[:-1].isdigit():
        return _now_ms() + int(text[:-1]) * 86_400_000
    return int(_read(units.moment, text))


def asked_of(words: Mapping[str, str]) -> Asked:
    """A question for usage, from `by`, `from`, `to` and fields to choose by; raises UsageError."""
    by = words.get("by", "key,model,day")
    return Asked(
        by=tuple(name.strip() for name in by.split(",") if name.strip()),
        from_ms=moment(words["from"]) if words.get("from") else None,
        to_ms=moment(words["to"]) if words.get("to") else None,
        only=tuple((name, words[name]) for name in FILTERS if words.get(name)),
    )


def _budget(text: str) -> Spend:
    value, _, model = text.partition("@")
    if value.strip().endswith("/ever"):
        most = _read(units.money, value.strip().removesuffix("/ever"))
        return Spend(metric="usd", limit=min(most, 2**63 - 1), window="none", model=model)
    count = _read(units.budget, value)
    if count.most >= 2**63:
        raise KeyError_(f"a budget of {value} is more than can be counted")
    return Spend(metric="usd", limit=count.most, window=count.window, model=model)


def _surfaces(names: list[str] | None) -> list[str] | None:
    from typing import get_args

    from tidegate.model.ai.key import Surface

    for name in names or ():
        if name not in get_args(Surface):
            raise KeyError_(f"`{name}` is nothing that a key can be used for; {', '.join(get_args(Surface))} are")
    return names


def _allow(blocks: Iterable[str]) -> list[str]:
    import ipaddress

    out = []
    for block in blocks:
        try:
            out.append(str(ipaddress.ip_network(block, strict=False)))
        except ValueError as error:
            raise KeyError_(f"`{block}` is no address and no CIDR block") from error
    return out


def _read(how: Any, text: str) -> Any:
    try:
        return how(text.strip())
    except units.Unreadable as error:
        raise KeyError_(f"{error.what}; {error.right}") from error


def _shown(spend: Spend) -> str:
    amount = (
        dollars(spend.limit) + " USD" if spend.metric == "usd" else f"{spend.limit} {spend.metric.replace('_', ' ')}"
    )
    window = f" per {spend.window}" if spend.window != "none" else ""
    return amount + window + (f", model {spend.model}" if spend.model else "")


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))


def _now_ms() -> int:
    return int(time.time() * 1000)
