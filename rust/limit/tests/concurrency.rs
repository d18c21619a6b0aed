//! Caps: exact under threads, empty when everybody has left.

use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use proptest::prelude::*;
use tidegate_limit::{Concurrency, Full};

#[test]
fn a_key_has_as_many_in_flight_as_it_may() {
    let caps = Concurrency::new(10);
    for _ in 0..3 {
        assert_eq!(caps.acquire(7, 3), Ok(()));
    }
    assert_eq!(caps.acquire(7, 3), Err(Full::Limit));
    assert_eq!(caps.acquire(8, 3), Ok(()), "another key counts apart");
    caps.release(7);
    assert_eq!(caps.in_flight(7), 2);
    assert_eq!(caps.acquire(7, 3), Ok(()));
    assert_eq!(caps.acquire(7, 3), Err(Full::Limit));
    assert_eq!(caps.acquire(9, 0), Err(Full::Limit));
}

#[test]
fn a_lowered_cap_holds_back_until_enough_have_left() {
    let caps = Concurrency::new(10);
    for _ in 0..5 {
        caps.acquire(7, 5).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(caps.acquire(7, 2), Err(Full::Limit));
        caps.release(7);
    }
    assert_eq!(caps.acquire(7, 2), Ok(()));
}

#[test]
fn releasing_what_nobody_holds_changes_nothing() {
    let caps = Concurrency::new(10);
    for key in [0, 7, u64::MAX] {
        caps.release(key);
        caps.acquire(key, 1).unwrap();
        assert_eq!(caps.acquire(key, 1), Err(Full::Limit));
        caps.release(key);
        caps.release(key);
        assert_eq!(caps.in_flight(key), 0);
        caps.acquire(key, 1).unwrap();
        assert_eq!(caps.acquire(key, 1), Err(Full::Limit), "the second release was not saved up");
    }
}

#[test]
fn a_counter_back_at_zero_frees_its_slot() {
    let caps = Concurrency::new(1);
    for key in 0..10_000 {
        caps.acquire(key, 1).unwrap();
        caps.release(key);
    }
    assert_eq!((caps.keys(), caps.table_full()), (0, 0));
}

#[test]
fn a_full_table_refuses_new_keys_and_keeps_the_old() {
    let caps = Concurrency::new(1);
    let before = caps.memory_bytes();
    let held: Vec<u64> = (0..100).filter(|key| caps.acquire(*key, 2).is_ok()).collect();
    assert_eq!(held.len(), 8, "one bucket");
    assert_eq!(caps.table_full(), 92);
    assert_eq!(caps.acquire(99, 2), Err(Full::Table));
    assert_eq!(caps.acquire(held[0], 2), Ok(()), "who is in may still come");
    caps.release(held[3]);
    assert_eq!(caps.acquire(99, 2), Ok(()));
    assert_eq!(caps.memory_bytes(), before);
}

#[test]
fn as_many_keys_as_promised_find_a_slot() {
    let caps = Concurrency::new(100_000);
    let spread = |n: u64| {
        (n + 1).wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let half = (0..50_000).filter(|n| caps.acquire(spread(*n), 1) == Err(Full::Table)).count();
    assert!(half <= 1, "{half} refused at half");
    let all = (50_000..100_000).filter(|n| caps.acquire(spread(*n), 1) == Err(Full::Table)).count();
    assert!(all <= 20, "{all} refused");
}

#[test]
fn threads_never_exceed_a_cap_and_leave_nothing_behind() {
    const KEYS: usize = 12;
    const MAX: u32 = 2;
    // One bucket of eight slots for twelve keys: slots change hands all the time.
    let caps = Concurrency::new(1);
    let inside: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let (caps, inside) = (&caps, &inside);
            scope.spawn(move || {
                let mut state = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut held = Vec::new();
                for _ in 0..100_000 {
                    state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
                    let which = (state >> 40) as usize % KEYS;
                    if held.len() < 3 && caps.acquire(which as u64, MAX).is_ok() {
                        assert!(inside[which].fetch_add(1, SeqCst) < MAX, "too many in flight");
                        held.push(which);
                    } else if let Some(which) = held.pop() {
                        inside[which].fetch_sub(1, SeqCst);
                        caps.release(which as u64);
                    }
                }
                for which in held {
                    inside[which].fetch_sub(1, SeqCst);
                    caps.release(which as u64);
                }
            });
        }
    });
    assert_eq!(caps.keys(), 0);
    for key in 0..KEYS {
        assert_eq!(caps.in_flight(key as u64), 0);
    }
}

proptest! {
    #[test]
    fn counts_are_those_of_a_map(steps in prop::collection::vec((any::<bool>(), 0u64..6, 0u32..4), 0..300)) {
        let caps = Concurrency::new(100);
        let mut map = HashMap::new();
        for (acquire, key, max) in steps {
            let count: &mut u32 = map.entry(key).or_default();
            if acquire {
                let expected = if *count < max { Ok(()) } else { Err(Full::Limit) };
                prop_assert_eq!(caps.acquire(key, max), expected);
                *count += u32::from(expected.is_ok());
            } else {
                caps.release(key);
                *count = count.saturating_sub(1);
            }
            prop_assert_eq!(caps.in_flight(key), *count);
        }
        prop_assert_eq!(caps.keys(), map.values().filter(|count| **count > 0).count());
    }
}
