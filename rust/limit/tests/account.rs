//! Accounts: all or nothing, exact sums, windows, holds that expire, plans that follow one another.

#![allow(clippy::unwrap_used, reason = "the helpers are parts of tests")]

use proptest::prelude::*;
use tidegate_limit::{AccountSpec, Accounts, Amounts, Metric, View, Window};

/// Within a minute, an hour, a day; three days before the end of a month.
const NOW: u64 = 1_790_000_030_000;
const MINUTE: u64 = 60_000;
const LATER: u64 = NOW + 30 * MINUTE;

fn spec(name: &str, metric: Metric, limit: u64, window: Window) -> AccountSpec {
    AccountSpec { name: name.into(), metric, limit, window, opening: None }
}

fn tokens(input: u64, output: u64) -> Amounts {
    Amounts { requests: 1, input, output, usd: Some(0) }
}

fn usd(usd: u64) -> Amounts {
    Amounts { requests: 1, input: 0, output: 0, usd: Some(usd) }
}

fn has(accounts: &Accounts, index: u32, now: u64) -> (u64, u64) {
    let View { spent, reserved, .. } = accounts.view(index, now).unwrap();
    (spent, reserved)
}

#[test]
fn each_metric_counts_its_own() {
    let metrics = [
        Metric::Requests,
        Metric::InputTokens,
        Metric::OutputTokens,
        Metric::Tokens,
        Metric::Usd,
        Metric::InFlight,
    ];
    let specs: Vec<_> =
        metrics.iter().map(|&metric| spec(&format!("{metric:?}"), metric, 1000, Window::None)).collect();
    let accounts = Accounts::new(&specs, None);
    let estimate = Amounts { requests: 1, input: 10, output: 20, usd: Some(300) };
    let reservation = accounts.reserve(&[0, 1, 2, 3, 4, 5], &estimate, NOW, LATER).unwrap();
    let seen: Vec<_> = (0..6).map(|index| has(&accounts, index, NOW)).collect();
    assert_eq!(seen, [(1, 0), (0, 10), (0, 20), (0, 30), (0, 300), (0, 1)]);
    reservation.settle(&Amounts { requests: 1, input: 11, output: 5, usd: Some(200) }, NOW);
    let seen: Vec<_> = (0..6).map(|index| has(&accounts, index, NOW)).collect();
    assert_eq!(seen, [(1, 0), (11, 0), (5, 0), (16, 0), (200, 0), (0, 0)]);
}

#[test]
fn where_one_account_cannot_pay_none_holds_anything() {
    let specs = [
        spec("a", Metric::Tokens, 100, Window::Hour),
        spec("b", Metric::Requests, 100, Window::Hour),
        spec("c", Metric::Tokens, 29, Window::Hour),
    ];
    let accounts = Accounts::new(&specs, None);
    let refused = accounts.reserve(&[0, 1, 2], &tokens(10, 20), NOW, LATER).unwrap_err();
    assert_eq!((refused.account, refused.limit, refused.spent, refused.asked), (2, 29, 0, 30));
    assert_eq!(refused.resets_at_ms, Some(Window::Hour.bounds(NOW).1));
    for index in 0..3 {
        assert_eq!(has(&accounts, index, NOW), (0, 0));
    }
}

#[test]
fn the_last_of_a_budget_may_be_spent_and_no_more() {
    let accounts = Accounts::new(&[spec("a", Metric::Usd, 100, Window::Day)], None);
    accounts.reserve(&[0], &usd(40), NOW, LATER).unwrap().settle(&usd(40), NOW);
    let held = accounts.reserve(&[0], &usd(60), NOW, LATER).unwrap();
    assert!(accounts.reserve(&[0], &usd(1), NOW, LATER).is_err());
    held.settle(&usd(59), NOW);
    drop(accounts.reserve(&[0], &usd(1), NOW, LATER).unwrap());
}

