//! What one worker counts.

use super::{
    AI_MOST, ENDPOINTS_MOST, HOOKS_MOST, LIMITS_MOST, ROUTES_MOST, TCP_MOST,
    ai::Ai,
    blocks::{Blocks, Counter},
    histogram::{Coarse, Fine},
    reasons::Reasons,
    tcp::Tcp,
};

/// Status codes that are counted by themselves, 100 to 599; the last place is for all others.
pub(super) const STATUSES: usize = 501;

/// The classes of status codes as labels; the last is for what is none.
pub(super) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// One worker's counters: written by that worker alone.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    pub(super) requests: Counter,
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) accept_errors: Counter,
    pub(super) panics: Counter,
    pub(super) restarts: Counter,
    pub(super) durations: Coarse,
    pub(super) fine: Fine,
    pub(super) statuses: Box<[Counter]>,
    pub(super) routes: Blocks<Route>,
    pub(super) endpoints: Blocks<Endpoint>,
    pub(super) limits: Blocks<Limit>,
    pub(super) hooks: Blocks<Hook>,
    pub(super) ai: Blocks<Ai>,
    pub(super) caches: Blocks<Cache>,
    pub(super) handshakes: [Counter; 2],
    pub(super) handshake_failures: Reasons,
    pub(super) refusals: Reasons,
    pub(super) closes: Reasons,
    pub(super) retries: Reasons,
    pub(super) tcp: Blocks<Tcp>,
    pub(super) tcp_ends: Reasons,
}

#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) classes: [Counter; CLASSES.len()],
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) nanoseconds: Counter,
}

/// An endpoint, or an upstream as a whole, of which only the pool is counted.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    pub(super) good: Counter,
    pub(super) failed: Counter,
    pub(super) latency: Coarse,
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) idle: Counter,
    pub(super) in_flight: Counter,
    /// 0 before it is known, then 1 for left out and 2 for chosen.
    pub(super) state: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Limit {
    pub(super) allowed: Counter,
    pub(super) delayed: Counter,
    pub(super) refused: Counter,
}

/// How requests of a route with a cache were met, and why not from it.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) outcomes: [Counter; tidegate_cache::Outcome::ALL.len()],
    pub(super) reasons: [Counter; tidegate_cache::Reason::ALL.len()],
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            outcomes: std::array::from_fn(|_| Counter::default()),
            reasons: std::array::from_fn(|_| Counter::default()),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Hook {
    pub(super) answered: Counter,
    pub(super) failed: Counter,
    pub(super) nanoseconds: Counter,
}

impl WorkerMetrics {
    pub(super) fn new() -> Self {
        Self {
            requests: Counter::default(),
            opened: Counter::default(),
            closed: Counter::default(),
            accept_errors: Counter::default(),
            panics: Counter::default(),
            restarts: Counter::default(),
            durations: Coarse::default(),
            fine: Fine::new(),
            statuses: (0..STATUSES).map(|_| Counter::default()).collect(),
            routes: Blocks::new(ROUTES_MOST),
            endpoints: Blocks::new(ENDPOINTS_MOST),
            limits: Blocks::new(LIMITS_MOST),
            hooks: Blocks::new(HOOKS_MOST),
            ai: Blocks::new(AI_MOST),
            caches: Blocks::new(ROUTES_MOST),
            handshakes: Default::default(),
            handshake_failures: Reasons::new(),
            refusals: Reasons::new(),
            closes: Reasons::new(),
            retries: Reasons::new(),
            tcp: Blocks::new(TCP_MOST),
            tcp_ends: Reasons::new(),
        }
    }

    /// An exchange ended. `route` is 0 where no route took it; bytes are those of bodies.
    pub fn request(&self, route: u32, status: u16, nanoseconds: u64, bytes_in: u64, bytes_out: u64) {
        self.requests.add(1);
        self.durations.count(nanoseconds);
        self.fine.count(nanoseconds);
        let (class, place) = match status {
            100..600 => (usize::from(status / 100 - 1), usize::from(status - 100)),
            _ => (CLASSES.len() - 1, STATUSES - 1),
        };
        self.statuses[place].add(1);
        let route = self.routes.at(route);
        route.classes[class].add(1);
        route.bytes_in.add(bytes_in);
        route.bytes_out.add(bytes_out);
        route.nanoseconds.add(nanoseconds);
    }

