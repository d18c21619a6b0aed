//! Requests to an endpoint that speaks HTTP/2 join a connection that there is, or open one for others to join.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
};

use tidegate_plan::UpstreamProtocol;

use super::{Attempt, Link, Upstream, Wait};
use crate::{
    failure::{Cause, Failure},
    io::{Stream, tls::HTTP2},
    sessions::Opening,
    worker::Worker,
};

/// What a request finds at an endpoint that may speak HTTP/2.
pub(super) enum Joined<'a> {
    /// A stream of its own.
    Link(Link),
    /// It is the one that opens a connection.
    Opening(Opening<'a>),
    /// The endpoint speaks HTTP/1.1.
    Not,
}

impl Upstream {
    /// Whether a connection that has just been opened is one for many streams.
    pub(super) fn speaks_http2(&self, stream: &Stream) -> bool {
        match self.plan.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Auto => stream.alpn() == Some(HTTP2),
        }
    }
}

impl Attempt<'_> {
    /// Where the endpoint speaks HTTP/2: a stream on a connection that there is, be it that somebody else has
    /// to open it first, or the right to open one.
    pub(super) async fn join(
        &self,
        worker: &Worker,
        wait: Wait<'_>,
        connect_ms: u32,
    ) -> Result<Joined<'_>, Failure> {
        let sessions = &self.endpoint.sessions;
        let mut set = false;
        loop {
            if self.upstream.plan.protocol == UpstreamProtocol::Http1 || sessions.is_old() {
                return Ok(Joined::Not);
            }
            if let Some(stream) = sessions.stream() {
                worker.metrics.pool_hit(self.upstream.slot);
                let stream = Stream::H2(stream);
                let (shelf, born) = (self.endpoint.key, worker.now());
                return Ok(Joined::Link(Link { stream, reused: true, shelf, born, permit: None }));
            }
            if let Some(opening) = sessions.begin() {
                return Ok(Joined::Opening(opening));
            }
            if !std::mem::replace(&mut set, true) {
                wait.deadline.set(connect_ms);
            }
            let mut opened = pin!(sessions.opened());
            poll_fn(|cx| match opened.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                Poll::Pending if wait.deadline.poll_passed(cx) => {
                    Poll::Ready(Err(Failure::upstream(Cause::ConnectTimeout)))
                }
                Poll::Pending if wait.is_gone(cx) => Poll::Ready(Err(Failure::client(Cause::ClientGone))),
                Poll::Pending => Poll::Pending,
            })
            .await?;
            worker.look_at_clock();
        }
    }
}
