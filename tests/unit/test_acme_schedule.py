"""When certificates are asked for: arithmetic, with the time as an argument."""

from __future__ import annotations

import pytest

from tidegate.acme import schedule
from tidegate.acme.schedule import HOUR_S, Reason, Record, Term, due, failed, renewal, succeeded

DAY_S = 86400.0
NOW = 1_700_000_000.0
TERM = Term(NOW, NOW + 90 * DAY_S)
ASKED = "these"


def failures(count: int, reason: Reason, *, term: Term | None = None, random: float = 0.0) -> list[float]:
    """How long is waited after each of several failures in a row, each tried as soon as that is allowed."""
    record, now, waits = Record(), NOW, []
    for _ in range(count):
        record = failed(record, reason, "it says no", ASKED, now, term, wait_s=0.0, random=random)
        at = due(None, record, ASKED)
        waits.append(record.not_before_s - now)
        now = at
    return waits


def test_a_certificate_is_renewed_at_two_thirds_of_its_life() -> None:
    assert renewal(TERM, Record()) == NOW + 60 * DAY_S


def test_jitter_spreads_renewals_over_a_twentieth_of_the_life() -> None:
    assert renewal(TERM, Record(jitter=1.0)) == pytest.approx(NOW + 64.5 * DAY_S)
    short = Term(NOW, NOW + 6 * DAY_S)
    assert renewal(short, Record(jitter=1.0)) == pytest.approx(NOW + 4.3 * DAY_S)


def test_the_authority_may_want_it_sooner_or_later_but_not_too_late() -> None:
    assert renewal(TERM, Record(renew_s=NOW + DAY_S)) == NOW + DAY_S
    assert renewal(TERM, Record(renew_s=NOW + 70 * DAY_S)) == NOW + 70 * DAY_S
    assert renewal(TERM, Record(renew_s=NOW + 500 * DAY_S)) == NOW + 81 * DAY_S


def test_what_is_not_there_is_asked_for_at_once() -> None:
    assert due(None, Record(), ASKED) == 0.0


def test_after_refusals_the_wait_doubles_up_to_a_day() -> None:
    waits = failures(9, Reason.CHALLENGE_FAILED)
    assert waits == [900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 57600.0, 86400.0, 86400.0]


def test_an_authority_that_was_not_reached_is_tried_again_sooner() -> None:
    assert failures(8, Reason.UNREACHABLE) == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]


def test_waits_are_spread_by_a_tenth() -> None:
    assert failures(1, Reason.REFUSED, random=1.0) == [pytest.approx(990.0)]


def test_certificates_of_a_few_days_are_tried_for_more_often() -> None:
    waits = failures(12, Reason.REFUSED, term=Term(NOW, NOW + 6 * DAY_S))
    assert waits[-1] == pytest.approx(6 * DAY_S / 20)
    assert failures(12, Reason.REFUSED, term=Term(NOW, NOW + 60.0))[-1] == HOUR_S


def test_an_authority_that_names_a_time_is_left_alone_until_then() -> None:
    record = failed(Record(), Reason.RATE_LIMITED, "", ASKED, NOW, None, wait_s=7 * HOUR_S, random=0.0)
    assert due(None, record, ASKED) == NOW + 7 * HOUR_S
    record = failed(Record(), Reason.RATE_LIMITED, "", ASKED, NOW, None, wait_s=0.0, random=0.0)
    assert due(None, record, ASKED) == NOW + HOUR_S
    record = failed(Record(), Reason.UNREACHABLE, "", ASKED, NOW, None, wait_s=1e12, random=0.0)
    assert due(None, record, ASKED) == NOW + schedule.WEEK_S


def test_another_configuration_is_tried_at_once_but_never_beyond_the_limits() -> None:
    record = Record()
    for at in range(schedule.FAILED_PER_HOUR):
        assert due(None, record, f"other {at}") <= NOW + at
        record = failed(record, Reason.REFUSED, "", f"other {at}", NOW + at, None, wait_s=0.0, random=0.0)
        assert record.failures == 1
    assert due(None, record, "yet another") == NOW + HOUR_S


def test_no_more_than_four_certificates_for_the_same_names_in_a_week() -> None:
    record = Record()
    for at in range(schedule.ISSUED_PER_WEEK):
        record = succeeded(record, ASKED, NOW + at, random=0.5)
    assert due(None, record, ASKED) == NOW + schedule.WEEK_S
    later = succeeded(record, ASKED, NOW + 2 * schedule.WEEK_S, random=0.5)
    assert due(None, later, ASKED) == 0.0


def test_a_success_forgets_what_went_wrong() -> None:
    record = failed(Record(), Reason.REFUSED, "no", ASKED, NOW, None, wait_s=0.0, random=0.0)
    after = succeeded(record, ASKED, NOW + 10, random=0.25)
    assert (after.failures, after.reason, after.error, after.jitter) == (0, None, "", 0.25)
    assert due(TERM, after, ASKED) == renewal(TERM, after)


def test_a_failed_renewal_waits_its_time_though_it_is_due() -> None:
    record = failed(Record(), Reason.REFUSED, "no", ASKED, NOW + 61 * DAY_S, TERM, wait_s=0.0, random=0.0)
    assert due(TERM, record, ASKED) == NOW + 61 * DAY_S + 900


def test_a_try_that_nothing_more_is_heard_of_counts() -> None:
    record = schedule.begun(Record(), ASKED, NOW)
    assert due(None, record, ASKED) == NOW + 60
    for at in range(1, schedule.FAILED_PER_HOUR):
        record = schedule.begun(record, ASKED, NOW + 60 * at)
    assert due(None, record, ASKED) == NOW + HOUR_S


def test_a_try_that_was_given_up_is_no_failure() -> None:
    record = failed(Record(), Reason.CANCELLED, "", ASKED, NOW, None, wait_s=0.0, random=0.0)
    assert (record.failures, due(None, record, ASKED)) == (0, NOW)
