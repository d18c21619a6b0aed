//! Where connections are accepted.

use serde::Deserialize;

use crate::{Address, ListenerTls, Tcp};

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// As logs and metrics call it: the address as written.
    pub name: String,
    /// An IP address or a Unix socket.
    pub address: Address,
    /// Whether every connection must open with a PROXY protocol header (v1 or v2), from trusted proxies only.
    pub proxy_protocol: bool,
    /// Whether HTTP/2 is spoken: offered within TLS, and taken from clients that begin with its preface.
    pub http2: bool,
    /// Whether it is the admin listener: not logged, not counted as traffic, open while draining.
    pub admin: bool,
    /// How its connections are secured; `null` for plain ones.
    pub tls: Option<ListenerTls>,
    /// How connections are passed on as they are; `null` for a listener that speaks HTTP.
    pub tcp: Option<Tcp>,
}
