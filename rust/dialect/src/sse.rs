//! Server-sent events: bytes cut anywhere become events, and events become bytes.
//!
//! The rules are the HTML standard's (§9.2.6, "Interpreting an event stream"): lines end with LF, CR or CRLF, a leading
//! byte order mark is skipped, `data` lines of one event are joined with LF, an empty line ends the event. One
//! rule differs: an event that the connection's end leaves without its empty line is told all the same, since some servers
//! leave out the last one, and a JSON text that is not whole is noticed by who reads it.

use memchr::{memchr, memchr2};
use serde::Serialize;

use crate::Fault;

/// Bytes of one line, and of all data of one event, that are taken before the stream is refused. One line is held in
/// memory until it is whole; the longest that providers send in earnest (an event with a whole picture) go to readers
/// that ask for more with [`Splitter::with_limit`].
pub const LINE_BYTES: usize = 1 << 20;

/// One thing of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sse<'a> {
    /// An event with data.
    Event {
        /// The value of its `event` field; empty where it has none, or one that is not UTF-8.
        name: &'a str,
        /// Its data, without the last line's end.
        data: &'a [u8],
    },
    /// A line that begins with a colon: it keeps connections alive.
    Comment(&'a [u8]),
}

/// Splits a stream. It holds at most one line and one event's data.
#[derive(Debug)]
pub struct Splitter {
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// Data lines of the event so far, joined.
    data: Vec<u8>,
    /// Whether the event has a data line, which may be empty.
    has_data: bool,
    /// The event's name so far.
    name: String,
    /// The last byte was a CR; a LF right behind it belongs to the same line's end.
    after_cr: bool,
    /// No line has been read: a byte order mark may come.
    at_start: bool,
    limit: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// With lines of [`LINE_BYTES`] at most.
    pub fn new() -> Self {
        Self::with_limit(LINE_BYTES)
    }

    /// With another bound on a line, and on an event's data.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            name: String::new(),
            after_cr: false,
            at_start: true,
            limit,
        }
    }

    /// Takes the next bytes and tells each event and comment that is whole. A fault, of the stream or of `each`, ends it.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Sse<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(at) = memchr2(b'\n', b'\r', bytes) {
            let (piece, end) = bytes.split_at(at);
            bytes = match end {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
            if self.line.len().saturating_add(piece.len()) > self.limit {
                return Err(self.too_long());
            }
            if self.line.is_empty() {
                // The common case, one data line and the empty line behind it, is told from where it lies.
                let lone = !self.has_data && !self.at_start;
                if let (true, Some(data)) = (lone, data_of(piece)) {
                    let behind = bytes.strip_prefix(b"\n").or_else(|| bytes.strip_prefix(b"\r\n"));
                    if let Some(rest) = behind {
                        bytes = rest;
                        let told = each(Sse::Event { name: &self.name, data });
                        self.name.clear();
                        told?;
                        continue;
                    }
                }
                self.line(piece, &mut each)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(piece);
                let told = self.line(&line, &mut each);
                line.clear();
                self.line = line;
                told?;
            }
        }
        if self.line.len().saturating_add(bytes.len()) > self.limit {
            return Err(self.too_long());
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The stream ended: tells the event that was not closed with an empty line.
    pub fn finish(&mut self, mut each: impl FnMut(Sse<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.line(&line, &mut each)?;
        }
        self.line(b"", &mut each)
    }

    fn line(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(Sse<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            let told =
                if self.has_data { each(Sse::Event { name: &self.name, data: &self.data }) } else { Ok(()) };
            self.has_data = false;
            self.data.clear();
            self.name.clear();
            return told;
        }
        if let Some(comment) = line.strip_prefix(b":") {
            return each(Sse::Comment(comment));
        }
        if let Some(data) = data_of(line) {
            if self.data.len().saturating_add(data.len()) >= self.limit {
                return Err(self.too_long());
            }
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(data);
        } else if let Some(name) = field(line, b"event") {
            self.name.clear();
            self.name.push_str(std::str::from_utf8(name).unwrap_or_default());
        }
        Ok(())
    }

    fn too_long(&self) -> Fault {
        Fault::syntax(format!("An event of the stream is longer than {} bytes.", self.limit))
    }
}

