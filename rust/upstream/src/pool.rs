//! Idle connections of one worker: the one used last goes out first, and none that is past its time.

use std::collections::VecDeque;

use crate::MS;

/// Bounds on what is kept. Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections kept for each endpoint; 0 keeps none.
    pub idle_max: u32,
    /// How long one is kept idle; 0 keeps none.
    pub idle_ns: u64,
    /// How old one may get; 0 for no bound.
    pub lifetime_ns: u64,
}

impl From<&tidegate_plan::Pool> for PoolLimits {
    fn from(plan: &tidegate_plan::Pool) -> Self {
        Self {
            idle_max: plan.idle_max,
            idle_ns: u64::from(plan.idle_ms) * MS,
            lifetime_ns: u64::from(plan.lifetime_ms) * MS,
        }
    }
}

/// A connection that was taken out.
#[derive(Debug)]
pub struct Idle<C> {
    /// It.
    pub connection: C,
    /// When it was opened, for the next [`IdlePool::checkin`].
    pub born: u64,
    /// Since when it was idle.
    pub since: u64,
}

/// Idle connections by endpoint key. Dropping a `C` must close it.
///
/// Last in, first out: the connection used last is the likeliest to live, and those beyond the need go unused until
/// their time is over. In steady state nothing is allocated.
#[derive(Debug)]
pub struct IdlePool<C> {
    limits: PoolLimits,
    /// Sorted; each at the place of its shelf. Apart, because they are what is searched.
    keys: Vec<u64>,
    shelves: Vec<Shelf<C>>,
    len: usize,
    /// No connection's time is over before this instant.
    quiet_until: u64,
}

#[derive(Debug)]
struct Shelf<C> {
    /// By the instant at which they came back, the latest last.
    idle: VecDeque<Kept<C>>,
    /// When one came or went; a shelf long empty is removed.
    touched: u64,
}

#[derive(Debug)]
struct Kept<C> {
    idle: Idle<C>,
    /// From this instant on it is not given out.
    until: u64,
}

/// An empty shelf is removed after this long without use: the endpoint may be gone for good.
const EMPTY_NS: u64 = 60_000 * MS;

impl<C> IdlePool<C> {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self { limits, keys: Vec::new(), shelves: Vec::new(), len: 0, quiet_until: u64::MAX }
    }

    /// Takes other limits; they hold for what is checked in from now on.
    pub fn set_limits(&mut self, limits: PoolLimits) {
        self.limits = limits;
    }

    /// The connection to an endpoint that was used last; those found past their time are dropped.
    #[inline]
    pub fn checkout(&mut self, endpoint: u64, now: u64) -> Option<Idle<C>> {
        let shelf = &mut self.shelves[find(&self.keys, endpoint).ok()?];
        while let Some(kept) = shelf.idle.pop_back() {
            self.len -= 1;
            if now < kept.until {
                shelf.touched = now;
                return Some(kept.idle);
            }
        }
        None
    }

    /// Keeps a connection that was opened at `born`. `false` where it was dropped: too old, or enough are kept.
    #[inline]
    pub fn checkin(&mut self, endpoint: u64, connection: C, born: u64, now: u64) -> bool {
        let PoolLimits { idle_max, idle_ns, lifetime_ns } = self.limits;
        let end = if lifetime_ns == 0 { u64::MAX } else { born.saturating_add(lifetime_ns) };
        let until = end.min(now.saturating_add(idle_ns));
        if until <= now || idle_max == 0 {
            return false;
        }
        let place = find(&self.keys, endpoint).unwrap_or_else(|place| self.add_shelf(place, endpoint));
        let shelf = &mut self.shelves[place];
        shelf.touched = now;
        if shelf.idle.len() >= idle_max as usize {
            return false;
        }
        shelf.idle.push_back(Kept { idle: Idle { connection, born, since: now }, until });
        self.len += 1;
        self.quiet_until = self.quiet_until.min(until);
        true
    }

    /// Takes out a certain connection, such as one that its endpoint has closed; the newest that `which` is true for.
    pub fn remove(&mut self, endpoint: u64, mut which: impl FnMut(&C) -> bool) -> Option<Idle<C>> {
        let shelf = &mut self.shelves[find(&self.keys, endpoint).ok()?];
        let place = shelf.idle.iter().rposition(|kept| which(&kept.idle.connection))?;
        let kept = shelf.idle.remove(place)?;
        self.len -= 1;
        Some(kept.idle)
    }

    /// Moves what is past its time to `expired`. Call it at [`next_expiry`](Self::next_expiry).
    pub fn sweep(&mut self, now: u64, expired: &mut Vec<C>) {
        if now < self.quiet_until {
            return;
        }
        let mut earliest = u64::MAX;
        for shelf in &mut self.shelves {
            // Each is looked at once and goes out or to the back, which leaves the order as it was.
            for _ in 0..shelf.idle.len() {
                let Some(kept) = shelf.idle.pop_front() else { break };
                if kept.until <= now {
                    expired.push(kept.idle.connection);
                    self.len -= 1;
                } else {
                    earliest = earliest.min(kept.until);
                    shelf.idle.push_back(kept);
                }
            }
        }
        self.quiet_until = earliest;
        self.remove_shelves(|shelf| now.saturating_sub(shelf.touched) >= EMPTY_NS);
    }

    /// Drops every connection that `keep` (endpoint key, connection) is not true for, such as those to endpoints
    /// that have left.
    pub fn retain(&mut self, mut keep: impl FnMut(u64, &mut C) -> bool) {
        let mut left = 0;
        for (key, shelf) in self.keys.iter().zip(&mut self.shelves) {
            shelf.idle.retain_mut(|kept| keep(*key, &mut kept.idle.connection));
            left += shelf.idle.len();
        }
        self.len = left;
        self.remove_shelves(|_| true);
    }

    /// Connections kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Connections kept for one endpoint.
    #[must_use]
    pub fn count(&self, endpoint: u64) -> usize {
        find(&self.keys, endpoint).map_or(0, |place| self.shelves[place].idle.len())
    }

    /// Endpoint keys with their number of connections; some may have none.
    pub fn counts(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.keys.iter().zip(&self.shelves).map(|(key, shelf)| (*key, shelf.idle.len()))
    }

    /// When to sweep: never after the first connection's time is over, perhaps before. `None` where none is kept.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        (self.len > 0).then_some(self.quiet_until)
    }

    #[cold]
    fn add_shelf(&mut self, place: usize, endpoint: u64) -> usize {
        self.keys.insert(place, endpoint);
        self.shelves.insert(place, Shelf { idle: VecDeque::new(), touched: 0 });
        place
    }

    /// Removes the empty shelves that `old` is true for.
    fn remove_shelves(&mut self, old: impl Fn(&Shelf<C>) -> bool) {
        let (keys, shelves) = (&mut self.keys, &mut self.shelves);
        let gone = |shelf: &Shelf<C>| shelf.idle.is_empty() && old(shelf);
        let mut place = 0;
        keys.retain(|_| {
            place += 1;
            !gone(&shelves[place - 1])
        });
        shelves.retain(|shelf| !gone(shelf));
    }
}

/// One by one where they are few, by halves where they are many; the place to insert at where it is not there.
#[inline]
fn find(keys: &[u64], endpoint: u64) -> Result<usize, usize> {
    if keys.len() > 8 {
        return keys.binary_search(&endpoint);
    }
    keys.iter()
        .position(|key| *key >= endpoint)
        .map_or(Err(keys.len()), |place| if keys[place] == endpoint { Ok(place) } else { Err(place) })
}
