//! One body on its way: taken out of the sender's framing and put into the receiver's.

use std::{
    io::{self, IoSlice},
    ops::Range,
    task::{Context, Poll, ready},
};

use tidegate_http1::{BodyLength, ChunkDecoder, ChunkFault, ChunkLimits, chunk_size_line};

use crate::io::Stream;

/// A body that is being received, and how it is framed for whom it is sent to.
#[derive(Debug)]
pub struct Body {
    decoder: Decoder,
    chunked_out: bool,
    /// Everything was received.
    received: bool,
    /// The end of the framing was handed on.
    ended: bool,
    /// Bytes of content received so far.
    pub bytes: u64,
    /// The most that is taken.
    most: u64,
}

#[derive(Debug)]
enum Decoder {
    Exact(u64),
    Chunked(ChunkDecoder),
    UntilClose,
}

/// Why a body can't go on.
#[derive(Debug)]
pub enum BodyFault {
    /// The sender's connection failed.
    Receive,
    /// The receiver's connection failed.
    Send,
    /// The sender's connection ended before the body did.
    Cut,
    /// The sender's chunks are no chunks.
    Chunk(ChunkFault),
    /// It is larger than allowed.
    TooLarge,
}

impl Body {
    /// A body that is received as `length` says and sent on in chunks if `chunked_out`.
    pub fn new(length: BodyLength, chunked_out: bool) -> Self {
        let decoder = match length {
            BodyLength::None => Decoder::Exact(0),
            BodyLength::Exact(length) => Decoder::Exact(length),
            BodyLength::Chunked => Decoder::Chunked(ChunkDecoder::new(ChunkLimits::default())),
            BodyLength::UntilClose => Decoder::UntilClose,
        };
        let received = matches!(decoder, Decoder::Exact(0));
        Self { decoder, chunked_out, received, ended: received && !chunked_out, bytes: 0, most: u64::MAX }
    }

    /// Takes at most `most` bytes of content; told at once where the length is known to be larger. Of several
    /// bounds the smallest holds.
    pub fn limit(&mut self, most: u64) -> Result<(), BodyFault> {
        self.most = self.most.min(most);
        match self.decoder {
            Decoder::Exact(length) if length > most => Err(BodyFault::TooLarge),
            _ => Ok(()),
        }
    }

    /// Whether all of it was received from its sender.
    pub fn is_received(&self) -> bool {
        self.received
    }

    /// Whether fields came behind its last chunk.
    pub fn has_trailers(&self) -> bool {
        matches!(&self.decoder, Decoder::Chunked(decoder) if !decoder.trailers().is_empty())
    }

    /// Whether all of it, with its framing, was handed on.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes content out of `input`, in place. Returns where the content stands now and how much of the
    /// input is used up; what is beyond belongs to the next message.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<(Range<usize>, usize), BodyFault> {
        let (content, used) = match &mut self.decoder {
            Decoder::Exact(left) => {
                let taken = (*left).min(input.len() as u64) as usize;
                *left -= taken as u64;
                self.received = *left == 0;
                (0..taken, taken)
            }
            Decoder::UntilClose => (0..input.len(), input.len()),
            Decoder::Chunked(decoder) => {
                let (content, used, done) = dechunk(decoder, input)?;
                self.received = done;
                (content, used)
            }
        };
        self.bytes += content.len() as u64;
        if self.bytes > self.most {
            return Err(BodyFault::TooLarge);
        }
        Ok((content, used))
    }

    /// The sender's connection has ended.
    pub fn end_of_input(&mut self) -> Result<(), BodyFault> {
        match self.decoder {
            Decoder::UntilClose => {
                self.received = true;
                Ok(())
            }
            _ if self.received => Ok(()),
            _ => Err(BodyFault::Cut),
        }
    }

    /// Prepares for the content to be sent from its start again.
    pub fn restart(&mut self) {
        self.ended = self.received && self.bytes == 0 && !self.chunked_out;
    }

    /// The bytes that end the receiver's framing, once.
    fn write_end(&mut self, out: &mut Vec<u8>) {
        if self.ended || !self.received {
            return;
        }
        self.ended = true;
        if self.chunked_out {
            out.extend_from_slice(b"0\r\n");
            if let Decoder::Chunked(decoder) = &self.decoder {
                out.extend_from_slice(decoder.trailers());
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends `content` to `out` in the receiver's framing, and the end where the body has ended.
    pub fn frame(&mut self, content: &[u8], out: &mut Vec<u8>) {
        if self.chunked_out && !content.is_empty() {
            let mut line = [0; 18];
            let length = chunk_size_line(content.len(), &mut line);
            out.extend_from_slice(&line[..length]);
            out.extend_from_slice(content);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(content);
        }
        self.write_end(out);
    }

    /// Sends `out` and then `content`, framed, in one call; what the receiver does not take now is left in `out`.
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        receiver: &mut Stream,
        out: &mut Vec<u8>,
        content: &[u8],
    ) -> Result<(), BodyFault> {
        // A small body is cheaper to copy than to send as a part of its own.
        const COPIED: usize = 4096;
        if content.len() <= COPIED {
            self.frame(content, out);
            return match poll_flush(cx, receiver, out) {
                Poll::Ready(Err(_)) => Err(BodyFault::Send),
                _ => Ok(()),
            };
        }
        let mut line = [0; 18];
        let (mut line_length, mut tail): (usize, &[u8]) = (0, b"");
        if self.chunked_out {
            line_length = chunk_size_line(content.len(), &mut line);
            tail = b"\r\n";
        }
        let parts = [
            IoSlice::new(out),
            IoSlice::new(&line[..line_length]),
            IoSlice::new(content),
            IoSlice::new(tail),
        ];
        let parts = match (out.is_empty(), self.chunked_out) {
            (true, false) => &parts[2..3],
            (false, false) => &parts[..3],
            (true, true) => &parts[1..],
            (false, true) => &parts[..],
        };
        let mut sent = match receiver.poll_write(cx, parts) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(_)) => return Err(BodyFault::Send),
            Poll::Pending => 0,
        };
        let before = out.len().min(sent);
        out.drain(..before);
        sent -= before;
        for part in [&line[..line_length], content, tail] {
            let taken = part.len().min(sent);
            sent -= taken;
            out.extend_from_slice(&part[taken..]);
        }
        self.write_end(out);
        Ok(())
    }
}

