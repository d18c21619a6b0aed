//! Sends what is being fetched to one client, as it comes.

use std::{
    io::IoSlice,
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use tidegate_cache::fill::{End, Piece, Reader};
use tidegate_http1::chunk_size_line;

use crate::{failure::Failure, io::Stream};

/// One client's side of a fill.
#[derive(Debug)]
pub struct Sender {
    reader: Reader<Failure>,
    chunked: bool,
    /// Of the content only this is sent.
    range: Option<Range<u64>>,
    /// Where the next piece begins in the content.
    at: u64,
    piece: Option<(Arc<[u8]>, usize)>,
    ended: bool,
    /// Bytes of content that were sent, or are about to be.
    pub bytes: u64,
}

/// Why a client gets no more.
#[derive(Debug)]
pub enum Stopped {
    /// It takes no more.
    Client,
    /// What was fetched did not come to its end.
    Fetch(Failure),
    /// Whoever fetched gave up.
    Left,
}

impl Sender {
    /// For a client that takes its content in chunks or as it is.
    pub fn new(reader: Reader<Failure>, chunked: bool, range: Option<Range<u64>>) -> Self {
        Self { reader, chunked, range, at: 0, piece: None, ended: false, bytes: 0 }
    }

    /// Whether there is something that the client has not taken.
    pub fn is_blocked(&self, out: &[u8]) -> bool {
        !out.is_empty() || self.piece.is_some()
    }

    /// Sends as much as there is and the client takes; `out` holds what it has not taken of heads and framing. Ready
    /// at the end. `on_progress` is called when it took something.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        out: &mut Vec<u8>,
        mut on_progress: impl FnMut(),
    ) -> Poll<Result<(), Stopped>> {
        loop {
            // What can go out at once.
            while !out.is_empty() || self.piece.is_some() {
                let content = self.piece.as_ref().map_or(&[][..], |(piece, from)| &piece[*from..]);
                let parts = [IoSlice::new(out), IoSlice::new(content)];
                let parts = match (out.is_empty(), content.is_empty()) {
                    (true, _) => &parts[1..],
                    (_, true) => &parts[..1],
                    _ => &parts[..],
                };
                let mut sent = match client.poll_write(cx, parts) {
                    Poll::Ready(Ok(sent)) if sent > 0 => sent,
                    Poll::Ready(_) => return Poll::Ready(Err(Stopped::Client)),
                    Poll::Pending => return Poll::Pending,
                };
                on_progress();
                let before = out.len().min(sent);
                out.drain(..before);
                sent -= before;
                if let Some((piece, from)) = &mut self.piece {
                    *from += sent;
                    if out.is_empty() && *from >= piece.len() {
                        self.piece = None;
                        if self.chunked {
                            out.extend_from_slice(b"\r\n");
                        }
                    }
                }
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match self.poll_next(cx, out) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(stopped)) => return Poll::Ready(Err(stopped)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes what comes next of the fill.
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<(), Stopped>> {
        let mut room = Vec::new();
        let piece = match self.reader.poll_piece(cx, &mut room) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(piece) => piece,
        };
        match piece {
            Piece::Shared(piece, from) => {
                let cut = self.cut(piece.len() - from);
                if !cut.is_empty() {
                    self.begin_chunk(cut.len(), out);
                    if cut.end == piece.len() - from {
                        self.piece = Some((piece, from + cut.start));
                    } else {
                        out.extend_from_slice(&piece[from + cut.start..from + cut.end]);
                        self.end_chunk(out);
                    }
                }
            }
            Piece::Copied(length) => {
                let cut = self.cut(length);
                if !cut.is_empty() {
                    self.begin_chunk(cut.len(), out);
                    out.extend_from_slice(&room[cut]);
                    self.end_chunk(out);
                }
            }
            Piece::Ended(End::Whole | End::Kept(_)) => {
                self.ended = true;
                if self.chunked {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Piece::Ended(End::Failed(failure)) => return Poll::Ready(Err(Stopped::Fetch(failure))),
            Piece::Ended(End::Released(_)) => return Poll::Ready(Err(Stopped::Left)),
        }
        if self.range.as_ref().is_some_and(|range| self.at >= range.end) {
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Which of the next `length` bytes is sent.
    fn cut(&mut self, length: usize) -> Range<usize> {
        let start = self.at;
        self.at += length as u64;
        let cut = match &self.range {
            None => 0..length,
            Some(range) => {
                let within = |at: u64| (at.clamp(start, self.at) - start) as usize;
                within(range.start)..within(range.end)
            }
        };
        self.bytes += cut.len() as u64;
        cut
    }

    fn begin_chunk(&self, length: usize, out: &mut Vec<u8>) {
        if self.chunked {
            let mut line = [0; 18];
            let written = chunk_size_line(length, &mut line);
            out.extend_from_slice(&line[..written]);
        }
    }

    fn end_chunk(&self, out: &mut Vec<u8>) {
        if self.chunked {
            out.extend_from_slice(b"\r\n");
        }
    }
}
