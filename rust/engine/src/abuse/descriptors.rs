//! Descriptors: how many there may be, and which of them clients don't get.
//!
//! The system gives a new descriptor the lowest free number (POSIX, `open`), so the number itself tells how many
//! are in use at least: nothing has to be counted.

use std::{io, os::fd::RawFd};

use super::machine;

/// The share of all descriptors that clients don't get, and its bounds. Upstream connections take from the first half of
/// it when clients hold all the others; the rest is for the admin listener, logs, files of a reload, name look-ups.
const KEPT_SHARE: u64 = 16;
const KEPT_LEAST: u64 = 16;
const KEPT_MOST: u64 = 256;

/// How many descriptors there may be.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors {
    clients: u64,
}

impl Descriptors {
    /// As the system limits this process now.
    pub fn of_this_process() -> Self {
        Self::new(machine::open_files().unwrap_or(u64::MAX))
    }

    fn new(limit: u64) -> Self {
        // Of very few, at most a half is kept: somebody has to be served.
        let kept = (limit / KEPT_SHARE).clamp(KEPT_LEAST, KEPT_MOST).min(limit / 2);
        Self { clients: limit - kept }
    }

    /// Whether a client's connection with this descriptor takes what is kept for others.
    pub fn are_short(&self, descriptor: RawFd) -> bool {
        u64::try_from(descriptor).is_ok_and(|number| number >= self.clients)
    }
}

/// Whether this is our lack of descriptors, memory or ports, and no fault of whoever should have been reached.
pub fn is_ours(error: &io::Error) -> bool {
    is_short(error) || error.raw_os_error() == Some(libc::EADDRNOTAVAIL)
}

/// Whether the process, or the system, has no descriptors or no memory for another one.
pub fn is_short(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptors_are_not_for_clients() {
        let many = Descriptors::new(65_536);
        assert!(!many.are_short(65_279) && many.are_short(65_280));
        let usual = Descriptors::new(1024);
        assert!(!usual.are_short(959) && usual.are_short(960));
        let few = Descriptors::new(64);
        assert!(!few.are_short(47) && few.are_short(48));
        assert!(!Descriptors::new(10).are_short(4), "with very few, half of them are for clients");
        assert!(!Descriptors::new(u64::MAX).are_short(i32::MAX));
    }

    #[test]
    fn what_we_lack_is_told_from_what_others_refuse() {
        let of = io::Error::from_raw_os_error;
        assert!(is_ours(&of(libc::EMFILE)) && is_ours(&of(libc::EADDRNOTAVAIL)));
        assert!(!is_short(&of(libc::EADDRNOTAVAIL)));
        assert!(!is_ours(&of(libc::ECONNREFUSED)) && !is_ours(&of(libc::ETIMEDOUT)));
    }
}
