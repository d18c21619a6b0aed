//! Passwords that are kept as slow hashes: what password files hold.

use std::{collections::HashMap, fmt};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time, digest};
use sha_crypt::{PasswordVerifier, ShaCrypt};

use crate::{apr1, base64::decode};

/// Users, each by the hash of the password; looked at off the path of requests, for a look takes milliseconds.
#[derive(Default)]
pub struct PasswordHashes {
    users: HashMap<Box<str>, PasswordHash>,
    /// What an unknown name is checked against, so that it takes as long as a known one.
    decoy: Option<PasswordHash>,
}

impl PasswordHashes {
    /// From names and hashes; the index of the first hash that is none.
    pub fn new<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, usize> {
        let mut made = Self::default();
        for (index, (name, hash)) in users.into_iter().enumerate() {
            let hash = PasswordHash::parse(hash).ok_or(index)?;
            if made.decoy.as_ref().is_none_or(|decoy| decoy.cost() < hash.cost()) {
                made.decoy = Some(hash.clone());
            }
            made.users.entry(name.into()).or_insert(hash);
        }
        Ok(made)
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether `pair`, a name, a colon and a password, is one of them.
    pub fn verify(&self, pair: &[u8]) -> bool {
        let Some(colon) = pair.iter().position(|byte| *byte == b':') else { return false };
        let password = &pair[colon + 1..];
        let known = std::str::from_utf8(&pair[..colon]).ok().and_then(|name| self.users.get(name));
        match (known, &self.decoy) {
            (Some(hash), _) => hash.verify(password),
            (None, Some(decoy)) => {
                // Optimising this away would need to see through four libraries; the result is used all the same.
                std::hint::black_box(decoy.verify(password));
                false
            }
            (None, None) => false,
        }
    }
}

/// How many, and nothing else.
impl fmt::Debug for PasswordHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.users.len())
    }
}

/// One hash. Not printed: with it a password can be guessed without asking us.
#[derive(Clone)]
enum PasswordHash {
    Bcrypt(Box<str>),
    Argon2id {
        params: Params,
        salt: Box<[u8]>,
        hash: Box<[u8]>,
    },
    /// SHA-256 or SHA-512 in thousands of rounds.
    ShaCrypt(Box<str>),
    Apr1 {
        salt: Box<[u8]>,
        hash: Box<[u8]>,
    },
    Sha1([u8; 20]),
}

impl PasswordHash {
    fn parse(text: &str) -> Option<Self> {
        if let Some(hash) = text.strip_prefix("{SHA}") {
            let mut room = [0; 21];
            return Some(Self::Sha1(decode(hash.as_bytes(), &mut room)?.try_into().ok()?));
        }
        let (kind, rest) = text.strip_prefix('$')?.split_once('$')?;
        match kind {
            "2a" | "2b" | "2y" if rest.len() == 56 => Some(Self::Bcrypt(text.into())),
            "5" | "6" => Some(Self::ShaCrypt(text.into())),
            "apr1" => {
                let (salt, hash) = rest.split_once('$')?;
                let made = hash.len() == apr1::LENGTH && (1..=8).contains(&salt.len());
                made.then(|| Self::Apr1 { salt: salt.as_bytes().into(), hash: hash.as_bytes().into() })
            }
            "argon2id" => argon2id(rest),
            _ => None,
        }
    }

