//! API keys: who holds the key that was presented.

use crate::digest::Names;

/// The keys that are let in, each by its digest.
///
/// A key is found by its SHA-256, so a digest that leaks lets nobody in; for that, keys must be long and random, as
/// generated ones are (16 bytes of randomness or more), because SHA-256 is fast to guess with.
#[derive(Debug, Default)]
pub struct ApiKeys {
    names: Names,
}

impl ApiKeys {
    /// From names and the SHA-256 of their keys; of two names with the same key, the first counts.
    pub fn new(keys: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        Self { names: Names::new(keys) }
    }

    /// The name of the key that was presented. An empty key is nobody's, and so is one of more than 4,096 bytes,
    /// which is not even hashed.
    #[inline]
    pub fn verify(&self, presented: &[u8]) -> Option<&str> {
        if presented.is_empty() || presented.len() > MAX_KEY_BYTES {
            None
        } else {
            self.names.find(presented)
        }
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1): visible characters without spaces. That is more than
/// the grammar's `b64token`, because keys are what they are; nothing but a comparison is made with them.
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    credentials(authorization, b"Bearer").filter(|token| token.iter().all(u8::is_ascii_graphic))
}

/// The access key's id of an AWS signature (`AWS4-HMAC-SHA256 Credential=ID/date/region/service/aws4_request, …`). What it signs is
/// not looked at: as a secret of the client's the id is worth what a bearer token is.
pub fn aws_access_key(authorization: &[u8]) -> Option<&[u8]> {
    let parameters = credentials(authorization, b"AWS4-HMAC-SHA256")?;
    let scope = parameters
        .split(|byte| *byte == b',')
        .find_map(|part| part.trim_ascii().strip_prefix(b"Credential="))?;
    scope.split(|byte| *byte == b'/').next().filter(|id| !id.is_empty() && id.len() < scope.len())
}

/// What follows the scheme, if it is this one (RFC 9110 §11.4): schemes have no case, then come one or more
/// spaces.
pub(crate) fn credentials<'a>(authorization: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (written, after) = authorization.split_at_checked(scheme.len())?;
    if !written.eq_ignore_ascii_case(scheme) || after.first() != Some(&b' ') {
        return None;
    }
    let start = after.iter().position(|byte| *byte != b' ')?;
    Some(&after[start..])
}

const MAX_KEY_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn keys(keys: &[(&str, &[u8])]) -> ApiKeys {
        ApiKeys::new(keys.iter().map(|(name, key)| (name.to_string(), Sha256::digest(key).into())))
    }

    #[test]
    fn a_key_is_known_by_its_name_and_nothing_near_it_is() {
        let keys = keys(&[("web", b"k-1"), ("ci", b"k-2")]);
        assert_eq!(keys.verify(b"k-1"), Some("web"));
        assert_eq!(keys.verify(b"k-2"), Some("ci"));
        for other in [&b"k-3"[..], b"k-", b"k-11", b"K-1", b" k-1", b"k-1\0", b"web"] {
            assert_eq!(keys.verify(other), None);
        }
    }

    #[test]
    fn an_empty_key_is_nobodys_even_where_its_digest_is_listed() {
        assert_eq!(keys(&[("nobody", b"")]).verify(b""), None);
    }

    #[test]
    fn an_endless_key_is_nobodys() {
        let longest = [b'k'; MAX_KEY_BYTES];
        let longer = [b'k'; MAX_KEY_BYTES + 1];
        let keys = keys(&[("longest", &longest), ("longer", &longer)]);
        assert_eq!(keys.verify(&longest), Some("longest"));
        assert_eq!(keys.verify(&longer), None);
    }

    #[test]
    fn printing_tells_neither_names_nor_digests() {
        assert_eq!(format!("{:?}", keys(&[("web", b"k-1")])), "ApiKeys { names: 1 names }");
    }

    #[test]
    fn a_bearer_token_is_what_follows_the_scheme() {
        assert_eq!(bearer(b"Bearer abc.DEF-_~+/=="), Some(&b"abc.DEF-_~+/=="[..]));
        assert_eq!(bearer(b"bEARER  two-spaces"), Some(&b"two-spaces"[..]));
        assert_eq!(bearer(b"Bearer sk:live,1"), Some(&b"sk:live,1"[..]));
    }

    #[test]
    fn an_aws_signature_tells_the_id_of_its_key() {
        let signed = b"AWS4-HMAC-SHA256 Credential=sk-1/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(aws_access_key(signed), Some(&b"sk-1"[..]));
        for other in [
            &b"Bearer Credential=sk-1/x"[..],
            b"AWS4-HMAC-SHA256 Signature=0",
            b"AWS4-HMAC-SHA256 Credential=sk-1",
            b"AWS4-HMAC-SHA256 Credential=/20260101",
            b"AWS4-HMAC-SHA256",
        ] {
            assert_eq!(aws_access_key(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_none() {
        let cases = [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer   ",
            b"Bearerx",
            b"Bearer\tx",
            b"Basic eDp5",
            b"Bearer a b",
            b"Bear",
        ];
        for authorization in cases {
            assert_eq!(bearer(authorization), None, "{}", authorization.escape_ascii());
        }
        assert_eq!(bearer(b"Bearer caf\xc3\xa9"), None);
    }
}
