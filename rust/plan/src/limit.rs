//! How much: token buckets and caps on what is in flight.

use serde::Deserialize;

/// A token bucket for each value of a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// As logs and metrics call it; unique. Counts are kept over a reload while name and rate stay.
    pub name: String,
    /// What is counted apart; a request that lacks one of the parts is counted under the empty value.
    pub key: Vec<KeyPart>,
    /// How fast tokens come back.
    pub rate: Rate,
    /// Tokens in a full bucket, at least 1.
    pub burst: u32,
    /// Tokens that a request takes, at least 1.
    pub cost: u32,
    /// The longest that a request is held back instead of refused; 0 refuses at once.
    pub delay_ms: u32,
}

/// `tokens` every `per_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At least 1.
    pub tokens: u32,
    /// At least 1.
    pub per_ms: u64,
}

/// A cap on requests in flight for each value of a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// As logs and metrics call it; unique.
    pub name: String,
    /// What is counted apart.
    pub key: Vec<KeyPart>,
    /// At least 1.
    pub max: u32,
}

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyPart {
    /// The client's address; of a v6 address the first 64 bits.
    ClientIp,
    /// A request field.
    Header {
        /// Any case.
        name: String,
    },
    /// A cookie.
    Cookie {
        /// Exact.
        name: String,
    },
    /// The name of the key or user that came in.
    ApiKey,
    /// A claim of the token that came in.
    Claim {
        /// A name, or names with dots between them.
        name: String,
    },
    /// The normalised path.
    Path,
    /// The host.
    Host,
    /// The route.
    Route,
}
