//! Who may connect, and how often: the limits of routes, applied to connections.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tidegate_limit::{Concurrency, Decision, Full};
use tidegate_plan::KeyPart;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{end::End, prepare::PreparedTcp};
use crate::{
    failure::Cause,
    stage::limit::push_ip,
    worker::{Worker, WorkerPlan},
};

/// What limits know of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// The name that it asks for; empty where it says none.
    pub host: &'a str,
    /// The listener's name.
    pub listener: &'a str,
}

/// Permits of one connection, given back when dropped.
#[derive(Default)]
pub struct Permits(Vec<(Arc<Concurrency>, u64)>);

impl Drop for Permits {
    fn drop(&mut self) {
        for (table, key) in &self.0 {
            table.release(*key);
        }
    }
}

/// Takes tokens and permits for a connection; says how long it is held back first.
pub fn admit(
    worker: &Worker,
    plan: &WorkerPlan,
    tcp: &PreparedTcp,
    caller: Caller<'_>,
    permits: &mut Permits,
) -> Result<Option<Duration>, End> {
    let shared = &plan.shared;
    let mut longest: Option<Duration> = None;
    for index in &tcp.plan.limits {
        let limit = &shared.limits[*index as usize];
        let key = hash(&limit.plan.key, limit.seed, caller);
        match shared.buckets.take(key, &limit.quota, limit.plan.cost, worker.now()) {
            Decision::Allow { .. } => worker.metrics.limit_allowed(limit.slot),
            Decision::Delay { wait, .. } => {
                worker.metrics.limit_delayed(limit.slot);
                longest = longest.max(Some(Duration::from_nanos(wait)));
            }
            Decision::Refuse { .. } => {
                worker.metrics.limit_refused(limit.slot);
                return Err(End::Failed(Cause::RateLimited));
            }
        }
    }
    for index in &tcp.plan.concurrency {
        let cap = &shared.caps[*index as usize];
        let key = hash(&cap.plan.key, cap.seed, caller);
        match shared.in_flight.acquire(key, cap.plan.max) {
            Ok(()) => permits.0.push((shared.in_flight.clone(), key)),
            Err(full) => {
                worker.metrics.limit_refused(cap.slot);
                return Err(End::Failed(match full {
                    Full::Limit => Cause::TooManyInFlight,
                    Full::Table => Cause::TooManyKeys,
                }));
            }
        }
    }
    Ok(longest)
}

/// The same number that a request of this client gets, so that routes and listeners may share a limit's counts.
pub fn hash(key: &[KeyPart], seed: u64, caller: Caller<'_>) -> u64 {
    if let ([KeyPart::ClientIp], IpAddr::V4(address)) = (key, caller.ip) {
        return xxh3_64_with_seed(&address.octets(), seed);
    }
    let mut room = Vec::with_capacity(64);
    for part in key {
        let start = room.len();
        room.extend_from_slice(&[0; 4]);
        match part {
            KeyPart::ClientIp => push_ip(caller.ip, &mut room),
            KeyPart::Host => room.extend_from_slice(caller.host.as_bytes()),
            KeyPart::Route => room.extend_from_slice(caller.listener.as_bytes()),
            // A plan with others at a listener is refused.
            KeyPart::Header { .. }
            | KeyPart::Cookie { .. }
            | KeyPart::ApiKey
            | KeyPart::Claim { .. }
            | KeyPart::Path => {}
        }
        let length = (room.len() - start - 4) as u32;
        room[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    xxh3_64_with_seed(&room, seed)
}
