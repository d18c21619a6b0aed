//! From lines to a field block.

use super::{huffman, integer, statics, table::Entry, table::MARKS, table::Table};
use crate::field::Name;

/// The most of the peer's table that is used: more would be memory for little.
const LARGEST_TABLE: usize = 4096;

/// How many lines the encoder remembers to have seen.
const SEEN: usize = 128;

/// The encoder of one connection's field blocks.
///
/// A line goes into the dynamic table the second time that it is sent, so that what differs from message to message
/// (ids, dates of resources, lengths) does not drive out what repeats. Lines that hold secrets are never put there
/// (RFC 7541 §7.1.3).
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// By the hash of a line: what was sent last with that hash. Empty until the first line is sent.
    seen: Vec<Seen>,
    /// The smallest and the last table size that the peer must be told at the start of the next block (RFC 7541 §4.2).
    sizes: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hash: u32,
    /// Which line of the table it is, counted from the first ever put in; 0 where it is not there.
    nth: u32,
}

/// What is done with a line that no table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Literal {
    /// Put it into the table.
    Kept = 0x40,
    /// Leave it out this time.
    Plain = 0x00,
    /// It must not be put into a table by anyone who forwards it.
    Secret = 0x10,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { table: Table::new(LARGEST_TABLE), seen: Vec::new(), sizes: None }
    }
}

impl Encoder {
    /// The peer allows a table of `most` bytes (SETTINGS_HEADER_TABLE_SIZE).
    pub fn resize(&mut self, most: usize) {
        let most = most.min(LARGEST_TABLE);
        if most == self.table.most() && self.sizes.is_none() {
            return;
        }
        let smallest = self.sizes.map_or(most, |(smallest, _)| smallest.min(most));
        self.sizes = Some((smallest, most));
        self.table.resize(most);
    }

    /// Must be called before the first line of each block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some((smallest, last)) = self.sizes.take() {
            if smallest < last {
                integer::write(0x20, 5, smallest, out);
            }
            integer::write(0x20, 5, last, out);
        }
    }

    /// Appends a line, `name: value` and CRLF, the name of `name_len` bytes in lower case.
    pub fn line(&mut self, line: &[u8], name_len: usize, out: &mut Vec<u8>) {
        let index = statics::index_of_line(line);
        if index != 0 {
            integer::write(0x80, 7, index, out);
            return;
        }
        let name = &line[..name_len];
        let sort = match name {
            b"authorization" | b"proxy-authorization" | b"cookie" | b"set-cookie" | b"x-api-key" => {
                Literal::Secret
            }
            b":path" | b"content-length" => Literal::Plain,
            _ if line.len() > LARGEST_TABLE / 4 => Literal::Plain,
            _ => match self.look_up(line) {
                Ok(index) => {
                    integer::write(0x80, 7, statics::LINES.len() + 1 + index, out);
                    return;
                }
                Err(sort) => sort,
            },
        };
        let index = statics::index_of_name(name);
        integer::write(sort as u8, if sort == Literal::Kept { 6 } else { 4 }, index, out);
        if index == 0 {
            string(name, sort, out);
        }
        string(&line[name_len + 2..line.len() - 2], sort, out);
        if sort == Literal::Kept {
            self.table.insert(Entry { line, name_len, name: Name::Regular, sound: true });
        }
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn trim(&mut self) {
        self.table.trim();
    }

    /// Where the line stands in the dynamic table, or what is to be done with it.
    fn look_up(&mut self, line: &[u8]) -> Result<usize, Literal> {
        if self.seen.is_empty() {
            self.seen.resize(SEEN, Seen::default());
        }
        let hash = hash(line);
        let at = hash as usize % SEEN;
        // Two places for each, so that two lines that repeat seldom fight for one.
        let place = if self.seen[at].hash == hash || self.seen[at ^ 1].hash != hash { at } else { at ^ 1 };
        let seen = self.seen[place];
        if seen.hash != hash {
            let place = if self.is_live(self.seen[at]) { at ^ 1 } else { at };
            self.seen[place] = Seen { hash, nth: 0 };
            return Err(Literal::Plain);
        }
        if seen.nth != 0 {
            let index = self.table.inserted().wrapping_sub(seen.nth) as usize;
            if self.table.get(index).is_some_and(|entry| entry.line == line) {
                return Ok(index);
            }
        }
        if line.len() - MARKS + super::table::OVERHEAD > self.table.most() {
            return Err(Literal::Plain);
        }
        self.seen[place].nth = self.table.inserted().wrapping_add(1);
        Err(Literal::Kept)
    }

    fn is_live(&self, seen: Seen) -> bool {
        seen.nth != 0 && self.table.get(self.table.inserted().wrapping_sub(seen.nth) as usize).is_some()
    }
}

/// Only what is kept is worth the search for a shorter form: the rest is sent once.
fn string(text: &[u8], sort: Literal, out: &mut Vec<u8>) {
    if sort == Literal::Kept {
        let length = huffman::encoded_len(text);
        if length < text.len() {
            integer::write(0x80, 7, length, out);
            huffman::encode(text, out);
            return;
        }
    }
    integer::write(0, 7, text.len(), out);
    out.extend_from_slice(text);
}

/// Eight bytes at a time; who makes lines collide only makes them longer on the wire. Never 0.
fn hash(line: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = line.len() as u64;
    let (words, rest) = line.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    sum = (sum ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    (sum >> 32) as u32 | 1 << 31
}
