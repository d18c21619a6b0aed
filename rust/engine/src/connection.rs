//! One client connection: idle it owns no buffer; busy it borrows an exchange's memory from the worker.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tidegate_http1::proxy_protocol;

use crate::{
    abuse::{self, ClientPlace, Level},
    answer, drain,
    exchange::{self, Exchange},
    failure::{Cause, Failure},
    handshake, http2,
    io::{
        Stream,
        tls::{Facts, HTTP2},
    },
    timer::Deadline,
    worker::{Listening, Worker},
};

/// A client connection between two requests.
#[derive(Debug)]
pub struct Connection {
    /// To the client.
    pub stream: Stream,
    /// The address at the other end, or the one that a PROXY header told.
    pub peer: SocketAddr,
    /// The listener that it came to.
    pub listening: Rc<Listening>,
    /// Exchanges so far.
    pub exchanges: u32,
    /// A PROXY header must come first.
    pub expects_proxy: bool,
    /// The first bytes may be HTTP/2's.
    pub expects_http2: bool,
    /// A TLS handshake must come first, behind the PROXY header if there is one.
    pub expects_tls: bool,
    /// What the handshake has settled; `None` on plain connections.
    pub tls: Option<Arc<Facts>>,
    /// The admin listener's: not drained, not counted.
    pub admin: bool,
    /// The one deadline of the connection, whatever it waits for.
    pub deadline: Deadline,
    /// How it counts among those of its client.
    pub place: ClientPlace,
}

impl Connection {
    /// Lets time pass before the exchange goes on, unless the client breaks off meanwhile.
    pub async fn pause(&self, worker: &Worker, time: Duration) -> Result<(), Failure> {
        let mut over = pin!(tokio::time::sleep(time));
        let paused = poll_fn(|cx| match over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if self.stream.poll_broken(cx) => {
                Poll::Ready(Err(Failure::client(Cause::ClientGone)))
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        worker.look_at_clock();
        paused
    }
}

/// What a connection does after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It takes another request.
    KeepAlive,
    /// It closes, for this reason.
    Close(Close),
}

/// Why a connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client closed it while it was idle.
    ByClient,
    /// No request came in time.
    Idle,
    /// The client asked for it, or speaks HTTP/1.0.
    Asked,
    /// As many requests as one connection may have.
    Requests,
    /// No connection is kept for another request.
    KeepAliveOff,
    /// There is too little memory left to keep it.
    Overload,
    /// The gateway drains.
    Drain,
    /// A request was refused.
    Refused,
    /// The exchange failed with a part of the response sent.
    Failed,
    /// The response's end is the connection's end.
    Delimited,
    /// The request's body was not taken to its end.
    Unread,
    /// A tunnel ended.
    Tunnel,
    /// No TLS came about.
    Handshake,
    /// An authority has seen what proves that the name is ours.
    Challenge,
    /// The connection itself failed.
    Broken,
    /// An HTTP/2 client did what ends a connection.
    Http2(tidegate_http2::Reason),
    /// Tidegate ends, and what was under way is cut.
    Shutdown,
    /// A bug in Tidegate ended the exchange.
    Panicked,
}

impl Close {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByClient => "by_client",
            Self::Idle => "idle",
            Self::Asked => "asked",
            Self::Requests => "requests",
            Self::KeepAliveOff => "keep_alive_off",
            Self::Overload => "overload",
            Self::Drain => "drain",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Delimited => "delimited",
            Self::Unread => "unread",
            Self::Tunnel => "tunnel",
            Self::Handshake => "handshake",
            Self::Challenge => "challenge",
            Self::Broken => "broken",
            Self::Http2(reason) => reason.as_str(),
            Self::Shutdown => "shutdown",
            Self::Panicked => "panicked",
        }
    }
}

