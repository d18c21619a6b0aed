//! Sets of blocks against the definition: an address is in a block when the bits of the prefix are the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use tidegate_auth::CidrSet;

/// Few distinct high bits, so that blocks lie within and beside each other.
fn v4() -> impl Strategy<Value = u32> {
    (0u32..4, 0u32..4, any::<u8>()).prop_map(|(a, b, c)| a << 30 | b << 8 | u32::from(c))
}

fn v6() -> impl Strategy<Value = u128> {
    (0u128..4, 0u128..4, any::<u8>()).prop_map(|(a, b, c)| a << 126 | b << 60 | u128::from(c))
}

fn mask4(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

fn mask6(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

proptest! {
    #[test]
    fn a_set_holds_what_any_of_its_blocks_holds(
        blocks4 in prop::collection::vec((v4(), 0u32..=32), 0..20),
        blocks6 in prop::collection::vec((v6(), 0u32..=128), 0..20),
        asked4 in prop::collection::vec(v4(), 20),
        asked6 in prop::collection::vec(v6(), 20),
    ) {
        let mut list: Vec<String> = blocks4.iter()
            .map(|(address, prefix)| format!("{}/{prefix}", Ipv4Addr::from_bits(address & mask4(*prefix)))).collect();
        list.extend(blocks6.iter()
            .map(|(address, prefix)| format!("{}/{prefix}", Ipv6Addr::from_bits(address & mask6(*prefix)))));
        let set = CidrSet::parse(&list).unwrap();
        for asked in asked4.into_iter().chain(blocks4.iter().map(|block| block.0)) {
            let expected = blocks4.iter().any(|(address, prefix)| (address ^ asked) & mask4(*prefix) == 0);
            prop_assert_eq!(set.contains(Ipv4Addr::from_bits(asked).into()), expected);
            prop_assert_eq!(set.contains(IpAddr::V6(Ipv4Addr::from_bits(asked).to_ipv6_mapped())), expected);
        }
        for asked in asked6.into_iter().chain(blocks6.iter().map(|block| block.0)) {
            let expected = blocks6.iter().any(|(address, prefix)| (address ^ asked) & mask6(*prefix) == 0);
            prop_assert_eq!(set.contains(Ipv6Addr::from_bits(asked).into()), expected);
        }
    }

    #[test]
    fn a_refused_block_names_one_that_is_accepted(address in any::<u32>(), prefix in 0u32..=32) {
        let written = format!("{}/{prefix}", Ipv4Addr::from_bits(address));
        if let Err(error) = CidrSet::parse(&[&written]) {
            let right = error.why.split("the network is ").nth(1).unwrap().split(',').next().unwrap();
            prop_assert!(CidrSet::parse(&[right]).unwrap().contains(Ipv4Addr::from_bits(address).into()));
        } else {
            prop_assert_eq!(address & !mask4(prefix), 0);
        }
    }

    #[test]
    fn no_text_panics(text in "[0-9a-f.:/%]{0,24}") {
        let _ = CidrSet::parse(&[text]);
    }
}
