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
    if memchr::memchr3(b'%', b'\\', 0, raw).is_some() {
        return false;
    }
    memchr::memchr_iter(b'/', raw).all(|slash| match &raw[slash + 1..] {
        [b'/', ..] => !merge_slashes,
        [b'.'] | [b'.', b'/' | b'.' | b';', ..] => false,
        _ => true,
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
