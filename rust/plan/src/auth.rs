//! Who may come: by address, by key, by name and password.

use serde::Deserialize;

/// Who may come by address: `deny` first, then `allow`; an empty `allow` lets everybody else in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// CIDR blocks.
    pub allow: Vec<String>,
    /// CIDR blocks.
    pub deny: Vec<String>,
}

/// Who may come by credentials.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A secret in a field or a parameter.
    ApiKeys(ApiKeys),
    /// RFC 7617.
    Basic(Basic),
}

/// API keys: compared by hash, never kept in the clear.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeys {
    /// Where the key is looked for.
    pub source: KeySource,
    /// Those that are let in.
    pub keys: Vec<ApiKey>,
    /// Whether the credential is taken out of what is forwarded.
    pub strip: bool,
}

/// Where a key is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeySource {
    /// A field whose whole value is the key.
    Header {
        /// Any case.
        name: String,
    },
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// A query parameter.
    Query {
        /// Exact.
        name: String,
    },
}

/// One key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// As the log, `${user}` and limits know it.
    pub name: String,
    /// SHA-256 of the key, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Names and passwords.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Without quotation marks and control characters.
    pub realm: String,
    /// Those that are let in.
    pub users: Vec<BasicUser>,
    /// Whether the credential is taken out of what is forwarded.
    pub strip: bool,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicUser {
    /// Without a colon.
    pub name: String,
    /// SHA-256 of `NAME:PASSWORD`, 64 lower-case hexadecimal digits.
    pub sha256: String,
}
