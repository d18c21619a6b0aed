//! Whose address a request has, honest chains and invented ones.

use std::net::IpAddr;

use proptest::prelude::*;
use tidegate_auth::{CidrSet, client_address, client_address_forwarded};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn trusted() -> CidrSet {
    CidrSet::parse(&["10.0.0.0/8", "2001:db8:ffff::/48"]).expect("blocks")
}

/// By `X-Forwarded-For`, from the trusted peer 10.0.0.1.
fn told(values: &[&str]) -> String {
    client_address(ip("10.0.0.1"), values.iter().map(|value| value.as_bytes()), &trusted()).to_string()
}

/// By `Forwarded`, from the same peer.
fn told_forwarded(values: &[&str]) -> String {
    client_address_forwarded(ip("10.0.0.1"), values.iter().map(|value| value.as_bytes()), &trusted())
        .to_string()
}

#[test]
fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
    let values = [&b"192.0.2.1"[..]];
    assert_eq!(client_address(ip("203.0.113.9"), values.into_iter(), &trusted()), ip("203.0.113.9"));
    let values = [&b"for=192.0.2.1"[..]];
    assert_eq!(
        client_address_forwarded(ip("203.0.113.9"), values.into_iter(), &trusted()),
        ip("203.0.113.9")
    );
    let values = [&b"192.0.2.1"[..]];
    assert_eq!(client_address(ip("10.0.0.1"), values.into_iter(), &CidrSet::default()), ip("10.0.0.1"));
}

#[test]
fn a_mapped_peer_is_the_address_that_it_carries() {
    let none = std::iter::empty::<&[u8]>;
    assert_eq!(client_address(ip("::ffff:203.0.113.9"), none(), &trusted()), ip("203.0.113.9"));
    let values = [&b"::ffff:192.0.2.1"[..]];
    assert_eq!(client_address(ip("::ffff:10.0.0.1"), values.into_iter(), &trusted()), ip("192.0.2.1"));
}

#[test]
fn without_a_field_the_peer_is_the_client() {
    for values in [&[][..], &[""], &[" , ,"]] {
        assert_eq!(told(values), "10.0.0.1");
        assert_eq!(told_forwarded(values), "10.0.0.1");
    }
}

#[test]
fn the_last_address_that_is_not_trusted_counts() {
    assert_eq!(told(&["192.0.2.1"]), "192.0.2.1");
    assert_eq!(told(&["6.6.6.6, 192.0.2.1, 10.9.9.9"]), "192.0.2.1");
    assert_eq!(
        told(&["6.6.6.6, 192.0.2.1", "10.9.9.9,10.8.8.8"]),
        "192.0.2.1",
        "several fields are one list"
    );
    assert_eq!(told(&["192.0.2.1", "6.6.6.6"]), "6.6.6.6");
    assert_eq!(told(&["192.0.2.1,, 10.9.9.9 ,"]), "192.0.2.1");
    assert_eq!(told(&["2001:db8::7, 2001:db8:ffff::1"]), "2001:db8::7");
}

#[test]
fn where_all_are_trusted_the_first_counts() {
    assert_eq!(told(&["10.7.7.7, 10.8.8.8", "10.9.9.9"]), "10.7.7.7");
}

