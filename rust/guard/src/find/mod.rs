//! What is looked for: one finder for each kind of thing.

mod card;
mod email;
mod iban;
mod ip;
mod keyword;
mod national;
mod phone;
mod secret;
#[cfg(test)]
mod tests;

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::chars::{Digits, next_digit};
pub use keyword::Keywords;

/// Bytes that a compiled pattern may take: a pattern that unfolds to more is refused.
const PATTERN_BYTES: usize = 1 << 20;

/// Bytes that a stream holds back for a pattern whose matches have no longest one; what is longer may pass in part.
pub const PATTERN_WINDOW: usize = 256;

/// Bytes that a stream holds back for personal data: more than the longest e-mail address.
pub const PII_WINDOW: usize = 336;

/// A kind of personal data, or of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pii {
    Card,
    Iban,
    Email,
    Phone,
    Ip,
    Ssn,
    ApiKey,
}

impl Pii {
    /// All there are, in the order in which they win where two are found at one place.
    pub const ALL: [Self; 7] =
        [Self::Iban, Self::Card, Self::Ssn, Self::ApiKey, Self::Email, Self::Ip, Self::Phone];

    /// As the plan and refusals call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::Ssn => "ssn",
            Self::ApiKey => "api_key",
        }
    }

    /// As placeholders call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Ip => "IP",
            Self::Ssn => "SSN",
            Self::ApiKey => "API_KEY",
        }
    }
}

/// Something that is looked for.
#[derive(Debug)]
pub enum Finder {
    /// These kinds.
    Pii(PiiFinder),
    /// These words.
    Keywords(Keywords),
    /// This pattern.
    Pattern(Regex, usize),
}

/// Looks for some kinds of personal data at once.
#[derive(Debug)]
pub struct PiiFinder {
    kinds: Vec<Pii>,
    secrets: Option<secret::Secrets>,
}

impl Finder {
    /// A finder of `pattern`, or why there is none.
    pub fn pattern(pattern: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
            .map_err(|error| error.to_string())?;
        let longest = regex_syntax::parse(pattern).ok().and_then(|parsed| parsed.properties().maximum_len());
        // What stands after a match may decide whether it is one.
        Ok(Self::Pattern(regex, longest.map_or(PATTERN_WINDOW, |longest| longest.min(4096) + 4)))
    }

    /// Calls `found` for every place, with its kind where it is one of several; places may overlap.
    pub fn find(&self, text: &str, mut found: impl FnMut(Range<usize>, Option<Pii>)) {
        match self {
            Self::Pii(finder) => finder.find(text, |range, kind| found(range, Some(kind))),
            Self::Keywords(keywords) => keywords.find(text, |range| found(range, None)),
            Self::Pattern(regex, _) => {
                for place in regex.find_iter(text).filter(|place| !place.is_empty()) {
                    found(place.range(), None);
                }
            }
        }
    }

    /// From where on `text` may become, or go on as, something that is looked for, once more is known of it.
    pub fn open_from(&self, text: &str) -> usize {
        let from = match self {
            Self::Pii(_) => open_pii(text),
            Self::Keywords(keywords) => text.len().saturating_sub(keywords.longest()),
            Self::Pattern(_, window) => text.len().saturating_sub(*window),
        };
        text.floor_char_boundary(from)
    }
}

impl PiiFinder {
    /// A finder of `kinds`.
    pub fn new(kinds: Vec<Pii>) -> Self {
        let secrets = kinds.contains(&Pii::ApiKey).then(secret::Secrets::new);
        Self { kinds, secrets }
    }

    fn find(&self, text: &str, mut found: impl FnMut(Range<usize>, Pii)) {
        let wants = |kind| self.kinds.contains(&kind);
        if wants(Pii::Email) {
            email::find(text, |range| found(range, Pii::Email));
        }
        if wants(Pii::Ip) {
            ip::find_v6(text, |range| found(range, Pii::Ip));
        }
        if let Some(secrets) = &self.secrets {
            secrets.find(text, |range| found(range, Pii::ApiKey));
        }
        let by_digits = [Pii::Card, Pii::Iban, Pii::Phone, Pii::Ip, Pii::Ssn];
        if by_digits.into_iter().any(wants) {
            self.find_by_digits(text, &mut found);
        }
    }

