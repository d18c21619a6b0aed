//! The PROXY protocol, versions 1 and 2: whom a trusted proxy before us speaks for.
//!
//! The rules are those of HAProxy's `doc/proxy-protocol.txt` (§2.1 text, §2.2 binary).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memchr;

use crate::cause::causes;

/// What the start of a connection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It may become a header; more bytes are needed.
    Partial,
    /// A header of `len` bytes, after which the connection's own bytes follow.
    Done {
        /// Bytes of the header.
        len: usize,
        /// Who connected to the proxy; `None` where the proxy does not say or speaks for itself.
        source: Option<SocketAddr>,
        /// Where to; `None` as `source`.
        destination: Option<SocketAddr>,
    },
}

causes! {
    /// One reason for which a connection's PROXY header is not accepted.
    ProxyFault {
        NotProxy, "not_proxy_protocol", "proxy-protocol §2", "The connection does not start with a PROXY header.";
        LineTooLong, "proxy_line_too_long", "proxy-protocol §2.1", "The header's line does not end within 107 bytes.";
        InvalidLine, "invalid_proxy_line", "proxy-protocol §2.1", "The header's line does not follow the grammar.";
        InvalidAddress, "invalid_proxy_address", "proxy-protocol §2.1", "The header's line has an address or a port that is none.";
        UnsupportedVersion, "unsupported_proxy_version", "proxy-protocol §2.2", "The binary header's version is not 2.";
        InvalidCommand, "invalid_proxy_command", "proxy-protocol §2.2", "The binary header's command is neither LOCAL nor PROXY.";
        InvalidFamily, "invalid_proxy_family", "proxy-protocol §2.2", "The binary header's family or transport is none.";
        TooShort, "proxy_header_too_short", "proxy-protocol §2.2", "The binary header is shorter than its addresses.";
        TooLong, "proxy_header_too_long", "proxy-protocol §2.2", "The binary header is longer than its limit.";
    }
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const TEXT: &[u8] = b"PROXY ";
/// The longest line with its CRLF (§2.1).
const LONGEST_LINE: usize = 107;
/// The binary header before its addresses.
const FIXED: usize = 16;
/// The most bytes of addresses and extensions. The extensions that are defined (§2.2.1 on) fit in a quarter of it,
/// a client certificate's name included.
const MOST_EXTENSIONS: usize = 4 * 1024;

/// Takes a PROXY header from the start of `buf`.
///
/// Extensions (TLV) are skipped. Addresses of Unix sockets and of unknown families give `None`, as does LOCAL,
/// by which a proxy checks that we are there.
///
/// # Errors
/// The first cause for which the header is not accepted; nothing of the connection can be trusted then.
pub fn parse(buf: &[u8]) -> Result<Parsed, ProxyFault> {
    if starts_as(buf, SIGNATURE) {
        return if buf.len() < FIXED { short_binary(buf) } else { binary(buf) };
    }
    if starts_as(buf, TEXT) {
        return if buf.len() < TEXT.len() { Ok(Parsed::Partial) } else { text(buf) };
    }
    Err(ProxyFault::NotProxy)
}

/// Whether `buf` starts with `mark`, as far as it goes.
fn starts_as(buf: &[u8], mark: &[u8]) -> bool {
    let length = buf.len().min(mark.len());
    buf[..length] == mark[..length]
}

fn text(buf: &[u8]) -> Result<Parsed, ProxyFault> {
    let window = &buf[..buf.len().min(LONGEST_LINE)];
    let Some(feed) = memchr(b'\n', window) else {
        return if window.len() < LONGEST_LINE { Ok(Parsed::Partial) } else { Err(ProxyFault::LineTooLong) };
    };
    let line = window[TEXT.len()..feed].strip_suffix(b"\r").ok_or(ProxyFault::InvalidLine)?;
    let len = feed + 1;
    let mut words = line.split(|byte| *byte == b' ');
    let family = words.next().unwrap_or_default();
    if family == b"UNKNOWN" {
        // The rest of the line is to be ignored (§2.1).
        return Ok(Parsed::Done { len, source: None, destination: None });
    }
    let mut word = || words.next().ok_or(ProxyFault::InvalidLine);
    let [source, destination, source_port, destination_port] = [word()?, word()?, word()?, word()?];
    if words.next().is_some() {
        return Err(ProxyFault::InvalidLine);
    }
    let parse: fn(&[u8]) -> Option<IpAddr> = match family {
        b"TCP4" => |word| std::str::from_utf8(word).ok()?.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        b"TCP6" => |word| std::str::from_utf8(word).ok()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(ProxyFault::InvalidLine),
    };
    let address = |host: &[u8], number: &[u8]| {
        let host = parse(host).ok_or(ProxyFault::InvalidAddress)?;
        let number = port(number).ok_or(ProxyFault::InvalidAddress)?;
        Ok(SocketAddr::new(host, number))
    };
    Ok(Parsed::Done {
        len,
        source: Some(address(source, source_port)?),
        destination: Some(address(destination, destination_port)?),
    })
}

/// Decimal without sign and without leading zeros (§2.1).
fn port(word: &[u8]) -> Option<u16> {
    let plain = matches!(word, [b'0'] | [b'1'..=b'9', ..]) && word.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(word).ok()?.parse().ok() } else { None }
}

