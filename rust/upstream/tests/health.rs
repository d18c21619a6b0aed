//! Ejection, return, slow start and the word of probes.
#![allow(clippy::unwrap_used)] // a helper that unwraps fails its test

use tidegate_upstream::{
    Balance, Change, Cluster, EndpointSpec, EndpointState, Outcome, Passive, Probe, Tried, Turned,
};

const SECOND: u64 = 1_000_000_000;
const PASSIVE: Passive = Passive { failures: 3, count_5xx: true, eject_ns: 10 * SECOND, max_percent: 50 };

fn specs(count: u64) -> Vec<EndpointSpec> {
    (0..count).map(|key| EndpointSpec { key, weight: 10 }).collect()
}

fn cluster(count: u64, passive: Passive, slow_start: u64) -> Cluster {
    let mut cluster = Cluster::new(Balance::RoundRobin, Some(passive), slow_start, 1);
    cluster.update(&specs(count), 0);
    cluster
}

fn attempt(cluster: &mut Cluster, id: u32, outcome: Outcome, now: u64) -> Option<Change> {
    let ticket = cluster.started(id);
    cluster.finished(ticket, outcome, None, now)
}

/// Fails until something changes, at most ten times.
fn fail(cluster: &mut Cluster, id: u32, now: u64) -> Option<Change> {
    (0..10).find_map(|_| attempt(cluster, id, Outcome::Failed, now))
}

fn state(cluster: &Cluster, id: usize, now: u64) -> EndpointState {
    cluster.view(now).nth(id).unwrap().state
}

/// The part of 1000 picks that go to an endpoint.
fn share(cluster: &mut Cluster, id: u32, now: u64) -> f64 {
    let hits = (0..1_000).filter(|_| cluster.pick(now, None, &Tried::NONE).unwrap().id == id).count();
    hits as f64 / 1_000.0
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let mut cluster = cluster(4, PASSIVE, 0);
    for _ in 0..5 {
        assert_eq!(attempt(&mut cluster, 0, Outcome::Failed, 1), None);
        assert_eq!(attempt(&mut cluster, 0, Outcome::Failed, 1), None);
        assert_eq!(attempt(&mut cluster, 0, Outcome::Ok, 1), None);
    }
    attempt(&mut cluster, 0, Outcome::Failed, 1);
    attempt(&mut cluster, 0, Outcome::Failed, 1);
    assert_eq!(attempt(&mut cluster, 0, Outcome::Cancelled, 1), None, "says nothing, ends no row");
    let until = 1 + 10 * SECOND;
    assert_eq!(attempt(&mut cluster, 0, Outcome::Failed, 1), Some(Change::Ejected { until }));
    assert_eq!(state(&cluster, 0, until - 1), EndpointState::Ejected { until });
    assert_eq!(share(&mut cluster, 0, until - 1), 0.0);
    assert_eq!(share(&mut cluster, 0, until), 0.25);
}

#[test]
fn what_was_under_way_during_an_ejection_does_not_prolong_it() {
    let mut cluster = cluster(4, PASSIVE, 0);
    assert!(fail(&mut cluster, 0, 1).is_some());
    assert_eq!(fail(&mut cluster, 0, 5 * SECOND), None);
    assert_eq!(state(&cluster, 0, 1 + 10 * SECOND), EndpointState::Healthy);
}

#[test]
fn ejections_double_up_to_ten_times_and_are_forgotten_after_a_good_while() {
    let mut cluster = cluster(4, PASSIVE, 0);
    let mut now = 1;
    for factor in [1, 2, 4, 8, 10, 10] {
        let until = now + factor * 10 * SECOND;
        assert_eq!(fail(&mut cluster, 0, now), Some(Change::Ejected { until }), "factor {factor}");
        now = until;
    }
    assert_eq!(attempt(&mut cluster, 0, Outcome::Ok, now), Some(Change::Restored));
    assert_eq!(attempt(&mut cluster, 0, Outcome::Ok, now), None, "told once");
    now += 100 * SECOND;
    assert_eq!(fail(&mut cluster, 0, now), Some(Change::Ejected { until: now + 10 * SECOND }));
}

#[test]
fn the_first_failure_after_an_ejection_is_one_too_many() {
    let mut cluster = cluster(4, PASSIVE, 0);
    assert!(fail(&mut cluster, 0, 1).is_some());
    let back = 1 + 10 * SECOND;
    assert!(matches!(attempt(&mut cluster, 0, Outcome::Failed, back), Some(Change::Ejected { .. })));
}

#[test]
fn no_more_than_the_given_part_is_ejected() {
    for (endpoints, percent, most) in
        [(4, 50, 2), (3, 50, 1), (10, 25, 2), (3, 100, 2), (2, 100, 1), (1, 100, 0)]
    {
        let mut cluster = cluster(endpoints, Passive { max_percent: percent, ..PASSIVE }, 0);
        let out = (0..endpoints).filter(|id| fail(&mut cluster, *id as u32, 1).is_some()).count();
        assert_eq!(out, most, "{percent} % of {endpoints}");
        assert!(!cluster.pick(2, None, &Tried::NONE).unwrap().panic, "one stays");
    }
}

#[test]
fn the_last_one_that_probes_leave_up_is_not_ejected() {
    let mut cluster = cluster(2, Passive { max_percent: 100, ..PASSIVE }, 0);
    cluster.set_active_health(0, false, 1);
    assert_eq!(fail(&mut cluster, 1, 1), None);
    let picked = cluster.pick(1, None, &Tried::NONE).unwrap();
    assert_eq!((picked.id, picked.panic), (1, false));
}

