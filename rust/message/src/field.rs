//! Header fields: the few names a gateway acts on, told apart once, when the head is parsed.

use crate::Span;

/// One field line: where its name, its value and its whole line stand in the head's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which of the names that the gateway acts on, if any.
    pub known: Known,
    /// The name as written.
    pub name: Span,
    /// The value without the white space around it.
    pub value: Span,
    /// The line with its CRLF, so that runs of untouched lines are forwarded in one copy.
    pub line: Span,
}

/// The field names that the gateway acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the fields
#[repr(u8)]
pub enum Known {
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Te,
    Trailer,
    Upgrade,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Http2Settings,
    Expect,
    Authorization,
    Cookie,
    UserAgent,
    Referer,
    Date,
    Server,
    Via,
    CdnLoop,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XForwardedPort,
    XRequestId,
    Traceparent,
    ContentType,
    RetryAfter,
}

/// The names of each length: at most a few, so that most names are told apart without a comparison.
fn names_of_length(length: usize) -> &'static [(&'static [u8], Known)] {
    match length {
        2 => &[(b"te", Known::Te)],
        3 => &[(b"via", Known::Via)],
        4 => &[(b"host", Known::Host), (b"date", Known::Date)],
        6 => &[(b"expect", Known::Expect), (b"cookie", Known::Cookie), (b"server", Known::Server)],
        7 => &[(b"trailer", Known::Trailer), (b"upgrade", Known::Upgrade), (b"referer", Known::Referer)],
        8 => &[(b"cdn-loop", Known::CdnLoop)],
        9 => &[(b"forwarded", Known::Forwarded)],
        10 => &[
            (b"connection", Known::Connection),
            (b"keep-alive", Known::KeepAlive),
            (b"user-agent", Known::UserAgent),
        ],
        11 => &[(b"traceparent", Known::Traceparent), (b"retry-after", Known::RetryAfter)],
        12 => &[(b"x-request-id", Known::XRequestId), (b"content-type", Known::ContentType)],
        13 => &[(b"authorization", Known::Authorization)],
        14 => &[(b"content-length", Known::ContentLength), (b"http2-settings", Known::Http2Settings)],
        15 => &[(b"x-forwarded-for", Known::XForwardedFor)],
        16 => &[
            (b"proxy-connection", Known::ProxyConnection),
            (b"x-forwarded-host", Known::XForwardedHost),
            (b"x-forwarded-port", Known::XForwardedPort),
        ],
        17 => {
            &[(b"transfer-encoding", Known::TransferEncoding), (b"x-forwarded-proto", Known::XForwardedProto)]
        }
        18 => &[(b"proxy-authenticate", Known::ProxyAuthenticate)],
        19 => &[(b"proxy-authorization", Known::ProxyAuthorization)],
        _ => &[],
    }
}

impl Known {
    /// Field names are case-insensitive (RFC 9110 §5.1). `name` is a token, as parsers hand it over.
    #[inline]
    pub fn parse(name: &[u8]) -> Self {
        let folded = ends(name);
        names_of_length(name.len())
            .iter()
            // Two words say everything of a name up to sixteen bytes, and all but everything of a longer one.
            .find(|(known, _)| {
                ends(known) == folded && (name.len() <= 16 || known.eq_ignore_ascii_case(name))
            })
            .map_or(Self::Other, |(_, id)| *id)
    }
}

/// The first and the last eight bytes, letters in lower case; a shorter name stands in both with zeros behind it.
///
/// Setting the bit that tells the cases apart makes two bytes equal only where they are the same letter, or where one
/// of them is not allowed in a token.
#[inline]
fn ends(name: &[u8]) -> (u64, u64) {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return (u64::from_le_bytes(*first) | LOWER, u64::from_le_bytes(*last) | LOWER);
    }
    let word = name.iter().rev().fold(0, |word, byte| word << 8 | u64::from(byte | 0x20));
    (word, word)
}

/// Whether the field belongs to one hop and is never forwarded (RFC 9110 §7.6.1).
///
/// `Transfer-Encoding` and `Content-Length` are here as well: framing is derived anew for every hop.
pub fn hop_by_hop(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Te
            | Known::Trailer
            | Known::Upgrade
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthenticate
            | Known::ProxyAuthorization
            | Known::Http2Settings
    )
}

/// The members of a comma-separated list value, without the white space around them (RFC 9110 §5.6.1).
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

impl Field {
    /// The field's value in `bytes`, the head that it was parsed from.
    pub fn value_in<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.value.of(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_whatever_their_case() {
        assert_eq!(Known::parse(b"Content-Length"), Known::ContentLength);
        assert_eq!(Known::parse(b"HOST"), Known::Host);
        assert_eq!(Known::parse(b"Content_Length"), Known::Other);
        assert_eq!(Known::parse(b""), Known::Other);
    }

    #[test]
    fn every_name_stands_under_its_length() {
        let names: Vec<_> = (0..64)
            .flat_map(|length| names_of_length(length).iter().map(move |name| (length, name)))
            .collect();
        assert_eq!(names.len(), 30);
        for (length, (name, known)) in names {
            assert_eq!(name.len(), length);
            assert_eq!(Known::parse(&name.to_ascii_uppercase()), *known);
        }
    }

    #[test]
    fn every_name_is_found_in_any_case_and_no_name_beside_it() {
        for length in 0..32 {
            for (name, id) in names_of_length(length) {
                assert_eq!(name.len(), length);
                assert_eq!(Known::parse(name), *id);
                assert_eq!(Known::parse(&name.to_ascii_uppercase()), *id);
                for at in 0..length {
                    let mut other = name.to_vec();
                    other[at] = if other[at] == b'z' { b'y' } else { b'z' };
                    assert_ne!(Known::parse(&other), *id, "{}", String::from_utf8_lossy(&other));
                }
            }
        }
    }

    #[test]
    fn empty_list_members_do_not_count() {
        let members: Vec<_> = list_members(b" close ,, X-Foo\t,").collect();
        assert_eq!(members, [&b"close"[..], b"X-Foo"]);
    }
}
