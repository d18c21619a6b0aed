//! Payment cards: 13 to 19 digits of a known network with Luhn's check, in groups or not.

use std::ops::Range;

use crate::chars::{Digits, is_number_alone, luhn};

pub fn at(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    digits.read(text.as_bytes(), run, b" -");
    for count in (1..=digits.groups.len()).rev() {
        let (length, end) = digits.groups[count - 1];
        let number = &digits.values[..length];
        if is_network(number) && is_grouped(digits, count) && luhn(number) && is_number_alone(text, run, end)
        {
            return Some(run..end);
        }
    }
    None
}

/// The networks' first digits and lengths (ISO/IEC 7812).
fn is_network(digits: &[u8]) -> bool {
    let [a, b, c, d, ..] = *digits else { return false };
    let (two, four) = (
        u32::from(a) * 10 + u32::from(b),
        u32::from(a) * 1000 + u32::from(b) * 100 + u32::from(c) * 10 + u32::from(d),
    );
    match digits.len() {
        13 | 19 if a == 4 => true,
        16 => a == 4 || matches!(two, 35 | 50..=69) || (2221..=2720).contains(&four),
        15 => matches!(two, 34 | 37),
        14 => matches!(two, 36 | 38 | 39) || (3000..=3059).contains(&four),
        17..=19 => matches!(two, 35 | 50 | 56..=69),
        _ => false,
    }
}

/// One group, or groups as cards print them: the first has four digits, none has less than three.
fn is_grouped(digits: &Digits, count: usize) -> bool {
    count == 1
        || digits
            .sizes(count)
            .enumerate()
            .all(|(at, size)| if at == 0 { size == 4 } else { (3..=7).contains(&size) })
}
