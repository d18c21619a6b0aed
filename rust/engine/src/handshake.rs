//! The TLS handshake before a connection's first request: bounded in time, paced, every failure named.

use std::{
    future::{Future as _, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
};

use tokio::sync::{Notify, Semaphore};

use crate::{
    answer::push_field,
    connection::{Close, Connection},
    exchange::Exchange,
    failure::{Cause, Failure},
    io::{
        Stream,
        tls::{Fault, HandshakeEnd, HandshakeFault, Tls},
    },
    prepare::PreparedRoute,
    worker::{Worker, WorkerPlan},
};

/// Handshakes that a worker begins before it looks at its other connections again: a signature by RSA takes half a
/// millisecond, and who already has a connection should not wait for a crowd that wants one.
const PER_TURN: usize = 4;

/// The first byte of a TLS record that begins a handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Why a connection goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It closes without a word.
    Close(Close),
    /// It closes after an answer in plain HTTP.
    Answer(Failure),
}

/// Lets handshakes begin, a few in each turn of a worker's loop.
#[derive(Debug)]
pub struct Turns {
    room: Semaphore,
    begun: Notify,
}

impl Default for Turns {
    fn default() -> Self {
        Self { room: Semaphore::new(PER_TURN), begun: Notify::new() }
    }
}

impl Turns {
    /// Waits until one more may begin; first come, first served.
    async fn wait(&self) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
            self.begun.notify_one();
        }
    }

    /// Makes room again after each turn in which handshakes began.
    pub async fn keep(&self) {
        loop {
            self.begun.notified().await;
            // Comes back once everything that is ready by then has been looked at.
            tokio::task::yield_now().await;
            self.room.add_permits(PER_TURN.saturating_sub(self.room.available_permits()));
        }
    }
}

/// Shakes hands with the client. The connection comes back within TLS, or with the reason why it goes no further.
pub async fn shake(
    worker: Rc<Worker>,
    mut connection: Connection,
    exchange: &mut Exchange,
) -> (Connection, Result<(), End>) {
    let plan = worker.plan();
    let server = plan.shared.listener_tls.get(connection.listening.index.get() as usize);
    let Some(server) = server.and_then(Option::as_ref) else {
        return (connection, Err(End::Close(Close::Drain)));
    };
    connection.deadline.set(plan.shared.plan.server.handshake_timeout_ms);
    let began = begin(&worker, &mut connection, exchange).await;
    let session =
        match began.and_then(|()| server.connection(&exchange.input).map_err(|_| HandshakeFault::Internal)) {
            Ok(session) => session,
            Err(fault) => {
                worker.metrics.handshake_failed(fault.as_str());
                let end = match fault {
                    HandshakeFault::PlainHttp => End::Answer(Failure::client(Cause::PlainHttp)),
                    _ => End::Close(Close::Handshake),
                };
                return (connection, Err(end));
            }
        };
    let first = std::mem::take(&mut exchange.input);
    let mut tls = Tls::server(connection.stream, session, server.clone(), first);
    let shaken = poll_fn(|cx| match tls.poll_handshake(cx) {
        Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Err(None)),
        Poll::Pending => Poll::Pending,
        Poll::Ready(shaken) => Poll::Ready(shaken.map_err(Some)),
    })
    .await;
    worker.look_at_clock();
    let done = match shaken {
        Ok(()) => {
            let facts = tls.facts();
            worker.metrics.handshake(facts.resumed);
            connection.tls = Some(Arc::new(facts));
            // RFC 8737 §3: who came for the proof has seen it, and asks for nothing.
            if tls.is_challenge() { Err(End::Close(Close::Challenge)) } else { Ok(()) }
        }
        Err(end) => {
            let fault = end.as_ref().map_or(HandshakeFault::Timeout, |end| tls.fault(end));
            worker.metrics.handshake_failed(fault.as_str());
            tell(server.label(), connection.peer, fault, end.as_ref());
            Err(End::Close(Close::Handshake))
        }
    };
    connection.stream = Stream::Tls(tls);
    (connection, done)
}