#[test]
fn an_ejected_endpoint_is_not_tried_even_when_all_others_were() {
    let mut cluster = cluster(2, PASSIVE, 0);
    fail(&mut cluster, 0, 1);
    let mut tried = Tried::NONE;
    tried.insert(cluster.started(1));
    assert_eq!(cluster.pick(1, None, &tried).unwrap().id, 1);
}

#[test]
fn when_everybody_is_down_everybody_is_asked() {
    let mut cluster = cluster(3, PASSIVE, 0);
    for id in 0..3 {
        assert_eq!(cluster.set_active_health(id, false, 1), Some(Change::Down));
        assert_eq!(cluster.set_active_health(id, false, 1), None);
    }
    let mut ids: Vec<u32> = (0..3)
        .map(|_| {
            let picked = cluster.pick(1, None, &Tried::NONE).unwrap();
            assert!(picked.panic);
            picked.id
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2]);
    assert_eq!(cluster.set_active_health(2, true, 2), Some(Change::Up));
    assert_eq!(share(&mut cluster, 2, 2), 1.0);
}

#[test]
fn a_returned_endpoint_gets_its_share_slowly() {
    let mut cluster = cluster(2, PASSIVE, 10 * SECOND);
    fail(&mut cluster, 0, 0);
    let back = 10 * SECOND;
    // Of two with shares x and 1 the first gets x / (1 + x); x grows from 0.1 to 1 in a straight line.
    for (seconds, x) in [(0, 0.1), (5, 0.55), (9, 0.91), (10, 1.0)] {
        let now = back + seconds * SECOND;
        let got = share(&mut cluster, 0, now);
        let want = x / (1.0 + x);
        assert!((got - want).abs() < 0.02, "after {seconds} s: {got} instead of {want}");
        let ramping = if seconds < 10 { EndpointState::SlowStart } else { EndpointState::Healthy };
        assert_eq!(state(&cluster, 0, now), ramping);
    }
}

#[test]
fn only_what_appears_in_a_running_cluster_starts_slowly() {
    let mut cluster = cluster(2, PASSIVE, 10 * SECOND);
    assert_eq!(state(&cluster, 0, 0), EndpointState::Healthy);
    cluster.update(&specs(3), SECOND);
    assert_eq!(state(&cluster, 0, SECOND), EndpointState::Healthy);
    assert_eq!(state(&cluster, 2, SECOND), EndpointState::SlowStart);
    let got = share(&mut cluster, 2, SECOND);
    assert!((got - 0.1 / 2.1).abs() < 0.02, "{got}");
}

#[test]
fn what_an_endpoint_was_like_before_it_went_is_forgotten() {
    let known = |cluster: &Cluster, now| cluster.view(now).next().unwrap().ewma_ns;
    let mut cluster = cluster(3, PASSIVE, 0);
    fail(&mut cluster, 0, 1);
    assert_eq!(known(&cluster, 1), Some(SECOND), "a failure counts as a second");
    cluster.pick(1 + 10 * SECOND, None, &Tried::NONE);
    assert_eq!(known(&cluster, 1 + 10 * SECOND), None);
    let ticket = cluster.started(0);
    cluster.finished(ticket, Outcome::Ok, Some(5_000), 12 * SECOND);
    cluster.set_active_health(0, false, 13 * SECOND);
    assert_eq!(known(&cluster, 13 * SECOND), Some(5_000));
    cluster.set_active_health(0, true, 14 * SECOND);
    assert_eq!(known(&cluster, 14 * SECOND), None);
}

#[test]
fn without_passive_health_nothing_is_ejected_and_nothing_stays_so() {
    let mut cluster = cluster(2, PASSIVE, 0);
    assert!(fail(&mut cluster, 0, 1).is_some());
    cluster.configure(Balance::RoundRobin, None, 0, 2);
    assert_eq!(share(&mut cluster, 0, 2), 0.5);
    assert_eq!(fail(&mut cluster, 0, 2), None);
}

#[test]
fn statuses_count_only_where_they_are_said_to() {
    let statuses = [200, 404, 429, 499, 500, 501, 502, 503, 504, 505];
    let counted = |passive: Passive| statuses.into_iter().filter(move |status| passive.counts(*status));
    assert_eq!(counted(PASSIVE).collect::<Vec<_>>(), [500, 502, 503, 504]);
    assert_eq!(counted(Passive { count_5xx: false, ..PASSIVE }).count(), 0);
}

#[test]
fn probes_turn_the_state_after_enough_in_a_row() {
    let mut probe = Probe::new(2, 3, SECOND, 1);
    let seen: Vec<_> = [false, false, true, false, false, false, false, true, false, true, true, true]
        .map(|good| probe.observe(good))
        .into_iter()
        .collect();
    let mut want = vec![None; 12];
    want[5] = Some(Turned::Down);
    want[10] = Some(Turned::Up);
    assert_eq!(seen, want);
    assert!(probe.is_up());
}

#[test]
fn probes_of_many_endpoints_do_not_come_at_once() {
    let mut first = Vec::new();
    for seed in 0..100 {
        let mut probe = Probe::new(1, 1, 10 * SECOND, seed);
        first.push(probe.first_at(5));
        let next = probe.next_at(100 * SECOND);
        assert!((109 * SECOND..=111 * SECOND).contains(&next), "{next}");
    }
    assert!(first.iter().all(|at| (5..=5 + 10 * SECOND).contains(at)));
    let early = first.iter().filter(|at| **at < 5 * SECOND).count();
    assert!((30..70).contains(&early), "{early} of 100 in the first half");
}
