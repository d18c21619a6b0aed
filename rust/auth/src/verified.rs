//! Credentials that were judged a moment ago: found again by their hash, so that a second look costs no signature and no
//! slow hash.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    error::Unspecified,
    hmac,
    rand::SystemRandom,
};

/// What is remembered of a token, or of a password.
///
/// Two halves, of which the older is forgotten whole when the younger is full: bounded, no list to keep in order, and
/// what is used stays, because a find in the older half moves it over.
#[derive(Debug)]
pub struct Verified<T> {
    young: HashMap<Hashed, Entry<T>, BuildHasherDefault<Even>>,
    old: HashMap<Hashed, Entry<T>, BuildHasherDefault<Even>>,
    /// Entries of one half.
    most: usize,
}

/// Something that holds until a time.
pub trait Until {
    /// The first second since 1970 at which it holds no more.
    fn until(&self) -> u64;
}

/// What a credential is remembered by: SHA-256 over it and over what judged it. Two credentials never have one
/// hash, whoever chooses them, and the credential itself is not kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hashed([u8; 32]);

/// Is not printed, as no digest of a credential is.
impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed(…)")
    }
}

#[derive(Debug)]
struct Entry<T> {
    /// Tells those who judged apart: other rules or other keys may judge otherwise.
    judge: u64,
    value: T,
}

impl Hashed {
    /// The hash of a credential.
    pub fn new(credential: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, credential).as_ref());
        Self(bytes)
    }
}

/// Hashes that nobody can make who does not have this process's memory: of passwords, which are few enough to be tried
/// one after the other.
#[derive(Debug)]
pub struct Keyed(hmac::Key);

impl Keyed {
    /// With a key of its own; `None` where the system has no randomness.
    pub fn new() -> Option<Self> {
        let key: Result<_, Unspecified> = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.ok().map(Self)
    }

    /// The hash of a credential.
    pub fn hash(&self, credential: &[u8]) -> Hashed {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&self.0, credential).as_ref());
        Hashed(bytes)
    }
}

impl<T: Until + Clone> Verified<T> {
    /// Room for `most` entries.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), most: most.div_ceil(2).max(1) }
    }

    /// What was remembered under this hash, by this judge, and still holds.
    pub fn find(&mut self, hashed: Hashed, judge: u64, now: u64) -> Option<T> {
        let holds = |entry: &Entry<T>| entry.judge == judge && now < entry.value.until();
        if let Some(entry) = self.young.get(&hashed) {
            return holds(entry).then(|| entry.value.clone());
        }
        let entry = self.old.remove(&hashed)?;
        if !holds(&entry) {
            return None;
        }
        let value = entry.value.clone();
        self.insert(hashed, entry);
        Some(value)
    }

    /// Remembers it.
    pub fn remember(&mut self, hashed: Hashed, judge: u64, value: T) {
        self.insert(hashed, Entry { judge, value });
    }

    fn insert(&mut self, hashed: Hashed, entry: Entry<T>) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hashed, entry);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// SHA-256 is even already. Whoever would fill one place of the table must find tokens that are let in and hash alike.
#[derive(Default)]
struct Even(u64);

impl Hasher for Even {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Value(u32, u64);

    impl Until for Value {
        fn until(&self) -> u64 {
            self.1
        }
    }

    fn hashed(number: u32) -> Hashed {
        Hashed::new(&number.to_le_bytes())
    }

    #[test]
    fn what_was_remembered_is_found_until_its_time_is_over() {
        let mut known = Verified::new(8);
        known.remember(hashed(1), 7, Value(1, 100));
        assert_eq!(known.find(hashed(1), 7, 99), Some(Value(1, 100)));
        assert_eq!(known.find(hashed(1), 7, 100), None);
        assert_eq!(known.find(hashed(2), 7, 0), None);
    }

    #[test]
    fn another_judge_knows_nothing_of_it() {
        let mut known = Verified::new(8);
        known.remember(hashed(1), 7, Value(1, 100));
        assert_eq!(known.find(hashed(1), 8, 0), None);
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for_and_what_is_used_stays() {
        let mut known = Verified::new(10);
        known.remember(hashed(0), 7, Value(0, 100));
        for number in 1..1000 {
            known.remember(hashed(number), 7, Value(number, 100));
            assert!(known.len() <= 10, "{}", known.len());
            assert_eq!(known.find(hashed(0), 7, 0), Some(Value(0, 100)));
        }
        assert_eq!(known.find(hashed(1), 7, 0), None);
    }
}
