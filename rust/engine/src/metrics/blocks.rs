//! Counters with one writer, and tables of them that take memory only where something was counted.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use super::OTHER;

/// Cells that are allocated together.
const BLOCK: usize = 64;

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// A load and a store, not an atomic addition: there is one writer.
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A cell for each slot below a bound.
#[derive(Debug)]
pub(super) struct Blocks<T>(Box<[OnceLock<Box<[T]>>]>);

impl<T: Default> Blocks<T> {
    pub(super) fn new(most: usize) -> Self {
        Self((0..most.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect())
    }

    /// The writer's: the first count in a block allocates it.
    pub(super) fn at(&self, slot: u32) -> &T {
        let known = (slot as usize / BLOCK) < self.0.len();
        let slot = if known { slot } else { OTHER } as usize;
        let block = self.0[slot / BLOCK].get_or_init(|| (0..BLOCK).map(|_| T::default()).collect());
        &block[slot % BLOCK]
    }

    /// The reader's: nothing where nothing near was counted.
    pub(super) fn seen(&self, slot: usize) -> Option<&T> {
        Some(&self.0.get(slot / BLOCK)?.get()?[slot % BLOCK])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_only_for_blocks_in_which_something_was_counted() {
        let blocks: Blocks<Counter> = Blocks::new(10_000);
        blocks.at(5000).add(3);
        assert_eq!(blocks.seen(5000).map(Counter::value), Some(3));
        assert_eq!(blocks.seen(5001).map(Counter::value), Some(0));
        assert!(blocks.seen(100).is_none());
        assert_eq!(blocks.0.iter().filter(|block| block.get().is_some()).count(), 1);
    }

    #[test]
    fn a_slot_that_does_not_exist_counts_as_other() {
        let blocks: Blocks<Counter> = Blocks::new(100);
        blocks.at(1_000_000).add(1);
        assert_eq!(blocks.seen(OTHER as usize).map(Counter::value), Some(1));
        assert!(blocks.seen(1_000_000).is_none());
    }
}