/// Refuses what it can before the fixed part is whole.
fn short_binary(buf: &[u8]) -> Result<Parsed, ProxyFault> {
    match buf.get(SIGNATURE.len()) {
        Some(byte) => command(*byte).map(|_| Parsed::Partial),
        None => Ok(Parsed::Partial),
    }
}

/// Whether the header speaks for somebody else.
fn command(byte: u8) -> Result<bool, ProxyFault> {
    match (byte >> 4, byte & 0x0f) {
        (2, 0) => Ok(false),
        (2, 1) => Ok(true),
        (2, _) => Err(ProxyFault::InvalidCommand),
        _ => Err(ProxyFault::UnsupportedVersion),
    }
}

fn binary(buf: &[u8]) -> Result<Parsed, ProxyFault> {
    let proxied = command(buf[12])?;
    let (family, transport) = (buf[13] >> 4, buf[13] & 0x0f);
    let length = usize::from(u16::from_be_bytes([buf[14], buf[15]]));
    if length > MOST_EXTENSIONS {
        return Err(ProxyFault::TooLong);
    }
    if family > 3 || transport > 2 {
        return Err(ProxyFault::InvalidFamily);
    }
    let len = FIXED + length;
    let Some(body) = buf.get(FIXED..len) else { return Ok(Parsed::Partial) };
    let unknown = Parsed::Done { len, source: None, destination: None };
    if !proxied {
        return Ok(unknown);
    }
    match family {
        1 => {
            let (body, _) = body.split_first_chunk::<12>().ok_or(ProxyFault::TooShort)?;
            let address = |at: usize, port: usize| {
                let host = Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
                SocketAddr::new(host.into(), u16::from_be_bytes([body[port], body[port + 1]]))
            };
            Ok(Parsed::Done { len, source: Some(address(0, 8)), destination: Some(address(4, 10)) })
        }
        2 => {
            let (body, _) = body.split_first_chunk::<36>().ok_or(ProxyFault::TooShort)?;
            let address = |at: usize, port: usize| {
                let mut host = [0; 16];
                host.copy_from_slice(&body[at..at + 16]);
                SocketAddr::new(Ipv6Addr::from(host).into(), u16::from_be_bytes([body[port], body[port + 1]]))
            };
            Ok(Parsed::Done { len, source: Some(address(0, 32)), destination: Some(address(16, 34)) })
        }
        3 if body.len() < 216 => Err(ProxyFault::TooShort),
        _ => Ok(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(len: usize, source: &str, destination: &str) -> Result<Parsed, ProxyFault> {
        let address = |text: &str| Some(text.parse().expect("an address"));
        Ok(Parsed::Done { len, source: address(source), destination: address(destination) })
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn text_headers_give_both_addresses() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET /";
        assert_eq!(parse(line), done(line.len() - 5, "192.0.2.1:56324", "198.51.100.2:443"));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(parse(line), done(line.len(), "[2001:db8::1]:1", "[::1]:65535"));
        let line = b"PROXY UNKNOWN what ever\r\n";
        assert_eq!(parse(line), Ok(Parsed::Done { len: line.len(), source: None, destination: None }));
    }

    #[test]
    fn every_prefix_of_a_header_is_partial() {
        let text = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n".to_vec();
        let binary = v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 1, 0xbb]);
        for whole in [text, binary] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]), Ok(Parsed::Partial), "{end}");
            }
            assert!(matches!(parse(&whole), Ok(Parsed::Done { .. })));
        }
    }

    #[test]
    fn bad_text_headers_are_refused() {
        for (line, fault) in [
            ("GET / HTTP/1.1\r\n", ProxyFault::NotProxy),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", ProxyFault::InvalidLine),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", ProxyFault::InvalidLine),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", ProxyFault::InvalidLine),
            ("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::InvalidLine),
            ("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::InvalidLine),
            ("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", ProxyFault::InvalidAddress),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", ProxyFault::InvalidAddress),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", ProxyFault::InvalidAddress),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", ProxyFault::InvalidAddress),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", ProxyFault::InvalidAddress),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(fault), "{line}");
        }
        let endless = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
        assert_eq!(parse(&endless), Err(ProxyFault::LineTooLong));
    }

    #[test]
    fn binary_headers_give_both_addresses_and_their_extensions_are_skipped() {
        let mut body = vec![192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 1, 0xbb];
        assert_eq!(parse(&v2(0x21, 0x11, &body)), done(28, "192.0.2.1:56324", "198.51.100.2:443"));
        body.extend([4, 0, 3, 1, 2, 3]);
        assert_eq!(parse(&v2(0x21, 0x11, &body)), done(34, "192.0.2.1:56324", "198.51.100.2:443"));
        let mut body = [0; 36];
        body[15] = 1;
        body[31] = 2;
        body[33] = 80;
        assert_eq!(parse(&v2(0x21, 0x21, &body)), done(52, "[::1]:80", "[::2]:0"));
    }

    #[test]
    fn local_and_unix_headers_name_nobody() {
        let nobody = |len| Ok(Parsed::Done { len, source: None, destination: None });
        assert_eq!(parse(&v2(0x20, 0x00, &[])), nobody(16));
        assert_eq!(parse(&v2(0x20, 0x11, &[1; 3])), nobody(19));
        assert_eq!(parse(&v2(0x21, 0x31, &[0; 216])), nobody(232));
        assert_eq!(parse(&v2(0x21, 0x00, &[7; 9])), nobody(25));
    }

    #[test]
    fn bad_binary_headers_are_refused() {
        assert_eq!(parse(&v2(0x11, 0x11, &[0; 12])), Err(ProxyFault::UnsupportedVersion));
        assert_eq!(parse(&v2(0x22, 0x11, &[0; 12])), Err(ProxyFault::InvalidCommand));
        assert_eq!(parse(&v2(0x21, 0x41, &[0; 12])), Err(ProxyFault::InvalidFamily));
        assert_eq!(parse(&v2(0x21, 0x13, &[0; 12])), Err(ProxyFault::InvalidFamily));
        assert_eq!(parse(&v2(0x21, 0x11, &[0; 11])), Err(ProxyFault::TooShort));
        assert_eq!(parse(&v2(0x21, 0x21, &[0; 35])), Err(ProxyFault::TooShort));
        assert_eq!(parse(&v2(0x21, 0x11, &[0; 5000])), Err(ProxyFault::TooLong));
        assert_eq!(parse(&v2(0x21, 0x11, &[])[..13]), Ok(Parsed::Partial));
        assert_eq!(parse(&[&SIGNATURE[..], &[0x31]].concat()), Err(ProxyFault::UnsupportedVersion));
    }
}
