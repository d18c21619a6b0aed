//! What a call holds on its accounts until it is settled.

use std::sync::Arc;

use super::{Amounts, Entry, Exhausted, Metric};

/// What a call holds. Dropped unsettled (the call never reached a provider, or failed at no cost), it gives everything back and
/// counts nothing.
#[derive(Debug)]
#[must_use = "dropping a reservation refunds it"]
pub struct Reservation {
    entries: Arc<[Entry]>,
    /// By account, each once. Empty once settled.
    held: Vec<Held>,
}

/// What is held on one account.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) account: u32,
    pub(super) amount: u64,
    /// Under which moment; 0 for nothing.
    pub(super) until_ms: u64,
    /// The window in which it was taken.
    pub(super) start_ms: u64,
}

impl Reservation {
    pub(super) fn new(entries: Arc<[Entry]>, held: Vec<Held>) -> Self {
        Self { entries, held }
    }

    /// Gives back what was held and books what the call took, into the windows of `now_ms` (milliseconds since 1970); requests
    /// stay in the window in which they were let in.
    pub fn settle(mut self, actual: &Amounts, now_ms: u64) {
        for held in self.held.drain(..) {
            if let Some(entry) = self.entries.get(held.account as usize) {
                let metric = entry.account.metric();
                entry.account.lock(now_ms).settle(&held, metric, actual.of(metric));
            }
        }
    }

    /// Holds more, until `until_ms`: what a call turned out to take beyond its estimate (tokens and money), so that others see it
    /// before the call ends. It is held in any case, for it is already taken; the error says which account is
    /// overspent by it, and whether the call goes on is the caller's decision.
    pub fn add(&mut self, more: &Amounts, now_ms: u64, until_ms: u64) -> Result<(), Exhausted> {
        let mut over = Later::default();
        for held in &mut self.held {
            let Some(entry) = self.entries.get(held.account as usize) else { continue };
            let more = match entry.account.metric() {
                Metric::Requests => continue,
                Metric::InFlight => 0,
                metric => more.of(metric).unwrap_or(0),
            };
            let mut sums = entry.account.lock(now_ms);
            sums.grow(held, more, until_ms);
            if more > 0 && !sums.fits(entry.limit, 0) {
                over.offer(entry.exhausted(held.account, &sums, more));
            }
        }
        over.take().map_or(Ok(()), Err)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for held in self.held.drain(..) {
            if let Some(entry) = self.entries.get(held.account as usize) {
                entry.account.lock_as_is().give_back(&held, entry.account.metric());
            }
        }
    }
}

impl Held {
    pub(super) fn none(account: u32) -> Self {
        Self { account, amount: 0, until_ms: 0, start_ms: 0 }
    }
}

/// Of several refusals the one that ends last: waiting for any other would be in vain.
#[derive(Default)]
pub(super) struct Later(Option<Exhausted>);

impl Later {
    pub(super) fn offer(&mut self, exhausted: Exhausted) {
        if self.0.is_none_or(|known| wait(&known) < wait(&exhausted)) {
            self.0 = Some(exhausted);
        }
    }

    pub(super) fn take(self) -> Option<Exhausted> {
        self.0
    }
}

fn wait(exhausted: &Exhausted) -> u64 {
    match exhausted.metric {
        // A call may end at any moment.
        Metric::InFlight => 0,
        _ => exhausted.resets_at_ms.unwrap_or(u64::MAX),
    }
}
