//! The way back of a response: rewrite, relay, settle.

use std::{future::poll_fn, ops::Range, task::Poll, time::Duration};

use tidegate_http1::{BodyLength, response_facts};
use tidegate_limit::Pace;
use tidegate_message::Version;
use tidegate_upstream::Outcome;

use super::{Forward, Upload, Waits};
use crate::{
    body::{Body, BodyFault, poll_relay},
    cache::{self, Arrival},
    compose,
    connection::{Close, Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure, Side},
    upstream::{Attempt, Link},
};

impl Forward<'_> {
    /// Passes on `103 Early Hints` and the like; `100 Continue` only to a client that waits for it (RFC 9110 §15.2).
    pub(super) fn relay_informational(&self, exchange: &mut Exchange) {
        let wanted = exchange.response.status != 100 || self.facts.expect_continue;
        if exchange.head.version != Version::Http10 && wanted {
            let mut out = std::mem::take(&mut exchange.to_client);
            compose::informational(exchange, &mut out);
            exchange.to_client = out;
        }
    }

    pub(super) async fn flush_informational(&self, connection: &mut Connection, exchange: &mut Exchange) {
        if exchange.to_client.is_empty() {
            return;
        }
        poll_fn(|cx| {
            let _ = crate::body::poll_flush(cx, &mut connection.stream, &mut exchange.to_client);
            Poll::Ready(())
        })
        .await;
    }

    /// Response rewrite, relay, settle. `rest` is where the body's first bytes stand in the scratch buffer.
    pub(super) async fn relay(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_>,
        mut link: Link,
        mut upload: Upload,
        rest: Range<usize>,
    ) -> Next {
        let latency = attempt.latency(self.worker.now());
        exchange.upstream_duration = Some(Duration::from_nanos(latency));
        let status = exchange.response.status;
        let facts = match response_facts(&exchange.response, exchange.head.method) {
            Ok(facts) => facts,
            Err(bad) => {
                let failure = Failure::upstream(Cause::BadResponse(bad));
                attempt.finish(self.worker, Outcome::Failed, None, failure.cause.as_str());
                return self.give_up(connection, exchange, failure).await;
            }
        };
        match cache::arrived(self.worker, self.plan, self.route, exchange, &facts) {
            Arrival::Relay => {}
            Arrival::Give(given) => {
                return self.give(connection, exchange, attempt, link, &facts, given).await;
            }
            Arrival::Fill(filling, cached) => {
                return self.fill(connection, exchange, attempt, link, rest, &facts, &cached, filling).await;
            }
        }
        let old_client = exchange.head.version == Version::Http10;
        let unknown_length = matches!(facts.body, BodyLength::Chunked | BodyLength::UntilClose);
        let delimited = old_client && unknown_length;
        let mut next = exchange.after(self.worker, self.plan, connection);
        if delimited {
            next = Next::Close(Close::Delimited);
        }
        if !exchange.body.is_received() {
            // The answer came before the request's end; whether the rest still comes is seen at the end.
            next = Next::Close(Close::Unread);
        }
        // An upstream that answered before it had the whole request may take the rest of it for another one.
        let early = !upload.over;
        exchange.status = status;
        let before = exchange.to_client.len();
        let mut out = std::mem::take(&mut exchange.to_client);
        compose::response(
            self.worker,
            self.plan,
            self.route,
            exchange,
            facts.body,
            unknown_length && !old_client,
            next,
            &mut out,
        );
        exchange.to_client = out;

        let mut download = Body::new(facts.body, unknown_length && !old_client);
        exchange.surplus.clear();
        if let Err(fault) = self.send_first(connection, exchange, &mut download, rest).await {
            let failure = download_failure(fault);
            if failure.side == Side::Upstream {
                // Nothing of it is out: the client is told, instead of being left with a part.
                attempt.finish(self.worker, Outcome::Failed, None, failure.cause.as_str());
                exchange.to_client.truncate(before);
                return self.give_up(connection, exchange, failure).await;
            }
            attempt.finish(self.worker, Outcome::Ok, Some(latency), "");
            return cut_off(exchange, failure);
        }
        let failed = self.upstream.counts_as_failure(status);
        attempt.finish(self.worker, if failed { Outcome::Failed } else { Outcome::Ok }, Some(latency), "");
        let fate = self.relay_body(connection, exchange, &mut link, &mut upload, &mut download).await;
        exchange.bytes_sent = download.bytes;
        match fate {
            Ok(()) => {
                let surplus = !exchange.surplus.is_empty();
                let whole = exchange.body.is_ended() && upload.over && !upload.broken && !early;
                if facts.keep_alive && whole && !surplus {
                    self.upstream.check_in(link, &attempt.endpoint, self.worker.now());
                }
                next
            }
            Err(failure) => cut_off(exchange, failure),
        }
    }

    /// Sends the head together with what came of the body in the same read: one receive, one send. Nothing was
    /// awaited since these bytes were read: they still stand where they were.
    async fn send_first(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        download: &mut Body,
        rest: Range<usize>,
    ) -> Result<(), BodyFault> {
        poll_fn(|cx| {
            let mut scratch = self.worker.scratch.borrow_mut();
            let Exchange { response_input, to_client, surplus, .. } = &mut *exchange;
            let bytes =
                if response_input.is_empty() { &mut scratch[rest.clone()] } else { &mut response_input[..] };
            let sent = if bytes.is_empty() { Ok((0..0, 0)) } else { download.decode(bytes) };
            let sent = sent.and_then(|(content, used)| {
                surplus.extend_from_slice(&bytes[used..]);
                download.send(cx, &mut connection.stream, to_client, &bytes[content])
            });
            response_input.clear();
            Poll::Ready(sent)
        })
        .await
    }

    /// Relays what is left of the body, and of the request's if that is still coming.
    async fn relay_body(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        link: &mut Link,
        upload: &mut Upload,
        download: &mut Body,
    ) -> Result<(), Failure> {
        let mut waits = Waits::default();
        let mut pace = Pace::default();
        let mut awaited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut awaited, true) {
                self.worker.look_at_clock();
            }
            let mut scratch = self.worker.scratch.borrow_mut();
            if !upload.over
                && let Poll::Ready(Err(failure)) =
                    self.poll_upload(cx, connection, exchange, link, upload, &mut scratch)
            {
                return Poll::Ready(Err(failure));
            }
            let Connection { stream, deadline, .. } = &mut *connection;
            let mut moved = false;
            let before = download.bytes + exchange.to_client.len() as u64;
            let came = download.bytes;
            let relayed = poll_relay(
                cx,
                download,
                &mut link.stream,
                stream,
                &mut exchange.to_client,
                &mut scratch,
                &mut exchange.surplus,
                |_| moved = true,
            );
            let client = !exchange.to_client.is_empty();
            if relayed.is_pending() {
                let left = came + exchange.to_client.len() as u64;
                let taken = (before + (download.bytes - came)).saturating_sub(left);
                let least = self.plan.shared.least_send_rate;
                if pace.note(self.worker.now(), taken, client, least) {
                    return Poll::Ready(Err(Failure::client(Cause::SendTooSlow)));
                }
            }
            if relayed.is_pending() && waits.begins(client, moved) {
                deadline.set(self.bounded(if client {
                    self.plan.shared.plan.server.send_timeout_ms
                } else {
                    self.idle_ms()
                }));
            }
            match relayed {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(fault)) => Poll::Ready(Err(download_failure(fault))),
                Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(Err(if client {
                    Failure::client(Cause::SendTimeout)
                } else if self.is_due() {
                    Failure::upstream(Cause::TotalTimeout)
                } else {
                    Failure::upstream(Cause::UpstreamStalled)
                })),
                Poll::Pending if stream.poll_broken(cx) => {
                    Poll::Ready(Err(Failure::client(Cause::ClientGone)))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// A part of the response is out: the only honest end is one that looks cut.
fn cut_off(exchange: &mut Exchange, failure: Failure) -> Next {
    exchange.failed(failure);
    exchange.to_client.clear();
    Next::Close(Close::Failed)
}

pub(super) fn download_failure(fault: BodyFault) -> Failure {
    match fault {
        BodyFault::Send => Failure::client(Cause::ClientGone),
        BodyFault::Chunk(_) | BodyFault::Receive | BodyFault::Cut | BodyFault::TooLarge => {
            Failure::upstream(Cause::UpstreamCut)
        }
    }
}
