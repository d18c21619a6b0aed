//! Ranges of bytes: which were asked for, and how they are sent (RFC 9110 §14).

use std::ops::Range;

/// Ranges that one request may ask for; with more it gets the whole (RFC 9110 §14.2 warns of such requests).
pub const RANGES_MOST: usize = 16;

/// What a `Range` field comes to for a content of a known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that counts: the whole is sent.
    Whole,
    /// Nothing of it is there: 416.
    Unsatisfiable,
    /// One part.
    One(Range<u64>),
    /// Several, in the order in which they were asked for.
    Many(Vec<Range<u64>>),
}

/// One range as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// `a-b`, both included.
    Between(u64, u64),
    /// `a-`.
    From(u64),
    /// `-n`: the last n.
    Last(u64),
}

/// Reads the ranges of a field; `None` where it is no range of bytes (RFC 9110 §14.2: then it is passed over).
pub fn parse(value: &[u8]) -> Option<Vec<Spec>> {
    let (unit, set) = value.split_at_checked(value.iter().position(|byte| *byte == b'=')? + 1)?;
    if !unit[..unit.len() - 1].trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for text in set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()) {
        if specs.len() == RANGES_MOST {
            return None;
        }
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        specs.push(match (first.is_empty(), last.is_empty()) {
            (true, true) => return None,
            (true, false) => Spec::Last(number(last)?),
            (false, true) => Spec::From(number(first)?),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                Spec::Between(first, last)
            }
        });
    }
    (!specs.is_empty()).then_some(specs)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

impl Spec {
    /// Where it lies in a content of `length`; `None`: nowhere.
    pub fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(length),
            Self::From(first) => first..length,
            Self::Last(count) => length.saturating_sub(count)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// What the value of a `Range` field comes to for a content of `length`.
pub fn select(value: &[u8], length: u64) -> Asked {
    let Some(specs) = parse(value) else { return Asked::Whole };
    let mut parts: Vec<_> = specs.iter().filter_map(|spec| spec.within(length)).collect();
    match parts.len() {
        0 => Asked::Unsatisfiable,
        1 => Asked::One(parts.remove(0)),
        _ => {
            // Overlapping ranges, and ranges that are more than the whole, are how such requests do harm.
            let sum = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.end - part.start));
            if sum > length { Asked::Whole } else { Asked::Many(parts) }
        }
    }
}

/// What a 206 says that it brings: where it begins, where it ends (not included), of how many bytes in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// Of so many.
    pub total: u64,
}

/// Reads `bytes 0-4/10` (RFC 9110 §14.4); one without a total is of no use here.
pub fn content_range(value: &[u8]) -> Option<ContentRange> {
    let rest = value.strip_prefix(b"bytes ")?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    let dash = rest[..slash].iter().position(|byte| *byte == b'-')?;
    let (start, last) = (number(&rest[..dash])?, number(&rest[dash + 1..slash])?);
    let total = number(&rest[slash + 1..])?;
    (start <= last && last < total).then_some(ContentRange { start, end: last + 1, total })
}

/// Writes the head of one part of a `multipart/byteranges` (RFC 9110 §14.6).
pub fn write_part(
    boundary: &str,
    content_type: Option<&[u8]>,
    part: &Range<u64>,
    total: u64,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary.as_bytes());
    if let Some(content_type) = content_type {
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(content_type);
    }
    out.extend_from_slice(b"\r\nContent-Range: ");
    write_content_range(part, total, out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Writes the value of `Content-Range`.
pub fn write_content_range(part: &Range<u64>, total: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("bytes {}-{}/{total}", part.start, part.end.saturating_sub(1)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        assert_eq!(select(b"bytes=0-4", 10), Asked::One(0..5));
        assert_eq!(select(b"bytes=5-", 10), Asked::One(5..10));
        assert_eq!(select(b"bytes=-3", 10), Asked::One(7..10));
        assert_eq!(select(b"bytes=-30", 10), Asked::One(0..10));
        assert_eq!(select(b"bytes=8-99999999999999999999999", 10), Asked::One(8..10));
        assert_eq!(select(b"Bytes=0-0, 9-9", 10), Asked::Many(vec![0..1, 9..10]));
    }

    #[test]
    fn what_lies_behind_the_end_is_not_there() {
        assert_eq!(select(b"bytes=10-", 10), Asked::Unsatisfiable);
        assert_eq!(select(b"bytes=-0", 10), Asked::Unsatisfiable);
        assert_eq!(select(b"bytes=0-", 0), Asked::Unsatisfiable);
        assert_eq!(select(b"bytes=20-30, 0-1", 10), Asked::One(0..2));
    }

    #[test]
    fn what_is_no_range_is_passed_over() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=4-2",
            "items=0-4",
            "bytes=1-2,x",
            "bytes=+1-2",
        ] {
            assert_eq!(select(text.as_bytes(), 10), Asked::Whole, "{text}");
        }
    }

    #[test]
    fn more_than_the_whole_in_parts_is_the_whole() {
        assert_eq!(select(b"bytes=0-9,0-9", 10), Asked::Whole);
        let many = format!("bytes={}", vec!["0-0"; RANGES_MOST + 1].join(","));
        assert_eq!(select(many.as_bytes(), 1000), Asked::Whole);
    }

    #[test]
    fn a_content_range_that_contradicts_itself_is_none() {
        assert_eq!(content_range(b"bytes 0-4/10"), Some(ContentRange { start: 0, end: 5, total: 10 }));
        for text in ["bytes 0-10/10", "bytes 5-4/10", "bytes */10", "bytes 0-4/*", "0-4/10", "bytes 0-4"] {
            assert_eq!(content_range(text.as_bytes()), None, "{text}");
        }
    }
}
