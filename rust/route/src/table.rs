//! The routes of one host, looked up by path.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What is looked up by bytes. The keys are the plan's and stand still, so no choice of requests makes it slow.
pub(crate) type ByteMap<T> = HashMap<Box<[u8]>, T, BuildHasherDefault<ByteHasher>>;

/// XXH3 over the one slice that a key is.
#[derive(Debug, Default, Clone)]
pub(crate) struct ByteHasher(u64);

impl Hasher for ByteHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length that precedes a slice; XXH3 has it in the hash already.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The lengths that occur among keys, so that a length that none has costs one bit test and no hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lengths {
    bits: Vec<u64>,
    longest: usize,
}

impl Lengths {
    pub fn of<'a, T: 'a>(keys: impl Iterator<Item = (&'a Box<[u8]>, &'a T)>) -> Self {
        let mut lengths = Self::default();
        for (key, _) in keys {
            let word = key.len() / 64;
            if lengths.bits.len() <= word {
                lengths.bits.resize(word + 1, 0);
            }
            lengths.bits[word] |= 1 << (key.len() % 64);
            lengths.longest = lengths.longest.max(key.len());
        }
        lengths
    }

    pub fn contains(&self, length: usize) -> bool {
        self.bits.get(length / 64).is_some_and(|word| word >> (length % 64) & 1 == 1)
    }

    pub fn longest(&self) -> usize {
        self.longest
    }
}

/// One route where its host and path are known to match.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Its index in the plan.
    pub route: u32,
    /// Index of its further conditions, or [`PLAIN`].
    pub conditions: u32,
}

/// No further conditions.
pub(crate) const PLAIN: u32 = u32::MAX;

/// The routes that share a host and a path, best first. The first stands inline: mostly it is the only one.
#[derive(Debug, Clone)]
pub(crate) struct Ranked {
    first: Candidate,
    rest: Box<[Candidate]>,
}

impl Ranked {
    /// The first that `holds`.
    pub fn pick(&self, mut holds: impl FnMut(Candidate) -> bool) -> Option<u32> {
        if holds(self.first) {
            return Some(self.first.route);
        }
        self.rest.iter().find(|candidate| holds(**candidate)).map(|candidate| candidate.route)
    }
}

/// The routes of one host.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    exact: ByteMap<Ranked>,
    exact_lengths: Lengths,
    /// Indices of patterns in the order in which they were first written.
    pub patterns: Box<[(u32, Ranked)]>,
    prefixes: ByteMap<Ranked>,
    prefix_lengths: Lengths,
}

impl Table {
    /// The routes of exactly this path.
    pub fn exact(&self, path: &[u8]) -> Option<&Ranked> {
        if !self.exact_lengths.contains(path.len()) {
            return None;
        }
        self.exact.get(path)
    }

    /// The routes whose prefix `path` is under, the longest prefix first, with its length.
    ///
    /// Only lengths at which a segment ends and at which some prefix ends are hashed. So the cost depends on how
    /// many lengths the configuration has, not on how many slashes a client sends or how many routes there are.
    pub fn prefixes<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (&'a Ranked, usize)> {
        let longest = self.prefix_lengths.longest().min(path.len());
        let whole = (longest == path.len() && longest > 0).then_some(longest);
        // One more byte, for the slash behind the longest prefix.
        let slashes = memchr::memrchr_iter(b'/', &path[..path.len().min(longest + 1)]);
        let ends = slashes.flat_map(|slash| [slash + 1, slash]);
        let mut last = usize::MAX;
        whole.into_iter().chain(ends).filter_map(move |length| {
            // Neighbouring slashes name a length twice.
            if length >= last || !self.prefix_lengths.contains(length) {
                return None;
            }
            last = length;
            Some((self.prefixes.get(&path[..length])?, length))
        })
    }
}

/// A table while it is written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub exact: HashMap<Box<[u8]>, Vec<Written>>,
    patterns: Vec<(u32, Vec<Written>)>,
    by_pattern: HashMap<u32, usize>,
    pub prefixes: HashMap<Box<[u8]>, Vec<Written>>,
}

/// A candidate with what it is ranked by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub candidate: Candidate,
    /// How many further conditions it has.
    pub conditions: usize,
    /// Its place in written order.
    pub place: usize,
}

impl Draft {
    /// The routes of a pattern, which has its place from the first of them.
    pub fn pattern(&mut self, index: u32) -> &mut Vec<Written> {
        let place = self.by_pattern.entry(index).or_insert_with(|| {
            self.patterns.push((index, Vec::new()));
            self.patterns.len() - 1
        });
        &mut self.patterns[*place].1
    }

    pub fn finish(self) -> Table {
        let exact: ByteMap<_> =
            self.exact.into_iter().filter_map(|(key, list)| Some((key, rank(list)?))).collect();
        let prefixes: ByteMap<_> =
            self.prefixes.into_iter().filter_map(|(key, list)| Some((key, rank(list)?))).collect();
        Table {
            exact_lengths: Lengths::of(exact.iter()),
            exact,
            patterns: self.patterns.into_iter().filter_map(|(key, list)| Some((key, rank(list)?))).collect(),
            prefix_lengths: Lengths::of(prefixes.iter()),
            prefixes,
        }
    }
}

/// Best first: more conditions, then earlier. What follows a route without conditions can never be reached.
fn rank(mut list: Vec<Written>) -> Option<Ranked> {
    list.sort_by_key(|written| (std::cmp::Reverse(written.conditions), written.place));
    let reachable = list.iter().position(|written| written.conditions == 0).map_or(list.len(), |at| at + 1);
    let mut reachable = list[..reachable].iter().map(|written| written.candidate);
    Some(Ranked { first: reachable.next()?, rest: reachable.collect() })
}
