//! HTTP/2: one connection below, and above it streams that carry HTTP/1.1 text like any other stream.
//!
//! The connection's driver ([`Driver`]) is the only one that reads and writes the socket. Streams belong to tasks of their
//! own; what they write waits in the codec until the driver's next turn, so that what many streams say in one turn of the
//! loop goes out in one call.

mod stream;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::{self, IoSlice},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tidegate_http2::{Connection, Debt, Over, Reason, Role, Settings};

use super::Stream;

pub use stream::H2;

/// What the driver and the streams of one connection share; all of them live on one worker.
pub struct Session {
    codec: RefCell<Connection>,
    /// Tasks that wait for their stream.
    waiting: RefCell<BTreeMap<u32, Waker>>,
    driver: RefCell<Option<Waker>>,
    /// The connection below has gone, or the codec has given it up.
    over: Cell<Option<End>>,
    secure: bool,
    role: Role,
}

/// Why a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed it.
    Closed,
    /// It broke off.
    Broken,
    /// The peer did what ends a connection.
    Fault(Reason),
    /// Both sides had said that it ends, and the last stream has.
    Done,
}

impl End {
    /// As metrics and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "by_client",
            Self::Broken => "broken",
            Self::Fault(reason) => reason.as_str(),
            Self::Done => "drain",
        }
    }
}

/// Reads and writes for a session.
pub struct Driver {
    /// What the streams see.
    pub session: Rc<Session>,
    stream: Stream,
    /// Bytes that the peer has taken.
    sent: u64,
}

/// What a turn of the driver came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was read.
    Moved,
    /// Nothing came, and all that was to be written is.
    Idle,
    /// Nothing came, and the peer does not take what there is for it.
    Blocked,
    /// It is over; the streams have been told.
    Over(End),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("over", &self.over.get()).finish_non_exhaustive()
    }
}

impl Driver {
    /// Takes `stream` over. The preface and our settings go out with the first turn.
    pub fn new(role: Role, settings: Settings, stream: Stream) -> Self {
        let session = Session {
            codec: RefCell::new(Connection::new(role, settings)),
            waiting: RefCell::default(),
            driver: RefCell::default(),
            over: Cell::new(None),
            secure: stream.is_secure(),
            role,
        };
        Self { session: Rc::new(session), stream, sent: 0 }
    }

    /// Takes bytes that were read before the driver was there.
    pub fn receive(&self, bytes: &[u8], now: u64) -> Result<(), End> {
        self.session.receive(bytes, now)
    }

    /// Bytes that the peer has taken so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Ends it for what the peer did not do in time, and tells the peer as far as that costs no waiting.
    pub fn give_up(&mut self, reason: Reason) -> End {
        let over = self.session.codec.borrow_mut().give_up(reason);
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
        let end = End::Fault(over.reason);
        self.session.end(end);
        end
    }

    /// The connection below.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Writes what there is and reads what has come, once each. The task of `cx` is woken when a stream has something to
    /// write, or the connection moves on. `scratch` is where bytes are read to.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], now: impl Fn() -> u64) -> Turn {
        self.session.register(cx);
        let blocked = match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(_)) => return self.end(End::Broken),
            Poll::Pending => true,
        };
        if self.session.codec.borrow().is_over() && !blocked {
            return self.end(End::Done);
        }
        match self.stream.poll_read(cx, scratch) {
            Poll::Ready(Ok(0)) => self.end(End::Closed),
            Poll::Ready(Err(_)) => self.end(End::Broken),
            Poll::Ready(Ok(read)) => match self.session.receive(&scratch[..read], now()) {
                Ok(()) => Turn::Moved,
                Err(end) => {
                    // As much of the reason as the peer takes at once.
                    let _ = self.poll_flush(cx);
                    self.end(end)
                }
            },
            Poll::Pending if blocked => Turn::Blocked,
            Poll::Pending => Turn::Idle,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = loop {
            let mut codec = self.session.codec.borrow_mut();
            let output = codec.output();
            if output.is_empty() {
                break Poll::Ready(Ok(()));
            }
            match self.stream.poll_write(cx, &[IoSlice::new(output)]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(sent)) => {
                    codec.sent(sent);
                    self.sent = self.sent.saturating_add(sent as u64);
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.session.wake_streams();
        polled
    }

    fn end(&mut self, end: End) -> Turn {
        self.session.end(end);
        Turn::Over(end)
    }

    /// Says that nothing more will be written, as far as that costs no waiting.
    pub fn shut(mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.poll_flush(&mut cx);
        let _ = self.stream.poll_shutdown(&mut cx);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.session.end(End::Broken);
    }
}

impl Session {
    /// The next stream that the peer has opened; its request's head can be read.
    pub fn accept(self: &Rc<Self>) -> Option<H2> {
        let id = self.codec.borrow_mut().accept()?;
        Some(H2::new(self.clone(), id))
    }

    /// A new stream to the peer; `None`: there is no room, or the connection ends.
    pub fn open(self: &Rc<Self>) -> Option<H2> {
        if self.over.get().is_some() {
            return None;
        }
        let id = self.codec.borrow_mut().open()?;
        Some(H2::new(self.clone(), id))
    }

    /// How many more streams the peer takes now; 0 where the connection ends.
    pub fn capacity(&self) -> u32 {
        if self.over.get().is_some() { 0 } else { self.codec.borrow().capacity() }
    }

    /// Streams that are open.
    pub fn streams(&self) -> usize {
        self.codec.borrow().streams()
    }

    /// Tells the peer that no stream beyond those it has opened will be taken. `false`: it was told before.
    pub fn announce_end(&self) -> bool {
        let mut codec = self.codec.borrow_mut();
        let news = !codec.is_draining();
        if news {
            codec.go_away();
        }
        news
    }

    /// The next thing that the peer did wrong on a stream of its, as metrics name it.
    pub fn noted(&self) -> Option<&'static str> {
        self.codec.borrow_mut().noted().map(|fault| fault.as_str())
    }

    /// What the peer has begun or owes.
    pub fn debt(&self) -> Option<Debt> {
        self.codec.borrow().debt()
    }

    /// Gives back memory that holds nothing, before the connection is idle.
    pub fn trim(&self) {
        self.codec.borrow_mut().trim();
    }

    /// Whether it is over, and why.
    pub fn ended(&self) -> Option<End> {
        self.over.get()
    }

    fn receive(&self, bytes: &[u8], now: u64) -> Result<(), End> {
        let received = self.codec.borrow_mut().receive(bytes, now);
        self.wake_streams();
        received.map_err(|Over { reason, .. }| End::Fault(reason))
    }

    fn wake_streams(&self) {
        loop {
            let Some(id) = self.codec.borrow_mut().woken() else { return };
            let waker = self.waiting.borrow_mut().remove(&id);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn end(&self, end: End) {
        if self.over.get().is_none() {
            self.over.set(Some(end));
        }
        let waiting = self.waiting.take();
        waiting.into_values().for_each(Waker::wake);
    }

    fn register(&self, cx: &Context<'_>) {
        let mut driver = self.driver.borrow_mut();
        if driver.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
    }

    /// There is something to write.
    fn wake_driver(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }
}
