//! Patterns on bytes, searched without allocating.

use regex_automata::{
    Input,
    meta::Regex,
    util::{primitives::NonMaxUsize, syntax},
};
use regex_syntax::{
    ParserBuilder,
    hir::{Look, literal::Extractor},
};

/// What a group matched: where it starts and where it ends, two slots for each group.
pub(crate) type Slots = [Option<NonMaxUsize>];

/// A compiled pattern.
///
/// Matching is by bytes: `.` is any byte but a line feed, classes and `(?i)` are ASCII unless the pattern says
/// `(?u)`. So bytes that are no UTF-8 cannot slip past a pattern. Time is linear in the text.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// What any text that matches begins with; empty where the pattern is not anchored.
    prefix: Box<[u8]>,
    /// Groups that have a name, with their numbers.
    named: Box<[(u32, Box<str>)]>,
    groups: usize,
}

impl Pattern {
    /// Why not, in one line, where the pattern is none.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        let regex = Regex::builder()
            .configure(
                Regex::config()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(COMPILED_BYTES))
                    .hybrid_cache_capacity(CACHE_BYTES),
            )
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build(pattern)
            .map_err(|error| explain(&error, pattern))?;
        let info = regex.group_info();
        let named = info.pattern_names(regex_automata::PatternID::ZERO).enumerate();
        let named = named.filter_map(|(group, name)| Some((group as u32, name?.into()))).collect();
        let groups = info.group_len(regex_automata::PatternID::ZERO);
        Ok(Self { prefix: literal_prefix(pattern), named, groups, regex })
    }

    /// The number of its groups, with the whole match as the first.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The groups that have a name, with their numbers.
    pub fn named(&self) -> &[(u32, Box<str>)] {
        &self.named
    }

    /// The number of the group called `name`.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.named.iter().find(|(_, named)| **named == *name).map(|(group, _)| *group as usize)
    }

    /// Whether `text` begins as it must; where not, there is nothing to search.
    pub fn may_match(&self, text: &[u8]) -> bool {
        text.starts_with(&self.prefix)
    }

    /// Whether it is found in `text`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.may_match(text) && self.regex.is_match(Input::new(text))
    }

    /// Finds it in `text` from `start` on, and tells where its groups matched as far as `slots` has room.
    pub fn search(&self, text: &[u8], start: usize, slots: &mut Slots) -> bool {
        self.may_match(text) && self.regex.search_slots(&Input::new(text).range(start..), slots).is_some()
    }
}

/// The part of a text that stands between the two slots of `group`.
pub(crate) fn group_of(slots: &Slots, group: usize) -> Option<(usize, usize)> {
    let start = slots.get(group.checked_mul(2)?).copied().flatten()?;
    let end = slots.get(group * 2 + 1).copied().flatten()?;
    Some((start.get(), end.get()))
}

/// A pattern that begins with `^` and letters fails on most paths by one comparison.
fn literal_prefix(pattern: &str) -> Box<[u8]> {
    let Ok(hir) = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern) else {
        return Box::default();
    };
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return Box::default();
    }
    Extractor::new().extract(&hir).longest_common_prefix().unwrap_or_default().into()
}

fn explain(error: &regex_automata::meta::BuildError, pattern: &str) -> String {
    let parsed = |kind: &dyn std::fmt::Display, column: usize| {
        format!("not a pattern: {kind}, at character {column} of `{pattern}`")
    };
    match error.syntax_error() {
        Some(regex_syntax::Error::Parse(error)) => parsed(error.kind(), error.span().start.column),
        Some(regex_syntax::Error::Translate(error)) => parsed(error.kind(), error.span().start.column),
        _ if error.size_limit().is_some() => {
            format!("the pattern needs more than {COMPILED_BYTES} bytes; use smaller repetitions")
        }
        _ => format!("not a pattern: {error}"),
    }
}

/// Enough for long alternations; `(a{1000}){1000}` is refused.
const COMPILED_BYTES: usize = 1 << 20;

/// What one pattern may keep for its lazy automaton, per thread that runs it.
const CACHE_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_prefix_is_what_every_match_begins_with() {
        let prefix = |pattern: &str| String::from_utf8(literal_prefix(pattern).to_vec()).unwrap();
        assert_eq!(prefix("^/api/v[0-9]+/"), "/api/v");
        assert_eq!(prefix("^/a(?:b|c)"), "/a");
        assert_eq!(prefix("^/ab?"), "/a");
        assert_eq!(prefix("^(?:/a|/b)"), "/");
        assert_eq!(prefix("^/a|/b"), "");
        assert_eq!(prefix("(?i)^/a"), "/");
        assert_eq!(prefix("/a"), "");
        assert_eq!(prefix("(?m)^/a"), "");
    }

    #[test]
    fn a_broken_pattern_is_explained_in_one_line() {
        let why = Pattern::compile("^/a(b").unwrap_err();
        assert_eq!(why, "not a pattern: unclosed group, at character 4 of `^/a(b`");
        let why = Pattern::compile("(a{1000}){1000}").unwrap_err();
        assert!(why.contains("smaller repetitions"), "{why}");
        assert!(!Pattern::compile(r"\p{Nonsense}").unwrap_err().contains('\n'));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_slip_past_a_dot() {
        assert!(Pattern::compile("^/a/.+$").unwrap().is_match(b"/a/\xff"));
    }
}
