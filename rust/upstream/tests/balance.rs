//! Who gets how much: shares by weight, load by requests and latency, keys on the ring.
#![allow(clippy::unwrap_used)] // a helper that unwraps fails its test

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use proptest::prelude::*;
use tidegate_upstream::{Balance, Cluster, EndpointSpec, Outcome, Ticket, Tried};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn cluster(balance: Balance, weights: &[u32], seed: u64) -> Cluster {
    let mut cluster = Cluster::new(balance, None, 0, seed);
    cluster.update(&specs(weights), 0);
    cluster
}

fn specs(weights: &[u32]) -> Vec<EndpointSpec> {
    weights
        .iter()
        .zip(0u64..)
        .map(|(weight, key)| EndpointSpec { key: key * 7919, weight: *weight })
        .collect()
}

/// Picks without letting anything be in flight.
fn picks(cluster: &mut Cluster, count: usize) -> Vec<usize> {
    (0..count).map(|_| cluster.pick(1, None, &Tried::NONE).unwrap().id as usize).collect()
}

fn counts(picks: &[usize], endpoints: usize) -> Vec<usize> {
    let mut counts = vec![0; endpoints];
    picks.iter().for_each(|id| counts[*id] += 1);
    counts
}

proptest! {
    #[test]
    fn round_robin_gives_each_its_exact_share_in_every_round(
        weights in prop::collection::vec(1u32..=20, 1..=64), seed: u64,
    ) {
        let mut cluster = cluster(Balance::RoundRobin, &weights, seed);
        let round: u32 = weights.iter().sum();
        let got = counts(&picks(&mut cluster, round as usize), weights.len());
        // The start within a round is random; any window of one round holds everybody's turns.
        let want: Vec<usize> = weights.iter().map(|weight| *weight as usize).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn round_robin_over_many_gives_each_its_share_within_one_turn(
        weights in prop::collection::vec(1u32..=20, 65..=150), seed: u64,
    ) {
        let mut cluster = cluster(Balance::RoundRobin, &weights, seed);
        let rounds = 8;
        let total: u32 = weights.iter().sum();
        let got = counts(&picks(&mut cluster, (total * rounds) as usize), weights.len());
        for (weight, got) in weights.iter().zip(got) {
            let want = (weight * rounds) as i64;
            prop_assert!((got as i64 - want).abs() <= 2, "weight {weight} had {got} turns of {want}");
        }
    }

    #[test]
    fn nobody_is_picked_that_was_tried_while_another_is_left(
        balance in prop::sample::select(&[
            Balance::RoundRobin, Balance::LeastRequests, Balance::LeastLatency, Balance::Hash,
        ][..]),
        endpoints in prop_oneof![2usize..=20, 60usize..=70], seed: u64, hash: Option<u64>, busy in 0usize..200,
    ) {
        let mut cluster = cluster(balance, &vec![3; endpoints], seed);
        for _ in 0..busy {
            let id = cluster.pick(1, hash, &Tried::NONE).unwrap().id;
            let _ = cluster.started(id);
        }
        let mut tried = Tried::NONE;
        let mut seen = Vec::new();
        for _ in 0..endpoints.min(15) {
            let id = cluster.pick(1, hash, &tried).unwrap().id;
            prop_assert!(!seen.contains(&id), "{id} was tried before: {seen:?}");
            seen.push(id);
            tried.insert(cluster.started(id));
        }
        prop_assert!(cluster.pick(1, hash, &tried).is_some(), "when all were tried they are tried again");
    }

    #[test]
    fn least_requests_never_picks_a_busier_endpoint_than_there_is(
        weights in prop::collection::vec(1u32..=10, 2..=30), seed: u64, ends in prop::collection::vec(0usize..30, 0..100),
    ) {
        let mut cluster = cluster(Balance::LeastRequests, &weights, seed);
        let mut under_way: Vec<Ticket> = Vec::new();
        for end in ends.into_iter().chain([usize::MAX; 50]) {
            let load: Vec<f64> =
                cluster.view(1).map(|endpoint| f64::from(endpoint.in_flight) / f64::from(endpoint.weight)).collect();
            let id = cluster.pick(1, None, &Tried::NONE).unwrap().id as usize;
            let least = load.iter().copied().fold(f64::MAX, f64::min);
            prop_assert!(load[id] <= least, "{id} of {load:?}");
            under_way.push(cluster.started(id as u32));
            if end < under_way.len() {
                cluster.finished(under_way.swap_remove(end), Outcome::Ok, None, 1);
            }
        }
    }

    #[test]
    fn hash_keeps_every_endpoint_within_the_bound(
        weights in prop::collection::vec(1u32..=4, 2..=20), seed: u64,
        keys in prop::collection::vec(0u64..5, 500),
    ) {
        let mut cluster = cluster(Balance::Hash, &weights, seed);
        let total: u32 = weights.iter().sum();
        for (before, key) in keys.into_iter().enumerate() {
            let id = cluster.pick(1, Some(key), &Tried::NONE).unwrap().id;
            let _ = cluster.started(id);
            let now = cluster.view(1).nth(id as usize).unwrap();
            let share = f64::from(now.weight) / f64::from(total);
            let bound = (1.25 * (before as f64 + 1.0) * share).ceil().max(8.0);
            prop_assert!(f64::from(now.in_flight) <= bound, "{now:?} above {bound}");
        }
    }
}

#[test]
fn round_robin_is_smooth() {
    let mut cluster = cluster(Balance::RoundRobin, &[5, 1, 1], 3);
    let ids = picks(&mut cluster, 70);
    let longest = ids.chunk_by(|one, next| one == next).map(<[usize]>::len).max().unwrap();
    // Twice two where two rounds meet (a a b a c a a): never the five that it has in a round.
    assert!(longest <= 4, "the heavy one came {longest} times in a row: {ids:?}");
    let second = ids.windows(7).all(|round| round.contains(&1) && round.contains(&2));
    assert!(second, "each of the light ones comes once in any seven: {ids:?}");
}

#[test]
fn round_robin_over_many_of_one_weight_visits_everybody_in_every_round() {
    let mut cluster = cluster(Balance::RoundRobin, &[1; 100], 9);
    let mut first = picks(&mut cluster, 100);
    let second = picks(&mut cluster, 100);
    assert_eq!(first, second);
    first.sort_unstable();
    assert_eq!(first, (0..100).collect::<Vec<_>>());
}

#[test]
fn round_robin_over_many_spreads_the_turns_of_a_heavy_one() {
    let mut weights = vec![1; 100];
    weights[7] = 50;
    let ids = picks(&mut cluster(Balance::RoundRobin, &weights, 9), 600);
    let longest =
        ids.chunk_by(|one, next| one == next).filter(|run| run[0] == 7).map(<[usize]>::len).max().unwrap();
    assert!(longest <= 8, "it came {longest} times in a row");
}

#[test]
fn round_robin_over_many_goes_on_where_it_was_when_one_goes_down() {
    let mut cluster = cluster(Balance::RoundRobin, &[1; 100], 9);
    let mut round = picks(&mut cluster, 50);
    let down = round[0];
    cluster.set_active_health(down as u32, false, 1);
    round.extend(picks(&mut cluster, 50));
    round.sort_unstable();
    assert_eq!(round, (0..100).collect::<Vec<_>>());
    assert!(!picks(&mut cluster, 200).contains(&down));
}

#[test]
fn workers_with_different_seeds_begin_with_different_endpoints() {
    for balance in [Balance::RoundRobin, Balance::LeastRequests, Balance::LeastLatency] {
        let mut first: Vec<usize> =
            (0..64).map(|seed| picks(&mut cluster(balance, &[1; 4], seed), 1)[0]).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first, [0, 1, 2, 3], "{balance:?}");
    }
}

