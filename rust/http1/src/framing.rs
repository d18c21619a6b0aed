//! What a head says about its body and its connection: the only place that decides framing.

use tidegate_message::{Field, Known, Method, RequestHead, ResponseHead, Span, Version, list_members};

use crate::{Refusal, ResponseFault};

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// That many bytes follow the head; 0 where Content-Length says so.
    Exact(u64),
    /// The body is in chunks.
    Chunked,
    /// The body ends with the connection; responses only.
    UntilClose,
}

/// What a request's head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// How the end of the body is found.
    pub body: BodyLength,
    /// Whether the client wants to send another request on this connection (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1); never on
    /// HTTP/1.0, and never where no body follows.
    pub expect_continue: bool,
    /// The value of Upgrade (RFC 9110 §7.8), where Connection names it, the version is 1.1, no body
    /// comes with the request, and it asks for nothing that would be HTTP/2 behind our back.
    pub upgrade: Option<Span>,
}

/// What a response's head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// How the end of the body is found.
    pub body: BodyLength,
    /// Whether the upstream's connection may carry another request when the body has been read.
    pub keep_alive: bool,
}

/// The most options that Connection may name over all its lines. Nobody needs more than a handful, and
/// every field's name is compared with each of them.
const MOST_OPTIONS: usize = 32;

/// Derives a request's framing and what else its fields ask of the connection.
///
/// # Errors
/// Any doubt about the length of the body, an expectation that cannot be met.
pub fn request_facts(head: &RequestHead) -> Result<RequestFacts, Refusal> {
    let seen = Seen::gather(&head.fields);
    let length = seen.length(&head.bytes, head.version)?;
    let body = length.unwrap_or(BodyLength::None);
    let wants_continue = seen.expectation(head)?;
    let options = seen.options(&head.bytes, &head.fields).ok_or(Refusal::TooManyConnectionOptions)?;
    let modern = head.version != Version::Http10;
    let empty = matches!(body, BodyLength::None | BodyLength::Exact(0));
    Ok(RequestFacts {
        body,
        keep_alive: options.keep_alive(head.version),
        expect_continue: wants_continue && modern && !empty,
        upgrade: if options.upgrade && modern && empty { seen.upgrade(&head.bytes) } else { None },
    })
}

/// Derives the framing of a response to a request with `method`.
///
/// Responses to HEAD and those with status 1xx, 204 and 304 have no body whatever their fields say (RFC 9112
/// §6.3), and their fields must make sense all the same.
///
/// # Errors
/// Any doubt about the length of the body.
pub fn response_facts(head: &ResponseHead, method: Method) -> Result<ResponseFacts, ResponseFault> {
    let seen = Seen::gather(&head.fields);
    let length = seen.length(&head.bytes, head.version)?;
    let options = seen.options(&head.bytes, &head.fields).ok_or(ResponseFault::TooManyConnectionOptions)?;
    let keep_alive = options.keep_alive(head.version);
    if matches!(head.status, 100..=199 | 204) {
        // These must not announce a body (RFC 9110 §8.6, RFC 9112 §6.1); one that does may send it.
        let quiet = matches!(length, None | Some(BodyLength::Exact(0)));
        return Ok(ResponseFacts { body: BodyLength::None, keep_alive: keep_alive && quiet });
    }
    if method == Method::Head || head.status == 304 {
        return Ok(ResponseFacts { body: BodyLength::None, keep_alive });
    }
    let body = length.unwrap_or(BodyLength::UntilClose);
    Ok(ResponseFacts { body, keep_alive: keep_alive && body != BodyLength::UntilClose })
}

/// What can be wrong with the fields that frame a message, whichever way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    BothFields,
    RepeatedLength,
    InvalidLength,
    LengthTooLarge,
    RepeatedEncoding,
    InvalidEncoding,
    RepeatedChunked,
    ChunkedNotFinal,
    UnknownCoding,
    EncodingOnHttp10,
}

/// The fields that matter here, found in one pass.
#[derive(Default)]
struct Seen {
    length: Option<Span>,
    lengths: usize,
    encoding: Option<Span>,
    encodings: usize,
    upgrade: Option<Span>,
    upgrades: usize,
    connection: bool,
    expect: bool,
}

impl Seen {
    fn gather(fields: &[Field]) -> Self {
        let mut seen = Self::default();
        for field in fields {
            match field.known {
                Known::ContentLength => {
                    seen.length = Some(field.value);
                    seen.lengths += 1;
                }
                Known::TransferEncoding => {
                    seen.encoding = Some(field.value);
                    seen.encodings += 1;
                }
                Known::Upgrade => {
                    seen.upgrade = Some(field.value);
                    seen.upgrades += 1;
                }
                Known::Connection => seen.connection = true,
                Known::Expect => seen.expect = true,
                _ => {}
            }
        }
        seen
    }

