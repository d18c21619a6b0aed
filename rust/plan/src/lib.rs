//! The compiled configuration: plain data that Python lowers and the engine runs.
//!
//! Knows: the shape of a plan, its schema number, the bounds of every value.
//! Never: defaults (the lowering decides every value), sockets, what a value does.
//!
//! A plan crosses once, as JSON. Every key must be there and none other may be; indices are dense and
//! point into the plan's own lists. `tests/golden/plan` holds configurations and their plans side by side.

mod abuse;
mod access_log;
mod address;
mod ai;
mod auth;
mod cache;
mod check;
mod check_ai;
mod check_cache;
mod check_tcp;
mod cors;
mod hook;
mod limit;
mod listener;
mod route;
mod secret;
mod server;
mod tcp;
mod template;
mod tls;
mod upstream;

pub use abuse::{Abuse, Memory};
pub use access_log::{AccessLog, LogFormat, LogSink};
pub use address::Address;
pub use ai::{
    Account, Ai, AiKey, AiRoute, Batch, Credential, CredentialScheme, Fallback, FallbackCause, Guard,
    GuardAction, GuardScope, Hedge, LoadProbe, LogContent, LookFor, Metric, Model, ModelBalance, ModelCache,
    OnDisconnect, Opening, Price, Prompt, PromptVersion, Provider, ProviderDialect, Rates, Rule, Shadow,
    Target, UsageJournal, Window,
};
pub use auth::{
    Access, Any, ApiKey, ApiKeys, Auth, AuthForward, Basic, BasicUser, ClaimHeader, ForwardCache, Jwt,
    KeyFetch, KeySet, KeySource, Oidc, OidcProvider, PasswordHash,
};
pub use cache::{
    CacheBypass, CacheBypassPart, CacheDebug, CacheKey, CacheQuery, CacheStore, CacheTtl, CacheVary,
    RouteCache,
};
pub use check::PlanError;
pub use cors::{Cors, OriginSuffix};
pub use hook::{Hook, OnFailure};
pub use limit::{Concurrency, KeyPart, Limit, Rate};
pub use listener::Listener;
pub use route::{
    Action, Builtin, EditKind, HeaderEdit, Matches, PathMatch, PathRewrite, Redirect, Respond, Rewrite,
    Route, ValueMatch, ValueTest,
};
pub use secret::Secret;
pub use server::{ForwardedStyle, LoopField, LoopGuard, RequestId, Server};
pub use tcp::{SniRoute, Tcp, TcpTarget};
pub use template::{Part, Template, Variable};
pub use tls::{Certificate, ClientCertificates, ListenerTls, TlsProfile, UnknownName};
pub use upstream::{
    ActiveHealth, Balance, Endpoint, HealthProbe, PassiveHealth, Pool, ProxyVersion, Retry, RetryReason,
    Timeouts, Upstream, UpstreamProtocol, UpstreamTls,
};

use serde::Deserialize;

/// The schema of plans that this engine runs; a plan of another schema is refused.
pub const SCHEMA: u32 = 1;

/// Everything that the engine runs, from one lowering of one configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Must equal [`SCHEMA`].
    pub schema: u32,
    /// What holds for all listeners.
    pub server: Server,
    /// Where connections are accepted.
    pub listeners: Vec<Listener>,
    /// In the order in which they were written, which is the last tie-break of matching.
    pub routes: Vec<Route>,
    /// Groups of endpoints.
    pub upstreams: Vec<Upstream>,
    /// Token buckets; routes point at them, and those that share one share its counts.
    pub limits: Vec<Limit>,
    /// Caps on requests in flight; routes point at them.
    pub concurrency: Vec<Concurrency>,
    /// Python functions that routes call.
    pub hooks: Vec<Hook>,
    /// `null` where nothing is logged.
    pub access_log: Option<AccessLog>,
    /// `null` where no route is an AI route.
    pub ai: Option<Ai>,
    /// `null` where no route keeps answers.
    pub cache: Option<CacheStore>,
}

impl Plan {
    /// Decodes a plan and checks that every value is within its bounds and every index points somewhere.
    pub fn decode(bytes: &[u8]) -> Result<Self, PlanError> {
        check::decode(bytes)
    }
}
