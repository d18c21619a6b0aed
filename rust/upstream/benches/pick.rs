//! What a pick costs, for each balance and number of endpoints.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tidegate_upstream::{Balance, Cluster, EndpointSpec, IdlePool, Outcome, PoolLimits, Tried};

fn attempts(criterion: &mut Criterion) {
    let balances = [Balance::RoundRobin, Balance::LeastRequests, Balance::LeastLatency, Balance::Hash];
    for balance in balances {
        let mut group = criterion.benchmark_group(format!("attempt/{balance:?}"));
        for count in [1u64, 3, 100, 1000] {
            let endpoints: Vec<_> = (0..count).map(|key| EndpointSpec { key, weight: 1 }).collect();
            let mut cluster = Cluster::new(balance, None, 0, 7);
            cluster.update(&endpoints, 0);
            let mut now = 0;
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| {
                    now += 10_000;
                    let picked = cluster.pick(black_box(now), Some(now), &Tried::NONE);
                    let ticket = cluster.started(picked.map_or(0, |picked| picked.id));
                    cluster.finished(ticket, Outcome::Ok, Some(1_000_000), now)
                });
            });
        }
    }
}

fn pool(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkout_checkin");
    for endpoints in [1u64, 3, 100] {
        let mut pool = IdlePool::new(PoolLimits { idle_max: 32, idle_ns: 60_000_000_000, lifetime_ns: 0 });
        for key in 0..endpoints {
            pool.checkin(key, key, 0, 0);
        }
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(endpoints), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % endpoints;
                let idle = pool.checkout(black_box(at), 1);
                idle.is_some_and(|idle| pool.checkin(at, idle.connection, idle.born, 1))
            });
        });
    }
}

criterion_group!(benches, attempts, pool);
criterion_main!(benches);