#[test]
fn least_requests_of_idle_endpoints_follows_the_weights() {
    let mut cluster = cluster(Balance::LeastRequests, &[1, 2, 7], 5);
    let got = counts(&picks(&mut cluster, 10_000), 3);
    for (got, want) in got.iter().zip([1_000, 2_000, 7_000]) {
        assert!(got.abs_diff(want) < 250, "{got} instead of {want}");
    }
}

#[test]
fn least_requests_over_many_uses_all_of_them_evenly() {
    let mut cluster = cluster(Balance::LeastRequests, &[1; 200], 5);
    for _ in 0..2_000 {
        let id = cluster.pick(1, None, &Tried::NONE).unwrap().id;
        let _ = cluster.started(id);
    }
    let loads: Vec<u32> = cluster.view(1).map(|endpoint| endpoint.in_flight).collect();
    assert!(loads.iter().all(|load| (8..=12).contains(load)), "{loads:?}");
}

/// Serves `requests` that come every `gap`, each taking what `serves(endpoint, now)` says; returns how many each had.
fn simulate(
    cluster: &mut Cluster,
    from: u64,
    requests: u64,
    gap: u64,
    serves: impl Fn(usize, u64) -> (Outcome, u64),
) -> Vec<usize> {
    let mut under_way: BinaryHeap<(Reverse<u64>, u64)> = BinaryHeap::new();
    let mut tickets = HashMap::new();
    let mut picked = Vec::new();
    for number in 0..requests {
        let now = from + number * gap;
        while let Some((Reverse(end), done)) = under_way.peek().copied().filter(|(end, _)| end.0 <= now) {
            under_way.pop();
            let (ticket, outcome, took) = tickets.remove(&done).unwrap();
            let latency = (outcome == Outcome::Ok).then_some(took);
            cluster.finished(ticket, outcome, latency, end);
        }
        let id = cluster.pick(now, None, &Tried::NONE).unwrap().id;
        picked.push(id as usize);
        let (outcome, took) = serves(id as usize, now);
        tickets.insert(number, (cluster.started(id), outcome, took));
        under_way.push((Reverse(now + took), number));
    }
    for (ticket, ..) in tickets.into_values() {
        cluster.finished(ticket, Outcome::Cancelled, None, from + requests * gap);
    }
    counts(&picked, cluster.len())
}

