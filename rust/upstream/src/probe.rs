//! Active health of one endpoint: single probes turned into a state by thresholds, and when the next one is due.

use fastrand::Rng;
use tidegate_plan::ActiveHealth;

use crate::MS;

/// A probe turned the endpoint's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Enough good ones in a row.
    Up,
    /// Enough bad ones in a row.
    Down,
}

/// The state of one endpoint's probes. It is up until probes say otherwise: a fresh start must not refuse traffic
/// that would be served.
#[derive(Debug)]
pub struct Probe {
    up: bool,
    /// Probes in a row that contradict `up`.
    against: u32,
    healthy: u32,
    unhealthy: u32,
    interval_ns: u64,
    rng: Rng,
}

impl Probe {
    /// Thresholds of 0 count as 1. Probes of different endpoints should have different seeds.
    #[must_use]
    pub fn new(healthy: u32, unhealthy: u32, interval_ns: u64, seed: u64) -> Self {
        let (healthy, unhealthy) = (healthy.max(1), unhealthy.max(1));
        Self { up: true, against: 0, healthy, unhealthy, interval_ns, rng: Rng::with_seed(seed) }
    }

    /// As the plan has it.
    #[must_use]
    pub fn from_plan(plan: &ActiveHealth, seed: u64) -> Self {
        Self::new(plan.healthy, plan.unhealthy, u64::from(plan.interval_ms) * MS, seed)
    }

    /// What a probe found.
    pub fn observe(&mut self, good: bool) -> Option<Turned> {
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let (threshold, turned) =
            if self.up { (self.unhealthy, Turned::Down) } else { (self.healthy, Turned::Up) };
        if self.against < threshold {
            return None;
        }
        self.up = good;
        self.against = 0;
        Some(turned)
    }

    /// Whether the endpoint is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// When the first probe is due: somewhere within one interval, so that many do not come at once.
    pub fn first_at(&mut self, now: u64) -> u64 {
        now.saturating_add(self.rng.u64(..=self.interval_ns))
    }

    /// When the next probe is due: one interval from `now`, a tenth more or less, so that they do not fall in step.
    pub fn next_at(&mut self, now: u64) -> u64 {
        let tenth = self.interval_ns / 10;
        now.saturating_add(self.interval_ns - tenth).saturating_add(self.rng.u64(..=2 * tenth))
    }
}
