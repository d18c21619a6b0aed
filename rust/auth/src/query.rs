//! One parameter of a query: finding it, and taking it out.

/// The decoded value of the first parameter called `name` in `query`, which stands without its `?`.
///
/// Parameters stand between `&`, names before the first `=`. Both are percent-decoded (RFC 3986 §2.1), and nothing
/// else: `+` is `+`, because keys in base64 hold it. A parameter with a `%` that two hexadecimal digits do not
/// follow is nobody's. `scratch` is used only where there is something to decode.
pub fn query_parameter<'a>(query: &'a [u8], name: &[u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let (_, value) = query.split(|byte| *byte == b'&').map(split).find(|(written, _)| is(written, name))?;
    if !value.contains(&b'%') {
        return Some(value);
    }
    scratch.clear();
    for byte in Decoded(value) {
        scratch.push(byte?);
    }
    Some(scratch)
}

/// Appends `query` to `out` without the parameters called `name`, and tells whether there was one.
pub fn without_query_parameter(query: &[u8], name: &[u8], out: &mut Vec<u8>) -> bool {
    let mut found = false;
    let mut first = true;
    for parameter in query.split(|byte| *byte == b'&') {
        if is(split(parameter).0, name) {
            found = true;
            continue;
        }
        if !first {
            out.push(b'&');
        }
        first = false;
        out.extend_from_slice(parameter);
    }
    found
}

/// Puts stars in place of the values of the parameters called `name`.
pub fn mask_query_parameter(query: &mut [u8], name: &[u8]) {
    for parameter in query.split_mut(|byte| *byte == b'&') {
        let (written, value) = split(parameter);
        if is(written, name) {
            let start = parameter.len() - value.len();
            parameter[start..].fill(b'*');
        }
    }
}

/// A parameter without `=` has an empty value.
fn split(parameter: &[u8]) -> (&[u8], &[u8]) {
    match parameter.iter().position(|byte| *byte == b'=') {
        Some(equals) => (&parameter[..equals], &parameter[equals + 1..]),
        None => (parameter, b""),
    }
}

/// Whether `written` decodes to `name`.
fn is(written: &[u8], name: &[u8]) -> bool {
    written == name || written.contains(&b'%') && Decoded(written).eq(name.iter().map(|byte| Some(*byte)))
}

/// The bytes behind a percent-encoded text; `None` in place of each `%` that encodes nothing.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = Option<u8>;

    fn next(&mut self) -> Option<Option<u8>> {
        let (byte, rest) = match self.0 {
            [] => return None,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (Some(digit(*high) << 4 | digit(*low)), rest)
            }
            [b'%', rest @ ..] => (None, rest),
            [byte, rest @ ..] => (Some(*byte), rest),
        };
        self.0 = rest;
        Some(byte)
    }
}

/// Of a hexadecimal digit.
fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        _ => (character | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_value_becomes_stars_wherever_it_stands() {
        for (query, expected) in [
            ("key=secret", "key=******"),
            ("a=1&key=x&b=2&k%65y=yy", "a=1&key=*&b=2&k%65y=**"),
            ("key&key=&monkey=1", "key&key=&monkey=1"),
            ("", ""),
        ] {
            let mut query = query.as_bytes().to_vec();
            super::mask_query_parameter(&mut query, b"key");
            assert_eq!(String::from_utf8(query).unwrap(), expected);
        }
    }

    use proptest::prelude::*;

    use super::*;

    fn parameter(query: &str, name: &str) -> Option<String> {
        let mut scratch = b"old".to_vec();
        query_parameter(query.as_bytes(), name.as_bytes(), &mut scratch)
            .map(|value| value.escape_ascii().to_string())
    }

    fn without(query: &str, name: &str) -> (bool, String) {
        let mut out = b"/path?".to_vec();
        let found = without_query_parameter(query.as_bytes(), name.as_bytes(), &mut out);
        (found, String::from_utf8(out[6..].to_vec()).unwrap())
    }

    #[test]
    fn the_first_parameter_of_the_name_counts() {
        assert_eq!(parameter("a=1&key=x&key=y", "key").unwrap(), "x");
        assert_eq!(parameter("key=a=b", "key").unwrap(), "a=b");
        assert_eq!(parameter("key", "key").unwrap(), "");
        assert_eq!(parameter("&&key=x", "key").unwrap(), "x");
    }

    #[test]
    fn names_are_compared_whole_and_with_their_case() {
        for query in ["", "Key=x", "akey=x", "keys=x", "a=key", "a=1;key=x"] {
            assert_eq!(parameter(query, "key"), None, "{query}");
        }
    }

    #[test]
    fn names_and_values_are_percent_decoded_and_plus_is_plus() {
        assert_eq!(parameter("k%65y=a%2Fb%2fc+d", "key").unwrap(), "a/b/c+d");
        assert_eq!(parameter("key=%00%ff", "key").unwrap(), "\\x00\\xff");
        assert_eq!(parameter("a%26key=x&key=y", "key").unwrap(), "y");
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_makes_a_parameter_nobodys() {
        for query in ["key=%", "key=a%2", "key=%zz", "key=%+1", "ke%y=1", "key%=1"] {
            assert_eq!(parameter(query, "key"), None, "{query}");
        }
    }

    #[test]
    fn every_spelling_of_a_parameter_is_taken_out() {
        assert_eq!(without("a=1&key=x&b=%32&k%65y=y", "key"), (true, "a=1&b=%32".into()));
        assert_eq!(without("key=x", "key"), (true, String::new()));
        assert_eq!(without("key=x&a", "key"), (true, "a".into()));
        assert_eq!(without("a=1&&b", "key"), (false, "a=1&&b".into()));
        assert_eq!(without("", "key"), (false, String::new()));
        assert_eq!(without("&key=1&", "key"), (true, "&".into()));
    }

    proptest! {
        #[test]
        fn what_was_taken_out_is_not_found_again(query in "[ake%65y=&x]{0,40}") {
            let (found, rest) = without(&query, "key");
            prop_assert_eq!(parameter(&rest, "key"), None);
            prop_assert!(found || rest == query);
        }

        #[test]
        fn an_encoded_value_is_read_as_it_was(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let encoded: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
            let query = format!("a=1&key={encoded}&b=2");
            let mut scratch = Vec::new();
            prop_assert_eq!(query_parameter(query.as_bytes(), b"key", &mut scratch), Some(&value[..]));
        }
    }
}
