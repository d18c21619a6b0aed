//! The slow path: names what is wrong with a head that the tokenizer did not take.
//!
//! It runs once per refused message, so it reads plainly, line by line, in the order of the bytes, and stops
//! at the first defect.

use memchr::memchr;

use crate::{Refusal, ResponseFault};

/// What can be wrong with field lines, whatever they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldDefect {
    BareCr,
    BareLf,
    NulByte,
    ControlByte,
    LeadingWhitespace,
    ObsFold,
    SpaceBeforeColon,
    EmptyName,
    InvalidName,
    MissingColon,
    TooMany,
    /// None of the above: the tokenizer is stricter than this reading.
    Unknown,
}

/// Names the first defect of a request's head; `bytes` starts at its request line and may end anywhere.
pub(crate) fn request(bytes: &[u8], head_fields: usize) -> Refusal {
    let line = Line::first(bytes);
    match request_line(&line) {
        Some(refusal) => refusal,
        None => fields(line.rest, head_fields).into(),
    }
}

/// Names the first defect of a response's head.
pub(crate) fn response(bytes: &[u8], head_fields: usize) -> ResponseFault {
    let line = Line::first(bytes);
    match status_line(&line) {
        Some(fault) => fault,
        None => fields(line.rest, head_fields).into(),
    }
}

/// Names the first defect of field lines that end with an empty line, or anywhere.
pub(crate) fn fields(bytes: &[u8], most: usize) -> FieldDefect {
    let mut rest = bytes;
    let mut count = 0;
    while !rest.is_empty() {
        let line = Line::first(rest);
        rest = line.rest;
        match line.end {
            LineEnd::Lf if line.text.is_empty() => return FieldDefect::BareLf,
            LineEnd::CrLf if line.text.is_empty() => break,
            _ => {}
        }
        if let Some(defect) = field_line(&line, count == 0) {
            return defect;
        }
        count += 1;
        if count > most {
            return FieldDefect::TooMany;
        }
    }
    FieldDefect::Unknown
}

/// A line and how it ends; `text` is without its end, `rest` is what follows.
struct Line<'a> {
    text: &'a [u8],
    end: LineEnd,
    rest: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    CrLf,
    Lf,
    /// The bytes end after the carriage return: the line itself can be judged.
    Cr,
    /// The bytes end before the line does.
    None,
}

impl<'a> Line<'a> {
    fn first(bytes: &'a [u8]) -> Self {
        let Some(feed) = memchr(b'\n', bytes) else {
            return match bytes.strip_suffix(b"\r") {
                Some(text) => Self { text, end: LineEnd::Cr, rest: &[] },
                None => Self { text: bytes, end: LineEnd::None, rest: &[] },
            };
        };
        let (text, rest) = (&bytes[..feed], &bytes[feed + 1..]);
        match text.strip_suffix(b"\r") {
            Some(text) => Self { text, end: LineEnd::CrLf, rest },
            None => Self { text, end: LineEnd::Lf, rest },
        }
    }

    fn is_complete(&self) -> bool {
        self.end != LineEnd::None
    }
}

fn request_line(line: &Line<'_>) -> Option<Refusal> {
    let mut parts = line.text.splitn(3, |byte| *byte == b' ');
    let method = parts.next().unwrap_or_default();
    if let Some(refusal) = method_defect(method, line) {
        return Some(refusal);
    }
    let Some(target) = parts.next() else {
        return line.is_complete().then_some(Refusal::MissingVersion);
    };
    let version = parts.next();
    if target.is_empty() {
        return (line.is_complete() || version.is_some()).then_some(Refusal::WhitespaceInRequestLine);
    }
    if let Some(byte) = target.iter().find(|byte| !(0x21..=0x7e).contains(*byte)) {
        return Some(match byte {
            0 => Refusal::NulByte,
            b'\r' => Refusal::BareCr,
            b'\t' => Refusal::WhitespaceInRequestLine,
            0x80.. => Refusal::NonAsciiInTarget,
            _ => Refusal::ControlInTarget,
        });
    }
    let Some(version) = version else {
        return line.is_complete().then_some(Refusal::MissingVersion);
    };
    version_defect(version, line).or((line.end == LineEnd::Lf).then_some(Refusal::BareLf))
}

fn method_defect(method: &[u8], line: &Line<'_>) -> Option<Refusal> {
    match method.iter().position(|byte| !is_token_byte(*byte)) {
        None if method.is_empty() && !line.text.is_empty() => Some(Refusal::WhitespaceInRequestLine),
        None => None,
        Some(at) => Some(match method[at] {
            b'\r' => Refusal::BareCr,
            b'\t' => Refusal::WhitespaceInRequestLine,
            _ if at == 0 => Refusal::NotHttp,
            0 => Refusal::NulByte,
            _ => Refusal::InvalidMethod,
        }),
    }
}

