//! Groups of endpoints: how one is chosen, how long is waited, when it is tried again.

use serde::Deserialize;

use crate::{Address, KeyPart};

/// A group of endpoints that serve the same thing. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// As logs and metrics call it; unique.
    pub name: String,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// How one is chosen.
    pub balance: Balance,
    /// Which HTTP its endpoints are spoken to in.
    pub protocol: UpstreamProtocol,
    /// How its connections are secured; `null` for plain ones.
    pub tls: Option<UpstreamTls>,
    /// Whether each connection opens with a PROXY header, and of which version; `null` for none.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Connections that are kept.
    pub pool: Pool,
    /// Ejection by what requests saw; `null` for none.
    pub passive: Option<PassiveHealth>,
    /// Ejection by probes; `null` for none.
    pub active: Option<ActiveHealth>,
    /// How long an endpoint that came back takes to get its full share; 0 for at once.
    pub slow_start_ms: u32,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary, with what else is known of the connection.
    V2,
}

/// One address (or name) that answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where.
    pub address: Address,
    /// Its share, 1 to 1000.
    pub weight: u32,
    /// The Host field where the route neither rewrites nor keeps it: `10.0.0.1:8080`.
    pub authority: String,
}

/// Which HTTP the endpoints of an upstream are spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, known to be spoken beforehand: many requests share a connection.
    Http2,
    /// What the endpoint chooses in the TLS handshake (ALPN); HTTP/1.1 without TLS.
    Auto,
}

/// TLS towards an upstream (1.2 and 1.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name that the certificate must bear and that SNI tells; empty for the endpoint's own host.
    pub server_name: String,
    /// A file with the authorities in PEM that are trusted; empty for the system's.
    pub ca: String,
    /// Whether the certificate is checked at all.
    pub verify: bool,
    /// Files with a certificate chain and its key in PEM that are shown on request; `null` for none.
    pub client: Option<(String, String)>,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// The fewest in flight by weight.
    LeastRequests,
    /// The better of two random ones by peak-sensitive moving latency times in flight.
    LeastLatency,
    /// The same endpoint for the same key, with bounded load.
    Hash {
        /// What is hashed.
        key: Vec<KeyPart>,
    },
}

/// Connections to one endpoint.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Idle connections that each worker keeps for each endpoint.
    pub idle_max: u32,
    /// How long one is kept idle.
    pub idle_ms: u32,
    /// How old one may get; 0 for no bound.
    pub lifetime_ms: u32,
    /// Connections to one endpoint, all workers together; 0 for no bound.
    pub max_connections: u32,
    /// Requests that may wait for one, all workers together; more are refused with 503.
    pub queue_max: u32,
    /// How long a request may wait for one.
    pub queue_ms: u32,
}

/// Ejection by what requests saw.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveHealth {
    /// Failures in a row after which an endpoint is left out.
    pub failures: u32,
    /// Whether 500, 502, 503 and 504 count as failures, beside those of the connection.
    pub count_5xx: bool,
    /// How long it is left out the first time; doubled each time up to ten times this.
    pub eject_ms: u32,
    /// The most that may be left out at once, in percent; one at least always stays.
    pub max_percent: u32,
}

/// Ejection by probes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveHealth {
    /// What is asked.
    pub probe: HealthProbe,
    /// Between two probes.
    pub interval_ms: u32,
    /// For one probe.
    pub timeout_ms: u32,
    /// Good ones in a row after which it is back.
    pub healthy: u32,
    /// Bad ones in a row after which it is out.
    pub unhealthy: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HealthProbe {
    /// A connection.
    Tcp,
    /// `GET path`.
    Http {
        /// Begins with `/`.
        path: String,
        /// The Host field; empty for the endpoint's authority.
        host: String,
        /// Status codes that are good, from and to.
        status: (u16, u16),
    },
}

/// Waiting times towards an upstream; 0 for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection.
    pub connect_ms: u32,
    /// From the last byte of the request to the response's head.
    pub head_ms: u32,
    /// Between two reads or writes of a body.
    pub idle_ms: u32,
    /// From the request's head to the response's last byte, all attempts.
    pub total_ms: u32,
    /// How long a tunnel (WebSocket, other upgrades) may be silent in both directions.
    pub tunnel_idle_ms: u32,
}

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, 1 for no retry.
    pub attempts: u32,
    /// What is tried again.
    pub on: Vec<RetryReason>,
    /// Whether methods that are not idempotent are too (those never sent always are).
    pub non_idempotent: bool,
    /// Retries as a share of requests, in percent, over ten seconds; at least ten a worker are always allowed.
    pub budget_percent: u32,
    /// A body up to this many bytes is kept for replay; a longer one is not tried again once sent.
    pub replay_bytes: u32,
}

/// Why an attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryReason {
    /// No connection.
    Connect,
    /// The connection ended before the response's first byte.
    Reset,
    /// The response's head took too long.
    Timeout,
    /// 502.
    #[serde(rename = "502")]
    Status502,
    /// 503.
    #[serde(rename = "503")]
    Status503,
    /// 504.
    #[serde(rename = "504")]
    Status504,
    /// 500.
    #[serde(rename = "500")]
    Status500,
    /// 429.
    #[serde(rename = "429")]
    Status429,
}
