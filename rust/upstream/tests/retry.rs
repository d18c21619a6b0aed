//! May we try again: a table of cases, the budget, the wait.

use tidegate_plan::{Retry, RetryReason};
use tidegate_upstream::{Attempted, Cause, RetryBudget, RetryPolicy, RetryVerdict, StopReason};

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// A GET that went out whole on a new connection, which then ended.
const FAILED: Attempted = Attempted {
    cause: Cause::Reset,
    method_idempotent: true,
    sent_any_byte: true,
    response_started: false,
    body_replayable: true,
    attempts_made: 1,
    reused_connection: false,
};

fn plan() -> Retry {
    Retry {
        attempts: 3,
        on: vec![RetryReason::Connect, RetryReason::Reset, RetryReason::Timeout, RetryReason::Status503],
        non_idempotent: false,
        budget_percent: 20,
        replay_bytes: 65_536,
    }
}

fn decide(plan: &Retry, failure: &Attempted) -> Option<StopReason> {
    match RetryPolicy::from(plan).decide(failure, &mut RetryBudget::new(1), 0) {
        RetryVerdict::Retry { .. } => None,
        RetryVerdict::Stop(reason) => Some(reason),
    }
}

#[test]
fn each_case_has_its_verdict() {
    use StopReason::*;
    let connect = Attempted { cause: Cause::Connect, sent_any_byte: false, ..FAILED };
    let post = Attempted { method_idempotent: false, ..FAILED };
    let stale = Attempted { reused_connection: true, ..FAILED };
    let status = |status| Attempted { cause: Cause::Status(status), ..FAILED };
    let table = [
        ("a GET whose connection ended", FAILED, None),
        ("a GET that timed out", Attempted { cause: Cause::Timeout, ..FAILED }, None),
        ("a GET answered with 503", status(503), None),
        ("a GET answered with a status not listed", status(502), Some(NotConfigured)),
        ("a GET answered with a status never listed", status(501), Some(NotConfigured)),
        (
            "what another attempt would not change",
            Attempted { cause: Cause::Other, ..FAILED },
            Some(NotConfigured),
        ),
        ("no connection", connect, None),
        ("no connection for a POST", Attempted { method_idempotent: false, ..connect }, None),
        ("no connection, the body gone by", Attempted { body_replayable: false, ..connect }, None),
        ("a POST whose connection ended", post, Some(NotIdempotent)),
        ("a POST answered with 503", Attempted { cause: Cause::Status(503), ..post }, Some(NotIdempotent)),
        (
            "a POST answered with 503 that claims that nothing was sent",
            Attempted { cause: Cause::Status(503), sent_any_byte: false, ..post },
            Some(NotIdempotent),
        ),
        ("a POST of which nothing was sent", Attempted { sent_any_byte: false, ..post }, None),
        ("a PUT whose body is gone", Attempted { body_replayable: false, ..FAILED }, Some(BodyGone)),
        ("a response begun", Attempted { response_started: true, ..FAILED }, Some(ResponseStarted)),
        (
            "a response begun, nothing sent",
            Attempted { response_started: true, ..connect },
            Some(ResponseStarted),
        ),
        ("a response begun, stale", Attempted { response_started: true, ..stale }, Some(ResponseStarted)),
        ("the second attempt of three", Attempted { attempts_made: 2, ..FAILED }, None),
        ("the third attempt of three", Attempted { attempts_made: 3, ..FAILED }, Some(AttemptsExhausted)),
        ("the third, nothing sent", Attempted { attempts_made: 3, ..connect }, Some(AttemptsExhausted)),
        ("the third of three, stale", Attempted { attempts_made: 3, ..stale }, None),
        ("the fourth of three, stale", Attempted { attempts_made: 4, ..stale }, Some(AttemptsExhausted)),
        ("stale with a GET", stale, None),
        (
            "stale with a POST that was sent",
            Attempted { method_idempotent: false, ..stale },
            Some(NotIdempotent),
        ),
        (
            "stale with a POST that could not be sent",
            Attempted { method_idempotent: false, sent_any_byte: false, ..stale },
            None,
        ),
        ("stale with a body that is gone", Attempted { body_replayable: false, ..stale }, Some(BodyGone)),
    ];
    for (what, failure, want) in table {
        assert_eq!(decide(&plan(), &failure), want, "{what}");
    }
}

#[test]
fn methods_that_are_not_idempotent_are_retried_where_the_plan_says_so() {
    let plan = Retry { non_idempotent: true, ..plan() };
    assert_eq!(decide(&plan, &Attempted { method_idempotent: false, ..FAILED }), None);
}

#[test]
fn a_stale_connection_is_made_up_for_even_without_retries() {
    let plan = Retry { attempts: 1, on: vec![], ..plan() };
    let stale = Attempted { reused_connection: true, ..FAILED };
    assert!(stale.stale());
    assert_eq!(decide(&plan, &stale), None);
    assert_eq!(decide(&plan, &Attempted { attempts_made: 2, ..stale }), Some(StopReason::AttemptsExhausted));
    assert_eq!(decide(&plan, &FAILED), Some(StopReason::NotConfigured));
}

