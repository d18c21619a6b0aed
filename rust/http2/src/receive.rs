//! What comes in: frames, in whatever pieces, and what each of them does.

use crate::connection::{Connection, Leaving, Peer, ends, first_receive_window};
use crate::frame::{FIRST_FRAME, Frame, HEADER, LARGEST, flag, kind, setting};
use crate::stream::{Blocked, Remote};
use crate::streams::Gone;
use crate::{ErrorCode, Fault, Over, Reason, Role};

/// DATA that has not come whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    stream: u32,
    /// Bytes of the payload to come, with padding.
    left: usize,
    /// Bytes of padding at the end; `None` while the byte that tells of them has not come.
    padding: Option<usize>,
    ends: bool,
}

/// A head that has not come whole.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) stream: u32,
    pub(crate) flags: u8,
    pub(crate) bytes: Vec<u8>,
    pub(crate) continuations: u32,
}

impl Connection {
    /// Takes bytes of the peer, all of them. `now` is in nanoseconds on any clock that does not go back.
    ///
    /// # Errors
    /// Where the connection is over: what waits in the output (GOAWAY is its last frame) is to be sent, and then the
    /// connection is to be closed.
    pub fn receive(&mut self, bytes: &[u8], now: u64) -> Result<(), Over> {
        if let Some(over) = self.over {
            return Err(over);
        }
        self.now = now.max(self.now);
        let outcome = self.take(bytes).and_then(|()| {
            let most = self.settings.output_bytes.saturating_add(self.budgets.limits().output_bytes);
            if self.output.len() > most { Err(Reason::OutputFull) } else { Ok(()) }
        });
        outcome.map_err(|reason| self.fail(reason))
    }

    /// Ends the connection and tells the peer.
    pub(crate) fn fail(&mut self, reason: Reason) -> Over {
        let over = Over { reason, code: reason.code() };
        self.output.go_away(self.last_peer_id, over.code);
        self.over = Some(over);
        self.end_all(over.code);
        over
    }

    /// Every stream ends with the connection.
    fn end_all(&mut self, code: ErrorCode) {
        let mut slots = Vec::new();
        for (slot, stream) in self.streams.iter_mut() {
            stream.reset.get_or_insert(code);
            slots.push(slot);
        }
        for slot in slots {
            self.uncount(slot);
            self.unblock(slot);
            self.wake(slot);
        }
        self.accepted.clear();
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
        if !self.preface.is_empty() {
            let count = self.preface.len().min(bytes.len());
            if self.preface[..count] != bytes[..count] {
                return Err(Reason::BadPreface);
            }
            self.preface = &self.preface[count..];
            bytes = &bytes[count..];
        }
        while !bytes.is_empty() {
            if self.incoming.is_some() {
                bytes = self.data(bytes)?;
            } else if self.part.is_empty() {
                let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() else {
                    self.part.extend_from_slice(bytes);
                    return Ok(());
                };
                let frame = Frame::parse(head);
                self.check(frame)?;
                if frame.kind == kind::DATA {
                    self.begin_data(frame)?;
                    bytes = rest;
                    continue;
                }
                let Some((payload, rest)) = rest.split_at_checked(frame.length) else {
                    self.part.extend_from_slice(bytes);
                    return Ok(());
                };
                self.frame(frame, payload)?;
                bytes = rest;
            } else {
                bytes = self.part(bytes)?;
            }
        }
        Ok(())
    }