    fn find_by_digits(&self, text: &str, found: &mut impl FnMut(Range<usize>, Pii)) {
        let bytes = text.as_bytes();
        let mut digits = Digits::default();
        let mut at = 0;
        while let Some(start) = next_digit(bytes, at) {
            let run = Run::new(bytes, start);
            at = run.end;
            // Most numbers are told apart by their length and the bytes around them.
            for kind in &self.kinds {
                let range = match kind {
                    Pii::Card if run.may_be_card() => card::at(text, start, &mut digits),
                    Pii::Iban if run.may_be_iban() => iban::at(text, start),
                    Pii::Phone if run.may_be_phone() => phone::at(text, start, &mut digits),
                    Pii::Ip if run.may_be_ip() => ip::v4_at(text, start),
                    Pii::Ssn if run.may_be_national() => national::at(text, start, &mut digits),
                    _ => None,
                };
                if let Some(range) = range {
                    found(range, *kind);
                }
            }
        }
    }
}

/// Digits in a row, and what stands around them.
struct Run {
    first: u8,
    length: usize,
    end: usize,
    /// The byte before, and the one before that; 0 for none.
    before: u8,
    second_before: u8,
    /// The byte after, where a digit follows it; 0 for none.
    joint: u8,
    /// The byte after; 0 for none.
    after: u8,
}

impl Run {
    fn new(bytes: &[u8], start: usize) -> Self {
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = start + length;
        let back = |by| start.checked_sub(by).map_or(0, |at| bytes[at]);
        let after = bytes.get(end).copied().unwrap_or(0);
        let joint = if bytes.get(end + 1).is_some_and(u8::is_ascii_digit) { after } else { 0 };
        Self { first: bytes[start], length, end, before: back(1), second_before: back(2), joint, after }
    }

    /// Whether it is the middle of a word.
    fn is_within_word(&self) -> bool {
        self.before.is_ascii_alphanumeric() || self.before == b'_'
    }

    fn may_be_card(&self) -> bool {
        let grouped = self.length == 4 && matches!(self.joint, b' ' | b'-');
        !self.is_within_word() && (grouped || (13..=19).contains(&self.length))
    }

    fn may_be_iban(&self) -> bool {
        self.length >= 2 && self.before.is_ascii_alphabetic() && self.second_before.is_ascii_alphabetic()
    }

    fn may_be_phone(&self) -> bool {
        let american = match self.length {
            1 => self.first == b'1' && matches!(self.joint, b'-' | b'.'),
            3 => matches!(self.joint, b'-' | b'.') || (self.before == b'(' && self.after == b')'),
            _ => false,
        };
        let trunk = self.first == b'0' && self.length <= 6 && matches!(self.joint, b' ' | b'-' | b'/');
        self.before == b'+' || (!self.is_within_word() && (american || trunk))
    }

    fn may_be_ip(&self) -> bool {
        self.length <= 3 && self.joint == b'.' && !self.is_within_word()
    }

    fn may_be_national(&self) -> bool {
        let british = matches!(self.length, 2 | 6)
            && (self.before.is_ascii_uppercase()
                || (self.before == b' ' && self.second_before.is_ascii_uppercase()));
        let spanish = self.length == 7 && matches!(self.before, b'X'..=b'Z');
        let numeric = match self.length {
            1 => self.joint == b' ',
            3 => matches!(self.joint, b' ' | b'-' | b'.'),
            8 => self.after == b'-' || self.after.is_ascii_uppercase(),
            15 => true,
            _ => false,
        };
        british || spanish || (numeric && !self.is_within_word())
    }
}

/// Personal data is made of words with digits, or is one word: what is still open is the last word, the words with
/// digits before it and one short word before those; or a key in PEM.
fn open_pii(text: &str) -> usize {
    let floor = text.floor_char_boundary(text.len().saturating_sub(PII_WINDOW));
    let mut open = text.len();
    let mut at = text.len();
    let mut numeric = false;
    for word in text[floor..].split_inclusive(char::is_whitespace).rev() {
        at -= word.len();
        let bare = word.trim_end();
        // A word that ends in white space is over, but may be the beginning of a number in groups.
        let last = at + bare.len() == text.len();
        let digits = bare.bytes().any(|byte| byte.is_ascii_digit());
        numeric |= digits;
        if last || digits {
            open = at;
        } else if !bare.is_empty() {
            // `AB 12 34 56 C`
            let begins = bare.len() >= 2 && bare.bytes().rev().take(2).all(|byte| byte.is_ascii_uppercase());
            if begins && (numeric || open == text.len()) {
                open = at;
            }
            break;
        }
    }
    open.min(secret::open_from(text))
}
