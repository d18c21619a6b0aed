//! SHA-256 of secrets, and the names behind them.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Reads 64 lower-case hexadecimal digits.
pub fn sha256_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(digest)
}

/// The digest of a secret.
pub fn sha256(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Names by the digest of their secret.
///
/// A search tells nothing by its duration: the place of a digest depends on a seed that is drawn when the names are
/// gathered, and digests that meet there are compared whole, whatever their first difference.
#[derive(Default)]
pub(crate) struct Names {
    names: HashMap<Digest, Box<str>>,
}

impl Names {
    /// Of two names with the same secret, the first counts.
    pub(crate) fn new(names: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        let mut map = HashMap::new();
        for (name, digest) in names {
            map.entry(Digest(digest)).or_insert_with(|| name.into_boxed_str());
        }
        Self { names: map }
    }

    /// Whose secret `secret` is.
    #[inline]
    pub(crate) fn find(&self, secret: &[u8]) -> Option<&str> {
        let digest = Digest(Sha256::digest(secret).into());
        self.names.get(&digest).map(|name| &**name)
    }
}

/// How many, and nothing else.
impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names", self.names.len())
    }
}

/// Is not printed: with its digest, a short secret can be guessed without asking us.
struct Digest([u8; 32]);

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    /// A digest is even already; the map's seed makes it unpredictable.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2 appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_read_from_its_digits() {
        let names = Names::new([("abc".into(), sha256_hex(ABC).unwrap())]);
        assert_eq!(names.find(b"abc"), Some("abc"));
        assert_eq!(names.find(b"abd"), None);
        assert_eq!(names.find(b""), None);
    }

    #[test]
    fn anything_but_64_lower_case_digits_is_no_digest() {
        let upper = ABC.to_uppercase();
        let long = format!("{ABC}00");
        for text in
            ["", &ABC[..62], &ABC[..63], &long, &upper, &ABC.replace('b', "g"), &ABC.replace("ba", "é")]
        {
            assert_eq!(sha256_hex(text), None, "{text}");
        }
    }

    #[test]
    fn of_two_names_with_one_secret_the_first_counts() {
        let digest = sha256_hex(ABC).unwrap();
        let names = Names::new([("first".into(), digest), ("second".into(), digest)]);
        assert_eq!(names.find(b"abc"), Some("first"));
        assert_eq!(format!("{names:?}"), "1 names");
    }

    #[test]
    fn digests_that_differ_in_one_bit_anywhere_are_different() {
        let digest = sha256_hex(ABC).unwrap();
        for bit in 0..256 {
            let mut other = digest;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(Digest(digest) != Digest(other));
        }
        assert!(Digest(digest) == Digest(digest));
    }
}
