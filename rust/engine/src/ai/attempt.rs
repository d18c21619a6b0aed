//! One attempt at a target: connect, send, and wait for the answer's head and, in a stream, for its first content.
//!
//! An attempt knows nothing of the client's connection but that it may break: so two may run side by side.

use std::{
    cell::Cell,
    future::poll_fn,
    task::{Context, Poll, ready},
};

use tidegate_dialect::ErrorKind;
use tidegate_http1::{parse_response, response_facts};
use tidegate_message::{Method, ResponseHead};
use tidegate_upstream::{Outcome, Tried};

use super::{
    errors::{Lost, LostCause},
    tap::Tap,
};
use crate::{
    body::{Body, BodyFault, poll_flush},
    failure::{Cause, Failure},
    io::Stream,
    timer::Deadline,
    upstream::{Attempt, Link, Upstream, Wait},
    worker::{Worker, WorkerPlan},
};

/// The most of an answer that is held in memory: an image model answers with tens of megabytes of base64.
const ANSWER_BYTES: usize = 96 << 20;

/// The most of a refusal that is read.
const REFUSAL_BYTES: usize = 256 << 10;

/// The most of a stream that is held back while its first content is waited for.
const HELD_BYTES: usize = 1 << 20;

/// What an attempt is made with.
pub struct Order<'a, 'o> {
    /// Head and body, for an endpoint of that authority; called once the endpoint is known.
    pub request: &'o dyn Fn(&str, &mut Vec<u8>),
    /// Where.
    pub upstream: &'a Upstream,
    /// The endpoint that served the beginning of the conversation last.
    pub near: Option<u32>,
    /// Endpoints that this call has tried already.
    pub tried: &'o Cell<Tried>,
    /// Ties calls to an endpoint, where the balance goes by a key.
    pub tie: Option<u64>,
    /// For a connection.
    pub connect_ms: u32,
    /// To the answer's head, or the first content.
    pub first_token_ms: u32,
    /// Between two pieces of it.
    pub between_tokens_ms: u32,
    /// When all attempts together are over, in nanoseconds since the engine started; 0 for never.
    pub due: u64,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the gateway's own credential is used.
    pub own_credential: bool,
    /// For errors.
    pub request_id: &'o str,
}

/// An answer that has begun to come.
pub struct Open<'a> {
    /// Settles with the upstream.
    pub attempt: Attempt<'a>,
    link: Link,
    body: Body,
    /// The answer's head.
    pub head: ResponseHead,
    /// What has been read of the answer, put into the client's words.
    pub tap: Box<Tap>,
    keep_alive: bool,
    surplus: bool,
    /// Nanoseconds since the engine started: when it was sent.
    pub sent_at: u64,
    /// When the first content came.
    pub first_at: u64,
    /// For what is still to come.
    pub deadline: Deadline,
    over: bool,
}

/// Makes an attempt. `client` is watched, and nothing is read of it.
pub async fn make<'a>(
    worker: &Worker,
    plan: &WorkerPlan,
    order: &Order<'a, '_>,
    mut tap: Box<Tap>,
    client: Option<&Stream>,
) -> Result<Open<'a>, (Lost, Box<Tap>)> {
    let deadline = worker.timers.deadline();
    let before = order.tried.get();
    let mut fresh = false;
    loop {
        match once(worker, plan, order, &mut tap, client, &deadline, fresh).await {
            Ok(begun) => {
                let Begun { attempt, link, body, head, keep_alive, surplus, sent_at, first_at, over } = begun;
                return Ok(Open {
                    attempt,
                    link,
                    body,
                    head,
                    tap,
                    keep_alive,
                    surplus,
                    sent_at,
                    first_at,
                    deadline,
                    over,
                });
            }
            // A kept connection that had ended says nothing of its endpoint.
            Err(lost) if lost.stale && !fresh => {
                fresh = true;
                order.tried.set(before);
            }
            Err(lost) => return Err((lost, tap)),
        }
    }
}

struct Begun<'a> {
    attempt: Attempt<'a>,
    link: Link,
    body: Body,
    head: ResponseHead,
    keep_alive: bool,
    surplus: bool,
    sent_at: u64,
    first_at: u64,
    over: bool,
}

