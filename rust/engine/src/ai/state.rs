//! What is known of targets while they serve: calls in flight, how fast they answer, who cools down, what is left.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Weight of a new sample in a moving average: one in eight.
const SMOOTHING: u64 = 8;

/// How long what a provider's headers said of the rest of its limits is believed, in nanoseconds.
const HEADROOM_FRESH_NS: u64 = 60_000_000_000;

/// One target, as all workers see it. AI calls cost milliseconds; a few shared atomics a call do not matter to them.
#[derive(Debug)]
pub struct TargetState {
    /// Calls under way.
    pub in_flight: AtomicU32,
    /// To the first token, a moving average in nanoseconds; 0 before the first sample.
    first_token_ns: AtomicU64,
    /// A token, a moving average in nanoseconds; 0 before the first sample.
    token_ns: AtomicU64,
    /// How long the server's own queue is, in milliseconds, by its metrics; 0 where it has none or does not say.
    pub queue_ms: AtomicU64,
    /// By index of the provider's credentials.
    pub credentials: Vec<CredentialState>,
}

/// One credential at one target.
#[derive(Debug, Default)]
pub struct CredentialState {
    /// Left out until then, in nanoseconds since the engine started.
    cooling_until: AtomicU64,
    /// The provider itself asked to be left alone until then.
    told_until: AtomicU64,
    /// The smaller share that is left of the provider's limits, in thousandths, plus one; 0 where it never said.
    headroom: AtomicU64,
    headroom_at: AtomicU64,
}

impl TargetState {
    /// Of a target of which nothing is known, at a provider with so many credentials.
    pub fn new(credentials: usize) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            first_token_ns: AtomicU64::new(0),
            token_ns: AtomicU64::new(0),
            queue_ms: AtomicU64::new(0),
            credentials: (0..credentials).map(|_| CredentialState::default()).collect(),
        }
    }

    /// Takes note of a call that was answered: to its first token, and per token behind it.
    pub fn answered(&self, first_token_ns: u64, rest_ns: u64, tokens: u64) {
        blend(&self.first_token_ns, first_token_ns);
        if tokens > 1 && rest_ns > 0 {
            blend(&self.token_ns, rest_ns / (tokens - 1));
        }
    }

    /// To the first token, in nanoseconds; `None` before the first sample.
    pub fn first_token(&self) -> Option<u64> {
        Some(self.first_token_ns.load(Relaxed)).filter(|known| *known > 0)
    }

    /// What a call of so many output tokens is expected to take, times the calls that it would share the target with.
    /// An unknown target is the best: so it becomes known.
    pub fn expected_ns(&self, tokens: u64) -> u64 {
        let one = self.first_token_ns.load(Relaxed) + self.token_ns.load(Relaxed).saturating_mul(tokens);
        one.saturating_mul(u64::from(self.in_flight.load(Relaxed)) + 1)
    }

    /// Whether the credential may be used now.
    pub fn is_cool(&self, credential: usize, now: u64) -> bool {
        self.credentials.get(credential).is_none_or(|kept| kept.cooling_until.load(Relaxed) <= now)
    }

    /// Whether the credential may be used where there is nobody else: its cooldown is our guess, unless the provider named it.
    pub fn is_free_in_need(&self, credential: usize, now: u64) -> bool {
        self.credentials.get(credential).is_none_or(|kept| kept.told_until.load(Relaxed) <= now)
    }

    /// Leaves the credential out until then; `told_until` is what the provider asked for, 0 for nothing.
    pub fn cool_down(&self, credential: usize, until: u64, told_until: u64) {
        if let Some(kept) = self.credentials.get(credential) {
            kept.cooling_until.fetch_max(until.max(told_until), Relaxed);
            kept.told_until.fetch_max(told_until, Relaxed);
        }
    }

    /// A good answer ends a cooldown early.
    pub fn warmed(&self, credential: usize) {
        if let Some(kept) = self.credentials.get(credential)
            && kept.cooling_until.load(Relaxed) != 0
        {
            kept.cooling_until.store(0, Relaxed);
            kept.told_until.store(0, Relaxed);
        }
    }

    /// When the first of its credentials may be used again; `None` where one may now.
    pub fn cool_at(&self, now: u64) -> Option<u64> {
        let times = self.credentials.iter().map(|kept| kept.cooling_until.load(Relaxed));
        times.min().filter(|until| *until > now)
    }

    /// Takes note of what the provider's headers say is left, in thousandths of its limits.
    pub fn left(&self, credential: usize, thousandths: u64, now: u64) {
        if let Some(kept) = self.credentials.get(credential) {
            kept.headroom.store(thousandths.min(1000) + 1, Relaxed);
            kept.headroom_at.store(now, Relaxed);
        }
    }

    /// What is left, in thousandths; all of it where nothing was said of late.
    pub fn headroom(&self, credential: usize, now: u64) -> u64 {
        let Some(kept) = self.credentials.get(credential) else { return 1000 };
        match kept.headroom.load(Relaxed) {
            0 => 1000,
            _ if now.saturating_sub(kept.headroom_at.load(Relaxed)) > HEADROOM_FRESH_NS => 1000,
            told => told - 1,
        }
    }
}

fn blend(average: &AtomicU64, sample: u64) {
    // Two workers at once may lose a sample of an average; nothing depends on it.
    let before = average.load(Relaxed);
    let after = if before == 0 { sample } else { before - before / SMOOTHING + sample / SMOOTHING };
    average.store(after.max(1), Relaxed);
}

/// One call under way at a target; counted for as long as it lives.
#[derive(Debug)]
pub struct InFlight(std::sync::Arc<TargetState>);

impl InFlight {
    /// One more.
    pub fn new(state: &std::sync::Arc<TargetState>) -> Self {
        state.in_flight.fetch_add(1, Relaxed);
        Self(state.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_cools_down_and_a_good_answer_ends_that_early() {
        let state = TargetState::new(2);
        state.cool_down(0, 100, 0);
        assert!(!state.is_cool(0, 99) && state.is_cool(1, 99) && state.is_cool(0, 100));
        state.warmed(0);
        assert!(state.is_cool(0, 1));
    }

    #[test]
    fn in_need_only_what_the_provider_asked_for_holds() {
        let state = TargetState::new(2);
        state.cool_down(0, 100, 0);
        state.cool_down(1, 100, 60);
        assert!(state.is_free_in_need(0, 1) && !state.is_free_in_need(1, 59) && state.is_free_in_need(1, 60));
        assert!(!state.is_cool(1, 60));
    }

    #[test]
    fn a_target_is_cool_as_soon_as_one_credential_is() {
        let state = TargetState::new(2);
        state.cool_down(0, 100, 0);
        assert_eq!(state.cool_at(50), None);
        state.cool_down(1, 80, 0);
        assert_eq!(state.cool_at(50), Some(80));
    }

    #[test]
    fn expected_time_grows_with_what_is_in_flight() {
        let state = std::sync::Arc::new(TargetState::new(1));
        state.answered(1000, 9000, 10);
        let alone = state.expected_ns(10);
        let _other = InFlight::new(&state);
        assert_eq!(state.expected_ns(10), 2 * alone);
    }

    #[test]
    fn old_news_of_headroom_are_forgotten() {
        let state = TargetState::new(1);
        assert_eq!(state.headroom(0, 0), 1000);
        state.left(0, 20, 5);
        assert_eq!(state.headroom(0, 6), 20);
        assert_eq!(state.headroom(0, 6 + HEADROOM_FRESH_NS), 1000);
    }
}
