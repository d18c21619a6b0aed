"""Why no certificate came, in plain words: whose fault it is, and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidegate.acme.schedule import Reason
from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from collections.abc import Sequence

DETAIL_MOST: Final = 300
"""Characters of an authority's own words: it may say anything."""

_PROBLEMS: Final[dict[str, tuple[Reason, str, str]]] = {
    "accountDoesNotExist": (Reason.ACCOUNT, "the authority does not know the account", "another one is made"),
    "badCSR": (Reason.REFUSED, "the authority does not take the request", "try the other `key`"),
    "caa": (
        Reason.CHALLENGE_FAILED,
        "the CAA records of the domain forbid this authority",
        "add it to them, or name another `directory`",
    ),
    "connection": (
        Reason.CHALLENGE_FAILED,
        "the authority can't connect to the domain",
        "see that its address leads here, and that no firewall is before port 80 (`http-01`) or 443 (`tls-alpn-01`)",
    ),
    "dns": (
        Reason.CHALLENGE_FAILED,
        "the authority finds no address of the domain",
        "see that A and AAAA records lead here",
    ),
    "dnssec": (Reason.CHALLENGE_FAILED, "the signatures of the domain's records are wrong", "mend its DNSSEC"),
    "externalAccountRequired": (
        Reason.ACCOUNT,
        "the authority wants an account that there is already",
        "write `eab: {kid: …, hmac: …}` with what it gave you",
    ),
    "incorrectResponse": (
        Reason.CHALLENGE_FAILED,
        "something else answered to the authority than this Tidegate",
        "see that the domain's addresses, all of them, lead here",
    ),
    "invalidContact": (Reason.ACCOUNT, "the authority does not take the mail address", "write another `email`"),
    "malformed": (Reason.NOT_ACME, "the authority does not understand the request", "see that `directory` is right"),
    "orderNotReady": (Reason.REFUSED, "the authority does not finish the order", "see what it says of the names"),
    "rateLimited": (
        Reason.RATE_LIMITED,
        "the authority has had too many requests for this account or these names",
        "nothing: it is asked again when it allows that",
    ),
    "rejectedIdentifier": (
        Reason.REFUSED,
        "the authority gives no certificates for one of the names",
        "leave it out, or name another `directory`",
    ),
    "serverInternal": (Reason.NOT_ACME, "the authority has a fault of its own", "nothing: it is asked again"),
    "tls": (
        Reason.CHALLENGE_FAILED,
        "the authority found other TLS than this Tidegate's",
        "see that nothing before it ends TLS, or use `http-01`",
    ),
    "unauthorized": (
        Reason.CHALLENGE_FAILED,
        "something else answered to the authority than this Tidegate, or the account may not do this",
        "see that the domain's addresses, all of them, lead here",
    ),
    "unsupportedContact": (Reason.ACCOUNT, "the authority does not take the mail address", "write another `email`"),
    "unsupportedIdentifier": (Reason.REFUSED, "the authority gives no certificates for such names", "leave them out"),
    "userActionRequired": (
        Reason.ACCOUNT,
        "the authority wants you to do something, as a rule to agree to new terms",
        "do what it says",
    ),
}


class Fault(TidegateError):
    """No certificate came; `wait_s` is for how long the authority wants to be left alone."""

    def __init__(self, reason: Reason, text: str, wait_s: float = 0.0) -> None:
        super().__init__(f"{reason.value}: {text}")
        self.reason = reason
        self.text = text
        self.wait_s = wait_s


def from_problem(code: str, detail: str, parts: Sequence[tuple[str, str]], wait_s: float = 0.0) -> Fault:
    """From a problem document (RFC 8555 section 6.7): its type, what it says, and what it says of single names."""
    reason, what, right = _PROBLEMS.get(code, (Reason.REFUSED, f"the authority refuses (`{_clean(code)[:40]}`)", ""))
    told = [detail, *(f"{name}: {text}" if name else text for name, text in parts)]
    said = _clean("; ".join(text for text in told if text))[:DETAIL_MOST]
    return Fault(reason, what + (f" (it says: {said})" if said else "") + (f"; {right}" if right else ""), wait_s)


def _clean(text: str) -> str:
    """On one line, and nothing that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)
