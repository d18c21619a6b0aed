//! Idle connections: order, bounds, time.
#![allow(clippy::unwrap_used)] // a helper that unwraps fails its test

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;
use tidegate_upstream::{IdlePool, PoolLimits};

const LIMITS: PoolLimits = PoolLimits { idle_max: 3, idle_ns: 100, lifetime_ns: 0 };

fn numbers(pool: &mut IdlePool<u32>, endpoint: u64, now: u64) -> Vec<u32> {
    std::iter::from_fn(|| pool.checkout(endpoint, now)).map(|idle| idle.connection).collect()
}

#[test]
fn the_connection_used_last_goes_out_first() {
    let mut pool = IdlePool::new(LIMITS);
    assert!(pool.checkout(7, 0).is_none());
    for number in 1..=3 {
        assert!(pool.checkin(7, number, 0, u64::from(number)));
    }
    assert!(pool.checkout(8, 5).is_none(), "another endpoint's");
    assert_eq!(numbers(&mut pool, 7, 5), [3, 2, 1]);
}

#[test]
fn no_more_than_the_bound_is_kept_for_each_endpoint() {
    let mut pool = IdlePool::new(LIMITS);
    let kept: Vec<bool> = (0..5).map(|number| pool.checkin(7, number, 0, 0)).collect();
    assert_eq!(kept, [true, true, true, false, false]);
    assert!(pool.checkin(8, 9, 0, 0));
    assert_eq!((pool.len(), pool.count(7), pool.count(8), pool.count(9)), (4, 3, 1, 0));
    assert_eq!(pool.counts().collect::<Vec<_>>(), [(7, 3), (8, 1)]);
}

#[test]
fn none_is_kept_where_none_may_be() {
    for limits in [PoolLimits { idle_max: 0, ..LIMITS }, PoolLimits { idle_ns: 0, ..LIMITS }] {
        let mut pool = IdlePool::new(limits);
        assert!(!pool.checkin(7, 1, 0, 0));
        assert!(pool.is_empty());
    }
}

#[test]
fn a_connection_idle_for_too_long_is_closed_instead_of_used() {
    struct Closes(Rc<Cell<u32>>);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let closed = Rc::new(Cell::new(0));
    let mut pool = IdlePool::new(LIMITS);
    pool.checkin(7, Closes(closed.clone()), 0, 0);
    pool.checkin(7, Closes(closed.clone()), 0, 50);
    assert!(pool.checkout(7, 149).is_some_and(|idle| idle.since == 50));
    assert_eq!(closed.get(), 1, "the one handed out was dropped by this test");
    assert!(pool.checkout(7, 149).is_none());
    assert_eq!((closed.get(), pool.len()), (2, 0));
}

#[test]
fn an_old_connection_is_neither_kept_nor_given_out() {
    let mut pool = IdlePool::new(PoolLimits { lifetime_ns: 1_000, ..LIMITS });
    assert!(!pool.checkin(7, 1, 0, 1_000));
    assert!(pool.checkin(7, 2, 0, 990));
    assert!(pool.checkin(7, 3, 500, 995), "a younger one");
    assert_eq!(numbers(&mut pool, 7, 1_001), [3]);
}

#[test]
fn what_comes_out_remembers_when_it_was_opened() {
    let mut pool = IdlePool::new(LIMITS);
    pool.checkin(7, 1, 42, 60);
    let idle = pool.checkout(7, 70).unwrap();
    assert_eq!((idle.born, idle.since), (42, 60));
}

