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

const NAMES: [(&[u8], Known); 29] = [
    (b"host", Known::Host),
    (b"connection", Known::Connection),
    (b"content-length", Known::ContentLength),
    (b"transfer-encoding", Known::TransferEncoding),
    (b"te", Known::Te),
    (b"trailer", Known::Trailer),
    (b"upgrade", Known::Upgrade),
    (b"keep-alive", Known::KeepAlive),
    (b"proxy-connection", Known::ProxyConnection),
    (b"proxy-authenticate", Known::ProxyAuthenticate),
    (b"proxy-authorization", Known::ProxyAuthorization),
    (b"http2-settings", Known::Http2Settings),
    (b"expect", Known::Expect),
    (b"authorization", Known::Authorization),
    (b"cookie", Known::Cookie),
    (b"user-agent", Known::UserAgent),
    (b"referer", Known::Referer),
    (b"date", Known::Date),
    (b"server", Known::Server),
    (b"via", Known::Via),
    (b"forwarded", Known::Forwarded),
    (b"x-forwarded-for", Known::XForwardedFor),
    (b"x-forwarded-proto", Known::XForwardedProto),
    (b"x-forwarded-host", Known::XForwardedHost),
    (b"x-forwarded-port", Known::XForwardedPort),
    (b"x-request-id", Known::XRequestId),
    (b"traceparent", Known::Traceparent),
    (b"content-type", Known::ContentType),
    (b"retry-after", Known::RetryAfter),
];

impl Known {
    /// Field names are case-insensitive (RFC 9110 §5.1).
    pub fn parse(name: &[u8]) -> Self {
        // Length and first letter decide almost every name; the comparison runs at most a few times.
        let Some(first) = name.first() else { return Self::Other };
        let first = first | 0x20;
        for (known, id) in &NAMES {
            if known.len() == name.len() && known[0] == first && known.eq_ignore_ascii_case(name) {
                return *id;
            }
        }
        Self::Other
    }
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
    fn empty_list_members_do_not_count() {
        let members: Vec<_> = list_members(b" close ,, X-Foo\t,").collect();
        assert_eq!(members, [&b"close"[..], b"X-Foo"]);
    }
}
