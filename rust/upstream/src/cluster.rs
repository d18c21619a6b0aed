//! The endpoints of one upstream in one worker: which one gets the next attempt, and what became of the last.

use fastrand::Rng;

use crate::endpoint::Endpoint;
use crate::live::Live;
use crate::ring::{Load, Ring};
use crate::turns::Turns;
use crate::{Change, EndpointId, EndpointSpec, EndpointView, Outcome, Passive, Ticket, Tried};

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// The fewest in flight by weight; of several, a random one by weight.
    LeastRequests,
    /// The better of two random ones by peak-sensitive moving latency times in flight over weight.
    LeastLatency,
    /// The same endpoint for the same key, with bounded load.
    Hash,
}

impl From<&tidegate_plan::Balance> for Balance {
    fn from(plan: &tidegate_plan::Balance) -> Self {
        match plan {
            tidegate_plan::Balance::RoundRobin => Self::RoundRobin,
            tidegate_plan::Balance::LeastRequests => Self::LeastRequests,
            tidegate_plan::Balance::LeastLatency => Self::LeastLatency,
            tidegate_plan::Balance::Hash { .. } => Self::Hash,
        }
    }
}

/// The endpoint for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    /// Which one.
    pub id: EndpointId,
    /// Panic mode: every endpoint is down or ejected, so the choice was among all of them. Some of them may work,
    /// and if none does the answer is the same as if nobody had been asked.
    pub panic: bool,
}

/// Up to this many are looked at one by one; beyond it a pick looks at a part or uses a structure.
const FEW: usize = 64;

/// The endpoints of one upstream in one worker.
///
/// An attempt is [`pick`](Self::pick), [`started`](Self::started), [`finished`](Self::finished); none of these
/// allocates. Several attempts may be under way at once, and the set may change between any two of these calls.
#[derive(Debug)]
pub struct Cluster {
    balance: Balance,
    passive: Option<Passive>,
    slow_start_ns: u64,
    endpoints: Vec<Endpoint>,
    live: Live,
    turns: Turns,
    ring: Ring,
    /// The instant at which an ejection ends or a share has grown; nothing changes by time alone before it.
    next_change: u64,
    in_flight: u32,
    last_serial: u32,
    rng: Rng,
}

