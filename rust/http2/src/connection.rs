//! One HTTP/2 connection: what its owner may ask of it.

use std::collections::VecDeque;

use crate::budget::Budgets;
use crate::frame::{self, FIRST_FRAME, FIRST_WINDOW, LARGEST, flag, kind, setting};
use crate::hpack::{Decoder, Encoder};
use crate::inbound::Scratch;
use crate::outbound::Composer;
use crate::output::Output;
use crate::receive::{Block, Incoming};
use crate::stream::{Blocked, Local, Remote};
use crate::streams::{Gone, Streams};
use crate::{ErrorCode, Fault, Over, Read, Role, Settings};

/// Faults that nobody asked for are forgotten beyond this many.
const FAULTS_KEPT: usize = 64;

/// What the PING says that follows the first GOAWAY of a server.
const LEAVING: [u8; 8] = *b"tg-leave";

/// What the PINGs say that ask whether the peer is there.
const ALIVE: [u8; 8] = *b"tg-alive";

/// A connection, seen from one of its sides.
///
/// Streams are told apart by handles: what [`Self::accept`] and [`Self::open`] return. Text that is not read yet, and
/// windows, are the only memory that a stream holds.
#[derive(Debug)]
pub struct Connection {
    pub(crate) role: Role,
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) scratch: Scratch,
    pub(crate) composer: Composer,
    pub(crate) streams: Streams,
    pub(crate) budgets: Budgets,
    /// What of the client's preface has not come.
    pub(crate) preface: &'static [u8],
    /// A frame that has not come whole.
    pub(crate) part: Vec<u8>,
    /// DATA that has not come whole.
    pub(crate) incoming: Option<Incoming>,
    /// A head that has not come whole.
    pub(crate) block: Option<Block>,
    /// Memory for the next of those.
    pub(crate) spare_block: Vec<u8>,
    /// Whether the peer's SETTINGS have come.
    pub(crate) greeted: bool,
    pub(crate) peer: Peer,
    /// The last stream that the peer opened.
    pub(crate) last_peer_id: u32,
    /// The next stream that is opened here.
    pub(crate) next_id: u32,
    /// What may be sent on all streams together.
    pub(crate) send_window: i64,
    /// What the peer may send on all streams together.
    pub(crate) receive_window: i64,
    /// What was read and not given back to the peer yet.
    pub(crate) credit: u32,
    /// Open streams, as the limit counts them (RFC 9113 §5.1.2).
    pub(crate) open: u32,
    next_handle: u32,
    pub(crate) accepted: VecDeque<u32>,
    pub(crate) woken: VecDeque<u32>,
    /// How many writers wait for what all streams share.
    pub(crate) waiting: usize,
    turns: u64,
    /// Turns of writers that are being woken.
    order: Vec<(u64, u32)>,
    pub(crate) leaving: Leaving,
    /// The last stream that the peer will look at, once it has said so.
    pub(crate) peer_leaves: Option<u32>,
    pongs: u64,
    pub(crate) over: Option<Over>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) now: u64,
    /// Our SETTINGS have been acknowledged.
    pub(crate) acknowledged: bool,
    /// Frames other than DATA that have come whole.
    pub(crate) frames: u64,
}

/// What the peer allows.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) max_streams: u32,
    pub(crate) window: u32,
    pub(crate) max_frame: u32,
    pub(crate) connect: bool,
}

/// How far our leave is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    No,
    /// It has been told, and streams that were under way are still taken.
    Announced,
    /// The peer knows the last stream that is looked at.
    Told(u32),
}

impl Connection {
    /// A connection whose first bytes wait in the output.
    pub fn new(role: Role, settings: Settings) -> Self {
        let is_server = role == Role::Server;
        let mut connection = Self {
            role,
            settings,
            output: Output::default(),
            decoder: Decoder::new(settings.header_table as usize),
            encoder: Encoder::default(),
            scratch: Scratch::default(),
            composer: Composer::default(),
            streams: Streams::default(),
            budgets: Budgets::new(settings.limits),
            preface: if is_server { frame::PREFACE } else { &[] },
            part: Vec::new(),
            incoming: None,
            block: None,
            spare_block: Vec::new(),
            greeted: false,
            peer: Peer { max_streams: 100, window: FIRST_WINDOW, max_frame: FIRST_FRAME, connect: false },
            last_peer_id: 0,
            next_id: 1,
            send_window: i64::from(FIRST_WINDOW),
            receive_window: i64::from(settings.connection_window.clamp(FIRST_WINDOW, LARGEST)),
            credit: 0,
            open: 0,
            next_handle: 1,
            accepted: VecDeque::new(),
            woken: VecDeque::new(),
            waiting: 0,
            turns: 0,
            order: Vec::new(),
            leaving: Leaving::No,
            peer_leaves: None,
            pongs: 0,
            over: None,
            faults: VecDeque::new(),
            now: 0,
            acknowledged: false,
            frames: 0,
        };
        connection.greet();
        connection
    }

