//! Percent-encoding: which bytes may stand in which part of a target (RFC 3986 §3.3, §3.4).

use crate::query::escape;

/// A part of a target, and what has to be encoded before it may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path that is a path already: `/` stays, and so does an escape.
    Path,
    /// Data that must stay within one segment of a path.
    Segment,
    /// A query that is a query already: `&` and `=` stay, and so does an escape.
    Query,
    /// A piece of a path inside one parameter's value: escapes stay, `&`, `=` and `+` do not.
    PathInValue,
    /// Data that must stay within one parameter's value.
    Value,
}

/// Encodes in place what stands in `out` from `start` on.
pub(crate) fn encode_tail(out: &mut Vec<u8>, start: usize, place: Place) {
    let tail = &out[start..];
    let growth = 2 * (0..tail.len()).filter(|at| place.must_encode(tail[*at], &tail[at + 1..])).count();
    if growth == 0 {
        return;
    }
    let mut from = out.len();
    out.resize(from + growth, 0);
    let mut to = out.len();
    // From the end, so that nothing is overwritten before it has moved. Behind `to` stands what was behind the
    // byte before, and it begins with two hex digits exactly if that did.
    while from > start {
        from -= 1;
        let byte = out[from];
        if place.must_encode(byte, &out[to..]) {
            to -= 3;
            out[to..to + 3].copy_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        } else {
            to -= 1;
            out[to] = byte;
        }
    }
}

impl Place {
    fn must_encode(self, byte: u8, behind: &[u8]) -> bool {
        let class = CLASSES[byte as usize];
        match self {
            Self::Path | Self::Query | Self::PathInValue if byte == b'%' => escape(behind).is_none(),
            Self::Path => class & (PCHAR | SLASH) == 0,
            Self::Segment => class & PCHAR == 0,
            Self::Query => class & (PCHAR | SLASH | QUERY) == 0,
            Self::PathInValue | Self::Value => class & (PCHAR | SLASH | QUERY) == 0 || class & DELIMITER != 0,
        }
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789ABCDEF"[digit as usize & 15]
}

/// May stand in a segment.
const PCHAR: u8 = 1;
/// Sets segments off, and may stand in a query.
const SLASH: u8 = 2;
/// May stand in a query only.
const QUERY: u8 = 4;
/// Sets parameters off, or means a space there.
const DELIMITER: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'&' | b'=' | b'+' => PCHAR | DELIMITER,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => PCHAR,
            b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b',' | b';' | b':' | b'@' => PCHAR,
            b'/' => SLASH,
            b'?' => QUERY,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &[u8], place: Place) -> String {
        let mut out = b"kept ".to_vec();
        out.extend_from_slice(text);
        encode_tail(&mut out, 5, place);
        String::from_utf8(out.strip_prefix(b"kept ").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_path_keeps_separators_and_escapes_and_loses_everything_else_that_is_no_pchar() {
        assert_eq!(encoded(b"/a b/%2F?x#y", Place::Path), "/a%20b/%2F%3Fx%23y");
        assert_eq!(encoded("/ü".as_bytes(), Place::Path), "/%C3%BC");
        assert_eq!(encoded(b"/\r\n\"<>\\^`{|}", Place::Path), "/%0D%0A%22%3C%3E%5C%5E%60%7B%7C%7D");
        assert_eq!(encoded(b"/a:b@c;d=e,f~", Place::Path), "/a:b@c;d=e,f~");
    }

    #[test]
    fn a_percent_sign_that_begins_no_escape_is_encoded() {
        assert_eq!(encoded(b"%", Place::Path), "%25");
        assert_eq!(encoded(b"%4", Place::Path), "%254");
        assert_eq!(encoded(b"%zz%41", Place::Path), "%25zz%41");
        assert_eq!(encoded(b"%%41", Place::Path), "%25%41");
        assert_eq!(encoded(b"% 41", Place::Path), "%25%2041");
    }

    #[test]
    fn data_stays_within_its_segment_or_its_value() {
        assert_eq!(encoded(b"a/b?c%2F", Place::Segment), "a%2Fb%3Fc%252F");
        assert_eq!(encoded(b"a&b=c+d#e/f?%41", Place::Value), "a%26b%3Dc%2Bd%23e/f?%2541");
        assert_eq!(encoded(b"a&b%2F", Place::PathInValue), "a%26b%2F");
        assert_eq!(encoded(b"a=1&b=%20 #", Place::Query), "a=1&b=%20%20%23");
    }
}