/// Serves requests until the connection is idle (then it is handed back) or over.
pub async fn serve(worker: Rc<Worker>, mut connection: Connection) -> Option<Connection> {
    let mut exchange = worker.borrow_exchange();
    let close = loop {
        if connection.expects_proxy {
            match read_proxy_header(&worker, &mut connection, &mut exchange).await {
                Ok(()) => connection.expects_proxy = false,
                Err(close) => break close,
            }
        }
        if connection.expects_tls {
            // Boxed: it is large, and comes once in a connection's life.
            let shaken = Box::pin(handshake::shake(worker.clone(), connection, &mut exchange)).await;
            connection = shaken.0;
            match shaken.1 {
                Ok(()) => {
                    connection.expects_tls = false;
                    connection.expects_http2 = connection.stream.alpn() == Some(HTTP2);
                }
                Err(handshake::End::Close(close)) => break close,
                Err(handshake::End::Answer(failure)) => {
                    exchange.input.clear();
                    exchange::refuse(&worker, &mut connection, &mut exchange, failure).await;
                    break Close::Refused;
                }
            }
        }
        match read_head(&worker, &mut connection, &mut exchange).await {
            Head::Complete => {}
            Head::Nothing => {
                worker.return_exchange(exchange);
                return Some(connection);
            }
            Head::End(close) => break close,
            Head::Http2 => {
                let first = std::mem::take(&mut exchange.input);
                worker.return_exchange(exchange);
                let close = Box::pin(http2::serve(&worker, connection, &first)).await;
                worker.metrics.close(close.as_str());
                return None;
            }
            Head::Failed(failure) => {
                exchange::refuse(&worker, &mut connection, &mut exchange, failure).await;
                break Close::Refused;
            }
        }
        if connection.listening.is_gone() {
            // A reload took the listener away while this request was on its way.
            let failure = Failure::gateway(Cause::NoRoute);
            exchange::refuse(&worker, &mut connection, &mut exchange, failure).await;
            break Close::Drain;
        }
        connection.exchanges = connection.exchanges.saturating_add(1);
        match exchange::run(&worker, &mut connection, &mut exchange).await {
            Next::Close(close) => break close,
            Next::KeepAlive if connection.stream.is_single() => break Close::Asked,
            Next::KeepAlive if exchange.input.is_empty() => {
                worker.return_exchange(exchange);
                return Some(connection);
            }
            Next::KeepAlive => {}
        }
    };
    if connection.stream.is_single() {
        http2::finish(&mut connection.stream, close);
        worker.return_exchange(exchange);
        return None;
    }
    let close = drain::close(&worker, close);
    worker.metrics.close(close.as_str());
    let ends_early = matches!(close, Close::Refused | Close::Unread | Close::Failed | Close::Delimited);
    let ends_here = matches!(
        close,
        Close::Asked | Close::Requests | Close::KeepAliveOff | Close::Overload | Close::Drain
    );
    if ends_early || (ends_here && has_unread(&mut connection, &exchange)) {
        linger(&worker, &mut connection).await;
    }
    worker.return_exchange(exchange);
    None
}

/// What came of waiting for a head.
enum Head {
    Complete,
    /// There was nothing to read after all: the connection is still idle.
    Nothing,
    /// The client speaks HTTP/2; what has come of it stands in `exchange.input`.
    Http2,
    End(Close),
    Failed(Failure),
}

/// Whether HTTP/2 was agreed on, or is what the first bytes are.
fn begins_http2(connection: &Connection, before: &[u8], bytes: &[u8]) -> bool {
    connection.stream.alpn() == Some(HTTP2) || http2::is_preface(before, bytes)
}

