//! Keys: one canonical text for every request that may have the same answer, and its hash.
//!
//! The text is lines: the space, the URL, then what else tells answers apart. No part can hold an end of line, so two
//! different lists of parts never read the same. `tidegate/cachekey.py` writes the same text in Python; a test in
//! `tests/boundary` compares the two.

use tidegate_plan::{CacheKey, CacheQuery};
use xxhash_rust::xxh3::xxh3_128;

use crate::fields::Fields;

/// What a key is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// Lower case, without port.
    pub host: &'a [u8],
    /// As it came; empty for `/`.
    pub path: &'a [u8],
    /// As it came, without `?`; `None` where there is none.
    pub query: Option<&'a [u8]>,
    /// The route's template, rendered; `None` where it has none.
    pub template: Option<&'a [u8]>,
    /// Where something else than the route chose it.
    pub upstream: Option<&'a [u8]>,
    /// What a hook adds to what the origin is sent; `None` where it adds nothing.
    pub added: Option<&'a [u8]>,
}

/// Appends the canonical text.
pub fn write(rules: &CacheKey, parts: &Parts<'_>, fields: &impl Fields, out: &mut Vec<u8>) {
    out.extend_from_slice(rules.space.as_bytes());
    out.push(b'\n');
    write_url(rules, parts, out);
    for name in &rules.headers {
        out.extend_from_slice(b"\nheader ");
        out.extend_from_slice(name.as_bytes());
        for (at, value) in fields.values(name.as_bytes()).enumerate() {
            out.extend_from_slice(if at == 0 { b": " } else { b", " });
            out.extend_from_slice(value);
        }
    }
    for name in &rules.cookies {
        out.extend_from_slice(b"\ncookie ");
        out.extend_from_slice(name.as_bytes());
        if let Some(value) = cookie(fields, name.as_bytes()) {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    let more =
        [(&b"\ntemplate "[..], parts.template), (b"\nupstream ", parts.upstream), (b"\nadded ", parts.added)];
    for (word, part) in more {
        if let Some(part) = part {
            out.extend_from_slice(word);
            // A template may bring in what a client sent; an end of line would be another part.
            out.extend(part.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        }
    }
}

fn write_url(rules: &CacheKey, parts: &Parts<'_>, out: &mut Vec<u8>) {
    if rules.scheme {
        out.extend_from_slice(parts.scheme);
        out.push(b':');
    }
    out.extend_from_slice(b"//");
    if rules.host {
        out.extend_from_slice(parts.host);
    }
    out.extend_from_slice(if parts.path.is_empty() { b"/" } else { parts.path });
    if let Some(query) = parts.query {
        write_query(&rules.query, query, out);
    }
}

/// Appends `?` and what counts of the query, in its order; nothing where nothing does.
pub fn write_query(rules: &CacheQuery, query: &[u8], out: &mut Vec<u8>) {
    if !rules.sort && rules.keep.is_none() && rules.drop.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query);
        return;
    }
    let mut kept: Vec<&[u8]> = query
        .split(|byte| *byte == b'&')
        .filter(|parameter| !parameter.is_empty() && counts(rules, name_of(parameter)))
        .collect();
    if rules.sort {
        // Stable: several of one name stay in their order, which means something.
        kept.sort_by(|a, b| name_of(a).cmp(name_of(b)));
    }
    for (at, parameter) in kept.iter().enumerate() {
        out.push(if at == 0 { b'?' } else { b'&' });
        out.extend_from_slice(parameter);
    }
}

fn name_of(parameter: &[u8]) -> &[u8] {
    let end = parameter.iter().position(|byte| *byte == b'=').unwrap_or(parameter.len());
    &parameter[..end]
}

fn counts(rules: &CacheQuery, name: &[u8]) -> bool {
    let is = |pattern: &String| match pattern.as_bytes() {
        [start @ .., b'*'] => name.starts_with(start),
        whole => name == whole,
    };
    rules.keep.as_ref().is_none_or(|keep| keep.iter().any(is)) && !rules.drop.iter().any(is)
}

fn cookie<'a>(fields: &'a impl Fields, name: &[u8]) -> Option<&'a [u8]> {
    fields.values(b"cookie").flat_map(|value| value.split(|byte| *byte == b';')).find_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (&pair[..equals] == name).then(|| &pair[equals + 1..])
    })
}