#[test]
fn least_latency_keeps_a_slow_endpoint_under_a_tenth_of_the_traffic() {
    for seed in 0..20 {
        let mut cluster = cluster(Balance::LeastLatency, &[1; 3], seed);
        let got = simulate(&mut cluster, 0, 20_000, MS, |id, _| {
            (Outcome::Ok, if id == 0 { 200 * MS } else { 5 * MS })
        });
        assert!(got[0] * 10 < 20_000, "seed {seed}: {got:?}");
        assert!(got[1].abs_diff(got[2]) < 4_000, "the fast ones share what is left: {got:?}");
    }
}

#[test]
fn least_latency_comes_back_to_an_endpoint_that_has_become_fast() {
    let mut cluster = cluster(Balance::LeastLatency, &[1; 3], 1);
    let slow_at_first =
        |id: usize, now: u64| (Outcome::Ok, if id == 0 && now < SECOND { 200 * MS } else { 5 * MS });
    simulate(&mut cluster, 0, 60_000, MS, slow_at_first);
    let got = simulate(&mut cluster, 60 * SECOND, 30_000, MS, slow_at_first);
    assert!(got[0] > 5_000, "a third would be 10000: {got:?}");
}

#[test]
fn least_latency_does_not_flood_an_endpoint_that_nobody_knows() {
    let mut cluster = cluster(Balance::LeastLatency, &[1; 3], 1);
    simulate(&mut cluster, 0, 1_000, MS, |_, _| (Outcome::Ok, 5 * MS));
    cluster.update(&specs(&[1; 4]), SECOND);
    // The new one never answers within the time.
    let got =
        simulate(&mut cluster, SECOND, 900, MS, |id, _| (Outcome::Ok, if id == 3 { SECOND } else { 5 * MS }));
    assert_eq!(got[3], 1, "one request goes to see: {got:?}");
}

#[test]
fn least_latency_sends_one_request_to_see_whether_a_slow_endpoint_is_still_slow() {
    let mut cluster = cluster(Balance::LeastLatency, &[1; 3], 1);
    let slower_and_slower = |id: usize, now: u64| {
        let slow = if now < SECOND { 200 * MS } else { 60 * SECOND };
        (Outcome::Ok, if id == 0 { slow } else { 5 * MS })
    };
    simulate(&mut cluster, 0, 1_000, MS, slower_and_slower);
    let got = simulate(&mut cluster, SECOND, 60_000, MS, slower_and_slower);
    assert!((1..=3).contains(&got[0]), "{got:?}");
}

#[test]
fn least_latency_does_not_take_failing_fast_for_being_fast() {
    let mut cluster = cluster(Balance::LeastLatency, &[1; 3], 1);
    let got = simulate(&mut cluster, 0, 20_000, MS, |id, _| {
        if id == 0 { (Outcome::Failed, MS / 10) } else { (Outcome::Ok, 5 * MS) }
    });
    assert!(got[0] < 20, "{got:?}");
}

#[test]
fn least_latency_gives_a_heavy_endpoint_among_many_its_part_under_load() {
    let mut weights = vec![1; 20];
    weights[4] = 20;
    let mut cluster = cluster(Balance::LeastLatency, &weights, 1);
    let got = simulate(&mut cluster, 0, 20_000, MS / 10, |_, _| (Outcome::Ok, 20 * MS));
    // Its share is 20 of 39; even sampling would give it a tenth.
    assert!((7_000..14_000).contains(&got[4]), "{got:?}");
}