    /// For a server: the next stream whose head is whole.
    pub fn accept(&mut self) -> Option<u32> {
        while let Some(handle) = self.accepted.pop_front() {
            if let Some(slot) = self.streams.slot_of_handle(handle) {
                self.streams[slot].offered = true;
                return Some(handle);
            }
        }
        None
    }

    /// For a client: a new stream; `None` where the peer's limit, its GOAWAY or the ids do not allow one.
    pub fn open(&mut self) -> Option<u32> {
        if self.capacity() == 0 {
            return None;
        }
        let handle = self.next_handle;
        // Handles come again after 2^31 streams, of which a connection has no more (RFC 9113 §5.1.1).
        self.next_handle = self.next_handle.wrapping_add(1).max(1);
        let slot = self.streams.add(0, handle);
        let stream = &mut self.streams[slot];
        stream.offered = true;
        stream.counted = true;
        stream.send_window = i64::from(self.peer.window);
        stream.receive_window = first_receive_window(&self.settings);
        self.open += 1;
        Some(handle)
    }

    /// For a client: how many streams may be opened now.
    pub fn capacity(&self) -> u32 {
        let gone = self.over.is_some() || self.is_draining() || self.next_id > LARGEST;
        if self.role == Role::Server || gone {
            return 0;
        }
        self.settings.max_streams.min(self.peer.max_streams).saturating_sub(self.open)
    }

    /// Reads the text of the peer's message. What is taken out of a body is given back to the peer as window, in steps of
    /// half a window.
    pub fn read(&mut self, stream: u32, buf: &mut [u8]) -> Read {
        let Some(slot) = self.streams.slot_of_handle(stream) else {
            return Read::Reset(ErrorCode::STREAM_CLOSED);
        };
        let stream = &mut self.streams[slot];
        if let Some(code) = stream.reset_of_reader(self.role == Role::Server) {
            return Read::Reset(code);
        }
        let (count, data) = stream.inbox.read(buf);
        if data > 0 {
            self.give_back(slot, data as u32);
        }
        if count > 0 || buf.is_empty() { Read::Bytes(count) } else { self.streams[slot].inbox.end() }
    }

    /// Whether [`Self::read`] would find something, if only the end.
    pub fn is_readable(&self, stream: u32) -> bool {
        self.streams
            .slot_of_handle(stream)
            .is_none_or(|slot| self.streams[slot].is_readable(self.role == Role::Server))
    }

    /// Whether the end of our message waits in the output, or was sent.
    pub fn is_written(&self, stream: u32) -> bool {
        self.streams.slot_of_handle(stream).is_none_or(|slot| self.streams[slot].is_ended())
    }

    /// Lets go of a stream. Where it has not ended both ways it is reset: with `code`, or else with `NO_ERROR` where our
    /// message is whole and the rest of the peer's is not needed (RFC 9113 §8.1), or else with `CANCEL`.
    pub fn release(&mut self, stream: u32, code: Option<ErrorCode>) {
        let Some(slot) = self.streams.slot_of_handle(stream) else { return };
        let stream = &self.streams[slot];
        let unread = stream.inbox.unread() as u32;
        let (id, ended) = (stream.id, stream.is_ended());
        let gone = match stream.reset {
            Some(_) if stream.reset_here => Gone::ResetHere,
            Some(_) => Gone::ResetByPeer,
            None if stream.is_closed() => Gone::Ended,
            None => Gone::ResetHere,
        };
        if gone == Gone::ResetHere && !stream.reset_here && id != 0 && self.over.is_none() {
            let code = code.unwrap_or(if ended { ErrorCode::NO_ERROR } else { ErrorCode::CANCEL });
            self.output.reset(id, code);
        }
        self.uncount(slot);
        self.unblock(slot);
        self.streams.remove(slot, gone);
        self.give_back_to_connection(unread);
    }

