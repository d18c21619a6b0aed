//! What a client gets of an answer that is kept: all of it, parts, or word that it has not changed.

use std::ops::Range;

use crate::{
    RequestFacts, conditional,
    fields::{Fields, Kept},
    range,
};

/// What of an answer is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// 304: the client has it.
    NotModified,
    /// One part of the whole.
    Part(Range<u64>),
    /// Several parts of the whole.
    Parts(Vec<Range<u64>>),
    /// 416: nothing of what was asked for is there.
    Unsatisfiable,
}

/// What is kept, as the client's conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Kept<'a>,
    /// Bytes of the whole content; `None` while that is not known.
    pub total: Option<u64>,
    /// When it came, in milliseconds since 1970.
    pub response_ms: u64,
}

/// Conditions before ranges (RFC 9110 §13.2.2), and both only where the answer is a 200.
pub fn show(view: &View<'_>, request: &impl Fields, facts: &RequestFacts) -> Shown {
    if view.status != 200 {
        return Shown::Whole;
    }
    let received = (view.response_ms / 1000) as i64;
    if facts.conditional && conditional::is_not_modified(request, &view.fields, received) {
        return Shown::NotModified;
    }
    // RFC 9110 §14.2: a range is only defined for GET.
    let (true, false, Some(total)) = (facts.range, facts.head, view.total) else { return Shown::Whole };
    let Some(value) = request.value(b"range") else { return Shown::Whole };
    if !conditional::range_applies(request, &view.fields) {
        return Shown::Whole;
    }
    match range::select(value, total) {
        range::Asked::Whole => Shown::Whole,
        range::Asked::Unsatisfiable => Shown::Unsatisfiable,
        range::Asked::One(part) => Shown::Part(part),
        range::Asked::Many(parts) => Shown::Parts(parts),
    }
}

impl Shown {
    /// The status that is sent for an answer of `status`.
    pub fn status(&self, status: u16) -> u16 {
        match self {
            Self::Whole => status,
            Self::NotModified => 304,
            Self::Part(_) | Self::Parts(_) => 206,
            Self::Unsatisfiable => 416,
        }
    }

    /// Whether a field of the answer goes out with it. `length` and what describes parts are written anew.
    pub fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::Whole | Self::Part(_) => true,
            Self::Parts(_) => !name.eq_ignore_ascii_case(b"content-type"),
            // RFC 9110 §15.4.5: what says something about content that is not sent stays behind.
            Self::NotModified => {
                !name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
                    || name.eq_ignore_ascii_case(b"content-location")
                    || name.eq_ignore_ascii_case(b"content-security-policy")
            }
            Self::Unsatisfiable => name.eq_ignore_ascii_case(b"date") || name.eq_ignore_ascii_case(b"etag"),
        }
    }
}

/// The head of a part, and which bytes of the whole it is.
pub type Part = (Vec<u8>, Range<u64>);

/// The heads of the parts of a `multipart/byteranges`, each with its part, and the end behind them.
pub fn parts(
    ranges: &[Range<u64>],
    total: u64,
    content_type: Option<&[u8]>,
    boundary: &str,
) -> (Vec<Part>, Vec<u8>) {
    let heads = ranges.iter().map(|part| {
        let mut head = Vec::new();
        range::write_part(boundary, content_type, part, total, &mut head);
        (head, part.clone())
    });
    (heads.collect(), format!("\r\n--{boundary}--\r\n").into_bytes())
}