#[test]
fn a_sweep_takes_out_what_is_past_its_time_and_keeps_the_order() {
    let mut pool = IdlePool::new(PoolLimits { lifetime_ns: 1_000, idle_max: 9, ..LIMITS });
    pool.checkin(7, 1, 950, 1_000);
    pool.checkin(7, 2, 20, 1_010);
    pool.checkin(7, 3, 950, 1_015);
    pool.checkin(8, 4, 950, 1_002);
    let mut expired = Vec::new();
    assert_eq!(pool.next_expiry(), Some(1_020));
    pool.sweep(1_019, &mut expired);
    assert!(expired.is_empty());
    pool.sweep(1_020, &mut expired);
    assert_eq!((expired.as_slice(), pool.next_expiry()), ([2].as_slice(), Some(1_100)));
    pool.sweep(1_102, &mut expired);
    assert_eq!(expired, [2, 1, 4]);
    assert_eq!(numbers(&mut pool, 7, 1_102), [3]);
    assert_eq!(pool.next_expiry(), None);
}

#[test]
fn a_certain_connection_can_be_taken_out() {
    let mut pool = IdlePool::new(LIMITS);
    for number in 1..=3 {
        pool.checkin(7, number, 0, 0);
    }
    assert!(pool.remove(7, |number| *number == 2).is_some_and(|idle| idle.connection == 2));
    assert!(pool.remove(7, |number| *number == 2).is_none());
    assert!(pool.remove(8, |_| true).is_none());
    assert_eq!((pool.len(), numbers(&mut pool, 7, 1)), (2, vec![3, 1]));
}

#[test]
fn connections_to_endpoints_that_left_can_be_dropped() {
    let mut pool = IdlePool::new(LIMITS);
    for endpoint in 0..20 {
        pool.checkin(endpoint, endpoint as u32, 0, 0);
    }
    pool.retain(|endpoint, _| endpoint % 2 == 0);
    assert_eq!(
        pool.counts().map(|(endpoint, _)| endpoint).collect::<Vec<_>>(),
        (0..20).step_by(2).collect::<Vec<_>>()
    );
    assert_eq!(pool.len(), 10);
    assert!(pool.checkout(3, 1).is_none());
    assert_eq!(numbers(&mut pool, 4, 1), [4]);
}

#[test]
fn endpoints_that_nobody_asks_for_any_more_leave_nothing_behind() {
    let mut pool = IdlePool::new(LIMITS);
    let minute = 60_000_000_000;
    let mut expired = Vec::new();
    for endpoint in 0..1_000 {
        let now = endpoint * minute;
        pool.checkin(endpoint, 0, now, now);
        pool.sweep(now + 100, &mut expired);
    }
    assert_eq!((pool.len(), expired.len()), (0, 1_000));
    assert!(pool.counts().count() <= 2);
}

proptest! {
    #[test]
    fn nothing_past_its_time_comes_out_and_nothing_is_lost(
        steps in prop::collection::vec((0u64..12, 0u64..60, 0u8..4), 0..400),
    ) {
        let limits = PoolLimits { idle_max: 4, idle_ns: 100, lifetime_ns: 300 };
        let mut pool = IdlePool::new(limits);
        let (mut now, mut kept, mut next) = (1_000, 0usize, 0u32);
        let mut expired = Vec::new();
        for (endpoint, time, what) in steps {
            match what {
                0 => now += time,
                1 => {
                    let born = now - time * 6;
                    kept += usize::from(pool.checkin(endpoint, next, born, now));
                    next += 1;
                }
                2 => {
                    let before = pool.len();
                    let idle = pool.checkout(endpoint, now);
                    kept -= before - pool.len();
                    if let Some(idle) = idle {
                        prop_assert!(now < idle.since + 100 && now < idle.born + 300);
                    }
                }
                _ => {
                    pool.sweep(now, &mut expired);
                    kept -= expired.drain(..).count();
                    prop_assert!(pool.next_expiry().is_none_or(|at| at > now));
                }
            }
            prop_assert_eq!(pool.len(), kept);
            prop_assert_eq!(pool.counts().map(|(_, count)| count).sum::<usize>(), kept);
            prop_assert!(pool.counts().all(|(_, count)| count <= 4));
        }
        pool.sweep(now + 100, &mut expired);
        prop_assert_eq!((pool.len(), expired.len()), (0, kept));
    }
}
