//! JSON Web Tokens (RFC 7519) in their compact, signed form (RFC 7515 §3.1).

mod algorithm;
mod claims;
mod keys;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Deserialize;

pub use algorithm::{Algorithm, Algorithms};
pub use claims::Claims;
pub use keys::{KEYS_MOST, KeySet, KeySetError, Origin, Skipped};

use crate::base64::decode_url;
use keys::Checked;

/// A longer token is not looked at: it would not fit into a head either.
pub const TOKEN_MOST: usize = 16 * 1024;

/// What a token must be to be let in.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// Algorithms that are taken, among those that a key is good for.
    pub algorithms: Algorithms,
    /// One of these in `iss`; any where there is none.
    pub issuers: Vec<String>,
    /// One of these in `aud`; any where there is none.
    pub audiences: Vec<String>,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Scopes that must all be granted.
    pub scopes: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway_s: u32,
    /// Seconds after `iat` at which a token is too old, whatever its `exp`; 0 for never.
    pub max_age_s: u32,
}

/// A token that is let in.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it says.
    pub claims: Claims,
    /// Until when it is let in again without another look, in seconds since 1970.
    pub until: u64,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Longer than [`TOKEN_MOST`].
    TooLong,
    /// Not three parts of base64url with JSON objects in the first two.
    Malformed,
    /// Encrypted (RFC 7516), which is not spoken here.
    Encrypted,
    /// `alg` is `none`, not known, or not taken here; or the key that is named is none for it.
    Algorithm,
    /// `crit` names extensions, none of which is known here (RFC 7515 §4.1.11).
    Critical,
    /// No key of the set is the one that is named.
    UnknownKey,
    /// The signature is another's, or of another text.
    Signature,
    /// `exp` is past.
    Expired,
    /// `nbf` is to come.
    NotYet,
    /// `iat` is to come.
    IssuedLater,
    /// `iat` is longer ago than tokens may be old.
    TooOld,
    /// `iss` is another.
    Issuer,
    /// `aud` is another.
    Audience,
    /// A claim that must be there is not, or is no date where it must be one.
    Claim,
    /// A scope is not granted.
    Scope,
}

impl TokenError {
    /// As logs, metrics and answers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Encrypted => "token_encrypted",
            Self::Algorithm => "token_algorithm",
            Self::Critical => "token_critical",
            Self::UnknownKey => "token_key_unknown",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet_valid",
            Self::IssuedLater => "token_issued_later",
            Self::TooOld => "token_too_old",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Claim => "token_claim_missing",
            Self::Scope => "insufficient_scope",
        }
    }

    /// What the client is told, in a sentence.
    pub fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "The token is too long.",
            Self::Malformed => "The token is no signed JSON Web Token.",
            Self::Encrypted => "Encrypted tokens are not taken.",
            Self::Algorithm => "The token's algorithm is not taken.",
            Self::Critical => "The token asks for an extension that is not known.",
            Self::UnknownKey => "The token's key is not known.",
            Self::Signature => "The token's signature is wrong.",
            Self::Expired => "The token has expired.",
            Self::NotYet => "The token is not valid yet.",
            Self::IssuedLater => "The token was issued in the future.",
            Self::TooOld => "The token is too old.",
            Self::Issuer => "The token's issuer is another.",
            Self::Audience => "The token is for another audience.",
            Self::Claim => "The token lacks a claim that is needed.",
            Self::Scope => "The token does not grant the scope that is needed.",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for TokenError {}

impl TokenRules {
    /// Checks a token at `now`, in seconds since 1970: form, key and signature, then what it says.
    pub fn verify(&self, keys: &KeySet, token: &[u8], now: u64) -> Result<Token, TokenError> {
        let claims = self.signed(keys, token)?;
        let until = self.judge(&claims, now)?;
        Ok(Token { claims, until })
    }

    /// The claims of a token that a key of the set has signed.
    fn signed(&self, keys: &KeySet, token: &[u8]) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_MOST {
            return Err(TokenError::TooLong);
        }
        let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (first, second) = match (dots.next(), dots.next(), dots.next(), dots.next(), dots.next()) {
            (Some(first), Some(second), None, ..) => (first, second),
            (_, _, _, Some(_), None) => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::Malformed),
        };
        let decode = |text: &[u8]| decode_url(text).ok_or(TokenError::Malformed);
        let header: Header =
            serde_json::from_slice(&decode(&token[..first])?).map_err(|_| TokenError::Malformed)?;
        let algorithm = Algorithm::parse(&header.alg)
            .filter(|algorithm| self.algorithms.contains(*algorithm))
            .ok_or(TokenError::Algorithm)?;
        // `b64` (RFC 7797) comes with `crit`; whatever else does is not known here either.
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let signature = decode(&token[second + 1..])?;
        let kid = header.kid.as_deref();
        match keys.check(algorithm, kid, &token[..second], &signature) {
            Checked::Good => {}
            Checked::Bad => return Err(TokenError::Signature),
            Checked::WrongAlgorithm => return Err(TokenError::Algorithm),
            Checked::NoKey => return Err(TokenError::UnknownKey),
        }
        Claims::parse(&decode(&token[first + 1..second])?).ok_or(TokenError::Malformed)
    }

    /// Whether what a token says is enough; until when.
    fn judge(&self, claims: &Claims, now: u64) -> Result<u64, TokenError> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let leeway = i64::from(self.leeway_s);
        let date = |name: &str| match claims.date(name) {
            None => Ok(None),
            Some(Ok(date)) => Ok(Some(date)),
            Some(Err(())) => Err(TokenError::Claim),
        };
        let mut until = i64::MAX;
        // RFC 7519 §4.1.4: on or after `exp` a token is not accepted.
        if let Some(expires) = date("exp")? {
            until = expires.saturating_add(leeway);
            if now >= until {
                return Err(TokenError::Expired);
            }
        }
        if date("nbf")?.is_some_and(|from| now < from.saturating_sub(leeway)) {
            return Err(TokenError::NotYet);
        }
        match date("iat")? {
            Some(issued) if now < issued.saturating_sub(leeway) => return Err(TokenError::IssuedLater),
            Some(issued) if self.max_age_s > 0 => {
                let old = issued.saturating_add(i64::from(self.max_age_s)).saturating_add(leeway);
                if now >= old {
                    return Err(TokenError::TooOld);
                }
                until = until.min(old);
            }
            None if self.max_age_s > 0 => return Err(TokenError::Claim),
            _ => {}
        }
        let accepts = |name, wanted: &[String]| wanted.is_empty() || claims.is_or_has(name, wanted);
        if !accepts("iss", &self.issuers) {
            return Err(TokenError::Issuer);
        }
        if !accepts("aud", &self.audiences) {
            return Err(TokenError::Audience);
        }
        if self.required.iter().any(|name| claims.value(name).is_none_or(serde_json::Value::is_null)) {
            return Err(TokenError::Claim);
        }
        if !self.scopes.iter().all(|scope| claims.has_scope(scope)) {
            return Err(TokenError::Scope);
        }
        Ok(u64::try_from(until).unwrap_or(0))
    }
}

/// RFC 7515 §4: the parameters that matter here. A name that is there twice is refused, as the section demands.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}
