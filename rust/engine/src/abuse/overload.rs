//! Overload: how full memory is, and what is given up for it, in a fixed order.

use std::{
    sync::{
        Weak,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tidegate_plan::Memory;

use super::machine;
use crate::{background, worker::Shared};

/// How often memory is looked at: a worker of 10 Gbit/s could take 300 MB meanwhile, which the shares below leave room for.
const EVERY: Duration = Duration::from_millis(250);

/// How many looks lie between two attempts to give free memory back to the system.
const TRIM_EVERY: u32 = 8;

/// Each level begins at this share of the budget, in percent.
const BEGINS: [u64; 3] = [80, 90, 95];

/// A level ends this far below its beginning, in percent of the budget, so that it does not flap.
const SLACK: u64 = 5;

/// What is given up, the least harmful first. Each level includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// Idle connections, on both sides, and buffers that are kept for later.
    Idle,
    /// New connections.
    Connections,
    /// New requests.
    Requests,
}

/// The memory that is taken, and what follows.
#[derive(Debug, Default)]
pub struct Overload {
    level: AtomicU8,
    used: AtomicU64,
    /// 0 for no bound.
    budget: AtomicU64,
}

impl Level {
    /// As metrics and logs number it.
    pub fn number(self) -> u8 {
        self as u8
    }

    fn of(number: u8) -> Self {
        [Self::Calm, Self::Idle, Self::Connections]
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Requests)
    }

    /// What follows from `used` of `budget` where this level was in force.
    fn next(self, used: u64, budget: u64) -> Self {
        if budget == 0 {
            return Self::Calm;
        }
        let share = (u128::from(used) * 100 / u128::from(budget)).min(u128::from(u64::MAX)) as u64;
        let reached = |slack| BEGINS.iter().filter(|begin| share >= **begin - slack).count() as u8;
        Self::of(reached(0).max(reached(SLACK).min(self.number())))
    }

    fn says(self) -> &'static str {
        match self {
            Self::Calm => "everybody is served again",
            Self::Idle => "idle connections are closed, none is kept for another request",
            Self::Connections => "new connections are refused",
            Self::Requests => "new requests are refused",
        }
    }
}

impl Overload {
    /// What is given up now.
    pub fn level(&self) -> Level {
        Level::of(self.level.load(Relaxed))
    }

    /// Bytes that were taken at the last look.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Bytes that may be taken; 0 for no bound.
    pub fn budget(&self) -> u64 {
        self.budget.load(Relaxed)
    }

    /// Takes another budget.
    pub fn allow(&self, memory: Memory) {
        let budget = match memory {
            Memory::Off => 0,
            Memory::Bytes { bytes } => bytes,
            Memory::Share { percent } => {
                machine::memory_bytes().map_or(0, |bytes| bytes / 100 * u64::from(percent))
            }
        };
        self.budget.store(budget, Relaxed);
    }

    /// Takes note of what is taken.
    pub fn observe(&self, used: u64) {
        self.used.store(used, Relaxed);
        let budget = self.budget();
        let before = self.level();
        let level = before.next(used, budget);
        if level == before {
            return;
        }
        self.level.store(level.number(), Relaxed);
        let (used, budget) = (used >> 20, budget >> 20);
        let text = format!("level {}: {} ({used} of {budget} MiB are taken)", level.number(), level.says());
        crate::log::tell(if level > before { "warn" } else { "info" }, "overload", &text);
    }
}

/// Looks at memory for as long as the engine lives.
pub fn watch(shared: Weak<Shared>) {
    let Some(runtime) = background::handle() else { return };
    runtime.spawn(async move {
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(shared) = shared.upgrade() else { return };
            let overload = &shared.overload;
            if overload.budget() == 0 && overload.level() == Level::Calm {
                continue;
            }
            looks = looks.wrapping_add(1);
            if overload.level() > Level::Calm && looks.is_multiple_of(TRIM_EVERY) {
                give_back();
            }
            // What is resident holds everything; bodies that were promised room may not have come yet.
            let held = shared.held_bodies.load(Relaxed);
            if let Some(resident) = machine::resident_bytes() {
                overload.observe(resident.max(held));
            }
        }
    });
}

/// Gives what the allocator holds and nobody uses back to the system: else memory that is free again looks taken, and
/// the overload would never end.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back() {
    // SAFETY: malloc_trim(3) may be called by any thread at any time (MT-Safe) and has no arguments to get wrong.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_follows_from_the_share_that_is_taken() {
        let levels = [(0, Level::Calm), (79, Level::Calm), (80, Level::Idle), (90, Level::Connections)];
        for (used, level) in levels.into_iter().chain([(95, Level::Requests), (300, Level::Requests)]) {
            assert_eq!(Level::Calm.next(used, 100), level, "{used}");
        }
        assert_eq!(Level::Requests.next(u64::MAX, 1), Level::Requests);
        assert_eq!(Level::Requests.next(u64::MAX, 0), Level::Calm, "no budget, no overload");
    }

    #[test]
    fn a_level_ends_below_where_it_began() {
        assert_eq!(Level::Requests.next(90, 100), Level::Requests);
        assert_eq!(Level::Requests.next(89, 100), Level::Connections);
        assert_eq!(Level::Connections.next(84, 100), Level::Idle);
        assert_eq!(Level::Idle.next(75, 100), Level::Idle);
        assert_eq!(Level::Idle.next(74, 100), Level::Calm);
    }

    #[test]
    fn the_order_is_idle_connections_then_new_ones_then_requests() {
        assert!(Level::Calm < Level::Idle && Level::Idle < Level::Connections);
        assert!(Level::Connections < Level::Requests);
        assert!((0..4).all(|number| Level::of(number).number() == number));
    }
}