#[test]
fn addresses_may_carry_ports_and_brackets() {
    let cases = [
        ("192.0.2.1:8080", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("\t192.0.2.1 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ];
    for (value, client) in cases {
        assert_eq!(told(&[value]), client);
    }
}

#[test]
fn garbage_ends_the_walk_at_the_last_good_address() {
    let garbage = [
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.256",
        "0192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:123456",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]443",
        "[2001:db8::1]:",
        "fe80::1%eth0",
        "example.com",
        "192.0.2.1 192.0.2.2",
        "\"192.0.2.1\"",
        "192.0.2.1\0",
        "for=192.0.2.1",
        "+1.2.3.4",
        "0x7f.1",
        "3221225985",
    ];
    for word in garbage {
        assert_eq!(told(&[word]), "10.0.0.1", "{word}");
        assert_eq!(told(&[&format!("192.0.2.1, {word}, 10.9.9.9")]), "10.9.9.9", "{word}");
    }
    let not_text = [&b"192.0.2.1, \xff"[..]];
    assert_eq!(client_address(ip("10.0.0.1"), not_text.into_iter(), &trusted()), ip("10.0.0.1"));
}

#[test]
fn the_walk_is_bounded() {
    let long = format!("192.0.2.1{}", ", 10.2.2.2".repeat(63));
    assert_eq!(told(&[&long]), "192.0.2.1");
    let longer = format!("192.0.2.1{}", ", 10.2.2.2".repeat(64));
    assert_eq!(told(&[&longer]), "10.2.2.2");
}

#[test]
fn forwarded_is_read_as_the_rfc_writes_it() {
    let cases = [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        ("for=192.0.2.43,for=\"[2001:db8:ffff::9]\";proto=https", "192.0.2.43"),
        ("for=\"192.0.2.43:47011\"", "192.0.2.43"),
        ("for=\"192.0.2.43:_secret\"", "192.0.2.43"),
        ("proto=https;FOR=192.0.2.1", "192.0.2.1"),
        (";; for=192.0.2.1 ;", "192.0.2.1"),
        ("host=\"a,b;for=6.6.6.6\";for=192.0.2.1", "192.0.2.1"),
        ("for=192.0.2.1;host=\"a,for=6.6.6.6;x=\\\"b\"", "192.0.2.1"),
        ("for=192.0.2.1;host=\"a\\\",for=6.6.6.6;\\\\\"", "192.0.2.1"),
    ];
    for (value, client) in cases {
        assert_eq!(told_forwarded(&[value]), client, "{value}");
    }
    assert_eq!(told_forwarded(&["for=192.0.2.1", "for=10.2.2.2", "for=10.3.3.3"]), "192.0.2.1");
}

#[test]
fn an_element_that_names_no_address_ends_the_walk() {
    let garbage = [
        "for=unknown",
        "for=_hidden",
        "proto=https",
        "for",
        "for=",
        "for=\"\"",
        "for=192.0.2.1;for=192.0.2.2",
        "for=2001:db8::1",
        "for=\"2001:db8::1\"",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=\"192.0.2\\.1\"",
        "192.0.2.1",
        "for =192.0.2.1",
        "for=192.0.2.1;proto",
        "for=\"192.0.2.1:80:90\"",
        "for=\"",
    ];
    for element in garbage {
        assert_eq!(told_forwarded(&[element]), "10.0.0.1", "{element}");
        assert_eq!(told_forwarded(&[element, "for=10.9.9.9"]), "10.9.9.9", "{element}");
    }
}

#[test]
fn a_quotation_mark_left_open_by_the_client_does_not_swallow_what_the_proxy_appended() {
    for invented in ["for=\"6.6.6.6", "for=\"", "\"", "for=6.6.6.6;host=\"", "for=\"\\\"", "for=\"a\\"] {
        assert_eq!(told_forwarded(&[&format!("{invented}, for=192.0.2.1")]), "192.0.2.1", "{invented}");
        assert_eq!(
            told_forwarded(&[&format!("{invented}, for=\"[2001:db8::1]:80\";proto=http")]),
            "2001:db8::1"
        );
    }
}

proptest! {
    /// Whatever a client sends, what a trusted proxy appends decides.
    #[test]
    fn nothing_that_a_client_sends_changes_its_address(invented in "[0-9a-f.:,; =\"\\\\for\\[\\]]{0,60}") {
        prop_assert_eq!(told(&[&format!("{invented}, 192.0.2.1, 10.9.9.9")]), "192.0.2.1");
        prop_assert_eq!(told(&[&invented, "192.0.2.1"]), "192.0.2.1");
        prop_assert_eq!(told_forwarded(&[&format!("{invented}, for=192.0.2.1, for=10.9.9.9")]), "192.0.2.1");
        prop_assert_eq!(told_forwarded(&[&invented, "for=\"[2001:db8::1]\""]), "2001:db8::1");
    }

    /// The same chain is read the same from either field.
    #[test]
    fn both_fields_tell_the_same(chain in prop::collection::vec((any::<bool>(), any::<u32>(), any::<u128>(), any::<bool>()), 0..6)) {
        let addresses: Vec<IpAddr> = chain.iter().map(|(is_v4, v4, v6, near)| match (is_v4, near) {
            (true, true) => IpAddr::from((v4 >> 8 | 10 << 24).to_be_bytes()),
            (true, false) => IpAddr::from(v4.to_be_bytes()),
            (false, true) => IpAddr::from((v6 >> 48 | 0x2001_0db8_ffff << 80).to_be_bytes()),
            (false, false) => IpAddr::from(v6.to_be_bytes()),
        }).collect();
        let x: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let rfc: Vec<String> = addresses.iter().map(|address| match address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        }).collect();
        let expected = addresses.iter().rev().find(|address| !trusted().contains(**address))
            .or(addresses.first()).copied().unwrap_or(ip("10.0.0.1")).to_canonical();
        prop_assert_eq!(told(&[&x.join(", ")]), expected.to_string());
        prop_assert_eq!(told_forwarded(&[&rfc.join(", ")]), expected.to_string());
    }
}