/// The hash that a text is found by.
pub fn hash(text: &[u8]) -> u128 {
    xxh3_128(text)
}

/// The URL within a key's text, as prefixes are compared with it: `http://example.com/a?b`.
pub fn url(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'\n').nth(1).unwrap_or_default()
}

/// The host within a key's text.
pub fn host(text: &[u8]) -> &[u8] {
    let url = url(text);
    let start = url.windows(2).position(|pair| pair == b"//").map_or(0, |at| at + 2);
    let rest = &url[start..];
    &rest[..rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields::Pairs, testing::rules};

    fn text(rules: &CacheKey, parts: &Parts<'_>, lines: &[(&str, &str)]) -> String {
        let pairs = lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let mut out = Vec::new();
        write(rules, parts, &Pairs(pairs.collect()), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn parts<'a>() -> Parts<'a> {
        Parts {
            scheme: b"http",
            host: b"a.test",
            path: b"/x",
            query: None,
            template: None,
            upstream: None,
            added: None,
        }
    }

    #[test]
    fn a_key_is_the_url_and_what_else_was_asked_for() {
        let mut rules = rules().key;
        assert_eq!(text(&rules, &parts(), &[]), "shop\nhttp://a.test/x");
        rules.headers = vec!["x-a".into()];
        rules.cookies = vec!["c".into()];
        let lines = [("X-A", "1"), ("x-a", "2"), ("Cookie", "b=1; c=2")];
        assert_eq!(text(&rules, &parts(), &lines), "shop\nhttp://a.test/x\nheader x-a: 1, 2\ncookie c=2");
        assert_eq!(text(&rules, &parts(), &[]), "shop\nhttp://a.test/x\nheader x-a\ncookie c");
        rules = CacheKey { scheme: false, host: false, headers: vec![], cookies: vec![], ..rules };
        assert_eq!(text(&rules, &parts(), &[]), "shop\n///x");
    }

    #[test]
    fn a_template_cannot_pretend_to_be_another_part() {
        let with = Parts { template: Some(b"a\nupstream b"), ..parts() };
        assert!(text(&rules().key, &with, &[]).ends_with("\ntemplate a upstream b"));
    }

    #[test]
    fn parameters_are_chosen_and_put_in_order() {
        let mut rules = rules().key;
        let mut of = |sort, keep: Option<&[&str]>, drop: &[&str], query: &str| {
            let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            rules.query = CacheQuery { sort, keep: keep.map(owned), drop: owned(drop) };
            text(&rules, &Parts { query: Some(query.as_bytes()), ..parts() }, &[])
                .split_off("shop\nhttp://a.test/x".len())
        };
        assert_eq!(of(false, None, &[], "b=1&&a"), "?b=1&&a");
        assert_eq!(of(false, None, &[], ""), "?");
        assert_eq!(of(true, None, &[], "b=2&a=1&b=1&"), "?a=1&b=2&b=1");
        assert_eq!(of(false, None, &["utm_*", "x"], "utm_a=1&y=1&x&xx=1"), "?y=1&xx=1");
        assert_eq!(of(false, Some(&["y"]), &[], "a=1&y=2"), "?y=2");
        assert_eq!(of(false, Some(&[]), &[], "a=1&y=2"), "");
    }

    #[test]
    fn url_and_host_are_found_in_a_text() {
        let text = b"shop\nhttp://a.test/x?y\nheader z";
        assert_eq!(url(text), b"http://a.test/x?y");
        assert_eq!(host(text), b"a.test");
        assert_eq!(host(b"shop\n///x"), b"");
    }
}
