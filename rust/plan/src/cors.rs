//! Which pages of other origins may use a route (Fetch standard, CORS protocol).

use serde::Deserialize;

/// What browsers are told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Any origin, told as `*`; never with credentials.
    pub any: bool,
    /// `https://app.example.com`, as browsers write them.
    pub origins: Vec<String>,
    /// Origins of all subdomains.
    pub suffixes: Vec<OriginSuffix>,
    /// The value of `Access-Control-Allow-Methods`.
    pub methods: String,
    /// The value of `Access-Control-Allow-Headers`; `null` for those that are asked for.
    pub headers: Option<String>,
    /// The value of `Access-Control-Expose-Headers`; empty for none.
    pub expose: String,
    /// Whether requests may bring cookies and the like.
    pub credentials: bool,
    /// Seconds for which an answer holds.
    pub max_age_s: u32,
}

/// `https://*.example.com`: one label or more in the star's place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginSuffix {
    /// `https://`.
    pub scheme: String,
    /// `.example.com`, with a port where there is one.
    pub suffix: String,
}
