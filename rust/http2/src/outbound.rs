//! From a head's text to the field block that is sent, and what its body is then.

use crate::hpack::Encoder;
use crate::stream::Local;
use crate::text::{Body, Lines, Meant};
use crate::{chunks::Chunks, frame};

/// The memory that all heads of a connection share.
#[derive(Debug, Default)]
pub(crate) struct Composer {
    lines: Lines,
    /// One line of a pseudo-header field.
    line: Vec<u8>,
}

/// What a head that was read says of what follows.
#[derive(Debug)]
pub(crate) struct Composed {
    /// How the body goes on; `Head` behind an informational response.
    pub(crate) body: Local,
    pub(crate) is_head: bool,
    pub(crate) tunnel: bool,
}

impl Composed {
    pub(crate) fn ends(&self) -> bool {
        matches!(self.body, Local::Ended)
    }
}

impl Composer {
    /// Gives the memory back.
    pub(crate) fn trim(&mut self) {
        self.lines.trim();
        self.line = Vec::new();
    }

    /// Reads a response's head; `is_head` and `tunnel` are the request's.
    pub(crate) fn response(&mut self, text: &[u8], is_head: bool, tunnel: bool) -> Option<Composed> {
        let (first, fields) = first_line(text)?;
        let rest = first.strip_prefix(b"HTTP/1.1 ").or_else(|| first.strip_prefix(b"HTTP/1.0 "))?;
        let status: [u8; 3] = *rest.first_chunk()?;
        if !matches!(status, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'])
            || !matches!(rest.get(3), None | Some(b' '))
        {
            return None;
        }
        self.lines.take(fields, Meant::Response)?;
        let switches = status == *b"101";
        if switches && !tunnel {
            return None;
        }
        let status = if switches { *b"200" } else { status };
        self.set(":status", &status);
        let body = if switches {
            Local::Open
        } else if status[0] == b'1' {
            Local::Head
        } else if is_head || matches!(&status, b"204" | b"304") {
            Local::Ended
        } else {
            body(self.lines.body()?, Local::Open)
        };
        Some(Composed { body, is_head, tunnel: switches })
    }

    /// Appends the field block of the response that was read.
    pub(crate) fn response_block(&self, composed: &Composed, encoder: &mut Encoder, out: &mut Vec<u8>) {
        encoder.begin(out);
        encoder.line(&self.line, b":status".len(), out);
        self.fields(composed.tunnel, encoder, out);
    }

    /// Reads a request's head.
    pub(crate) fn request(&mut self, text: &[u8]) -> Option<(Composed, Request)> {
        let (first, fields) = first_line(text)?;
        let line = first.strip_suffix(b" HTTP/1.1")?;
        let space = memchr::memchr(b' ', line)?;
        let (method, target) = (&line[..space], &line[space + 1..]);
        let asterisk = target == b"*" && method == b"OPTIONS";
        if !crate::field::is_token(method)
            || method == b"CONNECT"
            || !(target.starts_with(b"/") || asterisk)
            || !crate::field::is_graphic(target)
        {
            return None;
        }
        self.lines.take(fields, Meant::Request)?;
        if self.lines.host.is_empty() || !crate::field::is_graphic(&self.lines.host) {
            return None;
        }
        let tunnel = self.lines.websocket && method == b"GET";
        let composed = Composed {
            body: if tunnel { Local::Open } else { body(self.lines.body()?, Local::Ended) },
            is_head: method == b"HEAD",
            tunnel,
        };
        let method_end = space;
        Some((composed, Request { method: (0, method_end), target: (space + 1, line.len()) }))
    }

    /// Appends the field block of the request that was read from `text`.
    pub(crate) fn request_block(
        &mut self,
        text: &[u8],
        request: &Request,
        composed: &Composed,
        https: bool,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) {
        encoder.begin(out);
        let method = &text[request.method.0..request.method.1];
        self.set(":method", if composed.tunnel { b"CONNECT" } else { method });
        encoder.line(&self.line, b":method".len(), out);
        if composed.tunnel {
            self.set(":protocol", b"websocket");
            encoder.line(&self.line, b":protocol".len(), out);
        }
        self.set(":scheme", if https { b"https" } else { b"http" });
        encoder.line(&self.line, b":scheme".len(), out);
        let host = std::mem::take(&mut self.lines.host);
        self.set(":authority", &host);
        self.lines.host = host;
        encoder.line(&self.line, b":authority".len(), out);
        self.set(":path", &text[request.target.0..request.target.1]);
        encoder.line(&self.line, b":path".len(), out);
        self.fields(composed.tunnel, encoder, out);
        if self.lines.grpc {
            encoder.line(b"te: trailers\r\n", b"te".len(), out);
        }
    }

    /// Reads trailers; `None` where one is no line, `Some(false)` where there are none.
    pub(crate) fn trailers(&mut self, text: &[u8]) -> Option<bool> {
        self.lines.take(text, Meant::Trailers)?;
        Some(self.lines.iter().next().is_some())
    }

    /// Appends the field block of the trailers that were read.
    pub(crate) fn trailers_block(&self, encoder: &mut Encoder, out: &mut Vec<u8>) {
        encoder.begin(out);
        self.fields(false, encoder, out);
    }

    fn fields(&self, tunnel: bool, encoder: &mut Encoder, out: &mut Vec<u8>) {
        for (line, name_len) in self.lines.iter() {
            // They belong to HTTP/1.1's handshake (RFC 8441 §5); what they would be read for is done by the pseudo-header fields.
            if tunnel
                && matches!(
                    &line[..name_len],
                    b"sec-websocket-key" | b"sec-websocket-accept" | b"content-length"
                )
            {
                continue;
            }
            encoder.line(line, name_len, out);
        }
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b": ");
        self.line.extend_from_slice(value);
        self.line.extend_from_slice(b"\r\n");
    }
}

/// Where the parts of a request line stand in its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    method: (usize, usize),
    target: (usize, usize),
}

/// The block of an answer without a body.
pub(crate) fn bare_status(status: &str, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.begin(out);
    encoder.line(format!(":status: {status}\r\n").as_bytes(), b":status".len(), out);
}

fn body(body: Body, unsaid: Local) -> Local {
    match body {
        Body::Exact(0) => Local::Ended,
        Body::Exact(length) => Local::Exact(length),
        Body::Chunked => Local::Chunked(Chunks::default()),
        Body::Unsaid => unsaid,
    }
}

/// The start line and what stands behind it.
fn first_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    Some((text[..end].strip_suffix(b"\r")?, &text[end + 1..]))
}

/// The largest head of ours: beyond any limit that messages are taken with.
pub(crate) const LARGEST_HEAD: usize = 16 * frame::FIRST_FRAME as usize;
