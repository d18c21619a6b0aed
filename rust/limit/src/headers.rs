//! What a client is told about its quota: `RateLimit-Policy`, `RateLimit` and `Retry-After`.
//!
//! The fields are those of draft-ietf-httpapi-ratelimit-headers, as lists of strings with parameters (RFC 9651).

use crate::{Decision, Quota};

/// Appends one policy of `RateLimit-Policy`, as `"name";q=100;w=1`: 100 tokens every second, whatever the burst.
///
/// The window is whole seconds (§2.3); a rate given for another time is told for the next whole second, its
/// tokens rounded down.
pub fn write_policy(out: &mut Vec<u8>, name: &str, quota: &Quota) {
    let (tokens, per_ms) = quota.rate();
    let window = per_ms.div_ceil(1000).min(MAX_INTEGER);
    let tokens = u128::from(tokens) * u128::from(window) * 1000 / u128::from(per_ms);
    write_string(out, name);
    out.extend_from_slice(b";q=");
    write_integer(out, tokens.min(u128::from(MAX_INTEGER)) as u64);
    out.extend_from_slice(b";w=");
    write_integer(out, window);
}

/// Appends one limit of `RateLimit`, as `"name";r=5;t=2`: 5 tokens left, full in 2 seconds. After a refusal `t` is
/// the same time as `Retry-After` (§4).
pub fn write_limit(out: &mut Vec<u8>, name: &str, decision: &Decision) {
    let (remaining, seconds) = match *decision {
        Decision::Allow { remaining, reset } => (remaining, reset.div_ceil(SECOND)),
        Decision::Delay { reset, .. } => (0, reset.div_ceil(SECOND)),
        Decision::Refuse { retry_after, .. } => (0, retry_after_seconds(retry_after)),
    };
    write_string(out, name);
    out.extend_from_slice(b";r=");
    write_integer(out, u64::from(remaining));
    out.extend_from_slice(b";t=");
    write_integer(out, seconds);
}

/// The value of `Retry-After` (RFC 9110 §10.2.3) for a wait of `nanoseconds`: rounded up, at least 1.
pub fn retry_after_seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(SECOND).max(1)
}

/// RFC 9651 §4.1.6. What a string cannot hold, control bytes and what is not ASCII, becomes `_`: no name can
/// end the field.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => out.push(character as u8),
            _ => out.push(b'_'),
        }
    }
    out.push(b'"');
}

fn write_integer(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

const SECOND: u64 = 1_000_000_000;
/// The largest integer of a structured field (RFC 9651 §3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, tokens: u32, per_ms: u64) -> String {
        let mut out = Vec::new();
        write_policy(&mut out, name, &Quota::new(tokens, per_ms, 1, 0).unwrap());
        String::from_utf8(out).unwrap()
    }

    fn limit(decision: Decision) -> String {
        let mut out = b"before ".to_vec();
        write_limit(&mut out, "api", &decision);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_policy_tells_the_rate_for_whole_seconds() {
        assert_eq!(policy("api", 100, 1000), r#""api";q=100;w=1"#);
        assert_eq!(policy("api", 600, 60_000), r#""api";q=600;w=60"#);
        assert_eq!(policy("api", 5, 100), r#""api";q=50;w=1"#);
        assert_eq!(policy("api", 1, 1500), r#""api";q=1;w=2"#);
        assert_eq!(policy("api", u32::MAX, 1), r#""api";q=4294967295000;w=1"#);
    }

    #[test]
    fn a_limit_tells_what_is_left_and_appends() {
        assert_eq!(limit(Decision::Allow { remaining: 5, reset: 1_000_000_001 }), r#"before "api";r=5;t=2"#);
        assert_eq!(limit(Decision::Allow { remaining: 0, reset: 0 }), r#"before "api";r=0;t=0"#);
        assert_eq!(limit(Decision::Delay { wait: 1, reset: SECOND }), r#"before "api";r=0;t=1"#);
    }

    #[test]
    fn a_refusal_tells_the_time_that_retry_after_tells() {
        let refused = Decision::Refuse { retry_after: 2_500_000_000, reset: 90 * SECOND };
        assert_eq!(limit(refused), r#"before "api";r=0;t=3"#);
        assert_eq!(retry_after_seconds(2_500_000_000), 3);
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        let cases = [(0, 1), (1, 1), (SECOND, 1), (SECOND + 1, 2), (u64::MAX, 18_446_744_074)];
        for (nanoseconds, seconds) in cases {
            assert_eq!(retry_after_seconds(nanoseconds), seconds);
        }
    }

    #[test]
    fn no_name_can_end_the_field() {
        assert_eq!(policy("a\"b\\c\r\nX: é", 1, 1000), r#""a\"b\\c__X: _";q=1;w=1"#);
    }
}
