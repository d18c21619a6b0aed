//! Field names and values: which bytes they may have, and which names mean something here.

/// What a field's name means to the transcoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A field like any other.
    Regular,
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    Protocol,
    /// Starts with a colon and is none of the above.
    UnknownPseudo,
    Host,
    ContentLength,
    Cookie,
    Te,
    /// Belongs to an HTTP/1.1 connection (RFC 9113 §8.2.2).
    Connection,
    /// Answers nothing on HTTP/2 (RFC 8441 §5); written anew for HTTP/1.1.
    WebsocketKey,
    WebsocketAccept,
    Uppercase,
    /// Empty, or with a byte that no token has.
    Invalid,
}

impl Name {
    pub(crate) fn is_pseudo(self) -> bool {
        use Name::{Authority, Method, Path, Protocol, Scheme, Status, UnknownPseudo};
        matches!(self, Method | Scheme | Authority | Path | Status | Protocol | UnknownPseudo)
    }
}

/// Tells what a name that came over HTTP/2 means.
pub(crate) fn name(name: &[u8]) -> Name {
    match name {
        b":method" => Name::Method,
        b":scheme" => Name::Scheme,
        b":authority" => Name::Authority,
        b":path" => Name::Path,
        b":status" => Name::Status,
        b":protocol" => Name::Protocol,
        b"host" => Name::Host,
        b"content-length" => Name::ContentLength,
        b"cookie" => Name::Cookie,
        b"te" => Name::Te,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            Name::Connection
        }
        b"sec-websocket-key" => Name::WebsocketKey,
        b"sec-websocket-accept" => Name::WebsocketAccept,
        [b':', ..] => Name::UnknownPseudo,
        _ if is_lower_token(name) => Name::Regular,
        _ if is_token(name) => Name::Uppercase,
        _ => Name::Invalid,
    }
}

/// Whether a value has none of the bytes that end lines or that nothing may be made of, and no white space around it
/// (RFC 9113 §8.2.1, RFC 9110 §5.5).
pub(crate) fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    // Without a branch, so that sixteen bytes are looked at at once.
    let bad =
        value.iter().fold(false, |bad, byte| bad | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f));
    !bad && !blank(value.first()) && !blank(value.last())
}

/// Whether the text may stand in a start line: graphic ASCII and nothing else.
pub(crate) fn is_graphic(text: &[u8]) -> bool {
    text.iter().fold(true, |good, byte| good & (*byte > b' ') & (*byte < 0x7f))
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

fn is_lower_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().fold(true, |good, byte| good & TOKEN[usize::from(*byte)] & !byte.is_ascii_uppercase())
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// `1*DIGIT` up to 2^63 - 1 (RFC 9110 §8.6), as HTTP/1.1 takes it.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .filter(|number| *number <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(name(b"x-a_b.c~1"), Name::Regular);
        assert_eq!(name(b"X-a"), Name::Uppercase);
        for bad in [&b""[..], b"a b", b"a:b", b"a\r\nb", b"a\0", b"\x80", b"a,b", b"a/b"] {
            assert_eq!(name(bad), Name::Invalid);
        }
        assert_eq!(name(b":"), Name::UnknownPseudo);
        assert_eq!(name(b":Path"), Name::UnknownPseudo);
    }

    #[test]
    fn values_have_no_control_bytes_and_no_blanks_around_them() {
        for good in [&b""[..], b"a", b"a b\tc", b"\xff\x80", "ü".as_bytes()] {
            assert!(is_value(good));
        }
        for bad in [&b" "[..], b" a", b"a ", b"\ta", b"a\t", b"a\0b", b"a\rb", b"a\nb", b"\x7f", b"a\x1bb"] {
            assert!(!is_value(bad), "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"9223372036854775807"), Some(i64::MAX as u64));
        for bad in [&b""[..], b"+1", b"-1", b"1 ", b"1,1", b"0x1", b"9223372036854775808"] {
            assert_eq!(decimal(bad), None);
        }
    }
}
