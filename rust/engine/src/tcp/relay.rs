//! Both directions of a connection that is passed on, until both have ended or one end has failed.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use super::{Passage, end::End};
use crate::{
    answer::LINGER_MS,
    io::Stream,
    tunnel::{Broken, Direction},
    worker::Worker,
};

/// Bounds on waiting, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For silence in both directions; 0 for no bound.
    pub idle_ms: u32,
    /// From the beginning of a drain on.
    pub drain_ms: u32,
}

/// Relays until both sides have ended, one has failed, neither said anything for too long, or the gateway goes.
pub async fn run(worker: &Worker, passage: &mut Passage, upstream: &mut Stream, times: Times) -> End {
    let mut up = Direction::default();
    let mut down = Direction::default();
    let mut to_upstream = std::mem::take(&mut passage.input);
    let mut to_client = Vec::new();
    up.bytes = to_upstream.len() as u64;
    worker.metrics.tcp_bytes(passage.slot, up.bytes, 0);
    let mut leaving = Leaving { times, due: None };
    let mut first = None;
    leaving.set(worker, passage);
    let end = poll_fn(|cx| {
        let mut scratch = worker.scratch.borrow_mut();
        let before = (up.bytes, down.bytes, to_upstream.len(), to_client.len());
        let one = up.poll(cx, &mut passage.stream, upstream, &mut to_upstream, &mut scratch);
        let other = down.poll(cx, upstream, &mut passage.stream, &mut to_client, &mut scratch);
        let moved = before != (up.bytes, down.bytes, to_upstream.len(), to_client.len());
        if moved {
            worker.metrics.tcp_bytes(passage.slot, up.bytes - before.0, down.bytes - before.1);
        }
        if first.is_none() {
            first = (down.ended).then_some(End::ByUpstream).or(up.ended.then_some(End::ByClient));
        }
        let over = match (one, other) {
            (Ok(true), Ok(true)) => Some(first.unwrap_or(End::ByClient)),
            (Err(Broken::Source), _) | (_, Err(Broken::Sink)) => Some(End::ClientReset),
            (Err(Broken::Sink), _) | (_, Err(Broken::Source)) => Some(End::UpstreamReset),
            _ => None,
        };
        if over.is_some() {
            return Poll::Ready(over);
        }
        if worker.timers.is_cut() {
            let drained = leaving.due.is_some();
            return Poll::Ready(Some(if drained { End::DrainDeadline } else { End::Shutdown }));
        }
        if moved || leaving.begins(worker, passage) {
            leaving.set(worker, passage);
        }
        if passage.deadline.poll_passed(cx) {
            worker.look_at_clock();
            let late = leaving.due.is_some_and(|due| worker.now() >= due);
            return Poll::Ready(Some(if late { End::DrainDeadline } else { End::IdleTimeout }));
        }
        Poll::Pending
    })
    .await
    .unwrap_or(End::Shutdown);
    passage.bytes = (up.bytes, down.bytes);
    match end {
        // Each side that has got all there was for it sees an end and no break, whatever happened behind it.
        End::UpstreamReset if down.ended && to_client.is_empty() => {
            linger(worker, passage).await;
            End::ByUpstream
        }
        End::ClientReset if up.ended && to_upstream.is_empty() && down.ended => End::ByClient,
        end => end,
    }
}

/// When a connection has to go because its listener or the gateway goes.
struct Leaving {
    times: Times,
    /// In nanoseconds since the engine started.
    due: Option<u64>,
}

impl Leaving {
    /// Whether the time for leaving has just begun.
    fn begins(&mut self, worker: &Worker, passage: &Passage) -> bool {
        let goes = worker.draining.get() || passage.listening.is_gone();
        if self.due.is_some() || !goes {
            return false;
        }
        self.due = Some(worker.look_at_clock() + u64::from(self.times.drain_ms) * 1_000_000);
        true
    }

    fn set(&self, worker: &Worker, passage: &Passage) {
        let idle = self.times.idle_ms;
        let Some(due) = self.due else { return passage.deadline.set(idle) };
        let left = due.saturating_sub(worker.look_at_clock()) / 1_000_000;
        let left = left.clamp(1, u64::from(u32::MAX)) as u32;
        passage.deadline.set(if idle == 0 { left } else { left.min(idle) });
    }
}

/// Lets the client read the end of what the upstream said: with bytes of it unread, a close would be a reset, which
/// takes it away again.
async fn linger(worker: &Worker, passage: &mut Passage) {
    const MOST_BYTES: usize = 1 << 20;
    passage.deadline.set(LINGER_MS);
    let mut taken = 0;
    poll_fn(|cx: &mut Context<'_>| {
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match passage.stream.poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(read)) if read > 0 && taken < MOST_BYTES => taken += read,
                Poll::Pending if !worker.timers.is_cut() && !passage.deadline.poll_passed(cx) => {
                    return Poll::Pending;
                }
                _ => return Poll::Ready(()),
            }
        }
    })
    .await;
}
