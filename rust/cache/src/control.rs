//! What a response says of its storing: Cache-Control, its targeted forms, Pragma.

use crate::fields::{Fields, members, unquoted};

/// Delta-seconds that overflow stand for 2^31 (RFC 9111 §1.2.2).
pub const FOREVER: u32 = 1 << 31;

/// Fields that are meant for caches like this one, the nearest first (RFC 9213 §2.2).
pub const TARGETS: [&[u8]; 2] = [b"tidegate-cache-control", b"cdn-cache-control"];

/// A response's directives (RFC 9111 §5.2.2, RFC 5861, RFC 8246).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseControl {
    /// It may not be stored.
    pub no_store: bool,
    /// It may not be used without asking.
    pub no_cache: bool,
    /// It is for one user.
    pub private: bool,
    /// It may be stored though other rules speak against it.
    pub public: bool,
    /// Once stale it may not be used without asking; that is also what `proxy-revalidate` tells a shared cache.
    pub must_revalidate: bool,
    /// It may be stored only where its status is understood, and then `no-store` does not count.
    pub must_understand: bool,
    /// It does not change while it is fresh.
    pub immutable: bool,
    /// Seconds.
    pub max_age: Option<u32>,
    /// Seconds, for shared caches.
    pub s_maxage: Option<u32>,
    /// Seconds.
    pub stale_while_revalidate: Option<u32>,
    /// Seconds.
    pub stale_if_error: Option<u32>,
    /// Whether a targeted field said so; then Cache-Control and Expires do not count (RFC 9213 §2.1).
    pub targeted: bool,
    /// Whether there was any directive at all.
    pub present: bool,
    /// Fields that are not to be used again, from `no-cache="…"` and `private="…"`; lower case.
    pub hidden: Vec<Vec<u8>>,
}

impl ResponseControl {
    /// Reads what applies here: the nearest targeted field that can be read, else Cache-Control.
    pub fn read(fields: &impl Fields) -> Self {
        for name in TARGETS {
            if fields.value(name).is_some()
                && let Some(control) = Self::targeted(fields.values(name))
            {
                return control;
            }
        }
        let mut control = Self::default();
        for value in fields.values(b"cache-control") {
            for member in members(value) {
                let (name, argument) = split(member);
                control.directive(name, argument);
            }
        }
        control
    }

    /// One directive of Cache-Control. What is not known is passed over (RFC 9111 §5.2.3).
    fn directive(&mut self, name: &[u8], argument: Option<&[u8]>) {
        self.present = true;
        let seconds = || seconds(argument);
        match lower(name).as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= !self.hide(argument),
            b"private" => self.private |= !self.hide(argument),
            b"public" => self.public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"immutable" => self.immutable = true,
            // Of several the shortest holds: RFC 9111 §4.2.1 leaves the choice, and a longer one may be wrong.
            b"max-age" => shorter(&mut self.max_age, seconds()),
            b"s-maxage" => shorter(&mut self.s_maxage, seconds()),
            b"stale-while-revalidate" => shorter(&mut self.stale_while_revalidate, seconds()),
            b"stale-if-error" => shorter(&mut self.stale_if_error, seconds()),
            _ => {}
        }
    }

    /// The form that names fields hides only them. `false`: there is no such list, so it means everything.
    fn hide(&mut self, argument: Option<&[u8]>) -> bool {
        let Some(list) = argument else { return false };
        let before = self.hidden.len();
        self.hidden.extend(members(unquoted(list)).map(lower));
        self.hidden.len() > before
    }

    /// A targeted field is a dictionary of structured fields (RFC 9213 §2.1, RFC 9651 §3.2). `None`: it is not one,
    /// or says nothing, so that it is passed over.
    fn targeted<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut entries: Vec<(Vec<u8>, Item)> = Vec::new();
        for line in lines {
            let mut rest = line.trim_ascii();
            while !rest.is_empty() {
                let (key, item, after) = entry(rest)?;
                // Of several entries with one name the last holds (RFC 9651 §4.2.2).
                match entries.iter_mut().find(|(other, _)| *other == key) {
                    Some(kept) => kept.1 = item,
                    None => entries.push((key, item)),
                }
                rest = after.trim_ascii_start();
                if rest.is_empty() {
                    break;
                }
                rest = rest.strip_prefix(b",")?.trim_ascii_start();
                // A comma at the end is an error.
                if rest.is_empty() {
                    return None;
                }
            }
        }
        if entries.is_empty() {
            return None;
        }
        let mut control = Self { targeted: true, present: true, ..Self::default() };
        for (name, item) in &entries {
            let is_set = !matches!(item, Item::Flag(false));
            // RFC 9213 §2.1: a value of the wrong type is no value; freshness that can't be read is none.
            let seconds = match item {
                Item::Integer(number) => {
                    Some(u32::try_from(*number).unwrap_or(if *number < 0 { 0 } else { FOREVER }).min(FOREVER))
                }
                _ => None,
            };
            match name.as_slice() {
                b"no-store" => control.no_store = is_set,
                b"no-cache" => control.no_cache = is_set,
                b"private" => control.private = is_set,
                b"public" => control.public = is_set,
                b"must-revalidate" | b"proxy-revalidate" => control.must_revalidate |= is_set,
                b"must-understand" => control.must_understand = is_set,
                b"immutable" => control.immutable = is_set,
                b"max-age" => control.max_age = seconds,
                b"s-maxage" => control.s_maxage = seconds,
                b"stale-while-revalidate" => control.stale_while_revalidate = seconds,
                b"stale-if-error" => control.stale_if_error = seconds,
                _ => {}
            }
        }
        Some(control)
    }

    /// Whether the response may be kept though it answers a request with Authorization (RFC 9111 §3.5).
    pub fn allows_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// Whether a stale response may never be given, whatever a client or a setting allows (RFC 9111 §4.2.4).
    pub fn forbids_stale(&self) -> bool {
        // `s-maxage` implies `proxy-revalidate` (RFC 9111 §5.2.2.10).
        self.must_revalidate || self.no_cache || self.s_maxage.is_some()
    }
}

