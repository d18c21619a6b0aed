//! The one spelling of a path that routes are looked up by.

use std::fmt;

use crate::query::escape;

/// Why a path has no normal form. Each is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathRefusal {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A percent sign without two hex digits behind it (RFC 3986 §2.1).
    BadPercent,
    /// `%00`, or a NUL as it stands.
    Nul,
    /// More `..` than segments before them.
    AboveRoot,
    /// A `.` or `..` set off by `%2F`, `\` or `;`, which some servers remove as a dot segment and others do not.
    AmbiguousDots,
    /// A rewrite has put a `.` or `..` segment together.
    RewrittenDots,
}

impl PathRefusal {
    /// As logs and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path_not_absolute",
            Self::BadPercent => "bad_percent",
            Self::Nul => "nul_in_path",
            Self::AboveRoot => "above_root",
            Self::AmbiguousDots => "ambiguous_dots",
            Self::RewrittenDots => "rewritten_dots",
        }
    }
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for PathRefusal {}

/// The normal form of a target's path, in one pass, without looking at anything twice.
///
/// 1. Escapes are decoded, once. Four kinds stay as they are, with upper-case digits: `%2F`, so that a separator
///    never comes from data; `%25`, so that a percent sign in the result always begins an escape that was kept
///    and nothing can be decoded a second time (`%252e` stays `%252e`); and the control bytes `%01`–`%1F` and
///    `%7F`, so that a line break reaches neither a pattern nor a log. A percent sign without two hex digits
///    and `%00` are refused.
/// 2. With `merge_slashes`, `//` becomes `/`.
/// 3. Dot segments are removed (RFC 3986 §5.2.4), `%2e` among them, since it is decoded by then. A `..` with
///    nothing to remove is refused. So is a `.` or `..` that only some servers take for a segment: beside `%2F`
///    or `\`, or in front of a `;`.
///
/// Otherwise `\` and `;` are ordinary bytes: a path parameter belongs to its segment. An empty path is `/`
/// (RFC 3986 §6.2.3). The result begins with `/`, has no `.` or `..` segment, and is its own normal form. A path
/// in which nothing has to be done is lent as it is.
pub fn normalise_path<'a>(
    raw: &'a [u8],
    merge_slashes: bool,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], PathRefusal> {
    match raw.first() {
        Some(b'/') => {}
        Some(_) => return Err(PathRefusal::NotAbsolute),
        None => return Ok(b"/"),
    }
    if is_plain(raw, merge_slashes) {
        return Ok(raw);
    }
    scratch.clear();
    let mut rest = &raw[1..];
    loop {
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let is_last = end == rest.len();
        append_segment(&rest[..end], is_last, merge_slashes, scratch)?;
        if is_last {
            return Ok(scratch);
        }
        rest = &rest[end + 1..];
    }
}

/// Whether some server may read a `.` or `..` segment in `path`, whose escapes may or may not be decoded.
///
/// A segment may be set off by `/`, `\` and the escapes of both, and ends before a `;` (servlet containers drop
/// path parameters before they look for dots).
pub(crate) fn has_dots(path: &[u8]) -> bool {
    // Dots since the last separator; `None` once something else was there.
    let mut dots = Some(0);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let (byte, width) = match (byte, escape(&path[at + 1..])) {
            (b'%', Some(value)) => (value, 3),
            _ => (byte, 1),
        };
        at += width;
        match byte {
            b'/' | b'\\' | b';' => {
                if matches!(dots, Some(1 | 2)) {
                    return true;
                }
                dots = if byte == b';' { None } else { Some(0) };
            }
            b'.' => dots = dots.map(|count| count + 1),
            _ => dots = None,
        }
    }
    matches!(dots, Some(1 | 2))
}

/// Whether the path is its own normal form, as far as a glance tells; in doubt not.
fn is_plain(raw: &[u8], merge_slashes: bool) -> bool {
    if !is_suspicious(raw) {
        return true;
    }
    if memchr::memchr3(b'%', b'\\', 0, raw).is_some() {
        return false;
    }
    memchr::memchr_iter(b'/', raw).all(|slash| match &raw[slash + 1..] {
        [b'/', ..] => !merge_slashes,
        [b'.'] | [b'.', b'/' | b'.' | b';', ..] => false,
        _ => true,
    })
}

/// Whether there is anything at all to look at. Without a branch, so that it is done many bytes at a time: almost
/// every path ends here. The first byte is a slash.
fn is_suspicious(raw: &[u8]) -> bool {
    let pairs = raw.iter().zip(&raw[1..]);
    pairs.fold(false, |found, (before, byte)| {
        let special = (*byte == b'%') | (*byte == b'\\') | (*byte == 0);
        found | special | ((*before == b'/') & ((*byte == b'/') | (*byte == b'.')))
    })
}

/// Appends `/` and the segment, or does what the segment says: nothing for `.`, one back for `..`.
fn append_segment(
    raw: &[u8],
    is_last: bool,
    merge_slashes: bool,
    out: &mut Vec<u8>,
) -> Result<(), PathRefusal> {
    if raw.is_empty() && merge_slashes && !is_last {
        return Ok(());
    }
    let start = out.len();
    out.push(b'/');
    decode_into(raw, out)?;
    let kept = match &out[start + 1..] {
        b"." => start,
        b".." => memchr::memrchr(b'/', &out[..start]).ok_or(PathRefusal::AboveRoot)?,
        segment if has_dots(segment) => return Err(PathRefusal::AmbiguousDots),
        _ => return Ok(()),
    };
    out.truncate(kept);
    if is_last {
        out.push(b'/');
    }
    Ok(())
}