#[test]
fn of_several_that_cannot_pay_the_one_that_waits_longest_is_named() {
    let specs = [
        spec("minute", Metric::Tokens, 1, Window::Minute),
        spec("month", Metric::Tokens, 1, Window::Month),
        spec("hour", Metric::Tokens, 1, Window::Hour),
        spec("flight", Metric::InFlight, 0, Window::None),
    ];
    let accounts = Accounts::new(&specs, None);
    let name = |which: &[u32]| accounts.reserve(which, &tokens(2, 0), NOW, LATER).unwrap_err().account;
    assert_eq!(name(&[0, 1, 2, 3]), 1);
    assert_eq!(name(&[2, 0, 3]), 2);
    assert_eq!(name(&[3, 0]), 0);
    assert_eq!(name(&[3]), 3);
}

#[test]
fn a_dropped_call_counts_nowhere() {
    let specs =
        [spec("requests", Metric::Requests, 1, Window::Minute), spec("usd", Metric::Usd, 10, Window::Month)];
    let accounts = Accounts::new(&specs, None);
    for _ in 0..3 {
        let reservation = accounts.reserve(&[0, 1], &usd(10), NOW, LATER).unwrap();
        assert!(accounts.reserve(&[0], &usd(0), NOW, LATER).is_err());
        drop(reservation);
        assert_eq!((has(&accounts, 0, NOW), has(&accounts, 1, NOW)), ((0, 0), (0, 0)));
    }
}

#[test]
fn an_account_named_twice_pays_once_and_an_unknown_one_pays_nothing() {
    let accounts = Accounts::new(&[spec("a", Metric::Tokens, 100, Window::Day)], None);
    let reservation = accounts.reserve(&[0, 7, 0], &tokens(60, 0), NOW, LATER).unwrap();
    assert_eq!(has(&accounts, 0, NOW), (0, 60));
    reservation.settle(&tokens(60, 0), NOW);
    assert_eq!(has(&accounts, 0, NOW), (60, 0));
    assert_eq!(accounts.view(7, NOW), None);
}

#[test]
fn two_accounts_that_became_one_by_their_name_pay_once() {
    let same = [spec("a", Metric::Tokens, 100, Window::Day), spec("a", Metric::Tokens, 100, Window::Day)];
    let accounts = Accounts::new(&same, Some(&Accounts::new(&same[..1], None)));
    let reservation = accounts.reserve(&[0, 1], &tokens(60, 0), NOW, LATER).unwrap();
    reservation.settle(&tokens(60, 0), NOW);
    assert_eq!((has(&accounts, 0, NOW), has(&accounts, 1, NOW)), ((60, 0), (60, 0)));
}

#[test]
fn a_new_window_begins_with_what_calls_in_flight_hold() {
    let accounts = Accounts::new(&[spec("a", Metric::Tokens, 100, Window::Minute)], None);
    accounts.reserve(&[0], &tokens(50, 0), NOW, LATER).unwrap().settle(&tokens(50, 0), NOW);
    let across = accounts.reserve(&[0], &tokens(50, 0), NOW, LATER).unwrap();
    let next = NOW + MINUTE;
    assert_eq!(has(&accounts, 0, next), (0, 50));
    assert!(accounts.reserve(&[0], &tokens(51, 0), next, LATER).is_err());
    across.settle(&tokens(30, 0), next);
    assert_eq!(has(&accounts, 0, next), (30, 0), "it is booked where it settles");
}

#[test]
fn a_request_counts_in_the_window_in_which_it_was_let_in() {
    let accounts = Accounts::new(&[spec("a", Metric::Requests, 1, Window::Minute)], None);
    let first = accounts.reserve(&[0], &tokens(0, 0), NOW, LATER).unwrap();
    assert!(accounts.reserve(&[0], &tokens(0, 0), NOW, LATER).is_err());
    let next = NOW + MINUTE;
    let second = accounts.reserve(&[0], &tokens(0, 0), next, LATER).unwrap();
    first.settle(&tokens(1, 1), next);
    assert_eq!(has(&accounts, 0, next), (1, 0));
    second.settle(&tokens(1, 1), next);
    assert_eq!(has(&accounts, 0, next), (1, 0));
    let third = accounts.reserve(&[0], &tokens(0, 0), next + MINUTE, LATER).unwrap();
    assert_eq!(has(&accounts, 0, next + 2 * MINUTE), (0, 0));
    drop(third);
    assert_eq!(has(&accounts, 0, next + 2 * MINUTE), (0, 0), "a refund never reaches another window");
}

