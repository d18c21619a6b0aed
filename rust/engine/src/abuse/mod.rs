//! What hostile and unlucky clients may cost: connections of each, descriptors, memory.

pub mod clients;
pub mod descriptors;
mod machine;
pub mod overload;
pub mod shadow;

pub use clients::{ClientPlace, Clients};
pub use descriptors::Descriptors;
pub use overload::{Level, Overload};
use tidegate_limit::Full;

use crate::{
    answer::push_field,
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    io::listen::{Accepted, UNIX_PEER},
    prepare::Prepared,
    worker::{Shared, Worker},
};

/// Client addresses that are counted apart; connections of more are bounded by their number in all.
const ADDRESSES_MOST: usize = 65_536;

/// What bounds clients, shared by all workers.
#[derive(Debug)]
pub struct Bounds {
    /// Connections of each address.
    pub clients: Clients,
    /// How many descriptors there may be.
    pub descriptors: Descriptors,
}

impl Bounds {
    /// Nobody is counted yet.
    pub fn new() -> Self {
        Self { clients: Clients::new(ADDRESSES_MOST), descriptors: Descriptors::of_this_process() }
    }
}

/// Why there is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// As many as there may be are open.
    All,
    /// As many as one client may have are open.
    Client,
    /// The descriptors that are left are not for clients.
    Descriptors,
    /// There is too little memory left.
    Memory,
}

impl Crowd {
    /// As metrics and answers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "too_many_connections",
            Self::Client => "too_many_connections_of_client",
            Self::Descriptors => "out_of_descriptors",
            Self::Memory => "overloaded",
        }
    }
}

/// Whether a connection that has just been accepted may stay; it is counted as long as the place lives.
/// Admin listeners are not asked: whoever looks after a full gateway must see that it is full.
pub fn admit_connection(
    shared: &Shared,
    prepared: &Prepared,
    accepted: &Accepted,
) -> Result<ClientPlace, Crowd> {
    let open = shared.traffic_connections();
    if open >= prepared.plan.server.max_connections as usize {
        return Err(Crowd::All);
    }
    if accepted.descriptor().is_some_and(|number| shared.bounds.descriptors.are_short(number)) {
        let text = "clients take all descriptors that are for them: connections are refused; raise the limit on open files";
        crate::log::tell("error", "descriptors", text);
        return Err(Crowd::Descriptors);
    }
    if shared.overload.level() >= Level::Connections {
        return Err(Crowd::Memory);
    }
    match accepted.peer() {
        UNIX_PEER => Ok(ClientPlace::default()),
        peer => admit_client(shared, prepared, peer.ip(), open),
    }
}

/// Whether another connection of this address may stay. One from a trusted proxy is none of a client's.
pub fn admit_client(
    shared: &Shared,
    prepared: &Prepared,
    address: std::net::IpAddr,
    open: usize,
) -> Result<ClientPlace, Crowd> {
    if prepared.trusted.contains(address.to_canonical()) {
        return Ok(ClientPlace::default());
    }
    let server = &prepared.plan.server;
    let bounds =
        clients::Bounds { each: server.abuse.connections_per_client, all: server.max_connections, open };
    match shared.bounds.clients.enter(address, bounds) {
        Ok(place) => Ok(place),
        Err(Full::Limit) => Err(Crowd::Client),
        // More addresses than are told apart: what bounds them is their number in all.
        Err(Full::Table) => Ok(ClientPlace::default()),
    }
}

/// Refuses a request where even those of open connections are too many.
pub fn admit_request(
    worker: &Worker,
    connection: &Connection,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    if worker.level.get() < Level::Requests || connection.admin {
        return Ok(());
    }
    push_field(&mut exchange.fields, b"Retry-After", b"1");
    Err(Failure::gateway(Cause::Overloaded))
}

/// Follows the level of overload on one worker, once a tick.
pub fn follow(worker: &Worker) {
    let level = worker.shared.overload.level();
    let before = worker.level.replace(level);
    if level > before {
        // Idle connections see the level when they wake.
        worker.timers.wake_all();
    }
    if level > Level::Calm {
        worker.give_back();
    }
}

/// Tells what `shared` may take from now on.
pub fn apply(shared: &Shared, prepared: &Prepared) {
    shared.overload.allow(prepared.plan.server.abuse.memory);
}