/// Reads until a whole head has come. What follows the head stays in `exchange.input`.
async fn read_head(worker: &Worker, connection: &mut Connection, exchange: &mut Exchange) -> Head {
    let plan = worker.plan();
    let limits = &plan.shared.head_limits;
    exchange.begin();
    if !exchange.input.is_empty() {
        // A request that was sent behind the one before.
        match exchange.take_head(limits, worker.look_at_clock()) {
            Ok(true) => return Head::Complete,
            Ok(false) => {}
            Err(refusal) => return Head::Failed(refusal.into()),
        }
    }
    connection.deadline.set(plan.shared.plan.server.head_timeout_ms);
    loop {
        let waiting = exchange.input.is_empty();
        let read = poll_fn(|cx| {
            let mut scratch = worker.scratch.borrow_mut();
            match connection.stream.poll_read(cx, &mut scratch) {
                // A new connection counts as readable until it was read once.
                Poll::Pending if waiting => Poll::Ready(None),
                Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(read) => Poll::Ready(Some(read)),
            }
        })
        .await;
        let scratch = worker.scratch.borrow();
        match read {
            None if waiting => return Head::Nothing,
            None => return Head::Failed(Failure::client(Cause::HeadTimeout)),
            Some(Err(_)) => return Head::End(if waiting { Close::ByClient } else { Close::Broken }),
            Some(Ok(0)) if waiting => return Head::End(Close::ByClient),
            Some(Ok(0)) => return Head::Failed(Failure::client(Cause::ClientGone)),
            Some(Ok(read))
                if connection.expects_http2
                    && begins_http2(connection, &exchange.input, &scratch[..read]) =>
            {
                exchange.input.extend_from_slice(&scratch[..read]);
                return Head::Http2;
            }
            Some(Ok(read)) => match exchange.read_head(&scratch[..read], limits, worker.look_at_clock()) {
                Ok(true) => {
                    connection.expects_http2 = false;
                    if connection.stream.is_single() {
                        exchange.came_by_http2();
                    }
                    return Head::Complete;
                }
                Ok(false) => {}
                Err(refusal) => return Head::Failed(refusal.into()),
            },
        }
    }
}

/// Reads the PROXY header that must stand before the first request.
async fn read_proxy_header(
    worker: &Worker,
    connection: &mut Connection,
    exchange: &mut Exchange,
) -> Result<(), Close> {
    let plan = worker.plan();
    if !plan.shared.trusted.contains(connection.peer.ip()) {
        worker.metrics.refusal("proxy_header_untrusted");
        return Err(Close::Refused);
    }
    connection.deadline.set(plan.shared.plan.server.head_timeout_ms);
    loop {
        let read = poll_fn(|cx| {
            let mut scratch = worker.scratch.borrow_mut();
            match connection.stream.poll_read(cx, &mut scratch) {
                Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Ok(0)),
                Poll::Pending => Poll::Pending,
                Poll::Ready(read) => Poll::Ready(read),
            }
        })
        .await;
        match read {
            Ok(0) | Err(_) => return Err(Close::Broken),
            Ok(read) => exchange.input.extend_from_slice(&worker.scratch.borrow()[..read]),
        }
        match proxy_protocol::parse(&exchange.input) {
            Ok(proxy_protocol::Parsed::Partial) => {}
            Ok(proxy_protocol::Parsed::Done { len, source, .. }) => {
                exchange.input.drain(..len);
                if let Some(source) = source {
                    connection.peer = source;
                    let open = worker.shared.traffic_connections();
                    match abuse::admit_client(&worker.shared, &plan.shared, source.ip(), open) {
                        Ok(place) => connection.place = place,
                        Err(crowd) => {
                            worker.metrics.refusal(crowd.as_str());
                            return Err(Close::Refused);
                        }
                    }
                }
                return Ok(());
            }
            Err(refusal) => {
                worker.metrics.refusal(refusal.as_str());
                return Err(Close::Refused);
            }
        }
    }
}

/// Whether the client has sent more than was read of it.
fn has_unread(connection: &mut Connection, exchange: &Exchange) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    !exchange.input.is_empty() || connection.stream.poll_read_ready(&mut cx).is_ready()
}