/// The value of a directive in seconds. One that can't be read makes the response stale at once (RFC 9111 §4.2.1).
fn seconds(argument: Option<&[u8]>) -> u32 {
    argument.and_then(|text| delta_seconds(unquoted(text))).unwrap_or(0)
}

/// Digits only; too many stand for [`FOREVER`].
pub fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text
        .iter()
        .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(number.min(u64::from(FOREVER)) as u32)
}

fn shorter(kept: &mut Option<u32>, seconds: u32) {
    *kept = Some(kept.map_or(seconds, |kept| kept.min(seconds)));
}

/// Name and argument. White space around `=` makes it another word (RFC 9111 §5.2 has none there).
pub fn split(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    match member.iter().position(|byte| *byte == b'=') {
        Some(at) => (&member[..at], Some(&member[at + 1..])),
        None => (member, None),
    }
}

/// In lower case.
pub fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Flag(bool),
    Integer(i64),
    Other,
}

/// One entry of a dictionary and what follows it; `None` where it is none.
fn entry(text: &[u8]) -> Option<(Vec<u8>, Item, &[u8])> {
    let (key, mut rest) = key(text)?;
    let mut item = Item::Flag(true);
    if let Some(after) = rest.strip_prefix(b"=") {
        (item, rest) = bare_item_or_list(after)?;
    }
    Some((key.to_vec(), item, parameters(rest)?))
}

fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *text.first()?;
    if !(first.is_ascii_lowercase() || first == b'*') {
        return None;
    }
    let end = text
        .iter()
        .position(|byte| {
            !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*'))
        })
        .unwrap_or(text.len());
    Some(text.split_at(end))
}

fn parameters(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some(after) = rest.strip_prefix(b";") {
        let (_, after) = key(after.trim_ascii_start())?;
        rest = match after.strip_prefix(b"=") {
            Some(value) => bare_item(value)?.1,
            None => after,
        };
    }
    Some(rest)
}

fn bare_item_or_list(text: &[u8]) -> Option<(Item, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b"(") else { return bare_item(text) };
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b")") {
            return Some((Item::Other, after));
        }
        let (_, after) = bare_item(rest)?;
        rest = parameters(after)?;
        if !matches!(rest.first()?, b' ' | b')') {
            return None;
        }
    }
}

