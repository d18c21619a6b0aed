//! The cache stage: what is kept answers at once, what is being fetched is read along with, the rest is fetched and kept.
//!
//! `look` decides, `give` answers from the store, `fetch` asks the origin: alone, for all who ask for the same, or
//! beside whoever fetches it already. On the way back `arrive` decides what becomes of the origin's answer, and
//! `forward/fill.rs` relays it while it is kept.

mod admin;
mod arrive;
mod background;
mod explain;
mod fetch;
mod follow;
mod give;
mod look;
mod prepare;
mod sender;

use std::sync::Arc;

use tidegate_cache::{Fills, Object, Outcome, Reason, RequestFacts, Store, fill::Lead};

use crate::{exchange::Exchange, failure::Failure, worker::Worker};

pub use admin::{describe, purge};
pub use arrive::{Arrival, Filling, arrived, instead_of_failure, is_mistaken};
pub use background::refresh;
pub use explain::Spoken;
pub use fetch::{Around, fetch, pass};
pub use follow::{Sending, begin};
pub use give::{Given, give};
pub use look::{Look, look};
pub use prepare::{PreparedCache, store};
pub use sender::Stopped;

/// What all workers share: what is kept, and what is being fetched.
#[derive(Debug)]
pub struct Shared {
    /// What is kept.
    pub store: Store,
    /// What is being fetched.
    pub fills: Arc<Fills<Failure>>,
}

/// What the stage leaves with an exchange that goes to the origin, for its way back.
#[derive(Debug)]
pub struct Cached {
    /// The text of its key.
    pub text: Vec<u8>,
    /// Its hash.
    pub hash: u128,
    /// What the request says to caches.
    pub facts: RequestFacts,
    /// Why the origin is asked.
    pub reason: Reason,
    /// The fill that it leads; `None` where nothing is kept of the answer.
    pub lead: Option<Lead<Failure>>,
    /// What is kept already and asked about, and where.
    pub kept: Option<(Arc<Object>, u128)>,
    /// A part that is kept, which a new one may be put together with.
    pub part: Option<Arc<Object>>,
    /// When the origin was asked, in milliseconds since 1970.
    pub asked_ms: u64,
    /// The turn of purges then.
    pub turn: u64,
    /// Whether the client is told the key.
    pub debug: bool,
    /// Lines that ask the origin whether what is kept holds.
    pub validators: Vec<u8>,
    /// Fields that stand in the place of the client's own in what the origin is sent.
    pub lines: Vec<u8>,
}

/// Milliseconds since 1970, as far as the engine's own clock goes since it started: never backwards.
pub fn now_ms(worker: &Worker) -> u64 {
    worker.shared.started_at * 1000 + worker.now() / 1_000_000
}

/// Whether nobody but its own client waits for an exchange: only then it ends when that goes.
pub fn is_for_one(exchange: &Exchange) -> bool {
    exchange.cached.as_ref().is_none_or(|cached| cached.lead.is_none())
}

/// Counts how a request on a cached route was met.
fn count(worker: &Worker, slot: u32, outcome: Outcome, reason: Option<Reason>) {
    worker.metrics.cache(slot, outcome as usize, reason.map(|reason| reason as usize));
}
