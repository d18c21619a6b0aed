//! Runs plans: sockets, tasks, a clock, and the journey of every request.
//!
//! Knows: everything below it, and is the only crate with sockets, tasks and a clock.
//! Never: Python, configuration files, defaults.
//!
//! [`Engine`] is the handle that the control plane holds. Each worker is a thread with its own reactor
//! (`worker`), serving connections (`connection`) whose requests take one journey (`exchange`).

mod abuse;
mod accept;
mod ai;
mod answer;
mod ask;
mod background;
mod balance;
mod body;
mod cache;
mod compose;
mod connection;
mod control;
mod drain;
mod exchange;
mod explain;
mod failure;
#[cfg(feature = "memory")]
pub mod fault;
mod forward;
mod gates;
mod grpc;
mod handover;
mod handshake;
mod health;
pub mod hooks;
mod http2;
pub mod io;
mod key_sets;
mod life;
mod log;
pub mod logins;
mod loop_guard;
mod memory;
mod metrics;
mod passwords;
mod prepare;
mod proxy_header;
mod pulse;
mod record;
mod resolve;
mod sessions;
mod stage;
mod tcp;
mod telemetry;
mod timer;
mod tunnel;
mod upstream;
mod variables;
mod worker;
mod worker_plan;

pub use control::{Engine, EngineError};
pub use explain::explain;
pub use handover::Inherited;
pub use prepare::{PlanRejected, check};
pub use pulse::Health;

/// Milliseconds since 1970.
pub(crate) fn unix_milliseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
