//! Listening sockets that go from one process to the next.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use tidegate_plan::Address;

use crate::io::listen;

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

impl Held {
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
