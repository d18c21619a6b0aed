//! IP addresses of both versions.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use crate::chars::{before, is_number_alone, is_word};

/// `255.255.255.255`.
const V4_MOST: usize = 15;

/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const V6_MOST: usize = 45;

pub fn v4_at(text: &str, run: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let end = (run..bytes.len().min(run + V4_MOST + 1))
        .find(|at| !(bytes[*at].is_ascii_digit() || bytes[*at] == b'.'))
        .unwrap_or(bytes.len().min(run + V4_MOST + 1));
    let written = text.get(run..end)?.trim_end_matches('.');
    let end = run + written.len();
    // The library takes no leading zeros: such a number could be read as octal.
    let address: Ipv4Addr = written.parse().ok()?;
    let named = !address.is_unspecified() && before(text, run) != Some(':'); // `::ffff:1.2.3.4` is of version 6
    (named && is_number_alone(text, run, end)).then_some(run..end)
}

pub fn find_v6(text: &str, mut found: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut over = 0;
    for colon in memchr::memchr_iter(b':', bytes) {
        if colon < over {
            continue;
        }
        let part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':' || *byte == b'.';
        let back =
            bytes[over..colon].iter().rev().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let start = colon - back;
        over = colon + 1;
        // Most colons stand behind a word: nothing of it is read twice.
        let joined =
            start.checked_sub(1).is_some_and(|at| bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_');
        let goes_on = bytes.get(colon + 1).is_some_and(part);
        if joined || !goes_on {
            continue;
        }
        let length = bytes[start..].iter().take(V6_MOST + 1).take_while(|byte| part(byte)).count();
        over = over.max(start + length);
        let written = text[start..start + length].trim_end_matches('.');
        // `fe80::1:` ends a sentence; `a::b` is a name in programs.
        let written = if written.ends_with("::") { written } else { written.trim_end_matches(':') };
        let is_address = written.bytes().filter(|byte| *byte == b':').count() >= 2
            && written.bytes().any(|byte| byte.is_ascii_digit())
            && written.parse::<Ipv6Addr>().is_ok();
        let end = start + written.len();
        let alone = !before(text, start).is_some_and(|character| is_word(character) || character == ':')
            && !text[end..].chars().next().is_some_and(is_word);
        if is_address && alone {
            found(start..end);
        }
    }
}
