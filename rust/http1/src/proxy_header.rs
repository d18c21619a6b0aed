//! PROXY headers as they are written: whom the connection that they open speaks for.
//!
//! The rules are those of HAProxy's `doc/proxy-protocol.txt` (§2.1 text, §2.2 binary).

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

/// A connection that another one is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spoken<'a> {
    /// Who connected, and where to; `None` where there are no such addresses (Unix sockets).
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The name that the client asked for: a TLS client's SNI.
    pub authority: Option<&'a str>,
    /// The application protocol, as ALPN names it.
    pub protocol: Option<&'a [u8]>,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const PP2_TYPE_ALPN: u8 = 0x01;
const PP2_TYPE_AUTHORITY: u8 = 0x02;
/// The longest extension that is written; a longer one is left out, as none of the two may be cut.
const EXTENSION_MOST: usize = 255;

/// Appends a line of version 1. It has room for addresses and nothing else.
pub fn write_v1(spoken: &Spoken<'_>, out: &mut Vec<u8>) {
    let Some((source, destination)) = spoken.addresses.map(alike) else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let _ = write!(out, "PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
}

/// Appends a binary header of version 2, with extensions for what is known.
pub fn write_v2(spoken: &Spoken<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.push(PROXY);
    let start = out.len();
    let addresses = spoken.addresses.map(alike);
    out.push(match addresses {
        None => UNSPECIFIED,
        Some((source, _)) if source.is_ipv4() => TCP4,
        Some(_) => TCP6,
    });
    out.extend_from_slice(&[0; 2]);
    if let Some((source, destination)) = addresses {
        for ip in [source.ip(), destination.ip()] {
            match ip {
                IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
            }
        }
        out.extend_from_slice(&source.port().to_be_bytes());
        out.extend_from_slice(&destination.port().to_be_bytes());
    }
    extension(PP2_TYPE_ALPN, spoken.protocol, out);
    extension(PP2_TYPE_AUTHORITY, spoken.authority.map(str::as_bytes), out);
    let length = (out.len() - start - 3) as u16; // at most 36 of addresses and two extensions of 258
    out[start + 1..start + 3].copy_from_slice(&length.to_be_bytes());
}

/// Appends the header of a connection that speaks for nobody, such as a probe's: LOCAL in version 2, UNKNOWN in version 1.
pub fn write_own(version_2: bool, out: &mut Vec<u8>) {
    if version_2 {
        out.extend_from_slice(SIGNATURE);
        out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
    } else {
        write_v1(&Spoken::default(), out);
    }
}

fn extension(kind: u8, value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value.filter(|value| (1..=EXTENSION_MOST).contains(&value.len())) else { return };
    out.push(kind);
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
}

/// Both addresses of one family: IPv4 where both are, else both IPv6.
fn alike((source, destination): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let bare = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let wide = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port()),
        IpAddr::V6(_) => address,
    };
    let (source, destination) = (bare(source), bare(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (wide(source), wide(destination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_protocol::{Parsed, parse};

    fn spoken(source: &str, destination: &str) -> Spoken<'static> {
        let addresses = Some((source.parse().unwrap(), destination.parse().unwrap()));
        Spoken { addresses, ..Spoken::default() }
    }

    fn written(write: fn(&Spoken<'_>, &mut Vec<u8>), spoken: &Spoken<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        write(spoken, &mut out);
        out
    }

    #[test]
    fn a_line_is_as_the_specification_has_it() {
        let line = written(write_v1, &spoken("192.168.0.1:56324", "192.168.0.11:443"));
        assert_eq!(line, b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
        let line = written(write_v1, &spoken("[2001:db8::1]:1", "[2001:db8::2]:65535"));
        assert_eq!(line, b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
        assert_eq!(written(write_v1, &Spoken::default()), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn a_binary_header_is_as_the_specification_has_it() {
        let header = written(write_v2, &spoken("192.0.2.7:4660", "198.51.100.1:443"));
        let expected: &[u8] = &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 1, 0xbb];
        assert_eq!(header, [&SIGNATURE[..], expected].concat());
        let mut probe = Vec::new();
        write_own(true, &mut probe);
        assert_eq!(probe, [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat());
    }

    #[test]
    fn what_is_known_of_the_client_stands_in_extensions() {
        let spoken = Spoken {
            authority: Some("a.example"),
            protocol: Some(b"h2"),
            ..spoken("1.1.1.1:1", "2.2.2.2:2")
        };
        let header = written(write_v2, &spoken);
        assert_eq!(&header[28..], b"\x01\0\x02h2\x02\0\x09a.example");
        assert_eq!(header[14..16], [0, 12 + 5 + 12]);
    }

    #[test]
    fn what_is_written_is_read_again_as_it_was_meant() {
        for (source, destination) in [
            ("192.0.2.7:1", "198.51.100.1:2"),
            ("[2001:db8::1]:65535", "[2001:db8::2]:443"),
            ("[::ffff:192.0.2.7]:1", "198.51.100.1:2"),
        ] {
            let spoken = Spoken { authority: Some("x"), ..spoken(source, destination) };
            for write in [write_v1, write_v2] {
                let header = written(write, &spoken);
                let (source, destination) = alike(spoken.addresses.unwrap());
                let expected =
                    Parsed::Done { len: header.len(), source: Some(source), destination: Some(destination) };
                assert_eq!(parse(&header), Ok(expected));
            }
        }
    }

    #[test]
    fn addresses_of_two_families_are_told_as_ipv6() {
        let line = written(write_v1, &spoken("192.0.2.7:1", "[2001:db8::2]:2"));
        assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::2 1 2\r\n");
    }

    #[test]
    fn an_extension_that_is_too_long_is_left_out_whole() {
        let long = "a".repeat(256);
        let header = written(write_v2, &Spoken { authority: Some(&long), ..Spoken::default() });
        assert_eq!(header.len(), 16);
    }
}
