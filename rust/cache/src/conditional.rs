//! Validators: comparing them, answering a client's conditions from the store, asking the origin, merging its 304.

use tidegate_message::{Known, ResponseHead, hop_by_hop};

use crate::{
    date,
    fields::{Fields, Kept},
    storable::is_kept,
};

/// Whether two entity tags are one by weak comparison (RFC 9110 §8.8.3.2).
pub fn weak_match(a: &[u8], b: &[u8]) -> bool {
    opaque(a) == opaque(b)
}

/// Whether two entity tags are one by strong comparison.
pub fn strong_match(a: &[u8], b: &[u8]) -> bool {
    !is_weak(a) && !is_weak(b) && a == b
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The tags of a list. A comma may stand within one (RFC 9110 §8.8.3), so quotes decide; what is not quoted is taken
/// as it stands.
fn tags(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
        }
        if rest.is_empty() {
            return None;
        }
        let prefix = if rest.starts_with(b"W/\"") { 2 } else { 0 };
        let end = if rest.get(prefix) == Some(&b'"') {
            rest[prefix + 1..].iter().position(|byte| *byte == b'"').map(|at| prefix + at + 2)
        } else {
            rest.iter().position(|byte| *byte == b',')
        };
        let (tag, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(tag.trim_ascii_end())
    })
}

/// Whether a client that has something is told that it has not changed (RFC 9110 §13.1, RFC 9111 §4.3.2).
///
/// `received` is when the stored answer came, in seconds since 1970: it stands in where there are no dates.
pub fn is_not_modified(request: &impl Fields, stored: &impl Fields, received: i64) -> bool {
    if request.value(b"if-none-match").is_some() {
        let etag = stored.value(b"etag");
        return request.values(b"if-none-match").any(|value| {
            value == b"*" || etag.is_some_and(|etag| tags(value).any(|tag| weak_match(tag, etag)))
        });
    }
    let Some(since) = request.value(b"if-modified-since").and_then(date::parse) else { return false };
    let date_of = |name: &[u8]| stored.value(name).and_then(date::parse);
    date_of(b"last-modified").or_else(|| date_of(b"date")).unwrap_or(received) <= since
}

/// Whether `Range` counts: there is no `If-Range`, or it names what is stored (RFC 9110 §13.1.5).
pub fn range_applies(request: &impl Fields, stored: &impl Fields) -> bool {
    let Some(condition) = request.value(b"if-range") else { return true };
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        return stored.value(b"etag").is_some_and(|etag| strong_match(condition, etag));
    }
    // RFC 9110 §8.8.2.2: a date is a strong validator if the answer was made at least a second later.
    let date_of = |name: &[u8]| stored.value(name).and_then(date::parse);
    match (date::parse(condition), date_of(b"last-modified"), date_of(b"date")) {
        (Some(condition), Some(modified), Some(born)) => condition == modified && born > modified,
        _ => false,
    }
}

/// Whether two answers are parts of one representation (RFC 9110 §14.4, RFC 9111 §3.4): a strong validator of both says so.
pub fn same_representation(a: &impl Fields, b: &impl Fields) -> bool {
    match (a.value(b"etag"), b.value(b"etag")) {
        (Some(a), Some(b)) => strong_match(a, b),
        (None, None) => match (a.value(b"last-modified"), b.value(b"last-modified")) {
            (Some(modified), Some(other)) => modified == other,
            _ => false,
        },
        _ => false,
    }
}

/// Whether there is something to ask the origin with.
pub fn has_validator(stored: &impl Fields) -> bool {
    stored.value(b"etag").is_some() || stored.value(b"last-modified").is_some()
}

