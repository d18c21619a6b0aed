//! Whose address a request really has, when proxies stand between.
//!
//! Each proxy appends the address that it was called from, so the list is to be believed from its right end, and
//! only as far as proxies that we trust wrote it: everything further left is the client's own invention.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::CidrSet;

/// The client's address by `X-Forwarded-For`: `peer`, unless it is trusted; then the last address in
/// `forwarded_for`, the field's values in order, that is not trusted.
///
/// An address may carry a port, and IPv6 may stand in brackets. The walk ends at anything else, and after 64
/// addresses, with the last address that was understood. Where all are trusted, that is the leftmost.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &CidrSet,
) -> IpAddr {
    let members = forwarded_for.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    walk(peer, members, trusted, |member| address(member, BareV6::Allowed))
}

/// The client's address by `Forwarded` (RFC 7239 §4): as [`client_address`], from the `for` of each element.
///
/// An element without exactly one `for`, one whose `for` is `unknown` or an obfuscated name (§6.2, §6.3), and one
/// that breaks the grammar end the walk. Elements are told apart from the right, so that a quotation mark that a
/// client left open does not swallow what a proxy appended.
pub fn client_address_forwarded<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &CidrSet,
) -> IpAddr {
    walk(peer, forwarded.rev().flat_map(Elements::of), trusted, |element| {
        address(parameter(element, b"for")?, BareV6::Refused)
    })
}

/// `members` come from the right.
#[inline]
fn walk<'a>(
    peer: IpAddr,
    members: impl Iterator<Item = &'a [u8]>,
    trusted: &CidrSet,
    read: impl Fn(&'a [u8]) -> Option<IpAddr>,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if !trusted.contains(client) {
        return client;
    }
    // Empty members are no members (RFC 9110 §5.6.1.2).
    for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()).take(MAX_HOPS) {
        let Some(address) = read(member) else { break };
        client = address.to_canonical();
        if !trusted.contains(client) {
            break;
        }
    }
    client
}

/// The elements of a value of `Forwarded`, last first.
struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Elements<'a> {
    fn of(value: &'a [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let value = self.rest?;
        let mut quoted = false;
        for (at, byte) in value.iter().enumerate().rev() {
            match byte {
                b'"' if quoted && is_escaped(value, at) => {}
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    self.rest = Some(&value[..at]);
                    return Some(&value[at + 1..]);
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(value)
    }
}

/// Whether an odd number of backslashes stands before `at`.
fn is_escaped(value: &[u8], at: usize) -> bool {
    value[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The value of the element's only parameter called `name`, without its quotation marks.
fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    let mut rest = element;
    loop {
        let (pair, after) = split_pair(rest)?;
        let pair = pair.trim_ascii();
        // Pairs may be missing between semicolons (RFC 7239 §4).
        if !pair.is_empty() {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            if pair[..equals].eq_ignore_ascii_case(name) && found.replace(&pair[equals + 1..]).is_some() {
                return None;
            }
        }
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    match found? {
        [b'"', inside @ .., b'"'] => Some(inside),
        plain => Some(plain),
    }
}

/// Up to the next semicolon outside quotation marks, and what follows it; `None` where a quotation mark stays open.
fn split_pair(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut quoted = false;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b';' if !quoted => return Some((&text[..at], Some(&text[at + 1..]))),
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some((text, None))
}

/// Whether an IPv6 address may stand without brackets: everywhere but in `Forwarded` (RFC 7239 §6).
#[derive(Clone, Copy, PartialEq)]
enum BareV6 {
    Allowed,
    Refused,
}

/// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`, `2001:db8::1`.
fn address(text: &[u8], bare_v6: BareV6) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        let port_is_fine = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return if port_is_fine { Some(address.parse::<Ipv6Addr>().ok()?.into()) } else { None };
    }
    match text.split_once(':') {
        None => Some(text.parse::<Ipv4Addr>().ok()?.into()),
        Some((_, after)) if after.contains(':') => {
            if bare_v6 == BareV6::Allowed {
                Some(text.parse::<Ipv6Addr>().ok()?.into())
            } else {
                None
            }
        }
        Some((address, port)) if is_port(port) => Some(address.parse::<Ipv4Addr>().ok()?.into()),
        Some(_) => None,
    }
}

/// A number, or a name that hides one (RFC 7239 §6.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// No honest chain is this long, and each hop costs a search.
const MAX_HOPS: usize = 64;
