//! `Vary`: which request fields choose among the answers under one key, and how their values are compared (RFC 9111 §4.1).

use tidegate_plan::CacheVary;

use crate::{
    fields::{Fields, members},
    reason::Reason,
};

/// Names that one `Vary` may have; more are a mistake or an attack.
const NAMES_MOST: usize = 16;

/// The request fields that an answer varies with: lower case, in order, without what is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec(Box<[Box<[u8]>]>);

impl Spec {
    /// Of a response.
    ///
    /// # Errors
    /// It varies with everything, or with too much.
    pub fn read(response: &impl Fields, rules: &CacheVary) -> Result<Self, Reason> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for member in response.values(b"vary").flat_map(members) {
            if member == b"*" {
                return Err(Reason::VaryStar);
            }
            let name = member.to_ascii_lowercase().into_boxed_slice();
            if !rules.ignore.iter().any(|ignored| ignored.as_bytes() == &*name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.dedup();
        if names.len() > NAMES_MOST {
            return Err(Reason::VaryTooMuch);
        }
        Ok(Self(names.into()))
    }

    /// Whether every request is answered alike.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that it takes.
    pub fn weight(&self) -> usize {
        self.0.iter().map(|name| name.len() + 16).sum()
    }

    /// Appends what a request has of these fields, so that two requests write the same where one answer does for both.
    pub fn write_selection(&self, request: &impl Fields, rules: &CacheVary, out: &mut Vec<u8>) {
        for name in &self.0 {
            out.extend_from_slice(b"\nvary ");
            out.extend_from_slice(name);
            if let Some(value) = normalised(name, request, rules) {
                out.extend_from_slice(b": ");
                out.extend_from_slice(&value);
            }
        }
    }
}

/// The value of a request field as it is compared, and where rules name what counts also as it is forwarded; `None`
/// where the request has no such field.
pub fn normalised(name: &[u8], request: &impl Fields, rules: &CacheVary) -> Option<Vec<u8>> {
    request.value(name)?;
    Some(match name {
        b"accept-encoding" if !rules.accept_encoding.is_empty() => codings(request, &rules.accept_encoding),
        b"accept-language" if !rules.accept_language.is_empty() => language(request, &rules.accept_language),
        b"accept-language" | b"accept-encoding" | b"accept-charset" => {
            as_list(name, request).to_ascii_lowercase()
        }
        _ => as_list(name, request),
    })
}

/// All lines as one, with one space behind each comma (RFC 9111 §4.1).
fn as_list(name: &[u8], request: &impl Fields) -> Vec<u8> {
    let mut out = Vec::new();
    for member in request.values(name).flat_map(members) {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(member);
    }
    out
}

/// Those of `known` that the request takes, in the order of `known`; `identity` where it takes none.
fn codings(request: &impl Fields, known: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let weights: Vec<_> = request.values(b"accept-encoding").flat_map(members).map(weighted).collect();
    for coding in known {
        let is_taken = quality(&weights, coding.as_bytes(), b"*").is_some_and(|quality| quality > 0);
        if is_taken {
            if !out.is_empty() {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(coding.as_bytes());
        }
    }
    if out.is_empty() { b"identity".to_vec() } else { out }
}

/// The one of `known` that the request likes best, the first of `known` where it likes several alike or none
/// (RFC 4647 §3.4: ranges match by prefix of subtags).
fn language(request: &impl Fields, known: &[String]) -> Vec<u8> {
    let weights: Vec<_> = request.values(b"accept-language").flat_map(members).map(weighted).collect();
    let liked = |tag: &String| {
        let tag = tag.as_bytes();
        let mut best = None;
        for (range, quality) in &weights {
            let matches = *range == b"*"
                || prefix_of(range, tag)
                // A client that asks for `de-CH` takes `de` before anything else.
                || prefix_of(tag, range);
            // The longest range says most about the tag.
            let rank = if *range == b"*" { 0 } else { range.len() };
            if matches && best.is_none_or(|(longest, _)| rank > longest) {
                best = Some((rank, *quality));
            }
        }
        best.map_or(0, |(_, quality)| quality)
    };
    let mut best: Option<(&String, u16)> = None;
    for tag in known {
        let quality = liked(tag);
        if best.is_none_or(|(_, most)| quality > most) {
            best = Some((tag, quality));
        }
    }
    best.map(|(tag, _)| tag.clone().into_bytes()).unwrap_or_default()
}

fn prefix_of(range: &[u8], tag: &[u8]) -> bool {
    tag.get(..range.len()).is_some_and(|start| start.eq_ignore_ascii_case(range))
        && tag.get(range.len()).is_none_or(|byte| *byte == b'-')
}

fn quality(weights: &[(&[u8], u16)], name: &[u8], any: &[u8]) -> Option<u16> {
    let of = |wanted: &[u8]| {
        weights.iter().find(|(other, _)| other.eq_ignore_ascii_case(wanted)).map(|(_, quality)| *quality)
    };
    of(name).or_else(|| of(any))
}

/// A member and its weight in thousandths (RFC 9110 §12.4.2); one that can't be read counts as 1.
fn weighted(member: &[u8]) -> (&[u8], u16) {
    let mut parts = member.split(|byte| *byte == b';');
    let name = parts.next().unwrap_or_default().trim_ascii();
    let quality = parts
        .find_map(|part| {
            let part = part.trim_ascii();
            part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="))
        })
        .map_or(1000, thousandths);
    (name, quality)
}

fn thousandths(text: &[u8]) -> u16 {
    match text {
        [b'0'] | [b'0', b'.'] => 0,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
            number * 10_u16.pow(3 - digits.len() as u32)
        }
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields::Pairs, testing::rules};

    fn pairs(lines: &[(&str, &str)]) -> Pairs {
        Pairs(
            lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        )
    }

    fn of(name: &str, lines: &[(&str, &str)], rules: &CacheVary) -> String {
        String::from_utf8(normalised(name.as_bytes(), &pairs(lines), rules).unwrap_or_default()).unwrap()
    }

    #[test]
    fn codings_are_those_that_are_told_apart_in_their_order() {
        let rules = rules().vary;
        for (value, wanted) in [
            ("gzip, deflate, br", "br, gzip"),
            ("br;q=0, gzip;q=0.5", "gzip"),
            ("*", "zstd, br, gzip"),
            ("*;q=0, gzip", "gzip"),
            ("identity", "identity"),
            ("gzip;q=0.000", "identity"),
        ] {
            assert_eq!(of("accept-encoding", &[("Accept-Encoding", value)], &rules), wanted, "{value}");
        }
    }

    #[test]
    fn the_best_language_of_those_that_there_are_is_asked_for() {
        let mut rules = rules().vary;
        rules.accept_language = ["en", "de", "pt-BR"].map(String::from).into();
        for (value, wanted) in [
            ("de, en;q=0.5", "de"),
            ("de-CH", "de"),
            ("fr", "en"),
            ("pt;q=0.9, en;q=0.1", "pt-BR"),
            ("*;q=0.1, de;q=0.2", "de"),
        ] {
            assert_eq!(of("accept-language", &[("Accept-Language", value)], &rules), wanted, "{value}");
        }
    }

    #[test]
    fn lines_and_spaces_of_a_list_are_told_apart_by_nobody() {
        let rules = rules().vary;
        let one = of("foo", &[("Foo", "1, 2")], &rules);
        assert_eq!(one, of("foo", &[("Foo", " 1 ,2 ")], &rules));
        assert_eq!(one, of("foo", &[("Foo", "1"), ("Foo", "2")], &rules));
        assert_ne!(one, of("foo", &[("Foo", "2, 1")], &rules));
    }

    #[test]
    fn names_are_put_in_order_and_ignored_ones_left_out() {
        let mut rules = rules().vary;
        rules.ignore = vec!["user-agent".into()];
        let spec = |text: &str| Spec::read(&pairs(&[("Vary", text)]), &rules);
        assert_eq!(spec("B, a, b").unwrap(), spec("A,b").unwrap());
        assert!(spec("User-Agent").unwrap().is_empty());
        assert_eq!(spec("a, *"), Err(Reason::VaryStar));
        let many: Vec<_> = (0..20).map(|number| format!("x{number}")).collect();
        assert_eq!(spec(&many.join(",")), Err(Reason::VaryTooMuch));
    }
}