    fn verify(&self, password: &[u8]) -> bool {
        match self {
            // What stands behind the 72nd byte does not count, as with every bcrypt.
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2id { params, salt, hash } => {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                let mut made = vec![0; hash.len()];
                argon2.hash_password_into(password, salt, &mut made).is_ok() && same(&made, hash)
            }
            Self::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, &**hash).is_ok(),
            Self::Apr1 { salt, hash } => same(&apr1::hash(password, salt), hash),
            Self::Sha1(hash) => {
                same(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password).as_ref(), hash)
            }
        }
    }

    /// Roughly how long it takes, to choose among hashes what an unknown name is checked against.
    fn cost(&self) -> u64 {
        match self {
            Self::Bcrypt(hash) => {
                let rounds = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok()).unwrap_or(10);
                50_000 << rounds.min(31)
            }
            Self::Argon2id { params, .. } => {
                u64::from(params.m_cost()).saturating_mul(u64::from(params.t_cost())).saturating_mul(1000)
            }
            Self::ShaCrypt(_) => 5_000_000,
            Self::Apr1 { .. } => 500_000,
            Self::Sha1(_) => 500,
        }
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// `v=19$m=19456,t=2,p=1$SALT$HASH`, in base64 without padding.
fn argon2id(text: &str) -> Option<PasswordHash> {
    let mut parts = text.split('$');
    let (version, costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "v=19" || parts.next().is_some() {
        return None;
    }
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, time, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    let bytes = |text: &str| {
        let padded = format!("{text}{}", &"==="[..text.len().wrapping_neg() % 4]);
        let mut room = [0; 96];
        decode(padded.as_bytes(), &mut room).map(Box::<[u8]>::from)
    };
    let (salt, hash) = (bytes(salt)?, bytes(hash)?);
    let params = Params::new(memory, time, lanes, Some(hash.len())).ok()?;
    Some(PasswordHash::Argon2id { params, salt, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by htpasswd and openssl, and by the libraries of Python.
    const KNOWN: [(&str, &str); 11] = [
        // The examples of bcrypt's own tests: $2y$ and $2a$ are the same here.
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
        ("secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
        ("secret", "$apr1$salt$VEpBc9VHGUKwI9.yg13Iu0"),
        ("", "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."),
        ("a password that is longer than one block of a hash is", "$apr1$abcdefgh$j53SqeaVi3pAw/8YE9Hmz/"),
        // Of the specification of SHA-crypt.
        ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "Hello world!",
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        ),
        ("password", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$b3RlVnN3aXRob3V0dGhlcmlnaHRhbnN3ZXI"),
    ];

    #[test]
    fn every_kind_of_hash_knows_its_password_and_no_other() {
        // The last one is no hash of that password, which must be noticed.
        for (password, hash) in &KNOWN[..10] {
            let parsed = PasswordHash::parse(hash).unwrap_or_else(|| panic!("{hash}"));
            assert!(parsed.verify(password.as_bytes()), "{hash}");
            for other in ["x", "Secret", "secret ", "U*V", "Hello world", "hello world!"] {
                assert!(!parsed.verify(other.as_bytes()), "{hash}: {other}");
            }
        }
        let (password, hash) = KNOWN[10];
        assert!(!PasswordHash::parse(hash).unwrap().verify(password.as_bytes()));
    }

    #[test]
    fn argon2id_knows_its_password() {
        let mut hash = [0; 32];
        let params = Params::new(64, 1, 1, Some(32)).unwrap();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(b"secret", b"somesalt", &mut hash)
            .unwrap();
        use ::base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
        let text = format!("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ${}", STANDARD_NO_PAD.encode(hash));
        let parsed = PasswordHash::parse(&text).unwrap();
        assert!(parsed.verify(b"secret"));
        assert!(!parsed.verify(b"Secret"));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in [
            "",
            "secret",
            "$",
            "$2y$",
            "$2y$05$short",
            "$1$salt$hash",
            "$apr1$salt",
            "$apr1$$MKRRvPtXs3Xj0S7WVpIfN0",
            "{SHA}x",
            "{SHA}",
            "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
            "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ",
            "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ",
            "$argon2id$v=19$m=0,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ",
        ] {
            assert!(PasswordHash::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn users_are_known_by_name_and_password() {
        let hashes = PasswordHashes::new([("eve", KNOWN[3].1), ("ann", KNOWN[0].1)]).unwrap();
        for (pair, expected) in [
            ("eve:secret", true),
            ("ann:U*U", true),
            ("ann:secret", false),
            ("eve:", false),
            ("bob:secret", false),
            (":secret", false),
            ("eve", false),
            ("", false),
        ] {
            assert_eq!(hashes.verify(pair.as_bytes()), expected, "{pair}");
        }
        assert_eq!(format!("{hashes:?}"), "2 users");
        assert_eq!(PasswordHashes::new([("eve", KNOWN[3].1), ("bob", "secret")]).unwrap_err(), 1);
        assert!(!PasswordHashes::default().verify(b"eve:secret"));
    }

    #[test]
    fn an_unknown_name_is_checked_against_the_slowest_hash() {
        let hashes =
            PasswordHashes::new([("eve", KNOWN[3].1), ("ann", KNOWN[0].1), ("bob", KNOWN[4].1)]).unwrap();
        assert!(matches!(hashes.decoy, Some(PasswordHash::Bcrypt(_))));
    }
}