/// Lets the client read the answer before the connection goes: with bytes of it unread, a plain close would be
/// a reset, which takes the answer away from a client that is still sending (RFC 9112 §9.6).
async fn linger(worker: &Worker, connection: &mut Connection) {
    const MOST_BYTES: usize = 1 << 20;
    connection.deadline.set(answer::LINGER_MS);
    let mut taken = 0;
    let mut shut = false;
    poll_fn(|cx| {
        if !shut {
            match connection.stream.poll_shutdown(cx) {
                Poll::Ready(Ok(())) => shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match connection.stream.poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(read)) if read > 0 && taken < MOST_BYTES => taken += read,
                Poll::Pending if !connection.deadline.poll_passed(cx) => return Poll::Pending,
                _ => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// A connection's task. Waiting, it is as large as a [`Connection`]; serving, it holds a boxed future that
/// goes back to `slots` afterwards, so that a request allocates nothing.
pub struct Task<F, M> {
    worker: Rc<Worker>,
    admin: bool,
    /// It is a connection, not one of many streams on one.
    counted: bool,
    phase: Phase<F>,
    slots: Slots<F>,
    serve: M,
}

/// Finished futures whose memory the next busy connection takes over.
pub type Slots<F> = Rc<std::cell::RefCell<Vec<Pin<Box<F>>>>>;

enum Phase<F> {
    Idle(Connection),
    Busy(Pin<Box<F>>),
    Over,
}

/// The most finished futures that are kept.
const SLOTS_KEPT: usize = 1024;

impl<F, M> Task<F, M>
where
    F: Future<Output = Option<Connection>>,
    M: Fn(Rc<Worker>, Connection) -> F + Unpin,
{
    /// A task for a connection that has just been accepted.
    pub fn new(worker: Rc<Worker>, connection: Connection, slots: Slots<F>, serve: M) -> Self {
        let counted = !connection.stream.is_single();
        Self { worker, admin: connection.admin, counted, phase: Phase::Idle(connection), slots, serve }
    }

    fn start(&self, connection: Connection) -> Pin<Box<F>> {
        let future = (self.serve)(self.worker.clone(), connection);
        match self.slots.borrow_mut().pop() {
            Some(mut slot) => {
                slot.set(future);
                slot
            }
            None => Box::pin(future),
        }
    }
}

impl<F, M> Future for Task<F, M>
where
    F: Future<Output = Option<Connection>>,
    M: Fn(Rc<Worker>, Connection) -> F + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        loop {
            match std::mem::replace(&mut task.phase, Phase::Over) {
                Phase::Idle(mut connection) => match poll_idle(&task.worker, &mut connection, cx) {
                    Poll::Pending => {
                        task.phase = Phase::Idle(connection);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(close)) => {
                        task.worker.metrics.close(close.as_str());
                        return Poll::Ready(());
                    }
                    Poll::Ready(None) => task.phase = Phase::Busy(task.start(connection)),
                },
                Phase::Busy(mut future) => {
                    // A panic ends this exchange and its connection, and no other.
                    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                        Ok(Poll::Pending) => {
                            task.phase = Phase::Busy(future);
                            return Poll::Pending;
                        }
                        Ok(Poll::Ready(connection)) => {
                            let mut slots = task.slots.borrow_mut();
                            if slots.len() < SLOTS_KEPT {
                                slots.push(future);
                            }
                            drop(slots);
                            let Some(connection) = connection else { return Poll::Ready(()) };
                            connection.deadline.set(task.worker.plan().shared.plan.server.keep_alive_ms);
                            task.phase = Phase::Idle(connection);
                        }
                        Err(_) => {
                            task.worker.panicked();
                            return Poll::Ready(());
                        }
                    }
                }
                Phase::Over => return Poll::Ready(()),
            }
        }
    }
}

impl<F, M> Drop for Task<F, M> {
    fn drop(&mut self) {
        if self.counted {
            self.worker.uncount(self.admin);
            self.worker.metrics.connection_closed();
        }
    }
}

/// `None`: there is something to read.
fn poll_idle(worker: &Worker, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Option<Close>> {
    match connection.stream.poll_read_ready(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending if worker.let_go.get().takes(connection.admin) => Poll::Ready(Some(Close::Drain)),
        Poll::Pending if connection.listening.is_gone() => Poll::Ready(Some(Close::Drain)),
        Poll::Pending if is_given_up(worker, connection) => Poll::Ready(Some(Close::Overload)),
        Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Some(Close::Idle)),
        Poll::Pending => Poll::Pending,
    }
}

/// Whether an idle connection goes for want of memory: those that were served before go first.
fn is_given_up(worker: &Worker, connection: &Connection) -> bool {
    let level = worker.level.get();
    let served = connection.exchanges > 0;
    !connection.admin && (level >= Level::Connections || level >= Level::Idle && served)
}

/// How long a new connection may take to say anything: as long as a kept one, where any is kept.
pub fn first_wait_ms(server: &tidegate_plan::Server) -> u32 {
    if server.keep_alive_ms > 0 { server.keep_alive_ms } else { server.head_timeout_ms }
}

/// The address that stands for the client where no proxy tells another.
pub fn peer_ip(connection: &Connection) -> IpAddr {
    connection.peer.ip().to_canonical()
}
