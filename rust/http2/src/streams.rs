//! The streams of a connection: found by their ids, their memory used again, and a short memory of those that are gone.

use crate::stream::Stream;

/// How many ended streams are remembered, so that frames which were under way are told from faults.
const REMEMBERED: usize = 128;

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Both sides ended it.
    Ended = 0,
    /// The peer reset it.
    ResetByPeer = 1,
    /// It was reset here.
    ResetHere = 2,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Stream>,
    free: Vec<u32>,
    ids: Index,
    handles: Index,
    used: usize,
    /// Ids and how they ended, the newest replacing the oldest.
    gone: Vec<(u32, Gone)>,
    gone_at: usize,
}

impl Streams {
    /// How many there are, also closed ones that their owner has not let go of.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn slot_of_id(&self, id: u32) -> Option<usize> {
        self.ids.get(id)
    }

    pub(crate) fn slot_of_handle(&self, handle: u32) -> Option<usize> {
        self.handles.get(handle)
    }

    /// Makes a stream; `id` is 0 where it is told later by [`Self::name`].
    pub(crate) fn add(&mut self, id: u32, handle: u32) -> usize {
        let slot = match self.free.pop() {
            Some(slot) => slot as usize,
            None => {
                self.slots.push(Stream::default());
                self.slots.len() - 1
            }
        };
        self.used += 1;
        let stream = &mut self.slots[slot];
        stream.id = id;
        stream.handle = handle;
        self.handles.insert(handle, slot as u32);
        if id != 0 {
            self.ids.insert(id, slot as u32);
        }
        slot
    }

    pub(crate) fn name(&mut self, slot: usize, id: u32) {
        self.slots[slot].id = id;
        self.ids.insert(id, slot as u32);
    }

    pub(crate) fn remove(&mut self, slot: usize, gone: Gone) {
        let stream = &mut self.slots[slot];
        let (id, handle) = (stream.id, stream.handle);
        stream.clear();
        self.handles.remove(handle);
        self.free.push(slot as u32);
        self.used -= 1;
        if id != 0 {
            self.ids.remove(id);
            self.remember(id, gone);
        }
    }

    pub(crate) fn remember(&mut self, id: u32, gone: Gone) {
        if self.gone.len() < REMEMBERED {
            self.gone.push((id, gone));
        } else {
            self.gone[self.gone_at] = (id, gone);
            self.gone_at = (self.gone_at + 1) % REMEMBERED;
        }
    }

    pub(crate) fn gone(&self, id: u32) -> Option<Gone> {
        self.gone.iter().find(|(gone, _)| *gone == id).map(|(_, gone)| *gone)
    }

    /// Those that are there, with their slots.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Stream)> {
        self.slots.iter_mut().enumerate().filter(|(_, stream)| stream.handle != 0)
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn trim(&mut self) {
        if self.used == 0 {
            *self = Self { gone: std::mem::take(&mut self.gone), gone_at: self.gone_at, ..Self::default() };
        }
    }
}

impl std::ops::Index<usize> for Streams {
    type Output = Stream;

    fn index(&self, slot: usize) -> &Stream {
        &self.slots[slot]
    }
}

impl std::ops::IndexMut<usize> for Streams {
    fn index_mut(&mut self, slot: usize) -> &mut Stream {
        &mut self.slots[slot]
    }
}

/// From an id to a slot: open addressing. Ids grow by two, so that neighbours seldom meet.
#[derive(Debug, Default)]
struct Index {
    /// Ids and slots; id 0 where a place is empty. A power of two of them, at most half in use.
    places: Vec<(u32, u32)>,
    used: usize,
}

impl Index {
    fn home(&self, id: u32) -> usize {
        (id >> 1) as usize & (self.places.len() - 1)
    }

    fn get(&self, id: u32) -> Option<usize> {
        if self.places.is_empty() || id == 0 {
            return None;
        }
        let mask = self.places.len() - 1;
        let mut at = self.home(id);
        loop {
            match self.places[at] {
                (found, slot) if found == id => return Some(slot as usize),
                (0, _) => return None,
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn insert(&mut self, id: u32, slot: u32) {
        if (self.used + 1) * 2 > self.places.len() {
            let larger = vec![(0, 0); (self.places.len() * 2).max(8)];
            let old = std::mem::replace(&mut self.places, larger);
            self.used = 0;
            for (id, slot) in old.into_iter().filter(|(id, _)| *id != 0) {
                self.insert(id, slot);
            }
        }
        let mask = self.places.len() - 1;
        let mut at = self.home(id);
        while self.places[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = (id, slot);
        self.used += 1;
    }

    fn remove(&mut self, id: u32) {
        if self.get(id).is_none() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut hole = self.home(id);
        while self.places[hole].0 != id {
            hole = (hole + 1) & mask;
        }
        self.places[hole] = (0, 0);
        self.used -= 1;
        // Whoever stands behind the hole and belongs before it moves into it.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let (other, _) = self.places[at];
            if other == 0 {
                return;
            }
            let home = self.home(other);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.places[hole] = std::mem::take(&mut self.places[at]);
                hole = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn an_index_finds_what_a_map_finds() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut index, mut map) = (Index::default(), HashMap::new());
        for _ in 0..20_000 {
            let id = rng.u32(1..200);
            if rng.bool() {
                if map.insert(id, id * 3).is_none() {
                    index.insert(id, id * 3);
                }
            } else {
                map.remove(&id);
                index.remove(id);
            }
            let id = rng.u32(1..200);
            assert_eq!(index.get(id), map.get(&id).map(|slot| *slot as usize));
        }
    }

    #[test]
    fn a_slot_is_used_again_and_the_stream_is_remembered() {
        let mut streams = Streams::default();
        let slot = streams.add(1, 1);
        streams.remove(slot, Gone::ResetHere);
        assert_eq!(streams.add(3, 3), slot);
        assert_eq!(streams.slot_of_id(1), None);
        assert_eq!(streams.gone(1), Some(Gone::ResetHere));
        for id in 0..128 {
            streams.remember(5 + 2 * id, Gone::Ended);
        }
        assert_eq!(streams.gone(1), None);
    }
}
