//! From a field block to lines.

use super::{huffman, integer, statics, table::Entry, table::Table};
use crate::field::{self, Name};

/// A field line that was appended to a buffer, as `name: value` and CRLF.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The length of the name.
    pub name_len: usize,
    /// The length of the value.
    pub value_len: usize,
    /// What the name means here.
    pub(crate) name: Name,
    /// Whether the value may stand in a field.
    pub(crate) sound: bool,
}

/// The decoder of one connection's field blocks.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The largest size that the peer may set.
    allowed: usize,
    /// Whether the block has had a line: its table sizes stand before (RFC 7541 §4.2).
    begun: bool,
}

/// The block cannot be decoded, and no other block after it (RFC 7541 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Decoder {
    /// A decoder whose peer may use a table of up to `allowed` bytes.
    pub fn new(allowed: usize) -> Self {
        Self { table: Table::new(4096), allowed: allowed.max(4096), begun: false }
    }

    /// Must be called before the first line of each block.
    pub fn begin(&mut self) {
        self.begun = false;
    }

    /// Appends the next line of `block` to `out`; `None` at its end.
    ///
    /// # Errors
    /// Where the block does not follow RFC 7541, and where it ends within a line.
    pub fn next(&mut self, block: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Line>, Broken> {
        self.line(block, out).map_err(|()| Broken)
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn trim(&mut self) {
        self.table.trim();
    }

    fn line(&mut self, block: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Line>, ()> {
        loop {
            let Some(first) = block.first().copied() else { return Ok(None) };
            if first & 0xe0 == 0x20 {
                let most = integer::read(block, 5).ok_or(())?;
                if self.begun || most > self.allowed {
                    return Err(());
                }
                self.table.resize(most);
                continue;
            }
            self.begun = true;
            if first & 0x80 != 0 {
                let index = integer::read(block, 7).ok_or(())?;
                let entry = self.entry(index).ok_or(())?;
                out.extend_from_slice(entry.line);
                let value_len = entry.line.len() - entry.name_len - super::table::MARKS;
                return Ok(Some(Line {
                    name_len: entry.name_len,
                    value_len,
                    name: entry.name,
                    sound: entry.sound,
                }));
            }
            let keep = first & 0x40 != 0;
            let index = integer::read(block, if keep { 6 } else { 4 }).ok_or(())?;
            return self.literal(block, index, keep, out).map(Some);
        }
    }

    /// A line whose value is in the block, and its name too where `index` is 0.
    fn literal(
        &mut self,
        block: &mut &[u8],
        index: usize,
        keep: bool,
        out: &mut Vec<u8>,
    ) -> Result<Line, ()> {
        let start = out.len();
        let name = if index == 0 {
            string(block, out)?;
            field::name(&out[start..])
        } else {
            let entry = self.entry(index).ok_or(())?;
            out.extend_from_slice(entry.name());
            entry.name
        };
        let name_len = out.len() - start;
        out.extend_from_slice(b": ");
        let value = out.len();
        string(block, out)?;
        let value_len = out.len() - value;
        let sound = field::is_value(&out[value..]);
        out.extend_from_slice(b"\r\n");
        if keep {
            self.table.insert(Entry { line: &out[start..], name_len, name, sound });
        }
        Ok(Line { name_len, value_len, name, sound })
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        let index = index.checked_sub(1)?;
        match statics::LINES.get(index) {
            Some(line) => Some(line.entry()),
            None => self.table.get(index - statics::LINES.len()),
        }
    }
}

/// RFC 7541 §5.2.
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    let coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer::read(block, 7).ok_or(())?;
    let (text, rest) = block.split_at_checked(length).ok_or(())?;
    *block = rest;
    if coded {
        huffman::decode(text, out).ok_or(())
    } else {
        out.extend_from_slice(text);
        Ok(())
    }
}