    /// Goes on with a frame of which a part has come; what is not its own is left.
    fn part<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8], Reason> {
        if self.part.len() < HEADER {
            let (now, rest) = bytes.split_at(bytes.len().min(HEADER - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = rest;
            let Some(head) = self.part.first_chunk::<HEADER>() else { return Ok(bytes) };
            let frame = Frame::parse(head);
            self.check(frame)?;
            if frame.kind == kind::DATA {
                self.part.clear();
                self.begin_data(frame)?;
                return Ok(bytes);
            }
        }
        let Some(head) = self.part.first_chunk::<HEADER>() else { return Ok(bytes) };
        let frame = Frame::parse(head);
        let missing = (HEADER + frame.length).saturating_sub(self.part.len());
        let (now, rest) = bytes.split_at(bytes.len().min(missing));
        self.part.extend_from_slice(now);
        if now.len() == missing {
            let mut part = std::mem::take(&mut self.part);
            let outcome = self.frame(frame, part.get(HEADER..).unwrap_or_default());
            part.clear();
            self.part = part;
            outcome?;
        }
        Ok(rest)
    }

    /// What can be told from a frame's first bytes: no payload is waited for that would be refused.
    fn check(&mut self, frame: Frame) -> Result<(), Reason> {
        if !self.greeted && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err(Reason::SettingsNotFirst);
        }
        if frame.length > self.settings.max_frame.clamp(FIRST_FRAME, (1 << 24) - 1) as usize {
            return Err(Reason::FrameTooLarge);
        }
        match &self.block {
            Some(block) if frame.kind != kind::CONTINUATION || frame.stream != block.stream => {
                return Err(Reason::BrokenHead);
            }
            None if frame.kind == kind::CONTINUATION => return Err(Reason::StrayContinuation),
            _ => {}
        }
        let on_stream = frame.stream != 0;
        match frame.kind {
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION
                if !on_stream =>
            {
                Err(Reason::FrameOnConnection)
            }
            kind::SETTINGS | kind::PING | kind::GOAWAY if on_stream => Err(Reason::FrameOnStream),
            kind::PUSH_PROMISE => Err(Reason::Push),
            kind::RST_STREAM | kind::WINDOW_UPDATE if frame.length != 4 => Err(Reason::FrameSize),
            kind::PING if frame.length != 8 => Err(Reason::FrameSize),
            kind::GOAWAY if frame.length < 8 => Err(Reason::FrameSize),
            kind::SETTINGS
                if !frame.length.is_multiple_of(6) || (frame.has(flag::ACK) && frame.length != 0) =>
            {
                Err(Reason::FrameSize)
            }
            _ => Ok(()),
        }
    }

    /// A frame other than DATA, whole.
    fn frame(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Reason> {
        let now = self.now;
        self.frames = self.frames.wrapping_add(1);
        match frame.kind {
            kind::HEADERS => self.headers(frame, payload),
            kind::CONTINUATION => self.continuation(frame, payload),
            kind::PRIORITY => {
                self.budgets.priority(now)?;
                match payload.first_chunk() {
                    Some(first) if payload.len() == 5 => self.depends(frame.stream, *first),
                    _ => self.fault(frame.stream, Fault::FrameSize),
                }
            }
            kind::RST_STREAM => self.rst_stream(frame.stream, ErrorCode(number(payload))),
            kind::SETTINGS if frame.has(flag::ACK) => {
                self.acknowledged = true;
                Ok(())
            }
            kind::SETTINGS => self.settings(payload),
            kind::PING if frame.has(flag::ACK) => {
                self.pong(payload);
                Ok(())
            }
            kind::PING => {
                self.budgets.ping(now)?;
                self.output.frame(kind::PING, flag::ACK, 0, payload);
                Ok(())
            }
            kind::GOAWAY => {
                self.peer_goes_away(number(payload) & LARGEST);
                Ok(())
            }
            kind::WINDOW_UPDATE => self.window_update(frame.stream, number(payload) & LARGEST),
            _ => self.budgets.unknown_frame(now),
        }
    }

    /// Whether a stream was never opened, by whoever would have had to.
    pub(crate) fn is_idle(&self, id: u32) -> bool {
        match self.role {
            Role::Server => id.is_multiple_of(2) || id > self.last_peer_id,
            Role::Client => id.is_multiple_of(2) || id >= self.next_id,
        }
    }

    /// RFC 9113 §5.3 has no priorities any more, and a stream that depends on itself is refused as before.
    pub(crate) fn depends(&mut self, id: u32, on: [u8; 4]) -> Result<(), Reason> {
        if u32::from_be_bytes(on) & LARGEST == id { self.fault(id, Fault::SelfDependency) } else { Ok(()) }
    }

    fn begin_data(&mut self, frame: Frame) -> Result<(), Reason> {
        let id = frame.stream;
        if self.is_idle(id) {
            return Err(Reason::IdleStream);
        }
        let length = frame.length as i64;
        self.receive_window -= length;
        if self.receive_window < 0 {
            return Err(Reason::WindowExceeded);
        }
        match self.streams.slot_of_id(id) {
            Some(slot) if self.streams[slot].reset.is_none() => {
                let stream = &mut self.streams[slot];
                stream.receive_window -= length;
                let fault = match stream.remote {
                    Remote::Ended => Some(Fault::HalfClosed),
                    Remote::Head => Some(Fault::BodyBeforeHead),
                    Remote::Body if stream.receive_window < 0 => Some(Fault::WindowExceeded),
                    Remote::Body => None,
                };
                if let Some(fault) = fault {
                    self.fault(id, fault)?;
                }
            }
            Some(slot) if !self.streams[slot].reset_here => self.fault(id, Fault::HalfClosed)?,
            Some(_) => self.budgets.stray_frame(self.now)?,
            None => match self.streams.gone(id) {
                Some(Gone::ResetHere) | None => self.budgets.stray_frame(self.now)?,
                Some(_) => self.fault(id, Fault::HalfClosed)?,
            },
        }
        if frame.length == 0 && !ends(frame.flags) {
            self.budgets.empty_frame(self.now)?;
        }
        let padded = frame.has(flag::PADDED);
        if padded && frame.length == 0 {
            return Err(Reason::FrameSize);
        }
        let incoming = Incoming {
            stream: id,
            left: frame.length,
            padding: if padded { None } else { Some(0) },
            ends: ends(frame.flags),
        };
        if frame.length == 0 {
            return self.end_data(incoming);
        }
        self.incoming = Some(incoming);
        Ok(())
    }

    /// Goes on with DATA; what is not its own is left.
    fn data<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Reason> {
        let Some(mut incoming) = self.incoming.take() else { return Ok(bytes) };
        let mut bytes = bytes;
        let padding = match incoming.padding {
            Some(padding) => padding,
            None => {
                let Some((padding, rest)) = bytes.split_first() else { return Ok(bytes) };
                let padding = usize::from(*padding);
                incoming.left -= 1;
                if padding > incoming.left {
                    return Err(Reason::PaddingTooLong);
                }
                if padding == incoming.left && !incoming.ends {
                    self.budgets.empty_frame(self.now)?;
                }
                incoming.padding = Some(padding);
                bytes = rest;
                self.give_back_padding(incoming.stream, padding as u32 + 1);
                padding
            }
        };
        let (data, rest) = bytes.split_at(bytes.len().min(incoming.left - padding.min(incoming.left)));
        if !data.is_empty() {
            self.deliver(incoming.stream, data)?;
            incoming.left -= data.len();
        }
        let mut rest = rest;
        if incoming.left <= padding {
            let skipped = rest.len().min(incoming.left);
            rest = &rest[skipped..];
            incoming.left -= skipped;
        }
        if incoming.left > 0 {
            self.incoming = Some(incoming);
            return Ok(rest);
        }
        self.end_data(incoming).map(|()| rest)
    }

    fn give_back_padding(&mut self, id: u32, count: u32) {
        self.give_back_to_connection(count);
        if let Some(slot) = self.streams.slot_of_id(id) {
            // With what is read next.
            self.streams[slot].credit += count;
        }
    }

    fn deliver(&mut self, id: u32, data: &[u8]) -> Result<(), Reason> {
        let live = self.streams.slot_of_id(id).filter(|slot| self.streams[*slot].reset.is_none());
        let Some(slot) = live else {
            self.give_back_to_connection(data.len() as u32);
            return Ok(());
        };
        let stream = &mut self.streams[slot];
        if let Some(left) = &mut stream.body_left {
            match left.checked_sub(data.len() as u64) {
                Some(less) => *left = less,
                None => {
                    let fault =
                        if stream.is_bodiless() { Fault::UnexpectedBody } else { Fault::LengthMismatch };
                    self.give_back_to_connection(data.len() as u32);
                    return self.fault(id, fault);
                }
            }
        }
        stream.inbox.push_data(data);
        self.wake(slot);
        Ok(())
    }

    fn end_data(&mut self, incoming: Incoming) -> Result<(), Reason> {
        let live =
            self.streams.slot_of_id(incoming.stream).filter(|slot| self.streams[*slot].reset.is_none());
        match live {
            Some(slot) if incoming.ends => self.end_of_message(slot),
            _ => Ok(()),
        }
    }

    /// The peer's message is whole.
    pub(crate) fn end_of_message(&mut self, slot: usize) -> Result<(), Reason> {
        let stream = &mut self.streams[slot];
        if stream.body_left.is_some_and(|left| left > 0) {
            let id = stream.id;
            return self.fault(id, Fault::LengthMismatch);
        }
        stream.remote = Remote::Ended;
        stream.inbox.ended = true;
        if stream.is_closed() {
            self.uncount(slot);
        }
        self.wake(slot);
        Ok(())
    }

    fn rst_stream(&mut self, id: u32, code: ErrorCode) -> Result<(), Reason> {
        if self.is_idle(id) {
            return Err(Reason::IdleStream);
        }
        let Some(slot) = self.streams.slot_of_id(id) else {
            return self.budgets.stray_frame(self.now);
        };
        let stream = &mut self.streams[slot];
        if stream.reset.is_some() {
            return self.budgets.stray_frame(self.now);
        }
        let answered = stream.is_ended();
        stream.reset = Some(code);
        let offered = stream.offered;
        self.uncount(slot);
        self.unblock(slot);
        if offered {
            self.wake(slot);
        } else {
            let unread = self.streams[slot].inbox.unread() as u32;
            self.streams.remove(slot, Gone::ResetByPeer);
            self.give_back_to_connection(unread);
        }
        if self.role == Role::Server && !answered { self.budgets.reset(self.now) } else { Ok(()) }
    }

    fn settings(&mut self, payload: &[u8]) -> Result<(), Reason> {
        self.budgets.settings(self.now)?;
        self.greeted = true;
        for item in payload.as_chunks::<6>().0 {
            let [a, b, value @ ..] = *item;
            let value = u32::from_be_bytes(value);
            match u16::from_be_bytes([a, b]) {
                setting::HEADER_TABLE_SIZE => self.encoder.resize(value as usize),
                setting::ENABLE_PUSH if value > 1 || (value == 1 && self.role == Role::Client) => {
                    return Err(Reason::InvalidSetting);
                }
                setting::MAX_CONCURRENT_STREAMS => self.peer.max_streams = value,
                setting::INITIAL_WINDOW_SIZE if value > LARGEST => return Err(Reason::InvalidWindowSetting),
                setting::INITIAL_WINDOW_SIZE => self.initial_window(value)?,
                setting::MAX_FRAME_SIZE if !(FIRST_FRAME..1 << 24).contains(&value) => {
                    return Err(Reason::InvalidSetting);
                }
                setting::MAX_FRAME_SIZE => self.peer.max_frame = value,
                setting::ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.peer.connect) => {
                    return Err(Reason::InvalidSetting);
                }
                setting::ENABLE_CONNECT_PROTOCOL => self.peer.connect = value == 1,
                setting::NO_RFC7540_PRIORITIES if value > 1 => return Err(Reason::InvalidSetting),
                _ => {}
            }
        }
        self.output.frame(kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    /// RFC 9113 §6.9.2: the windows of all streams move by the difference, below zero too.
    fn initial_window(&mut self, value: u32) -> Result<(), Reason> {
        let difference = i64::from(value) - i64::from(std::mem::replace(&mut self.peer.window, value));
        let mut woken = Vec::new();
        for (slot, stream) in self.streams.iter_mut() {
            stream.send_window += difference;
            if stream.send_window > i64::from(LARGEST) {
                return Err(Reason::WindowOverflow);
            }
            if stream.blocked == Blocked::Stream && stream.send_window > 0 {
                woken.push(slot);
            }
        }
        for slot in woken {
            self.unblock(slot);
            self.wake(slot);
        }
        Ok(())
    }

    fn window_update(&mut self, id: u32, increment: u32) -> Result<(), Reason> {
        self.budgets.window_update(self.now)?;
        if id == 0 {
            if increment == 0 {
                return Err(Reason::EmptyIncrement);
            }
            self.send_window += i64::from(increment);
            if self.send_window > i64::from(LARGEST) {
                return Err(Reason::WindowOverflow);
            }
            if self.waiting > 0 {
                self.wake_waiting();
            }
            return Ok(());
        }
        if self.is_idle(id) {
            return Err(Reason::IdleStream);
        }
        let Some(slot) = self.streams.slot_of_id(id) else { return Ok(()) };
        let stream = &mut self.streams[slot];
        if stream.reset.is_some() {
            return Ok(());
        }
        if increment == 0 {
            return self.fault(id, Fault::EmptyIncrement);
        }
        stream.send_window += i64::from(increment);
        if stream.send_window > i64::from(LARGEST) {
            return self.fault(id, Fault::WindowOverflow);
        }
        if stream.blocked == Blocked::Stream && stream.send_window > 0 {
            self.unblock(slot);
            self.wake(slot);
        }
        Ok(())
    }

    fn peer_goes_away(&mut self, last: u32) {
        // One that comes later may only name an earlier stream (RFC 9113 §6.8).
        let last = self.peer_leaves.map_or(last, |before| before.min(last));
        self.peer_leaves = Some(last);
        if self.role == Role::Server {
            return;
        }
        let mut lost = Vec::new();
        for (slot, stream) in self.streams.iter_mut() {
            if stream.reset.is_none() && (stream.id == 0 || stream.id > last) {
                stream.reset = Some(ErrorCode::REFUSED_STREAM);
                lost.push(slot);
            }
        }
        for slot in lost {
            self.uncount(slot);
            self.unblock(slot);
            self.wake(slot);
        }
    }

    /// Resets a stream for the peer's fault. It need not be there any more.
    pub(crate) fn fault(&mut self, id: u32, fault: Fault) -> Result<(), Reason> {
        self.note(fault);
        self.output.reset(id, fault.code());
        match self.streams.slot_of_id(id) {
            Some(slot) => {
                let stream = &mut self.streams[slot];
                stream.reset.get_or_insert(fault.code());
                stream.reset_here = true;
                let offered = stream.offered;
                self.uncount(slot);
                self.unblock(slot);
                if offered {
                    self.wake(slot);
                } else {
                    let unread = self.streams[slot].inbox.unread() as u32;
                    self.streams.remove(slot, Gone::ResetHere);
                    self.give_back_to_connection(unread);
                }
            }
            None => self.streams.remember(id, Gone::ResetHere),
        }
        self.budgets.fault(self.now)
    }

    /// Whether a new stream is beyond the last one that is looked at.
    pub(crate) fn is_too_late(&self, id: u32) -> bool {
        matches!(self.leaving, Leaving::Told(last) if id > last)
    }
}

/// The first four bytes; the sizes of frames were checked.
fn number(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The window that a stream of the peer's starts with, both ways.
pub(crate) fn windows(settings: &crate::Settings, peer: &Peer) -> (i64, i64) {
    (i64::from(peer.window), first_receive_window(settings))
}
