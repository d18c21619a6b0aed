//! What an unsafe request makes invalid (RFC 9111 §4.4).

use crate::fields::Fields;

/// Whether an answer to an unsafe request says that something changed: it is no error.
pub fn counts(status: u16) -> bool {
    (200..400).contains(&status)
}

/// Path and query (with `?`) of what `Location` and `Content-Location` name on the same origin; another origin's
/// answers are not this one's to forget.
pub fn targets<'a>(
    response: &'a impl Fields,
    scheme: &'a [u8],
    authority: &'a [u8],
    path: &'a [u8],
) -> impl Iterator<Item = Vec<u8>> + 'a {
    [&b"location"[..], b"content-location"]
        .into_iter()
        .filter_map(|name| response.value(name))
        .filter_map(move |reference| resolve(reference, scheme, authority, path))
}

/// A reference as path and query, if it stays on the origin (RFC 3986 §5.2); without `.` and `..` segments.
fn resolve(reference: &[u8], scheme: &[u8], authority: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let reference = reference.split(|byte| *byte == b'#').next().unwrap_or_default();
    let local = if let Some(rest) = reference.strip_prefix(b"//") {
        own(rest, authority)?
    } else if let Some(colon) = scheme_end(reference) {
        if !reference[..colon].eq_ignore_ascii_case(scheme) {
            return None;
        }
        own(reference[colon + 1..].strip_prefix(b"//")?, authority)?
    } else {
        reference
    };
    let end = local.iter().position(|byte| *byte == b'?').unwrap_or(local.len());
    let (path, query) = local.split_at(end);
    let base_path = if base.is_empty() { b"/" } else { base };
    let mut whole = Vec::new();
    if path.starts_with(b"/") {
        whole.extend_from_slice(path);
    } else if path.is_empty() {
        whole.extend_from_slice(if local.len() == reference.len() { base_path } else { b"/" });
    } else {
        let directory = base_path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        whole.extend_from_slice(&base_path[..directory]);
        whole.extend_from_slice(path);
    }
    let mut out = without_dots(&whole);
    out.extend_from_slice(query);
    Some(out)
}

/// What follows the authority, if it is ours.
fn own<'a>(rest: &'a [u8], authority: &[u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    rest[..end].eq_ignore_ascii_case(authority).then(|| &rest[end..])
}

fn scheme_end(reference: &[u8]) -> Option<usize> {
    let at = reference.iter().position(|byte| matches!(byte, b':' | b'/' | b'?'))?;
    (reference[at] == b':').then_some(at)
}

fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            b"." if is_last => segments.push(b""),
            b"." => {}
            b".." => {
                segments.pop();
                if is_last {
                    segments.push(b"");
                }
            }
            _ => segments.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in segments {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if out.is_empty() { b"/".to_vec() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(reference: &str, base: &str) -> Option<String> {
        resolve(reference.as_bytes(), b"http", b"a.test:80", base.as_bytes())
            .map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn references_are_resolved_against_the_request() {
        assert_eq!(to("/x?y#z", "/a/b").as_deref(), Some("/x?y"));
        assert_eq!(to("x", "/a/b").as_deref(), Some("/a/x"));
        assert_eq!(to("../x", "/a/b/c").as_deref(), Some("/a/x"));
        assert_eq!(to("./", "/a/b").as_deref(), Some("/a/"));
        assert_eq!(to("?q", "/a/b").as_deref(), Some("/a/b?q"));
        assert_eq!(to("http://A.TEST:80/x", "/a").as_deref(), Some("/x"));
        assert_eq!(to("//a.test:80", "/a").as_deref(), Some("/"));
        assert_eq!(to("../../..", "/a").as_deref(), Some("/"));
    }

    #[test]
    fn another_origin_is_left_alone() {
        for reference in ["http://b.test/x", "https://a.test:80/x", "//b.test/x", "mailto:x"] {
            assert_eq!(to(reference, "/a"), None, "{reference}");
        }
    }
}
