//! One answer that is kept: immutable, shared by whoever sends it.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{fields::Kept, freshness::Freshness};

/// Contents up to this stand in one piece with their key and fields; larger ones stay in the pieces in which they came.
pub const INLINE_MOST: usize = 32 * 1024;

/// What an object takes beside its own bytes: itself, its counts, its place in the store, what memory costs to manage.
pub const OVERHEAD: u64 = 200;

/// What an answer is, but for its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its key's text, with what chose it among variants.
    pub key: Box<[u8]>,
    /// Whole lines; no framing, no connection's own fields, no Age.
    pub fields: Box<[u8]>,
    /// 200 to 599; a part has 200.
    pub status: u16,
    /// Until when it may be given.
    pub freshness: Freshness,
    /// Hashes of its tags.
    pub tags: Box<[u64]>,
    /// The turn of purges in which it was asked for.
    pub turn: u64,
    /// Where its content lies, if that is a part of the whole.
    pub part: Option<Part>,
}

/// Where a part lies in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub start: u64,
    /// Bytes of the whole.
    pub total: u64,
}

/// An answer that is kept.
#[derive(Debug)]
pub struct Object {
    /// Key, tags, fields and a small content, one after the other.
    bytes: Box<[u8]>,
    large: Option<Box<Large>>,
    freshness: Freshness,
    /// The turn of purges that it was last compared with.
    compared: AtomicU64,
    key_end: u32,
    tags_end: u32,
    fields_end: u32,
    status: u16,
    soft: AtomicBool,
}

/// What only some have.
#[derive(Debug, Default, Clone)]
struct Large {
    chunks: Box<[Arc<[u8]>]>,
    length: u64,
    part: Option<Part>,
}

impl Object {
    /// Of a draft and its whole content.
    pub fn new(draft: &Draft, chunks: &[Arc<[u8]>]) -> Self {
        let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let inline = if length <= INLINE_MOST { length } else { 0 };
        let mut bytes =
            Vec::with_capacity(draft.key.len() + draft.tags.len() * 8 + draft.fields.len() + inline);
        bytes.extend_from_slice(&draft.key);
        for tag in &draft.tags {
            bytes.extend_from_slice(&tag.to_le_bytes());
        }
        let tags_end = bytes.len() as u32;
        bytes.extend_from_slice(&draft.fields);
        let fields_end = bytes.len() as u32;
        let mut large = Large { part: draft.part, ..Large::default() };
        if inline == length {
            chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        } else {
            large.chunks = chunks.into();
            large.length = length as u64;
        }
        let is_large = draft.part.is_some() || !large.chunks.is_empty();
        Self {
            bytes: bytes.into(),
            large: is_large.then(|| Box::new(large)),
            freshness: draft.freshness,
            compared: AtomicU64::new(draft.turn),
            key_end: draft.key.len() as u32,
            tags_end,
            fields_end,
            status: draft.status,
            soft: AtomicBool::new(false),
        }
    }

    /// The same content under other fields and another freshness.
    pub fn with(&self, fields: &[u8], freshness: Freshness, tags: Box<[u64]>, turn: u64) -> Self {
        let draft = Draft {
            key: self.key().into(),
            fields: fields.into(),
            status: self.status,
            freshness,
            tags,
            turn,
            part: self.part(),
        };
        match &self.large {
            Some(large) if !large.chunks.is_empty() => Self::new(&draft, &large.chunks),
            _ => Self::new(&draft, &[Arc::from(&self.bytes[self.fields_end as usize..])]),
        }
    }

    /// All but the content.
    pub fn draft(&self) -> Draft {
        Draft {
            key: self.key().into(),
            fields: self.fields().0.into(),
            status: self.status,
            freshness: self.freshness,
            tags: self.tags().collect(),
            turn: self.compared(),
            part: self.part(),
        }
    }

