//! The bytes that wait to be sent: frames, one behind the other.

use crate::ErrorCode;
use crate::frame::{FIRST_FRAME, Frame, HEADER, flag, kind};

/// More than this is not kept for frames to come.
const KEPT: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` have been sent.
    sent: usize,
    /// The last frame, if it is HEADERS or DATA that may still be changed: more data behind it, or END_STREAM on it.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    at: usize,
    frame: Frame,
}

impl Output {
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.sent = self.bytes.len().min(self.sent.saturating_add(count));
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
            self.open = None;
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
        }
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn trim(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.open = None;
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a frame that does not belong to a message.
    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.make_room(HEADER + payload.len());
        self.open = None;
        let frame = Frame { length: payload.len(), kind, flags, stream };
        self.bytes.extend_from_slice(&frame.bytes());
        self.bytes.extend_from_slice(payload);
    }

    pub(crate) fn reset(&mut self, stream: u32, code: ErrorCode) {
        self.frame(kind::RST_STREAM, 0, stream, &code.0.to_be_bytes());
    }

    pub(crate) fn window_update(&mut self, stream: u32, increment: u32) {
        self.frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    }

    pub(crate) fn go_away(&mut self, last: u32, code: ErrorCode) {
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&code.0.to_be_bytes());
        self.frame(kind::GOAWAY, 0, 0, &payload);
    }

    /// Appends HEADERS with what `block` appends, and CONTINUATION frames where it is larger than `most`.
    pub(crate) fn head(&mut self, stream: u32, end: bool, most: u32, block: impl FnOnce(&mut Vec<u8>)) {
        self.make_room(HEADER + 256);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER]);
        block(&mut self.bytes);
        let length = self.bytes.len() - at - HEADER;
        let ends = if end { flag::END_STREAM } else { 0 };
        let most = most.max(FIRST_FRAME) as usize;
        if length > most {
            let block = self.bytes.split_off(at + HEADER);
            self.bytes.truncate(at);
            let mut pieces = block.chunks(most).peekable();
            let mut kind = kind::HEADERS;
            let mut flags = ends;
            while let Some(piece) = pieces.next() {
                if pieces.peek().is_none() {
                    flags |= flag::END_HEADERS;
                }
                self.frame(kind, flags, stream, piece);
                (kind, flags) = (kind::CONTINUATION, 0);
            }
            return;
        }
        let frame = Frame { length, kind: kind::HEADERS, flags: ends | flag::END_HEADERS, stream };
        self.put_frame(at, frame);
        self.open = Some(Open { at, frame });
    }

    /// Appends data, in frames of up to `most` bytes; how many frames were begun for it.
    pub(crate) fn data(&mut self, stream: u32, mut data: &[u8], most: u32) -> u32 {
        let most = most.max(FIRST_FRAME) as usize;
        self.make_room(data.len() + (data.len() / most + 1) * HEADER);
        if let Some(open) = self.open_frame(stream).filter(|open| open.frame.kind == kind::DATA) {
            let (now, rest) = data.split_at(data.len().min(most - open.frame.length.min(most)));
            self.bytes.extend_from_slice(now);
            let frame = Frame { length: open.frame.length + now.len(), ..open.frame };
            self.put_frame(open.at, frame);
            self.open = Some(Open { frame, ..open });
            data = rest;
        }
        let mut begun = 0;
        for piece in data.chunks(most) {
            let frame = Frame { length: piece.len(), kind: kind::DATA, flags: 0, stream };
            self.open = Some(Open { at: self.bytes.len(), frame });
            self.bytes.extend_from_slice(&frame.bytes());
            self.bytes.extend_from_slice(piece);
            begun += 1;
        }
        begun
    }

    /// Ends the stream: with the last frame if it is the stream's and has not been sent, else with an empty one.
    pub(crate) fn end(&mut self, stream: u32) {
        match self.open_frame(stream) {
            Some(open) => {
                self.put_frame(open.at, Frame { flags: open.frame.flags | flag::END_STREAM, ..open.frame });
                self.open = None;
            }
            None => self.frame(kind::DATA, flag::END_STREAM, stream, &[]),
        }
    }

    fn open_frame(&self, stream: u32) -> Option<Open> {
        self.open.filter(|open| open.frame.stream == stream && open.at >= self.sent)
    }

    fn put_frame(&mut self, at: usize, frame: Frame) {
        if let Some(room) = self.bytes.get_mut(at..at + HEADER) {
            room.copy_from_slice(&frame.bytes());
        }
    }

    /// Moves what waits to the front before memory is taken for more.
    fn make_room(&mut self, more: usize) {
        if self.sent > 0 && self.bytes.len() + more > self.bytes.capacity() {
            self.bytes.copy_within(self.sent.., 0);
            self.bytes.truncate(self.bytes.len() - self.sent);
            self.open = self.open.and_then(|open| Some(Open { at: open.at.checked_sub(self.sent)?, ..open }));
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(output: &Output) -> Vec<(u8, u8, usize)> {
        let mut rest = output.pending();
        let mut found = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<HEADER>() {
            let frame = Frame::parse(head);
            found.push((frame.kind, frame.flags, frame.length));
            rest = &after[frame.length..];
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn pieces_of_a_body_share_a_frame_and_its_end() {
        let mut output = Output::default();
        output.head(1, false, FIRST_FRAME, |out| out.push(0x88));
        assert_eq!(output.data(1, b"abc", FIRST_FRAME), 1);
        assert_eq!(output.data(1, b"def", FIRST_FRAME), 0);
        output.end(1);
        assert_eq!(frames(&output), [(1, 4, 1), (0, 1, 6)]);
        assert!(output.pending().ends_with(b"abcdef"));
    }

    #[test]
    fn a_frame_that_has_been_sent_is_not_changed() {
        let mut output = Output::default();
        output.data(1, b"abc", FIRST_FRAME);
        output.sent(1);
        output.data(1, b"de", FIRST_FRAME);
        output.sent(HEADER + 2);
        assert_eq!(frames(&output), [(0, 0, 2)]);
        output.data(3, b"f", FIRST_FRAME);
        output.end(1);
        assert_eq!(frames(&output), [(0, 0, 2), (0, 0, 1), (0, 1, 0)]);
    }

    #[test]
    fn a_large_head_goes_on_in_continuations() {
        let mut output = Output::default();
        output.head(1, true, FIRST_FRAME, |out| out.resize(out.len() + 40_000, 7));
        assert_eq!(frames(&output), [(1, 1, 16_384), (9, 0, 16_384), (9, 4, 40_000 - 2 * 16_384)]);
        output.data(1, &[0; 20_000], FIRST_FRAME);
        assert_eq!(frames(&output)[3..], [(0, 0, 16_384), (0, 0, 20_000 - 16_384)]);
    }

    #[test]
    fn what_waits_is_kept_whole_when_room_is_made() {
        let mut output = Output::default();
        let mut sent = Vec::new();
        for round in 0..2000_u32 {
            output.data(1 + 2 * (round % 3), &[round as u8; 100], FIRST_FRAME);
            let count = output.len().min(90);
            sent.extend_from_slice(&output.pending()[..count]);
            output.sent(count);
        }
        sent.extend_from_slice(output.pending());
        let mut rest = &sent[..];
        let mut bytes = 0;
        while let Some((head, after)) = rest.split_first_chunk::<HEADER>() {
            let frame = Frame::parse(head);
            bytes += frame.length;
            rest = &after[frame.length..];
        }
        assert_eq!(bytes, 200_000);
    }
}
