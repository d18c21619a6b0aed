//! What is kept of answers: the rules of a route, and the store that all routes share.

use serde::Deserialize;

use crate::{Template, ValueMatch};

/// The store of kept answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheStore {
    /// Bytes in memory, those of the entries themselves included.
    pub memory_bytes: u64,
}

/// What is kept of a route's answers, and for whom.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteCache {
    /// How long answers are fresh where the origin does not say; empty keeps only what the origin says.
    pub ttl: Vec<CacheTtl>,
    /// What tells answers apart.
    pub key: CacheKey,
    /// How `Vary` is met.
    pub vary: CacheVary,
    /// A request that any of these holds for is neither answered from the store nor stored.
    pub bypass: Vec<CacheBypass>,
    /// Seconds that a stale answer is given while a new one is fetched, where the origin does not say.
    pub stale_while_revalidate_s: u32,
    /// Seconds that a stale answer is given where the origin fails, where the origin does not say.
    pub stale_if_error_s: u32,
    /// Percent of the time since `Last-Modified` that an answer counts as fresh; 0 for never.
    pub heuristic_percent: u32,
    /// The longest that an answer of status 400 or more is fresh, in seconds, whatever the origin says.
    pub negative_s: u32,
    /// A larger answer is not kept.
    pub object_bytes: u64,
    /// Whether answers with `Set-Cookie` are kept that are not marked `public`.
    pub set_cookie: bool,
    /// Whether answers to requests with credentials are kept as those to all others: they are the same for everybody.
    pub authorized: bool,
    /// Whether the request's Cache-Control and Pragma count.
    pub request_control: bool,
    /// Response fields with the tags of an answer, separated by white space or commas.
    pub tags: Vec<String>,
    /// Response fields that are neither kept nor sent from the store.
    pub hide: Vec<String>,
    /// Request fields that are not in the key and therefore not sent to the origin.
    pub strip: Vec<String>,
    /// Where a request with this field comes from one of these peers, the answer tells its key.
    pub debug: Option<CacheDebug>,
    /// How long a request waits for another that fetches the same, in milliseconds; 0 fetches each by itself.
    pub coalesce_ms: u32,
}

/// A time by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheTtl {
    /// A status; 0 for all that RFC 9110 §15.1 allows a cache to keep by itself.
    pub status: u16,
    /// How long.
    pub seconds: u32,
}

/// What tells answers apart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheKey {
    /// Routes of one space share what they keep.
    pub space: String,
    /// Whether `http` and `https` are two.
    pub scheme: bool,
    /// Whether hosts are told apart.
    pub host: bool,
    /// Which of the query counts.
    pub query: CacheQuery,
    /// Request fields, lower case.
    pub headers: Vec<String>,
    /// Cookies.
    pub cookies: Vec<String>,
    /// Whatever else; empty for nothing.
    pub template: Template,
}

/// Which of the query counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheQuery {
    /// Whether parameters are put in order by name.
    pub sort: bool,
    /// Only these parameters count; `null` for all.
    pub keep: Option<Vec<String>>,
    /// These do not; a name that ends with `*` stands for all that begin so.
    pub drop: Vec<String>,
}

/// How `Vary` is met.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheVary {
    /// Codings that are told apart, in the order in which the origin is asked for them; empty compares what came.
    pub accept_encoding: Vec<String>,
    /// Languages that are told apart; the best of them is asked for; empty compares what came.
    pub accept_language: Vec<String>,
    /// Names in `Vary` that are not told apart, lower case.
    pub ignore: Vec<String>,
    /// Variants of one key that are kept at most.
    pub most: u32,
}

/// A reason not to use the store.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheBypass {
    /// Where it is looked for.
    pub part: CacheBypassPart,
    /// What must hold for it.
    pub test: ValueMatch,
}

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheBypassPart {
    /// A field.
    Header,
    /// A cookie.
    Cookie,
    /// A query parameter.
    Query,
}

/// Who is told keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheDebug {
    /// The request field that asks.
    pub header: String,
    /// Clients that may, as CIDR blocks.
    pub allow: Vec<String>,
}
