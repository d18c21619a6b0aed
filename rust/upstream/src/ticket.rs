//! Names for an endpoint that outlive a change of the set: the ticket of an attempt, and what was tried.

use crate::EndpointId;

/// One attempt under way; [`crate::Cluster::finished`] takes it back.
///
/// An [`EndpointId`] is an index and means another endpoint once the set has changed. A ticket also carries the
/// endpoint's serial number, which is never given twice, so that what became of an attempt is counted for the
/// endpoint that it went to, wherever that stands by now, and for nobody where it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "an attempt that is never finished counts as in flight for ever"]
pub struct Ticket {
    /// Where the endpoint stood when the attempt began.
    pub(crate) at: EndpointId,
    /// Which endpoint it is; 0 is none.
    pub(crate) serial: u32,
}

/// Endpoints that one request has tried, so that the next attempt goes elsewhere.
///
/// It holds fifteen, as many as the plan's bound of sixteen attempts can need; more are not remembered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    serials: [u32; 15],
    len: u32,
}

impl Tried {
    /// Nothing tried.
    pub const NONE: Self = Self { serials: [0; 15], len: 0 };

    /// Remembers the endpoint of an attempt.
    pub fn insert(&mut self, ticket: Ticket) {
        if let Some(place) = self.serials.get_mut(self.len as usize) {
            *place = ticket.serial;
            self.len += 1;
        }
    }

    /// Whether nothing was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this endpoint was tried.
    pub(crate) fn contains(&self, serial: u32) -> bool {
        self.serials[..self.len as usize].contains(&serial)
    }
}
