//! Listening sockets that go from one process to the next.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::Arc,
};

use tidegate_plan::Address;

use crate::{
    io::listen::{self, Bound},
    prepare::Prepared,
};

/// Listening sockets that came with the process.
#[derive(Debug)]
pub struct Inherited {
    /// The listener that they are for, by its index in the plan.
    pub listener: u32,
    /// One or more; all of them are accepted from.
    pub sockets: Vec<OwnedFd>,
}

/// The sockets of a listener once more, beside those that workers accept from. While they are open a process can be started that takes
/// them over, with what is in their queues.
#[derive(Debug, Default)]
pub struct Held {
    /// Several that share a port, or one.
    pub sockets: Vec<OwnedFd>,
    /// Whether this process is the one that removes what names them in the file system.
    pub ours: bool,
}

/// What is served now.
#[derive(Default)]
pub struct Serving {
    /// The plan that runs; `None` before the first.
    pub prepared: Option<Arc<Prepared>>,
    /// By listener of that plan: its sockets. Those that are drained have none.
    pub held: Vec<Held>,
}

impl Serving {
    /// The sockets that a worker accepts from, by listener. What can't be had is said.
    pub fn of_worker(&self, worker: usize, workers: usize) -> Vec<(u32, Vec<Bound>)> {
        let mut bound = Vec::new();
        for (at, held) in self.held.iter().enumerate() {
            match held.of_worker(worker, workers) {
                Ok(sockets) if sockets.is_empty() => {}
                Ok(sockets) => bound.push((at as u32, sockets)),
                Err(error) => crate::log::tell("error", "listener", &format!("worker {worker}: {error}")),
            }
        }
        bound
    }
}

impl Held {
    /// The sockets that a worker accepts from: its share, or the one that all share.
    pub fn of_worker(&self, worker: usize, workers: usize) -> io::Result<Vec<Bound>> {
        let count = self.sockets.len();
        if count == 0 || workers == 0 {
            return Ok(Vec::new());
        }
        let turns = (0..workers.max(count)).filter(|turn| turn % workers == worker);
        turns.map(|turn| listen::again(&self.sockets[turn % count])).collect()
    }

    /// As numbers.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.sockets.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Closes them, and removes what names them if that is for us to do.
    pub fn forget(self, address: &Address) {
        if self.ours {
            listen::forget(address);
        }
    }
}
