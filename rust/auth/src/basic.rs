//! Names and passwords (RFC 7617).

use std::fmt;

use crate::base64::decode;
use crate::digest::Names;
use crate::keys::credentials;

/// The users that are let in, each by the SHA-256 of `NAME:PASSWORD`.
#[derive(Debug, Default)]
pub struct Basic {
    names: Names,
}

/// Why a credential lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// Another scheme than `Basic`, or none.
    Scheme,
    /// Longer than 768 bytes when decoded.
    TooLong,
    /// Not base64 of a name, a colon and a password without control characters (§2).
    Malformed,
    /// No such name, or another password; which of the two is not told.
    Refused,
}

impl fmt::Display for AuthFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the scheme is not Basic",
            Self::TooLong => "the credential is too long",
            Self::Malformed => "the credential is not base64 of name:password",
            Self::Refused => "name and password do not match",
        })
    }
}

impl std::error::Error for AuthFailure {}

impl Basic {
    /// From names and the SHA-256 of `NAME:PASSWORD`.
    pub fn new(users: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        Self { names: Names::new(users) }
    }

    /// The name behind the value of `Authorization`.
    ///
    /// The digest is over both parts as they came, whatever their encoding (the challenge should say UTF-8, §2.1), so
    /// an unknown name takes as long as a wrong password.
    pub fn verify(&self, authorization: &[u8]) -> Result<&str, AuthFailure> {
        let mut room = [0; MAX_BYTES];
        let pair = name_and_password(authorization, &mut room)?;
        self.find(pair).ok_or(AuthFailure::Refused)
    }

    /// Whose name and password, with a colon between them, those are.
    pub fn find(&self, pair: &[u8]) -> Option<&str> {
        self.names.find(pair)
    }
}

/// The name and the password that the value of `Authorization` holds, with a colon between them.
pub fn name_and_password<'a>(
    authorization: &[u8],
    room: &'a mut [u8; MAX_BYTES],
) -> Result<&'a [u8], AuthFailure> {
    let text = credentials(authorization, b"Basic").ok_or(AuthFailure::Scheme)?;
    if text.len() > MAX_BYTES.div_ceil(3) * 4 {
        return Err(AuthFailure::TooLong);
    }
    let pair = decode(text, room).ok_or(AuthFailure::Malformed)?;
    if !pair.contains(&b':') || pair.iter().any(u8::is_ascii_control) {
        return Err(AuthFailure::Malformed);
    }
    Ok(pair)
}

/// Bytes of a name and a password. A multiple of three, so that every text of the greatest length fits.
pub const MAX_BYTES: usize = 768;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    fn users(pairs: &[&str]) -> Basic {
        Basic::new(pairs.iter().map(|pair| {
            let name = pair.split(':').next().unwrap();
            (name.to_string(), Sha256::digest(pair).into())
        }))
    }

    fn value(pair: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(pair)).into_bytes()
    }

    #[test]
    fn the_example_of_the_rfc_lets_aladdin_in() {
        let users = users(&["Aladdin:open sesame", "test:123\u{a3}"]);
        assert_eq!(users.verify(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Ok("Aladdin"));
        assert_eq!(users.verify(b"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Ok("Aladdin"));
        assert_eq!(users.verify(b"Basic dGVzdDoxMjPCow=="), Ok("test"));
    }

    #[test]
    fn a_password_may_hold_colons_and_be_empty() {
        let users = users(&["a:b:c", "empty:"]);
        assert_eq!(users.verify(&value(b"a:b:c")), Ok("a"));
        assert_eq!(users.verify(&value(b"empty:")), Ok("empty"));
    }

    #[test]
    fn a_wrong_name_and_a_wrong_password_are_told_alike() {
        let users = users(&["ann:secret"]);
        for pair in [&b"ann:Secret"[..], b"bob:secret", b"ann:", b":secret", b"ann:secret ", b":"] {
            assert_eq!(users.verify(&value(pair)), Err(AuthFailure::Refused));
        }
    }

    #[test]
    fn every_other_value_has_its_reason() {
        let users = users(&["ann:secret"]);
        for other in [&b""[..], b"Bearer x", b"Basic", b"Basic ", b"BasicYTpi"] {
            assert_eq!(users.verify(other), Err(AuthFailure::Scheme), "{}", other.escape_ascii());
        }
        for other in [
            &b"Basic YW5uOnNlY3JldA"[..],
            b"Basic YW5u",
            b"Basic YW5uOnNlY3Jl dA==",
            b"Basic ====",
            b"Basic \xff\xff\xff\xff",
        ] {
            assert_eq!(users.verify(other), Err(AuthFailure::Malformed), "{}", other.escape_ascii());
        }
        assert_eq!(users.verify(&value(b"ann:\x00")), Err(AuthFailure::Malformed));
        assert_eq!(users.verify(&value(b"ann\n:secret")), Err(AuthFailure::Malformed));
    }

    #[test]
    fn the_longest_credential_is_read_and_a_longer_one_is_not() {
        let longest = format!("a:{}", "x".repeat(MAX_BYTES - 2));
        let users = users(&[&longest]);
        assert_eq!(users.verify(&value(longest.as_bytes())), Ok("a"));
        let longer = format!("{longest}x");
        assert_eq!(users.verify(&value(longer.as_bytes())), Err(AuthFailure::TooLong));
        assert_eq!(users.verify(&value(&[b'x'; 60_000])), Err(AuthFailure::TooLong));
    }
}
