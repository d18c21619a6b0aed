//! Words, in any case, as whole words.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};

use super::PATTERN_BYTES;
use crate::chars::{after, before, is_word};

/// Looks for words.
#[derive(Debug)]
pub struct Keywords {
    plain: Option<AhoCorasick>,
    /// Those with letters beyond ASCII, whose cases are not told by one bit.
    others: Option<Regex>,
    longest: usize,
}

impl Keywords {
    /// A finder of `words`, or why there is none.
    pub fn new(words: &[String]) -> Result<Self, String> {
        if words.is_empty() {
            return Err("there is no word".into());
        }
        if let Some(at) = words.iter().position(|word| word.trim().is_empty()) {
            return Err(format!("word {at} is empty"));
        }
        let (plain, others): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| word.is_ascii());
        let build = |words: &[&String]| AhoCorasick::builder().ascii_case_insensitive(true).build(words);
        let plain =
            if plain.is_empty() { None } else { Some(build(&plain).map_err(|error| error.to_string())?) };
        let others = if others.is_empty() {
            None
        } else {
            // The longest goes first: an alternation takes the first that fits.
            let mut escaped: Vec<String> = others.iter().map(|word| regex::escape(word)).collect();
            escaped.sort_by_key(|word| std::cmp::Reverse(word.len()));
            let bounded: Vec<String> = escaped.iter().map(|word| bounded(word)).collect();
            let pattern = bounded.join("|");
            let mut regex = RegexBuilder::new(&pattern);
            regex.case_insensitive(true).size_limit(16 * PATTERN_BYTES);
            Some(regex.build().map_err(|error| error.to_string())?)
        };
        // Another case may take other bytes: three for one at most. One more character tells that the word is over.
        let length = |word: &String| if word.is_ascii() { word.len() } else { word.len() * 3 };
        Ok(Self { plain, others, longest: words.iter().map(length).max().unwrap_or(0) + 4 })
    }

    /// The longest word, in bytes, and the character after it.
    pub fn longest(&self) -> usize {
        self.longest
    }

    pub fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        // Whether there is any is asked first, which costs least; then one may lie within the other.
        if let Some(plain) = self.plain.as_ref().filter(|plain| plain.is_match(text)) {
            for place in plain.find_overlapping_iter(text) {
                let range = place.range();
                if is_whole(text, &range) {
                    found(range);
                }
            }
        }
        if let Some(others) = &self.others {
            others.find_iter(text).for_each(|place| found(place.range()));
        }
    }
}

/// A word does not go on beyond the place, where it could: `c++` may be followed by a letter.
fn is_whole(text: &str, range: &Range<usize>) -> bool {
    let inside = &text[range.clone()];
    let joined =
        |inner: Option<char>, outer: Option<char>| inner.is_some_and(is_word) && outer.is_some_and(is_word);
    !joined(inside.chars().next(), before(text, range.start))
        && !joined(inside.chars().next_back(), after(text, range.end))
}

fn bounded(word: &str) -> String {
    let edge = |character: Option<char>| if character.is_some_and(is_word) { r"\b" } else { "" };
    format!("{}{word}{}", edge(word.chars().next()), edge(word.chars().next_back()))
}
