//! Many threads spend at once: no account is overspent by more than calls were underestimated, and all sums are exact.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use std::sync::Barrier;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use proptest::prelude::*;
use tidegate_limit::{AccountSpec, Accounts, Amounts, Metric, Window};

const NOW: u64 = 1_790_000_000_000;
const THREADS: usize = 4;

fn budgets(limits: &[u64]) -> Vec<AccountSpec> {
    let each = limits.iter().enumerate();
    each.map(|(n, &limit)| AccountSpec {
        name: n.to_string(),
        metric: Metric::Usd,
        limit,
        window: Window::Month,
        opening: None,
    })
    .collect()
}

fn usd(usd: u64) -> Amounts {
    Amounts { requests: 1, input: 0, output: 0, usd: Some(usd) }
}

/// What a call is thought to cost and what it costs.
fn calls() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((1..40u64, 0..60u64), THREADS * 40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn parallel_calls_overspend_by_no_more_than_their_estimates_were_wrong(calls in calls(), limit in 100..1500u64) {
        let accounts = Accounts::new(&budgets(&[limit]), None);
        let booked = AtomicU64::new(0);
        thread::scope(|scope| {
            for mine in calls.chunks(calls.len() / THREADS) {
                let (accounts, booked) = (&accounts, &booked);
                scope.spawn(move || for (estimate, actual) in mine {
                    if let Ok(reservation) = accounts.reserve(&[0], &usd(*estimate), NOW, NOW + 60_000) {
                        thread::yield_now();
                        reservation.settle(&usd(*actual), NOW);
                        booked.fetch_add(*actual, SeqCst);
                    }
                });
            }
        });
        let view = accounts.view(0, NOW).unwrap();
        prop_assert_eq!((view.spent, view.reserved), (booked.into_inner(), 0), "the sum is the sum of the calls");
        // When the last was let in, all in flight fitted by their estimates; each thread had one call in flight.
        let worst = calls.iter().map(|(estimate, actual)| actual.saturating_sub(*estimate)).max().unwrap_or(0);
        prop_assert!(view.spent <= limit + worst * THREADS as u64, "{} of {limit}", view.spent);
    }

    #[test]
    fn calls_that_cost_no_more_than_their_estimate_never_overspend(calls in calls(), limit in 100..1500u64) {
        let accounts = Accounts::new(&budgets(&[limit, limit * 2]), None);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for (n, mine) in calls.chunks(calls.len() / THREADS).enumerate() {
                let (accounts, over) = (&accounts, &over);
                scope.spawn(move || for (estimate, actual) in mine {
                    let which: &[u32] = if n % 2 == 0 { &[0, 1] } else { &[1, 0] };
                    if let Ok(reservation) = accounts.reserve(which, &usd(*estimate), NOW, NOW + 60_000) {
                        let view = accounts.view(0, NOW).expect("it exists");
                        over.fetch_or(view.spent + view.reserved > limit, SeqCst);
                        reservation.settle(&usd(*actual.min(estimate)), NOW);
                    }
                });
            }
        });
        prop_assert!(!over.into_inner());
        prop_assert!(accounts.view(0, NOW).unwrap().spent <= limit);
    }

    #[test]
    fn calls_one_after_another_overspend_by_one_estimate_error(calls in calls(), limit in 100..1500u64) {
        let accounts = Accounts::new(&budgets(&[limit]), None);
        for (estimate, actual) in &calls {
            if let Ok(reservation) = accounts.reserve(&[0], &usd(*estimate), NOW, NOW + 60_000) {
                reservation.settle(&usd(*actual), NOW);
            }
        }
        let worst = calls.iter().map(|(estimate, actual)| actual.saturating_sub(*estimate)).max().unwrap_or(0);
        prop_assert!(accounts.view(0, NOW).unwrap().spent <= limit + worst);
    }
}

#[test]
fn refusals_and_refunds_under_threads_leave_nothing_behind() {
    let accounts = Accounts::new(&budgets(&[50, 40, 30, 20]), None);
    thread::scope(|scope| {
        for n in 0..THREADS as u32 {
            let accounts = &accounts;
            scope.spawn(move || {
                for round in 0..20_000 {
                    let which = [(n + round) % 4, (n + round * 3 + 1) % 4, round % 4];
                    drop(accounts.reserve(&which, &usd(u64::from(7 + n)), NOW, NOW + u64::from(round)));
                }
            });
        }
    });
    for index in 0..4 {
        let view = accounts.view(index, NOW).unwrap();
        assert_eq!((view.spent, view.reserved), (0, 0), "account {index}");
    }
}

#[test]
fn of_many_who_ask_at_the_same_moment_exactly_as_many_pass_as_can_be_paid() {
    for _ in 0..200 {
        let accounts = Accounts::new(&budgets(&[30, 25]), None);
        let start = Barrier::new(THREADS);
        let passed = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        accounts.reserve(&[0, 1], &usd(10), NOW, NOW + 60_000)
                    })
                })
                .collect();
            let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let view = accounts.view(1, NOW).unwrap();
            assert_eq!((view.spent, view.reserved), (0, 20));
            answers.iter().filter(|answer| answer.is_ok()).count()
        });
        assert_eq!(passed, 2);
    }
}

#[test]
fn plans_with_their_accounts_in_another_order_never_wait_for_each_other() {
    let specs = budgets(&[1_000_000_000; 6]);
    let old = Accounts::new(&specs, None);
    let reversed: Vec<_> = specs.into_iter().rev().collect();
    let new = Accounts::new(&reversed, Some(&old));
    thread::scope(|scope| {
        for accounts in [&old, &new, &old, &new] {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let reservation =
                        accounts.reserve(&[0, 1, 2, 3, 4, 5], &usd(2), NOW, NOW).expect("enough for all");
                    reservation.settle(&usd(1), NOW);
                }
            });
        }
    });
    for index in 0..6 {
        assert_eq!(old.view(index, NOW).map(|view| (view.spent, view.reserved)), Some((80_000, 0)));
    }
}
