//! Decisions against two oracles: `governor` where a token takes whole nanoseconds, exact fractions where it does not.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::FakeRelativeClock;
use proptest::prelude::*;
use tidegate_limit::{Decision, Quota, Table};

const KEY: u64 = 0x1234_5678_9abc_def0;

/// A wait in nanoseconds, then a cost.
fn steps(longest: u64) -> impl Strategy<Value = Vec<(u64, u32)>> {
    let wait = prop_oneof![Just(0), 0..longest / 20 + 2, 0..longest + 2];
    prop::collection::vec((wait, prop_oneof![4 => Just(1u32), 1 => 1u32..8]), 1..200)
}

proptest! {
    /// Where a token takes whole nanoseconds nothing is rounded on either side, so every decision is the same.
    #[test]
    fn decisions_are_those_of_governor(
        interval_ms in 1u64..5000,
        burst in 1u32..12,
        start in 0u64..1 << 40,
        steps in steps(20_000_000_000),
    ) {
        let clock = FakeRelativeClock::default();
        let theirs = governor::Quota::with_period(Duration::from_millis(interval_ms))
            .unwrap()
            .allow_burst(NonZeroU32::new(burst).unwrap());
        let theirs = RateLimiter::direct_with_clock(theirs, clock.clone());
        let ours = Table::new(1);
        let quota = Quota::new(1, interval_ms, burst, 0).unwrap();
        let mut now = start;
        for (wait, cost) in steps {
            clock.advance(Duration::from_nanos(wait));
            now += wait;
            let admitted = matches!(ours.take(KEY, &quota, cost, now), Decision::Allow { .. });
            let expected = matches!(theirs.check_n(NonZeroU32::new(cost).unwrap()), Ok(Ok(())));
            prop_assert_eq!(admitted, expected, "at {}, cost {}", now - start, cost);
        }
    }

    /// The exact bucket is charged whenever ours admits. It never runs dry, so we never admit too much; and when we
    /// refuse it lacks the tokens too, but for the 1/32 ns that each admitted token may have been rounded up by.
    #[test]
    fn no_rate_is_exceeded_and_none_is_missed_by_more_than_a_32nd_of_a_nanosecond_per_token(
        tokens in prop_oneof![1u32..20, 900_000u32..1_100_000, 1u32..=u32::MAX],
        per_ms in prop_oneof![Just(1u64), Just(1000), 1u64..100_000],
        burst in 1u32..12,
        start in 0u64..1 << 50,
        steps in steps(2_000_000_000),
    ) {
        let table = Table::new(1);
        let quota = Quota::new(tokens, per_ms, burst, 0).unwrap();
        // In units of 1/32 ns divided by `tokens`, so that every figure is whole: `per` units are one token.
        let per = u128::from(per_ms) * 32_000_000;
        let full = per * u128::from(burst);
        let mut level = full;
        let mut spent = 0u128;
        let mut now = start;
        for (wait, cost) in steps {
            now += wait;
            let back = u128::from(wait) * 32 * u128::from(tokens);
            level = full.min(level + back);
            let cost_units = per * u128::from(cost);
            match table.take(KEY, &quota, cost, now) {
                Decision::Allow { .. } => {
                    prop_assert!(cost_units <= level, "too much at {now}");
                    level -= cost_units;
                    spent += u128::from(cost);
                }
                _ => {
                    // A unit of ours is `tokens` of these; the burst itself is rounded up alike.
                    let slack = (spent + u128::from(burst)) * u128::from(tokens);
                    prop_assert!(level < cost_units + slack || cost > burst, "too little at {now}");
                }
            }
        }
    }

    /// Held back, requests leave in the order in which they came, each at a time at which the rate lets it go.
    #[test]
    fn delayed_requests_leave_in_order_and_at_the_rate(
        interval_ms in 1u64..200,
        burst in 1u32..5,
        delay_ms in 1u32..3000,
        waits in prop::collection::vec(0u64..400_000_000, 1..200),
    ) {
        let table = Table::new(1);
        let quota = Quota::new(1, interval_ms, burst, delay_ms).unwrap();
        let interval = interval_ms * 1_000_000;
        let mut now = 1_000_000_000;
        let mut left: Vec<u64> = Vec::new();
        for wait in waits {
            now += wait;
            let leaves = match table.take(KEY, &quota, 1, now) {
                Decision::Allow { .. } => now,
                Decision::Delay { wait, .. } => {
                    prop_assert!(wait > 0 && wait <= u64::from(delay_ms) * 1_000_000);
                    now + wait
                }
                Decision::Refuse { retry_after, .. } => {
                    prop_assert!(retry_after > 0);
                    continue;
                }
            };
            prop_assert!(left.last().is_none_or(|last| *last <= leaves));
            left.push(leaves);
            if let Some(earlier) = left.len().checked_sub(burst as usize + 1) {
                prop_assert!(leaves - left[earlier] >= interval, "more than the burst within one interval");
            }
        }
    }

    /// However the clock jumps, nobody gets more than by its latest time.
    #[test]
    fn a_clock_that_jumps_gives_nobody_more(times in prop::collection::vec(0u64..100_000_000_000, 1..200)) {
        let table = Table::new(1);
        let quota = Quota::new(1, 1000, 3, 0).unwrap();
        let admitted =
            times.iter().filter(|now| matches!(table.take(KEY, &quota, 1, **now), Decision::Allow { .. })).count();
        let latest = times.iter().max().unwrap() / 1_000_000_000;
        prop_assert!(admitted as u64 <= 3 + latest);
    }
}
