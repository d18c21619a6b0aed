//! A network in memory, for tests: connections are pairs of queues, addresses are entries in a table.
//!
//! It belongs to one thread: what is listened on here is reached from here.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::io::ReadBuf;

use super::Target;

/// Bytes that one direction holds before its writer has to wait, unless a test sets another number.
pub const CAPACITY: usize = 64 * 1024;

/// One end of a connection.
#[derive(Debug)]
pub struct Pipe {
    incoming: Arc<Mutex<Queue>>,
    outgoing: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: VecDeque<u8>,
    capacity: usize,
    ended: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    reads: usize,
    writes: usize,
}

/// How an endpoint in memory takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// They are taken.
    Open,
    /// They are refused.
    Refused,
    /// They are never answered.
    Silent,
    /// There is no descriptor for them.
    NoDescriptors,
}

#[derive(Debug)]
struct Port {
    listening: Listening,
    waiting: VecDeque<Pipe>,
}

thread_local! {
    static NETWORK: RefCell<Option<HashMap<Target, Port>>> = const { RefCell::new(None) };
}

/// Puts an empty network in place; until it is, connections go to the real one.
pub fn install() {
    NETWORK.with(|network| *network.borrow_mut() = Some(HashMap::new()));
}

/// Says how `target` takes connections from now on.
pub fn listen(target: Target, listening: Listening) {
    NETWORK.with(|network| {
        if let Some(network) = &mut *network.borrow_mut() {
            network.entry(target).or_insert_with(|| Port { listening, waiting: VecDeque::new() }).listening =
                listening;
        }
    });
}

/// The next connection that was opened to `target`, if there is one.
pub fn accept(target: &Target) -> Option<Pipe> {
    NETWORK.with(|network| network.borrow_mut().as_mut()?.get_mut(target)?.waiting.pop_front())
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Pipe>> + Send>>;

/// `None` where no network in memory is in place.
pub fn connect(target: &Target) -> Option<Connecting> {
    NETWORK.with(|network| {
        let mut network = network.borrow_mut();
        let network = network.as_mut()?;
        let connecting: Connecting = match network.get_mut(target) {
            Some(port) if port.listening == Listening::Open => {
                let (near, far) = pair();
                port.waiting.push_back(far);
                Box::pin(std::future::ready(Ok(near)))
            }
            Some(port) if port.listening == Listening::Silent => Box::pin(std::future::pending()),
            Some(port) if port.listening == Listening::NoDescriptors => {
                Box::pin(std::future::ready(Err(io::Error::from_raw_os_error(libc::EMFILE))))
            }
            _ => Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into()))),
        };
        Some(connecting)
    })
}

/// The two ends of a new connection.
pub fn pair() -> (Pipe, Pipe) {
    let queue = || Arc::new(Mutex::new(Queue { capacity: CAPACITY, ..Queue::default() }));
    let (there, back) = (queue(), queue());
    (Pipe { incoming: back.clone(), outgoing: there.clone() }, Pipe { incoming: there, outgoing: back })
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

impl Pipe {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut queue = lock(&self.incoming);
        if queue.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if queue.bytes.is_empty() && !queue.ended {
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        queue.reads += 1;
        let taken = buf.remaining().min(queue.bytes.len());
        for byte in queue.bytes.drain(..taken) {
            buf.put_slice(&[byte]);
        }
        queue.wake_writer();
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut queue = lock(&self.outgoing);
        if queue.reset || queue.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = queue.capacity.saturating_sub(queue.bytes.len());
        if room == 0 {
            queue.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        queue.writes += 1;
        let mut written = 0;
        for part in parts {
            let taken = part.len().min(room);
            queue.bytes.extend(&part[..taken]);
            room -= taken;
            written += taken;
        }
        queue.wake_reader();
        Poll::Ready(Ok(written))
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut queue = lock(&self.incoming);
        if queue.reset || queue.ended || !queue.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_broken(&self, cx: &mut Context<'_>) -> bool {
        let mut queue = lock(&self.incoming);
        if !queue.reset {
            queue.reader = Some(cx.waker().clone());
        }
        queue.reset
    }

    pub(super) fn poll_shutdown(&mut self) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }

    /// Sends bytes, whatever the capacity.
    pub fn send(&self, bytes: &[u8]) {
        let mut queue = lock(&self.outgoing);
        queue.bytes.extend(bytes);
        queue.wake_reader();
    }

    /// Takes everything that has come.
    pub fn take(&self) -> Vec<u8> {
        let mut queue = lock(&self.incoming);
        let taken = queue.bytes.drain(..).collect();
        queue.wake_writer();
        taken
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let mut queue = lock(&self.outgoing);
        queue.ended = true;
        queue.wake_reader();
    }

    /// Breaks the connection both ways.
    pub fn reset(&self) {
        for queue in [&self.incoming, &self.outgoing] {
            let mut queue = lock(queue);
            queue.reset = true;
            queue.wake_reader();
            queue.wake_writer();
        }
    }

    /// Bytes that this end takes before the other has to wait.
    pub fn set_capacity(&self, capacity: usize) {
        let mut queue = lock(&self.incoming);
        queue.capacity = capacity;
        queue.wake_writer();
    }

    /// Whether the other end has said that nothing more will come, or has gone.
    pub fn is_ended(&self) -> bool {
        let queue = lock(&self.incoming);
        queue.ended || queue.reset
    }

    /// Whether the connection was broken off.
    pub fn is_reset(&self) -> bool {
        lock(&self.incoming).reset
    }

    /// Reads and writes by the other end: what would be system calls.
    pub fn calls(&self) -> (usize, usize) {
        (lock(&self.outgoing).reads, lock(&self.incoming).writes)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.finish();
        let mut queue = lock(&self.incoming);
        if !queue.ended {
            queue.ended = true;
            queue.wake_writer();
        }
    }
}

/// Where a test puts client connections in.
#[derive(Debug, Clone, Default)]
pub struct Entrance(Arc<Mutex<Arrivals>>);

/// Connections that wait to be accepted, and who waits for them.
type Arrivals = (VecDeque<(Pipe, SocketAddr)>, Option<Waker>);

/// The listening end of an [`Entrance`].
#[derive(Debug)]
pub struct Acceptor(Entrance);

impl Entrance {
    /// Its listening end.
    pub fn acceptor(&self) -> Acceptor {
        Acceptor(self.clone())
    }

    /// A connection from `peer`.
    pub fn connect(&self, peer: SocketAddr) -> Pipe {
        let (near, far) = pair();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.push_back((far, peer));
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
        near
    }
}

impl Acceptor {
    pub(super) async fn accept(&mut self) -> io::Result<(Pipe, SocketAddr)> {
        poll_fn(|cx| {
            let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.0.pop_front() {
                Some(accepted) => Poll::Ready(Ok(accepted)),
                None => {
                    state.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
