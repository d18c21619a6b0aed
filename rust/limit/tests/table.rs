//! The table: what it holds, what it forgets, and what threads can do to it.

use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use tidegate_limit::{Decision, Quota, Table};

const SECOND: u64 = 1_000_000_000;

/// The `n`th of keys that look random and are all different (SplitMix64).
fn key(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn admits(table: &Table, key: u64, quota: &Quota, now: u64) -> bool {
    matches!(table.take(key, quota, 1, now), Decision::Allow { .. })
}

#[test]
fn a_million_keys_fit_in_64_megabytes_and_stay() {
    const KEYS: u64 = 1_000_000;
    let table = Table::new(KEYS as usize);
    let before = table.memory_bytes();
    assert!(before <= 64_000_000, "{before} bytes");
    let hourly = Quota::new(1, 3_600_000, 1, 0).unwrap();
    for n in 0..KEYS {
        assert!(admits(&table, key(n), &hourly, SECOND + n));
    }
    let evicted = table.evictions();
    let held = (0..KEYS).filter(|n| !admits(&table, key(*n), &hourly, 2 * SECOND)).count() as u64;
    println!("{before} bytes for {KEYS} keys; {evicted} evicted early, {held} refused when they came again");
    assert!(evicted < KEYS / 1000, "{evicted} evicted early");
    // Fewer than were held: an evicted key that comes again evicts another of its bucket.
    assert!(held > KEYS - KEYS / 100, "{held} held");
    let about = table.keys(2 * SECOND) as f64;
    assert!((about / KEYS as f64 - 1.0).abs() < 0.05, "{about} keys");
    assert_eq!(table.memory_bytes(), before);
}

#[test]
fn ten_times_too_many_keys_take_no_more_memory_and_are_counted() {
    let table = Table::new(1000);
    let before = table.memory_bytes();
    let hourly = Quota::new(1, 3_600_000, 1, 0).unwrap();
    for n in 0..30_000 {
        assert!(admits(&table, key(n), &hourly, SECOND), "a table that is full still lets new keys in");
    }
    let held = table.keys(SECOND);
    assert_eq!(held as u64 + table.evictions(), 30_000);
    assert_eq!(held, 3000, "every slot is used");
    assert_eq!(table.memory_bytes(), before);
}

#[test]
fn the_key_that_would_be_forgotten_soonest_is_evicted() {
    // One bucket, eight slots.
    let table = Table::new(1);
    let quota = |seconds: u64| Quota::new(1, seconds * 1000, 1, 0).unwrap();
    for seconds in 1..=8 {
        assert!(admits(&table, key(seconds), &quota(100 * seconds), SECOND));
    }
    assert_eq!(table.evictions(), 0);
    assert!(admits(&table, key(9), &quota(900), SECOND));
    assert_eq!(table.evictions(), 1);
    for seconds in 2..=9 {
        assert!(!admits(&table, key(seconds), &quota(100 * seconds), SECOND), "key {seconds} is gone");
    }
}

#[test]
fn a_key_whose_bucket_is_full_makes_room_uncounted() {
    let table = Table::new(1);
    let quota = Quota::new(1, 1000, 1, 0).unwrap();
    for n in 0..1000 {
        assert!(admits(&table, key(n), &quota, n * SECOND / 8), "key {n}");
    }
    assert_eq!(table.evictions(), 0);
    assert_eq!(table.keys(125 * SECOND), 7);
    assert_eq!(table.keys(200 * SECOND), 0);
}

#[test]
fn no_key_is_special() {
    let table = Table::new(100);
    let quota = Quota::new(1, 1000, 2, 0).unwrap();
    for key in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63] {
        let admitted = (0..10).filter(|_| admits(&table, key, &quota, 0)).count();
        assert_eq!(admitted, 2, "key {key:x}");
    }
    assert_eq!(table.keys(0), 5);
    assert_eq!(table.evictions(), 0);
}

