//! The door to an endpoint: how many connections all workers may have open, and how many requests may wait for one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many may be in, and how many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// Connections open at once; 0 for no bound.
    pub max: u32,
    /// Requests waiting at once; 0 refuses instead.
    pub queue_max: u32,
}

impl From<&tidegate_plan::Pool> for GateLimits {
    fn from(plan: &tidegate_plan::Pool) -> Self {
        Self { max: plan.max_connections, queue_max: plan.queue_max }
    }
}

/// What the gate says to one who wants a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// Open one, and [`Gate::close`] when it is gone or could not be had.
    Open,
    /// A place in the queue is taken: [`Gate::try_enter`] when woken, or [`Gate::leave`].
    Wait,
    /// Neither; the request is refused with 503.
    Full,
}

/// Counts connections and waiting requests of all workers; share it in an `Arc`.
///
/// The gate counts, its callers wait and wake: whoever is told `true` by [`close`](Self::close) or
/// [`leave`](Self::leave) wakes one of those that wait. Nobody overtakes them: while one waits, a newcomer waits
/// too. Without a bound nothing is ever written, so that workers share no cache line for it.
#[derive(Debug)]
pub struct Gate {
    /// Fixed for its life, so that each connection that is counted out was counted in.
    bounded: bool,
    max: AtomicU32,
    queue_max: AtomicU32,
    /// Open connections in the upper half, waiting requests in the lower: one word, so that both change at once.
    state: AtomicU64,
}

/// One open connection in [`Gate`]'s state word; a waiting request is 1.
const OPEN: u64 = 1 << 32;

impl Gate {
    /// A gate that nobody has passed.
    #[must_use]
    pub fn new(limits: GateLimits) -> Self {
        Self {
            bounded: limits.max > 0,
            max: AtomicU32::new(limits.max),
            queue_max: AtomicU32::new(limits.queue_max),
            state: AtomicU64::new(0),
        }
    }

    /// Takes other limits; those who are in or wait stay. `false` where a bound would appear or vanish: that needs
    /// another gate, because this one has not counted (or would not go on to) who is in.
    pub fn set_limits(&self, limits: GateLimits) -> bool {
        if self.bounded != (limits.max > 0) {
            return false;
        }
        self.max.store(limits.max, Ordering::Relaxed);
        self.queue_max.store(limits.queue_max, Ordering::Relaxed);
        true
    }

    /// May a connection be opened now?
    pub fn try_open(&self) -> Admission {
        if !self.bounded {
            return Admission::Open;
        }
        let (max, queue_max) = (self.max.load(Ordering::Relaxed), self.queue_max.load(Ordering::Relaxed));
        let mut admission = Admission::Full;
        let step = |state| {
            let (open, waiting) = parts(state);
            if open < max && waiting == 0 {
                admission = Admission::Open;
                Some(state + OPEN)
            } else if waiting < queue_max {
                admission = Admission::Wait;
                Some(state + 1)
            } else {
                admission = Admission::Full;
                None
            }
        };
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
        admission
    }

    /// One who waits was woken: `true` gives up the place in the queue for a connection to open, `false` keeps it.
    #[must_use]
    pub fn try_enter(&self) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        let step = |state| {
            let (open, waiting) = parts(state);
            (open < max && waiting > 0).then(|| state + OPEN - 1)
        };
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).is_ok()
    }

    /// One who waits goes away. `true` means that there is room and somebody else waits, who should be woken: the
    /// wake-up may have been meant for the one who left.
    #[must_use]
    pub fn leave(&self) -> bool {
        let step = |state| (parts(state).1 > 0).then(|| state - 1);
        match self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) {
            Ok(before) => {
                let (open, waiting) = parts(before);
                waiting > 1 && open < self.max.load(Ordering::Relaxed)
            }
            Err(_) => false,
        }
    }

    /// A connection is gone. `true` means that somebody waits, who should be woken.
    #[must_use]
    pub fn close(&self) -> bool {
        if !self.bounded {
            return false;
        }
        let step = |state| (parts(state).0 > 0).then(|| state - OPEN);
        match self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) {
            Ok(before) => parts(before).1 > 0,
            Err(_) => false,
        }
    }

    /// Connections open; 0 where there is no bound and so no count.
    #[must_use]
    pub fn open(&self) -> u32 {
        parts(self.state.load(Ordering::Relaxed)).0
    }

    /// Requests waiting.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        parts(self.state.load(Ordering::Relaxed)).1
    }
}

fn parts(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, state as u32)
}
