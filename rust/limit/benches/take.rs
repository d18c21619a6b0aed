//! What one decision costs: on one key, on a million, on new keys, and with two threads at it.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_limit::{Concurrency, Quota, Table, write_limit, write_policy};

const KEYS: usize = 1_000_000;

/// The `n`th of keys that look random (SplitMix64).
fn key(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn take(c: &mut Criterion) {
    let fast = Quota::new(1_000_000_000, 1000, 1000, 0).expect("a possible quota");
    let slow = Quota::new(1, 3_600_000, 1, 0).expect("a possible quota");
    let table = Table::new(KEYS);
    let mut now = 1;
    c.bench_function("take, one key, allowed", |b| {
        b.iter(|| {
            now += 100;
            black_box(table.take(black_box(7), &fast, 1, now))
        });
    });
    c.bench_function("take, one key, refused", |b| {
        b.iter(|| black_box(table.take(black_box(8), &slow, 1, now)))
    });
    let mut n = 0u64;
    c.bench_function("take, 1,000 keys", |b| {
        b.iter(|| {
            now += 100;
            n += 1;
            black_box(table.take(key(n % 1000), &fast, 1, now))
        });
    });

    // A bucket that takes an hour to fill: every key stays.
    let live = Quota::new(1, 3_600_000, 1000, 0).expect("a possible quota");
    let table = Table::new(KEYS);
    for n in 0..KEYS as u64 {
        table.take(key(n), &live, 1, now);
    }
    c.bench_function("take, 1,000,000 keys at random", |b| {
        b.iter(|| {
            n = n.wrapping_add(1);
            black_box(table.take(key(key(n) % KEYS as u64), &live, 1, now))
        });
    });
    c.bench_function("take, a new key each time", |b| {
        b.iter(|| {
            n += 1;
            now += 100;
            black_box(table.take(key(n + (1 << 32)), &fast, 1, now))
        });
    });
    c.bench_function("keys, of 1,000,000", |b| b.iter(|| black_box(table.keys(now))));
}

/// The same with another thread that never stops.
fn two_threads(c: &mut Criterion) {
    let fast = Quota::new(1_000_000_000, 1000, 1000, 0).expect("a possible quota");
    for (name, keys) in [("one key", 1), ("1,000 keys", 1000), ("1,000,000 keys", KEYS as u64)] {
        let table = Table::new(KEYS);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 1 << 40;
                while !stop.load(Relaxed) {
                    n += 1;
                    black_box(table.take(key(key(n) % keys), &fast, 1, n * 100));
                }
            });
            let mut n = 1 << 40;
            c.bench_function(&format!("take, two threads, {name}"), |b| {
                b.iter(|| {
                    n += 1;
                    black_box(table.take(key(key(n) % keys), &fast, 1, n * 100))
                });
            });
            stop.store(true, Relaxed);
        });
    }
}

fn others(c: &mut Criterion) {
    let caps = Concurrency::new(100_000);
    let mut n = 0;
    c.bench_function("acquire and release, one key that stays", |b| {
        caps.acquire(7, 1000).expect("a possible quota");
        b.iter(|| {
            let answer = black_box(caps.acquire(black_box(7), 1000));
            caps.release(7);
            answer
        });
    });
    c.bench_function("acquire and release, a new key each time", |b| {
        b.iter(|| {
            n += 1;
            let answer = black_box(caps.acquire(key(n), 1000));
            caps.release(key(n));
            answer
        });
    });
    let quota = Quota::new(100, 1000, 200, 0).expect("a possible quota");
    let decision = Table::new(1).take(1, &quota, 1, 1);
    let mut out = Vec::with_capacity(256);
    c.bench_function("write both fields", |b| {
        b.iter(|| {
            out.clear();
            write_policy(&mut out, "by-client", &quota);
            write_limit(&mut out, "by-client", &decision);
            black_box(out.len())
        });
    });
}

criterion_group!(benches, take, two_threads, others);
criterion_main!(benches);
