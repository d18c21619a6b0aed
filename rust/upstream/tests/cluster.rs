//! A cluster whose set of endpoints changes under the requests.
#![allow(clippy::unwrap_used)] // a helper that unwraps fails its test

use proptest::prelude::*;
use tidegate_upstream::{Balance, Cluster, EndpointSpec, Outcome, Ticket, Tried};

fn spec(key: u64) -> EndpointSpec {
    EndpointSpec { key, weight: 1 }
}

fn cluster(keys: &[u64]) -> Cluster {
    let mut cluster = Cluster::new(Balance::LeastLatency, None, 0, 1);
    cluster.update(&keys.iter().copied().map(spec).collect::<Vec<_>>(), 0);
    cluster
}

fn in_flight(cluster: &Cluster, key: u64) -> u32 {
    cluster.view(0).find(|endpoint| endpoint.key == key).unwrap().in_flight
}

#[test]
fn a_ticket_is_eight_bytes() {
    assert_eq!(size_of::<Ticket>(), 8);
}

#[test]
fn without_endpoints_nobody_is_picked() {
    let mut cluster = cluster(&[]);
    assert_eq!(cluster.pick(0, Some(1), &Tried::NONE), None);
    let ticket = cluster.started(0);
    assert_eq!(cluster.finished(ticket, Outcome::Failed, None, 0), None);
}

#[test]
fn a_single_endpoint_is_picked_whatever_happened_to_it() {
    let mut cluster = cluster(&[10]);
    let mut tried = Tried::NONE;
    for now in 0..50 {
        let picked = cluster.pick(now, None, &tried).unwrap();
        assert_eq!((picked.id, picked.panic), (0, false));
        let ticket = cluster.started(0);
        tried.insert(ticket);
        cluster.finished(ticket, Outcome::Failed, None, now);
    }
    cluster.set_active_health(0, false, 50);
    assert!(cluster.pick(50, None, &tried).unwrap().panic, "it is down, and there is no other");
}

#[test]
fn an_attempt_is_counted_for_its_endpoint_wherever_that_has_moved() {
    let mut cluster = cluster(&[10, 20, 30]);
    let ticket = cluster.started(2);
    cluster.update(&[spec(30), spec(40), spec(20)], 1);
    assert_eq!(in_flight(&cluster, 30), 1);
    assert_eq!(cluster.locate(ticket), Some(0));
    cluster.finished(ticket, Outcome::Ok, Some(5_000), 2);
    assert_eq!(in_flight(&cluster, 30), 0);
    assert_eq!(
        cluster.view(2).map(|endpoint| endpoint.ewma_ns).collect::<Vec<_>>(),
        [Some(5_000), None, None]
    );
}

#[test]
fn an_attempt_at_an_endpoint_that_left_is_counted_for_nobody_even_when_it_comes_back() {
    let mut cluster = cluster(&[10, 20]);
    let ticket = cluster.started(0);
    cluster.update(&[spec(20)], 1);
    cluster.update(&[spec(10), spec(20)], 2);
    let _ = cluster.started(0);
    assert_eq!(cluster.locate(ticket), None);
    assert_eq!(cluster.finished(ticket, Outcome::Failed, None, 3), None);
    assert_eq!((in_flight(&cluster, 10), cluster.in_flight()), (1, 1));
}

#[test]
fn another_weight_keeps_what_is_known() {
    let mut cluster = cluster(&[10, 20]);
    let _ = cluster.started(0);
    cluster.update(&[EndpointSpec { key: 10, weight: 9 }, spec(20)], 1);
    let view = cluster.view(1).next().unwrap();
    assert_eq!((view.weight, view.in_flight), (9, 1));
}

#[test]
fn endpoints_of_one_key_are_kept_apart() {
    let mut cluster = cluster(&[10, 10]);
    let (one, other) = (cluster.started(0), cluster.started(1));
    cluster.update(&[spec(10), spec(5), spec(10)], 1);
    assert_ne!(cluster.locate(one), cluster.locate(other));
    cluster.update(&[spec(10)], 2);
    assert_eq!(cluster.in_flight(), 1);
}

