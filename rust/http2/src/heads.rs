//! Heads that come in: field blocks whole again, and the streams that they open, go on with or end.

use crate::connection::{Connection, ends};
use crate::frame::{Frame, flag};
use crate::inbound::{self, Facts, Sort};
use crate::receive::{Block, windows};
use crate::stream::{Framing, Remote};
use crate::streams::Gone;
use crate::{Fault, Reason, Role, outbound, request, response};

impl Connection {
    pub(crate) fn headers(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Reason> {
        let mut block = payload;
        if frame.has(flag::PADDED) {
            let (padding, rest) = block.split_first().ok_or(Reason::FrameSize)?;
            let length = rest.len().checked_sub(usize::from(*padding)).ok_or(Reason::PaddingTooLong)?;
            block = &rest[..length];
        }
        let mut depends = None;
        if frame.has(flag::PRIORITY) {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(Reason::FrameSize)?;
            depends = priority.first_chunk().copied();
            block = rest;
        }
        if frame.has(flag::END_HEADERS) {
            self.head(frame.stream, frame.flags, block)?;
        } else {
            let mut bytes = std::mem::take(&mut self.spare_block);
            bytes.clear();
            bytes.extend_from_slice(block);
            self.block = Some(Block { stream: frame.stream, flags: frame.flags, bytes, continuations: 0 });
        }
        match depends {
            Some(on) => self.depends(frame.stream, on),
            None => Ok(()),
        }
    }

    pub(crate) fn continuation(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Reason> {
        let (most, bytes) = (self.budgets.limits().continuations, self.budgets.limits().block_bytes);
        let Some(mut block) = self.block.take() else { return Err(Reason::StrayContinuation) };
        block.continuations += 1;
        if block.continuations > most {
            return Err(Reason::Continuations);
        }
        if block.bytes.len() + payload.len() > bytes {
            return Err(Reason::BlockTooLarge);
        }
        block.bytes.extend_from_slice(payload);
        if !frame.has(flag::END_HEADERS) {
            self.block = Some(block);
            return Ok(());
        }
        let outcome = self.head(block.stream, block.flags, &block.bytes);
        self.spare_block = block.bytes;
        outcome
    }

    fn head(&mut self, id: u32, flags: u8, block: &[u8]) -> Result<(), Reason> {
        match self.streams.slot_of_id(id) {
            Some(slot) => self.next_head(slot, flags, block),
            None if self.role == Role::Server && !id.is_multiple_of(2) && id > self.last_peer_id => {
                self.first_head(id, flags, block)
            }
            None if self.is_idle(id) && self.role == Role::Client => Err(Reason::IdleStream),
            None => match self.streams.gone(id) {
                Some(Gone::ResetHere) => {
                    self.skip(block)?;
                    self.budgets.stray_frame(self.now)
                }
                Some(Gone::ResetByPeer) => {
                    self.skip(block)?;
                    self.fault(id, Fault::HalfClosed)
                }
                Some(Gone::Ended) => Err(Reason::ClosedStream),
                None => Err(Reason::StreamOrder),
            },
        }
    }

    /// A request.
    fn first_head(&mut self, id: u32, flags: u8, block: &[u8]) -> Result<(), Reason> {
        self.last_peer_id = id;
        if self.is_too_late(id) {
            self.skip(block)?;
            self.streams.remember(id, Gone::ResetHere);
            return self.budgets.stray_frame(self.now);
        }
        let most = self.settings.max_streams;
        // Those that are closed and not released yet are bounded as well: they hold memory.
        if self.open >= most || self.streams.len() >= 2 * most as usize {
            self.skip(block)?;
            return self.fault(id, Fault::TooManyStreams);
        }
        let slot = self.streams.add(id, id);
        let (send, receive) = windows(&self.settings, &self.peer);
        let stream = &mut self.streams[slot];
        (stream.send_window, stream.receive_window) = (send, receive);
        stream.counted = true;
        self.open += 1;
        let read = inbound::read(
            &mut self.decoder,
            block,
            Sort::Request,
            self.settings.header_list_bytes as usize,
            &mut self.scratch,
            &mut stream.inbox.text,
            &mut |pseudo, facts, text| request::start(pseudo, id, facts, text),
        )
        .map_err(|()| Reason::Compression)?;
        let facts = match read.and_then(|facts| self.frame_request(slot, facts, ends(flags))) {
            Ok(facts) => facts,
            Err(Fault::HeadTooLarge) => return self.too_large(slot, ends(flags)),
            Err(fault) => return self.fault(id, fault),
        };
        let stream = &mut self.streams[slot];
        stream.is_head = facts.is_head;
        stream.tunnel = facts.tunnel;
        self.accepted.push_back(id);
        Ok(())
    }

    /// Writes what tells the end of a request's body, and the end of its head.
    fn frame_request(&mut self, slot: usize, facts: Facts, ends: bool) -> Result<Facts, Fault> {
        let stream = &mut self.streams[slot];
        if facts.tunnel && facts.length.is_some() {
            return Err(Fault::InvalidConnect);
        }
        let (framing, remote) = match facts.length {
            Some(length) if ends && length > 0 => return Err(Fault::LengthMismatch),
            _ if ends => (Framing::None, Remote::Ended),
            Some(_) => (Framing::Plain, Remote::Body),
            None if facts.tunnel => (Framing::Plain, Remote::Body),
            None => (Framing::Chunked, Remote::Body),
        };
        stream.end_head(framing, remote, facts.length);
        Ok(facts)
    }

    /// Answers a request whose head is larger than is taken (RFC 6585 §5), and looks at nothing else of it.
    fn too_large(&mut self, slot: usize, ends: bool) -> Result<(), Reason> {
        let id = self.streams[slot].id;
        self.note(Fault::HeadTooLarge);
        let encoder = &mut self.encoder;
        self.output.head(id, true, self.peer.max_frame, |out| outbound::bare_status("431", encoder, out));
        if !ends {
            self.output.reset(id, crate::ErrorCode::NO_ERROR);
        }
        self.uncount(slot);
        self.streams.remove(slot, if ends { Gone::Ended } else { Gone::ResetHere });
        self.budgets.fault(self.now)
    }

    /// A response, or trailers.
    fn next_head(&mut self, slot: usize, flags: u8, block: &[u8]) -> Result<(), Reason> {
        let stream = &self.streams[slot];
        let id = stream.id;
        if stream.reset.is_some() {
            let here = stream.reset_here;
            self.skip(block)?;
            return if here { self.budgets.stray_frame(self.now) } else { self.fault(id, Fault::HalfClosed) };
        }
        match stream.remote {
            Remote::Ended if stream.is_ended() => Err(Reason::ClosedStream),
            Remote::Ended => {
                self.skip(block)?;
                self.fault(id, Fault::HalfClosed)
            }
            Remote::Body => self.trailers(slot, flags, block),
            Remote::Head => self.response(slot, flags, block),
        }
    }

    fn trailers(&mut self, slot: usize, flags: u8, block: &[u8]) -> Result<(), Reason> {
        let limit = self.settings.header_list_bytes as usize;
        let stream = &mut self.streams[slot];
        let id = stream.id;
        stream.inbox.tail.extend_from_slice(b"0\r\n");
        let read = inbound::read(
            &mut self.decoder,
            block,
            Sort::Trailers,
            limit,
            &mut self.scratch,
            &mut stream.inbox.tail,
            &mut |_, _, _| Ok(()),
        )
        .map_err(|()| Reason::Compression)?;
        if let Err(fault) = read {
            return self.fault(id, fault);
        }
        if !ends(flags) {
            return self.fault(id, Fault::UnendedTrailers);
        }
        stream.inbox.tail.extend_from_slice(b"\r\n");
        self.end_of_message(slot)
    }

    fn response(&mut self, slot: usize, flags: u8, block: &[u8]) -> Result<(), Reason> {
        let limit = self.settings.header_list_bytes as usize;
        let stream = &mut self.streams[slot];
        let (id, tunnel) = (stream.id, stream.tunnel);
        let read = inbound::read(
            &mut self.decoder,
            block,
            Sort::Response,
            limit,
            &mut self.scratch,
            &mut stream.inbox.text,
            &mut |pseudo, facts, text| response::start(pseudo, tunnel, facts, text),
        )
        .map_err(|()| Reason::Compression)?;
        match read.and_then(|facts| self.frame_response(slot, facts, ends(flags))) {
            Ok(()) => {}
            Err(fault) => return self.fault(id, fault),
        }
        self.wake(slot);
        if self.streams[slot].remote == Remote::Ended && self.streams[slot].is_closed() {
            self.uncount(slot);
        }
        Ok(())
    }

    /// Writes what tells the end of a response's body, and the end of its head.
    fn frame_response(&mut self, slot: usize, facts: Facts, ends: bool) -> Result<(), Fault> {
        let stream = &mut self.streams[slot];
        if facts.status < 200 {
            stream.interims += 1;
            if ends {
                return Err(Fault::EndedInterim);
            }
            if stream.interims > self.budgets.limits().interims {
                return Err(Fault::TooManyInterims);
            }
            stream.inbox.text.extend_from_slice(b"\r\n");
            stream.inbox.head_end = stream.inbox.text.len();
            return Ok(());
        }
        let remote = if ends { Remote::Ended } else { Remote::Body };
        if facts.tunnel {
            stream.end_head(Framing::Plain, remote, None);
            return Ok(());
        }
        stream.tunnel = false;
        if stream.is_head || matches!(facts.status, 204 | 304) {
            stream.bodiless = true;
            stream.end_head(Framing::None, remote, Some(0));
            return Ok(());
        }
        let framing = match facts.length {
            Some(length) if ends && length > 0 => return Err(Fault::LengthMismatch),
            Some(_) if ends => Framing::None,
            None if ends => {
                // Without it the text would have no end.
                stream.inbox.text.extend_from_slice(b"content-length: 0\r\n");
                Framing::None
            }
            Some(_) => Framing::Plain,
            None => Framing::Chunked,
        };
        stream.end_head(framing, remote, facts.length);
        Ok(())
    }

    /// Reads a block for the decoder's sake alone.
    fn skip(&mut self, block: &[u8]) -> Result<(), Reason> {
        let mut nowhere = std::mem::take(&mut self.spare_block);
        nowhere.clear();
        let read = inbound::read(
            &mut self.decoder,
            block,
            Sort::Trailers,
            0,
            &mut self.scratch,
            &mut nowhere,
            &mut |_, _, _| Ok(()),
        );
        self.spare_block = nowhere;
        read.map(|_| ()).map_err(|()| Reason::Compression)
    }
}
