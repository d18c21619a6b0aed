//! Base64 as credentials have it (RFC 4648 §4): padded, canonical, nothing between.
//!
//! Forty lines of our own rather than a crate's engine and its options: there is one alphabet, one answer to every
//! question of strictness, and a fixed buffer. The tests compare with the crate.

/// Decodes into the front of `out`. `None` where the text is empty, is not padded to groups of four, has another
/// character or bits behind its last byte, or does not fit.
pub(crate) fn decode<'a>(text: &[u8], out: &'a mut [u8]) -> Option<&'a [u8]> {
    let (groups, []) = text.as_chunks::<4>() else { return None };
    let (last, whole) = groups.split_last()?;
    let mut length = 0;
    for [a, b, c, d] in whole {
        let bits = sextet(*a)? << 18 | sextet(*b)? << 12 | sextet(*c)? << 6 | sextet(*d)?;
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.get_mut(length..length + 3)?.copy_from_slice(&bytes);
        length += 3;
    }
    // Whoever sets bits that belong to no byte has two spellings for one secret.
    let (bits, count) = match *last {
        [a, b, b'=', b'='] => (sextet(a)? << 18 | sextet(b)? << 12, 1),
        [a, b, c, b'='] => (sextet(a)? << 18 | sextet(b)? << 12 | sextet(c)? << 6, 2),
        [a, b, c, d] => (sextet(a)? << 18 | sextet(b)? << 12 | sextet(c)? << 6 | sextet(d)?, 3),
    };
    let [_, bytes @ ..] = bits.to_be_bytes();
    if bytes[count..].iter().any(|byte| *byte != 0) {
        return None;
    }
    out.get_mut(length..length + count)?.copy_from_slice(&bytes[..count]);
    out.get(..length + count)
}

/// Decodes base64url without padding (RFC 4648 §5, RFC 7515 §2), as tokens and keys have it; as strict as [`decode`],
/// but for the empty text, which is no bytes.
pub(crate) fn decode_url(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (groups, rest) = text.as_chunks::<4>();
    for [a, b, c, d] in groups {
        let bits = url(*a)? << 18 | url(*b)? << 12 | url(*c)? << 6 | url(*d)?;
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    match *rest {
        [] => {}
        [a, b] => {
            let bits = url(a)? << 6 | url(b)?;
            out.push((bits >> 4) as u8);
            if bits & 0xf != 0 {
                return None;
            }
        }
        [a, b, c] => {
            let bits = url(a)? << 12 | url(b)? << 6 | url(c)?;
            out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]);
            if bits & 0x3 != 0 {
                return None;
            }
        }
        _ => return None,
    }
    Some(out)
}

/// Encodes as base64url without padding (RFC 4648 §5).
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=group.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * at) & 0x3f) as usize]));
        }
    }
    out
}

/// The last two characters are others than in plain base64.
#[inline]
fn url(character: u8) -> Option<u32> {
    match character {
        b'-' => Some(62),
        b'_' => Some(63),
        b'+' | b'/' => None,
        other => sextet(other),
    }
}

#[inline]
fn sextet(character: u8) -> Option<u32> {
    let value = SEXTETS[character as usize];
    (value != NONE).then_some(u32::from(value))
}

const NONE: u8 = 0xff;
const SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::{decode, decode_url};

    #[test]
    fn the_examples_of_the_rfc_are_decoded() {
        let cases =
            [("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar")];
        for (text, bytes) in cases {
            assert_eq!(decode(text.as_bytes(), &mut [0; 8]), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "", "=", "====", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v=", "Z===", "Zg==Zg==", "Zm 9v", "Zm9v\n",
            "Zm-_",
        ] {
            assert_eq!(decode(text.as_bytes(), &mut [0; 8]), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(decode(b"Zm9vYmFy", &mut [0; 6]), Some(&b"foobar"[..]));
        assert_eq!(decode(b"Zm9vYmFy", &mut [0; 5]), None);
        assert_eq!(decode(b"Zm9vYmFyZm9v", &mut [0; 5]), None);
        assert_eq!(decode(b"Zg==", &mut []), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            let text = STANDARD.encode(&bytes);
            let mut room = [0; 100];
            prop_assert_eq!(decode(text.as_bytes(), &mut room), Some(&bytes[..]));
        }

        #[test]
        fn any_text_of_the_url_alphabet_is_judged_as_the_crate_judges_it(text in "[A-Za-h0-9+/=_-]{0,12}") {
            prop_assert_eq!(decode_url(text.as_bytes()), URL_SAFE_NO_PAD.decode(&text).ok());
        }

        #[test]
        fn what_is_encoded_for_urls_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(super::encode_url(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(decode_url(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn any_text_is_judged_as_the_crate_judges_it(text in "[A-Za-h0-9+/=_ -]{1,12}") {
            let theirs = STANDARD.decode(&text).ok();
            let mut room = [0; 16];
            prop_assert_eq!(decode(text.as_bytes(), &mut room), theirs.as_deref());
        }
    }
}