    /// What is to be sent. It may still change until [`Self::sent`] says that it is gone.
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// The first `count` bytes of the output are gone.
    pub fn sent(&mut self, count: usize) {
        self.output.sent(count);
        if self.waiting > 0 && self.output.len() < self.settings.output_bytes {
            self.wake_waiting();
        }
    }

    /// A stream whose reader or writer may go on; each stands in the queue once.
    pub fn woken(&mut self) -> Option<u32> {
        while let Some(handle) = self.woken.pop_front() {
            if let Some(slot) = self.streams.slot_of_handle(handle) {
                self.streams[slot].woken = false;
                return Some(handle);
            }
        }
        None
    }

    /// Takes no new streams, and lets those that are there end (RFC 9113 §6.8). A server first announces it, and names the
    /// last stream when the peer has answered a PING, so that none which is under way is lost.
    pub fn go_away(&mut self) {
        if self.leaving != Leaving::No || self.over.is_some() {
            return;
        }
        if self.role == Role::Server {
            self.leaving = Leaving::Announced;
            self.output.go_away(LARGEST, ErrorCode::NO_ERROR);
            self.output.frame(kind::PING, 0, 0, &LEAVING);
        } else {
            self.leaving = Leaving::Told(0);
            self.output.go_away(0, ErrorCode::NO_ERROR);
        }
    }

    /// Whether either side has said that it takes no new streams.
    pub fn is_draining(&self) -> bool {
        self.leaving != Leaving::No || self.peer_leaves.is_some()
    }

    /// Whether there are streams that were not released.
    pub fn has_streams(&self) -> bool {
        self.streams.len() > 0
    }

    /// How many streams were not released.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether nothing more happens here: the last stream is named, by either side, and none is left; or there was an
    /// error. What waits in the output is to be sent all the same.
    pub fn is_over(&self) -> bool {
        let last = matches!(self.leaving, Leaving::Told(_)) || self.peer_leaves.is_some();
        self.over.is_some() || (last && !self.has_streams())
    }

    /// For a client: whether the server takes extended CONNECT (RFC 8441 §3).
    pub fn peer_allows_connect(&self) -> bool {
        self.peer.connect
    }

    /// Whether the peer's SETTINGS have come: what it allows is known from then on.
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Asks whether the peer is there.
    pub fn ping(&mut self) {
        if self.over.is_none() {
            self.output.frame(kind::PING, 0, 0, &ALIVE);
        }
    }

    /// How many answers to [`Self::ping`] have come.
    pub fn pongs(&self) -> u64 {
        self.pongs
    }

    /// The next fault of the peer's for which a stream was refused or reset, for logs and metrics; a few dozen are kept.
    pub fn noted(&mut self) -> Option<Fault> {
        self.faults.pop_front()
    }

    /// Gives back memory that holds nothing, for a connection that is about to be idle for long.
    pub fn trim(&mut self) {
        self.output.trim();
        self.decoder.trim();
        self.encoder.trim();
        self.scratch.trim();
        self.composer.trim();
        self.streams.trim();
        self.spare_block = Vec::new();
        self.order = Vec::new();
        self.accepted.shrink_to_fit();
        self.woken.shrink_to_fit();
        if self.part.is_empty() {
            self.part = Vec::new();
        }
        for (_, stream) in self.streams.iter_mut() {
            stream.inbox.trim();
        }
    }

    fn greet(&mut self) {
        let settings = &self.settings;
        if self.role == Role::Client {
            self.output.raw(frame::PREFACE);
        }
        let both = [
            (setting::HEADER_TABLE_SIZE, settings.header_table),
            (setting::INITIAL_WINDOW_SIZE, settings.stream_window.min(LARGEST)),
            (setting::MAX_FRAME_SIZE, settings.max_frame.clamp(FIRST_FRAME, (1 << 24) - 1)),
            (setting::MAX_HEADER_LIST_SIZE, settings.header_list_bytes),
            (setting::NO_RFC7540_PRIORITIES, 1),
        ];
        let own = match self.role {
            Role::Server => &[
                (setting::MAX_CONCURRENT_STREAMS, settings.max_streams),
                (setting::ENABLE_CONNECT_PROTOCOL, 1),
            ][..],
            Role::Client => &[(setting::ENABLE_PUSH, 0)],
        };
        let mut payload = [0; 6 * 8];
        let mut length = 0;
        for ((id, value), room) in both.iter().chain(own).zip(payload.chunks_mut(6)) {
            room[..2].copy_from_slice(&id.to_be_bytes());
            room[2..].copy_from_slice(&value.to_be_bytes());
            length += 6;
        }
        self.output.frame(kind::SETTINGS, 0, 0, &payload[..length]);
        let more = self.receive_window - i64::from(FIRST_WINDOW);
        if more > 0 {
            self.output.window_update(0, more as u32);
        }
    }