fn version_defect(version: &[u8], line: &Line<'_>) -> Option<Refusal> {
    const FORM: &[u8] = b"HTTP/";
    if version.is_empty() {
        return line.is_complete().then_some(Refusal::MissingVersion);
    }
    let bad = version.iter().find_map(|byte| match byte {
        0 => Some(Refusal::NulByte),
        b' ' | b'\t' => Some(Refusal::WhitespaceInRequestLine),
        b'\r' => Some(Refusal::BareCr),
        _ => None,
    });
    if bad.is_some() {
        return bad;
    }
    match version.strip_prefix(FORM) {
        Some(b"1.0" | b"1.1") => None,
        // Version 0.9 had no version in its request line, so a request that names it is nonsense.
        Some([b'0', b'.', minor]) if minor.is_ascii_digit() => Some(Refusal::InvalidVersion),
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Some(Refusal::UnsupportedVersion)
        }
        Some(_) if line.is_complete() => Some(Refusal::InvalidVersion),
        // The tokenizer refuses a version as soon as its first bytes exclude the two that are served.
        Some([b'0', ..]) => Some(Refusal::InvalidVersion),
        Some([major, b'.'] | [major]) if major.is_ascii_digit() && *major != b'1' => {
            Some(Refusal::UnsupportedVersion)
        }
        Some(b"" | b"1" | b"1.") => None,
        Some(_) => Some(Refusal::InvalidVersion),
        None if !line.is_complete() && FORM.starts_with(version) => None,
        None => Some(Refusal::InvalidVersion),
    }
}

fn status_line(line: &Line<'_>) -> Option<ResponseFault> {
    const FORM: &[u8] = b"HTTP/";
    let text = line.text;
    let compared = text.len().min(FORM.len());
    if text[..compared] != FORM[..compared] || (line.is_complete() && compared < FORM.len()) {
        return Some(ResponseFault::NotHttp);
    }
    if let Some(defect) = text.iter().find_map(|byte| line_byte_defect(*byte)) {
        return Some(defect.into());
    }
    let rest = &text[compared..];
    let version = &rest[..rest.len().min(3)];
    if version != &b"1.0"[..version.len()] && version != &b"1.1"[..version.len()] {
        return Some(match version {
            [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                ResponseFault::UnsupportedVersion
            }
            [major, b'.'] | [major] if major.is_ascii_digit() && !line.is_complete() => {
                ResponseFault::UnsupportedVersion
            }
            _ => ResponseFault::InvalidStatusLine,
        });
    }
    let rest = &rest[version.len()..];
    match rest.split_first() {
        None => return line.is_complete().then_some(ResponseFault::InvalidStatusLine),
        Some((b' ', rest)) => {
            let code = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            let digits = code.iter().all(u8::is_ascii_digit);
            if !digits
                || code.len() > 3
                || (code.len() < 3 && (line.is_complete() || rest.len() > code.len()))
            {
                return Some(ResponseFault::InvalidStatus);
            }
        }
        Some(_) => return Some(ResponseFault::InvalidStatusLine),
    }
    (line.end == LineEnd::Lf).then_some(ResponseFault::BareLf)
}

fn field_line(line: &Line<'_>, first: bool) -> Option<FieldDefect> {
    if let Some(b' ' | b'\t') = line.text.first() {
        return Some(if first { FieldDefect::LeadingWhitespace } else { FieldDefect::ObsFold });
    }
    let Some(colon) = memchr(b':', line.text) else {
        let bad = line.text.iter().position(|byte| !is_token_byte(*byte));
        return match bad {
            Some(at) => Some(line_byte_defect(line.text[at]).unwrap_or(match line.text[at] {
                // `Name value` is a line without a colon, not a name with a space in it.
                _ if line.is_complete() => FieldDefect::MissingColon,
                b' ' | b'\t' => FieldDefect::SpaceBeforeColon,
                _ => FieldDefect::InvalidName,
            })),
            None if line.is_complete() => Some(FieldDefect::MissingColon),
            None => None,
        };
    };
    let (name, value) = (&line.text[..colon], &line.text[colon + 1..]);
    if name.is_empty() {
        return Some(FieldDefect::EmptyName);
    }
    if let Some(at) = name.iter().position(|byte| !is_token_byte(*byte)) {
        let trailing = name[at..].iter().all(|byte| matches!(byte, b' ' | b'\t'));
        return Some(match line_byte_defect(name[at]) {
            Some(defect) => defect,
            None if trailing => FieldDefect::SpaceBeforeColon,
            None => FieldDefect::InvalidName,
        });
    }
    value
        .iter()
        .find_map(|byte| line_byte_defect(*byte))
        .or((line.end == LineEnd::Lf).then_some(FieldDefect::BareLf))
}

/// The bytes that may stand nowhere in a line (RFC 9110 §5.5); a tab may, in values.
fn line_byte_defect(byte: u8) -> Option<FieldDefect> {
    match byte {
        0 => Some(FieldDefect::NulByte),
        b'\r' => Some(FieldDefect::BareCr),
        b'\t' => None,
        0x01..=0x1f | 0x7f => Some(FieldDefect::ControlByte),
        _ => None,
    }
}

/// Whether `byte` is a `tchar` (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
