//! Block hash → place in the index, in a table whose size never changes.

/// No place.
const EMPTY: u32 = u32::MAX;

/// Open addressing with linear probing; what is removed is closed up behind, so nothing is left of it. (The standard map marks
/// removed entries and grows when the marks fill it, which would break the bound on bytes.) Keys are kept by the
/// caller, who tells which key a place has. One bucket in four at least is empty, so every search ends.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Vec<u32>,
}

impl Table {
    /// For so many entries at most.
    pub fn new(entries: usize) -> Self {
        Self { buckets: vec![EMPTY; buckets(entries)] }
    }

    /// The place of a key.
    pub fn get(&self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        self.bucket(key, key_of).and_then(|at| self.buckets.get(at)).copied()
    }

    /// Adds a key that is not there.
    pub fn insert(&mut self, key: u64, place: u32) {
        let mut at = self.home(key);
        while self.at(at) != EMPTY {
            at = self.next(at);
        }
        self.set(at, place);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: u64, key_of: impl Fn(u32) -> u64) {
        let Some(mut hole) = self.bucket(key, &key_of) else { return };
        let mask = self.buckets.len().wrapping_sub(1);
        let mut at = hole;
        loop {
            at = self.next(at);
            let place = self.at(at);
            if place == EMPTY {
                break;
            }
            // An entry may move into the hole if its home is not behind the hole.
            let home = self.home(key_of(place));
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.set(hole, place);
                hole = at;
            }
        }
        self.set(hole, EMPTY);
    }

    fn bucket(&self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<usize> {
        let mut at = self.home(key);
        loop {
            match self.at(at) {
                EMPTY => return None,
                place if key_of(place) == key => return Some(at),
                _ => at = self.next(at),
            }
        }
    }

    fn home(&self, key: u64) -> usize {
        // Keys are hashes, so their low bits will do.
        key as usize & self.buckets.len().wrapping_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.buckets.len().wrapping_sub(1)
    }

    fn at(&self, at: usize) -> u32 {
        self.buckets.get(at).copied().unwrap_or(EMPTY)
    }

    fn set(&mut self, at: usize, place: u32) {
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket = place;
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<u32>()
    }
}

/// Buckets for so many entries: a power of two, three quarters of it full at most. None for none.
fn buckets(entries: usize) -> usize {
    if entries == 0 { 0 } else { (entries.saturating_mul(4).div_ceil(3) + 1).next_power_of_two() }
}

/// The most entries of so many bytes each that fit with their table.
pub(super) fn most(bytes: usize, entry: usize) -> usize {
    let mut best = 0;
    let mut count = 2usize;
    while let Some(left) = count.checked_mul(size_of::<u32>()).and_then(|taken| bytes.checked_sub(taken)) {
        let fits = (count - 1).saturating_mul(3) / 4;
        best = best.max(fits.min(left / entry.max(1)));
        let Some(next) = count.checked_mul(2) else { break };
        count = next;
    }
    best.min(EMPTY as usize - 1)
}