async fn once<'a>(
    worker: &Worker,
    plan: &WorkerPlan,
    order: &Order<'a, '_>,
    tap: &mut Tap,
    client: Option<&Stream>,
    deadline: &Deadline,
    fresh: bool,
) -> Result<Begun<'a>, Lost> {
    let lost = |failure: Failure| Lost::failed(failure, order.request_id);
    let bounded = |milliseconds| bounded(worker, order.due, milliseconds);
    let mut tried = order.tried.get();
    let near = order.near.filter(|_| tried.is_empty());
    let near = near.and_then(|key| order.upstream.attempt_near(worker.now(), key, &mut tried));
    let mut attempt = near.or_else(|| order.upstream.attempt(worker.now(), order.tie, &mut tried));
    if attempt.is_none() {
        order.upstream.resolve(worker, Wait { deadline, client }, bounded(order.connect_ms)).await;
        attempt = order.upstream.attempt(worker.now(), order.tie, &mut tried);
    }
    order.tried.set(tried);
    let mut attempt = attempt.ok_or_else(|| lost(Failure::upstream(Cause::NoEndpoint)))?;
    let wait = Wait { deadline, client };
    let connected = attempt.connect(worker, wait, order.connect_ms, bounded, fresh, &[]).await;
    let mut link = connected.map_err(|failure| {
        let ours = matches!(failure.cause, Cause::ClientGone | Cause::OutOfDescriptors);
        let outcome = if ours { Outcome::Cancelled } else { Outcome::Failed };
        attempt.finish(worker, outcome, None, failure.cause.as_str());
        lost(failure)
    })?;
    let reused = link.reused;
    let mut out = Vec::with_capacity(4096);
    (order.request)(&attempt.endpoint.authority, &mut out);
    let sent_at = worker.now();
    let mut failed = |mut lost: Lost, stale: bool| {
        lost.stale = stale;
        let blamed = !stale && !matches!(lost.cause, LostCause::ClientGone | LostCause::Final);
        attempt.finish(worker, if blamed { Outcome::Failed } else { Outcome::Cancelled }, None, lost.reason);
        lost
    };

    // The head. It may come before all of the request has gone out: then it says why.
    deadline.set(bounded(order.first_token_ms));
    let mut head = ResponseHead::default();
    let mut input = Vec::new();
    let rest = loop {
        let read = poll_fn(|cx| {
            let mut scratch = worker.scratch.borrow_mut();
            if !out.is_empty()
                && let Poll::Ready(Err(_)) = poll_flush(cx, &mut link.stream, &mut out)
            {
                out.clear();
            }
            match link.stream.poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    input.extend_from_slice(&scratch[..read]);
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(_) => Poll::Ready(Err(Failure::upstream(Cause::UpstreamReset))),
                Poll::Pending => poll_waits(cx, deadline, client),
            }
        })
        .await;
        worker.look_at_clock();
        if let Err(failure) = read {
            let stale = reused && input.is_empty() && failure.cause == Cause::UpstreamReset;
            return Err(failed(lost(failure), stale));
        }
        match parse_response(&input, &plan.shared.response_limits, &mut head) {
            Ok(Some(length)) if (100..200).contains(&head.status) && head.status != 101 => {
                drop(input.drain(..length))
            }
            Ok(Some(length)) => {
                input.drain(..length);
                break std::mem::take(&mut input);
            }
            Ok(None) => {}
            Err(bad) => return Err(failed(lost(Failure::upstream(Cause::BadResponse(bad))), false)),
        }
    };
    let facts = response_facts(&head, Method::Post)
        .map_err(|bad| failed(lost(Failure::upstream(Cause::BadResponse(bad))), false))?;
    let mut body = Body::new(facts.body, false);
    let mut rest = rest;
    let mut surplus = false;

    // The content: all of it, or in a stream its beginning.
    let good = (200..300).contains(&head.status);
    let is_stream = good && order.stream && tap.is_stream(head.field(b"content-type").unwrap_or_default());
    let most = if good { ANSWER_BYTES } else { REFUSAL_BYTES };
    let mut content = Vec::new();
    let mut fault = None;
    let mut over = false;
    loop {
        let mut taken = |bytes: &[u8]| {
            if is_stream {
                fault = fault.take().or(tap.feed(bytes).err());
            } else {
                content.extend_from_slice(bytes);
            }
        };
        let more = if rest.is_empty() {
            poll_fn(|cx| {
                let mut scratch = worker.scratch.borrow_mut();
                match poll_content(cx, &mut link, &mut body, &mut scratch, &mut surplus, &mut taken) {
                    Poll::Ready(Ok(more)) => Poll::Ready(Ok(more)),
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Failure::upstream(Cause::UpstreamCut))),
                    Poll::Pending => poll_waits(cx, deadline, client).map(|waited| waited.map(|()| true)),
                }
            })
            .await
        } else {
            let mut bytes = std::mem::take(&mut rest);
            let decoded = body.decode(&mut bytes);
            match decoded {
                Ok((content, used)) => {
                    surplus |= used < bytes.len();
                    taken(&bytes[content]);
                    Ok(true)
                }
                Err(_) => Err(Failure::upstream(Cause::UpstreamCut)),
            }
        };
        worker.look_at_clock();
        match more {
            Err(failure) => return Err(failed(lost(failure), false)),
            Ok(true) if !body.is_received() => {}
            Ok(_) => over = true,
        }
        if let Some(fault) = fault.take() {
            return Err(failed(tap.nonsense(&fault, order.request_id), false));
        }
        if is_stream {
            if tap.is_guarded() {
                break;
            }
            if let Some(error) = tap.take_error() {
                return Err(failed(
                    Lost::refused(error, order.own_credential, None, order.request_id),
                    false,
                ));
            }
            if tap.has_content() || tap.is_ended() || tap.held() > HELD_BYTES {
                break;
            }
            if over {
                let finished = tap.finish();
                if finished.is_err() || !tap.is_ended() {
                    return Err(failed(lost(Failure::upstream(Cause::UpstreamCut)), false));
                }
                break;
            }
        } else {
            if content.len() > most {
                return Err(failed(lost(Failure::upstream(Cause::AnswerTooLarge)), false));
            }
            if over {
                break;
            }
            // A whole answer may take long, but not without a sign of life.
            deadline.set(bounded(order.between_tokens_ms.max(order.first_token_ms)));
        }
    }
    if !good {
        let retry_after_ms =
            tidegate_dialect::headers::retry_after_ms(fields(&head), crate::unix_milliseconds() / 1000);
        let error = tap.refusal(head.status, head.field(b"x-amzn-errortype"), &content);
        let blamed = matches!(error.kind, ErrorKind::Server | ErrorKind::Overloaded | ErrorKind::Timeout);
        let counts = order.upstream.counts_as_failure(head.status) && blamed;
        attempt.finish(worker, if counts { Outcome::Failed } else { Outcome::Ok }, None, "status");
        if facts.keep_alive && body.is_received() && !surplus {
            order.upstream.check_in(link, &attempt.endpoint, worker.now());
        }
        return Err(Lost::refused(error, order.own_credential, retry_after_ms, order.request_id));
    }
    if !is_stream && let Err(fault) = tap.whole(content, head.field(b"content-type").unwrap_or_default()) {
        return Err(failed(tap.nonsense(&fault, order.request_id), false));
    }
    let first_at = worker.now();
    Ok(Begun { attempt, link, body, head, keep_alive: facts.keep_alive, surplus, sent_at, first_at, over })
}

