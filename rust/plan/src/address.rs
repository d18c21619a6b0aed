//! Where something listens or answers: an IP address and port, a name and port, or a Unix socket.

use serde::Deserialize;

/// A socket address as the plan writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Address {
    /// A literal IP address; `ip` without brackets, `::` and `0.0.0.0` for any.
    Ip {
        /// `127.0.0.1`, `::1`.
        ip: String,
        /// 0 lets the system choose one (listeners only).
        port: u16,
    },
    /// A host name, resolved by TTL (endpoints only).
    Name {
        /// `api.internal`.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A Unix stream socket.
    Unix {
        /// An absolute path.
        path: String,
    },
}
