//! Purges: each is one entry in a book with the number of its turn, so that it costs the same whatever it makes
//! invalid; an answer that is kept is compared with the book once after each purge, when it is next asked for.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{fields::Fields, key, object::Object};

/// Tags and hosts in the book. When it is full the older half goes, and with it what has not been asked for since.
const MARKS_MOST: usize = 65_536;
/// Prefixes in the book; an answer is compared with each.
const PREFIXES_MOST: usize = 1024;
/// Tags of one answer; more are a mistake, and the answer is then found by the first of them only.
const TAGS_MOST: usize = 256;

const TAG_SEED: u64 = 1;
const HOST_SEED: u64 = 2;

/// What is made invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge<'a> {
    /// Everything.
    All,
    /// What has this tag.
    Tag(&'a [u8]),
    /// What was asked of this host.
    Host(&'a [u8]),
    /// What has a URL that begins so, as keys have it: `http://example.com/a`.
    Prefix(&'a [u8]),
}

/// What the book says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Valid,
    /// It counts as stale.
    Soft,
    /// It is gone.
    Gone,
}

/// The book.
#[derive(Debug, Default)]
pub struct Purges {
    turn: AtomicU64,
    book: RwLock<Book>,
}

#[derive(Debug, Default)]
struct Book {
    all: Mark,
    marks: HashMap<u64, Mark>,
    prefixes: Vec<(Box<[u8]>, Mark)>,
    /// What was last compared before this turn is gone: the marks from then are.
    floor: u64,
}

/// The turns of the last hard and the last soft purge.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    hard: u64,
    soft: u64,
}

impl Mark {
    fn set(&mut self, softly: bool, turn: u64) {
        if softly {
            self.soft = turn;
        } else {
            self.hard = turn;
        }
    }

    fn last(self) -> u64 {
        self.hard.max(self.soft)
    }
}

impl Purges {
    /// The turn that an answer is fetched in. Taken before the origin is asked, so that a purge on the way counts.
    pub fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// Makes answers invalid; `softly` only stale. Effective in all threads when it returns.
    pub fn purge(&self, what: Purge<'_>, softly: bool) {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.load(Ordering::Relaxed) + 1;
        match what {
            Purge::All => book.all.set(softly, turn),
            Purge::Tag(tag) => book.mark(tag_hash(tag), softly, turn),
            Purge::Host(host) => book.mark(host_hash(host), softly, turn),
            Purge::Prefix(prefix) => book.prefix(prefix, softly, turn),
        }
        // Within the lock: whoever sees the new turn finds it in the book.
        self.turn.store(turn, Ordering::Release);
    }

    /// What the book says of an answer. Without a purge since it was last asked for, two loads.
    pub fn standing(&self, object: &Object) -> Standing {
        let turn = self.turn();
        let since = object.compared();
        if since < turn {
            let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
            match book.since(since, object) {
                Standing::Gone => return Standing::Gone,
                Standing::Soft => object.soften(),
                Standing::Valid => {}
            }
            object.set_compared(turn);
        }
        if object.is_soft() { Standing::Soft } else { Standing::Valid }
    }
}

impl Book {
    fn mark(&mut self, hash: u64, softly: bool, turn: u64) {
        if self.marks.len() >= MARKS_MOST && !self.marks.contains_key(&hash) {
            let mut turns: Vec<_> = self.marks.values().map(|mark| mark.last()).collect();
            let (_, middle, _) = turns.select_nth_unstable(MARKS_MOST / 2);
            let middle = *middle;
            self.marks.retain(|_, mark| mark.last() > middle);
            self.floor = self.floor.max(middle);
        }
        self.marks.entry(hash).or_default().set(softly, turn);
    }

    fn prefix(&mut self, prefix: &[u8], softly: bool, turn: u64) {
        if let Some((_, mark)) = self.prefixes.iter_mut().find(|(other, _)| **other == *prefix) {
            mark.set(softly, turn);
            return;
        }
        if self.prefixes.len() >= PREFIXES_MOST {
            let gone = self.prefixes.remove(0);
            self.floor = self.floor.max(gone.1.last());
        }
        let mut mark = Mark::default();
        mark.set(softly, turn);
        self.prefixes.push((prefix.into(), mark));
    }

    fn since(&self, turn: u64, object: &Object) -> Standing {
        if turn < self.floor {
            return Standing::Gone;
        }
        let mut soft = false;
        let mut looks_gone = |mark: &Mark| {
            soft |= mark.soft > turn;
            mark.hard > turn
        };
        if looks_gone(&self.all) {
            return Standing::Gone;
        }
        if !self.marks.is_empty() {
            let host = std::iter::once(host_hash(key::host(object.key())));
            for hash in host.chain(object.tags()) {
                if self.marks.get(&hash).is_some_and(&mut looks_gone) {
                    return Standing::Gone;
                }
            }
        }
        let url = key::url(object.key());
        for (prefix, mark) in &self.prefixes {
            if mark.last() > turn && url.starts_with(prefix) && looks_gone(mark) {
                return Standing::Gone;
            }
        }
        if soft { Standing::Soft } else { Standing::Valid }
    }
}

/// The hash that a tag is kept as.
pub fn tag_hash(tag: &[u8]) -> u64 {
    xxh3_64_with_seed(tag, TAG_SEED)
}

fn host_hash(host: &[u8]) -> u64 {
    xxh3_64_with_seed(&host.to_ascii_lowercase(), HOST_SEED)
}

/// The tags of an answer: words in the fields `names`, parted by white space or commas.
pub fn tags(response: &impl Fields, names: &[String]) -> Vec<u64> {
    let mut tags: Vec<u64> = response
        .lines()
        .filter(|(name, _)| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes())))
        .flat_map(|(_, value)| value.split(|byte| matches!(byte, b' ' | b'\t' | b',')))
        .filter(|tag| !tag.is_empty())
        .take(TAGS_MOST)
        .map(tag_hash)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}