fn bare_item(text: &[u8]) -> Option<(Item, &[u8])> {
    match text.first()? {
        b'?' => match text.get(1)? {
            b'0' => Some((Item::Flag(false), &text[2..])),
            b'1' => Some((Item::Flag(true), &text[2..])),
            _ => None,
        },
        b'-' | b'0'..=b'9' => {
            let sign = usize::from(text[0] == b'-');
            let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let rest = &text[sign + digits..];
            if digits == 0 || digits > 15 {
                return None;
            }
            if let Some(fraction) = rest.strip_prefix(b".") {
                let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
                return ((1..=3).contains(&length) && digits <= 12)
                    .then(|| (Item::Other, &fraction[length..]));
            }
            let number: i64 = std::str::from_utf8(&text[..sign + digits]).ok()?.parse().ok()?;
            Some((Item::Integer(number), rest))
        }
        b'"' => {
            let mut at = 1;
            loop {
                match text.get(at)? {
                    b'\\' if matches!(text.get(at + 1)?, b'"' | b'\\') => at += 2,
                    b'"' => return Some((Item::Other, &text[at + 1..])),
                    0x20..=0x5b | 0x5d..=0x7e => at += 1,
                    _ => return None,
                }
            }
        }
        b':' => {
            let end = text[1..].iter().position(|byte| *byte == b':')? + 2;
            Some((Item::Other, &text[end..]))
        }
        first if first.is_ascii_alphabetic() || *first == b'*' => {
            let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(byte);
            let end = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
            Some((Item::Other, &text[end..]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Pairs;

    fn read(lines: &[(&str, &str)]) -> ResponseControl {
        let pairs = lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        ResponseControl::read(&Pairs(pairs.collect()))
    }

    #[test]
    fn numbers_are_digits_and_too_large_ones_are_forever() {
        assert_eq!(delta_seconds(b"003600"), Some(3600));
        assert_eq!(delta_seconds(b"99999999999999999999999"), Some(FOREVER));
        for text in ["", "-1", "1.5", "a1", "1a", "'1'", "+1"] {
            assert_eq!(delta_seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn freshness_that_cannot_be_read_is_none_at_all() {
        for text in ["max-age=-1", "max-age=1.5", "max-age=", "max-age", "max-age= 60", "max-age='60'"] {
            assert_eq!(read(&[("Cache-Control", text)]).max_age, Some(0), "{text}");
        }
        assert_eq!(read(&[("Cache-Control", "max-age =60")]).max_age, None, "another word");
    }

    #[test]
    fn fields_by_name_are_hidden_and_the_rest_may_be_used() {
        let control = read(&[("Cache-Control", r#"no-cache="A, b", max-age=9"#)]);
        assert!(!control.no_cache);
        assert_eq!(control.hidden, [b"a".to_vec(), b"b".to_vec()]);
        assert!(read(&[("Cache-Control", r#"private="""#)]).private, "a list of nothing is no list");
    }

    #[test]
    fn the_nearest_targeted_field_wins() {
        let control = read(&[
            ("Cache-Control", "no-store"),
            ("CDN-Cache-Control", "max-age=5"),
            ("Tidegate-Cache-Control", "max-age=7;x=\"y\", must-revalidate"),
        ]);
        assert_eq!((control.max_age, control.must_revalidate, control.no_store), (Some(7), true, false));
    }

    #[test]
    fn a_targeted_field_that_is_no_dictionary_is_passed_over() {
        for text in
            ["max-age=5,", "Max-Age=5", "max-age=\"5", "", "max-age=5 no-store", "=5", "max-age=(1", "a=?2"]
        {
            let control = read(&[("Cache-Control", "max-age=9"), ("CDN-Cache-Control", text)]);
            assert_eq!((control.max_age, control.targeted), (Some(9), false), "{text}");
        }
    }

    #[test]
    fn a_targeted_value_of_the_wrong_type_is_no_value() {
        for text in ["max-age=\"5\"", "max-age=5.5", "max-age", "max-age=(5)", "max-age=a"] {
            let control = read(&[("CDN-Cache-Control", text)]);
            assert_eq!((control.max_age, control.targeted), (None, true), "{text}");
        }
        assert!(!read(&[("CDN-Cache-Control", "no-store=?0, max-age=1")]).no_store);
    }
}
