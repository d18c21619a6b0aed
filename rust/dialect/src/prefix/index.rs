//! Who served which blocks last, in a bounded number of bytes.

use super::table::{Table, most};

/// Endpoints that one block remembers: more would spread a beginning over caches that each hold it once.
const HOLDERS: usize = 4;

/// Block hash → who served it, bounded in bytes. When it is full, blocks go that nobody asked for since the hand came
/// by last (CLOCK, also called second chance).
#[derive(Debug)]
pub struct PrefixIndex {
    places: Table,
    slots: Vec<Slot>,
    capacity: usize,
    hand: usize,
    /// Counts insertions, so that the holder of longest ago is known. It may turn over: only differences count.
    now: u32,
}

/// How much of a conversation an endpoint has served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index of the model's target.
    pub target: u32,
    /// Index of the endpoint.
    pub endpoint: u32,
    /// Blocks from the beginning, without a gap.
    pub blocks: usize,
}

#[derive(Debug)]
struct Slot {
    block: u64,
    holders: [Holder; HOLDERS],
    count: u8,
    asked: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Holder {
    target: u32,
    endpoint: u32,
    used: u32,
}

impl PrefixIndex {
    /// Of so many bytes at most, its table included. Fewer than one entry takes (some seventy) hold nothing.
    pub fn new(bytes: usize) -> Self {
        let capacity = most(bytes, size_of::<Slot>());
        Self { places: Table::new(capacity), slots: Vec::with_capacity(capacity), capacity, hand: 0, now: 0 }
    }

    /// Blocks that are held.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The most blocks that are held.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.places.bytes()
    }

    /// Appends who has served the beginning of a conversation, and how much of it without a gap; in no order, and nobody who
    /// has not the first block.
    pub fn find(&mut self, blocks: &[u64], out: &mut Vec<Match>) {
        let start = out.len();
        for (index, block) in blocks.iter().enumerate() {
            let Some(slot) = self.slot(*block) else { return };
            slot.asked = true;
            let holders = slot.holders.iter().take(usize::from(slot.count));
            if index == 0 {
                out.extend(holders.map(|h| Match { target: h.target, endpoint: h.endpoint, blocks: 1 }));
                continue;
            }
            let mut any = false;
            for holder in holders {
                let found = out.get_mut(start..).unwrap_or_default().iter_mut().find(|found| {
                    (found.target, found.endpoint, found.blocks) == (holder.target, holder.endpoint, index)
                });
                if let Some(found) = found {
                    found.blocks = index + 1;
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Remembers that an endpoint was given a conversation.
    pub fn insert(&mut self, blocks: &[u64], target: u32, endpoint: u32) {
        self.now = self.now.wrapping_add(1);
        let holder = Holder { target, endpoint, used: self.now };
        // More would push out its own beginning, without which the rest is not found.
        for block in blocks.iter().take(self.capacity) {
            match self.slot(*block) {
                Some(slot) => slot.add(holder),
                None => self.add(*block, holder),
            }
        }
    }

    fn slot(&mut self, block: u64) -> Option<&mut Slot> {
        let place = self.places.get(block, key_of(&self.slots))?;
        self.slots.get_mut(place as usize)
    }

    fn add(&mut self, block: u64, holder: Holder) {
        let mut slot = Slot { block, holders: [Holder::default(); HOLDERS], count: 0, asked: false };
        slot.add(holder);
        let place = if self.slots.len() < self.capacity {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let place = self.victim();
            let Some(old) = self.slots.get(place).map(|old| old.block) else { return };
            self.places.remove(old, key_of(&self.slots));
            if let Some(old) = self.slots.get_mut(place) {
                *old = slot;
            }
            place
        };
        // The capacity is bounded so that places fit.
        self.places.insert(block, u32::try_from(place).unwrap_or(u32::MAX));
    }

    /// The next slot that nobody asked for since the hand came by. Terminates: one turn clears all marks.
    fn victim(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (place + 1) % self.slots.len().max(1);
            match self.slots.get_mut(place) {
                Some(slot) if slot.asked => slot.asked = false,
                _ => return place,
            }
        }
    }
}

impl Slot {
    fn add(&mut self, holder: Holder) {
        let held = self.holders.iter_mut().take(usize::from(self.count));
        let same = |old: &&mut Holder| (old.target, old.endpoint) == (holder.target, holder.endpoint);
        if let Some(old) = held.into_iter().find(same) {
            old.used = holder.used;
            return;
        }
        if let Some(free) = self.holders.get_mut(usize::from(self.count)) {
            *free = holder;
            self.count += 1;
        } else if let Some(oldest) =
            self.holders.iter_mut().max_by_key(|old| holder.used.wrapping_sub(old.used))
        {
            *oldest = holder;
        }
    }
}

/// Which block a place holds.
fn key_of(slots: &[Slot]) -> impl Fn(u32) -> u64 {
    |place| slots.get(place as usize).map_or(0, |slot| slot.block)
}
