//! The share of requests that may be tried again, so that retries cannot multiply an outage.

use fastrand::Rng;

const SECOND: u64 = 1_000_000_000;
/// The window in seconds.
const WINDOW: usize = 10;
/// Retries in a window that are always allowed: at low traffic a share of requests is less than one.
const ALWAYS: u32 = 10;

/// Requests and retries of the last ten seconds (in steps of one), for one worker and one upstream.
#[derive(Debug)]
pub struct RetryBudget {
    requests: [u32; WINDOW],
    retries: [u32; WINDOW],
    /// The sums of the above.
    requested: u32,
    retried: u32,
    /// The second that is being counted.
    second: u64,
    rng: Rng,
}

impl RetryBudget {
    /// A budget that nobody has used. The seed is that of the jitter between attempts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            requests: [0; WINDOW],
            retries: [0; WINDOW],
            requested: 0,
            retried: 0,
            second: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// A request begins; call it once for each, before its first attempt.
    #[inline]
    pub fn request(&mut self, now: u64) {
        self.advance(now);
        let place = &mut self.requests[(self.second % WINDOW as u64) as usize];
        *place = place.saturating_add(1);
        self.requested = self.requested.saturating_add(1);
    }

    /// Retries in the window so far.
    #[must_use]
    pub fn retried(&self) -> u32 {
        self.retried
    }

    /// Takes one retry out of `percent` of the window's requests, or of ten where that is less.
    pub(crate) fn withdraw(&mut self, percent: u32, now: u64) -> bool {
        self.advance(now);
        let share = u64::from(self.requested) * u64::from(percent) / 100;
        if u64::from(self.retried) >= share.max(u64::from(ALWAYS)) {
            return false;
        }
        self.retries[(self.second % WINDOW as u64) as usize] += 1;
        self.retried += 1;
        true
    }

    /// A random part of `whole`, at least half of it.
    pub(crate) fn jitter(&mut self, whole: u64) -> u64 {
        whole / 2 + self.rng.u64(..=whole / 2)
    }

    /// Empties the seconds that have left the window.
    #[inline]
    fn advance(&mut self, now: u64) {
        let second = now / SECOND;
        if second > self.second {
            self.forget(second);
        }
    }

    #[cold]
    fn forget(&mut self, second: u64) {
        for passed in (self.second + 1..=second).take(WINDOW) {
            let place = (passed % WINDOW as u64) as usize;
            self.requested = self.requested.saturating_sub(self.requests[place]);
            self.retried = self.retried.saturating_sub(self.retries[place]);
            (self.requests[place], self.retries[place]) = (0, 0);
        }
        self.second = second;
    }
}
