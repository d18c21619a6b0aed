//! Rate limits in header fields: what providers say is left, when to come again, and what Tidegate tells its own
//! clients.

mod time;

use std::fmt;
use std::io::Write;

use crate::Dialect;

/// What a provider says is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Headroom {
    /// Of requests.
    pub requests: Option<Room>,
    /// Of tokens; where input and output have limits of their own, of input.
    pub tokens: Option<Room>,
}

/// What is left of one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// So much.
    pub remaining: u64,
    /// Of so much, where it is said.
    pub limit: Option<u64>,
    /// Milliseconds from now until it is full again, where it is said.
    pub reset_ms: Option<u64>,
}

/// A limit of Tidegate's own, for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So much in all.
    pub limit: u64,
    /// So much is left.
    pub remaining: u64,
    /// Milliseconds until it is full again.
    pub reset_ms: u64,
}

/// Reads what is left out of an answer's fields: `x-ratelimit-*` (OpenAI and those who took the names over; windows of
/// a minute where several are told), `anthropic-ratelimit-*`, and the generic `x-ratelimit-remaining` (OpenRouter), which counts
/// requests. `now` is in seconds since 1970.
pub fn headroom<'f>(fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>, now: u64) -> Headroom {
    let mut requests = Draft::default();
    let mut tokens = Draft::default();
    let mut input = Draft::default();
    for (name, value) in fields {
        // Nearly all fields are others.
        if !matches!(
            name.get(..3),
            Some([b'x' | b'X', b'-', b'r' | b'R'] | [b'a' | b'A', b'n' | b'N', b't' | b'T'])
        ) {
            continue;
        }
        let mut buffer = [0; 64];
        let (Some(name), Ok(value)) = (lower(name, &mut buffer), std::str::from_utf8(value)) else {
            continue;
        };
        let value = value.trim();
        let (which, what) = if let Some(rest) = name.strip_prefix("x-ratelimit-") {
            rest.split_once('-').unwrap_or((rest, "requests"))
        } else if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
            let Some((what, which)) = rest.rsplit_once('-') else { continue };
            (which, what)
        } else {
            continue;
        };
        let draft = match what {
            "requests" | "req" | "requests-minute" | "req-minute" => &mut requests,
            "tokens" | "tokens-minute" => &mut tokens,
            "input-tokens" => &mut input,
            _ => continue,
        };
        match which {
            "limit" => draft.limit = time::count(value),
            "remaining" => draft.remaining = time::count(value),
            "reset" => draft.reset_ms = time::until(value, now),
            _ => {}
        }
    }
    Headroom { requests: requests.room(), tokens: tokens.room().or(input.room()) }
}

#[derive(Default)]
struct Draft {
    remaining: Option<u64>,
    limit: Option<u64>,
    reset_ms: Option<u64>,
}

impl Draft {
    fn room(&self) -> Option<Room> {
        Some(Room { remaining: self.remaining?, limit: self.limit, reset_ms: self.reset_ms })
    }
}

/// When to come again, in milliseconds from now: `retry-after-ms`, else `retry-after` as seconds (fractions too, as some
/// providers send them) or as a date (RFC 9110 §10.2.3). A date that has passed is 0. `now` is in seconds since 1970.
pub fn retry_after_ms<'f>(fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>, now: u64) -> Option<u64> {
    let mut after = None;
    for (name, value) in fields {
        let Ok(value) = std::str::from_utf8(value) else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case(b"retry-after-ms") {
            if let Some(ms) = time::millis(value, 1.0) {
                return Some(ms);
            }
        } else if name.eq_ignore_ascii_case(b"retry-after") && after.is_none() {
            after = time::millis(value, 1000.0).or_else(|| {
                let at = time::http_date(value)?;
                Some(at.saturating_sub(now).saturating_mul(1000))
            });
        }
    }
    after
}

/// Appends header lines that tell a client what is left of its limits, in the words of its dialect: Anthropic's names for
/// Anthropic's, OpenAI's for all others. `now` is in seconds since 1970.
pub fn write_limits(
    dialect: Dialect,
    requests: Option<&Limit>,
    tokens: Option<&Limit>,
    now: u64,
    out: &mut Vec<u8>,
) {
    for (what, limit) in [("requests", requests), ("tokens", tokens)] {
        let Some(Limit { limit, remaining, reset_ms }) = limit else { continue };
        let mut line = |before: &str, after: &str, value: &dyn fmt::Display| {
            [before, what, after, ": "].iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            // Writing to memory does not fail.
            let _ = write!(out, "{value}\r\n");
        };
        if dialect == Dialect::Anthropic {
            line("anthropic-ratelimit-", "-limit", limit);
            line("anthropic-ratelimit-", "-remaining", remaining);
            let reset = time::Rfc3339(now.saturating_add(reset_ms.div_ceil(1000)));
            line("anthropic-ratelimit-", "-reset", &reset);
        } else {
            line("x-ratelimit-limit-", "", limit);
            line("x-ratelimit-remaining-", "", remaining);
            line("x-ratelimit-reset-", "", &time::Duration(*reset_ms));
        }
    }
}

