//! The way back of a response that is kept: the origin's content goes into the fill, and the client reads it from there
//! like all others who wait for it. So a slow client slows nobody, and one that leaves ends nothing.

use std::{
    future::poll_fn,
    ops::Range,
    task::{Context, Poll},
    time::Duration,
};

use tidegate_cache::{Object, decide, fill::Lead};
use tidegate_http1::ResponseFacts;
use tidegate_upstream::Outcome;

use super::{Forward, relay::download_failure};
use crate::{
    body::{Body, BodyFault},
    cache::{self, Filling, Given, Sending, Stopped},
    connection::{Close, Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    upstream::{Attempt, Link},
};

/// How long a fill goes on for which no client waits any more, in milliseconds.
const ALONE_MS: u64 = 30_000;
/// Reads between two looks at the client, while the origin has more at once.
const TURNS: u32 = 4;

impl Forward<'_> {
    /// Gives what is kept in the place of the origin's answer.
    pub(super) async fn give(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_>,
        link: Link,
        facts: &ResponseFacts,
        given: Given,
    ) -> Next {
        let latency = attempt.latency(self.worker.now());
        exchange.upstream_duration = Some(Duration::from_nanos(latency));
        let failed = self.upstream.counts_as_failure(exchange.response.status);
        attempt.finish(self.worker, if failed { Outcome::Failed } else { Outcome::Ok }, Some(latency), "");
        let bodiless = Body::new(facts.body, false).is_received();
        if facts.keep_alive && bodiless && exchange.to_upstream.is_empty() {
            self.upstream.check_in(link, &attempt.endpoint, self.worker.now());
        }
        cache::give(self.worker, self.plan, connection, exchange, self.route, given).await
    }

    /// Relays the response while it is kept. `rest` is where the body's first bytes stand in the scratch buffer.
    #[allow(clippy::too_many_arguments)] // a response, and where it goes
    pub(super) async fn fill(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_>,
        mut link: Link,
        rest: Range<usize>,
        facts: &ResponseFacts,
        cached: &cache::Cached,
        filling: Filling,
    ) -> Next {
        let latency = attempt.latency(self.worker.now());
        exchange.upstream_duration = Some(Duration::from_nanos(latency));
        let Filling { lead, draft, slot, kept, fields } = filling;
        let mut download = Body::new(facts.body, false);
        let length = match facts.body {
            tidegate_http1::BodyLength::None => Some(0),
            tidegate_http1::BodyLength::Exact(length) => Some(length),
            _ => None,
        };
        let most = self.route.plan.cache.as_ref().map_or(0, |rules| rules.object_bytes);

        // The client reads from the beginning, whatever comes at once.
        let reader = lead.reader();

        // What came of the body in the same read stands where it was: nothing was awaited since.
        exchange.surplus.clear();
        let first = {
            let mut scratch = self.worker.scratch.borrow_mut();
            let kept = !exchange.response_input.is_empty();
            let bytes = if kept { &mut exchange.response_input[..] } else { &mut scratch[rest] };
            take(&mut download, &lead, bytes, most, &mut exchange.surplus)
        };
        exchange.response_input.clear();
        if let Err(fault) = first {
            let failure = download_failure(fault);
            attempt.finish(self.worker, Outcome::Failed, None, failure.cause.as_str());
            lead.fail(failure);
            exchange.fields.truncate(fields);
            return self.give_up(connection, exchange, failure).await;
        }
        let failed = self.upstream.counts_as_failure(exchange.response.status);
        attempt.finish(self.worker, if failed { Outcome::Failed } else { Outcome::Ok }, Some(latency), "");
        lead.begin(draft.clone(), length);
        let sending = cache::begin(
            self.worker,
            self.plan,
            connection,
            exchange,
            self.route,
            &draft,
            length,
            reader,
            cached,
        );

        let mut client = Client { sending, is_gone: false, done: false };
        let pumped =
            self.pump(connection, exchange, &mut link, &mut download, &lead, &mut client, most).await;
        if let Err(failure) = pumped {
            lead.fail(failure);
            return client.cut_off(exchange, failure);
        }
        if download.has_trailers() {
            // RFC 9110 §6.5: they belong to this answer, and nothing that is kept has a place for them.
            lead.discard();
        } else if let Some(shared) = &self.plan.shared.cache {
            lead.finish(|object| {
                let whole = kept.as_ref().and_then(|kept| decide::assemble(kept, &object));
                shared.store.keep(slot, whole.map_or(object, |whole: Object| whole.into()));
            });
        }
        if facts.keep_alive && exchange.surplus.is_empty() && exchange.to_upstream.is_empty() {
            self.upstream.check_in(link, &attempt.endpoint, self.worker.now());
        }
        self.finish(connection, exchange, client).await
    }

    /// Takes the origin's content until its end, and hands the client what it takes meanwhile.
    #[allow(clippy::too_many_arguments)] // both ends, and what lies between them
    async fn pump(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        link: &mut Link,
        download: &mut Body,
        lead: &Lead<Failure>,
        client: &mut Client,
        most: u64,
    ) -> Result<(), Failure> {
        let idle_ms = self.route.plan.timeouts.idle_ms;
        connection.deadline.set(self.bounded(idle_ms));
        let mut alone_until = None;
        let mut awaited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut awaited, true) {
                self.worker.look_at_clock();
            }
            for turn in 1_u32.. {
                // What is whole is kept before its last bytes go out: whoever has them finds it.
                if download.is_received() {
                    return Poll::Ready(Ok(()));
                }
                if turn.is_multiple_of(TURNS) {
                    client.poll(cx, connection, exchange);
                }
                if client.is_gone {
                    let until = *alone_until.get_or_insert(self.worker.now() + ALONE_MS * 1_000_000);
                    if self.worker.now() >= until || (lead.readers() == 0 && !lead.is_kept()) {
                        return Poll::Ready(Err(Failure::client(Cause::ClientGone)));
                    }
                }
                let mut scratch = self.worker.scratch.borrow_mut();
                let read = match lead.poll_room(cx) {
                    Poll::Ready(()) => link.stream.poll_read(cx, &mut scratch),
                    Poll::Pending => Poll::Pending,
                };
                match read {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(download.end_of_input().map_err(download_failure));
                    }
                    Poll::Ready(Ok(read)) => {
                        connection.deadline.set(self.bounded(idle_ms));
                        let taken = take(download, lead, &mut scratch[..read], most, &mut exchange.surplus);
                        if let Err(fault) = taken {
                            return Poll::Ready(Err(download_failure(fault)));
                        }
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(download_failure(BodyFault::Receive))),
                    Poll::Pending if connection.deadline.poll_passed(cx) => {
                        let cause = if self.is_due() { Cause::TotalTimeout } else { Cause::UpstreamStalled };
                        return Poll::Ready(Err(Failure::upstream(cause)));
                    }
                    Poll::Pending => {
                        drop(scratch);
                        let was_blocked = lead.poll_room(cx).is_pending();
                        client.poll(cx, connection, exchange);
                        // What the client took may have made room.
                        if was_blocked && lead.poll_room(cx).is_ready() {
                            continue;
                        }
                        return Poll::Pending;
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// All of it is here; the client gets what it has not taken yet.
    async fn finish(&self, connection: &mut Connection, exchange: &mut Exchange, mut client: Client) -> Next {
        let send_timeout = self.plan.shared.plan.server.send_timeout_ms;
        connection.deadline.set(send_timeout);
        let sent = poll_fn(|cx| {
            let moved = client.poll(cx, connection, exchange);
            if client.done || client.is_gone {
                return Poll::Ready(Ok(()));
            }
            if moved {
                connection.deadline.set(send_timeout);
            }
            if connection.deadline.poll_passed(cx) {
                return Poll::Ready(Err(Failure::client(Cause::SendTimeout)));
            }
            Poll::Pending
        })
        .await;
        exchange.bytes_sent = client.bytes();
        match sent {
            Ok(()) if !client.is_gone => client.sending.next,
            Ok(()) => client.cut_off(exchange, Failure::client(Cause::ClientGone)),
            Err(failure) => client.cut_off(exchange, failure),
        }
    }
}

/// Puts what came into the fill; what is beyond the body is surplus.
fn take(
    download: &mut Body,
    lead: &Lead<Failure>,
    bytes: &mut [u8],
    most: u64,
    surplus: &mut Vec<u8>,
) -> Result<(), BodyFault> {
    if bytes.is_empty() {
        return Ok(());
    }
    let (content, used) = download.decode(bytes)?;
    lead.push(&bytes[content], most);
    surplus.extend_from_slice(&bytes[used..]);
    Ok(())
}

/// The client for whose sake the fill began.
struct Client {
    sending: Sending,
    is_gone: bool,
    done: bool,
}

impl Client {
    /// Sends what it takes; whether it took anything. One that is gone reads no more, and holds up nobody.
    fn poll(&mut self, cx: &mut Context<'_>, connection: &mut Connection, exchange: &mut Exchange) -> bool {
        if self.done || self.is_gone {
            return false;
        }
        let mut moved = false;
        let polled = match &mut self.sending.sender {
            Some(sender) => sender.poll(cx, &mut connection.stream, &mut exchange.to_client, || moved = true),
            None => crate::body::poll_flush(cx, &mut connection.stream, &mut exchange.to_client)
                .map_err(|_| Stopped::Client),
        };
        match polled {
            Poll::Ready(Ok(())) => self.done = true,
            Poll::Ready(Err(_)) => self.is_gone = true,
            Poll::Pending => self.is_gone = connection.stream.poll_broken(cx),
        }
        if self.is_gone {
            exchange.bytes_sent = self.bytes();
            exchange.to_client.clear();
            self.sending.sender = None;
        }
        moved
    }

    fn bytes(&self) -> u64 {
        self.sending.sender.as_ref().map_or(0, |sender| sender.bytes)
    }

    /// A part of it is out: the only honest end is one that looks cut.
    fn cut_off(&self, exchange: &mut Exchange, failure: Failure) -> Next {
        exchange.failed(failure);
        exchange.to_client.clear();
        Next::Close(Close::Failed)
    }
}
