//! The endpoints that may be chosen at this moment, and random choices among them.

use fastrand::Rng;

use crate::endpoint::Endpoint;
use crate::{EndpointId, Tried};

/// Rebuilt when an endpoint comes, goes, or changes its share; read by every pick.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) ids: Vec<EndpointId>,
    /// Sums of shares up to and with each of `ids`; empty where all shares are the same.
    upto: Vec<u64>,
    /// The sum of all shares.
    pub(crate) total: u64,
    /// Nobody was available, so everybody is in.
    pub(crate) panic: bool,
}

impl Live {
    /// Takes those that are live, or all of them where nobody is.
    pub(crate) fn rebuild(&mut self, endpoints: &mut [Endpoint]) {
        self.panic = !endpoints.iter().any(|endpoint| endpoint.live);
        self.ids.clear();
        self.upto.clear();
        self.total = 0;
        let mut even = true;
        let mut first = 0;
        for (id, endpoint) in endpoints.iter_mut().enumerate() {
            endpoint.live |= self.panic;
            if endpoint.live {
                first = if self.ids.is_empty() { endpoint.share } else { first };
                even &= endpoint.share == first;
                self.ids.push(id as EndpointId);
                self.total += u64::from(endpoint.share);
                self.upto.push(self.total);
            }
        }
        if even {
            self.upto.clear();
        }
    }

    /// Makes room, so that rebuilding allocates nothing until the set changes again.
    pub(crate) fn reserve(&mut self, endpoints: usize) {
        self.ids.clear();
        self.upto.clear();
        self.ids.reserve(endpoints);
        self.upto.reserve(endpoints);
    }

    /// Two different ones of two or more, each as likely as its share.
    pub(crate) fn two(&self, rng: &mut Rng) -> (EndpointId, EndpointId) {
        let count = self.ids.len();
        if self.upto.is_empty() {
            let random = rng.u64(..);
            let first = scale(random as u32, count);
            let second = scale((random >> 32) as u32, count - 1);
            return (self.ids[first], self.ids[second + usize::from(second >= first)]);
        }
        let first = self.at(rng.u64(..self.total));
        let start = if first == 0 { 0 } else { self.upto[first - 1] };
        let width = self.upto[first] - start;
        // The second is drawn from what is left once the first one's stretch is cut out.
        let point = rng.u64(..self.total - width);
        let second = self.at(if point >= start { point + width } else { point });
        (self.ids[first], self.ids[second])
    }

    /// One of those that were not tried, evenly; there must be one.
    pub(crate) fn untried(&self, endpoints: &[Endpoint], tried: &Tried, rng: &mut Rng) -> EndpointId {
        let fresh = || self.ids.iter().copied().filter(|id| !tried.contains(endpoints[*id as usize].serial));
        let count = fresh().count();
        fresh().nth(rng.usize(..count.max(1))).unwrap_or(self.ids[0])
    }

    fn at(&self, point: u64) -> usize {
        self.upto.partition_point(|upto| *upto <= point)
    }
}

/// Spreads 32 random bits over `0..count`.
fn scale(random: u32, count: usize) -> usize {
    ((u64::from(random) * count as u64) >> 32) as usize
}