#[test]
fn an_opening_counts_in_its_own_window_only() {
    let opening =
        |at_ms| AccountSpec { opening: Some((at_ms, 70)), ..spec("a", Metric::Usd, 100, Window::Month) };
    let month = Window::Month.bounds(NOW).0;
    assert_eq!(has(&Accounts::new(&[opening(month)], None), 0, NOW), (70, 0));
    assert_eq!(has(&Accounts::new(&[opening(month - 1)], None), 0, NOW), (0, 0));
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_back_and_blocks_nothing() {
    let accounts = Accounts::new(&[spec("a", Metric::Tokens, 100, Window::Month)], None);
    let wrong = NOW + 400 * 24 * 60 * MINUTE;
    accounts.reserve(&[0], &tokens(60, 0), wrong, wrong).unwrap().settle(&tokens(60, 0), wrong);
    let view = accounts.view(0, NOW).unwrap();
    assert_eq!((view.spent, view.resets_at_ms), (60, Some(Window::Month.bounds(NOW).1)));
    assert_eq!(has(&accounts, 0, Window::Month.bounds(NOW).1), (0, 0));
}

#[test]
fn a_thread_whose_clock_is_a_little_late_books_into_the_new_window() {
    let accounts = Accounts::new(&[spec("a", Metric::Tokens, 100, Window::Minute)], None);
    let turn = Window::Minute.bounds(NOW).1;
    accounts.reserve(&[0], &tokens(10, 0), turn, LATER).unwrap().settle(&tokens(10, 0), turn);
    accounts.reserve(&[0], &tokens(10, 0), turn - 1, LATER).unwrap().settle(&tokens(10, 0), turn - 1);
    assert_eq!(has(&accounts, 0, turn), (20, 0));
}

#[test]
fn an_unknown_price_needs_something_left_and_books_nothing() {
    let accounts = Accounts::new(&[spec("a", Metric::Usd, 10, Window::Day)], None);
    let unknown = Amounts { usd: None, ..usd(0) };
    let reservation = accounts.reserve(&[0], &unknown, NOW, LATER).unwrap();
    assert_eq!(has(&accounts, 0, NOW), (0, 0));
    reservation.settle(&unknown, NOW);
    assert_eq!(has(&accounts, 0, NOW), (0, 0));
    accounts.reserve(&[0], &unknown, NOW, LATER).unwrap().settle(&usd(10), NOW);
    assert_eq!(has(&accounts, 0, NOW), (10, 0), "the price was known in the end");
    assert!(accounts.reserve(&[0], &unknown, NOW, LATER).is_err());
}

#[test]
fn a_hold_that_is_too_old_is_taken_back_and_still_settles() {
    let specs = [spec("a", Metric::Tokens, 100, Window::None), spec("b", Metric::InFlight, 1, Window::None)];
    let accounts = Accounts::new(&specs, None);
    let hung = accounts.reserve(&[0, 1], &tokens(100, 0), NOW, NOW + MINUTE).unwrap();
    assert!(accounts.reserve(&[0], &tokens(1, 0), NOW + MINUTE - 1, LATER).is_err());
    let after = NOW + MINUTE + 10_000;
    let other = accounts.reserve(&[0, 1], &tokens(40, 0), after, after + 1).unwrap();
    hung.settle(&tokens(90, 0), after);
    assert_eq!((has(&accounts, 0, after), has(&accounts, 1, after)), ((90, 40), (0, 1)));
    drop(other);
    assert_eq!((has(&accounts, 0, after), has(&accounts, 1, after)), ((90, 0), (0, 0)));
}

#[test]
fn what_a_call_takes_beyond_its_estimate_is_seen_before_it_ends() {
    let accounts = Accounts::new(&[spec("a", Metric::OutputTokens, 100, Window::Day)], None);
    let mut long = accounts.reserve(&[0], &tokens(0, 10), NOW, LATER).unwrap();
    assert_eq!(long.add(&tokens(0, 80), NOW, LATER), Ok(()));
    assert!(accounts.reserve(&[0], &tokens(0, 11), NOW, LATER).is_err());
    let over = long.add(&tokens(0, 30), NOW, LATER).unwrap_err();
    assert_eq!((over.account, over.reserved), (0, 120));
    assert_eq!(has(&accounts, 0, NOW), (0, 120));
    long.settle(&tokens(0, 120), NOW);
    assert_eq!(has(&accounts, 0, NOW), (120, 0));
}

#[test]
fn growing_a_hold_that_was_taken_back_holds_all_of_it_again() {
    let accounts = Accounts::new(&[spec("a", Metric::Tokens, 100, Window::None)], None);
    let mut call = accounts.reserve(&[0], &tokens(30, 0), NOW, NOW).unwrap();
    let later = NOW + MINUTE;
    assert_eq!(has(&accounts, 0, later), (0, 0));
    call.add(&tokens(5, 0), later, LATER).unwrap();
    assert_eq!(has(&accounts, 0, later), (0, 35));
    drop(call);
    assert_eq!(has(&accounts, 0, later), (0, 0));
}

#[test]
fn a_call_of_an_old_plan_settles_into_the_account_of_the_new_one() {
    let old = Accounts::new(
        &[spec("gone", Metric::Tokens, 9, Window::Day), spec("a", Metric::Tokens, 100, Window::Day)],
        None,
    );
    let call = old.reserve(&[1], &tokens(50, 0), NOW, LATER).unwrap();
    let raised = AccountSpec { opening: Some((NOW, 7)), ..spec("a", Metric::Tokens, 200, Window::Day) };
    let new = Accounts::new(&[raised], Some(&old));
    assert_eq!(has(&new, 0, NOW), (0, 50), "the opening is older than the state");
    drop(new.reserve(&[0], &tokens(150, 0), NOW, LATER).unwrap());
    assert!(old.reserve(&[1], &tokens(51, 0), NOW, LATER).is_err(), "an old call still has its old limit");
    drop(old);
    call.settle(&tokens(60, 0), NOW);
    assert_eq!(has(&new, 0, NOW), (60, 0));
}

#[test]
fn an_account_that_means_something_else_now_begins_anew() {
    let old = Accounts::new(&[spec("a", Metric::Tokens, 100, Window::Day)], None);
    old.reserve(&[0], &tokens(50, 0), NOW, LATER).unwrap().settle(&tokens(50, 0), NOW);
    for other in [spec("a", Metric::Tokens, 100, Window::Week), spec("a", Metric::Usd, 100, Window::Day)] {
        assert_eq!(has(&Accounts::new(&[other], Some(&old)), 0, NOW), (0, 0));
    }
}

#[test]
fn absurd_amounts_are_refused_and_refunded_exactly() {
    let accounts = Accounts::new(
        &[spec("a", Metric::Tokens, 100, Window::Day), spec("b", Metric::Tokens, u64::MAX, Window::Day)],
        None,
    );
    assert!(accounts.reserve(&[0], &tokens(u64::MAX, u64::MAX), NOW, LATER).is_err());
    let small = accounts.reserve(&[1], &tokens(5, 0), NOW, u64::MAX).unwrap();
    let mut big = accounts.reserve(&[1], &tokens(3, 0), NOW, u64::MAX).unwrap();
    assert!(big.add(&tokens(u64::MAX, 1), NOW, u64::MAX).is_err());
    assert_eq!(has(&accounts, 1, NOW), (0, u64::MAX));
    drop(big);
    assert_eq!(has(&accounts, 1, NOW), (0, 5));
    drop(small);
    assert_eq!(has(&accounts, 1, NOW), (0, 0));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Reserve { which: Vec<u32>, amount: u64, runs: u64 },
    Settle { call: usize, amount: u64 },
    Drop { call: usize },
    Add { call: usize, amount: u64 },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::collection::vec(0..4u32, 1..5), 0..60u64, 0..90_000u64)
            .prop_map(|(which, amount, runs)| Step::Reserve { which, amount, runs }),
        2 => (any::<usize>(), 0..80u64).prop_map(|(call, amount)| Step::Settle { call, amount }),
        1 => any::<usize>().prop_map(|call| Step::Drop { call }),
        1 => (any::<usize>(), 0..20u64).prop_map(|(call, amount)| Step::Add { call, amount }),
        1 => (0..50_000u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// A call as a plain program would keep it: which accounts, how much, until when.
struct Known {
    which: Vec<u32>,
    amount: u64,
    until: u64,
}

const LIMITS: [(Window, u64); 4] =
    [(Window::Minute, 100), (Window::Hour, 300), (Window::None, 1000), (Window::Day, 150)];

proptest! {
    #[test]
    fn any_history_gives_the_sums_of_a_plain_list(steps in prop::collection::vec(step(), 1..120)) {
        let specs: Vec<_> = (0..).zip(LIMITS).map(|(n, (window, limit)): (u32, _)| {
            spec(&n.to_string(), Metric::InputTokens, limit, window)
        }).collect();
        let accounts = Accounts::new(&specs, None);
        let mut now = NOW;
        let mut calls = Vec::new();
        let mut booked: Vec<(u32, u64, u64)> = Vec::new();
        let spent = |booked: &[(u32, u64, u64)], account: u32, now| -> u64 {
            let start = LIMITS[account as usize].0.bounds(now).0;
            booked.iter().filter(|(a, at, _)| *a == account && *at >= start).map(|(_, _, amount)| amount).sum()
        };
        let reserved = |calls: &[(_, Known)], account: u32, now| -> u64 {
            let holds = calls.iter().filter(|(_, call): &&(_, Known)| call.which.contains(&account) && call.until > now);
            holds.map(|(_, call)| call.amount).sum()
        };
        for step in steps {
            match step {
                Step::Reserve { mut which, amount, runs } => {
                    let until = (now + runs).next_multiple_of(10_000).max(now + 1).next_multiple_of(10_000);
                    let fits = which.iter().all(|&account| {
                        spent(&booked, account, now) + reserved(&calls, account, now) + amount
                            <= LIMITS[account as usize].1
                    });
                    let answer = accounts.reserve(&which, &tokens(amount, 0), now, now + runs);
                    prop_assert_eq!(answer.is_ok(), fits);
                    which.dedup();
                    if let Ok(reservation) = answer {
                        calls.push((reservation, Known { which, amount, until }));
                    }
                }
                Step::Settle { call, amount } if !calls.is_empty() => {
                    let (reservation, known) = calls.swap_remove(call % calls.len());
                    reservation.settle(&tokens(amount, 0), now);
                    let mut which = known.which;
                    which.sort_unstable();
                    which.dedup();
                    booked.extend(which.into_iter().map(|account| (account, now, amount)));
                }
                Step::Drop { call } if !calls.is_empty() => drop(calls.swap_remove(call % calls.len())),
                Step::Add { call, amount } if !calls.is_empty() => {
                    let index = call % calls.len();
                    let (reservation, known) = &mut calls[index];
                    let _ = reservation.add(&tokens(amount, 0), now, now + 40_000);
                    known.amount += amount;
                    known.until = (now + 40_000).next_multiple_of(10_000);
                }
                Step::Wait { ms } => now += ms,
                _ => {}
            }
            for account in 0..4 {
                let wanted = (spent(&booked, account, now), reserved(&calls, account, now));
                prop_assert_eq!(has(&accounts, account, now), wanted, "account {} at {}", account, now);
            }
        }
        calls.clear();
        for account in 0..4 {
            prop_assert_eq!(has(&accounts, account, now), (spent(&booked, account, now), 0));
        }
    }
}

#[test]
fn what_was_spent_elsewhere_is_booked_into_the_window_that_it_was_spent_in() {
    let accounts = Accounts::new(
        &[
            spec("minute", Metric::Usd, 1000, Window::Minute),
            spec("ever", Metric::Usd, 1000, Window::None),
            spec("now", Metric::InFlight, 1000, Window::None),
        ],
        None,
    );
    let spent = |name: &str, at| (name.to_owned(), at, 7);
    accounts.book(
        &[
            spent("minute", NOW),
            spent("minute", NOW - MINUTE),
            spent("ever", NOW),
            spent("ever", NOW - MINUTE),
            spent("now", NOW),
            spent("nobody's", NOW),
        ],
        NOW,
    );
    let seen: Vec<_> = (0..3).map(|index| has(&accounts, index, NOW)).collect();
    assert_eq!(seen, [(7, 0), (14, 0), (0, 0)]);
}
