//! Two streams tied together: every byte as it came, until both sides have ended.

use std::{
    future::poll_fn,
    io::IoSlice,
    task::{Context, Poll},
};

use tidegate_limit::Pace;

use crate::{
    body::poll_flush,
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    forward::Waits,
    io::Stream,
    worker::{Worker, WorkerPlan},
};

/// One direction of a tunnel.
#[derive(Debug, Default)]
pub struct Direction {
    /// Bytes that came from its source.
    pub bytes: u64,
    /// Its source has said all it had to say.
    pub ended: bool,
    shut: bool,
}

/// Which end of a direction has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The one that is read from.
    Source,
    /// The one that is written to.
    Sink,
}

/// Relays both ways after a `101` until both have ended, one has failed, neither said anything for `idle_ms`, or the
/// client does not take what it is sent.
///
/// The end of one direction is passed on and the other goes on, as TCP has it.
pub async fn run(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    upstream: &mut Stream,
    idle_ms: u32,
) {
    let server = &plan.shared.plan.server;
    connection.deadline.set(idle_ms);
    let (mut waits, mut pace) = (Waits::default(), Pace::default());
    let mut late = None;
    let mut up = Direction::default();
    let mut down = Direction::default();
    // What the client sent behind its request's head belongs to the other protocol.
    exchange.to_upstream.append(&mut exchange.input);
    poll_fn(|cx| {
        let mut scratch = worker.scratch.borrow_mut();
        let Connection { stream, deadline, .. } = &mut *connection;
        let before = (up.bytes, down.bytes, exchange.to_upstream.len(), exchange.to_client.len());
        let one = up.poll(cx, stream, upstream, &mut exchange.to_upstream, &mut scratch);
        let other = down.poll(cx, upstream, stream, &mut exchange.to_client, &mut scratch);
        let moved = before != (up.bytes, down.bytes, exchange.to_upstream.len(), exchange.to_client.len());
        // What waits for the client must go out in the time that a response has, whatever it says meanwhile.
        let blocked = !exchange.to_client.is_empty();
        let came = down.bytes - before.1 + before.3 as u64;
        let taken = came.saturating_sub(exchange.to_client.len() as u64);
        if waits.begins(blocked, if blocked { taken > 0 } else { moved }) {
            deadline.set(if blocked { server.send_timeout_ms } else { idle_ms });
        }
        match (one, other) {
            (Err(_), _) | (_, Err(_)) => return Poll::Ready(()),
            (Ok(true), Ok(true)) => return Poll::Ready(()),
            _ if deadline.poll_passed(cx) => late = blocked.then_some(Cause::SendTimeout),
            _ if pace.note(worker.look_at_clock(), taken, blocked, plan.shared.least_send_rate) => {
                late = Some(Cause::SendTooSlow);
            }
            _ => return Poll::Pending,
        }
        Poll::Ready(())
    })
    .await;
    if worker.timers.is_cut() {
        exchange.failed(Failure::gateway(Cause::Shutdown));
    } else if let Some(cause) = late {
        exchange.failed(Failure::client(cause));
    }
    exchange.bytes_sent = down.bytes;
    exchange.body.bytes = up.bytes;
}

impl Direction {
    /// Moves what can be moved. `Ok(true)`: it has ended, and the sink was told.
    ///
    /// What was read goes out straight from `scratch`; only what the sink does not take at once is kept in `out`, and
    /// nothing more is read until it is gone. So a direction holds one scratch buffer at most, and none while it is idle.
    ///
    /// # Errors
    /// The end of it that has failed.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        out: &mut Vec<u8>,
        scratch: &mut [u8],
    ) -> Result<bool, Broken> {
        loop {
            if !out.is_empty() {
                match poll_flush(cx, to, out) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Err(Broken::Sink),
                    Poll::Pending => return Ok(false),
                }
            }
            if self.ended {
                if !self.shut {
                    match to.poll_shutdown(cx) {
                        Poll::Ready(Ok(())) => self.shut = true,
                        Poll::Ready(Err(_)) => return Err(Broken::Sink),
                        Poll::Pending => return Ok(false),
                    }
                }
                return Ok(true);
            }
            match from.poll_read(cx, scratch) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(read)) => {
                    self.bytes += read as u64;
                    let sent = send(cx, to, &scratch[..read])?;
                    out.extend_from_slice(&scratch[sent..read]);
                }
                Poll::Ready(Err(_)) => return Err(Broken::Source),
                Poll::Pending => {
                    // Room that a slow sink made necessary goes when nothing more comes.
                    *out = Vec::new();
                    return Ok(false);
                }
            }
        }
    }
}

/// How much the sink takes now. If that is not all, the task is woken when it takes more.
fn send(cx: &mut Context<'_>, to: &mut Stream, bytes: &[u8]) -> Result<usize, Broken> {
    let mut sent = 0;
    while sent < bytes.len() {
        match to.poll_write(cx, &[IoSlice::new(&bytes[sent..])]) {
            Poll::Ready(Ok(0) | Err(_)) => return Err(Broken::Sink),
            Poll::Ready(Ok(taken)) => sent += taken,
            Poll::Pending => break,
        }
    }
    Ok(sent)
}
