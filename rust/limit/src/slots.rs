//! The memory of both tables: buckets of eight slots, made once, and the locks under which a slot changes its key.
//!
//! A slot is two words, a key and a state. Whoever finds its key changes the state by compare-and-swap alone.
//! Only giving a slot to another key takes a lock: the slot is first reserved (its state becomes one that
//! no key has), then gets its key, then its state. So a compare-and-swap on the state that was read before the key
//! was compared succeeds only while the slot still belongs to that key.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A key and its state.
///
/// A slot that was never used is key 0 with state 0. That is no special case: state 0 says "full bucket" or
/// "none in flight", which is what is true of a key that nobody has used.
pub(crate) type Slot = [AtomicU64; 2];

/// A fixed number of slots, in buckets of two cache lines.
pub(crate) struct Slots {
    slots: Box<[Slot]>,
    /// Slots before the first that starts a pair of cache lines.
    skip: usize,
    buckets: usize,
    /// One for many buckets: new keys are rare, and rarely meet.
    locks: Box<[Mutex<()>]>,
}

/// Where a key can be.
#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a> {
    pub(crate) slots: &'a [Slot],
    lock: &'a Mutex<()>,
}

impl Slots {
    /// Room for at least `slots`. The kernel gives pages only to those that are used.
    pub(crate) fn new(slots: usize) -> Self {
        let buckets = slots.div_ceil(WIDTH).max(1);
        let slots: Box<[Slot]> = bytemuck::zeroed_slice_box((buckets + 1) * WIDTH);
        let past = slots.as_ptr().addr() % BUCKET_BYTES;
        let skip = (BUCKET_BYTES - past) % BUCKET_BYTES / size_of::<Slot>();
        let locks = (0..buckets.min(LOCKS)).map(|_| Mutex::new(())).collect();
        Self { slots, skip, buckets, locks }
    }

    /// The only slots in which `key` can be.
    #[inline]
    pub(crate) fn bucket(&self, key: u64) -> Bucket<'_> {
        // An odd factor maps keys to keys one to one, and spreads even those that were not hashed.
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = ((u128::from(spread) * self.buckets as u128) >> 64) as usize;
        let first = self.skip + index * WIDTH;
        Bucket { slots: &self.slots[first..first + WIDTH], lock: &self.locks[index % self.locks.len()] }
    }

    /// All slots, a bucket after the other.
    pub(crate) fn buckets(&self) -> std::slice::ChunksExact<'_, Slot> {
        self.slots[self.skip..self.skip + self.buckets * WIDTH].chunks_exact(WIDTH)
    }

    /// Bytes that are reserved, whether or not a page is behind them.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.locks)
    }
}

impl<'a> Bucket<'a> {
    /// The slot of `key`, if it has one. It may lose it again unless the bucket is locked.
    #[inline]
    pub(crate) fn find(self, key: u64) -> Option<&'a Slot> {
        self.slots.iter().find(|[held, _]| held.load(Relaxed) == key)
    }

    /// Until the guard is dropped, no slot of this bucket changes its key by another hand.
    pub(crate) fn lock(self) -> MutexGuard<'a, ()> {
        // Nothing that a panic could leave half done is guarded: a slot's words tell their own state.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot's state, if the slot is `key`'s and nobody is just giving it away.
#[inline]
pub(crate) fn state_of([held, state]: &Slot, key: u64) -> Option<u64> {
    let value = state.load(Acquire);
    // After the state, never before: else the state could be another key's.
    (value != RESERVED && held.load(Acquire) == key).then_some(value)
}

/// Changes the state if it is still `from`; the slot then still belongs to the key that it was read for.
#[inline]
pub(crate) fn change([_, state]: &Slot, from: u64, to: u64) -> bool {
    state.compare_exchange(from, to, Release, Relaxed).is_ok()
}

/// Gives the slot, whose state must still be `from`, to `key`. The bucket must be locked.
pub(crate) fn give([held, state]: &Slot, from: u64, key: u64, to: u64) -> bool {
    if state.compare_exchange(from, RESERVED, Acquire, Relaxed).is_err() {
        return false;
    }
    held.store(key, Release);
    state.store(to, Release);
    true
}

/// The state of a slot that is being given to another key; no table stores it otherwise.
pub(crate) const RESERVED: u64 = u64::MAX;
const WIDTH: usize = 8;
const BUCKET_BYTES: usize = WIDTH * size_of::<Slot>();
const LOCKS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_starts_on_a_cache_line() {
        for slots in [1, 8, 9, 1000, 300_000] {
            let slots = Slots::new(slots);
            for key in 0..100 {
                assert_eq!(slots.bucket(key).slots.as_ptr().addr() % BUCKET_BYTES, 0);
            }
        }
    }

    #[test]
    fn keys_that_were_not_hashed_still_spread() {
        let slots = Slots::new(8000);
        let mut used: Vec<_> = (0..1000).map(|key| slots.bucket(key).slots.as_ptr()).collect();
        used.sort_unstable();
        used.dedup();
        assert!(used.len() > 500, "{} of 1000 buckets", used.len());
    }

    #[test]
    fn a_slot_that_was_given_away_is_not_changed_for_its_old_key() {
        let slots = Slots::new(8);
        let bucket = slots.bucket(0);
        let slot = &bucket.slots[3];
        let _guard = bucket.lock();
        assert!(give(slot, 0, 7, 100));
        let seen = state_of(slot, 7).unwrap();
        assert!(give(slot, seen, 8, 200));
        assert!(!change(slot, seen, 101));
        assert_eq!(state_of(slot, 7), None);
        assert_eq!(state_of(slot, 8), Some(200));
    }
}
