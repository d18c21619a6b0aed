//! What it costs to reserve and settle a call, alone and with another thread at the same accounts.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_limit::{AccountSpec, Accounts, Amounts, Metric, Window};

const NOW: u64 = 1_790_000_000_000;
const CALL: Amounts = Amounts { requests: 1, input: 900, output: 300, usd: Some(1_500_000) };

fn accounts(count: usize, limit: u64) -> Accounts {
    let kinds = [
        (Metric::Requests, Window::Minute),
        (Metric::Tokens, Window::Minute),
        (Metric::Usd, Window::Month),
        (Metric::InFlight, Window::None),
    ];
    let specs: Vec<_> = (0..count)
        .map(|n| AccountSpec {
            name: n.to_string(),
            metric: kinds[n % 4].0,
            limit,
            window: kinds[n % 4].1,
            opening: None,
        })
        .collect();
    Accounts::new(&specs, None)
}

fn call(accounts: &Accounts, which: &[u32], now: u64) {
    let reservation = accounts.reserve(which, &CALL, now, now + 600_000).expect("enough for all");
    black_box(&reservation);
    reservation.settle(&CALL, now + 500);
}

fn account(c: &mut Criterion) {
    for count in [1, 4, 12] {
        let accounts = accounts(count, u64::MAX);
        let which: Vec<u32> = (0..count as u32).collect();
        let mut now = NOW;
        c.bench_function(&format!("reserve and settle, {count} accounts"), |b| {
            b.iter(|| {
                now += 1;
                call(&accounts, black_box(&which), now);
            });
        });
    }
    let empty = accounts(4, 0);
    c.bench_function("refuse, 4 accounts", |b| {
        b.iter(|| black_box(empty.reserve(black_box(&[0, 1, 2, 3]), &CALL, NOW, NOW).is_err()))
    });
    let many = accounts(4, u64::MAX);
    let _held: Vec<_> = (0..5000)
        .map(|n| many.reserve(&[0, 1, 2, 3], &CALL, NOW, NOW + n * 720).expect("enough for all"))
        .collect();
    c.bench_function("reserve and settle, 4 accounts, 5,000 calls in flight for an hour", |b| {
        b.iter(|| call(&many, black_box(&[0, 1, 2, 3]), NOW))
    });
}

/// The same with another thread that never stops.
fn two_threads(c: &mut Criterion) {
    let shared = accounts(4, u64::MAX);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                call(&shared, &[0, 1, 2, 3], NOW);
            }
        });
        c.bench_function("reserve and settle, two threads, the same 4 accounts", |b| {
            b.iter(|| call(&shared, black_box(&[0, 1, 2, 3]), NOW))
        });
        stop.store(true, Relaxed);
    });
}

criterion_group!(benches, account, two_threads);
criterion_main!(benches);