/// Moves the content of all chunks in `input` together and returns where it is, how much input was used, and
/// whether the last chunk was among it.
fn dechunk(decoder: &mut ChunkDecoder, input: &mut [u8]) -> Result<(Range<usize>, usize, bool), BodyFault> {
    let mut content = 0..0;
    let mut used = 0;
    loop {
        let step = decoder.decode(&input[used..]).map_err(BodyFault::Chunk)?;
        let data = used + step.data.start..used + step.data.end;
        used += step.consumed;
        if content.is_empty() {
            content = data;
        } else if !data.is_empty() {
            let length = data.len();
            input.copy_within(data, content.end);
            content.end += length;
        }
        if step.done || used == input.len() || step.consumed == 0 {
            return Ok((content, used, step.done));
        }
    }
}

/// Writes what is in `out` until it is empty.
pub fn poll_flush(cx: &mut Context<'_>, receiver: &mut Stream, out: &mut Vec<u8>) -> Poll<io::Result<()>> {
    let mut sent = 0;
    let polled = loop {
        if sent == out.len() {
            break Poll::Ready(Ok(()));
        }
        match receiver.poll_write(cx, &[IoSlice::new(&out[sent..])]) {
            Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(more)) => sent += more,
            Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
            Poll::Pending => break Poll::Pending,
        }
    };
    if sent == out.len() {
        out.clear();
    } else {
        out.drain(..sent);
    }
    polled
}

/// Moves a body on as far as it goes now: what is left over in `out`, then what the sender has.
/// `on_progress` is called whenever something moved, with the content that was received, if any.
#[allow(clippy::too_many_arguments)] // both ends of a body, and what lies between them
pub fn poll_relay(
    cx: &mut Context<'_>,
    body: &mut Body,
    sender: &mut Stream,
    receiver: &mut Stream,
    out: &mut Vec<u8>,
    scratch: &mut [u8],
    surplus: &mut Vec<u8>,
    mut on_progress: impl FnMut(&[u8]),
) -> Poll<Result<(), BodyFault>> {
    loop {
        if !out.is_empty() {
            let before = out.len();
            let flushed = poll_flush(cx, receiver, out);
            if out.len() < before {
                on_progress(&[]);
            }
            ready!(flushed).map_err(|_| BodyFault::Send)?;
        }
        if body.is_ended() {
            return Poll::Ready(Ok(()));
        }
        let read = ready!(sender.poll_read(cx, scratch)).map_err(|_| BodyFault::Receive)?;
        if read == 0 {
            on_progress(&[]);
            body.end_of_input()?;
            body.frame(&[], out);
            continue;
        }
        let (content, used) = body.decode(&mut scratch[..read])?;
        surplus.extend_from_slice(&scratch[used..read]);
        on_progress(&scratch[content.clone()]);
        body.send(cx, receiver, out, &scratch[content])?;
    }
}
