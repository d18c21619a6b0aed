//! Caps on what is in flight: a counter for each key, shared by all workers in memory that never grows.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::slots::{Bucket, Slots, change, give, state_of};

/// How many each key has in flight.
///
/// A counter that is back at zero frees its slot. A counter above zero is never evicted, because its
/// releases would then count down somebody else's; where no slot is free, the request is refused and counted.
/// Letting it in uncounted would lift the cap for everybody just when the gateway is fullest, and would need the
/// caller to remember which requests were counted.
pub struct Concurrency {
    slots: Slots,
    table_full: AtomicU64,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The key has as many in flight as it may.
    Limit,
    /// The table has no slot for another key: the gateway is full (503), not the client's share (429).
    Table,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "too many requests in flight",
            Self::Table => "no room to count another key",
        })
    }
}

impl std::error::Error for Full {}

impl Concurrency {
    /// Room for `max_keys` keys in flight at once, of which 1 in 5,000 may find no slot when all are there, and
    /// none at half of that. It reserves 64 bytes per key.
    pub fn new(max_keys: usize) -> Self {
        Self { slots: Slots::new(max_keys.saturating_mul(SLOTS_PER_KEY)), table_full: AtomicU64::new(0) }
    }

    /// Counts one more in flight for `key`, which may have `max`. Every `Ok` must be followed by one
    /// [`release`](Self::release).
    #[inline]
    pub fn acquire(&self, key: u64, max: u32) -> Result<(), Full> {
        let bucket = self.slots.bucket(key);
        match acquire_known(bucket, key, max) {
            Some(answer) => answer,
            None => self.acquire_new(bucket, key, max),
        }
    }

    /// Counts one less in flight for `key`. A key that has none in flight stays as it is.
    #[inline]
    pub fn release(&self, key: u64) {
        // A key with something in flight keeps its slot, so to find none means that there is nothing to release.
        let Some(slot) = self.slots.bucket(key).find(key) else { return };
        while let Some(state) = state_of(slot, key) {
            if count(state) == 0 || change(slot, state, state - 1) {
                return;
            }
        }
    }

    /// How many `key` has in flight.
    pub fn in_flight(&self, key: u64) -> u32 {
        self.slots.bucket(key).find(key).and_then(|slot| state_of(slot, key)).map_or(0, count)
    }

    /// Keys with something in flight; reads the whole table.
    pub fn keys(&self) -> usize {
        self.slots.buckets().flatten().filter(|[_, state]| count(state.load(Relaxed)) > 0).count()
    }

    /// Requests that were refused because no slot was free, since the start.
    pub fn table_full(&self) -> u64 {
        self.table_full.load(Relaxed)
    }

    /// Bytes that the table has reserved. It is the same all its life; a page that no key needed is not resident.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.slots.memory_bytes()
    }

    #[cold]
    #[inline(never)]
    fn acquire_new(&self, bucket: Bucket<'_>, key: u64, max: u32) -> Result<(), Full> {
        if max == 0 {
            return Err(Full::Limit);
        }
        let _guard = bucket.lock();
        loop {
            if let Some(answer) = acquire_known(bucket, key, max) {
                return answer;
            }
            let free = bucket
                .slots
                .iter()
                .map(|slot| (slot[1].load(Relaxed), slot))
                .find(|(state, _)| count(*state) == 0);
            let Some((state, slot)) = free else {
                self.table_full.fetch_add(1, Relaxed);
                return Err(Full::Table);
            };
            // Fails where the slot's old key came back meanwhile: look again.
            if give(slot, state, key, next_generation(state) + 1) {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrency").field("memory_bytes", &self.memory_bytes()).finish_non_exhaustive()
    }
}

/// Counts one more if the key has a slot.
#[inline]
fn acquire_known(bucket: Bucket<'_>, key: u64, max: u32) -> Option<Result<(), Full>> {
    let slot = bucket.find(key)?;
    loop {
        let state = state_of(slot, key)?;
        if count(state) >= max.min(MAX_COUNT) {
            return Some(Err(Full::Limit));
        }
        if change(slot, state, state + 1) {
            return Some(Ok(()));
        }
    }
}

/// The lower half of a state counts. The upper half is the slot's generation, another for each key that it was
/// given to: a worker that was interrupted between reading and swapping must not count for the next key.
#[inline]
fn count(state: u64) -> u32 {
    state as u32
}

/// A state of count zero for the slot's next key.
fn next_generation(state: u64) -> u64 {
    (state >> 32).wrapping_add(1) << 32
}

/// Above it a count would run into the reserved state.
const MAX_COUNT: u32 = u32::MAX - 1;
const SLOTS_PER_KEY: usize = 4;