#[test]
fn keys_that_are_alike_never_share_a_count() {
    let table = Table::new(100_000);
    let hourly = Quota::new(1, 3_600_000, 1, 0).unwrap();
    for bit in 0..64 {
        for base in [0, key(1), u64::MAX] {
            assert!(admits(&table, base ^ (1 << bit), &hourly, SECOND), "bit {bit} of {base:x}");
        }
    }
}

#[test]
fn a_table_for_no_keys_still_decides() {
    let table = Table::new(0);
    let quota = Quota::new(1, 1000, 1, 0).unwrap();
    assert!(admits(&table, 5, &quota, 0));
    assert!(!admits(&table, 5, &quota, 0));
}

#[test]
fn threads_that_share_a_key_get_exactly_what_one_would() {
    const THREADS: usize = 4;
    const BURST: u64 = 50;
    const INTERVAL: u64 = 1_000_000;
    let table = Table::new(100);
    let quota = Quota::new(1, 1, BURST as u32, 0).unwrap();
    let clock = AtomicU64::new(0);
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..200_000 {
                    // Ten requests come where one may pass.
                    let now = clock.fetch_add(INTERVAL / 10, Relaxed);
                    if admits(&table, key(1), &quota, now) {
                        admitted.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    let latest = clock.load(Relaxed) - INTERVAL / 10;
    let most = BURST + latest / INTERVAL;
    let admitted = admitted.load(Relaxed);
    assert!(admitted <= most, "{admitted} of {most}");
    assert!(admitted >= most - THREADS as u64, "{admitted} of {most}: some were lost");
}

#[test]
fn a_key_that_two_threads_bring_at_once_gets_one_burst() {
    const ROUNDS: u64 = 100_000;
    // One bucket, in which each thread also brings keys of its own: without a lock the two would now and then give
    // the shared key a slot each.
    let table = Table::new(1);
    let quota = Quota::new(1, 1000, 1, 0).unwrap();
    let arrived = AtomicU64::new(0);
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for own in 0..2 {
            let (table, quota, arrived, admitted) = (&table, &quota, &arrived, &admitted);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // A barrier that wakes both within nanoseconds.
                    arrived.fetch_add(1, Relaxed);
                    let mut spins = 0;
                    while arrived.load(Relaxed) < 2 * (round + 1) {
                        spins += 1;
                        if spins < 1000 { std::hint::spin_loop() } else { thread::yield_now() }
                    }
                    // Far apart, so that the slots of earlier rounds are free again.
                    let now = round * 10 * SECOND;
                    table.take(key(3 * round + 1 + own), quota, 1, now);
                    if admits(table, key(3 * round), quota, now) {
                        admitted.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.load(Relaxed), ROUNDS);
    assert_eq!(table.evictions(), 0);
}

#[test]
fn slots_that_change_hands_under_threads_lose_no_more_than_the_evictions_tell() {
    const THREADS: u64 = 3;
    const KEYS: usize = 120;
    const BURST: u64 = 2;
    const ROUNDS: u64 = 300;
    // 24 slots for 120 keys, each refilled within two rounds: slots are freed, taken and evicted all the time.
    let table = Table::new(8);
    let quota = Quota::new(1, 1000, BURST as u32, 0).unwrap();
    let barrier = Barrier::new(THREADS as usize);
    let admitted: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (table, quota, barrier, admitted) = (&table, &quota, &barrier, &admitted);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // All threads live in the same moment, else "forgotten" would mean something else to each.
                    barrier.wait();
                    for n in 0..30 {
                        let which = key(round * 1_000_000 + n / 2 * 10 + (thread + n) % 2) as usize % KEYS;
                        if admits(table, key(which as u64), quota, round * SECOND) {
                            admitted[which].fetch_add(1, Relaxed);
                        }
                    }
                }
            });
        }
    });
    let most = BURST + (ROUNDS - 1);
    let excess: u64 = admitted.iter().map(|admitted| admitted.load(Relaxed).saturating_sub(most)).sum();
    assert!(excess <= table.evictions() * BURST, "{excess} too many, {} evictions", table.evictions());
    assert!(table.evictions() > 0, "the test means to evict");
    assert!(table.keys(u64::MAX) == 0 && table.keys(0) <= 24);
}
