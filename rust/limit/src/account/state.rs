//! What one account has spent and what calls in flight hold on it, behind one lock.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::reservation::Held;
use super::{AccountSpec, Metric, Window};

/// One account, shared by all plans that name it.
// Two accounts never share a cache line: workers that pay from different ones don't meet.
#[repr(align(64))]
#[derive(Debug)]
pub(super) struct Account {
    sums: Mutex<Sums>,
    id: u64,
    metric: Metric,
    window: Window,
    name: String,
}

impl Account {
    pub(super) fn new(spec: &AccountSpec) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (at_ms, spent) = spec.opening.unwrap_or((0, 0));
        Self {
            sums: Mutex::new(Sums::new(spec.window, at_ms, spent)),
            id: NEXT.fetch_add(1, Relaxed),
            metric: spec.metric,
            window: spec.window,
            name: spec.name.clone(),
        }
    }

    /// Whether its state can be that of `spec`.
    pub(super) fn means(&self, spec: &AccountSpec) -> bool {
        self.metric == spec.metric && self.window == spec.window
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Unique in the process. Whoever locks several accounts does it in the order of these.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    /// Its sums as of `now_ms`.
    pub(super) fn lock(&self, now_ms: u64) -> MutexGuard<'_, Sums> {
        let mut sums = self.lock_as_is();
        sums.advance(self.window, now_ms);
        sums
    }

    /// Books what was spent elsewhere, if that was in the window of `now_ms`.
    pub(super) fn book(&self, at_ms: u64, amount: u64, now_ms: u64) {
        let mut sums = self.lock(now_ms);
        if self.metric != Metric::InFlight && self.window.bounds(at_ms).0 == sums.start_ms {
            sums.spent += u128::from(amount);
        }
    }

    /// Its sums as of when they were last looked at.
    pub(super) fn lock_as_is(&self) -> MutexGuard<'_, Sums> {
        // Nothing under the lock can panic between two stores that belong together.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sums of one account. They are wider than amounts, so that no sum of amounts saturates and every refund is exact.
#[derive(Debug)]
pub(super) struct Sums {
    start_ms: u64,
    end_ms: u64,
    spent: u128,
    /// The sum of `holds`.
    reserved: u128,
    /// What is held, by the moment from which it may be taken back; in rising order, none of them empty.
    holds: VecDeque<Hold>,
    /// Holds up to this moment are gone, and no new one gets such a moment.
    reclaimed_ms: u64,
}

#[derive(Debug)]
struct Hold {
    until_ms: u64,
    amount: u128,
}

impl Sums {
    fn new(window: Window, at_ms: u64, spent: u64) -> Self {
        let (start_ms, end_ms) = window.bounds(at_ms);
        Self { start_ms, end_ms, spent: spent.into(), reserved: 0, holds: VecDeque::new(), reclaimed_ms: 0 }
    }

    pub(super) fn spent(&self) -> u64 {
        u64::try_from(self.spent).unwrap_or(u64::MAX)
    }

    pub(super) fn reserved(&self) -> u64 {
        u64::try_from(self.reserved).unwrap_or(u64::MAX)
    }

    pub(super) fn resets_at_ms(&self) -> Option<u64> {
        (self.end_ms != u64::MAX).then_some(self.end_ms)
    }

    /// The admission rule.
    pub(super) fn fits(&self, limit: u64, amount: u64) -> bool {
        self.spent + self.reserved + u128::from(amount) <= u128::from(limit)
    }

    /// Holds `amount` for a call; a request is counted at once.
    pub(super) fn take(&mut self, held: &mut Held, metric: Metric, amount: u64, until_ms: u64) {
        held.amount = amount;
        held.start_ms = self.start_ms;
        if metric == Metric::Requests {
            self.spent += u128::from(amount);
        } else {
            held.until_ms = self.hold(amount, until_ms);
        }
    }

    /// Gives back what a call holds, as if it had never been let in.
    pub(super) fn give_back(&mut self, held: &Held, metric: Metric) {
        if metric == Metric::Requests {
            if held.start_ms == self.start_ms {
                self.spent = self.spent.saturating_sub(held.amount.into());
            }
        } else {
            self.release(held.amount, held.until_ms);
        }
    }

    /// Books what a call took in the end, and gives back what it held.
    pub(super) fn settle(&mut self, held: &Held, metric: Metric, actual: Option<u64>) {
        self.give_back(held, metric);
        match metric {
            Metric::InFlight => {}
            // It was let in in a window that is over, and counted there.
            Metric::Requests if held.start_ms != self.start_ms => {}
            _ => self.spent += u128::from(actual.unwrap_or(0)),
        }
    }

    /// Holds `more` than a call held, until another moment; all of it again where it was already taken back.
    pub(super) fn grow(&mut self, held: &mut Held, more: u64, until_ms: u64) {
        self.release(held.amount, held.until_ms);
        held.amount = held.amount.saturating_add(more);
        held.until_ms = self.hold(held.amount, until_ms);
    }

    /// Holds `amount`, and says under which moment.
    fn hold(&mut self, amount: u64, until_ms: u64) -> u64 {
        if amount == 0 {
            return 0;
        }
        let until_ms = until_ms.max(self.reclaimed_ms.saturating_add(1));
        let until_ms = until_ms.checked_next_multiple_of(STEP_MS).unwrap_or(u64::MAX);
        let place = self.holds.partition_point(|hold| hold.until_ms < until_ms);
        match self.holds.get_mut(place).filter(|hold| hold.until_ms == until_ms) {
            Some(hold) => hold.amount += u128::from(amount),
            None => self.holds.insert(place, Hold { until_ms, amount: amount.into() }),
        }
        self.reserved += u128::from(amount);
        until_ms
    }

    fn release(&mut self, amount: u64, until_ms: u64) {
        if until_ms <= self.reclaimed_ms {
            return;
        }
        let place = self.holds.partition_point(|hold| hold.until_ms < until_ms);
        let Some(hold) = self.holds.get_mut(place).filter(|hold| hold.until_ms == until_ms) else { return };
        hold.amount = hold.amount.saturating_sub(amount.into());
        if hold.amount == 0 {
            self.holds.remove(place);
        }
        self.reserved = self.reserved.saturating_sub(amount.into());
    }

    /// Begins a new window where the old one is over, and takes back what was held for too long.
    fn advance(&mut self, window: Window, now_ms: u64) {
        while let Some(hold) = self.holds.front().filter(|hold| hold.until_ms <= now_ms) {
            self.reserved = self.reserved.saturating_sub(hold.amount);
            self.reclaimed_ms = hold.until_ms;
            self.holds.pop_front();
        }
        let over = now_ms >= self.end_ms;
        // Threads look at the clock at their own time, so `now` may be a little before the window. A clock that was set
        // back must not keep an account in a window that comes again only much later; what was spent stays.
        let set_back = now_ms.saturating_add(CLOCK_SLACK_MS) < self.start_ms;
        if window != Window::None && (over || set_back) {
            (self.start_ms, self.end_ms) = window.bounds(now_ms);
            if over {
                self.spent = 0;
            }
        }
    }
}

/// Holds that end within the same so many milliseconds are kept as one sum: a few hundred at most, for calls of an hour.
const STEP_MS: u64 = 10_000;
/// How far clocks of two threads, or a clock before and after a small correction, may differ.
const CLOCK_SLACK_MS: u64 = 60_000;
