//! Sessions that a browser carries: sealed so that nobody reads or changes them, and kept nowhere else.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use serde::Deserialize;

use crate::{
    base64::{decode_url, encode_url},
    jwt::Claims,
};

/// Characters of one cookie's value: with its name and attributes it stays below the 4,096 bytes that browsers keep
/// (RFC 6265 §6.1).
pub const COOKIE_MOST: usize = 3600;

/// Cookies of one session; together they stay well below what heads may have.
pub const COOKIES_MOST: usize = 4;

/// Seals what a browser carries (AES-256-GCM), and opens it again.
///
/// Nonces are random: after 2³² sealings under one secret two of them would meet with a chance of one in 2³², which a
/// busy site reaches in years; a new secret begins anew.
pub struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// From a secret and what it is used for: what was sealed for one purpose is not opened for another.
    pub fn new(secret: &[u8], purpose: &[u8]) -> Option<Self> {
        struct Bytes;
        impl KeyType for Bytes {
            fn len(&self) -> usize {
                AES_256_GCM.key_len()
            }
        }
        let mut key = [0; 32];
        let extracted = Salt::new(HKDF_SHA256, b"tidegate session").extract(secret);
        extracted.expand(&[purpose], Bytes).ok()?.fill(&mut key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).ok().map(Self)
    }

    /// A text that only this secret opens, in the characters of base64url.
    pub fn seal(&self, content: &[u8]) -> Option<String> {
        let mut sealed = content.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Some(encode_url(&whole))
    }

    /// What was sealed; `None` for anything else.
    pub fn open(&self, text: &[u8]) -> Option<Vec<u8>> {
        let whole = decode_url(text)?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let length = self.0.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

/// Nothing of it is printed.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Somebody who has logged in.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// What the provider says of them.
    #[serde(deserialize_with = "claims")]
    pub claims: Claims,
    /// Seconds since 1970 at which it is over.
    pub until: u64,
    /// Seconds since 1970 at which the provider is to be asked whether it goes on; 0 for never.
    pub refresh_at: u64,
}

impl Session {
    /// The session in a cookie's value, unless it is over.
    pub fn open(sealer: &Sealer, text: &[u8], now: u64) -> Option<Self> {
        let session: Self = serde_json::from_slice(&sealer.open(text)?).ok()?;
        (now < session.until).then_some(session)
    }

    /// Whether the provider is to be asked.
    pub fn is_due(&self, now: u64) -> bool {
        self.refresh_at != 0 && now >= self.refresh_at
    }
}

/// Puts the cookies of a session together: the first says how many there are and begins the text, the others go on
/// (`name`: `2.AbC…`, `name.1`: `dEf…`). Empty where one is missing.
pub fn join_cookies<'a>(cookie: impl Fn(&[u8]) -> Option<&'a [u8]>, name: &str, room: &mut Vec<u8>) {
    room.clear();
    let Some([count, b'.', text @ ..]) = cookie(name.as_bytes()) else { return };
    let count = usize::from(count.wrapping_sub(b'0'));
    if !(1..=COOKIES_MOST).contains(&count) {
        return;
    }
    room.extend_from_slice(text);
    for number in 1..count {
        match cookie(format!("{name}.{number}").as_bytes()) {
            Some(text) if text.len() <= COOKIE_MOST => room.extend_from_slice(text),
            _ => return room.clear(),
        }
    }
}

fn claims<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Claims, D::Error> {
    serde_json::Map::deserialize(source).map(Claims::from)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn sealer(secret: &str, purpose: &str) -> Sealer {
        Sealer::new(secret.as_bytes(), purpose.as_bytes()).unwrap()
    }

    #[test]
    fn what_was_sealed_is_opened_and_by_nobody_else() {
        let mine = sealer("secret", "a");
        let sealed = mine.seal(b"content").unwrap();
        assert_eq!(mine.open(sealed.as_bytes()).unwrap(), b"content");
        assert_eq!(sealer("secret", "a").open(sealed.as_bytes()).unwrap(), b"content");
        assert!(sealer("Secret", "a").open(sealed.as_bytes()).is_none());
        assert!(sealer("secret", "b").open(sealed.as_bytes()).is_none());
        assert_ne!(mine.seal(b"content").unwrap(), sealed, "each has a nonce of its own");
    }

    #[test]
    fn what_was_changed_in_one_place_is_nothing() {
        let mine = sealer("secret", "a");
        let sealed = mine.seal(b"content").unwrap().into_bytes();
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert!(mine.open(&other).is_none(), "{at}");
            assert!(mine.open(&sealed[..at]).is_none(), "{at}");
        }
        assert!(mine.open(b"").is_none() && mine.open(b"AAAA").is_none());
    }

    #[test]
    fn a_session_holds_until_its_end() {
        let mine = sealer("secret", "a");
        let sealed = mine.seal(br#"{"claims":{"sub":"ann"},"until":100,"refresh_at":50}"#).unwrap();
        let session = Session::open(&mine, sealed.as_bytes(), 99).unwrap();
        assert_eq!(session.claims.text("sub").as_deref(), Some("ann"));
        assert!(session.is_due(50) && !session.is_due(49));
        assert!(Session::open(&mine, sealed.as_bytes(), 100).is_none());
        for other in [&b""[..], b"{}", br#"{"claims":[],"until":100,"refresh_at":0}"#] {
            assert!(Session::open(&mine, mine.seal(other).unwrap().as_bytes(), 0).is_none());
        }
    }

    #[test]
    fn a_long_session_comes_in_several_cookies() {
        let joined = |cookies: &[(&str, &str)]| {
            let cookies: HashMap<&[u8], &[u8]> =
                cookies.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let mut room = b"old".to_vec();
            join_cookies(|name| cookies.get(name).copied(), "s", &mut room);
            String::from_utf8(room).unwrap()
        };
        assert_eq!(joined(&[("s", "1.abc")]), "abc");
        assert_eq!(joined(&[("s", "1.abc"), ("s.1", "old")]), "abc");
        assert_eq!(joined(&[("s", "3.abc"), ("s.2", "ghi"), ("s.1", "def")]), "abcdefghi");
        assert_eq!(joined(&[("s", "2.abc")]), "");
        for bad in ["", "abc", "0.abc", "5.abc", "9.abc", ".abc", "11.abc"] {
            assert_eq!(joined(&[("s", bad)]), "", "{bad}");
        }
    }
}
