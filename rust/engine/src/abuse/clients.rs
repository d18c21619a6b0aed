//! Connections of each client address: counted in a table that all workers share and that never grows.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::Arc,
};

use tidegate_limit::{Concurrency, Full};

/// When this share of all connections is taken (three quarters), an address that holds more than [`CROWD`] of them gets
/// no more, whatever the configuration allows each: nobody fills the gateway alone.
const CROWDED: (usize, usize) = (3, 4);

/// The share of all connections that an address may hold when it is crowded: a sixteenth.
const CROWD: u32 = 16;

/// Fewer connections than this are somebody's test or a deliberately small gateway, and not shared out.
const SHARED_OUT_FROM: u32 = 256;

/// Counts of connections by address.
#[derive(Debug)]
pub struct Clients {
    counts: Arc<Concurrency>,
    /// Nobody outside can choose addresses that meet in the table.
    hashes: RandomState,
}

/// One connection that counts; dropping it makes room. Empty for those that don't count.
#[derive(Debug, Default)]
pub struct ClientPlace(Option<(Arc<Concurrency>, u64)>);

/// Bounds, as the plan of the moment has them.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections of one address; 0 for no bound of its own.
    pub each: u32,
    /// Connections in all.
    pub all: u32,
    /// Connections that are open now.
    pub open: usize,
}

impl Clients {
    /// Room for `most` addresses, of which a page is resident only once somebody is counted in it.
    pub fn new(most: usize) -> Self {
        Self { counts: Arc::new(Concurrency::new(most)), hashes: RandomState::new() }
    }

    /// Counts another connection of `address`, or says that it has enough.
    pub fn enter(&self, address: IpAddr, bounds: Bounds) -> Result<ClientPlace, Full> {
        let key = self.hashes.hash_one(block(address));
        self.counts.acquire(key, bounds.most())?;
        Ok(ClientPlace(Some((self.counts.clone(), key))))
    }
}

impl Bounds {
    fn most(self) -> u32 {
        let each = if self.each == 0 { u32::MAX } else { self.each };
        let (part, whole) = CROWDED;
        let crowded = self.all >= SHARED_OUT_FROM && self.open / part >= self.all as usize / whole;
        if crowded { each.min(self.all / CROWD) } else { each }
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        if let Some((counts, key)) = self.0.take() {
            counts.release(key);
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that whoever has one IPv6 address has all of.
fn block(address: IpAddr) -> (u8, u64) {
    match address.to_canonical() {
        IpAddr::V4(address) => (4, u64::from(address.to_bits())),
        IpAddr::V6(address) => (6, (address.to_bits() >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Bounds = Bounds { each: 0, all: 1024, open: 0 };

    fn enters(clients: &Clients, address: &str, bounds: Bounds) -> Option<ClientPlace> {
        clients.enter(address.parse().unwrap(), bounds).ok()
    }

    #[test]
    fn an_address_has_as_many_as_it_may_and_gets_more_when_one_goes() {
        let clients = Clients::new(100);
        let two = Bounds { each: 2, ..FREE };
        let first = enters(&clients, "192.0.2.1", two).unwrap();
        let _second = enters(&clients, "::ffff:192.0.2.1", two).unwrap();
        assert!(enters(&clients, "192.0.2.1", two).is_none());
        assert!(enters(&clients, "192.0.2.2", two).is_some());
        drop(first);
        assert!(enters(&clients, "192.0.2.1", two).is_some());
    }

    #[test]
    fn all_of_a_slash_64_is_one_client() {
        let clients = Clients::new(100);
        let one = Bounds { each: 1, ..FREE };
        let _held = enters(&clients, "2001:db8:0:1::1", one).unwrap();
        assert!(enters(&clients, "2001:db8:0:1:ffff::9", one).is_none());
        assert!(enters(&clients, "2001:db8:0:2::1", one).is_some());
    }

    #[test]
    fn nobody_fills_a_crowded_gateway_alone() {
        let clients = Clients::new(100);
        let held: Vec<_> = (0..64).map(|_| enters(&clients, "192.0.2.1", FREE).unwrap()).collect();
        let crowded = Bounds { open: 768, ..FREE };
        assert!(enters(&clients, "192.0.2.1", crowded).is_none());
        assert!(enters(&clients, "192.0.2.2", crowded).is_some());
        assert!(enters(&clients, "192.0.2.1", Bounds { open: 767, ..FREE }).is_some());
        assert!(
            enters(&clients, "192.0.2.1", Bounds { all: 100, open: 99, each: 0 }).is_some(),
            "too small to share out"
        );
        drop(held);
    }
}
