"""What an authority says becomes plain words: whose fault it is, and what would be right."""

from __future__ import annotations

import pytest

from tidegate.acme.fault import DETAIL_MOST, from_problem
from tidegate.acme.schedule import Reason


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("rateLimited", Reason.RATE_LIMITED, "too many requests"),
        ("rejectedIdentifier", Reason.REFUSED, "gives no certificates for one of the names"),
        ("caa", Reason.CHALLENGE_FAILED, "CAA records of the domain forbid this authority"),
        ("dns", Reason.CHALLENGE_FAILED, "see that A and AAAA records lead here"),
        ("externalAccountRequired", Reason.ACCOUNT, "write `eab:"),
        ("serverInternal", Reason.NOT_ACME, "a fault of its own"),
        ("somethingNew", Reason.REFUSED, "the authority refuses (`somethingNew`)"),
    ],
)
def test_each_problem_has_its_reason_and_its_remedy(code: str, reason: Reason, words: str) -> None:
    fault = from_problem(code, "", ())
    assert fault.reason is reason
    assert words in fault.text
    assert str(fault) == f"{reason.value}: {fault.text}"


def test_what_it_says_of_single_names_is_told() -> None:
    fault = from_problem("rejectedIdentifier", "some names", [("b.example", "is blocked")])
    assert "(it says: some names; b.example: is blocked)" in fault.text


def test_an_authority_writes_no_lines_of_its_own_into_the_log() -> None:
    fault = from_problem("malformed\n", "first\r\nsecond \x1b[31m" + "x" * 10_000, ())
    assert fault.text.isprintable()
    assert len(fault.text) < DETAIL_MOST + 200


def test_how_long_it_wants_to_be_left_alone_is_kept() -> None:
    assert from_problem("rateLimited", "", (), 90.0).wait_s == 90.0