#[test]
fn least_latency_looks_at_two_different_endpoints_whatever_their_weights() {
    for (weights, busy) in [([1, 3], 0), ([3, 1], 0), ([1, 3], 1), ([3, 1], 1), ([2, 2], 0), ([2, 2], 1)] {
        let mut cluster = cluster(Balance::LeastLatency, &weights, 1);
        for id in 0..2 {
            let ticket = cluster.started(id);
            cluster.finished(ticket, Outcome::Ok, Some(5 * MS), 1);
        }
        for _ in 0..50 {
            let _ = cluster.started(busy);
        }
        assert!(picks(&mut cluster, 200).iter().all(|id| *id != busy as usize), "{weights:?}, {busy} busy");
    }
}

fn owners(cluster: &mut Cluster, keys: &[u64]) -> Vec<u64> {
    let names: Vec<u64> = cluster.view(1).map(|endpoint| endpoint.key).collect();
    keys.iter().map(|key| names[cluster.pick(1, Some(*key), &Tried::NONE).unwrap().id as usize]).collect()
}

#[test]
fn hash_moves_only_the_keys_of_an_endpoint_that_leaves() {
    let keys: Vec<u64> = (0..20_000).collect();
    for endpoints in [2usize, 5, 40] {
        let all = specs(&vec![1; endpoints]);
        let mut cluster = cluster(Balance::Hash, &vec![1; endpoints], 1);
        let before = owners(&mut cluster, &keys);
        let gone = all[endpoints / 2].key;
        let left: Vec<_> = all.into_iter().filter(|endpoint| endpoint.key != gone).collect();
        cluster.update(&left, 1);
        let after = owners(&mut cluster, &keys);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert!(moved <= 2 * keys.len() / endpoints, "{moved} of {} moved with {endpoints}", keys.len());
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == gone));
    }
}

#[test]
fn hash_leaves_keys_with_their_endpoint_while_it_is_down_for_a_moment() {
    let keys: Vec<u64> = (0..5_000).collect();
    let mut cluster = cluster(Balance::Hash, &[1; 5], 1);
    let before = owners(&mut cluster, &keys);
    cluster.set_active_health(2, false, 1);
    let during = owners(&mut cluster, &keys);
    let down = 2 * 7919;
    assert!(!during.contains(&down));
    assert!(before.iter().zip(&during).all(|(before, during)| before == during || *before == down));
    cluster.set_active_health(2, true, 1);
    assert_eq!(owners(&mut cluster, &keys), before);
}

#[test]
fn hash_agrees_between_workers_whatever_the_order_of_endpoints() {
    let keys: Vec<u64> = (0..1_000).map(|key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let mut one = cluster(Balance::Hash, &[2; 7], 1);
    let mut other = Cluster::new(Balance::Hash, None, 0, 99);
    let mut endpoints = specs(&[2; 7]);
    endpoints.reverse();
    other.update(&endpoints, 0);
    assert_eq!(owners(&mut one, &keys), owners(&mut other, &keys));
}

#[test]
fn hash_shares_follow_the_weights() {
    let keys: Vec<u64> = (0..40_000).collect();
    let mut cluster = cluster(Balance::Hash, &[1, 2, 4, 1], 1);
    let owners = owners(&mut cluster, &keys);
    for (weight, key) in [1.0, 2.0, 4.0, 1.0].iter().zip(0u64..) {
        let got = owners.iter().filter(|owner| **owner == key * 7919).count() as f64 / 40_000.0;
        let want = weight / 8.0;
        assert!((got / want - 1.0).abs() < 0.4, "weight {weight}: {got} instead of {want}");
    }
}

#[test]
fn a_few_parallel_requests_of_one_key_stay_together() {
    let mut cluster = cluster(Balance::Hash, &[1; 10], 1);
    let home = cluster.pick(1, Some(77), &Tried::NONE).unwrap().id;
    for _ in 0..8 {
        let id = cluster.pick(1, Some(77), &Tried::NONE).unwrap().id;
        assert_eq!(id, home);
        let _ = cluster.started(id);
    }
    assert_ne!(cluster.pick(1, Some(77), &Tried::NONE).unwrap().id, home);
}

#[test]
fn an_endpoint_in_slow_start_takes_fewer_parallel_requests_of_its_keys() {
    let mut cluster = Cluster::new(Balance::Hash, None, 10 * SECOND, 1);
    cluster.update(&specs(&[1; 3]), 0);
    cluster.update(&specs(&[1; 4]), SECOND);
    let key = (0..1_000).find(|key| cluster.pick(SECOND, Some(*key), &Tried::NONE).unwrap().id == 3).unwrap();
    let _ = cluster.started(3);
    assert_ne!(cluster.pick(SECOND, Some(key), &Tried::NONE).unwrap().id, 3);
    assert_eq!(cluster.pick(11 * SECOND, Some(key), &Tried::NONE).unwrap().id, 3);
}
