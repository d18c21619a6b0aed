//! What clients may cost at most: least rates, connections of each, memory of all.

use serde::Deserialize;

/// Bounds on what clients may cost, besides those that deadlines set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abuse {
    /// Bytes a second that a request body must come with while it is waited for, else 408; 0 for no bound.
    pub min_body_rate: u32,
    /// Bytes a second that a client must take of a response that waits for it, else the connection is closed; 0
    /// for no bound.
    pub min_send_rate: u32,
    /// How long somebody may be slower than that, in milliseconds of waiting.
    pub rate_grace_ms: u32,
    /// Connections of one client address (IPv6: of one /64), else 429; 0 for no bound. Trusted proxies have none.
    pub connections_per_client: u32,
    /// The memory that the process may take before it gives up serving somebody.
    pub memory: Memory,
}

/// The memory that the process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Memory {
    /// Nobody looks.
    Off,
    /// A share of what the machine, or the control group, gives.
    Share {
        /// 1 to 100.
        percent: u8,
    },
    /// So much.
    Bytes {
        /// Bytes.
        bytes: u64,
    },
}
