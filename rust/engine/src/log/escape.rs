//! Bytes from the network made safe for a line.

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";

/// As nginx's `log_format` does by default: `"`, `\`, control bytes and everything from 0x7F up become `\xHH`.
pub(super) fn nginx(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some((byte, after)) = rest[plain..].split_first() else { return };
        out.extend_from_slice(&hex_escape(*byte));
        rest = after;
    }
}

/// The same for what stands in `out` from `start` on.
pub(super) fn nginx_in_place(out: &mut Vec<u8>, start: usize) {
    let first = start + plain_prefix(&out[start..]);
    let special = out[first..].iter().filter(|byte| !is_plain(**byte)).count();
    if special == 0 {
        return;
    }
    let mut from = out.len();
    let mut to = from + 3 * special;
    out.resize(to, 0);
    // From the end, so that nothing is overwritten before it has been moved.
    while from > first {
        from -= 1;
        let byte = out[from];
        if is_plain(byte) {
            to -= 1;
            out[to] = byte;
        } else {
            to -= 4;
            out[to..to + 4].copy_from_slice(&hex_escape(byte));
        }
    }
}

/// The inside of a JSON string (RFC 8259 §7). Bytes that are no UTF-8 become `\u00HH`, as if they were Latin-1;
/// characters that some readers take for the end of a line are escaped too.
pub(crate) fn json(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(byte) = rest.first() else { return };
        let taken = match byte {
            0x80.. => {
                let run = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
                json_beyond_ascii(&rest[..run], out);
                run
            }
            b'"' | b'\\' => {
                out.extend_from_slice(&[b'\\', *byte]);
                1
            }
            b'\n' => {
                out.extend_from_slice(b"\\n");
                1
            }
            b'\r' => {
                out.extend_from_slice(b"\\r");
                1
            }
            b'\t' => {
                out.extend_from_slice(b"\\t");
                1
            }
            byte => {
                unicode_escape(u32::from(*byte), out);
                1
            }
        };
        rest = &rest[taken..];
    }
}

/// Control characters become `\xHH`; for the error log, whose text is Tidegate's own but may quote others.
pub(super) fn controls(text: &str, out: &mut String) {
    for character in text.chars() {
        if character.is_control() {
            let code = u32::from(character) as usize;
            out.push_str("\\x");
            out.push(char::from(HEX_UPPER[code >> 4 & 15]));
            out.push(char::from(HEX_UPPER[code & 15]));
        } else {
            out.push(character);
        }
    }
}

fn json_beyond_ascii(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => unicode_escape(u32::from(character), out),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            unicode_escape(u32::from(*byte), out);
        }
    }
}

fn unicode_escape(code: u32, out: &mut Vec<u8>) {
    let digit = |shift: u32| HEX_LOWER[(code >> shift & 15) as usize];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

fn hex_escape(byte: u8) -> [u8; 4] {
    [b'\\', b'x', HEX_UPPER[usize::from(byte >> 4)], HEX_UPPER[usize::from(byte & 15)]]
}

/// How many bytes from the start need no escaping in either format. Eight bytes are looked at in one go.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        if has_special(u64::from_ne_bytes(*word)) {
            let within = word.iter().position(|byte| !is_plain(*byte)).unwrap_or(8);
            return at * 8 + within;
        }
    }
    let within = tail.iter().position(|byte| !is_plain(*byte)).unwrap_or(tail.len());
    bytes.len() - tail.len() + within
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f) && byte != b'"' && byte != b'\\'
}

/// Whether one of eight bytes is not plain: a borrow into a byte's highest bit tells a zero, or one below 0x20.
fn has_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_in(word ^ (ONES * b'"' as u64));
    let backslash = zero_in(word ^ (ONES * b'\\' as u64));
    let delete = zero_in(word ^ (ONES * 0x7f));
    (word | below_space | quote | backslash | delete) & HIGH != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(with: fn(&[u8], &mut Vec<u8>), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        with(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The slow and obvious way.
    fn nginx_by_byte(bytes: &[u8]) -> String {
        let mut out = String::new();
        for byte in bytes {
            match byte {
                b'"' | b'\\' | 0..0x20 | 0x7f.. => out += &format!("\\x{byte:02X}"),
                _ => out.push(char::from(*byte)),
            }
        }
        out
    }

    #[test]
    fn every_byte_is_escaped_as_nginx_does_wherever_it_stands() {
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = b"abcdefghijklmnopqrst".to_vec();
                bytes[at] = byte;
                assert_eq!(escaped(nginx, &bytes), nginx_by_byte(&bytes));
            }
        }
    }

    #[test]
    fn escaping_in_place_is_the_same_as_escaping() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let mut out = b"kept\n".to_vec();
            out.extend_from_slice(&bytes);
            nginx_in_place(&mut out, 5);
            assert_eq!(String::from_utf8(out).unwrap(), format!("kept\n{}", nginx_by_byte(&bytes)));
        }
    }

    #[test]
    fn json_escapes_what_rfc_8259_names_and_keeps_utf_8() {
        assert_eq!(escaped(json, b"a\"b\\c\nd\te\r\x01\x7f"), r#"a\"b\\c\nd\te\r\u0001\u007f"#);
        assert_eq!(escaped(json, "Köln 東京 🦀".as_bytes()), "Köln 東京 🦀");
    }

    #[test]
    fn json_writes_bytes_that_are_no_utf_8_as_latin_1() {
        assert_eq!(escaped(json, b"K\xf6ln \xff\xc3"), r"K\u00f6ln \u00ff\u00c3");
        assert_eq!(escaped(json, b"\xe2\x82 caf\xc3\xa9"), "\\u00e2\\u0082 café");
    }

    #[test]
    fn json_leaves_nothing_that_a_reader_could_take_for_the_end_of_a_line() {
        assert_eq!(escaped(json, "a\u{85}b\u{2028}c\u{2029}".as_bytes()), r"a\u0085b\u2028c\u2029");
    }

    #[test]
    fn text_of_the_error_log_stays_one_line() {
        let mut out = String::new();
        controls("a\nb\x1b[31m é", &mut out);
        assert_eq!(out, "a\\x0Ab\\x1B[31m é");
    }
}
