//! What goes out: our messages, from text to HEADERS and DATA.

use std::io::IoSlice;

use crate::chunks::Piece;
use crate::connection::Connection;
use crate::frame::LARGEST;
use crate::outbound::LARGEST_HEAD;
use crate::stream::{Blocked, Local};
use crate::{ErrorCode, Role, Write, text};

/// The most data that one call takes: others get their turn.
const MOST_AT_ONCE: usize = 64 * 1024;

/// How far one part was taken.
enum Step {
    /// So many bytes, and more may follow.
    Took(usize),
    /// Nothing can be taken before this opens.
    Wait(Blocked),
    /// This call has taken enough.
    Enough,
}

/// The text is no message.
struct Malformed;

impl Connection {
    /// Takes the text of our message, `parts` one behind the other. DATA is cut to windows and frames, up to 64 KiB in
    /// one call; a head is taken whole or kept until it is.
    pub fn write(&mut self, stream: u32, parts: &[IoSlice<'_>]) -> Write {
        let Some(slot) = self.streams.slot_of_handle(stream) else {
            return Write::Reset(ErrorCode::STREAM_CLOSED);
        };
        if let Some(code) = self.streams[slot].reset {
            return Write::Reset(code);
        }
        if self.output.len() >= self.settings.output_bytes {
            self.block_writer(slot, Blocked::Shared);
            return Write::Blocked;
        }
        self.unblock(slot);
        let mut taken = 0;
        let mut room = MOST_AT_ONCE;
        for part in parts {
            let mut rest = &part[..];
            while !rest.is_empty() {
                match self.step(slot, rest, &mut room) {
                    Ok(Step::Took(count)) => {
                        taken += count;
                        rest = rest.get(count..).unwrap_or_default();
                    }
                    Ok(Step::Wait(on)) => {
                        self.block_writer(slot, on);
                        return if taken > 0 { self.took(slot, taken) } else { Write::Blocked };
                    }
                    Ok(Step::Enough) => return self.took(slot, taken),
                    Err(Malformed) => return Write::Malformed,
                }
                if let Some(code) = self.streams[slot].reset {
                    return Write::Reset(code);
                }
            }
        }
        self.took(slot, taken)
    }

    /// Our message has ended, where its text does not say so: tunnels, and bodies that end with the connection.
    pub fn finish(&mut self, stream: u32) {
        let Some(slot) = self.streams.slot_of_handle(stream) else { return };
        let stream = &self.streams[slot];
        if stream.reset.is_some() || stream.is_ended() || stream.id == 0 {
            return;
        }
        if !matches!(stream.local, Local::Open) {
            // The rest of the message is not coming: who ends it now would make the part pass for the whole.
            let id = stream.id;
            self.output.reset(id, ErrorCode::INTERNAL_ERROR);
            let stream = &mut self.streams[slot];
            stream.reset = Some(ErrorCode::INTERNAL_ERROR);
            stream.reset_here = true;
            self.uncount(slot);
            self.unblock(slot);
            return;
        }
        self.end_stream(slot);
    }

    /// The writer has had its turn.
    fn took(&mut self, slot: usize, count: usize) -> Write {
        if count > 0 {
            let stream = &mut self.streams[slot];
            if stream.blocked == Blocked::No {
                stream.turn = 0;
            } else {
                // It waits again already: behind all others.
                stream.turn = 0;
                let on = stream.blocked;
                self.block_writer(slot, on);
            }
        }
        Write::Taken(count)
    }

    fn step(&mut self, slot: usize, text: &[u8], room: &mut usize) -> Result<Step, Malformed> {
        match &mut self.streams[slot].local {
            Local::Head => self.head_text(slot, text).map(Step::Took),
            Local::Ended => Err(Malformed),
            Local::Open => Ok(self.body(slot, text, room)),
            Local::Exact(left) => {
                let left = *left;
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let step = self.body(slot, &text[..text.len().min(most)], room);
                if let Step::Took(count) = step {
                    let left = left.saturating_sub(count as u64);
                    self.streams[slot].local = Local::Exact(left);
                    if left == 0 {
                        self.end_stream(slot);
                        // Nothing may follow.
                        return if count < text.len() { Err(Malformed) } else { Ok(step) };
                    }
                }
                Ok(step)
            }
            Local::Chunked(chunks) => match chunks.next(text).ok_or(Malformed)? {
                Piece::Framing(count) => Ok(Step::Took(count)),
                Piece::Data(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let step = self.body(slot, &text[..text.len().min(most)], room);
                    if let (Step::Took(count), Local::Chunked(chunks)) =
                        (&step, &mut self.streams[slot].local)
                    {
                        chunks.took(*count as u64);
                    }
                    Ok(step)
                }
                Piece::Trailer => self.trailer_text(slot, text).map(Step::Took),
            },
        }
    }

    fn body(&mut self, slot: usize, data: &[u8], room: &mut usize) -> Step {
        if *room == 0 {
            return Step::Enough;
        }
        let stream = &mut self.streams[slot];
        if stream.send_window <= 0 {
            return Step::Wait(Blocked::Stream);
        }
        if self.send_window <= 0 {
            return Step::Wait(Blocked::Shared);
        }
        let window = stream.send_window.min(self.send_window);
        let count = data.len().min(*room).min(usize::try_from(window).unwrap_or(0));
        stream.send_window -= count as i64;
        self.send_window -= count as i64;
        *room -= count;
        let frames = self.output.data(stream.id, &data[..count], self.peer.max_frame);
        for _ in 0..frames {
            self.budgets.sent_data();
        }
        Step::Took(count)
    }

    /// Takes what belongs to the head; once it is whole it is sent.
    fn head_text(&mut self, slot: usize, text: &[u8]) -> Result<usize, Malformed> {
        let mut written = std::mem::take(&mut self.streams[slot].written);
        let outcome = if written.is_empty() {
            match text::head_end(text) {
                Some(end) => self.head_out(slot, &text[..end]).map(|()| end),
                None => keep(&mut written, text),
            }
        } else {
            keep_to_end(&mut written, text).and_then(|(count, whole)| {
                if whole {
                    self.head_out(slot, &written)?;
                    written.clear();
                }
                Ok(count)
            })
        };
        self.streams[slot].written = written;
        outcome
    }

    fn head_out(&mut self, slot: usize, text: &[u8]) -> Result<(), Malformed> {
        let stream = &self.streams[slot];
        let max_frame = self.peer.max_frame;
        let (composed, request) = match self.role {
            Role::Server => {
                (self.composer.response(text, stream.is_head, stream.tunnel).ok_or(Malformed)?, None)
            }
            Role::Client => {
                let (composed, request) = self.composer.request(text).ok_or(Malformed)?;
                if composed.tunnel && !self.peer.connect {
                    return Err(Malformed);
                }
                (composed, Some(request))
            }
        };
        if self.role == Role::Client {
            if self.next_id > LARGEST {
                let stream = &mut self.streams[slot];
                stream.reset = Some(ErrorCode::REFUSED_STREAM);
                return Ok(());
            }
            // Ids must grow in the order in which heads are sent (RFC 9113 §5.1.1).
            self.streams.name(slot, self.next_id);
            self.next_id += 2;
        }
        let id = self.streams[slot].id;
        let (composer, encoder) = (&mut self.composer, &mut self.encoder);
        let https = self.settings.scheme_https;
        self.output.head(id, composed.ends(), max_frame, |out| match &request {
            Some(request) => composer.request_block(text, request, &composed, https, encoder, out),
            None => composer.response_block(&composed, encoder, out),
        });
        let stream = &mut self.streams[slot];
        let ended = composed.ends();
        if self.role == Role::Client {
            stream.is_head = composed.is_head;
            stream.tunnel = composed.tunnel;
        }
        stream.local = composed.body;
        if ended {
            self.ended_here(slot);
        }
        Ok(())
    }

    /// Takes what belongs to the trailers of a chunked body; once they are whole they are sent.
    fn trailer_text(&mut self, slot: usize, text: &[u8]) -> Result<usize, Malformed> {
        let mut written = std::mem::take(&mut self.streams[slot].written);
        let outcome = trailer_end(&mut written, text);
        if let Ok((_, true)) = outcome {
            let trailers = self.composer.trailers(&written).ok_or(Malformed);
            written.clear();
            if trailers.map_err(|_| Malformed)? {
                let id = self.streams[slot].id;
                let (composer, encoder) = (&self.composer, &mut self.encoder);
                self.output.head(id, true, self.peer.max_frame, |out| composer.trailers_block(encoder, out));
                self.ended_here(slot);
            } else {
                self.end_stream(slot);
            }
        }
        self.streams[slot].written = written;
        outcome.map(|(count, _)| count)
    }

    fn end_stream(&mut self, slot: usize) {
        let id = self.streams[slot].id;
        self.output.end(id);
        self.ended_here(slot);
    }
}

/// Keeps a part of a head.
fn keep(written: &mut Vec<u8>, text: &[u8]) -> Result<usize, Malformed> {
    if written.len() + text.len() > LARGEST_HEAD {
        return Err(Malformed);
    }
    written.extend_from_slice(text);
    Ok(text.len())
}

/// Keeps what belongs to a head of which a part is kept; how much that was, and whether the head is whole.
fn keep_to_end(written: &mut Vec<u8>, text: &[u8]) -> Result<(usize, bool), Malformed> {
    let before = written.len();
    keep(written, text)?;
    // The end may have begun in what was kept: an empty line has four bytes before and with it.
    let from = before.saturating_sub(3);
    match text::head_end(&written[from..]) {
        Some(end) => {
            written.truncate(from + end);
            Ok((from + end - before, true))
        }
        None => Ok((text.len(), false)),
    }
}

/// As [`keep_to_end`], for a section that may be its empty line alone.
fn trailer_end(written: &mut Vec<u8>, text: &[u8]) -> Result<(usize, bool), Malformed> {
    let before = written.len();
    let line = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    keep(written, &text[..line])?;
    let whole = written == b"\r\n" || written.ends_with(b"\n\r\n");
    Ok((written.len() - before, whole))
}