fn decode_into(raw: &[u8], out: &mut Vec<u8>) -> Result<(), PathRefusal> {
    let mut rest = raw;
    while let Some(percent) = memchr::memchr2(b'%', 0, rest) {
        out.extend_from_slice(&rest[..percent]);
        if rest[percent] == 0 {
            return Err(PathRefusal::Nul);
        }
        rest = &rest[percent + 1..];
        match escape(rest).ok_or(PathRefusal::BadPercent)? {
            0 => return Err(PathRefusal::Nul),
            b'/' | b'%' | 0x01..=0x1f | 0x7f => {
                out.extend([b'%', rest[0].to_ascii_uppercase(), rest[1].to_ascii_uppercase()]);
            }
            byte => out.push(byte),
        }
        rest = &rest[2..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(raw: &str) -> Result<String, PathRefusal> {
        let mut scratch = Vec::new();
        let path = normalise_path(raw.as_bytes(), true, &mut scratch)?;
        Ok(String::from_utf8(path.to_vec()).unwrap())
    }

    fn unmerged(raw: &str) -> Result<String, PathRefusal> {
        let mut scratch = Vec::new();
        let path = normalise_path(raw.as_bytes(), false, &mut scratch)?;
        Ok(String::from_utf8(path.to_vec()).unwrap())
    }

    #[test]
    fn every_spelling_of_deny_is_deny() {
        for raw in [
            "/deny",
            "//deny",
            "///deny",
            "/./deny",
            "/././deny",
            "/x/../deny",
            "/%64eny",
            "/%64%65%6e%79",
            "/d%65ny",
            "/%2e/deny",
            "/x/%2e%2e/deny",
            "/x/%2E./deny",
            "/x/.%2e/deny",
            "/x//../deny",
            "/x/y/../../deny",
            "/x/.//../deny",
            "/.//deny",
            "//./deny",
        ] {
            assert_eq!(normal(raw).as_deref(), Ok("/deny"), "{raw}");
        }
    }

    #[test]
    fn dot_segments_are_resolved_as_rfc_3986_has_it() {
        for (raw, expected) in [
            ("/a/b/c/./../../g", "/a/g"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/../", "/"),
            ("/...", "/..."),
            ("/.a/..b/c.", "/.a/..b/c."),
            ("/.well-known/x", "/.well-known/x"),
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/a//", "/a/"),
            ("/a/..//b", "/b"),
        ] {
            assert_eq!(normal(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn slashes_that_are_not_merged_are_segments() {
        assert_eq!(unmerged("//a//b/").as_deref(), Ok("//a//b/"));
        assert_eq!(unmerged("/a//../b").as_deref(), Ok("/a/b"));
        assert_eq!(unmerged("/a/..//b").as_deref(), Ok("//b"));
    }

    #[test]
    fn nothing_is_decoded_twice_and_no_separator_comes_from_data() {
        for (raw, expected) in [
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/%252e%252e/b", "/%252e%252e/b"),
            ("/%25", "/%25"),
            ("/a%252fb", "/a%252fb"),
            ("/a%0d%0ab%7f%1F", "/a%0D%0Ab%7F%1F"),
            ("/a%20b%3Fc%23d%5c", "/a b?c#d\\"),
            ("/caf%C3%A9", "/café"),
            ("/a;v=1/b;x", "/a;v=1/b;x"),
        ] {
            assert_eq!(normal(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_has_no_normal_form_is_refused_by_name() {
        use PathRefusal::*;
        for (raw, refusal) in [
            ("/%", BadPercent),
            ("/%4", BadPercent),
            ("/%zz", BadPercent),
            ("/a%4g/b", BadPercent),
            ("/%/41", BadPercent),
            ("/a%00b", Nul),
            ("/a\0b", Nul),
            ("/..", AboveRoot),
            ("/../a", AboveRoot),
            ("/a/../../b", AboveRoot),
            ("//../a", AboveRoot),
            ("/%2e%2e/a", AboveRoot),
            ("*", NotAbsolute),
            ("a/b", NotAbsolute),
            ("%2Fa", NotAbsolute),
            ("/a/..%2Fdeny", AmbiguousDots),
            ("/a%2F..%2Fdeny", AmbiguousDots),
            ("/a%2f%2e%2e", AmbiguousDots),
            ("/a/..;/deny", AmbiguousDots),
            ("/.;x/deny", AmbiguousDots),
            ("/a/%2e%2e%3b/deny", AmbiguousDots),
            ("/a/..\\deny", AmbiguousDots),
            ("/a\\..\\deny", AmbiguousDots),
            ("/a%5C..%5Cdeny", AmbiguousDots),
        ] {
            assert_eq!(normal(raw), Err(refusal), "{raw}");
        }
    }

    #[test]
    fn dots_inside_a_name_or_a_parameter_are_not_ambiguous() {
        for raw in
            ["/a..b", "/a;v=..", "/a;..", "/a;v=1.2/b", "/..a;b", "/a%2F..b", "/a%2F...", "/a%252F..%252F"]
        {
            assert!(normal(raw).is_ok(), "{raw}");
        }
    }

    #[test]
    fn a_path_in_its_normal_form_is_borrowed() {
        for raw in ["/", "/v1/models", "/.well-known/acme", "/a;b=c/d", "/caf\u{e9}"] {
            let mut scratch = Vec::new();
            let path = normalise_path(raw.as_bytes(), true, &mut scratch).unwrap();
            assert!(std::ptr::eq(path, raw.as_bytes()), "{raw}");
        }
    }
}
