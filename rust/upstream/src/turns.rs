//! Weighted round robin over many endpoints: a heap of turns in virtual time, O(log n) a pick.

use fastrand::Rng;

use crate::endpoint::Endpoint;
use crate::{EndpointId, Tried};

/// How much virtual time a share of one takes; divided by the share it is the distance between two turns.
const STRIDE: u64 = 1 << 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: u64,
    id: EndpointId,
}

/// Whose turn is next. Each endpoint has turns at even distances, the shorter the larger its share, from a random
/// start, so that neither the turns of one endpoint nor the first turns of all come in a row.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// A binary heap, earliest first.
    heap: Vec<Turn>,
    /// The virtual time of the last turn.
    now: u64,
}

impl Turns {
    /// Takes over the endpoints that may be chosen; those that were there keep their next turn.
    pub(crate) fn rebuild(&mut self, ids: &[EndpointId], endpoints: &mut [Endpoint], rng: &mut Rng) {
        self.heap.clear();
        for id in ids {
            let endpoint = &mut endpoints[*id as usize];
            if endpoint.turn <= self.now {
                endpoint.turn = self.now + 1 + rng.u64(..stride(endpoint));
            }
            self.heap.push(Turn { at: endpoint.turn, id: *id });
        }
        for place in (0..self.heap.len() / 2).rev() {
            self.sink(place);
        }
    }

    pub(crate) fn reserve(&mut self, endpoints: usize) {
        self.heap.clear();
        self.heap.reserve(endpoints);
    }

    /// The earliest turn of those that were not tried; there must be one.
    pub(crate) fn pick(&mut self, endpoints: &mut [Endpoint], tried: &Tried) -> EndpointId {
        let fresh = |turn: &&(usize, Turn)| !tried.contains(endpoints[turn.1.id as usize].serial);
        let place = if tried.is_empty() {
            0
        } else {
            let turns = self.heap.iter().copied().enumerate();
            turns.filter(|turn| fresh(&turn)).min_by_key(|turn| turn.1).map_or(0, |turn| turn.0)
        };
        let id = self.heap[place].id;
        let endpoint = &mut endpoints[id as usize];
        self.now = self.heap[0].at;
        endpoint.turn = self.heap[place].at + stride(endpoint);
        self.heap[place].at = endpoint.turn;
        self.sink(place);
        id
    }

    /// Moves a turn down to its place after it became later.
    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(mut least) = self.heap.get(left).map(|_| left) else { return };
            if self.heap.get(left + 1).is_some_and(|right| *right < self.heap[left]) {
                least = left + 1;
            }
            if self.heap[place] <= self.heap[least] {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }
}

fn stride(endpoint: &Endpoint) -> u64 {
    STRIDE / u64::from(endpoint.share.max(1))
}
