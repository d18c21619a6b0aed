//! One stream: the message that comes in, as text, and how far the one that goes out is.

use crate::chunks::Chunks;
use crate::{ErrorCode, Read};

/// What ends a chunked body that has no trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Memory of a message that is not kept for the next.
const KEPT: usize = 16 * 1024;

/// How the body that comes in is framed as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Framing {
    /// There is none.
    #[default]
    None,
    /// As it is: its length is told, or it is a tunnel's.
    Plain,
    /// In chunks.
    Chunked,
}

/// How far the peer's message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Remote {
    /// The final head has not come.
    #[default]
    Head,
    Body,
    Ended,
}

/// How far our message is.
#[derive(Debug, Default)]
pub(crate) enum Local {
    /// The final head has not been written.
    #[default]
    Head,
    /// So many bytes are to come.
    Exact(u64),
    Chunked(Chunks),
    /// Up to the end that is told by `finish`.
    Open,
    Ended,
}

/// What a writer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Blocked {
    #[default]
    No,
    /// The stream's window.
    Stream,
    /// What all streams share: the connection's window, or room in the output.
    Shared,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The id on the wire; 0 for one of ours whose head has not been sent.
    pub(crate) id: u32,
    /// What the owner of the connection calls it.
    pub(crate) handle: u32,
    /// Whether the owner knows of it.
    pub(crate) offered: bool,
    /// Whether it is among those that are open.
    pub(crate) counted: bool,
    /// Set when either side has reset it.
    pub(crate) reset: Option<ErrorCode>,
    /// Whether the reset was ours: frames may still be under way then.
    pub(crate) reset_here: bool,
    /// Whether it is a websocket's (RFC 8441).
    pub(crate) tunnel: bool,
    /// Whether the request's method is HEAD.
    pub(crate) is_head: bool,
    /// Whether the peer's message can have no body, whatever its fields say.
    pub(crate) bodiless: bool,
    /// Whether it stands in the queue of those that may go on.
    pub(crate) woken: bool,

    pub(crate) inbox: Inbox,
    pub(crate) remote: Remote,
    /// What of Content-Length has not come.
    pub(crate) body_left: Option<u64>,
    /// What the peer may still send.
    pub(crate) receive_window: i64,
    /// What was read and not given back to the peer yet.
    pub(crate) credit: u32,
    /// Informational responses so far.
    pub(crate) interims: u32,

    pub(crate) local: Local,
    /// What may still be sent.
    pub(crate) send_window: i64,
    /// Our head or trailers, as long as they are not whole.
    pub(crate) written: Vec<u8>,
    pub(crate) blocked: Blocked,
    /// Where the writer stands in the queue for what all share; 0 where it has had its turn.
    pub(crate) turn: u64,
}

impl Stream {
    /// Makes it ready for another message, with the memory it has.
    pub(crate) fn clear(&mut self) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut written = std::mem::take(&mut self.written);
        inbox.clear();
        written.clear();
        if written.capacity() > KEPT {
            written = Vec::new();
        }
        *self = Self { inbox, written, ..Self::default() };
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.local, Local::Ended)
    }

    /// Whether nothing more goes either way.
    pub(crate) fn is_closed(&self) -> bool {
        self.reset.is_some() || (self.is_ended() && self.remote == Remote::Ended)
    }

    /// Whether a body is a fault.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// The head that stands in the inbox is whole but for what tells the end of the body.
    pub(crate) fn end_head(&mut self, framing: Framing, remote: Remote, length: Option<u64>) {
        let inbox = &mut self.inbox;
        if framing == Framing::Chunked {
            inbox.text.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        inbox.text.extend_from_slice(b"\r\n");
        inbox.head_end = inbox.text.len();
        inbox.framing = framing;
        inbox.ended = remote == Remote::Ended;
        self.remote = remote;
        self.body_left = if remote == Remote::Ended { None } else { length };
    }

    /// Whether a reset says something to who reads: an ended message can be read whole.
    pub(crate) fn reset_of_reader(&self, is_server: bool) -> Option<ErrorCode> {
        self.reset.filter(|_| is_server || self.remote != Remote::Ended)
    }

    pub(crate) fn is_readable(&self, is_server: bool) -> bool {
        self.reset_of_reader(is_server).is_some() || self.inbox.has_text() || self.remote == Remote::Ended
    }
}

/// The message that comes in: its heads as text, then its body as it came, framed as it is read.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Heads, then data that was not read.
    pub(crate) text: Vec<u8>,
    /// How much of `text` was read.
    at: usize,
    /// Where the heads end in `text`.
    pub(crate) head_end: usize,
    pub(crate) framing: Framing,
    /// What is left of the chunk that the reader was told of.
    chunk_left: usize,
    /// Framing that is not read yet.
    line: [u8; 12],
    line_at: u8,
    line_end: u8,
    /// What stands behind a chunked body, where it has trailers.
    pub(crate) tail: Vec<u8>,
    tail_at: usize,
    /// The peer's message is whole.
    pub(crate) ended: bool,
}

impl Inbox {
    fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        if text.capacity() > KEPT {
            text = Vec::new();
        }
        *self = Self { text, ..Self::default() };
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn trim(&mut self) {
        self.text.shrink_to_fit();
    }

    /// Data that was not read.
    pub(crate) fn unread(&self) -> usize {
        self.text.len() - self.at.max(self.head_end)
    }

