//! The heads that Tidegate writes, from text to lines in HTTP/2's form.
//!
//! They were composed here, so that anything unusual is a fault of ours; it is refused, and never sent.

use memchr::memchr;

use crate::field;

/// Where the head that `text` starts with ends, behind its empty line.
pub(crate) fn head_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'\n', text.get(at..)?)? + 1;
        if text[at..].starts_with(b"\r\n") {
            return Some(at + 2);
        }
    }
}

/// How a body is framed, as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Neither a length nor chunks.
    Unsaid,
    Exact(u64),
    Chunked,
}

/// The lines of a head that HTTP/2 has as well, with names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// The end of each line in `bytes`, and the length of its name.
    ends: Vec<(u32, u32)>,
    /// The value of Host, which becomes a pseudo-header field.
    pub(crate) host: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
    /// Upgrade asks for, or opens, a websocket.
    pub(crate) websocket: bool,
    /// Content-Type says that it is gRPC.
    pub(crate) grpc: bool,
}

/// For which side the head is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    Request,
    Response,
    Trailers,
}

impl Lines {
    /// Gives the memory back.
    pub(crate) fn trim(&mut self) {
        *self = Self::default();
    }

    /// Takes the field lines of a head, its empty line included; `None` where one of them is no line.
    pub(crate) fn take(&mut self, mut text: &[u8], meant: Meant) -> Option<()> {
        self.bytes.clear();
        self.ends.clear();
        self.host.clear();
        self.length = None;
        (self.chunked, self.websocket, self.grpc) = (false, false, false);
        loop {
            let end = memchr(b'\n', text)?;
            let line = text[..end].strip_suffix(b"\r")?;
            text = &text[end + 1..];
            if line.is_empty() {
                return text.is_empty().then_some(());
            }
            self.line(line, meant)?;
        }
    }

    pub(crate) fn body(&self) -> Option<Body> {
        match (self.length, self.chunked) {
            (None, false) => Some(Body::Unsaid),
            (Some(length), false) => Some(Body::Exact(length)),
            (None, true) => Some(Body::Chunked),
            (Some(_), true) => None,
        }
    }

    /// The lines, each with the length of its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, name_len)| {
            let line = &self.bytes[start..*end as usize];
            start = *end as usize;
            (line, *name_len as usize)
        })
    }

    fn line(&mut self, line: &[u8], meant: Meant) -> Option<()> {
        let colon = memchr(b':', line)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !field::is_token(name) || !field::is_value(value) {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes[start..].make_ascii_lowercase();
        let keep = self.keep(start, value, meant)?;
        if !keep {
            self.bytes.truncate(start);
            return Some(());
        }
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.ends.push((self.bytes.len() as u32, name.len() as u32));
        Some(())
    }

    /// Whether the field goes on; `None` where it cannot be.
    fn keep(&mut self, name: usize, value: &[u8], meant: Meant) -> Option<bool> {
        let name = &self.bytes[name..];
        Some(match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"http2-settings" => false,
            b"transfer-encoding" => {
                if !value.eq_ignore_ascii_case(b"chunked") || self.chunked {
                    return None;
                }
                self.chunked = true;
                false
            }
            b"upgrade" => {
                self.websocket |= value.eq_ignore_ascii_case(b"websocket");
                false
            }
            b"content-length" if meant != Meant::Trailers => {
                if self.length.replace(field::decimal(value)?).is_some() {
                    return None;
                }
                true
            }
            b"host" if meant == Meant::Request => {
                if !self.host.is_empty() {
                    return None;
                }
                self.host.extend_from_slice(value);
                false
            }
            b"te" | b"expect" => false,
            b"content-type" => {
                self.grpc = value.starts_with(b"application/grpc");
                true
            }
            _ => true,
        })
    }
}
