//! National identity and insurance numbers: those of the United States, and of countries whose numbers carry a check.

use std::ops::Range;

use crate::chars::{Digits, is_number_alone, luhn, stands_alone};

pub fn at(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    united_states(text, run, digits)
        .or_else(|| canada(text, run, digits))
        .or_else(|| brazil(text, run))
        .or_else(|| france(text, run, digits))
        .or_else(|| spain(text, run))
        .or_else(|| united_kingdom(text, run))
}

/// The range of groups of exactly these sizes with `separators`, and no further group.
fn grouped(
    text: &str,
    run: usize,
    digits: &mut Digits,
    separators: &[u8],
    sizes: &[usize],
) -> Option<Range<usize>> {
    digits.read(text.as_bytes(), run, separators);
    let same = digits.groups.len() == sizes.len() && digits.sizes(sizes.len()).eq(sizes.iter().copied());
    let end = digits.groups.last()?.1;
    (same && is_number_alone(text, run, end)).then_some(run..end)
}

/// `123-45-6789`; the Social Security Administration never gave out the others.
fn united_states(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    let range = [b"-", b" "].into_iter().find_map(|by| grouped(text, run, digits, by, &[3, 2, 4]))?;
    let number =
        |range: Range<usize>| digits.values[range].iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    let (area, group, serial) = (number(0..3), number(3..5), number(5..9));
    (!matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0).then_some(range)
}

/// `046 454 286`, with Luhn's check.
fn canada(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    let range = [b"-", b" "].into_iter().find_map(|by| grouped(text, run, digits, by, &[3, 3, 3]))?;
    (digits.values[0] != 8 && luhn(&digits.values)).then_some(range)
}

/// CPF: `529.982.247-25`, with two check digits.
fn brazil(text: &str, run: usize) -> Option<Range<usize>> {
    let written = text.get(run..run + 14)?;
    let shape = written.bytes().enumerate().all(|(at, byte)| match at {
        3 | 7 => byte == b'.',
        11 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let values: Vec<u32> =
        written.bytes().filter(u8::is_ascii_digit).map(|byte| u32::from(byte - b'0')).collect();
    let check = |count: usize| {
        let sum: u32 =
            values[..count].iter().zip((2..=count as u32 + 1).rev()).map(|(digit, by)| digit * by).sum();
        values[count] == sum * 10 % 11 % 10
    };
    (shape && check(9) && check(10) && is_number_alone(text, run, run + 14)).then_some(run..run + 14)
}

/// NIR: thirteen digits and a key of two, 97 less the remainder.
fn france(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    let whole = grouped(text, run, digits, b" ", &[15]);
    let range = whole.or_else(|| grouped(text, run, digits, b" ", &[1, 2, 2, 2, 3, 3, 2]))?;
    let number =
        |range: Range<usize>| digits.values[range].iter().fold(0, |sum, digit| sum * 10 + u64::from(*digit));
    let known = matches!(digits.values[0], 1 | 2) && (1..=12).contains(&number(3..5));
    (known && 97 - number(0..13) % 97 == number(13..15)).then_some(range)
}

/// DNI: eight digits and a letter; NIE: `X`, `Y` or `Z`, seven digits and a letter.
fn spain(text: &str, run: usize) -> Option<Range<usize>> {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let bytes = text.as_bytes();
    let length = bytes[run..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let (start, first) = match (length, run.checked_sub(1).map(|at| bytes[at])) {
        (8, _) => (run, 0),
        (7, Some(letter @ b'X'..=b'Z')) => (run - 1, u64::from(letter - b'X')),
        _ => return None,
    };
    let number = bytes[run..run + length].iter().fold(first, |sum, byte| sum * 10 + u64::from(byte - b'0'));
    let at = run + length + usize::from(bytes.get(run + length) == Some(&b'-'));
    let good = bytes.get(at) == Some(&LETTERS[(number % 23) as usize]);
    (good && stands_alone(text, start, at + 1)).then_some(start..at + 1)
}

/// National Insurance: `AB 12 34 56 C`.
fn united_kingdom(text: &str, run: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let spaced = run.checked_sub(1).is_some_and(|at| bytes[at] == b' ');
    let letters = run.checked_sub(2 + usize::from(spaced))?;
    let (first, second) = (bytes[letters], bytes[letters + 1]);
    let never = |byte: u8| b"DFIQUV".contains(&byte) || !byte.is_ascii_uppercase();
    if never(first) || never(second) || second == b'O' {
        return None;
    }
    let (mut at, mut count) = (run, 0);
    while count < 6 {
        match bytes.get(at)? {
            b'0'..=b'9' => count += 1,
            b' ' if count % 2 == 0 && bytes[at - 1] != b' ' => {}
            _ => return None,
        }
        at += 1;
    }
    at += usize::from(bytes.get(at) == Some(&b' '));
    (matches!(bytes.get(at)?, b'A'..=b'D') && stands_alone(text, letters, at + 1)).then_some(letters..at + 1)
}