impl Cluster {
    /// A cluster without endpoints. `slow_start_ns` is how long an endpoint that came back takes to get its full
    /// share, 0 for at once. Workers should have different seeds, or they all begin with the same endpoint.
    #[must_use]
    pub fn new(balance: Balance, passive: Option<Passive>, slow_start_ns: u64, seed: u64) -> Self {
        Self {
            balance,
            passive,
            slow_start_ns,
            endpoints: Vec::new(),
            live: Live::default(),
            turns: Turns::default(),
            ring: Ring::default(),
            next_change: 0,
            in_flight: 0,
            last_serial: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// Takes other settings and keeps the endpoints with all that is known about them.
    ///
    /// Without passive health nothing stays ejected.
    pub fn configure(&mut self, balance: Balance, passive: Option<Passive>, slow_start_ns: u64, now: u64) {
        let other = self.balance != balance;
        self.balance = balance;
        self.passive = passive;
        self.slow_start_ns = slow_start_ns;
        if passive.is_none() {
            self.endpoints.iter_mut().for_each(|endpoint| endpoint.pardon(now));
        }
        if other {
            self.rebuild_ring();
        }
        self.refresh(now);
    }

    /// Replaces the set of endpoints.
    ///
    /// Those whose key was there before keep what is in flight, latency, ejection and the word of probes, also if
    /// their weight is another; of several with one key each takes over one. Those that are new in a cluster that
    /// had endpoints start slowly. Ids are places in `endpoints`; those from before mean nothing any more.
    pub fn update(&mut self, endpoints: &[EndpointSpec], now: u64) {
        if self.endpoints.iter().map(Endpoint::spec).eq(endpoints.iter().copied()) {
            return;
        }
        let first = self.endpoints.is_empty();
        let mut before: Vec<Option<Endpoint>> = self.endpoints.drain(..).map(Some).collect();
        before.sort_by_key(|endpoint| endpoint.as_ref().map(|endpoint| endpoint.key));
        let keys: Vec<u64> = before.iter().flatten().map(|endpoint| endpoint.key).collect();
        for spec in endpoints {
            let from = keys.partition_point(|key| *key < spec.key);
            let same = keys[from..].iter().take_while(|key| **key == spec.key).count();
            let kept = before[from..from + same].iter_mut().find_map(Option::take);
            let endpoint = match kept {
                Some(endpoint) => endpoint.reweighted(spec.weight),
                None => Endpoint::new(*spec, self.next_serial(), (!first).then_some(now)),
            };
            self.endpoints.push(endpoint);
        }
        self.in_flight = self.endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
        self.live.reserve(self.endpoints.len());
        self.turns.reserve(self.endpoints.len());
        self.rebuild_ring();
        self.refresh(now);
        if first && self.balance == Balance::RoundRobin && self.live.ids.len() > 1 {
            // Somewhere in the round, so that workers do not go round in step.
            for _ in 0..self.rng.usize(..self.live.ids.len()) {
                self.round_robin(&Tried::NONE);
            }
        }
    }

    /// The endpoint for an attempt; `None` only where there is no endpoint at all.
    ///
    /// Chosen among those that are neither down nor ejected, and there among those that this request has not tried
    /// yet while there is one. Where all are down or ejected, among all of them ([`Picked::panic`]). `hash` is the
    /// key's for [`Balance::Hash`] (`None`: any endpoint); the others do not look at it.
    #[inline]
    pub fn pick(&mut self, now: u64, hash: Option<u64>, tried: &Tried) -> Option<Picked> {
        if now >= self.next_change {
            self.refresh(now);
        }
        let id = match self.live.ids.as_slice() {
            [] => return None,
            [only] => *only,
            _ => self.choose(now, hash, tried),
        };
        Some(Picked { id, panic: self.live.panic })
    }

    /// Whether there is an endpoint, neither down nor ejected, that this request has not tried.
    #[must_use]
    pub fn has_untried(&self, tried: &Tried) -> bool {
        !self.live.panic && !self.all_tried(tried)
    }

    /// An attempt begins. Without an endpoint of that id nothing is counted.
    #[inline]
    pub fn started(&mut self, id: EndpointId) -> Ticket {
        let Some(endpoint) = self.endpoints.get_mut(id as usize) else { return Ticket { at: id, serial: 0 } };
        endpoint.in_flight += 1;
        self.in_flight += 1;
        Ticket { at: id, serial: endpoint.serial }
    }

    /// What became of an attempt, once for each ticket. `latency` is the nanoseconds to the response's head, where
    /// there was one. An endpoint that has left meanwhile is not looked for.
    #[inline]
    pub fn finished(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        latency: Option<u64>,
        now: u64,
    ) -> Option<Change> {
        let id = self.locate(ticket)?;
        let endpoint = &mut self.endpoints[id as usize];
        self.in_flight -= u32::from(endpoint.in_flight > 0);
        endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        match (outcome, latency) {
            (Outcome::Failed, _) => return self.failed(id, latency, now),
            (_, Some(latency)) => endpoint.latency.observe(latency, now),
            (_, None) => {}
        }
        if outcome == Outcome::Cancelled {
            return None;
        }
        endpoint.failures = 0;
        if endpoint.unproven && !endpoint.ejected(now) {
            endpoint.unproven = false;
            return Some(Change::Restored);
        }
        None
    }

    /// Takes a probe's word on an endpoint; `None` where it is no news or nobody has that id.
    pub fn set_active_health(&mut self, id: EndpointId, healthy: bool, now: u64) -> Option<Change> {
        if !self.endpoints.get_mut(id as usize)?.set_down(!healthy, now) {
            return None;
        }
        self.refresh(now);
        Some(if healthy { Change::Up } else { Change::Down })
    }

    /// Where the endpoint of an attempt stands now; `None` once it has left.
    #[inline]
    #[must_use]
    pub fn locate(&self, ticket: Ticket) -> Option<EndpointId> {
        match self.endpoints.get(ticket.at as usize) {
            Some(endpoint) if endpoint.serial == ticket.serial => Some(ticket.at),
            _ => {
                let same = |endpoint: &Endpoint| endpoint.serial == ticket.serial;
                self.endpoints.iter().position(same).map(|at| at as EndpointId)
            }
        }
    }

    /// The id of the (first) endpoint with this key.
    #[must_use]
    pub fn id_of(&self, key: u64) -> Option<EndpointId> {
        self.endpoints.iter().position(|endpoint| endpoint.key == key).map(|at| at as EndpointId)
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there is no endpoint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Attempts under way at the endpoints that are there.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// All endpoints in the order of their ids, as they are at `now`.
    pub fn view(&self, now: u64) -> impl Iterator<Item = EndpointView> + '_ {
        self.endpoints.iter().map(move |endpoint| endpoint.view(now, self.slow_start_ns))
    }

    fn choose(&mut self, now: u64, hash: Option<u64>, tried: &Tried) -> EndpointId {
        let tried = if tried.is_empty() || self.all_tried(tried) { &Tried::NONE } else { tried };
        match self.balance {
            Balance::RoundRobin => self.round_robin(tried),
            Balance::LeastRequests => self.least_requests(tried),
            Balance::LeastLatency => self.least_latency(now, tried),
            Balance::Hash => {
                let hash = hash.unwrap_or_else(|| self.rng.u64(..));
                let load = Load { in_flight: self.in_flight, shares: self.live.total };
                self.ring.pick(hash, &self.endpoints, load, tried).unwrap_or(self.live.ids[0])
            }
        }
    }

    /// Each is owed its share in every round; the one that is owed most goes and pays for the whole round.
    fn round_robin(&mut self, tried: &Tried) -> EndpointId {
        if self.live.ids.len() > FEW {
            return self.turns.pick(&mut self.endpoints, tried);
        }
        let mut round = 0;
        let mut best: Option<(i64, EndpointId)> = None;
        for id in &self.live.ids {
            let endpoint = &mut self.endpoints[*id as usize];
            if tried.is_empty() || !tried.contains(endpoint.serial) {
                endpoint.owed += i64::from(endpoint.share);
                round += i64::from(endpoint.share);
                if best.is_none_or(|(owed, _)| endpoint.owed > owed) {
                    best = Some((endpoint.owed, *id));
                }
            }
        }
        let id = best.map_or(self.live.ids[0], |(_, id)| id);
        self.endpoints[id as usize].owed -= round;
        id
    }

    /// Looks at all, or at a stretch of them from a random start where they are many.
    fn least_requests(&mut self, tried: &Tried) -> EndpointId {
        let ids = &self.live.ids;
        let start = if ids.len() > FEW { self.rng.usize(..ids.len()) } else { 0 };
        let stretch = ids[start..].iter().chain(&ids[..start]).copied();
        let fresh =
            |id: &EndpointId| tried.is_empty() || !tried.contains(self.endpoints[*id as usize].serial);
        let mut best: Option<(EndpointId, u64, u64)> = None;
        let mut tied = 0;
        for id in stretch.filter(fresh).take(FEW) {
            let endpoint = &self.endpoints[id as usize];
            let (load, share) = (u64::from(endpoint.in_flight), u64::from(endpoint.share));
            // load / share compared without dividing.
            let order =
                best.map_or(std::cmp::Ordering::Less, |(_, least, of)| (load * of).cmp(&(least * share)));
            let takes = match order {
                std::cmp::Ordering::Less => {
                    tied = share;
                    true
                }
                std::cmp::Ordering::Equal => {
                    // Of those that tie, each is left standing as often as its share says.
                    tied += share;
                    self.rng.u64(..tied) < share
                }
                std::cmp::Ordering::Greater => false,
            };
            if takes {
                best = Some((id, load, share));
            }
        }
        best.map_or(ids[0], |(id, _, _)| id)
    }

    fn least_latency(&mut self, now: u64, tried: &Tried) -> EndpointId {
        let (one, other) = if tried.is_empty() {
            self.live.two(&mut self.rng)
        } else {
            let mut any = || self.live.untried(&self.endpoints, tried, &mut self.rng);
            (any(), any())
        };
        let cost = |id: EndpointId| {
            let endpoint = &self.endpoints[id as usize];
            endpoint.latency.cost(endpoint.in_flight, endpoint.share, now)
        };
        let id = if cost(other) < cost(one) { other } else { one };
        self.endpoints[id as usize].latency.picked(now);
        id
    }

    fn all_tried(&self, tried: &Tried) -> bool {
        self.live.ids.iter().all(|id| tried.contains(self.endpoints[*id as usize].serial))
    }

    #[cold]
    fn failed(&mut self, id: EndpointId, latency: Option<u64>, now: u64) -> Option<Change> {
        let endpoint = &mut self.endpoints[id as usize];
        endpoint.failures = endpoint.failures.saturating_add(1);
        endpoint.latency.failed(latency, now);
        let passive = self.passive?;
        if endpoint.failures < passive.failures || endpoint.ejected(now) || !self.may_eject(id, passive, now)
        {
            return None;
        }
        let endpoint = &mut self.endpoints[id as usize];
        // Ten times the first is the longest, so an endpoint that stood that long starts anew.
        let until = endpoint.eject(now, passive.length(u32::MAX), |earlier| passive.length(earlier));
        self.refresh(now);
        Some(Change::Ejected { until })
    }

    /// Whether this one may be left out too: not more than the share that may be, and never the last one.
    fn may_eject(&self, id: EndpointId, passive: Passive, now: u64) -> bool {
        let out = self.endpoints.iter().filter(|endpoint| endpoint.ejected(now)).count();
        let bound = self.endpoints.len() as u64 * u64::from(passive.max_percent) / 100;
        let stays = |(at, endpoint): (usize, &Endpoint)| at != id as usize && endpoint.available(now);
        (out as u64) < bound && self.endpoints.iter().enumerate().any(stays)
    }

    #[cold]
    fn refresh(&mut self, now: u64) {
        let slow_start = self.slow_start_ns;
        let next = self.endpoints.iter_mut().map(|endpoint| endpoint.refresh(now, slow_start)).min();
        self.next_change = next.unwrap_or(u64::MAX);
        self.live.rebuild(&mut self.endpoints);
        if self.balance == Balance::RoundRobin && self.live.ids.len() > FEW {
            self.turns.rebuild(&self.live.ids, &mut self.endpoints, &mut self.rng);
        }
    }

    fn rebuild_ring(&mut self) {
        if self.balance == Balance::Hash {
            self.ring.rebuild(&self.endpoints);
        } else {
            self.ring.clear();
        }
    }

    /// Never 0, which is nobody's; it comes round after four thousand million new endpoints.
    fn next_serial(&mut self) -> u32 {
        self.last_serial = self.last_serial.checked_add(1).unwrap_or(1);
        self.last_serial
    }
}
