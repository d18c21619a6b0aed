//! PROXY headers for connections to upstreams: for whom, in which version.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tidegate_http1::proxy_header::{Spoken, write_own, write_v1, write_v2};
use tidegate_plan::ProxyVersion;

use crate::io::listen::UNIX_PEER;

/// Appends the header of a connection that is opened for a client.
pub fn write(version: ProxyVersion, spoken: &Spoken<'_>, out: &mut Vec<u8>) {
    match version {
        ProxyVersion::V1 => write_v1(spoken, out),
        ProxyVersion::V2 => write_v2(spoken, out),
    }
}

/// The header of a connection that is opened for nobody's sake: a probe's.
pub fn own(version: Option<ProxyVersion>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(version) = version {
        write_own(version == ProxyVersion::V2, &mut out);
    }
    out
}

/// The addresses to tell; none where the client came by a Unix socket. Where it came to may not be known: then the
/// unspecified address says so, as the client's is what matters.
pub fn addresses(client: SocketAddr, destination: Option<SocketAddr>) -> Option<(SocketAddr, SocketAddr)> {
    if client.ip() == UNIX_PEER.ip() {
        return None;
    }
    let unspecified = match client.ip().to_canonical() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Some((client, destination.unwrap_or(SocketAddr::new(unspecified, 0))))
}
