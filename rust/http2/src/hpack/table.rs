//! The dynamic table (RFC 7541 §2.3.2): lines side by side in one buffer, the oldest first.

use std::collections::VecDeque;

use crate::field::Name;

/// What each entry costs beside its name and its value (RFC 7541 §4.1).
pub(crate) const OVERHEAD: usize = 32;

/// What a line has beside its name and its value: a colon, a space and CRLF.
pub(crate) const MARKS: usize = 4;

/// One line, `name: value` and CRLF, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) line: &'t [u8],
    /// The length of the name.
    pub(crate) name_len: usize,
    pub(crate) name: Name,
    /// Whether the value may stand in a field.
    pub(crate) sound: bool,
}

impl<'t> Entry<'t> {
    pub(crate) fn name(&self) -> &'t [u8] {
        &self.line[..self.name_len]
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    end: u32,
    name_len: u32,
    name: Name,
    sound: bool,
}

impl Slot {
    /// The size that the table's maximum is compared with.
    fn size(&self) -> usize {
        (self.end - self.start) as usize - MARKS + OVERHEAD
    }
}

/// A table that takes no memory until a line is put in.
#[derive(Debug)]
pub(crate) struct Table {
    /// Lines of `slots` in their order, behind those that were evicted since the last time that room was made.
    bytes: Vec<u8>,
    slots: VecDeque<Slot>,
    size: usize,
    most: usize,
    /// How many lines have ever been put in.
    inserted: u32,
}

impl Table {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), slots: VecDeque::new(), size: 0, most, inserted: 0 }
    }

    /// The line at `index`, 0 being the newest.
    pub(crate) fn get(&self, index: usize) -> Option<Entry<'_>> {
        let slot = self.slots.get(self.slots.len().checked_sub(index + 1)?)?;
        Some(Entry {
            line: self.bytes.get(slot.start as usize..slot.end as usize)?,
            name_len: slot.name_len as usize,
            name: slot.name,
            sound: slot.sound,
        })
    }

    pub(crate) fn inserted(&self) -> u32 {
        self.inserted
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Changes the maximum, and evicts what is too much then.
    pub(crate) fn resize(&mut self, most: usize) {
        self.most = most;
        self.evict(most);
    }

    /// Puts a line in; one that is larger than the table empties it (RFC 7541 §4.4).
    pub(crate) fn insert(&mut self, entry: Entry<'_>) {
        let size = entry.line.len() - MARKS + OVERHEAD;
        self.inserted = self.inserted.wrapping_add(1);
        let Some(room) = self.most.checked_sub(size) else {
            self.evict(0);
            return;
        };
        self.evict(room);
        if self.bytes.len() + entry.line.len() > self.bytes.capacity() {
            self.make_room(entry.line.len());
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(entry.line);
        self.slots.push_back(Slot {
            start,
            end: self.bytes.len() as u32,
            name_len: entry.name_len as u32,
            name: entry.name,
            sound: entry.sound,
        });
        self.size += size;
    }

    /// Gives the memory back where no line is kept.
    pub(crate) fn trim(&mut self) {
        if self.slots.is_empty() {
            self.bytes = Vec::new();
            self.slots = VecDeque::new();
        }
    }

    fn evict(&mut self, most: usize) {
        while self.size > most {
            let Some(slot) = self.slots.pop_front() else { break };
            self.size -= slot.size();
        }
        if self.slots.is_empty() {
            self.bytes.clear();
        }
    }

    /// Moves the lines to the front, so that as much as the table holds must come in before it happens again.
    fn make_room(&mut self, more: usize) {
        let dead = self.slots.front().map_or(self.bytes.len(), |slot| slot.start as usize);
        self.bytes.copy_within(dead.., 0);
        self.bytes.truncate(self.bytes.len() - dead);
        for slot in &mut self.slots {
            slot.start -= dead as u32;
            slot.end -= dead as u32;
        }
        // Small tables stay small; a table that is in use has twice its size, and is moved seldom.
        let wanted = (2 * (self.bytes.len() + more)).min(2 * self.most.max(more));
        self.bytes.reserve(wanted - self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &mut Table, line: &str) {
        let name_len = line.find(':').expect("a line");
        table.insert(Entry { line: line.as_bytes(), name_len, name: Name::Regular, sound: true });
    }

    #[test]
    fn the_newest_line_is_the_first_and_the_oldest_goes() {
        let mut table = Table::new(2 * (OVERHEAD + 3));
        put(&mut table, "a: 11\r\n");
        put(&mut table, "b: 22\r\n");
        assert_eq!(table.get(0).map(|entry| entry.line), Some(&b"b: 22\r\n"[..]));
        put(&mut table, "c: 33\r\n");
        assert_eq!(table.get(1).map(|entry| entry.line), Some(&b"b: 22\r\n"[..]));
        assert!(table.get(2).is_none());
        table.resize(OVERHEAD + 3);
        assert!(table.get(1).is_none());
        put(&mut table, "name: larger than the table, which is empty then\r\n");
        assert!(table.get(0).is_none());
    }

    #[test]
    fn lines_stay_whole_while_room_is_made_again_and_again() {
        let mut table = Table::new(4096);
        for round in 0..10_000 {
            put(&mut table, &format!("name-{round}: {}\r\n", "v".repeat(round % 200)));
            let oldest = (0..).take_while(|at| table.get(*at).is_some()).last().expect("one is there");
            for index in [0, oldest / 2, oldest] {
                let entry = table.get(index).expect("it is there");
                assert_eq!(entry.name(), format!("name-{}", round - index).as_bytes());
                assert!(entry.line.ends_with(b"\r\n"));
            }
            assert!(table.bytes.capacity() <= 3 * 4096);
        }
    }
}
