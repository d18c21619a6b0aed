//! Response heads: from bytes to spans.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Response, Status};
use memchr::memchr;
use tidegate_message::{ResponseHead, Span, Version};

use crate::split::{self, FEW_FIELDS, SHORTEST_LINE};
use crate::{Limits, ResponseFault, diagnose};

/// The bytes before the reason phrase: version, space, code, space.
const BEFORE_REASON: usize = "HTTP/1.1 200 ".len();

/// Takes a response's head from the start of `buf`.
///
/// `Ok(None)` says that it is not complete yet. `Ok(Some(n))` says that its first `n` bytes have been copied
/// into `head.bytes` and that every span is set. A reason phrase may be missing, and so may the space before
/// it, which many servers leave out (RFC 9112 §4 asks for the space). Nothing may stand before the head.
///
/// # Errors
/// The first cause for which the answer cannot be relayed; the connection must not be used again.
///
/// # Cost
/// Linear in `buf` per call; see [`parse_response_after`].
pub fn parse_response(
    buf: &[u8],
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseFault> {
    parse_response_after(buf, 0, limits, head)
}

/// As [`parse_response`], for bytes of which the first `seen` were found incomplete by an earlier call.
///
/// A head that drips in costs at most `head_fields + 2` readings of it plus one look at each byte.
///
/// # Errors
/// As [`parse_response`].
pub fn parse_response_after(
    buf: &[u8],
    seen: usize,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseFault> {
    head.clear();
    let window = &buf[..buf.len().min(limits.head_bytes)];
    let whole = window.len() == limits.head_bytes;
    if window.is_empty() || (seen > 0 && memchr(b'\n', window.get(seen..).unwrap_or_default()).is_none()) {
        return if whole { Err(ResponseFault::HeadTooLarge) } else { Ok(None) };
    }
    // The tokenizer skips empty lines; what was asked for cannot start with one.
    if window[0] != b'H' {
        return Err(ResponseFault::NotHttp);
    }
    let mut few = [const { MaybeUninit::uninit() }; FEW_FIELDS];
    let outcome = match split(window, &mut few[..limits.head_fields.min(FEW_FIELDS)], head) {
        Err(Some(Error::TooManyHeaders)) if limits.head_fields > FEW_FIELDS => {
            let most = limits.head_fields.min(window.len() / SHORTEST_LINE + 1);
            split(window, &mut vec![MaybeUninit::uninit(); most], head)
        }
        outcome => outcome,
    };
    match outcome {
        Ok(Some(_)) if !(100..=599).contains(&head.status) => Err(ResponseFault::InvalidStatus),
        Ok(Some(length)) => Ok(Some(length)),
        Ok(None) if whole => Err(ResponseFault::HeadTooLarge),
        Ok(None) => Ok(None),
        Err(error) => {
            // Spans without their bytes would point nowhere.
            head.clear();
            Err(match error {
                Some(Error::TooManyHeaders) => ResponseFault::TooManyFields,
                _ => diagnose::response(window, limits.head_fields),
            })
        }
    }
}

fn split<'b>(
    window: &'b [u8],
    headers: &mut [MaybeUninit<Header<'b>>],
    head: &mut ResponseHead,
) -> Result<Option<usize>, Option<Error>> {
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, window, headers);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(Some(error)),
    };
    let (Some(code), Some(version)) = (response.code, response.version) else { return Err(None) };
    let line_end = split::fields(window, length, response.headers, &mut head.fields).map_err(|_| None)? - 2;
    head.bytes.extend_from_slice(&window[..length]);
    head.status = code;
    head.version = if version == 0 { Version::Http10 } else { Version::Http11 };
    head.reason = Span::new(BEFORE_REASON.min(line_end), line_end);
    Ok(Some(length))
}
