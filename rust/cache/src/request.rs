//! What a request says to caches on its way.

use tidegate_message::Method;

use crate::{
    control::{delta_seconds, split},
    fields::{Fields, members, unquoted},
};

/// What of a request matters to a cache, read in one pass over its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// `Cache-Control: no-cache`, or `Pragma: no-cache` where there is no Cache-Control (RFC 9111 §5.4).
    pub no_cache: bool,
    /// Nothing of request or answer may be stored.
    pub no_store: bool,
    /// 504 rather than a word from the origin.
    pub only_if_cached: bool,
    /// The oldest answer that will do, in seconds.
    pub max_age: Option<u32>,
    /// For how many more seconds an answer must be fresh.
    pub min_fresh: Option<u32>,
    /// How stale an answer may be, in seconds.
    pub max_stale: Option<u32>,
    /// It carries credentials (RFC 9111 §3.5).
    pub authorized: bool,
    /// It asks for parts.
    pub range: bool,
    /// It has If-None-Match or If-Modified-Since.
    pub conditional: bool,
    /// It has If-Match or If-Unmodified-Since, which only an origin can answer (RFC 9111 §4.3.2).
    pub precondition: bool,
    /// It is a HEAD.
    pub head: bool,
}

impl RequestFacts {
    /// Reads them. Without `control` the request's own wishes do not count.
    pub fn read(fields: &impl Fields, method: Method, control: bool) -> Self {
        let mut facts = Self { head: method == Method::Head, ..Self::default() };
        let mut pragma = false;
        let mut has_control = false;
        for (name, value) in fields.lines() {
            match name.len() {
                13 if name.eq_ignore_ascii_case(b"cache-control") => {
                    has_control = true;
                    facts.directives(value, control);
                }
                13 if name.eq_ignore_ascii_case(b"authorization") => facts.authorized = true,
                13 if name.eq_ignore_ascii_case(b"if-none-match") => facts.conditional = true,
                17 if name.eq_ignore_ascii_case(b"if-modified-since") => facts.conditional = true,
                5 if name.eq_ignore_ascii_case(b"range") => facts.range = true,
                8 if name.eq_ignore_ascii_case(b"if-match") => facts.precondition = true,
                19 if name.eq_ignore_ascii_case(b"if-unmodified-since") => facts.precondition = true,
                6 if name.eq_ignore_ascii_case(b"pragma") => {
                    pragma |= members(value).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
                }
                _ => {}
            }
        }
        facts.no_cache |= pragma && !has_control && control;
        facts
    }

    fn directives(&mut self, value: &[u8], control: bool) {
        for member in members(value) {
            let (name, argument) = split(member);
            let seconds = || argument.and_then(|text| delta_seconds(unquoted(text)));
            let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
            if is(b"no-store") {
                // A matter of privacy: it counts whatever the setting.
                self.no_store = true;
            } else if !control {
            } else if is(b"no-cache") {
                self.no_cache = true;
            } else if is(b"only-if-cached") {
                self.only_if_cached = true;
            } else if is(b"max-age") {
                // One that can't be read asks for what is new.
                self.max_age = Some(seconds().unwrap_or(0));
            } else if is(b"min-fresh") {
                self.min_fresh = Some(seconds().unwrap_or(0));
            } else if is(b"max-stale") {
                // Without a number any age will do (RFC 9111 §5.2.1.2).
                self.max_stale = match argument {
                    None => Some(u32::MAX),
                    Some(_) => seconds(),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Pairs;

    fn read(lines: &[(&str, &str)], control: bool) -> RequestFacts {
        let pairs = lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        RequestFacts::read(&Pairs(pairs.collect()), Method::Get, control)
    }

    #[test]
    fn pragma_counts_only_where_there_is_no_cache_control() {
        assert!(read(&[("Pragma", "no-cache")], true).no_cache);
        assert!(!read(&[("Pragma", "no-cache"), ("Cache-Control", "max-stale")], true).no_cache);
        assert!(!read(&[("Pragma", "no-cache")], false).no_cache);
    }

    #[test]
    fn a_client_whose_wishes_do_not_count_still_has_its_privacy() {
        let facts = read(&[("Cache-Control", "no-cache, no-store, only-if-cached, max-age=0")], false);
        assert!(facts.no_store && !facts.no_cache && !facts.only_if_cached && facts.max_age.is_none());
    }

    #[test]
    fn max_stale_without_a_number_allows_any_age() {
        assert_eq!(read(&[("Cache-Control", "max-stale")], true).max_stale, Some(u32::MAX));
        assert_eq!(read(&[("Cache-Control", "max-stale=x")], true).max_stale, None);
    }
}
