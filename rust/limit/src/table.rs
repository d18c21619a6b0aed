//! Token buckets for many keys, shared by all workers in memory that never grows.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::quota::{Decision, Quota, ticks};
use crate::slots::{Bucket, RESERVED, Slots, change, give, state_of};

/// One moment per key: when its bucket will be full again (see [`Quota`]).
///
/// A key that is there is charged by one compare-and-swap; a refusal writes nothing. A key whose moment is past is
/// forgotten when its slot is needed, which changes no decision. Where all eight slots that a key can have are held
/// by keys with less than a full bucket, the one that would be forgotten soonest is evicted, and counted.
///
/// The key is the whole identity: 64 bits are compared, and two keys never share a count.
pub struct Table {
    slots: Slots,
    evictions: AtomicU64,
}

impl Table {
    /// A table that holds `max_keys` keys with less than a full bucket, of which fewer than 1 in 1,000 are evicted
    /// early. It reserves 48 bytes per key, and more keys evict each other rather than take more.
    pub fn new(max_keys: usize) -> Self {
        Self { slots: Slots::new(max_keys.saturating_mul(SLOTS_PER_KEY)), evictions: AtomicU64::new(0) }
    }

    /// Takes `cost` tokens of the bucket that `key` has under `quota`.
    ///
    /// `key` is a hash of everything that is counted apart, the limit's name too, under a seed that clients
    /// do not know. `now` is nanoseconds of a monotonic clock since an arbitrary start, less than 2^58.
    ///
    /// Whatever threads do, no more than `burst + rate * t` pass within a time `t`. Where workers' clocks differ,
    /// that holds by the latest of them, but for keys that were forgotten between, by the time they differ.
    #[inline]
    pub fn take(&self, key: u64, quota: &Quota, cost: u32, now: u64) -> Decision {
        let bucket = self.slots.bucket(key);
        let charge = Charge { key, quota, cost, now: ticks(now) };
        match charge.known(bucket) {
            Some(decision) => decision,
            None => self.take_new(bucket, charge),
        }
    }

    /// Bytes that the table has reserved. It is the same all its life; a page that no key needed is not resident.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.slots.memory_bytes()
    }

    /// Keys with less than a full bucket. Exact up to some 12,000 keys of capacity; above, extrapolated from 4,096
    /// buckets that lie evenly spread, to about 2 %, because reading a large table whole takes milliseconds.
    pub fn keys(&self, now: u64) -> usize {
        let buckets = self.slots.buckets();
        let (all, step) = (buckets.len(), buckets.len().div_ceil(SAMPLE));
        let now = ticks(now);
        let held = |bucket: &[[AtomicU64; 2]]| {
            bucket.iter().map(|[_, moment]| moment.load(Relaxed)).filter(|moment| *moment > now).count()
        };
        let read = all.div_ceil(step);
        let found: usize = buckets.step_by(step).map(held).sum();
        (found as f64 * all as f64 / read as f64).round() as usize
    }

    /// Keys that were forgotten before their bucket was full, since the start: each may have had up to a burst
    /// more than its quota. Above zero in earnest, the table is too small for what comes.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Relaxed)
    }

    #[cold]
    #[inline(never)]
    fn take_new(&self, bucket: Bucket<'_>, charge: Charge<'_>) -> Decision {
        let _guard = bucket.lock();
        loop {
            // Another worker may have brought the key in; while the bucket is locked, it stays.
            if let Some(decision) = charge.known(bucket) {
                return decision;
            }
            let (decision, Some(moment)) = charge.quota.charge(0, charge.cost, charge.now) else {
                return charge.quota.charge(0, charge.cost, charge.now).0;
            };
            let slot = bucket
                .slots
                .iter()
                .map(|slot| (slot[1].load(Relaxed), slot))
                .min_by_key(|(moment, _)| *moment);
            let Some((soonest, slot)) = slot else { return decision };
            // Fails where the slot's own key was charged meanwhile: look again.
            if give(slot, soonest, charge.key, moment) {
                if soonest > charge.now {
                    self.evictions.fetch_add(1, Relaxed);
                }
                return decision;
            }
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("memory_bytes", &self.memory_bytes()).finish_non_exhaustive()
    }
}

/// What is to be taken, and for whom.
#[derive(Clone, Copy)]
struct Charge<'a> {
    key: u64,
    quota: &'a Quota,
    cost: u32,
    /// In ticks.
    now: u64,
}

impl Charge<'_> {
    /// Charges the key's slot, if the key has one.
    #[inline]
    fn known(&self, bucket: Bucket<'_>) -> Option<Decision> {
        let slot = bucket.find(self.key)?;
        loop {
            let full_at = state_of(slot, self.key)?;
            let (decision, moment) = self.quota.charge(full_at, self.cost, self.now);
            match moment {
                None => return Some(decision),
                Some(moment) if change(slot, full_at, moment) => return Some(decision),
                Some(_) => {}
            }
        }
    }
}

const _: () = assert!(RESERVED == u64::MAX, "no moment is that late: see LONGEST in quota.rs");

/// Three slots for each key leave fewer than 1 bucket in 1,000 with more than its eight.
const SLOTS_PER_KEY: usize = 3;
/// Buckets that are read to tell how many keys there are.
const SAMPLE: usize = 4096;
