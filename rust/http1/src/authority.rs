//! The authority of a request: what a Host field or an absolute target may hold.

use std::net::Ipv6Addr;

use memchr::memchr;

use crate::Refusal;

/// Checks `host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2).
///
/// A registered name is held to the unreserved characters: what RFC 3986 allows beyond them (`%`, `!`, `,`
/// and their like) no resolver and no certificate knows, and each is read differently somewhere.
pub(crate) fn check(authority: &[u8]) -> Result<(), Refusal> {
    let port = match authority {
        [] => return Err(Refusal::InvalidHost),
        [b'[', rest @ ..] => {
            let end = memchr(b']', rest).ok_or(Refusal::InvalidHost)?;
            let address = std::str::from_utf8(&rest[..end]).map_err(|_| Refusal::InvalidHost)?;
            address.parse::<Ipv6Addr>().map_err(|_| Refusal::InvalidHost)?;
            match &rest[end + 1..] {
                [] => return Ok(()),
                [b':', port @ ..] => port,
                _ => return Err(Refusal::InvalidHost),
            }
        }
        name => {
            // An empty label has no meaning in DNS, but the last may be empty: the root's.
            let mut before = b'.';
            let mut end = 0;
            let mut empty_label = false;
            for byte in name {
                if !UNRESERVED[usize::from(*byte)] {
                    break;
                }
                empty_label |= before == b'.' && *byte == b'.';
                before = *byte;
                end += 1;
            }
            if end == 0 || empty_label {
                return Err(userinfo_or(Refusal::InvalidHost, authority));
            }
            match &name[end..] {
                [] => return Ok(()),
                [b':', port @ ..] => port,
                _ => return Err(userinfo_or(Refusal::InvalidHost, authority)),
            }
        }
    };
    // An empty port stands for the scheme's (RFC 3986 §3.2.3).
    if port.is_empty() || is_port(port) { Ok(()) } else { Err(userinfo_or(Refusal::InvalidPort, authority)) }
}

/// Digits alone: the standard parser would take a sign as well.
fn is_port(text: &[u8]) -> bool {
    text.len() <= 5
        && text.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok())
}

/// RFC 3986 §2.3: letters, digits, `-`, `.`, `_` and `~`.
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric() || matches!(character, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

fn userinfo_or(other: Refusal, authority: &[u8]) -> Refusal {
    if memchr(b'@', authority).is_some() { Refusal::Userinfo } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_pass() {
        for good in [
            "example.com",
            "example.com.",
            "EXAMPLE.com:80",
            "a_b",
            "10.0.0.1:65535",
            "[::1]",
            "[::1]:8080",
            "h:",
            "localhost:0",
            "[::ffff:1.2.3.4]",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "",
            ":80",
            ".",
            ".a",
            "a..b",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%2eb",
            "[::1",
            "::1]",
            "[]",
            "[::1]a",
            "[1.2.3.4]",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "a\"b",
            "<a>",
            "b\u{fc}cher",
            "a\tb",
            "a;b",
        ] {
            assert_eq!(check(bad.as_bytes()), Err(Refusal::InvalidHost), "{bad}");
        }
    }

    #[test]
    fn ports_and_userinfo_have_their_own_names() {
        for bad in ["a:65536", "a:1a", "a:-1", "a:+1", "a:99999999999999999999", "a:80:80", "[::1]:x", "::1"]
        {
            let refusal = check(bad.as_bytes());
            assert!(matches!(refusal, Err(Refusal::InvalidPort | Refusal::InvalidHost)), "{bad}");
        }
        assert_eq!(check(b"a:65536"), Err(Refusal::InvalidPort));
        for bad in ["user@host", "user:secret@host", "@host", "a:b@c:80"] {
            assert_eq!(check(bad.as_bytes()), Err(Refusal::Userinfo), "{bad}");
        }
    }
}
