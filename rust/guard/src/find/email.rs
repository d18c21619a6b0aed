//! E-mail addresses, as people have them: no quotes, no comments, a domain with a letter at its end.

use std::ops::Range;

/// RFC 5321 §4.5.3.1.1.
const LOCAL_MOST: usize = 64;

/// RFC 5321 §4.5.3.1.2.
const DOMAIN_MOST: usize = 255;

pub fn find(text: &str, mut found: impl FnMut(Range<usize>)) {
    for at in memchr::memchr_iter(b'@', text.as_bytes()) {
        if let Some(range) = around(text, at) {
            found(range);
        }
    }
}

fn around(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, after) = (&text[..at], &text[at + 1..]);
    let mut start = at;
    for (place, character) in before.char_indices().rev() {
        if !(character.is_alphanumeric() || "._%+-'".contains(character)) {
            break;
        }
        if at - place > LOCAL_MOST {
            return None;
        }
        start = place;
    }
    // Neither a dot nor a quotation mark begins one.
    start += before[start..].len() - before[start..].trim_start_matches(['.', '\'', '-', '%']).len();
    if start == at || before.ends_with('.') {
        return None;
    }
    let end = after
        .char_indices()
        .take(DOMAIN_MOST)
        .find(|(_, character)| !(character.is_alphanumeric() || matches!(character, '.' | '-')))
        .map_or_else(|| after.len().min(after.floor_char_boundary(DOMAIN_MOST)), |(place, _)| place);
    let domain = after[..end].trim_end_matches(['.', '-']);
    let (rest, top) = domain.rsplit_once('.')?;
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    let is_top = top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    (is_top && rest.split('.').all(is_label)).then(|| start..at + 1 + domain.len())
}
