//! Sets of addresses, written as CIDR blocks (RFC 4632 §3.1, RFC 4291 §2.3) and single addresses.

use std::cmp::Reverse;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of IP addresses. An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is the IPv4 address that it carries,
/// in the set as well as in the question; `::/0` is every IPv6 address and no IPv4 address.
#[derive(Clone, Debug, Default)]
pub struct CidrSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Why a list is no set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrError {
    /// Which entry of the list, from 0.
    pub index: usize,
    /// What is wrong with it and, where it can be told, what would be right.
    pub why: String,
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.index, self.why)
    }
}

impl std::error::Error for CidrError {}

impl CidrSet {
    /// Reads blocks (`10.0.0.0/8`, `2001:db8::/32`) and single addresses. A block with bits set behind its prefix is
    /// an error: whoever wrote it meant either the network or the address, and the two differ.
    pub fn parse(list: &[impl AsRef<str>]) -> Result<Self, CidrError> {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for (index, text) in list.iter().enumerate() {
            let block = Block::parse(text.as_ref()).map_err(|why| CidrError { index, why })?;
            match block.address {
                IpAddr::V4(address) => {
                    let first = address.to_bits();
                    v4.push((first, first | host_bits_v4(block.prefix)));
                }
                IpAddr::V6(address) => {
                    let first = address.to_bits();
                    v6.push((first, first | host_bits_v6(block.prefix)));
                }
            }
        }
        Ok(Self { v4: Ranges::new(v4), v6: Ranges::new(v6) })
    }

    /// Whether `ip` is in the set.
    #[inline]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.contains(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.contains(ip.to_bits()),
        }
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.first.is_empty() && self.v6.first.is_empty()
    }
}

/// Ranges that do not meet, in order; the first and the last of each lie apart so that a search reads only firsts.
#[derive(Clone, Debug, Default)]
struct Ranges<T> {
    first: Box<[T]>,
    last: Box<[T]>,
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        // Two blocks are apart or one lies within the other, and then the larger one comes first.
        ranges.sort_unstable_by_key(|(first, last)| (*first, Reverse(*last)));
        ranges.dedup_by(|next, kept| next.1 <= kept.1);
        Self {
            first: ranges.iter().map(|range| range.0).collect(),
            last: ranges.iter().map(|range| range.1).collect(),
        }
    }

    #[inline]
    fn contains(&self, value: T) -> bool {
        let after = self.first.partition_point(|first| *first <= value);
        after > 0 && value <= self.last[after - 1]
    }
}

/// A network's first address, mapped ones already as IPv4, and how many of its bits are the network.
struct Block {
    address: IpAddr,
    prefix: u32,
}

impl Block {
    fn parse(text: &str) -> Result<Self, String> {
        let (written, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = written.parse().map_err(|_| {
            format!("`{text}` is neither an IP address nor a block such as 10.0.0.0/8 or 2001:db8::/32")
        })?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => bits,
            Some(length) => prefix_length(length)
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(|| format!("`{text}`: what follows the `/` must be 0 to {bits}"))?,
        };
        let network = network(address, prefix);
        if network != address {
            return Err(format!(
                "`{text}` has bits set behind its first {prefix}: the network is {network}/{prefix}, \
                 the address alone {address}"
            ));
        }
        match address.to_canonical() {
            // A block that is larger than all mapped addresses is an IPv6 block that happens to hold them.
            IpAddr::V4(mapped) if bits == 128 && prefix >= 96 => {
                Ok(Self { address: IpAddr::V4(mapped), prefix: prefix - 96 })
            }
            _ => Ok(Self { address, prefix }),
        }
    }
}

/// Digits alone, without a sign and without leading zeros.
fn prefix_length(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn network(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !host_bits_v4(prefix)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !host_bits_v6(prefix)).into(),
    }
}

fn host_bits_v4(prefix: u32) -> u32 {
    u32::MAX.checked_shr(prefix).unwrap_or(0)
}

fn host_bits_v6(prefix: u32) -> u128 {
    u128::MAX.checked_shr(prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(list: &[&str], ip: &str) -> bool {
        CidrSet::parse(list).unwrap().contains(ip.parse().unwrap())
    }

    fn why(entry: &str) -> String {
        let error = CidrSet::parse(&["127.0.0.1", entry]).unwrap_err();
        assert_eq!(error.index, 1);
        error.why
    }

    #[test]
    fn a_block_holds_its_first_and_last_address_and_not_their_neighbours() {
        let list = ["10.1.0.0/16", "2001:db8::/33"];
        for inside in ["10.1.0.0", "10.1.255.255", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"] {
            assert!(contains(&list, inside), "{inside}");
        }
        for outside in ["10.0.255.255", "10.2.0.0", "2001:db8:8000::", "2001:db7:ffff::"] {
            assert!(!contains(&list, outside), "{outside}");
        }
    }

    #[test]
    fn the_largest_and_the_smallest_blocks_work() {
        assert!(contains(&["0.0.0.0/0"], "255.255.255.255"));
        assert!(contains(&["::/0"], "ffff::"));
        assert!(!contains(&["::/0"], "10.0.0.1"));
        assert!(!contains(&["0.0.0.0/0"], "::1"));
        assert!(contains(&["192.0.2.7"], "192.0.2.7"));
        assert!(!contains(&["192.0.2.7/32"], "192.0.2.8"));
        assert!(contains(&["::1"], "::1"));
        assert!(contains(&["255.255.255.255"], "255.255.255.255"));
    }

    #[test]
    fn mapped_addresses_are_the_addresses_that_they_carry() {
        assert!(contains(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(contains(&["::ffff:10.0.0.0/104"], "10.1.2.3"));
        assert!(contains(&["::ffff:10.1.2.3"], "10.1.2.3"));
        assert!(contains(&["::ffff:0:0/96"], "192.0.2.1"));
        assert!(!contains(&["::ffff:10.0.0.0/104"], "11.0.0.0"));
    }

    #[test]
    fn blocks_within_blocks_change_nothing() {
        let list = ["10.1.0.0/16", "10.0.0.0/8", "10.1.2.0/24", "10.0.0.0/8", "10.255.255.255"];
        assert!(contains(&list, "10.200.0.1"));
        assert!(!contains(&list, "11.0.0.0"));
    }

    #[test]
    fn an_empty_list_is_empty() {
        let set = CidrSet::parse(&[] as &[&str]).unwrap();
        assert!(set.is_empty());
        assert!(!set.contains("::".parse().unwrap()));
        assert!(!CidrSet::parse(&["::1"]).unwrap().is_empty());
    }

    #[test]
    fn host_bits_are_refused_and_the_right_network_is_named() {
        assert_eq!(
            why("10.0.0.1/8"),
            "`10.0.0.1/8` has bits set behind its first 8: the network is 10.0.0.0/8, the address alone 10.0.0.1"
        );
        assert!(why("2001:db8::1/32").contains("the network is 2001:db8::/32"));
        assert!(why("1.1.1.1/0").contains("the network is 0.0.0.0/0"));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for entry in [
            "",
            " 10.0.0.1",
            "10.0.0",
            "010.0.0.1",
            "fe80::1%eth0",
            "localhost",
            "[::1]",
            "10.0.0.1:80",
            "/8",
        ] {
            assert!(why(entry).contains("neither an IP address nor a block"), "{entry}");
        }
        for entry in ["10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/-1"]
        {
            assert!(why(entry).ends_with("must be 0 to 32"), "{entry}");
        }
        assert!(why("::/129").ends_with("must be 0 to 128"));
        assert!(why("::/99999999999").ends_with("must be 0 to 128"));
    }
}
