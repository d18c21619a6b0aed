//! What holds for every listener: limits on heads and bodies, waiting times, what is told to upstreams.

use serde::Deserialize;

use crate::Abuse;

/// Bounds and manners that all listeners share. Times are milliseconds, sizes bytes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// A request head larger than this is refused with 431 (414 where the target alone is larger).
    pub head_bytes: u32,
    /// More field lines than this are refused with 431.
    pub head_fields: u32,
    /// From a connection to the end of its TLS handshake, else it is closed.
    pub handshake_timeout_ms: u32,
    /// From the first byte of a request to the end of its head, else 408.
    pub head_timeout_ms: u32,
    /// Between two reads of a request body, else 408.
    pub body_timeout_ms: u32,
    /// Between two writes that the client takes, else the connection is closed.
    pub send_timeout_ms: u32,
    /// How long an idle connection is kept for another request.
    pub keep_alive_ms: u32,
    /// Requests on one connection before it is closed; 0 for no bound.
    pub keep_alive_requests: u32,
    /// Streams that an HTTP/2 connection may have open at once.
    pub max_streams: u32,
    /// How long a drain waits for exchanges under way before it cuts them.
    pub drain_ms: u32,
    /// Client connections in all workers together; more are refused with 503.
    pub max_connections: u32,
    /// Peers whose word on the client's address is taken, as CIDR blocks.
    pub trusted_proxies: Vec<String>,
    /// Which fields tell the upstream about the client.
    pub forwarded: ForwardedStyle,
    /// Whether `Via` is added to what is forwarded, both ways.
    pub via: bool,
    /// How requests that come back are known; `null`: they are not.
    pub loop_guard: Option<LoopGuard>,
    /// The request id that is sent upstream and logged.
    pub request_id: RequestId,
    /// Whether a traceparent is made for requests that bring none (one that is there is always passed on).
    pub trace: bool,
    /// The value of `Server` on answers of the gateway's own; empty for none.
    pub server_name: String,
    /// Whether `//` in a path counts as `/` for matching.
    pub merge_slashes: bool,
    /// The most keys that each of the limit tables holds.
    pub limit_keys: u32,
    /// What clients may cost.
    pub abuse: Abuse,
}

/// How requests are known that passed this gateway before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopGuard {
    /// What this gateway is called in the field, a token; empty for a name that each process makes up for itself.
    pub id: String,
    /// The field that carries it.
    pub field: LoopField,
    /// A request that passed more often than this is answered 508.
    pub most: u32,
}

/// The field in which gateways write their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopField {
    /// `CDN-Loop` (RFC 8586), which no gateway may take out.
    CdnLoop,
    /// `Via` (RFC 9110 §7.6.3).
    Via,
}

/// Which fields tell the upstream about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the fields
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    Both,
    None,
}

/// The request id that is sent upstream and logged.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestId {
    /// The field that carries it; empty for none.
    pub header: String,
    /// Whether a client's own id is kept (only one of 1 to 128 visible characters is), else it is replaced.
    pub trust: bool,
    /// Whether the response carries it too.
    pub respond: bool,
}
