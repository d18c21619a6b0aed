//! Whether the workers' threads live: when each last turned, and whether one has given up.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// A worker that panics more often than this within [`DEATHS_WITHIN`] gives up: what makes it panic does not go away, and every start
/// costs all of its connections.
const DEATHS_MOST: usize = 5;

const DEATHS_WITHIN: Duration = Duration::from_secs(60);

/// All workers.
#[derive(Debug)]
pub struct Pulse {
    beats: Vec<Beat>,
    gave_up: AtomicBool,
}

/// When a worker last turned, in nanoseconds since the engine started; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Beat(AtomicU64);

/// What the control plane is told of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// How long ago the slowest of them turned. They turn every 50 ms, busy or idle.
    pub slowest: Duration,
    /// One of them runs no more, though nobody stopped it.
    pub gave_up: bool,
}

impl Pulse {
    /// Of so many workers, all of which turn at time 0.
    pub fn new(workers: usize) -> Self {
        Self { beats: (0..workers).map(|_| Beat::default()).collect(), gave_up: AtomicBool::new(false) }
    }

    /// A worker turns, at `now` nanoseconds since the engine started.
    pub fn beat(&self, worker: usize, now: u64) {
        if let Some(beat) = self.beats.get(worker) {
            beat.0.store(now, Relaxed);
        }
    }

    /// A worker runs no more.
    pub fn give_up(&self) {
        self.gave_up.store(true, Relaxed);
    }

    /// How they are at `now` nanoseconds since the engine started.
    pub fn health(&self, now: u64) -> Health {
        let oldest = self.beats.iter().map(|beat| beat.0.load(Relaxed)).min().unwrap_or(now);
        Health {
            slowest: Duration::from_nanos(now.saturating_sub(oldest)),
            gave_up: self.gave_up.load(Relaxed),
        }
    }
}

/// When one worker panicked of late.
#[derive(Debug, Default)]
pub struct Deaths(VecDeque<Instant>);

impl Deaths {
    /// Whether it ever did.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// It did now; whether that is too often.
    pub fn too_many(&mut self) -> bool {
        self.count(Instant::now())
    }

    fn count(&mut self, now: Instant) -> bool {
        self.0.push_back(now);
        if self.0.len() > DEATHS_MOST {
            let first = self.0.pop_front();
            return first.is_some_and(|first| now.saturating_duration_since(first) < DEATHS_WITHIN);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_worker_tells_how_they_are() {
        let pulse = Pulse::new(2);
        pulse.beat(0, 900);
        pulse.beat(1, 400);
        assert_eq!(pulse.health(1000), Health { slowest: Duration::from_nanos(600), gave_up: false });
        pulse.give_up();
        assert!(pulse.health(1000).gave_up);
    }

    #[test]
    fn five_panics_a_minute_are_borne_and_no_more() {
        let start = Instant::now();
        let mut deaths = Deaths::default();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        assert!((0..5).all(|turn| !deaths.count(seconds(turn))));
        assert!(!deaths.count(seconds(60)), "the first is a minute ago");
        assert!(deaths.count(seconds(60)));
    }
}
