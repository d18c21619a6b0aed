//! International bank account numbers (ISO 13616): a country's length and the remainder of 97.

use std::ops::Range;

use crate::chars::stands_alone;

/// Countries and lengths of the registry.
const LENGTHS: [(&[u8; 2], usize); 79] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"XK", 20),
];

pub fn at(text: &str, run: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let start = run.checked_sub(2)?;
    let country = [bytes[start].to_ascii_uppercase(), bytes[start + 1].to_ascii_uppercase()];
    let length = LENGTHS.iter().find(|(code, _)| **code == country)?.1;
    let (mut at, mut count) = (start, 0);
    let mut remainder = Remainder::default();
    let mut head = [0; 4];
    while count < length {
        let byte = bytes.get(at)?.to_ascii_uppercase();
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' => {
                match head.get_mut(count) {
                    Some(place) => *place = byte,
                    None => remainder.push(byte),
                }
                count += 1;
            }
            b' ' | b'-' if count % 4 == 0 && bytes[at - 1].is_ascii_alphanumeric() => {}
            _ => return None,
        }
        at += 1;
    }
    // The country and the check digits go behind the rest.
    head.iter().for_each(|byte| remainder.push(*byte));
    (head[3].is_ascii_digit() && remainder.0 == 1 && stands_alone(text, start, at)).then_some(start..at)
}

#[derive(Default)]
struct Remainder(u32);

impl Remainder {
    /// Letters count as two digits, from 10 on.
    fn push(&mut self, byte: u8) {
        self.0 = match byte {
            b'0'..=b'9' => self.0 * 10 + u32::from(byte - b'0'),
            letter => self.0 * 100 + u32::from(letter.wrapping_sub(b'A')) + 10,
        } % 97;
    }
}