/// Writes the lines that ask the origin whether `stored` still holds (RFC 9111 §4.3.1).
pub fn write_validators(stored: &impl Fields, out: &mut Vec<u8>) {
    for (from, to) in [(&b"etag"[..], &b"If-None-Match: "[..]), (b"last-modified", b"If-Modified-Since: ")] {
        if let Some(value) = stored.value(from) {
            out.extend_from_slice(to);
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Whether a 304 is about `stored` (RFC 9111 §4.3.4): its validators, where it has any, are those.
pub fn confirms(answer: &impl Fields, stored: &impl Fields) -> bool {
    match (answer.value(b"etag"), stored.value(b"etag")) {
        (Some(new), Some(kept)) if !is_weak(new) => strong_match(new, kept) || weak_match(new, kept),
        (Some(new), Some(kept)) => weak_match(new, kept),
        _ => match (answer.value(b"last-modified"), stored.value(b"last-modified")) {
            (Some(new), Some(kept)) if answer.value(b"etag").is_none() => {
                match (date::parse(new), date::parse(kept)) {
                    (Some(new), Some(kept)) => new == kept,
                    _ => new == kept,
                }
            }
            _ => true,
        },
    }
}

/// Fields of a 304 that do not take the place of stored ones: they describe the content that is kept, which the 304
/// does not bring (RFC 9111 §3.2).
const CONTENTS: [&[u8]; 5] =
    [b"content-encoding", b"content-length", b"content-range", b"content-md5", b"etag"];

/// Appends the stored lines as the 304 makes them: each field that it brings takes the place of the stored ones of
/// that name, all others stay. `hidden` are fields (lower case) that are not kept.
pub fn write_merged(stored: Kept<'_>, answer: &ResponseHead, hidden: &[Vec<u8>], out: &mut Vec<u8>) {
    let nominated: Vec<&[u8]> =
        answer.all(Known::Connection).flat_map(tidegate_message::list_members).collect();
    let replaces = |name: &[u8]| !CONTENTS.iter().any(|content| name.eq_ignore_ascii_case(content));
    let taken = |name: &[u8], known: Known| {
        replaces(name)
            && !hop_by_hop(known)
            && is_kept(name, hidden)
            && !nominated.iter().any(|other| name.eq_ignore_ascii_case(other))
    };
    for (name, value) in stored.lines() {
        // An answer that was confirmed is as old as the confirmation says.
        let replaced = name.eq_ignore_ascii_case(b"age")
            || (replaces(name) && answer.lines().any(|(other, _)| name.eq_ignore_ascii_case(other)));
        if !replaced && is_kept(name, hidden) {
            write_line(name, value, out);
        }
    }
    for field in &answer.fields {
        let name = answer.slice(field.name);
        if taken(name, field.known) {
            write_line(name, answer.slice(field.value), out);
        }
    }
}

pub(crate) fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Pairs;

    fn pairs(lines: &[(&str, &str)]) -> Pairs {
        Pairs(
            lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        )
    }

    #[test]
    fn the_examples_of_rfc_9110_8_8_3_2_compare_as_it_says() {
        for (a, b, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(strong_match(a.as_bytes(), b.as_bytes()), strong, "{a} {b}");
            assert_eq!(weak_match(a.as_bytes(), b.as_bytes()), weak, "{a} {b}");
        }
    }

    #[test]
    fn a_comma_within_a_tag_parts_nothing() {
        let list: Vec<_> = tags(br#" "a,b" ,W/"c", d , "e"#).collect();
        assert_eq!(list, [&br#""a,b""#[..], br#"W/"c""#, b"d", br#""e"#]);
    }

    #[test]
    fn a_tag_counts_for_more_than_a_date() {
        let stored = pairs(&[("ETag", "\"a\""), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        let since = ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(is_not_modified(&pairs(&[since]), &stored, 0));
        assert!(!is_not_modified(&pairs(&[since, ("If-None-Match", "\"b\"")]), &stored, 0));
        assert!(is_not_modified(&pairs(&[("If-None-Match", "*")]), &stored, 0));
        assert!(!is_not_modified(&pairs(&[("If-Modified-Since", "yesterday")]), &stored, 0));
    }

    #[test]
    fn a_weak_tag_or_another_one_makes_a_range_the_whole() {
        let stored = pairs(&[("ETag", "\"a\"")]);
        assert!(range_applies(&pairs(&[("If-Range", "\"a\"")]), &stored));
        assert!(!range_applies(&pairs(&[("If-Range", "W/\"a\"")]), &stored));
        assert!(!range_applies(&pairs(&[("If-Range", "\"b\"")]), &stored));
        assert!(!range_applies(&pairs(&[("If-Range", "Sun, 06 Nov 1994 08:49:37 GMT")]), &stored));
    }
}