/// Where clients must show a certificate, a connection is good for the one host that it was made for: what is decided
/// about its client is not decided for others (RFC 9110 §15.5.20).
pub fn check_host(plan: &WorkerPlan, exchange: &Exchange) -> Result<(), Failure> {
    let Some(facts) = &exchange.tls else { return Ok(()) };
    let listener = plan.shared.plan.listeners.get(exchange.listener as usize);
    let client = listener.and_then(|listener| listener.tls.as_ref()?.client.as_ref());
    let asked = exchange.host.strip_suffix(b".").unwrap_or(&exchange.host);
    // Clients name no addresses in a handshake (RFC 6066 §3).
    let is_address = || {
        let text = std::str::from_utf8(asked).unwrap_or("");
        text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
    };
    match client {
        Some(client) if client.required && *asked != *facts.sni.as_bytes() => {
            match facts.sni.is_empty() && is_address() {
                true => Ok(()),
                false => Err(Failure::client(Cause::Misdirected)),
            }
        }
        _ => Ok(()),
    }
}

/// The line that asks browsers to come by TLS only (RFC 6797 §7.2: never without TLS).
pub fn write_hsts(plan: &WorkerPlan, exchange: &Exchange, route: Option<&PreparedRoute>, out: &mut Vec<u8>) {
    let value = hsts(plan, exchange, route);
    if !value.is_empty() {
        push_field(out, HSTS, value.as_bytes());
    }
}

/// What the listener says of it; nothing where the route has a word of its own.
pub fn hsts<'a>(plan: &'a WorkerPlan, exchange: &Exchange, route: Option<&PreparedRoute>) -> &'a str {
    if exchange.tls.is_none() || route.is_some_and(|route| route.response_edits.removes(HSTS)) {
        return "";
    }
    let listener = plan.shared.plan.listeners.get(exchange.listener as usize);
    listener.and_then(|listener| listener.tls.as_ref()).map_or("", |tls| &tls.hsts)
}

/// The field that carries it.
pub const HSTS: &[u8] = b"Strict-Transport-Security";

/// Waits for the client's first bytes, and then for the worker's time.
async fn begin(
    worker: &Worker,
    connection: &mut Connection,
    exchange: &mut Exchange,
) -> Result<(), HandshakeFault> {
    if exchange.input.is_empty() {
        let read = poll_fn(|cx| {
            let mut scratch = worker.scratch.borrow_mut();
            match connection.stream.poll_read(cx, &mut scratch) {
                Poll::Pending if connection.deadline.poll_passed(cx) => {
                    Poll::Ready(Err(HandshakeFault::Timeout))
                }
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(0)) => Poll::Ready(Err(HandshakeFault::ClosedByClient)),
                Poll::Ready(Ok(read)) => Poll::Ready(Ok(read)),
                Poll::Ready(Err(_)) => Poll::Ready(Err(HandshakeFault::Broken)),
            }
        })
        .await?;
        exchange.input.extend_from_slice(&worker.scratch.borrow()[..read]);
    }
    match exchange.input.first() {
        Some(&HANDSHAKE_RECORD) => {}
        // No record of TLS begins like a method.
        Some(b'A'..=b'Z') => return Err(HandshakeFault::PlainHttp),
        _ => return Err(HandshakeFault::NotTls),
    }
    let mut turn = pin!(worker.handshakes.wait());
    poll_fn(|cx| {
        if connection.deadline.poll_passed(cx) {
            return Poll::Ready(Err(HandshakeFault::Timeout));
        }
        ready!(turn.as_mut().poll(cx));
        Poll::Ready(Ok(()))
    })
    .await
}

/// A line in the error log, few of a kind; clients that come and go say nothing of use.
fn tell(listener: &str, peer: SocketAddr, fault: HandshakeFault, end: Option<&HandshakeEnd>) {
    if matches!(fault, HandshakeFault::ClosedByClient | HandshakeFault::Broken) {
        return;
    }
    let peer = peer.ip().to_canonical();
    let name = fault.as_str();
    let why = end.map_or_else(String::new, |end| format!(" ({})", Fault::from(end)));
    let text = format!("{listener}: no TLS with {peer}: {name}{why}");
    crate::log::tell("info", name, &text);
}