    /// A request on a cached route was met so, and for this reason not from the store.
    pub fn cache(&self, route: u32, outcome: usize, reason: Option<usize>) {
        let route = self.caches.at(route);
        if let Some(counter) = route.outcomes.get(outcome) {
            counter.add(1);
        }
        if let Some(counter) = reason.and_then(|reason| route.reasons.get(reason)) {
            counter.add(1);
        }
    }

    /// A request was refused, or failed, for this reason.
    pub fn refusal(&self, reason: &'static str) {
        self.refusals.count(reason);
    }

    /// A TLS handshake with a client is done.
    pub fn handshake(&self, resumed: bool) {
        self.handshakes[usize::from(resumed)].add(1);
    }

    /// A TLS handshake with a client failed for this reason.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.count(reason);
    }

    /// A client connection was closed for this reason.
    pub fn close(&self, reason: &'static str) {
        self.closes.count(reason);
    }

    /// An attempt is followed by another for this reason.
    pub fn retry(&self, reason: &'static str) {
        self.retries.count(reason);
    }

    /// A client connection is open.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A client connection has gone.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A connection could not be accepted.
    pub fn accept_failed(&self) {
        self.accept_errors.add(1);
    }

    /// An exchange panicked.
    pub fn panicked(&self) {
        self.panics.add(1);
    }

    /// The worker panicked outside of an exchange and began anew.
    pub fn restarted(&self) {
        self.restarts.add(1);
    }

    /// An attempt at an endpoint ended; `nanoseconds` are those to the response's head, 0 where there was none.
    pub fn upstream_attempt(&self, endpoint: u32, good: bool, nanoseconds: u64) {
        let endpoint = self.endpoints.at(endpoint);
        if good { &endpoint.good } else { &endpoint.failed }.add(1);
        if nanoseconds > 0 {
            endpoint.latency.count(nanoseconds);
        }
    }

    /// How this worker sees an endpoint at this moment.
    pub fn endpoint_state(&self, endpoint: u32, chosen: bool, in_flight: u32) {
        let endpoint = self.endpoints.at(endpoint);
        endpoint.state.set(1 + u64::from(chosen));
        endpoint.in_flight.set(u64::from(in_flight));
    }

    /// The endpoint is no longer one of its upstream's.
    pub fn endpoint_gone(&self, endpoint: u32) {
        let endpoint = self.endpoints.at(endpoint);
        endpoint.state.set(0);
        endpoint.in_flight.set(0);
    }

    /// An idle connection was there.
    pub fn pool_hit(&self, upstream: u32) {
        self.endpoints.at(upstream).hits.add(1);
    }

    /// No idle connection was there.
    pub fn pool_miss(&self, upstream: u32) {
        self.endpoints.at(upstream).misses.add(1);
    }

    /// So many connections are idle at this moment.
    pub fn pool_idle(&self, upstream: u32, connections: u64) {
        self.endpoints.at(upstream).idle.set(connections);
    }

    /// A limit let a request pass at once.
    pub fn limit_allowed(&self, limit: u32) {
        self.limits.at(limit).allowed.add(1);
    }

    /// A limit held a request back.
    pub fn limit_delayed(&self, limit: u32) {
        self.limits.at(limit).delayed.add(1);
    }

    /// A limit refused a request.
    pub fn limit_refused(&self, limit: u32) {
        self.limits.at(limit).refused.add(1);
    }

    /// A call to a hook ended, whichever way.
    pub fn hook_call(&self, hook: u32, good: bool, nanoseconds: u64) {
        let hook = self.hooks.at(hook);
        if good { &hook.answered } else { &hook.failed }.add(1);
        hook.nanoseconds.add(nanoseconds);
    }
}
