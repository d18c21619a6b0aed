//! Who may come: by address, by key, by name and password, by token.

use serde::Deserialize;

use crate::{KeyPart, Secret};

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
    /// RFC 7519.
    Jwt(Jwt),
    /// Somebody else decides.
    Forward(AuthForward),
    /// Who has logged in at a provider.
    Oidc(Oidc),
    /// Whichever of several lets somebody in.
    Any(Any),
}

/// Several ways in, none of which asks somebody else or is `any` again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Any {
    /// Asked in this order.
    pub methods: Vec<Auth>,
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
    /// A cookie.
    Cookie {
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
    /// Those whose password is kept as a slow hash.
    pub hashes: Vec<PasswordHash>,
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

/// One user of a password file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordHash {
    /// Without a colon.
    pub name: String,
    /// As a password file has it: `$2y$…`, `$argon2id$…`, `$6$…`, `$5$…`, `$apr1$…`, `{SHA}…`.
    pub hash: Secret,
}

/// Signed tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Where a token is looked for; the first place that has one counts.
    pub sources: Vec<KeySource>,
    /// What signatures are checked with.
    pub key_set: KeySet,
    /// Names as RFC 7518 §3.1 has them; at least one.
    pub algorithms: Vec<String>,
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
    /// Seconds after `iat` at which a token is too old; 0 for never.
    pub max_age_s: u32,
    /// The claim that tells who it is.
    pub user: String,
    /// Claims that the upstream is told.
    pub headers: Vec<ClaimHeader>,
    /// Without quotation marks and control characters.
    pub realm: String,
    /// Whether the token is taken out of what is forwarded.
    pub strip: bool,
}

/// A claim that the upstream is told in a field. What a client sends in it never arrives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimHeader {
    /// A name, or names with dots between them for what is within.
    pub claim: String,
    /// The field.
    pub name: String,
}

/// Keys that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// As metrics and the log call it; where keys are fetched, their URL. Sets of one name are one set.
    pub name: String,
    /// A JWK Set (RFC 7517 §5) as text; `null` where none was fetched yet.
    pub jwks: Option<Secret>,
    /// How new keys are asked for; `null` where there never are any.
    pub fetch: Option<KeyFetch>,
}

/// How keys that are not known are asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFetch {
    /// Index of the hook that fetches them.
    pub hook: u32,
    /// Between two times of asking.
    pub interval_ms: u32,
}

/// Each request is asked about at an upstream: 2xx lets it in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthForward {
    /// Index of the upstream that is asked.
    pub upstream: u32,
    /// Path and query of the question; visible characters.
    pub target: String,
    /// Fields of the request that the question has too.
    pub request_headers: Vec<String>,
    /// Fields of a good answer that the route's upstream gets. What a client sends in them never arrives.
    pub response_headers: Vec<String>,
    /// Fields of a good answer that the client gets.
    pub client_headers: Vec<String>,
    /// The field of a good answer that tells who it is; `null` for none.
    pub user: Option<String>,
    /// Whether a redirect is the client's, as a refusal is.
    pub redirects: bool,
    /// For a connection.
    pub connect_ms: u32,
    /// For the whole question.
    pub timeout_ms: u32,
    /// Which good answers hold for later requests; `null` where none does.
    pub cache: Option<ForwardCache>,
}

/// Good answers that hold for later requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardCache {
    /// All that the answer depends on.
    pub key: Vec<KeyPart>,
    /// Seconds, at least 1.
    pub ttl_s: u32,
}

/// Who has logged in at an OpenID provider, by a sealed cookie.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Names the login among others; cookies of one are none of another.
    pub name: String,
    /// Index of the hook that sends people to the provider, takes them back, refreshes and ends sessions.
    pub hook: u32,
    /// The cookie.
    pub cookie: String,
    /// What cookies are sealed with.
    pub secret: Secret,
    /// The path that the provider sends people back to.
    pub redirect_path: String,
    /// The path that ends a session; `null` where there is none.
    pub logout_path: Option<String>,
    /// The claim that tells who it is.
    pub user: String,
    /// Claims that the upstream is told.
    pub headers: Vec<ClaimHeader>,
    /// For the hook.
    pub provider: OidcProvider,
}

/// What the hook needs to know of a provider; the engine hands it on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// Its URL, as `iss` has it.
    pub issuer: String,
    /// Who asks.
    pub client_id: String,
    /// `null` for a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Claims that the session keeps.
    pub claims: Vec<String>,
    /// Where people see the site; `null` for what their request says.
    pub public_url: Option<String>,
    /// Seconds for which a session goes on at most.
    pub session_s: u32,
    /// Whether the cookie is for TLS only; `null` for what the request came by.
    pub secure: Option<bool>,
}
