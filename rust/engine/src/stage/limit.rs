//! How much: tokens out of buckets that all workers share, and permits while a request is in flight.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tidegate_limit::{Concurrency, Decision, Full, retry_after_seconds, write_limit, write_policy};
use tidegate_plan::KeyPart;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    answer::{push_field, push_number_field},
    exchange::Exchange,
    failure::{Cause, Failure},
    prepare::PreparedRoute,
    worker::{Worker, WorkerPlan},
};

/// What a request that is let in holds, and how long it waits first.
#[derive(Default)]
pub struct Admitted {
    /// Permits, given back when dropped.
    pub permits: Permits,
    /// Held back for this long instead of refused.
    pub wait: Option<Duration>,
}

/// Permits of one request.
#[derive(Default)]
pub struct Permits {
    held: Vec<(Arc<Concurrency>, u64)>,
}

impl Drop for Permits {
    fn drop(&mut self) {
        for (table, key) in &self.held {
            table.release(*key);
        }
    }
}

/// Takes tokens and permits, or refuses with what the client needs to know.
pub fn admit(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &mut Exchange,
) -> Result<Admitted, Failure> {
    let mut admitted = Admitted::default();
    if route.plan.limits.is_empty() && route.plan.concurrency.is_empty() {
        return Ok(admitted);
    }
    let now = worker.now();
    for index in &route.plan.limits {
        let limit = &plan.shared.limits[*index as usize];
        let key = hash_key(worker, plan, &limit.plan.key, limit.seed, exchange);
        let decision = plan.shared.buckets.take(key, &limit.quota, limit.plan.cost, now);
        match decision {
            Decision::Allow { .. } => worker.metrics.limit_allowed(limit.slot),
            Decision::Delay { wait, .. } => {
                worker.metrics.limit_delayed(limit.slot);
                let wait = Duration::from_nanos(wait);
                admitted.wait = Some(admitted.wait.map_or(wait, |longest| longest.max(wait)));
            }
            Decision::Refuse { retry_after, .. } => {
                worker.metrics.limit_refused(limit.slot);
                let fields = &mut exchange.fields;
                let seconds = retry_after_seconds(retry_after);
                push_number_field(fields, b"Retry-After", seconds);
                fields.extend_from_slice(b"RateLimit-Policy: ");
                write_policy(fields, &limit.plan.name, &limit.quota);
                fields.extend_from_slice(b"\r\nRateLimit: ");
                write_limit(fields, &limit.plan.name, &decision);
                fields.extend_from_slice(b"\r\n");
                return Err(Failure::client(Cause::RateLimited));
            }
        }
    }
    for index in &route.plan.concurrency {
        let cap = &plan.shared.caps[*index as usize];
        let key = hash_key(worker, plan, &cap.plan.key, cap.seed, exchange);
        match plan.shared.in_flight.acquire(key, cap.plan.max) {
            Ok(()) => admitted.permits.held.push((plan.shared.in_flight.clone(), key)),
            Err(full) => {
                worker.metrics.limit_refused(cap.slot);
                push_field(&mut exchange.fields, b"Retry-After", b"1");
                return Err(match full {
                    Full::Limit => Failure::client(Cause::TooManyInFlight),
                    Full::Table => Failure::gateway(Cause::TooManyKeys),
                });
            }
        }
    }
    Ok(admitted)
}

/// Hashes what a key's parts are for this request. Each part is written with its length, so that two
/// different lists of parts never read the same.
pub fn hash_key(worker: &Worker, plan: &WorkerPlan, key: &[KeyPart], seed: u64, exchange: &Exchange) -> u64 {
    if let ([KeyPart::ClientIp], IpAddr::V4(address)) = (key, exchange.client_ip) {
        return xxh3_64_with_seed(&address.octets(), seed);
    }
    let mut room = worker.small.borrow_mut();
    room.clear();
    key_bytes(plan, key, exchange, &mut room);
    xxh3_64_with_seed(&room, seed)
}

/// Appends what a key's parts are for this request, each with its length before it.
pub fn key_bytes(plan: &WorkerPlan, key: &[KeyPart], exchange: &Exchange, room: &mut Vec<u8>) {
    let head = &exchange.head;
    for part in key {
        let start = room.len();
        room.extend_from_slice(&[0; 4]);
        match part {
            KeyPart::ClientIp => push_ip(exchange.client_ip, room),
            KeyPart::Header { name } => {
                room.extend_from_slice(head.field(name.as_bytes()).unwrap_or_default());
            }
            KeyPart::Cookie { name } => {
                room.extend_from_slice(head.cookie(name.as_bytes()).unwrap_or_default());
            }
            KeyPart::ApiKey => room.extend_from_slice(exchange.user.as_bytes()),
            KeyPart::Claim { name } => {
                let claims = exchange.claims.as_deref();
                room.extend_from_slice(
                    claims.and_then(|claims| claims.text(name)).unwrap_or_default().as_bytes(),
                );
            }
            KeyPart::Path => room.extend_from_slice(exchange.path()),
            KeyPart::Host => room.extend_from_slice(&exchange.host),
            KeyPart::Route => {
                let route = exchange.route.and_then(|index| plan.shared.plan.routes.get(index as usize));
                room.extend_from_slice(route.map_or("", |route| &route.name).as_bytes());
            }
        }
        let length = (room.len() - start - 4) as u32;
        room[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// An address as keys have it.
pub fn push_ip(ip: IpAddr, room: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(address) => room.extend_from_slice(&address.octets()),
        // Whoever has one v6 address has a whole /64 of them.
        IpAddr::V6(address) => room.extend_from_slice(&address.octets()[..8]),
    }
}