    pub(crate) fn push_data(&mut self, data: &[u8]) {
        if self.text.len() + data.len() > self.text.capacity() && self.at > 0 {
            self.text.copy_within(self.at.., 0);
            self.text.truncate(self.text.len() - self.at);
            self.head_end = self.head_end.saturating_sub(self.at);
            self.at = 0;
        }
        self.text.extend_from_slice(data);
    }

    fn has_text(&self) -> bool {
        self.at < self.text.len()
            || self.line_at < self.line_end
            || (self.ended && self.framing == Framing::Chunked && self.tail_at < self.tail_len())
    }

    /// Reads on; returns how many bytes, and how many of them are data.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> (usize, usize) {
        let mut out = &mut buf[..];
        let room = out.len();
        let mut data = 0;
        let heads = self.head_end.saturating_sub(self.at);
        if heads > 0 {
            self.at += put(&mut out, &self.text[self.at..self.at + heads]);
        }
        while !out.is_empty() && self.at >= self.head_end {
            if self.line_at < self.line_end {
                let count = put(&mut out, &self.line[usize::from(self.line_at)..usize::from(self.line_end)]);
                self.line_at += count as u8;
                continue;
            }
            let waiting = self.text.len() - self.at;
            match self.framing {
                Framing::None => break,
                Framing::Plain if waiting == 0 => break,
                Framing::Plain => {
                    let count = put(&mut out, &self.text[self.at..]);
                    self.at += count;
                    data += count;
                }
                Framing::Chunked if self.chunk_left > 0 => {
                    let count = put(&mut out, &self.text[self.at..self.at + self.chunk_left]);
                    self.at += count;
                    data += count;
                    self.chunk_left -= count;
                    if self.chunk_left == 0 {
                        self.line[..2].copy_from_slice(b"\r\n");
                        (self.line_at, self.line_end) = (0, 2);
                    }
                }
                Framing::Chunked if waiting > 0 => {
                    self.chunk_left = waiting;
                    self.line_at = 0;
                    self.line_end = chunk_size_line(waiting as u32, &mut self.line);
                }
                Framing::Chunked if self.ended && self.tail_at < self.tail_len() => {
                    let tail = if self.tail.is_empty() { LAST_CHUNK } else { &self.tail };
                    self.tail_at += put(&mut out, &tail[self.tail_at..]);
                }
                Framing::Chunked => break,
            }
        }
        if self.at == self.text.len() {
            self.text.clear();
            self.at = 0;
            self.head_end = 0;
        }
        (room - out.len(), data)
    }

    /// What [`Stream`]'s reader is told where nothing was read.
    pub(crate) fn end(&self) -> Read {
        if self.ended && !self.has_text() { Read::End } else { Read::Pending }
    }

    fn tail_len(&self) -> usize {
        if self.tail.is_empty() { LAST_CHUNK.len() } else { self.tail.len() }
    }
}

/// Copies what fits, and moves `out` on.
fn put(out: &mut &mut [u8], text: &[u8]) -> usize {
    let count = out.len().min(text.len());
    let (now, later) = std::mem::take(out).split_at_mut(count);
    now.copy_from_slice(&text[..count]);
    *out = later;
    count
}

/// Writes the size of a chunk and CRLF; a window has no more than eight digits.
fn chunk_size_line(size: u32, line: &mut [u8; 12]) -> u8 {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let count = (u32::BITS - (size | 1).leading_zeros()).div_ceil(4) as usize;
    for (index, byte) in line[..count].iter_mut().enumerate() {
        *byte = DIGITS[(size >> (4 * (count - 1 - index))) as usize & 0xf];
    }
    line[count..count + 2].copy_from_slice(b"\r\n");
    count as u8 + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(inbox: &mut Inbox, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut buf = vec![0; size];
        loop {
            let (count, _) = inbox.read(&mut buf);
            out.extend_from_slice(&buf[..count]);
            if count == 0 {
                return out;
            }
        }
    }

    #[test]
    fn a_body_is_framed_in_chunks_whatever_the_buffer() {
        for size in 1..40 {
            let mut inbox = Inbox { framing: Framing::Chunked, ..Inbox::default() };
            inbox.text.extend_from_slice(b"head");
            inbox.head_end = 4;
            inbox.push_data(&[b'x'; 18]);
            assert_eq!(inbox.unread(), 18);
            assert_eq!(all(&mut inbox, size), b"head12\r\nxxxxxxxxxxxxxxxxxx\r\n");
            assert_eq!(inbox.end(), Read::Pending);
            inbox.push_data(b"y");
            inbox.ended = true;
            assert_eq!(all(&mut inbox, size), b"1\r\ny\r\n0\r\n\r\n");
            assert_eq!(inbox.end(), Read::End);
        }
    }

    #[test]
    fn data_that_comes_within_a_chunk_is_the_next_one() {
        let mut inbox = Inbox { framing: Framing::Chunked, ..Inbox::default() };
        inbox.push_data(b"abcd");
        let mut buf = [0; 5];
        assert_eq!(inbox.read(&mut buf), (5, 2));
        inbox.push_data(b"efg");
        inbox.tail.extend_from_slice(b"0\r\na: b\r\n\r\n");
        inbox.ended = true;
        assert_eq!(all(&mut inbox, 100), b"cd\r\n3\r\nefg\r\n0\r\na: b\r\n\r\n");
    }
}
