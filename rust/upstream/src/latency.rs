//! A moving average of latency that believes bad news at once and good news slowly.

/// The time in which an old sample's weight falls to 1/e.
const DECAY_NS: f64 = 10e9;
/// What a failure counts as at least: one that fails fast must not look fast.
const FAILURE_NS: f64 = 1e9;
/// Dearer than any known latency times any load, so that what is unknown and busy comes last.
const UNKNOWN: f64 = 1e18;

/// Latency to the response's head of one endpoint.
///
/// A sample above the average replaces it (the peak); one below pulls it down by the time that passed since the
/// last. While nobody picks the endpoint its estimate decays, so that a slow one is tried again after a while; the
/// one request that tries it puts the estimate back (`picked`), so that no others follow before the answer is there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    /// Nanoseconds; 0 while nothing is known.
    average: f64,
    /// When the last sample came.
    sampled: u64,
    /// When it was last picked or sampled: the estimate decays from here.
    touched: u64,
}

impl Latency {
    /// Adds a sample in nanoseconds.
    pub(crate) fn observe(&mut self, sample: u64, now: u64) {
        // At least one nanosecond: zero means unknown.
        let sample = (sample as f64).max(1.0);
        self.average = if sample >= self.average {
            sample
        } else {
            sample + (self.average - sample) * decay(now.saturating_sub(self.sampled))
        };
        self.sampled = now;
        self.touched = now;
    }

    /// Adds a failure, which came after `latency` where it came as an answer.
    pub(crate) fn failed(&mut self, latency: Option<u64>, now: u64) {
        self.observe(latency.unwrap_or(0).max(FAILURE_NS as u64), now);
    }

    /// Ends the estimate's decay: somebody is on the way to see.
    pub(crate) fn picked(&mut self, now: u64) {
        self.touched = now;
    }

    /// Forgets everything, for an endpoint that came back.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The average in nanoseconds, without the decay of an estimate; `None` before the first sample.
    pub(crate) fn average(&self) -> Option<u64> {
        (self.average > 0.0).then_some(self.average as u64)
    }

    /// What one more request costs here: latency times load over weight.
    ///
    /// Nothing known and nothing in flight is free, which gets it its first request; nothing known and something
    /// in flight is dearest, which keeps the second away until the first has come back.
    pub(crate) fn cost(&self, in_flight: u32, weight: u32, now: u64) -> f64 {
        let load = f64::from(in_flight);
        let weight = f64::from(weight);
        if self.average == 0.0 {
            return UNKNOWN * load / weight;
        }
        self.average * decay(now.saturating_sub(self.touched)) * (load + 1.0) / weight
    }
}

/// e^(-elapsed / DECAY_NS), by its series where a few terms are exact enough.
fn decay(elapsed: u64) -> f64 {
    let x = elapsed as f64 * (1.0 / DECAY_NS);
    if x < 1.0 / 64.0 { 1.0 - x * (1.0 - x * 0.5) } else { (-x).exp() }
}
