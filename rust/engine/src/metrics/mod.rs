//! Everything that is counted: by each worker for itself, read by whoever asks.
//!
//! A worker's counters are written by that worker alone, with plain loads and stores, and lie in memory that no other
//! worker writes to; so counting costs no synchronisation. A reader adds the workers up and may see an exchange in one
//! counter that another does not have yet.

mod ai;
mod blocks;
mod cache;
mod expiry;
mod histogram;
mod reasons;
mod render;
mod slots;
mod stats;
mod tcp;
mod worker;

use std::sync::Arc;

pub use ai::AiCall;
pub use expiry::{Expiry, render as render_expiries};
pub use worker::WorkerMetrics;

use slots::Slots;

/// Routes that are counted apart; those beyond share [`OTHER`].
const ROUTES_MOST: usize = 16_384;
/// Endpoints (and upstreams) that are counted apart.
const ENDPOINTS_MOST: usize = 8192;
/// Limits that are counted apart.
const LIMITS_MOST: usize = 4096;
/// Hooks that are counted apart.
const HOOKS_MOST: usize = 1024;
/// Listeners that pass connections on that are counted apart.
const TCP_MOST: usize = 1024;
/// Models at providers that are counted apart.
const AI_MOST: usize = 4096;

/// The slot of what came after all others were taken. Slot 0 is that of what has no name.
const OTHER: u32 = 1;

/// All counters, and the names of their slots.
#[derive(Debug)]
pub struct Metrics {
    workers: Vec<Arc<WorkerMetrics>>,
    routes: Slots,
    endpoints: Slots,
    limits: Slots,
    hooks: Slots,
    ai: Slots,
    tcp: Slots,
}

/// What the caller knows at the moment of asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// When the engine started, in seconds since 1970.
    pub started: u64,
    /// The number of the plan that runs.
    pub generation: u64,
    /// Whether it is letting connections go.
    pub draining: bool,
    /// Lines that the access log lost.
    pub log_lines_dropped: u64,
    /// Calls that wait for Python.
    pub hook_calls_waiting: u64,
    /// What the cache's store holds, the answers being fetched, and their bytes; `None` where nothing is kept.
    pub cache: Option<(tidegate_cache::Figures, u64, u64)>,
    /// What is given up for want of memory: 0 to 3.
    pub overload_level: u64,
    /// Bytes of memory that the process takes, and may take (0 for no bound).
    pub memory: (u64, u64),
}

impl Metrics {
    /// Counters at zero.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers: (0..workers).map(|_| Arc::new(WorkerMetrics::new())).collect(),
            routes: Slots::new(ROUTES_MOST),
            endpoints: Slots::new(ENDPOINTS_MOST),
            limits: Slots::new(LIMITS_MOST),
            hooks: Slots::new(HOOKS_MOST),
            ai: Slots::new(AI_MOST),
            tcp: Slots::new(TCP_MOST),
        })
    }

    /// The counters that worker `number` writes, and nobody else.
    ///
    /// # Panics
    ///
    /// Where there is no such worker.
    pub fn worker(&self, number: usize) -> Arc<WorkerMetrics> {
        self.workers[number].clone()
    }

    /// The slot of a route. The same name always has the same slot, over reloads too.
    pub fn route_slot(&self, name: &str) -> u32 {
        self.routes.slot(&[name])
    }

    /// The slot of a listener that passes connections on.
    pub fn tcp_slot(&self, listener: &str) -> u32 {
        self.tcp.slot(&[listener])
    }

    /// The slot of an endpoint of an upstream; of the upstream itself with an empty `endpoint`.
    pub fn upstream_slot(&self, upstream: &str, endpoint: &str) -> u32 {
        self.endpoints.slot(&[upstream, endpoint])
    }

    /// The slot of a limit or of a cap on what is in flight.
    pub fn limit_slot(&self, name: &str) -> u32 {
        self.limits.slot(&[name])
    }

    /// The slot of a hook.
    pub fn hook_slot(&self, name: &str) -> u32 {
        self.hooks.slot(&[name])
    }

    /// The slot of a model at a provider.
    pub fn ai_slot(&self, model: &str, provider: &str) -> u32 {
        self.ai.slot(&[model, provider])
    }

    /// Appends the Prometheus text format, version 0.0.4 (`text/plain; version=0.0.4; charset=utf-8`).
    pub fn render(&self, gauges: &Gauges, out: &mut Vec<u8>) {
        render::write(self, gauges, out);
    }

    /// Appends what is known of keys that are fetched: name, fetches that succeeded, that failed, keys.
    pub fn render_key_sets(rows: &[(String, u64, u64, usize)], out: &mut Vec<u8>) {
        render::key_sets(rows, out);
    }

    /// One JSON object for `tidegate status`: totals, the busiest routes, all endpoints in use.
    pub fn stats_json(&self, gauges: &Gauges) -> Vec<u8> {
        stats::object(self, gauges)
    }

    /// The sum over the workers.
    fn sum(&self, part: impl Fn(&WorkerMetrics) -> u64) -> u64 {
        self.workers.iter().map(|worker| part(worker)).sum()
    }
}

#[cfg(test)]
mod tests;
