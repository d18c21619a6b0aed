//! Trailer sections: which of their lines may go on (RFC 9110 §6.5).

use httparse::{EMPTY_HEADER, Error, Status};
use tidegate_message::{Known, hop_by_hop};

use crate::ChunkFault;
use crate::diagnose::{self, FieldDefect};
use crate::split::{self, SHORTEST_LINE};

/// Names that mean something before the body is read: they route, authenticate, frame, cache or describe the
/// message, and a receiver that merges trailers into the head would act on them (RFC 9110 §6.5.1).
/// Written with `-` for `_`, which many servers take for the same.
const HEAD_ONLY: &[&str] = &[
    "age",
    "allow",
    "authentication-info",
    "authorization",
    "cache-control",
    "cookie",
    "cookie2",
    "date",
    "early-data",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "retry-after",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "true-client-ip",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-api-key",
    "x-client-ip",
    "x-http-method-override",
    "x-real-ip",
    "x-request-id",
];

/// Families of such names.
const HEAD_ONLY_PREFIXES: &[&str] = &[
    "access-control-",
    "cf-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-accel-",
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
];

/// Checks the whole section in `section`, its empty line included, and leaves the lines that may go on.
pub(crate) fn keep_forwardable(section: &mut Vec<u8>, most: usize) -> Result<(), ChunkFault> {
    let mut headers = vec![EMPTY_HEADER; most.min(section.len() / SHORTEST_LINE + 1)];
    let mut fields = Vec::new();
    match httparse::parse_headers(section, &mut headers) {
        Ok(Status::Complete((length, headers))) if length == section.len() => {
            if !headers.is_empty() {
                split::field_lines(section, length, headers, &mut fields).map_err(ChunkFault::from)?;
            } else if section != b"\r\n" {
                return Err(ChunkFault::BareLf);
            }
        }
        Err(Error::TooManyHeaders) => return Err(ChunkFault::TooManyTrailers),
        _ => {
            return Err(match diagnose::fields(section, most) {
                FieldDefect::Unknown => ChunkFault::InvalidTrailer,
                defect => defect.into(),
            });
        }
    }
    let mut kept = 0;
    for field in &fields {
        let name = field.name.of(section);
        if hop_by_hop(field.known) || field.known == Known::Host || is_head_only(name) {
            continue;
        }
        section.copy_within(field.line.start as usize..field.line.end as usize, kept);
        kept += field.line.len();
    }
    section.truncate(kept);
    Ok(())
}

fn is_head_only(name: &[u8]) -> bool {
    HEAD_ONLY.iter().any(|known| known.len() == name.len() && starts_with(name, known))
        || HEAD_ONLY_PREFIXES.iter().any(|prefix| starts_with(name, prefix))
        || ["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"]
            .iter()
            .any(|known| known.len() == name.len() && starts_with(name, known))
}

fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name.iter().zip(prefix.bytes()).all(|(byte, expected)| {
            let byte = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
            byte == expected
        })
}
