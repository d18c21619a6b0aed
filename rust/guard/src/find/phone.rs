//! Telephone numbers: international ones, and the national shapes that can hardly be anything else.

use std::ops::Range;

use crate::chars::{Digits, before, is_number_alone, stands_alone};

pub fn at(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    if text[..run].ends_with('+') {
        return international(text, run);
    }
    american(text, run, digits).or_else(|| trunk(text, run, digits))
}

/// `+49 (0) 171 123-4567`: 8 to 15 digits (ITU-T E.164 §6.1), none of which is a leading zero.
fn international(text: &str, run: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut count, mut end) = (0, run);
    let mut separators = 0;
    for (at, byte) in bytes.iter().enumerate().skip(run) {
        match byte {
            b'0'..=b'9' => {
                count += 1;
                separators = 0;
                end = at + 1;
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' => {
                separators += 1;
                if separators > 2 {
                    break;
                }
            }
            _ => break,
        }
        if count > 15 {
            return None;
        }
    }
    let start = run - 1;
    ((8..=15).contains(&count) && bytes[run] != b'0' && stands_alone(text, start, end)).then_some(start..end)
}

/// `(212) 555-0123`, `212-555-0123`, `212.555.0123`, `1-212-555-0123`.
fn american(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let plan = |area: &[u8], exchange: &[u8]| area[0] >= 2 && exchange[0] >= 2;
    let bracket = before(text, run) == Some('(');
    if bracket && bytes.get(run + 3) == Some(&b')') {
        let area = text.get(run..run + 3)?;
        let rest = run + 4 + usize::from(bytes.get(run + 4) == Some(&b' '));
        digits.read(bytes, rest, b"-. ");
        let sizes: Vec<usize> = digits.sizes(2).collect();
        let end = digits.groups.get(1)?.1;
        let area: Vec<u8> = area.bytes().map(|byte| byte.wrapping_sub(b'0')).collect();
        let good = sizes == [3, 4] && area.iter().all(|digit| *digit <= 9) && plan(&area, &digits.values);
        return (good && stands_alone(text, run - 1, end)).then_some(run - 1..end);
    }
    digits.read(bytes, run, b"-.");
    let national = usize::from(digits.values.first() == Some(&1) && digits.groups.first()?.0 == 1);
    let sizes: Vec<usize> = digits.sizes(national + 3).skip(national).collect();
    let end = digits.groups.get(national + 2)?.1;
    let numbers = digits.values.get(national..national + 10)?;
    (sizes == [3, 3, 4] && plan(&numbers[..3], &numbers[3..6]) && is_number_alone(text, run, end))
        .then_some(run..end)
}

/// `030 1234567`, `0171/1234567`, `01 23 45 67 89`, `0049 30 1234567`: a zero, and groups.
fn trunk(text: &str, run: usize, digits: &mut Digits) -> Option<Range<usize>> {
    digits.read(text.as_bytes(), run, b" -/");
    if digits.values.first() != Some(&0) || !(2..=6).contains(&digits.groups.first()?.0) {
        return None;
    }
    for count in (2..=digits.groups.len()).rev() {
        let (length, end) = digits.groups[count - 1];
        let abroad = digits.values.get(1) == Some(&0);
        let good = if abroad { (11..=17).contains(&length) } else { (9..=12).contains(&length) };
        if good && is_number_alone(text, run, end) {
            return Some(run..end);
        }
    }
    None
}
