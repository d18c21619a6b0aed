"""When a certificate is asked for: arithmetic on times, which are arguments, in seconds since 1970."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

RENEW_AT: Final = 2 / 3
"""Of the lifetime, as Let's Encrypt advises: a month is left of 90 days for what may go wrong."""
JITTER: Final = 1 / 20
"""Of the lifetime, at most, beyond that: so that a fleet that was set up in one hour does not come back in one."""

FAILED_PER_HOUR: Final = 4
"""Let's Encrypt takes 5 failed validations of a name in an hour and locks the account out then."""
ISSUED_PER_WEEK: Final = 4
"""Let's Encrypt gives 5 certificates for the same names in a week."""
HOUR_S: Final = 3600.0
WEEK_S: Final = 7 * 86400.0

UNREACHABLE_S: Final = (60.0, HOUR_S)
"""First and longest wait where the authority was not even asked: nothing counts there."""
REFUSED_S: Final = (900.0, 86400.0)
"""The same where it was: 15 minutes, 30, an hour … a day."""
LIMITED_S: Final = HOUR_S
"""Where the authority says that it was too much, and not for how long."""
LATEST_SHARE: Final = 1 / 20
"""Of the lifetime: certificates of a few days are tried for more often than once a day."""

ASK_EVERY_S: Final = 6 * HOUR_S
"""Between two questions for renewal information (RFC 9773 section 4.3.2), unless the authority says another time."""


class Reason(enum.Enum):
    """Why no certificate came."""

    UNREACHABLE = "unreachable"
    """The authority can't be reached, or not be trusted."""
    NOT_ACME = "not_acme"
    """What answers there is no ACME server, or not in its right mind."""
    RATE_LIMITED = "rate_limited"
    """The authority has had too many requests."""
    ACCOUNT = "account"
    """It does not take the account."""
    REFUSED = "refused"
    """It does not give a certificate for these names."""
    CHALLENGE_FAILED = "challenge_failed"
    """It has looked, and found no proof that the names lead here."""
    NOT_OFFERED = "not_offered"
    """It does not offer this kind of proof."""
    TIMEOUT = "timeout"
    """It did not come to an end in time."""
    BAD_CERTIFICATE = "bad_certificate"
    """What it gave is not what was asked for."""
    CANCELLED = "cancelled"
    """This process ends, or its configuration has changed."""
    LIBRARY = "library"
    """The library that speaks ACME is not installed."""
    STATE = "state"
    """What was got can't be kept."""
    INTERNAL = "internal"
    """A bug of Tidegate's."""


FREE: Final = frozenset({Reason.UNREACHABLE, Reason.NOT_ACME, Reason.LIBRARY, Reason.STATE, Reason.CANCELLED})
"""What no authority counts as a try."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one order, over restarts."""

    asked: str = ""
    """The names, the key and the proof that the last try was for, so that another configuration is tried at once."""
    failures: int = 0
    """Since the last success."""
    not_before_s: float = 0.0
    """No try before this."""
    reason: Reason | None = None
    error: str = ""
    failed_s: float = 0.0
    """When the last failure was."""
    failed: list[float] = []
    """Failures of the last hour that count with the authority."""
    issued: list[float] = []
    """Certificates of the last week."""
    jitter: float = 0.0
    """Of this certificate, 0 to 1."""
    renew_s: float | None = None
    """When the authority wants it renewed (RFC 9773)."""
    ask_s: float = 0.0
    """When it is asked for that again."""


class Term(msgspec.Struct, frozen=True):
    """From when until when a certificate is good."""

    since_s: float
    until_s: float

    @property
    def length_s(self) -> float:
        """Its lifetime."""
        return max(0.0, self.until_s - self.since_s)


def renewal(term: Term, record: Record) -> float:
    """When a certificate that is there should be renewed, whatever went wrong before."""
    own = term.since_s + term.length_s * (RENEW_AT + JITTER * record.jitter)
    # An authority that revokes wants it sooner; one that has a mishap can't make it too late.
    return own if record.renew_s is None else min(record.renew_s, term.until_s - term.length_s / 10)


def due(term: Term | None, record: Record, asked: str) -> float:
    """When the next try is; 0 for at once. `term` is None where there is no certificate for these names."""
    wanted = 0.0 if term is None else renewal(term, record)
    held = record.not_before_s if record.asked == asked else 0.0
    return max(wanted, held, _room(record))


def begun(record: Record, asked: str, now: float) -> Record:
    """Before a try, for the case that nothing is heard of it any more: it counts, and has a short wait."""
    return msgspec.structs.replace(
        record,
        asked=asked,
        not_before_s=now + UNREACHABLE_S[0],
        reason=Reason.CANCELLED,
        error="the process ended while it asked",
        failed_s=now,
        failed=[at for at in record.failed if now - HOUR_S < at <= now] + [now],
    )


def failed(
    record: Record,
    reason: Reason,
    error: str,
    asked: str,
    now: float,
    term: Term | None,
    *,
    wait_s: float,
    random: float,
) -> Record:
    """After a try that came to nothing. `wait_s`: for how long the authority wants no other; `random`: 0 to 1."""
    failures = record.failures + 1 if record.asked == asked else 1
    first, longest = UNREACHABLE_S if reason in FREE else REFUSED_S
    if term is not None and reason not in FREE:
        longest = min(longest, max(HOUR_S, term.length_s * LATEST_SHARE))
    wait = min(first * 2.0 ** min(failures - 1, 30), longest) * (1 + random / 10)
    if reason is Reason.RATE_LIMITED:
        wait = max(wait, LIMITED_S if wait_s <= 0 else 0.0)
    if reason is Reason.CANCELLED:
        wait, failures = 0.0, failures - 1
    counted = [] if reason in FREE else [now]
    return msgspec.structs.replace(
        record,
        asked=asked,
        failures=failures,
        not_before_s=now + max(wait, min(wait_s, WEEK_S)),
        reason=reason,
        error=error,
        failed_s=now,
        failed=[at for at in record.failed if now - HOUR_S < at <= now] + counted,
    )


def succeeded(record: Record, asked: str, now: float, *, random: float) -> Record:
    """After a try that brought a certificate."""
    return Record(
        asked=asked,
        failed=[at for at in record.failed if now - HOUR_S < at <= now],
        issued=[at for at in record.issued if now - WEEK_S < at <= now] + [now],
        jitter=random,
    )


def _room(record: Record) -> float:
    """When the authority's limits have room for one more."""
    return max(_after(record.failed, FAILED_PER_HOUR, HOUR_S), _after(record.issued, ISSUED_PER_WEEK, WEEK_S))


def _after(times: list[float], most: int, span_s: float) -> float:
    return sorted(times)[-most] + span_s if len(times) >= most else 0.0
