//! A client's HTTP/2 connection: each of its streams becomes an exchange of its own, on the one journey.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use tidegate_http2::{Debt, Role, Settings};

use crate::{
    abuse::ClientPlace,
    connection::{Close, Connection},
    io::{
        Stream,
        h2::{Driver, End, Turn},
    },
    worker::{Worker, WorkerPlan},
};

/// Reads in a row before other connections have their turn.
const TURNS_MOST: u32 = 16;

/// Serves the streams of `connection` to its end. `first` are the bytes that were read of it already.
pub async fn serve(worker: &Rc<Worker>, connection: Connection, first: &[u8]) -> Close {
    let plan = worker.plan();
    let Connection { stream, peer, listening, admin, deadline, tls, place: _place, .. } = connection;
    let mut driver = Driver::new(Role::Server, settings(&plan), stream);
    let mut over = driver.receive(first, worker.look_at_clock()).err();
    let mut serving = Serving { plan, streams: 0, waits: None, debt: None };
    let patience = worker.timers.deadline();
    let close = poll_fn(|cx| {
        let mut turns = 0;
        loop {
            let turn = match over.take() {
                Some(end) => Turn::Over(end),
                None => {
                    let mut scratch = worker.scratch.borrow_mut();
                    driver.poll_turn(cx, &mut scratch, || worker.look_at_clock())
                }
            };
            while let Some(fault) = driver.session.noted() {
                worker.metrics.refusal(fault);
            }
            while let Some(stream) = driver.session.accept() {
                serving.streams = serving.streams.saturating_add(1);
                worker.serve_stream(Connection {
                    stream: Stream::H2(stream),
                    peer,
                    listening: listening.clone(),
                    exchanges: 0,
                    expects_proxy: false,
                    expects_http2: false,
                    expects_tls: false,
                    tls: tls.clone(),
                    place: ClientPlace::default(),
                    admin,
                    deadline: worker.timers.deadline(),
                });
            }
            let ends = (worker.draining.get() && !admin)
                || worker.let_go.get().takes(admin)
                || listening.is_gone()
                || serving.is_used_up();
            if ends && driver.session.announce_end() {
                continue;
            }
            let debt = driver.session.debt();
            if debt != serving.debt {
                serving.debt = debt;
                patience.set(if debt.is_some() { serving.head_milliseconds() } else { 0 });
            }
            if let Some(debt) = debt.filter(|_| !matches!(turn, Turn::Over(_)) && patience.poll_passed(cx)) {
                over = Some(driver.give_up(debt.reason()));
                continue;
            }
            match turn {
                Turn::Over(end) => return Poll::Ready(close_of(end)),
                Turn::Moved if turns < TURNS_MOST => turns += 1,
                Turn::Moved => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Idle | Turn::Blocked => {
                    let waits = match turn {
                        Turn::Blocked => Waits::Receiver(driver.sent()),
                        _ if driver.session.streams() > 0 => Waits::Streams,
                        _ => Waits::Request(serving.streams),
                    };
                    if serving.waits.replace(waits) != Some(waits) {
                        deadline.set(serving.milliseconds(waits));
                        if matches!(waits, Waits::Request(_)) {
                            driver.session.trim();
                        }
                    }
                    if !deadline.poll_passed(cx) {
                        return Poll::Pending;
                    }
                    if matches!(waits, Waits::Receiver(_)) {
                        return Poll::Ready(Close::Broken);
                    }
                    if !driver.session.announce_end() {
                        return Poll::Ready(Close::Idle);
                    }
                }
            }
        }
    })
    .await;
    driver.shut();
    close
}

/// What a connection's driver holds in mind.
struct Serving {
    plan: Rc<WorkerPlan>,
    /// Streams so far.
    streams: u32,
    waits: Option<Waits>,
    debt: Option<Debt>,
}

/// What is waited for. Frames that change nothing of it, PING above all, do not make the time for it longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Another stream than the so many that there were.
    Request(u32),
    /// The client takes more than these bytes of what there is for it.
    Receiver(u64),
    /// Streams that are open: each has a deadline of its own.
    Streams,
}

impl Serving {
    fn milliseconds(&self, waits: Waits) -> u32 {
        let server = &self.plan.shared.plan.server;
        match waits {
            Waits::Request(_) => server.keep_alive_ms,
            Waits::Receiver(_) => server.send_timeout_ms,
            Waits::Streams => 0,
        }
    }

    /// How long a head may take, and what else comes in one piece.
    fn head_milliseconds(&self) -> u32 {
        self.plan.shared.plan.server.head_timeout_ms
    }

    /// Whether the connection has had as many requests as one may have.
    fn is_used_up(&self) -> bool {
        let most = self.plan.shared.plan.server.keep_alive_requests;
        most > 0 && self.streams >= most
    }
}

fn settings(plan: &WorkerPlan) -> Settings {
    let server = &plan.shared.plan.server;
    Settings { max_streams: server.max_streams, header_list_bytes: server.head_bytes, ..Settings::default() }
}

fn close_of(end: End) -> Close {
    match end {
        End::Closed => Close::ByClient,
        End::Broken => Close::Broken,
        End::Fault(reason) => Close::Http2(reason),
        End::Done => Close::Drain,
    }
}

/// Whether `bytes`, the first of a connection that follow `before`, are HTTP/2's preface (RFC 9113 §3.4) or the
/// beginning of it.
pub fn is_preface(before: &[u8], bytes: &[u8]) -> bool {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // Enough to tell it from any method that there is.
    const ENOUGH: usize = 5;
    let mut given = before.iter().chain(bytes).take(PREFACE.len());
    before.len() + bytes.len() >= ENOUGH && PREFACE.iter().zip(&mut given).all(|(one, other)| one == other)
}

/// Ends a stream's exchange: what was said is over, and what was cut is reset when the stream is dropped.
pub fn finish(stream: &mut Stream, close: Close) {
    if !matches!(close, Close::Failed | Close::Broken) {
        let _ = stream.poll_shutdown(&mut Context::from_waker(std::task::Waker::noop()));
    }
}
