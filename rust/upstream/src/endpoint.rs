//! One endpoint as a worker knows it: its share, what is in flight, how fast it is, whether it is in.

use crate::latency::Latency;

/// An endpoint's index within its cluster until the next [`crate::Cluster::update`].
///
/// An endpoint is one address; a name that resolves to several is several.
pub type EndpointId = u32;

/// What an endpoint is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Which endpoint it is, the same in every worker: a good hash of its address.
    pub key: u64,
    /// Its share, 1 to 1000.
    pub weight: u32,
}

/// An endpoint as metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointView {
    /// Which endpoint it is.
    pub key: u64,
    /// Its share as configured.
    pub weight: u32,
    /// Attempts under way.
    pub in_flight: u32,
    /// The peak-sensitive average of latency to the response's head in nanoseconds; `None` before the first answer.
    pub ewma_ns: Option<u64>,
    /// Whether it is chosen.
    pub state: EndpointState,
}

/// Whether an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// With its whole share.
    Healthy,
    /// With a growing share, after it returned or appeared.
    SlowStart,
    /// Not before `until`: requests saw it fail.
    Ejected {
        /// The instant of its return.
        until: u64,
    },
    /// Not before a probe finds it up.
    Down,
}

/// The finest share: a weight of 1 is this much, so that a tenth of it can still be told.
pub(crate) const SHARE: u32 = 256;

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) serial: u32,
    pub(crate) in_flight: u32,
    /// The weight at this moment in units of 1/[`SHARE`], at least 1; less than the configured one in slow start.
    pub(crate) share: u32,
    /// Whether it may be chosen at this moment.
    pub(crate) live: bool,
    /// Probes say that it is down.
    down: bool,
    /// It was ejected and has not worked since.
    pub(crate) unproven: bool,
    pub(crate) weight: u32,
    pub(crate) latency: Latency,
    /// Smooth weighted round robin: how much it is owed.
    pub(crate) owed: i64,
    /// Round robin over many: when its next turn is, in virtual time.
    pub(crate) turn: u64,
    pub(crate) key: u64,
    /// Failures in a row; an ejection does not end the row, so the first failure after it is one too many.
    pub(crate) failures: u32,
    /// Ejections so far, which make the next one longer.
    ejections: u32,
    /// The end of the last ejection, 0 for none.
    ejected_until: u64,
    /// Since when its share grows.
    ramp: Option<u64>,
}

impl Endpoint {
    pub(crate) fn new(spec: EndpointSpec, serial: u32, ramp: Option<u64>) -> Self {
        Self {
            serial,
            in_flight: 0,
            share: spec.weight.clamp(1, 1000) * SHARE,
            live: true,
            down: false,
            unproven: false,
            weight: spec.weight.clamp(1, 1000),
            latency: Latency::default(),
            owed: 0,
            turn: 0,
            key: spec.key,
            failures: 0,
            ejections: 0,
            ejected_until: 0,
            ramp,
        }
    }

    pub(crate) fn ejected(&self, now: u64) -> bool {
        now < self.ejected_until
    }

    pub(crate) fn spec(&self) -> EndpointSpec {
        EndpointSpec { key: self.key, weight: self.weight }
    }

    /// The same endpoint with another weight; its share follows with the next refresh.
    pub(crate) fn reweighted(mut self, weight: u32) -> Self {
        self.weight = weight.clamp(1, 1000);
        self
    }

    pub(crate) fn available(&self, now: u64) -> bool {
        !self.down && !self.ejected(now)
    }

    /// Leaves it out for `length(ejections before)`; those before are forgotten after `memory` without one.
    pub(crate) fn eject(&mut self, now: u64, memory: u64, length: impl FnOnce(u32) -> u64) -> u64 {
        if now.saturating_sub(self.ejected_until) >= memory {
            self.ejections = 0;
        }
        self.ejected_until = now.saturating_add(length(self.ejections));
        self.ejections += 1;
        self.unproven = true;
        self.ramp = Some(self.ejected_until);
        self.ejected_until
    }

    /// Ends an ejection whatever time is left.
    pub(crate) fn pardon(&mut self, now: u64) {
        if self.ejected(now) {
            self.ejected_until = now;
            self.ramp = Some(now);
        }
        self.failures = 0;
        self.unproven = false;
    }

    /// Takes a probe's word; whether it is news.
    pub(crate) fn set_down(&mut self, down: bool, now: u64) -> bool {
        let news = self.down != down;
        self.down = down;
        if news && !down {
            self.ramp = Some(now.max(self.ejected_until));
            self.failures = 0;
        }
        news
    }

    /// Brings share and membership up to `now`; returns the instant at which that has to be done again.
    pub(crate) fn refresh(&mut self, now: u64, slow_start: u64) -> u64 {
        let was_live = self.live;
        self.live = self.available(now);
        if self.live && !was_live {
            // What it was like before it went says nothing about what came back.
            self.latency.forget();
        }
        let full = self.weight * SHARE;
        self.share = full;
        let mut next = if self.ejected(now) { self.ejected_until } else { u64::MAX };
        if let Some(since) = self.ramp {
            let elapsed = now.saturating_sub(since);
            if now < since {
                // Still ejected; should nobody else be there, it counts in full.
            } else if elapsed >= slow_start {
                self.ramp = None;
            } else {
                self.share = ramped(full, elapsed, slow_start);
                next = next.min(now.saturating_add((slow_start / 64).max(1)));
            }
        }
        next
    }

    pub(crate) fn view(&self, now: u64, slow_start: u64) -> EndpointView {
        let ramping = self.ramp.is_some_and(|since| now.saturating_sub(since) < slow_start);
        let state = if self.down {
            EndpointState::Down
        } else if self.ejected(now) {
            EndpointState::Ejected { until: self.ejected_until }
        } else if ramping {
            EndpointState::SlowStart
        } else {
            EndpointState::Healthy
        };
        EndpointView {
            key: self.key,
            weight: self.weight,
            in_flight: self.in_flight,
            ewma_ns: self.latency.average(),
            state,
        }
    }
}

/// A tenth at first, the whole at the end, a straight line between.
fn ramped(full: u32, elapsed: u64, slow_start: u64) -> u32 {
    let least = f64::from(full) * 0.1;
    let part = (elapsed as f64 / slow_start as f64).min(1.0);
    ((least + (f64::from(full) - least) * part) as u32).clamp(1, full)
}