#[test]
fn what_was_tried_is_remembered_over_an_update() {
    let mut cluster = cluster(&[10, 20, 30]);
    let mut tried = Tried::NONE;
    tried.insert(cluster.started(0));
    tried.insert(cluster.started(1));
    cluster.update(&[spec(30), spec(20), spec(10)], 1);
    for now in 1..50 {
        assert_eq!(cluster.pick(now, None, &tried).unwrap().id, 0);
    }
}

#[test]
fn another_balance_keeps_what_is_known() {
    let mut cluster = cluster(&[10, 20]);
    let _ = cluster.started(1);
    cluster.configure(Balance::LeastRequests, None, 0, 1);
    assert!((0..50).all(|now| cluster.pick(now, None, &Tried::NONE).unwrap().id == 0));
    cluster.configure(Balance::Hash, None, 0, 1);
    let first = cluster.pick(1, Some(3), &Tried::NONE);
    assert!((0..50).all(|now| cluster.pick(now, Some(3), &Tried::NONE) == first));
}

#[derive(Debug, Clone)]
enum Step {
    Update(Vec<(u64, u32)>),
    Attempt(Option<u64>),
    Finish(usize, Outcome, Option<u64>),
    Health(u32, bool),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop::sample::select(&[Outcome::Ok, Outcome::Failed, Outcome::Cancelled][..]);
    prop_oneof![
        1 => prop::collection::vec((0u64..100, 0u32..2_000), 0..90).prop_map(Step::Update),
        8 => any::<Option<u64>>().prop_map(Step::Attempt),
        8 => (0usize..20, outcome, any::<Option<u64>>()).prop_map(|(at, how, took)| Step::Finish(at, how, took)),
        1 => (0u32..90, any::<bool>()).prop_map(|(id, up)| Step::Health(id, up)),
        2 => (0u64..20_000_000_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_counts_are_right_and_nobody_out_is_picked(
        balance in prop::sample::select(&[
            Balance::RoundRobin, Balance::LeastRequests, Balance::LeastLatency, Balance::Hash,
        ][..]),
        steps in prop::collection::vec(step(), 0..300), slow_start in prop::sample::select(&[0, 30_000_000_000][..]),
    ) {
        use tidegate_upstream::{EndpointState, Passive};
        let passive = Passive { failures: 2, count_5xx: true, eject_ns: 10_000_000_000, max_percent: 50 };
        let mut cluster = Cluster::new(balance, Some(passive), slow_start, 1);
        let mut under_way = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Update(list) => {
                    let list: Vec<_> = list.into_iter().map(|(key, weight)| EndpointSpec { key, weight }).collect();
                    cluster.update(&list, now);
                    under_way.retain(|ticket| cluster.locate(*ticket).is_some());
                }
                Step::Attempt(hash) => {
                    let Some(picked) = cluster.pick(now, hash, &Tried::NONE) else {
                        prop_assert!(cluster.is_empty());
                        continue;
                    };
                    let out = |state| matches!(state, EndpointState::Down | EndpointState::Ejected { .. });
                    let states: Vec<_> = cluster.view(now).map(|endpoint| endpoint.state).collect();
                    prop_assert_eq!(picked.panic, states.iter().all(|state| out(*state)));
                    prop_assert_eq!(picked.panic, out(states[picked.id as usize]));
                    under_way.push(cluster.started(picked.id));
                }
                Step::Finish(at, outcome, latency) if at < under_way.len() => {
                    cluster.finished(under_way.swap_remove(at), outcome, latency, now);
                }
                Step::Finish(..) => {}
                Step::Health(id, up) => {
                    cluster.set_active_health(id, up, now);
                }
                Step::Pass(time) => now += time,
            }
            prop_assert_eq!(cluster.in_flight() as usize, under_way.len());
            let sum: u32 = cluster.view(now).map(|endpoint| endpoint.in_flight).sum();
            prop_assert_eq!(sum, cluster.in_flight());
        }
    }
}