    /// Its key's text, with what chose it among variants.
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key_end as usize]
    }

    /// Hashes of its tags.
    pub fn tags(&self) -> impl Iterator<Item = u64> {
        let tags = self.bytes[self.key_end as usize..self.tags_end as usize].as_chunks().0;
        tags.iter().map(|tag| u64::from_le_bytes(*tag))
    }

    /// Its field lines.
    pub fn fields(&self) -> Kept<'_> {
        Kept(&self.bytes[self.tags_end as usize..self.fields_end as usize])
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Until when it may be given.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Bytes of content that are kept.
    pub fn length(&self) -> u64 {
        match &self.large {
            Some(large) if !large.chunks.is_empty() => large.length,
            _ => (self.bytes.len() - self.fields_end as usize) as u64,
        }
    }

    /// Where the content lies, if it is a part.
    pub fn part(&self) -> Option<Part> {
        self.large.as_ref().and_then(|large| large.part)
    }

    /// Bytes of the whole content.
    pub fn total(&self) -> u64 {
        self.part().map_or(self.length(), |part| part.total)
    }

    /// Whether `range` of the whole is kept.
    pub fn has(&self, range: &Range<u64>) -> bool {
        match self.part() {
            None => range.end <= self.length(),
            Some(part) => range.start >= part.start && range.end <= part.start + self.length(),
        }
    }

    /// The pieces that `range` of what is kept lies in.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let inline = &self.bytes[self.fields_end as usize..];
        let chunks = self.large.as_ref().map_or(&[][..], |large| &large.chunks);
        let mut at = 0_u64;
        std::iter::once(inline).chain(chunks.iter().map(|chunk| &**chunk)).filter_map(move |piece| {
            let start = at;
            at += piece.len() as u64;
            let from = range.start.clamp(start, at) - start;
            let to = range.end.clamp(start, at) - start;
            piece.get(from as usize..to as usize).filter(|piece| !piece.is_empty())
        })
    }

    /// What it takes of the store.
    pub fn weight(&self) -> u64 {
        let large = self
            .large
            .as_ref()
            .map_or(0, |large| size_of::<Large>() as u64 + large.length + 40 * large.chunks.len() as u64);
        OVERHEAD + self.bytes.len() as u64 + large
    }

    pub(crate) fn compared(&self) -> u64 {
        self.compared.load(Ordering::Relaxed)
    }

    pub(crate) fn set_compared(&self, turn: u64) {
        self.compared.fetch_max(turn, Ordering::Relaxed);
    }

    pub(crate) fn is_soft(&self) -> bool {
        self.soft.load(Ordering::Relaxed)
    }

    /// From now on it counts as stale.
    pub fn soften(&self) {
        self.soft.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::draft;

    fn object(chunks: &[&[u8]]) -> Object {
        let chunks: Vec<Arc<[u8]>> = chunks.iter().map(|chunk| Arc::from(*chunk)).collect();
        Object::new(&draft("s\nhttp://a/x", "ETag: \"1\"\r\n", &[7, 9]), &chunks)
    }

    #[test]
    fn parts_of_an_object_are_found_again() {
        let object = object(&[b"abc", b"def"]);
        assert_eq!(object.key(), b"s\nhttp://a/x");
        assert_eq!(object.fields().0, b"ETag: \"1\"\r\n");
        assert_eq!(object.tags().collect::<Vec<_>>(), [7, 9]);
        assert_eq!((object.length(), object.status()), (6, 200));
        assert_eq!(object.pieces(1..5).collect::<Vec<_>>().concat(), b"bcde");
    }

    #[test]
    fn a_large_content_stays_in_its_pieces() {
        let piece = vec![b'x'; INLINE_MOST];
        let object = object(&[&piece, b"yz"]);
        assert_eq!(object.length(), INLINE_MOST as u64 + 2);
        let last = object.length();
        assert_eq!(object.pieces(last - 3..last).collect::<Vec<_>>(), [&b"x"[..], b"yz"]);
        let other = object.with(b"A: b\r\n", *object.freshness(), [3].into(), 0);
        assert_eq!(other.fields().0, b"A: b\r\n");
        assert_eq!(other.length(), object.length());
        assert_eq!(other.tags().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn an_object_is_small_beside_its_bytes() {
        assert!(size_of::<Object>() + 16 <= 112, "{}", size_of::<Object>());
    }
}
