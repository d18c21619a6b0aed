//! `Cache-Status` (RFC 9211): what was done with a request, and why.

use crate::{Outcome, Reason};

/// What there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// How the request was met.
    pub outcome: Outcome,
    /// Why the origin was asked, or why the answer was not kept.
    pub reason: Option<Reason>,
    /// For how many seconds what was given is still fresh.
    pub ttl: Option<i64>,
    /// What the origin answered.
    pub forwarded: Option<u16>,
    /// Whether the answer is kept.
    pub stored: bool,
}

/// Appends the value, without an end of line.
pub fn write(told: &Told, key: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"tidegate");
    match told.outcome {
        Outcome::Hit | Outcome::Stale | Outcome::StaleError => out.extend_from_slice(b"; hit"),
        Outcome::Joined => out.extend_from_slice(b"; fwd=miss; collapsed"),
        Outcome::Refused => out.extend_from_slice(b"; detail=only_if_cached"),
        Outcome::Revalidated | Outcome::Miss | Outcome::Expired | Outcome::Pass => {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(forward(told).as_bytes());
        }
    }
    if let Some(status) = told.forwarded {
        number(b"; fwd-status=", i64::from(status), out);
    }
    if let Some(ttl) = told.ttl {
        number(b"; ttl=", ttl, out);
    }
    if told.stored {
        out.extend_from_slice(b"; stored");
    }
    if let Some(key) = key {
        out.extend_from_slice(b"; key=\"");
        for byte in key {
            match byte {
                b'\n' => out.push(b' '),
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                0x20..=0x7e => out.push(*byte),
                _ => out.push(b'?'),
            }
        }
        out.push(b'"');
    }
    let detail = match told.outcome {
        Outcome::Stale => Some("stale_while_revalidate"),
        Outcome::StaleError => Some("stale_if_error"),
        _ => told.reason.map(Reason::as_str),
    };
    if let Some(detail) = detail {
        out.extend_from_slice(b"; detail=");
        out.extend_from_slice(detail.as_bytes());
    }
}

/// RFC 9211 §2.2.
fn forward(told: &Told) -> &'static str {
    match told.reason {
        Some(Reason::UriMiss) => "uri-miss",
        Some(Reason::VaryMiss) => "vary-miss",
        Some(Reason::Partial) => "partial",
        Some(Reason::Stale | Reason::NoCache) => "stale",
        Some(Reason::RequestNoCache | Reason::RequestNoStore | Reason::Precondition) => "request",
        Some(Reason::Method | Reason::Head) => "method",
        _ if told.outcome == Outcome::Pass => "bypass",
        _ if told.outcome == Outcome::Revalidated || told.outcome == Outcome::Expired => "stale",
        _ => "miss",
    }
}

fn number(name: &[u8], number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(number.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(
        outcome: Outcome,
        reason: Option<Reason>,
        ttl: Option<i64>,
        forwarded: Option<u16>,
        stored: bool,
    ) -> String {
        let mut out = Vec::new();
        write(&Told { outcome, reason, ttl, forwarded, stored }, None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_outcome_is_said_in_the_words_of_rfc_9211() {
        assert_eq!(text(Outcome::Hit, None, Some(30), None, false), "tidegate; hit; ttl=30");
        assert_eq!(
            text(Outcome::Stale, None, Some(-5), None, false),
            "tidegate; hit; ttl=-5; detail=stale_while_revalidate"
        );
        assert_eq!(
            text(Outcome::Miss, Some(Reason::UriMiss), None, Some(200), true),
            "tidegate; fwd=uri-miss; fwd-status=200; stored; detail=uri_miss"
        );
        assert_eq!(
            text(Outcome::Pass, Some(Reason::Bypass), None, None, false),
            "tidegate; fwd=bypass; detail=bypass"
        );
        assert_eq!(text(Outcome::Refused, None, None, None, false), "tidegate; detail=only_if_cached");
    }

    #[test]
    fn a_key_stands_in_one_line() {
        let mut out = Vec::new();
        let told = Told { outcome: Outcome::Hit, reason: None, ttl: None, forwarded: None, stored: false };
        write(&told, Some(b"s\nhttp://a/\"x\\\xff"), &mut out);
        assert_eq!(out, br#"tidegate; hit; key="s http://a/\"x\\?""#);
    }
}
