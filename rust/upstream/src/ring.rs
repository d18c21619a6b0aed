//! Consistent hashing with bounded load: the same endpoint for the same key, unless it has far more than its share.

use crate::endpoint::{Endpoint, SHARE};
use crate::{EndpointId, Tried};

/// Points on the ring for the endpoint of the largest weight; the others have fewer by their weight. A fixed
/// number, so that the points of those who stay do not move with the number of endpoints. Shares then differ by
/// some 8 %; a thousand endpoints take 1.3 MB a worker.
const POINTS: u64 = 160;
/// An endpoint with fewer in flight than this never passes a key on: at low load affinity is worth more than
/// evenness, and a few parallel requests of one client should stay together.
const CALM: u32 = 8;

/// Where keys belong (Karger et al. 1997; the bound is that of Mirrokni, Thorup and Zadimoghaddam 2016).
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Sorted; a point in the upper half, its endpoint in the lower.
    points: Vec<u64>,
}

impl Ring {
    /// Places all endpoints, also those that are out for now: their keys come back to them.
    pub(crate) fn rebuild(&mut self, endpoints: &[Endpoint]) {
        self.points.clear();
        let largest = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).max().unwrap_or(1);
        for (id, endpoint) in endpoints.iter().enumerate() {
            let count = (POINTS * u64::from(endpoint.weight) + largest / 2) / largest;
            for number in 0..count.max(1) {
                let point = mix(endpoint.key ^ mix(number + 1));
                self.points.push((point & !u64::from(u32::MAX)) | id as u64);
            }
        }
        self.points.sort_unstable();
    }

    /// Leaves the ring empty, for another balance.
    pub(crate) fn clear(&mut self) {
        self.points = Vec::new();
    }

    /// The first endpoint from the key's place on that is live, was not tried, and stays within 1.25 times its
    /// share of all that is in flight; the first live untried one where there is none.
    pub(crate) fn pick(
        &self,
        hash: u64,
        endpoints: &[Endpoint],
        load: Load,
        tried: &Tried,
    ) -> Option<EndpointId> {
        // The last comparison is on points alone: the lower half is an endpoint, not a place.
        let place = mix(hash) & !u64::from(u32::MAX);
        let start = self.points.partition_point(|point| *point < place);
        let (before, after) = self.points.split_at(start);
        let mut fallback = None;
        for point in after.iter().chain(before) {
            let id = *point as EndpointId;
            let endpoint = &endpoints[id as usize];
            if !endpoint.live || tried.contains(endpoint.serial) {
                continue;
            }
            if load.bears(endpoint) {
                return Some(id);
            }
            fallback = fallback.or(Some(id));
        }
        fallback
    }
}

/// What is in flight in all, and the sum of the shares among which it is spread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) in_flight: u32,
    pub(crate) shares: u64,
}

impl Load {
    /// Whether one more leaves this endpoint at or below max(CALM, ⌈1.25 × its share of the load⌉).
    fn bears(self, endpoint: &Endpoint) -> bool {
        // in_flight + 1 <= ⌈x⌉ is in_flight < x; both sides times 4 × shares. All factors are below 2^32.
        let here = u128::from(endpoint.in_flight) * 4 * u128::from(self.shares);
        let share = (u128::from(self.in_flight) + 1) * 5 * u128::from(endpoint.share);
        endpoint.in_flight < calm(endpoint) || here < share
    }
}

/// A growing share is calm in proportion.
fn calm(endpoint: &Endpoint) -> u32 {
    let full = u64::from(endpoint.weight * SHARE);
    ((u64::from(CALM) * u64::from(endpoint.share) / full) as u32).max(1)
}

/// Spreads every input bit over all output bits (the finaliser of SplitMix64).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