impl Open<'_> {
    /// Whether all of the answer was read.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Reads more of the answer into the tap. `Ok(false)`: that was all.
    pub fn poll_more(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Result<bool, BodyFault>> {
        if self.over {
            return Poll::Ready(Ok(false));
        }
        let mut fault = Ok(());
        let Self { link, body, tap, surplus, .. } = self;
        let more =
            ready!(poll_content(cx, link, body, scratch, surplus, &mut |bytes| fault = tap.feed(bytes)))?;
        if fault.is_err() {
            return Poll::Ready(Err(BodyFault::Cut));
        }
        self.over = !more || self.body.is_received();
        Poll::Ready(Ok(!self.over))
    }

    /// The answer is whole: its connection may serve again, and its endpoint is praised.
    pub fn settle(mut self, worker: &Worker, upstream: &Upstream) -> Box<Tap> {
        let latency = self.first_at.saturating_sub(self.sent_at);
        self.attempt.finish(worker, Outcome::Ok, Some(latency), "");
        if self.keep_alive && self.body.is_received() && !self.surplus {
            upstream.check_in(self.link, &self.attempt.endpoint, worker.now());
        }
        self.tap
    }

    /// The answer was not whole.
    pub fn abandon(mut self, worker: &Worker, outcome: Outcome, why: &'static str) -> Box<Tap> {
        self.attempt.finish(worker, outcome, None, why);
        self.tap
    }
}

/// The fields of a head.
pub fn fields(head: &ResponseHead) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    head.fields.iter().map(|field| (head.slice(field.name), head.slice(field.value)))
}

/// A waiting time, cut to what is left of the whole.
pub fn bounded(worker: &Worker, due: u64, milliseconds: u32) -> u32 {
    if due == 0 {
        return milliseconds;
    }
    let left = (due.saturating_sub(worker.now()) / 1_000_000).clamp(1, u64::from(u32::MAX)) as u32;
    if milliseconds == 0 { left } else { milliseconds.min(left) }
}

fn poll_content(
    cx: &mut Context<'_>,
    link: &mut Link,
    body: &mut Body,
    scratch: &mut [u8],
    surplus: &mut bool,
    taken: &mut impl FnMut(&[u8]),
) -> Poll<Result<bool, BodyFault>> {
    if body.is_received() {
        return Poll::Ready(Ok(false));
    }
    let read = ready!(link.stream.poll_read(cx, scratch)).map_err(|_| BodyFault::Receive)?;
    if read == 0 {
        body.end_of_input()?;
        return Poll::Ready(Ok(false));
    }
    let (content, used) = body.decode(&mut scratch[..read])?;
    *surplus |= used < read;
    taken(&scratch[content]);
    Poll::Ready(Ok(true))
}

fn poll_waits(
    cx: &mut Context<'_>,
    deadline: &Deadline,
    client: Option<&Stream>,
) -> Poll<Result<(), Failure>> {
    if deadline.poll_passed(cx) {
        Poll::Ready(Err(Failure::upstream(Cause::UpstreamTimeout)))
    } else if client.is_some_and(|client| client.poll_gone(cx)) {
        Poll::Ready(Err(Failure::client(Cause::ClientGone)))
    } else {
        Poll::Pending
    }
}