/// The name in lower case; `None` for one that is longer than any that is looked for.
fn lower<'b>(name: &[u8], buffer: &'b mut [u8; 64]) -> Option<&'b str> {
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    std::str::from_utf8(buffer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Field = (&'static [u8], &'static [u8]);

    fn room(remaining: u64, limit: u64, reset_ms: u64) -> Option<Room> {
        Some(Room { remaining, limit: Some(limit), reset_ms: Some(reset_ms) })
    }

    #[test]
    fn openais_fields_are_read_with_their_durations() {
        let fields: [Field; 6] = [
            (b"X-RateLimit-Limit-Requests", b"60"),
            (b"x-ratelimit-remaining-requests", b"59"),
            (b"x-ratelimit-reset-requests", b"1s"),
            (b"x-ratelimit-limit-tokens", b"150000"),
            (b"x-ratelimit-remaining-tokens", b" 149984"),
            (b"x-ratelimit-reset-tokens", b"6m0s"),
        ];
        let expected = Headroom { requests: room(59, 60, 1_000), tokens: room(149_984, 150_000, 360_000) };
        assert_eq!(headroom(fields, 0), expected);
    }

    #[test]
    fn anthropics_fields_are_read_with_their_times() {
        let fields: [Field; 6] = [
            (b"anthropic-ratelimit-requests-limit", b"50"),
            (b"anthropic-ratelimit-requests-remaining", b"0"),
            (b"anthropic-ratelimit-requests-reset", b"2026-11-21T08:00:30Z"),
            (b"anthropic-ratelimit-input-tokens-remaining", b"9"),
            (b"anthropic-ratelimit-output-tokens-remaining", b"5"),
            (b"anthropic-ratelimit-input-tokens-limit", b"10"),
        ];
        let now = 1_795_248_000; // 2026-11-21T08:00:00Z
        let tokens = Some(Room { remaining: 9, limit: Some(10), reset_ms: None });
        assert_eq!(headroom(fields, now), Headroom { requests: room(0, 50, 30_000), tokens });
    }

    #[test]
    fn generic_fields_count_requests_and_other_windows_are_left_out() {
        let fields: [Field; 4] = [
            (b"x-ratelimit-remaining", b"7"),
            (b"x-ratelimit-limit", b"10"),
            (b"x-ratelimit-reset", b"1795248010000"),
            (b"x-ratelimit-remaining-tokens-day", b"1"),
        ];
        let expected = Headroom { requests: room(7, 10, 10_000), tokens: None };
        assert_eq!(headroom(fields, 1_795_248_000), expected);
        assert_eq!(headroom([(&b"date"[..], &b"x"[..])], 0), Headroom::default());
    }

    #[test]
    fn retry_after_is_read_in_each_of_its_forms() {
        let read = |name: &'static str, value: &'static str| {
            retry_after_ms([(name.as_bytes(), value.as_bytes())], 784_111_770)
        };
        assert_eq!(read("Retry-After", "20"), Some(20_000));
        assert_eq!(read("retry-after", "0.5"), Some(500));
        assert_eq!(read("retry-after-ms", "1500"), Some(1_500));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(7_000));
        assert_eq!(read("retry-after", "Sat, 05 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(read("retry-after", "soon"), None);
        assert_eq!(read("retry-after", "-3"), None);
        let both: [Field; 2] = [(b"retry-after", b"2"), (b"retry-after-ms", b"1800")];
        assert_eq!(retry_after_ms(both, 0), Some(1_800));
    }

    #[test]
    fn what_is_written_for_a_client_is_what_its_dialect_reads() {
        let requests = Limit { limit: 600, remaining: 12, reset_ms: 61_500 };
        let tokens = Limit { limit: 1_000, remaining: 0, reset_ms: 250 };
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
            let mut out = Vec::new();
            write_limits(dialect, Some(&requests), Some(&tokens), 1_795_248_000, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with("\r\n"));
            let fields = text.trim_end().split("\r\n").map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.as_bytes(), value.as_bytes())
            });
            let read = headroom(fields, 1_795_248_000);
            // Anthropic's times are whole seconds.
            let exact = dialect != Dialect::Anthropic;
            let (first, second) = if exact { (61_500, 250) } else { (62_000, 1_000) };
            assert_eq!(read, Headroom { requests: room(12, 600, first), tokens: room(0, 1_000, second) });
        }
        let mut out = Vec::new();
        write_limits(Dialect::OpenAi, Some(&requests), None, 0, &mut out);
        let expected = "x-ratelimit-limit-requests: 600\r\nx-ratelimit-remaining-requests: 12\r\n\
                        x-ratelimit-reset-requests: 1m1.5s\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn no_value_is_too_strange(value in "[0-9.:TZ+a-z -]{0,40}", any in ".*") {
            for text in [&value, &any] {
                for name in [&b"x-ratelimit-reset-tokens"[..], b"retry-after", b"anthropic-ratelimit-tokens-reset"] {
                    let _ = headroom([(name, text.as_bytes())], 5);
                    let _ = retry_after_ms([(name, text.as_bytes())], 5);
                }
            }
        }
    }
}
