//! The start of a request's text, for a server (RFC 9113 §8.3.1, §8.5; RFC 8441 §4).

use crate::Fault;
use crate::field::{self, Name};
use crate::inbound::{Facts, Pseudo};

/// Writes the request line and Host.
///
/// What has its own refusal in HTTP/1.1 and can be read in one way only (a Host that is no host, CONNECT itself) is left
/// to it. What would change where the request line or a field ends is malformed.
pub(crate) fn start(
    pseudo: &Pseudo<'_>,
    stream: u32,
    facts: &mut Facts,
    text: &mut Vec<u8>,
) -> Result<(), Fault> {
    if pseudo.value(Name::Status).is_some() {
        return Err(Fault::UnknownPseudo);
    }
    let method = pseudo.value(Name::Method).ok_or(Fault::MissingPseudo)?;
    if !field::is_token(method) {
        return Err(Fault::InvalidMethod);
    }
    let authority = pseudo.value(Name::Authority);
    if !authority.is_none_or(field::is_graphic) {
        return Err(Fault::InvalidAuthority);
    }
    let protocol = pseudo.value(Name::Protocol);
    if method == b"CONNECT" && protocol.is_none() {
        return connect(pseudo, authority, text);
    }
    let scheme = pseudo.value(Name::Scheme).ok_or(Fault::MissingPseudo)?;
    let path = pseudo.value(Name::Path).ok_or(Fault::MissingPseudo)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(Fault::InvalidScheme);
    }
    let asterisk = path == b"*" && method == b"OPTIONS";
    if !(path.starts_with(b"/") || asterisk) || !field::is_graphic(path) {
        return Err(Fault::InvalidPath);
    }
    facts.is_head = method == b"HEAD";
    facts.tunnel = protocol.is_some();
    if let Some(protocol) = protocol {
        if method != b"CONNECT" || authority.is_none() {
            return Err(Fault::InvalidConnect);
        }
        if protocol != b"websocket" {
            return Err(Fault::UnknownProtocol);
        }
    }
    text.extend_from_slice(if facts.tunnel { b"GET" } else { method });
    text.push(b' ');
    text.extend_from_slice(path);
    text.extend_from_slice(b" HTTP/1.1\r\n");
    host(authority, text);
    if facts.tunnel {
        text.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ");
        websocket_key(stream, text);
        text.extend_from_slice(b"\r\n");
    }
    Ok(())
}

fn connect(pseudo: &Pseudo<'_>, authority: Option<&[u8]>, text: &mut Vec<u8>) -> Result<(), Fault> {
    let authority = authority.filter(|authority| !authority.is_empty()).ok_or(Fault::InvalidConnect)?;
    if pseudo.has_other_than(&[Name::Method, Name::Authority]) {
        return Err(Fault::InvalidConnect);
    }
    text.extend_from_slice(b"CONNECT ");
    text.extend_from_slice(authority);
    text.extend_from_slice(b" HTTP/1.1\r\n");
    host(Some(authority), text);
    Ok(())
}

fn host(authority: Option<&[u8]>, text: &mut Vec<u8>) {
    if let Some(authority) = authority {
        text.extend_from_slice(b"host: ");
        text.extend_from_slice(authority);
        text.extend_from_slice(b"\r\n");
    }
}

/// Sixteen bytes in base64, as RFC 6455 §4.1 has them. Their only use is that the answer shows that they were read, so
/// they need not be secret.
fn websocket_key(stream: u32, text: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let first = u64::from(stream).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let second = (first ^ first >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = u128::from(first) << 64 | u128::from(second);
    for digit in 0..22 {
        let shift = 122 - 6 * digit;
        let six = if shift >= 0 { bits >> shift } else { bits << -shift };
        text.push(DIGITS[(six & 0x3f) as usize]);
    }
    text.extend_from_slice(b"==");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        let mut text = Vec::new();
        websocket_key(1, &mut text);
        assert_eq!(text.len(), 24);
        assert!(text.ends_with(b"=="));
        // Of the last digit only the two bits that belong to the sixteenth byte are set.
        assert!(b"AQgw".contains(&text[21]));
    }
}
