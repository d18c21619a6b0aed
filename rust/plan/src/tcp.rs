//! Listeners that pass connections on as they are, without reading what is said on them.

use serde::Deserialize;

use crate::{Access, Retry};

/// How the connections of a listener are passed on. Times are milliseconds, 0 for no bound; sizes bytes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// By the name that a TLS client asks for; where there are none, the first bytes are not waited for.
    pub sni: Vec<SniRoute>,
    /// Where a connection goes that none of the names matches; `null`: it is refused.
    pub default: Option<TcpTarget>,
    /// Who may come by address; `null` for everybody.
    pub access: Option<Access>,
    /// Indices of token buckets, of which each new connection takes.
    pub limits: Vec<u32>,
    /// Indices of caps on connections that are open.
    pub concurrency: Vec<u32>,
    /// Connections that are open, all workers together; 0 for no bound.
    pub max_connections: u32,
    /// For the ClientHello, where names are waited for.
    pub hello_ms: u32,
    /// The most that a ClientHello may have, records and all.
    pub hello_bytes: u32,
    /// How long a connection may be silent in both directions.
    pub idle_ms: u32,
    /// Whether connections are logged.
    pub access_log: bool,
}

/// What clients that ask for a name get.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SniRoute {
    /// In lower case: `a.example.com`, or `*.example.com` for one and more labels before it.
    pub host: String,
    /// Where they go.
    pub target: TcpTarget,
}

/// An upstream, and how it is connected to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpTarget {
    /// Index of the upstream.
    pub upstream: u32,
    /// For a connection, TLS included.
    pub connect_ms: u32,
    /// When an endpoint that takes no connection is followed by another: nothing was sent yet.
    pub retry: Retry,
}

impl Tcp {
    /// All targets, with where they stand.
    pub fn targets(&self) -> impl Iterator<Item = (String, &TcpTarget)> {
        let named =
            self.sni.iter().enumerate().map(|(at, route)| (format!("sni[{at}].target"), &route.target));
        named.chain(self.default.iter().map(|target| ("default".to_owned(), target)))
    }
}
