//! Reads as much of a request as an answer depends on.

/// A head longer than this is not what a benchmark sends.
const HEAD_MAX: usize = 64 * 1024;
/// A body longer than this neither.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A whole answer.
    Whole(Dialect),
    /// A stream.
    Stream(Dialect, Schedule),
    /// Something else.
    Unknown,
}

/// Whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

/// Of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Nanoseconds between two events.
    pub gap: u64,
    /// How many.
    pub events: u32,
    /// Whether a chunk with usage comes at the end (OpenAI).
    pub usage: bool,
}

/// The bytes are no request that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The first request of `bytes` and how long it is; `None` until it is whole.
pub fn take(bytes: &[u8]) -> Result<Option<(Asked, usize)>, Malformed> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_MAX { Err(Malformed) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Malformed)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().ok_or(Malformed)?, words.next().ok_or(Malformed)?);
    let mut length = 0_usize;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| Malformed)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Malformed);
        }
    }
    let start = end + 4;
    if length > BODY_MAX {
        return Err(Malformed);
    }
    let Some(body) = bytes.get(start..start + length) else { return Ok(None) };
    Ok(Some((asked(method, path, body), start + length)))
}

fn asked(method: &str, path: &str, body: &[u8]) -> Asked {
    let path = path.split('?').next().unwrap_or_default();
    let dialect = if path.ends_with("/chat/completions") {
        Dialect::OpenAi
    } else if path.ends_with("/messages") {
        Dialect::Anthropic
    } else {
        return Asked::Unknown;
    };
    if method != "POST" {
        return Asked::Unknown;
    }
    if value_of(body, b"\"stream\"").is_some_and(|value| value.starts_with(b"true")) {
        let usage = value_of(body, b"\"include_usage\"").is_some_and(|value| value.starts_with(b"true"));
        let model = value_of(body, b"\"model\"").unwrap_or_default();
        return match schedule(model, usage) {
            Some(schedule) => Asked::Stream(dialect, schedule),
            None => Asked::Unknown,
        };
    }
    Asked::Whole(dialect)
}

/// Of `"stream-20x200"`: 20 events a second, 200 in all.
fn schedule(model: &[u8], usage: bool) -> Option<Schedule> {
    let text = model.strip_prefix(b"\"stream-")?;
    let text = std::str::from_utf8(&text[..text.iter().position(|byte| *byte == b'"')?]).ok()?;
    let (rate, events) = text.split_once('x')?;
    let (rate, events): (u64, u32) = (rate.parse().ok()?, events.parse().ok()?);
    Some(Schedule { gap: 1_000_000_000_u64.checked_div(rate)?, events, usage })
}

/// What follows a name of the body and its colon. The bench's own bodies name nothing twice.
fn value_of<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after = &body[find(body, name)? + name.len()..];
    let colon = after.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let value = after[colon..].strip_prefix(b":")?;
    Some(value.trim_ascii_start())
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str, body: &str) -> Vec<u8> {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    }

    #[test]
    fn a_request_is_taken_once_it_is_whole() {
        let bytes = post("/v1/chat/completions", r#"{"model":"m","messages":[]}"#);
        for cut in 0..bytes.len() {
            assert_eq!(take(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(take(&bytes), Ok(Some((Asked::Whole(Dialect::OpenAi), bytes.len()))));
    }

    #[test]
    fn a_stream_s_schedule_is_in_its_model_s_name() {
        let bytes = post("/a/v1/messages?x=1", r#"{"model": "stream-20x200", "stream": true}"#);
        let schedule = Schedule { gap: 50_000_000, events: 200, usage: false };
        assert_eq!(take(&bytes), Ok(Some((Asked::Stream(Dialect::Anthropic, schedule), bytes.len()))));
    }

    #[test]
    fn usage_is_sent_to_those_who_ask() {
        let body = r#"{"model":"stream-4x1","stream":true,"stream_options":{"include_usage":true}}"#;
        let Ok(Some((Asked::Stream(_, schedule), _))) = take(&post("/v1/chat/completions", body)) else {
            panic!("no stream");
        };
        assert!(schedule.usage);
    }

    #[test]
    fn a_model_without_a_schedule_streams_nothing() {
        for model in ["m", "stream-0x3", "stream-x", "stream-1x"] {
            let body = format!(r#"{{"model":"{model}","stream":true}}"#);
            let bytes = post("/v1/messages", &body);
            assert_eq!(take(&bytes), Ok(Some((Asked::Unknown, bytes.len()))), "{model}");
        }
    }

    #[test]
    fn a_chunked_request_is_refused() {
        assert_eq!(take(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Malformed));
    }
}
