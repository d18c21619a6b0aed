//! Message heads: the bytes as they came, and where the parts stand in them.

use crate::{Field, Known, Method};

/// A half-open range of a head's bytes; heads are bounded far below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The part of `bytes` that this span names.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    /// The same, to be changed.
    pub fn of_mut(self, bytes: &mut [u8]) -> &mut [u8] {
        &mut bytes[self.start as usize..self.end as usize]
    }

    /// Whether nothing stands in it.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The number of bytes in it.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// The protocol version that a message was received with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
}

impl Version {
    /// As the log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

/// A request's head. Reused from request to request: `clear` keeps the room it has.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The head as received, up to and with its empty line.
    pub bytes: Vec<u8>,
    /// Who answers for what the request does.
    pub method: Method,
    /// The method's name as written.
    pub method_name: Span,
    /// The request target as written.
    pub target: Span,
    /// The target's path as written; empty for the asterisk form.
    pub path: Span,
    /// What follows the `?`, without it; empty where there is none.
    pub query: Span,
    /// Whether the target has a `?` at all.
    pub has_query: bool,
    /// The authority that decides routing: an absolute target's, else the Host field's (RFC 9112 §3.2.2).
    pub authority: Span,
    /// The version of the message.
    pub version: Version,
    /// The field lines in their order.
    pub fields: Vec<Field>,
}

impl RequestHead {
    /// Makes it ready for another request.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.method = Method::Get;
        self.has_query = false;
        for span in
            [&mut self.method_name, &mut self.target, &mut self.path, &mut self.query, &mut self.authority]
        {
            *span = Span::default();
        }
    }

    /// The bytes that `span` names.
    pub fn slice(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// The first value of a field that the gateway acts on.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.known == known)?;
        Some(self.slice(field.value))
    }

    /// All values of a field that the gateway acts on, in order.
    pub fn all(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.known == known).map(|field| self.slice(field.value))
    }

    /// The first value of the field `name`, whatever its case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| self.slice(field.name).eq_ignore_ascii_case(name))?;
        Some(self.slice(field.value))
    }

    /// The first cookie called `name` (RFC 6265 §4.2.1).
    pub fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        self.all(Known::Cookie).flat_map(|value| value.split(|byte| *byte == b';')).find_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            (&pair[..equals] == name).then(|| &pair[equals + 1..])
        })
    }
}

/// A response's head. Reused from response to response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The head as received, up to and with its empty line.
    pub bytes: Vec<u8>,
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase as written.
    pub reason: Span,
    /// The version of the message.
    pub version: Version,
    /// The field lines in their order.
    pub fields: Vec<Field>,
}

impl ResponseHead {
    /// Makes it ready for another response.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.status = 0;
        self.reason = Span::default();
    }

    /// The bytes that `span` names.
    pub fn slice(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// The first value of a field that the gateway acts on.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.known == known)?;
        Some(self.slice(field.value))
    }

    /// All values of a field that the gateway acts on, in order.
    pub fn all(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.known == known).map(|field| self.slice(field.value))
    }

    /// The first value of the field `name`, whatever its case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| self.slice(field.name).eq_ignore_ascii_case(name))?;
        Some(self.slice(field.value))
    }
}
