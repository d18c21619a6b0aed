//! Keys of programming interfaces: the shapes that their makers gave them so that they can be found.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::chars::{before, is_word};

/// How a key goes on after its beginning.
#[derive(Debug, Clone, Copy)]
enum Rest {
    /// So many letters, digits, `_` and `-` at least; with a digit among them, since words have none.
    AtLeast(usize),
    /// So many letters and digits, no more.
    Exactly(usize),
    /// Two more parts of a JSON Web Token (RFC 7519 §3).
    Token,
    /// A private key, to the line that ends it (RFC 7468 §10).
    Pem,
}

const SHAPES: [(&str, Rest); 28] = [
    ("sk-", Rest::AtLeast(20)),
    ("sk_live_", Rest::AtLeast(16)),
    ("sk_test_", Rest::AtLeast(16)),
    ("rk_live_", Rest::AtLeast(16)),
    ("tg-", Rest::AtLeast(20)),
    ("AKIA", Rest::Exactly(16)),
    ("ASIA", Rest::Exactly(16)),
    ("ABSK", Rest::AtLeast(60)),
    ("ghp_", Rest::AtLeast(36)),
    ("gho_", Rest::AtLeast(36)),
    ("ghu_", Rest::AtLeast(36)),
    ("ghs_", Rest::AtLeast(36)),
    ("ghr_", Rest::AtLeast(36)),
    ("github_pat_", Rest::AtLeast(36)),
    ("glpat-", Rest::AtLeast(20)),
    ("xoxb-", Rest::AtLeast(20)),
    ("xoxp-", Rest::AtLeast(20)),
    ("xoxa-", Rest::AtLeast(20)),
    ("xoxs-", Rest::AtLeast(20)),
    ("xapp-", Rest::AtLeast(20)),
    ("AIza", Rest::AtLeast(35)),
    ("gsk_", Rest::AtLeast(32)),
    ("hf_", Rest::AtLeast(30)),
    ("npm_", Rest::AtLeast(36)),
    ("pypi-", Rest::AtLeast(50)),
    ("dop_v1_", Rest::AtLeast(60)),
    ("eyJ", Rest::Token),
    (BEGIN, Rest::Pem),
];

const BEGIN: &str = "-----BEGIN ";

/// The longest key of one word; what is longer is passed over.
const KEY_MOST: usize = 4096;

/// The longest private key: more than one of RSA with 16384 bits.
const PEM_MOST: usize = 16 * 1024;

#[derive(Debug)]
pub struct Secrets {
    beginnings: Option<AhoCorasick>,
}

impl Secrets {
    pub fn new() -> Self {
        let beginnings = SHAPES.iter().map(|(beginning, _)| beginning);
        // A few short texts always build.
        Self {
            beginnings: AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(beginnings).ok(),
        }
    }

    pub fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        let Some(beginnings) = &self.beginnings else { return };
        let mut over = 0;
        for begun in beginnings.find_iter(text) {
            let Some((_, rest)) = SHAPES.get(begun.pattern().as_usize()) else { continue };
            // `task-…` is a word; a private key begins with its dashes, whatever stands before.
            let within = !matches!(rest, Rest::Pem) && before(text, begun.start()).is_some_and(is_word);
            if begun.start() < over || within {
                continue;
            }
            if let Some(end) = rest.end(text, begun.start(), begun.end()) {
                found(begun.start()..end);
                over = end;
            }
        }
    }
}

impl Rest {
    /// Where the key ends that has begun with `start..at`.
    fn end(self, text: &str, start: usize, at: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let run = |at: usize| bytes[at..].iter().take(KEY_MOST).take_while(|byte| is_key(byte)).count();
        match self {
            Self::AtLeast(least) => {
                let key = &text[at..at + run(at)];
                // A private key may follow at once.
                let key = key.split("-----").next().unwrap_or_default().trim_end_matches(['-', '_']);
                let digit = key.bytes().any(|byte| byte.is_ascii_digit());
                (key.len() >= least && digit).then_some(at + key.len())
            }
            Self::Exactly(count) => {
                let upper = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
                (run(at) == count && bytes[at..at + count].iter().all(upper)).then_some(at + count)
            }
            Self::Token => {
                let mut end = at + run(at);
                for _ in 0..2 {
                    if bytes.get(end) != Some(&b'.') || run(end + 1) < 8 {
                        return None;
                    }
                    end += 1 + run(end + 1);
                }
                Some(end)
            }
            Self::Pem => {
                let line = &text[at..text.floor_char_boundary((at + 64).min(text.len()))];
                let kind = line.split("-----").next()?;
                if !kind.ends_with("PRIVATE KEY") || kind.len() == line.len() {
                    return None;
                }
                let most = text.floor_char_boundary((start + PEM_MOST).min(text.len()));
                let body = &text[at + kind.len() + 5..most];
                let ends = memchr::memmem::find(body.as_bytes(), b"-----END ");
                // A key that is cut is still most of a key.
                let Some(ends) = ends else { return Some(most) };
                let from = at + kind.len() + 5 + ends + 9;
                let last = text[from..].find("-----").map_or(from, |last| from + last + 5);
                Some(if last - from <= 64 { last } else { from })
            }
        }
    }
}

/// From where on a private key may have begun that has not ended: its first line has spaces in it.
pub fn open_from(text: &str) -> usize {
    let floor = text.floor_char_boundary(text.len().saturating_sub(PEM_MOST));
    let tail = &text[floor..];
    match memchr::memmem::rfind(tail.as_bytes(), BEGIN.as_bytes()) {
        Some(begun) => {
            let ended = memchr::memmem::find(&tail.as_bytes()[begun + BEGIN.len()..], b"-----END ");
            let said = &tail[begun + BEGIN.len()..];
            let other = said.split("-----").next().is_some_and(|kind| {
                kind.len() > 64 || (kind.len() < said.len() && !kind.ends_with("PRIVATE KEY"))
            });
            let over = other || ended.is_some_and(|ended| said[ended + 9..].contains("-----"));
            if over { text.len() } else { floor + begun }
        }
        None => text.len(),
    }
}
