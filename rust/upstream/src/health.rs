//! What requests saw of an endpoint, and what follows from it.

use tidegate_plan::PassiveHealth;

use crate::MS;

/// Ejection by what requests saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passive {
    /// Failures in a row after which an endpoint is left out; 0 counts as 1.
    pub failures: u32,
    /// Whether 500, 502, 503 and 504 count as failures; see [`Passive::counts`].
    pub count_5xx: bool,
    /// How long it is left out the first time, in nanoseconds.
    pub eject_ns: u64,
    /// The most that may be left out at once, in percent.
    pub max_percent: u32,
}

impl Passive {
    /// Whether an answer of this status is an [`Outcome::Failed`].
    #[must_use]
    pub fn counts(&self, status: u16) -> bool {
        self.count_5xx && matches!(status, 500 | 502 | 503 | 504)
    }

    /// How long the ejection after `earlier` others lasts: doubled each time, up to ten times the first.
    pub(crate) fn length(&self, earlier: u32) -> u64 {
        let factor = 1u64.checked_shl(earlier).unwrap_or(u64::MAX).min(10);
        self.eject_ns.saturating_mul(factor)
    }
}

impl From<&PassiveHealth> for Passive {
    fn from(plan: &PassiveHealth) -> Self {
        Self {
            failures: plan.failures,
            count_5xx: plan.count_5xx,
            eject_ns: u64::from(plan.eject_ms) * MS,
            max_percent: plan.max_percent,
        }
    }
}

/// What became of an attempt, as far as the endpoint's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered as one that works.
    Ok,
    /// No connection, one that ended early, no answer in time, an answer that is none, or a status that counts.
    Failed,
    /// It says nothing about the endpoint: the client left, or a reused connection had gone stale.
    Cancelled,
}

/// What an observation changed; logs and metrics tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Too many failures in a row; it is left out.
    Ejected {
        /// The instant from which it is chosen again.
        until: u64,
    },
    /// It worked for the first time after an ejection.
    Restored,
    /// Probes say that it is down.
    Down,
    /// Probes say that it is up again.
    Up,
}