#[test]
fn a_slow_or_refusing_endpoint_is_not_taken_for_a_stale_connection() {
    for cause in [Cause::Timeout, Cause::Connect, Cause::Status(503), Cause::Other] {
        assert!(!Attempted { cause, reused_connection: true, ..FAILED }.stale());
    }
}

#[test]
fn every_reason_of_the_plan_is_understood() {
    let causes = [
        (RetryReason::Connect, Cause::Connect),
        (RetryReason::Reset, Cause::Reset),
        (RetryReason::Timeout, Cause::Timeout),
        (RetryReason::Status500, Cause::Status(500)),
        (RetryReason::Status502, Cause::Status(502)),
        (RetryReason::Status503, Cause::Status(503)),
        (RetryReason::Status504, Cause::Status(504)),
        (RetryReason::Status429, Cause::Status(429)),
    ];
    for (reason, _) in causes {
        let plan = Retry { on: vec![reason], ..plan() };
        for (other, cause) in causes {
            let want = (other != reason).then_some(StopReason::NotConfigured);
            assert_eq!(decide(&plan, &Attempted { cause, ..FAILED }), want, "{reason:?} and {cause:?}");
        }
    }
}

#[test]
fn a_status_is_considered_only_where_a_retry_could_follow() {
    let policy = RetryPolicy::from(&plan());
    assert!(policy.considers(503) && !policy.considers(502) && !policy.considers(200));
    assert!(!RetryPolicy::from(&Retry { attempts: 1, ..plan() }).considers(503));
}

#[test]
fn the_second_attempt_comes_at_once_and_later_ones_wait_longer_and_longer() {
    let policy = RetryPolicy::from(&Retry { attempts: 16, ..plan() });
    for (made, whole) in [(1, 0), (2, 25), (3, 50), (4, 100), (5, 200), (6, 250), (15, 250)] {
        let waits: Vec<u64> = (0..100)
            .map(|seed| {
                let failure = Attempted { attempts_made: made, ..FAILED };
                match policy.decide(&failure, &mut RetryBudget::new(seed), 0) {
                    RetryVerdict::Retry { delay_ns } => delay_ns,
                    RetryVerdict::Stop(reason) => panic!("{reason:?}"),
                }
            })
            .collect();
        assert!(waits.iter().all(|wait| (whole * MS / 2..=whole * MS).contains(wait)), "{made}: {waits:?}");
        assert!(whole == 0 || waits.iter().any(|wait| *wait != waits[0]), "{made}: no jitter");
    }
}

/// Retries until the budget says no.
fn spend(budget: &mut RetryBudget, now: u64) -> u32 {
    let policy = RetryPolicy::from(&plan());
    (0..10_000)
        .take_while(|_| policy.decide(&FAILED, budget, now) != RetryVerdict::Stop(StopReason::BudgetSpent))
        .count() as u32
}

#[test]
fn ten_retries_in_ten_seconds_are_always_allowed() {
    let mut budget = RetryBudget::new(1);
    assert_eq!(spend(&mut budget, 5 * SECOND), 10);
    assert_eq!(spend(&mut budget, 14 * SECOND), 0);
    assert_eq!(spend(&mut budget, 15 * SECOND), 10);
}

#[test]
fn beyond_ten_the_budget_is_a_share_of_the_requests_in_the_window() {
    let mut budget = RetryBudget::new(1);
    for second in 0..10 {
        (0..100).for_each(|_| budget.request(second * SECOND));
    }
    assert_eq!(spend(&mut budget, 9 * SECOND), 200);
    assert_eq!(budget.retried(), 200);
    // A second later a tenth of the requests has left the window, and no retry.
    assert_eq!(spend(&mut budget, 10 * SECOND), 0);
    // After long silence everything has.
    assert_eq!(spend(&mut budget, 1_000 * SECOND), 10);
}

#[test]
fn a_stale_connection_takes_nothing_out_of_the_budget() {
    let mut budget = RetryBudget::new(1);
    assert_eq!(spend(&mut budget, 0), 10);
    let stale = Attempted { reused_connection: true, ..FAILED };
    let verdict = RetryPolicy::from(&plan()).decide(&stale, &mut budget, 0);
    assert_eq!(verdict, RetryVerdict::Retry { delay_ns: 0 });
    assert_eq!(budget.retried(), 10);
}

#[test]
fn what_is_refused_for_another_reason_takes_nothing_out_of_the_budget() {
    let mut budget = RetryBudget::new(1);
    let failure = Attempted { attempts_made: 3, ..FAILED };
    let verdict = RetryPolicy::from(&plan()).decide(&failure, &mut budget, 0);
    assert_eq!(verdict, RetryVerdict::Stop(StopReason::AttemptsExhausted));
    assert_eq!(budget.retried(), 0);
}