    /// `None` where no field speaks of a body. The order of the checks is the order of the danger.
    fn length(&self, bytes: &[u8], version: Version) -> Result<Option<BodyLength>, Doubt> {
        match (self.length, self.encoding) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Doubt::BothFields),
            (Some(_), None) if self.lengths > 1 => Err(Doubt::RepeatedLength),
            (Some(value), None) => decimal(value.of(bytes)).map(|length| Some(BodyLength::Exact(length))),
            (None, Some(_)) if version == Version::Http10 => Err(Doubt::EncodingOnHttp10),
            (None, Some(_)) if self.encodings > 1 => Err(Doubt::RepeatedEncoding),
            (None, Some(value)) => chunked(value.of(bytes)).map(|()| Some(BodyLength::Chunked)),
        }
    }

    /// `None` where Connection names more than [`MOST_OPTIONS`].
    fn options(&self, bytes: &[u8], fields: &[Field]) -> Option<Options> {
        let mut options = Options::default();
        if !self.connection {
            return Some(options);
        }
        let mut count = 0;
        for field in fields.iter().filter(|field| field.known == Known::Connection) {
            for option in list_members(field.value_in(bytes)) {
                count += 1;
                options.close |= option.eq_ignore_ascii_case(b"close");
                options.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                options.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            }
        }
        (count <= MOST_OPTIONS).then_some(options)
    }

    /// Whether `100 Continue` is expected; anything else cannot be met, however it is written.
    fn expectation(&self, head: &RequestHead) -> Result<bool, Refusal> {
        if !self.expect {
            return Ok(false);
        }
        let mut wanted = false;
        for member in head.all(Known::Expect).flat_map(list_members) {
            if !member.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::UnknownExpectation);
            }
            wanted = true;
        }
        Ok(wanted)
    }

    /// Upgrade's value, if there is one line of it and it does not ask for HTTP/2, which would be a second
    /// way through the gateway without its rules.
    fn upgrade(&self, bytes: &[u8]) -> Option<Span> {
        let value = self.upgrade.filter(|_| self.upgrades == 1)?;
        let mut protocols = list_members(value.of(bytes)).peekable();
        protocols.peek()?;
        let hidden = protocols.any(|protocol| {
            protocol.first().is_some_and(|byte| byte | 0x20 == b'h')
                && [&b"h2"[..], b"h2c", b"http/2", b"http/2.0", b"http"]
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(protocol))
        });
        (!hidden).then_some(value)
    }
}

/// What Connection says, over all its lines (RFC 9110 §7.6.1).
#[derive(Default)]
struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Options {
    /// RFC 9112 §9.3: `close` wins; without it 1.1 stays open, and 1.0 where it asks for that.
    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version != Version::Http10 || self.keep_alive)
    }
}

/// `1*DIGIT` (RFC 9110 §8.6): no sign, no list, no white space; up to 2^63 - 1, the most that those who
/// count in signed numbers can hold.
fn decimal(value: &[u8]) -> Result<u64, Doubt> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Doubt::InvalidLength);
    }
    value
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .filter(|number| *number <= i64::MAX as u64)
        .ok_or(Doubt::LengthTooLarge)
}

/// Exactly one `chunked` (RFC 9112 §6.1): other codings cannot be forwarded without being undone.
fn chunked(value: &[u8]) -> Result<(), Doubt> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = 0;
    let mut chunked = 0;
    let mut last = false;
    for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if member.is_empty() {
            return Err(Doubt::InvalidEncoding);
        }
        codings += 1;
        last = member.eq_ignore_ascii_case(b"chunked");
        chunked += usize::from(last);
    }
    Err(match chunked {
        0 => Doubt::UnknownCoding,
        1 if last && codings > 1 => Doubt::UnknownCoding,
        1 => Doubt::ChunkedNotFinal,
        _ => Doubt::RepeatedChunked,
    })
}

impl From<Doubt> for Refusal {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::BothFields => Self::ContentLengthAndTransferEncoding,
            Doubt::RepeatedLength => Self::RepeatedContentLength,
            Doubt::InvalidLength => Self::InvalidContentLength,
            Doubt::LengthTooLarge => Self::ContentLengthTooLarge,
            Doubt::RepeatedEncoding => Self::RepeatedTransferEncoding,
            Doubt::InvalidEncoding => Self::InvalidTransferEncoding,
            Doubt::RepeatedChunked => Self::RepeatedChunked,
            Doubt::ChunkedNotFinal => Self::ChunkedNotFinal,
            Doubt::UnknownCoding => Self::UnknownTransferCoding,
            Doubt::EncodingOnHttp10 => Self::TransferEncodingOnHttp10,
        }
    }
}

impl From<Doubt> for ResponseFault {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::BothFields => Self::ContentLengthAndTransferEncoding,
            Doubt::RepeatedLength => Self::RepeatedContentLength,
            Doubt::InvalidLength => Self::InvalidContentLength,
            Doubt::LengthTooLarge => Self::ContentLengthTooLarge,
            Doubt::RepeatedEncoding => Self::RepeatedTransferEncoding,
            Doubt::InvalidEncoding => Self::InvalidTransferEncoding,
            Doubt::RepeatedChunked => Self::RepeatedChunked,
            Doubt::ChunkedNotFinal => Self::ChunkedNotFinal,
            Doubt::UnknownCoding => Self::UnknownTransferCoding,
            Doubt::EncodingOnHttp10 => Self::TransferEncodingOnHttp10,
        }
    }
}