    /// An answer to one of our PINGs has come.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        if payload == ALIVE {
            self.pongs += 1;
        } else if payload == LEAVING && self.leaving == Leaving::Announced {
            self.leaving = Leaving::Told(self.last_peer_id);
            self.output.go_away(self.last_peer_id, ErrorCode::NO_ERROR);
        }
    }

    /// Data of the stream was read.
    fn give_back(&mut self, slot: usize, count: u32) {
        let half = (self.settings.stream_window / 2).max(1);
        let stream = &mut self.streams[slot];
        stream.credit += count;
        if stream.credit >= half && stream.remote == Remote::Body && stream.reset.is_none() {
            stream.receive_window += i64::from(stream.credit);
            let (id, credit) = (stream.id, std::mem::take(&mut stream.credit));
            self.output.window_update(id, credit);
        }
        self.give_back_to_connection(count);
    }

    /// Data was read, or will not be.
    pub(crate) fn give_back_to_connection(&mut self, count: u32) {
        self.credit += count;
        if self.credit >= self.settings.connection_window.max(FIRST_WINDOW) / 2 && self.over.is_none() {
            self.receive_window += i64::from(self.credit);
            self.output.window_update(0, std::mem::take(&mut self.credit));
        }
    }

    /// Puts a stream into the queue of those that may go on.
    pub(crate) fn wake(&mut self, slot: usize) {
        let stream = &mut self.streams[slot];
        if stream.offered && !stream.woken {
            stream.woken = true;
            self.woken.push_back(stream.handle);
        }
    }

    /// A writer waits. It keeps its place in the queue until it has had its turn.
    pub(crate) fn block_writer(&mut self, slot: usize, on: Blocked) {
        self.unblock(slot);
        let stream = &mut self.streams[slot];
        stream.blocked = on;
        if on == Blocked::Shared {
            self.waiting += 1;
            if stream.turn == 0 {
                self.turns += 1;
                stream.turn = self.turns;
            }
        }
    }

    pub(crate) fn unblock(&mut self, slot: usize) {
        let stream = &mut self.streams[slot];
        if std::mem::take(&mut stream.blocked) == Blocked::Shared {
            self.waiting = self.waiting.saturating_sub(1);
        }
    }

    /// Wakes all writers that wait for what is shared, those first that have waited longest.
    pub(crate) fn wake_waiting(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for (slot, stream) in self.streams.iter_mut() {
            if stream.blocked == Blocked::Shared {
                order.push((stream.turn, slot as u32));
            }
        }
        order.sort_unstable();
        for (_, slot) in &order {
            self.unblock(*slot as usize);
            self.wake(*slot as usize);
        }
        self.order = order;
    }

    /// A stream that is not open any more does not count.
    pub(crate) fn uncount(&mut self, slot: usize) {
        let stream = &mut self.streams[slot];
        if std::mem::take(&mut stream.counted) {
            self.open = self.open.saturating_sub(1);
        }
    }

    /// Our message has ended.
    pub(crate) fn ended_here(&mut self, slot: usize) {
        self.streams[slot].local = Local::Ended;
        self.unblock(slot);
        if self.streams[slot].is_closed() {
            self.uncount(slot);
        }
    }

    pub(crate) fn note(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push_back(fault);
        }
    }
}

/// What the peer may send on a new stream. Until it has read our SETTINGS it goes by the default.
pub(crate) fn first_receive_window(settings: &Settings) -> i64 {
    i64::from(settings.stream_window.clamp(FIRST_WINDOW, LARGEST))
}

/// Flags of HEADERS and DATA that end a stream.
pub(crate) fn ends(flags: u8) -> bool {
    flags & flag::END_STREAM != 0
}