/// Appends an event with data alone.
pub fn sse_data(data: &[u8], out: &mut Vec<u8>) {
    let mut rest = data;
    loop {
        out.extend_from_slice(b"data: ");
        match memchr(b'\n', rest) {
            Some(at) => {
                out.extend_from_slice(rest.get(..at).unwrap_or_default());
                out.push(b'\n');
                rest = rest.get(at + 1..).unwrap_or_default();
            }
            None => {
                out.extend_from_slice(rest);
                out.extend_from_slice(b"\n\n");
                return;
            }
        }
    }
}

/// Appends an event with a name.
pub fn sse_event(name: &str, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    sse_data(data, out);
}

/// Appends an event whose data is that JSON, on one line.
pub fn sse_json(value: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    crate::json::append(value, out);
    out.extend_from_slice(b"\n\n");
}

/// Appends an event with a name whose data is that JSON, on one line.
pub fn sse_event_json(name: &str, value: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    sse_json(value, out);
}

/// Appends a comment, which clients skip.
pub fn sse_comment(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b": ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\n\n");
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    field(line, b"data")
}

/// The value of a line's field, without the one space that may stand before it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut splitter = Splitter::new();
        let mut told = Vec::new();
        let mut each = |sse: Sse<'_>| {
            told.push(match sse {
                Sse::Event { name, data } => (name.to_owned(), String::from_utf8_lossy(data).into_owned()),
                Sse::Comment(text) => (":".to_owned(), String::from_utf8_lossy(text).into_owned()),
            });
            Ok(())
        };
        for piece in pieces {
            splitter.feed(piece, &mut each).unwrap();
        }
        splitter.finish(&mut each).unwrap();
        told
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    const MIXED: &[u8] = b"\xef\xbb\xbf: hello\r\ndata: one\r\n\r\nevent: two\ndata: a\ndata:b\nid: 7\n\nevent: lost\n\r\rdata\n\n: keep\ndata: {\"x\":1}\r\rdata: last";

    #[test]
    fn every_sort_of_line_end_comment_and_multi_line_data_is_understood() {
        let expected = vec![
            pair(":", " hello"),
            pair("", "one"),
            pair("two", "a\nb"),
            pair("", ""),
            pair(":", " keep"),
            pair("", "{\"x\":1}"),
            pair("", "last"),
        ];
        assert_eq!(split(&[MIXED]), expected);
    }

    #[test]
    fn a_stream_cut_at_any_two_places_gives_the_same_events() {
        let whole = split(&[MIXED]);
        for first in 0..=MIXED.len() {
            for second in first..=MIXED.len() {
                let pieces = [&MIXED[..first], &MIXED[first..second], &MIXED[second..]];
                assert_eq!(split(&pieces), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_line_or_an_event_over_the_bound_is_refused() {
        let mut splitter = Splitter::with_limit(16);
        assert!(splitter.feed(b"data: 0123456789abcdef", |_| Ok(())).is_err());
        let mut splitter = Splitter::with_limit(16);
        splitter.feed(b"data: 01234567\n", |_| Ok(())).unwrap();
        assert!(splitter.feed(b"data: 01234567\n", |_| Ok(())).is_err());
        let mut splitter = Splitter::with_limit(16);
        assert!(splitter.feed(b"data: 0123456789abcdef\n\n", |_| Ok(())).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        sse_data(b"a\nb", &mut out);
        sse_event("ping", b"{}", &mut out);
        sse_comment("waiting", &mut out);
        sse_json(&serde_json::json!({"k": "line\nend"}), &mut out);
        let expected = vec![
            pair("", "a\nb"),
            pair("ping", "{}"),
            pair(":", " waiting"),
            pair("", "{\"k\":\"line\\nend\"}"),
        ];
        assert_eq!(split(&[&out]), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_give_the_same_events(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), Just(b'x')], 0..60),
            cut in 0usize..60,
        ) {
            let text: Vec<u8> = bytes.iter().flat_map(|&byte| if byte == b'd' { b"data".to_vec() } else { vec![byte] }).collect();
            let cut = cut.min(text.len());
            prop_assert_eq!(split(&[&text[..cut], &text[cut..]]), split(&[&text]));
        }
    }
}
