//! Request heads: from bytes to spans, with the checks that need no more than the head's start.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};
use memchr::memchr;
use tidegate_message::{Known, Method, RequestHead, Span, Version};

use crate::split::{self, FEW_FIELDS, SHORTEST_LINE};
use crate::{Limits, Refusal, authority, diagnose, target};

/// Takes a request's head from the start of `buf`.
///
/// `Ok(None)` says that it is not complete yet. `Ok(Some(n))` says that the first `n` bytes (one empty line
/// before the request line if there is one, RFC 9112 §2.2, up to and with the empty line at the end) have
/// been copied into `head.bytes`, and that every span is set. What the fields mean for the body is
/// [`request_facts`](crate::request_facts)'s part.
///
/// Up to 64 field lines nothing is allocated once `head` has its room.
///
/// # Errors
/// The first cause for which the head is refused; no more of the connection can be read then. Where the head
/// could be split at all, `head` holds it, so that a log can show it.
///
/// # Cost
/// Linear in `buf` per call. A head that comes in k pieces is read k times; see [`parse_request_after`].
pub fn parse_request(buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Option<usize>, Refusal> {
    parse_request_after(buf, 0, limits, head)
}

/// As [`parse_request`], for bytes of which the first `seen` were found incomplete by an earlier call.
///
/// A head can only end, and a line can only be told wrong, where a line ends. So the bytes are split again
/// only if a line feed is among the new ones, and a head that drips in byte by byte costs at most
/// `head_fields + 2` readings of it plus one look at each byte, not the square of its length.
///
/// # Errors
/// As [`parse_request`].
pub fn parse_request_after(
    buf: &[u8],
    seen: usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, Refusal> {
    head.clear();
    let window = &buf[..buf.len().min(limits.head_bytes)];
    if seen > 0 && memchr(b'\n', window.get(seen..).unwrap_or_default()).is_none() {
        return incomplete(window, limits);
    }
    let lead = match window {
        [b'\r', b'\n', b'\r', b'\n', ..] => return Err(Refusal::EmptyLines),
        [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return incomplete(window, limits),
        [b'\n', ..] | [b'\r', b'\n', b'\n', ..] => return Err(Refusal::BareLf),
        [b'\r', b'\n', b'\r', ..] => return Err(Refusal::BareCr),
        [b'\r', b'\n', ..] => 2,
        [b'\r', ..] => return Err(Refusal::BareCr),
        _ => 0,
    };
    // Not filled before it is used: that would cost more than many a head takes to be read.
    let mut few = [const { MaybeUninit::uninit() }; FEW_FIELDS];
    let outcome = match split(window, lead, &mut few[..limits.head_fields.min(FEW_FIELDS)], head) {
        Err(Some(Error::TooManyHeaders)) if limits.head_fields > FEW_FIELDS => {
            let most = limits.head_fields.min(window.len() / SHORTEST_LINE + 1);
            split(window, lead, &mut vec![MaybeUninit::uninit(); most], head)
        }
        outcome => outcome,
    };
    match outcome {
        Ok(Some(length)) => check(head).map(|()| Some(length)),
        Ok(None) => incomplete(window, limits),
        Err(error) => {
            // Spans without their bytes would point nowhere.
            head.clear();
            Err(match error {
                Some(Error::TooManyHeaders) => Refusal::TooManyFields,
                _ => diagnose::request(&window[lead..], limits.head_fields),
            })
        }
    }
}

/// Splits the head and sets what the request line and the lines say as they stand.
///
/// The error is the tokenizer's, or `None` where it took a line end that is none.
fn split<'b>(
    window: &'b [u8],
    lead: usize,
    headers: &mut [MaybeUninit<Header<'b>>],
    head: &mut RequestHead,
) -> Result<Option<usize>, Option<Error>> {
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(&window[lead..], headers) {
        Ok(Status::Complete(length)) => lead + length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(Some(error)),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(None);
    };
    split::fields(window, length, request.headers, &mut head.fields).map_err(|_| None)?;
    let target_start = lead + method.len() + 1;
    head.bytes.extend_from_slice(&window[..length]);
    head.method = Method::parse(method.as_bytes());
    head.method_name = Span::new(lead, lead + method.len());
    head.target = Span::new(target_start, target_start + target.len());
    head.version = if version == 0 { Version::Http10 } else { Version::Http11 };
    Ok(Some(length))
}

fn incomplete(window: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
    if window.len() < limits.head_bytes {
        return Ok(None);
    }
    // An empty line before the request line does not make the line itself complete.
    let line = window.strip_prefix(b"\r\n").unwrap_or(window);
    Err(if memchr(b'\n', line).is_some() { Refusal::HeadTooLarge } else { Refusal::TargetTooLong })
}

/// The method, the target's form and the Host field (RFC 9112 §3.2).
fn check(head: &mut RequestHead) -> Result<(), Refusal> {
    match head.method {
        Method::Connect => return Err(Refusal::ConnectMethod),
        Method::Trace => return Err(Refusal::TraceMethod),
        _ => {}
    }
    let parts = target::split(&head.bytes, head.target, head.method)?;
    head.path = parts.path;
    head.query = parts.query;
    head.has_query = parts.has_query;

    let mut hosts = head.fields.iter().filter(|field| field.known == Known::Host);
    let host = hosts.next().map(|field| field.value);
    if hosts.next().is_some() {
        return Err(Refusal::RepeatedHost);
    }
    match host {
        Some(host) => authority::check(host.of(&head.bytes))?,
        None if head.version == Version::Http11 => return Err(Refusal::MissingHost),
        None => {}
    }
    // The target's authority wins, and Host must be valid all the same (RFC 9112 §3.2.2).
    head.authority = match parts.authority {
        Some(authority) => {
            authority::check(authority.of(&head.bytes))?;
            authority
        }
        None => host.unwrap_or_default(),
    };
    Ok(())
}
