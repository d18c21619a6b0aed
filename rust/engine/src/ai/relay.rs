//! The way back of an answer: whole, or event by event, until it is settled.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use tidegate_dialect::{ApiError, ErrorKind, Finish};
use tidegate_limit::Pace;
use tidegate_message::Version;
use tidegate_plan::OnDisconnect;
use tidegate_upstream::Outcome as Attempted;

use super::{
    Desk, admit,
    attempt::{Open, bounded},
    batch,
    cache::Kept,
    call::Call,
    flight::{Begun, Follower, Lead, More},
    record::Outcome,
    reuse,
    serve::Opened,
    tap::Tap,
};
use crate::{
    answer::{self, Answer, push_field},
    body::{Body, poll_flush},
    connection::{Close, Connection, Next},
    drain,
    exchange::Exchange,
    failure::{Cause, Failure, Side},
    handshake,
    timer::Deadline,
};

/// Relays what was opened.
pub async fn run(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    opened: Opened<'_>,
    batch: Option<batch::Lead>,
) -> Next {
    let worker = desk.worker;
    let endpoint = opened.open.attempt.endpoint.text.clone();
    exchange.endpoint = Some(endpoint);
    exchange.upstream = Some(opened.upstream.name.clone());
    exchange.upstream_duration =
        Some(std::time::Duration::from_nanos(opened.open.first_at.saturating_sub(opened.open.sent_at)));
    call.facts.sent_at = opened.open.sent_at;
    call.facts.first_at = opened.open.first_at;
    if opened.open.tap.streams() && opened.open.tap.is_streaming() {
        return stream(desk, connection, exchange, call, opened).await;
    }
    let Opened { open, upstream, choice, in_flight, .. } = opened;
    let content_type = open.head.field(b"content-type").unwrap_or_default().to_vec();
    let mut tap = open.settle(worker, upstream);
    drop(in_flight);
    let begun = Begun { provider: tap.provider(), is_stream: false, served: call.facts.served };
    reuse::begin(&mut call.lead, begun);
    if let (Some(mut lead), Some(raw)) = (call.lead.take(), &tap.raw) {
        lead.push(raw);
        lead.end();
    }
    keep(desk, call, &mut tap, false);
    if let Some(batch) = batch
        && let Some(answer) = tap.take_vectors()
    {
        let request = batch.own();
        if let (Some(own), Some(request)) = (batch.share(answer, call.facts.served), request) {
            call.embed = Some(request);
            *tap = Tap::new(call, tap.provider(), false, exchange.request_id(), false);
            tap.vectors(own);
        }
    }
    let next = whole(desk, connection, exchange, call, tap, &content_type).await;
    note_speed(desk, call, choice.target);
    next
}

fn note_speed(desk: &Desk<'_>, call: &Call, target: usize) {
    let (model, facts) = (&desk.ai.models[call.model as usize], &call.facts);
    let rest = desk.worker.now().saturating_sub(facts.first_at);
    let first = facts.first_at.saturating_sub(facts.sent_at);
    model.states[target].answered(first, rest, facts.usage.output_total().unwrap_or(0));
}

/// Sends a whole answer.
pub async fn whole(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    mut tap: Box<Tap>,
    content_type: &[u8],
) -> Next {
    call.facts.usage = tap.usage(call.input_estimate);
    call.facts.finish = tap.finished();
    heard(call, &mut tap);
    if let Some(error) = tap.take_error() {
        call.facts.reason = "guard_blocked";
        return super::refuse(desk, connection, exchange, call.dialect, error).await;
    }
    if let Some(said) = tap.take_said()
        && let Err(error) = super::prompt::answer(desk.ai, &call.prompt, &said, &mut tap.out)
    {
        call.facts.reason = "bad_output";
        return super::refuse(desk, connection, exchange, call.dialect, error).await;
    }
    call.facts.outcome = Outcome::Ok;
    let body = std::mem::take(&mut tap.out);
    let mut fields = std::mem::take(&mut exchange.fields);
    told(desk, call, exchange, &mut fields);
    let told_type = tap.content_type().map_or(content_type, str::as_bytes);
    let answer = Answer { status: 200, content_type: told_type, fields: &fields, body: &body };
    let next = answer::send(desk.worker, desk.plan, connection, exchange, Some(desk.route), answer).await;
    fields.clear();
    exchange.fields = fields;
    if next == Next::Close(Close::Broken) {
        call.facts.outcome = Outcome::ClientGone;
    }
    next
}

/// Takes what the model said over into the record.
fn heard(call: &mut Call, tap: &mut Tap) {
    if let (Some(content), Some(words)) = (&mut call.content, tap.take_words()) {
        content.answer = words;
    }
}

/// What every good answer tells of the gateway: who answered, and what is left of the key's limits.
fn told(desk: &Desk<'_>, call: &Call, exchange: &Exchange, fields: &mut Vec<u8>) {
    let ai = desk.ai;
    super::name_request(
        &desk.plan.shared.plan.server.request_id,
        call.dialect,
        exchange.request_id(),
        fields,
    );
    if let Some((model, target)) = call.facts.served {
        let model = &ai.plan.models[model as usize];
        push_field(fields, b"X-Tidegate-Model", model.name.as_bytes());
        if let Some(target) = model.targets.get(target) {
            push_field(
                fields,
                b"X-Tidegate-Provider",
                ai.plan.providers[target.provider as usize].name.as_bytes(),
            );
            if !target.variant.is_empty() {
                push_field(fields, b"X-Tidegate-Variant", target.variant.as_bytes());
            }
        }
    }
    if call.facts.cache != super::record::CacheState::Off {
        push_field(fields, b"X-Tidegate-Cache", call.facts.cache.as_str().as_bytes());
    }
    if call.reservation.is_some() {
        admit::remaining(ai, call, fields);
    }
}

/// Where a stream comes from.
enum Source<'a> {
    /// A provider.
    Provider(Box<Open<'a>>),
    /// Another call that was joined.
    Joined { follower: Follower, tap: Box<Tap>, deadline: Deadline, over: bool, bytes: Vec<u8> },
}

impl Source<'_> {
    fn tap(&mut self) -> &mut Tap {
        match self {
            Self::Provider(open) => &mut open.tap,
            Self::Joined { tap, .. } => tap,
        }
    }

    fn deadline(&self) -> &Deadline {
        match self {
            Self::Provider(open) => &open.deadline,
            Self::Joined { deadline, .. } => deadline,
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Provider(open) => open.is_over(),
            Self::Joined { over, .. } => *over,
        }
    }

    /// Takes more into the tap; `Err` where there will be no more, and should be.
    fn poll_more(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Result<(), ()>> {
        match self {
            Self::Provider(open) => open.poll_more(cx, scratch).map(|more| more.map(drop).map_err(drop)),
            Self::Joined { follower, tap, over, bytes, .. } => {
                bytes.clear();
                match ready!(follower.poll_more(cx, bytes)) {
                    More::Bytes => Poll::Ready(tap.feed(bytes).map_err(drop)),
                    More::End => {
                        *over = true;
                        Poll::Ready(Ok(()))
                    }
                    More::Failed => Poll::Ready(Err(())),
                }
            }
        }
    }
}

/// How a stream ended.
struct Relayed {
    next: Next,
    failure: Option<Failure>,
    client: bool,
}

/// Relays a stream from a provider, and settles with it.
async fn stream(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    opened: Opened<'_>,
) -> Next {
    let worker = desk.worker;
    let Opened { open, upstream, choice, in_flight, due } = opened;
    let begun = Begun { provider: open.tap.provider(), is_stream: true, served: call.facts.served };
    reuse::begin(&mut call.lead, begun);
    let mut source = Source::Provider(Box::new(open));
    let Relayed { next, failure, client } = events(desk, connection, exchange, call, &mut source, due).await;
    drop(in_flight);
    let Source::Provider(mut open) = source else { return next };
    let whole = failure.is_none() && open.is_over() && open.tap.is_ended();
    if whole {
        if let Some(lead) = call.lead.take() {
            lead.end();
        }
        keep(desk, call, &mut open.tap, true);
    }
    call.lead = None;
    match failure {
        Some(failure) => drop(open.abandon(worker, Attempted::Failed, failure.cause.as_str())),
        None if !whole && !client => drop(open.abandon(worker, Attempted::Cancelled, "client_gone")),
        None => {
            note_speed(desk, call, choice.target);
            drop(open.settle(worker, upstream));
        }
    }
    next
}

/// Gives the client the answer of another call that is under way.
pub async fn joined(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    follower: Follower,
    begun: Begun,
) -> Next {
    call.facts.served = begun.served;
    call.facts.first_at = desk.worker.now();
    let same = reuse::same(call, begun.provider);
    let tap = Tap::new(call, begun.provider, same, exchange.request_id(), false);
    let deadline = desk.worker.timers.deadline();
    let mut source =
        Source::Joined { follower, tap: Box::new(tap), deadline, over: false, bytes: Vec::new() };
    if call.stream && begun.is_stream {
        return events(desk, connection, exchange, call, &mut source, 0).await.next;
    }
    // A whole answer: all of it is gathered first.
    let Source::Joined { mut follower, mut tap, deadline, .. } = source else {
        return Next::Close(Close::Failed);
    };
    let mut bytes = Vec::new();
    let most = desk.ai.plan.models[call.model as usize].between_tokens_ms;
    let end = loop {
        deadline.set(most);
        let more = poll_fn(|cx| match follower.poll_more(cx, &mut bytes) {
            Poll::Pending if deadline.poll_passed(cx) => Poll::Ready(More::Failed),
            Poll::Pending if connection.stream.poll_gone(cx) => Poll::Ready(More::Failed),
            polled => polled,
        })
        .await;
        desk.worker.look_at_clock();
        if more != More::Bytes {
            break more;
        }
    };
    if end == More::End && tap.replay(&bytes, begun.is_stream).is_ok() {
        return reused(desk, connection, exchange, call, tap).await;
    }
    let failure = Failure::upstream(Cause::UpstreamCut);
    exchange.failed(failure);
    let error = super::errors::from_failure(failure, exchange.request_id());
    super::refuse(desk, connection, exchange, call.dialect, error).await
}

/// Gives the client an answer that there was already.
pub async fn reused(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    tap: Box<Tap>,
) -> Next {
    whole(desk, connection, exchange, call, tap, b"application/json").await
}

/// Keeps an answer, where it is to be kept.
fn keep(desk: &Desk<'_>, call: &mut Call, tap: &mut Tap, is_stream: bool) {
    let Some((key, ttl_ms)) = call.keep.take() else { return };
    let good = !matches!(tap.finished(), Some(Finish::Error | Finish::ContentFilter));
    if let Some(bytes) = tap.raw.take().filter(|_| good) {
        let until = desk.worker.now() + ttl_ms * 1_000_000;
        desk.ai.cache.keep(key, Kept { provider: tap.provider(), is_stream, bytes: bytes.into(), until });
    }
}

/// Relays a stream's events to the client, as they come.
async fn events(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    source: &mut Source<'_>,
    due: u64,
) -> Relayed {
    let Desk { worker, plan, ai, .. } = desk;
    let model = &ai.plan.models[call.model as usize];
    let chunked = exchange.head.version != Version::Http10;
    let read = exchange.skip_body();
    let mut next = exchange.after(worker, plan, connection);
    if !read {
        next = Next::Close(Close::Unread);
    } else if !chunked {
        next = Next::Close(Close::Delimited);
    }
    let mut fields = std::mem::take(&mut exchange.fields);
    told(desk, call, exchange, &mut fields);
    let content_type = source.tap().content_type().unwrap_or("application/octet-stream");
    head(desk, exchange, content_type, &fields, chunked, next);
    fields.clear();
    exchange.fields = fields;

    // Framing is ours alone: what the tap puts out becomes chunks.
    let mut framing = Body::new(tidegate_http1::BodyLength::UntilClose, chunked);
    let mut to_client = std::mem::take(&mut exchange.to_client);
    let mut client = true;
    let mut failure: Option<Failure> = None;
    let stalled_ms = model.between_tokens_ms;
    source.deadline().set(bounded(worker, due, stalled_ms));
    let mut pace = Pace::default();
    // All of it may have come with its beginning.
    let mut step = (source.is_over() || source.tap().has_failed()).then_some(Step::More);
    loop {
        match step.take() {
            None => {}
            Some(Step::More) => {
                source.deadline().set(bounded(worker, due, stalled_ms));
                if source.is_over() || source.tap().has_failed() {
                    let tap = source.tap();
                    let ended = tap.is_ended() || (tap.finish().is_ok() && tap.is_ended());
                    match tap.take_error() {
                        Some(error) => {
                            let guarded = error.code.as_deref() == Some("guard_blocked");
                            let cause = if guarded { Cause::GuardBlocked } else { Cause::ProviderFailed };
                            failure = Some(Failure {
                                side: if guarded { Side::Gateway } else { Side::Upstream },
                                cause,
                            });
                            // Where the stream passes as it is, the error stands in it already.
                            if !tap.is_passing() {
                                tap.fail(&error);
                            }
                        }
                        None if !ended => failure = broken(tap, Cause::UpstreamCut),
                        None => {}
                    }
                }
            }
            Some(Step::Cut) => failure = broken(source.tap(), Cause::UpstreamCut),
            Some(Step::Stalled) => failure = broken(source.tap(), Cause::UpstreamStalled),
            Some(Step::Gone) => {
                client = false;
                to_client.clear();
                let wanted = call.lead.as_ref().is_some_and(Lead::is_followed);
                if model.on_disconnect == OnDisconnect::Abort && !wanted {
                    break;
                }
            }
        }
        if let (Some(lead), Some(raw)) = (&mut call.lead, &source.tap().raw) {
            lead.push(raw);
        }
        let tap = source.tap();
        if !tap.out.is_empty() {
            if client {
                exchange.bytes_sent += tap.out.len() as u64;
                framing.frame(&tap.out, &mut to_client);
            }
            tap.out.clear();
        }
        let over = source.is_over() || failure.is_some();
        if over && (!client || to_client.is_empty()) {
            break;
        }
        if over && client {
            // The end goes out with what is left, in one write; also behind an error, which the stream itself has told.
            break;
        }
        let waited = poll_fn(|cx| {
            if client && !to_client.is_empty() {
                let before = to_client.len();
                let flushed = poll_flush(cx, &mut connection.stream, &mut to_client);
                let (taken, left) = ((before - to_client.len()) as u64, !to_client.is_empty());
                if pace.note(worker.look_at_clock(), taken, left, plan.shared.least_send_rate) {
                    return Poll::Ready(Step::Gone);
                }
                match flushed {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Step::Gone),
                    Poll::Pending => {
                        if to_client.len() < before {
                            connection.deadline.set(plan.shared.plan.server.send_timeout_ms);
                        }
                        // Nothing more is read for a client that does not take what there is.
                        return if connection.deadline.poll_passed(cx) {
                            Poll::Ready(Step::Gone)
                        } else {
                            Poll::Pending
                        };
                    }
                }
            }
            connection.deadline.set(plan.shared.plan.server.send_timeout_ms);
            let mut scratch = worker.scratch.borrow_mut();
            match source.poll_more(cx, &mut scratch) {
                Poll::Ready(Ok(())) => Poll::Ready(Step::More),
                Poll::Ready(Err(())) => Poll::Ready(Step::Cut),
                Poll::Pending if source.deadline().poll_passed(cx) => Poll::Ready(Step::Stalled),
                Poll::Pending if client && connection.stream.poll_gone(cx) => Poll::Ready(Step::Gone),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        worker.look_at_clock();
        step = Some(waited);
    }
    let tap = source.tap();
    call.facts.usage = tap.usage(call.input_estimate);
    call.facts.finish = tap.finished();
    heard(call, tap);
    exchange.to_client = to_client;
    call.facts.outcome = match (client, &failure) {
        (false, _) => Outcome::ClientGone,
        (true, Some(_)) => Outcome::Cut,
        (true, None) => Outcome::Ok,
    };
    let failure = failure.map(|failure| drain::failure(worker, failure));
    if let Some(failure) = failure {
        exchange.failed(failure);
        call.facts.reason = failure.cause.as_str();
    }
    if !client {
        exchange.failed(Failure::client(Cause::ClientGone));
        exchange.to_client.clear();
        return Relayed { next: Next::Close(Close::Broken), failure, client };
    }
    let _ = framing.end_of_input();
    let mut to_client = std::mem::take(&mut exchange.to_client);
    framing.frame(&[], &mut to_client);
    exchange.to_client = to_client;
    let next = answer::deliver(plan, connection, exchange, next).await;
    Relayed { next, failure, client }
}

enum Step {
    More,
    Cut,
    Stalled,
    Gone,
}

/// Tells the client in its stream that the provider broke off.
fn broken(tap: &mut Tap, cause: Cause) -> Option<Failure> {
    let failure = Failure::upstream(cause);
    let kind = if cause == Cause::UpstreamStalled { ErrorKind::Timeout } else { ErrorKind::Server };
    let mut error = ApiError::new(cause.status(), kind, cause.detail());
    error.code = Some(cause.as_str().to_owned());
    tap.fail(&error);
    Some(failure)
}

/// Puts the head of a streamed answer into `exchange.to_client`.
fn head(
    desk: &Desk<'_>,
    exchange: &mut Exchange,
    content_type: &str,
    fields: &[u8],
    chunked: bool,
    next: Next,
) {
    let Desk { worker, plan, route, .. } = desk;
    exchange.status = 200;
    let mut out = std::mem::take(&mut exchange.to_client);
    answer::write_status(&mut out, 200, b"OK");
    out.extend_from_slice(b"Date: ");
    worker.date(&mut out);
    out.extend_from_slice(b"\r\n");
    let server = &plan.shared.plan.server;
    if !server.server_name.is_empty() {
        push_field(&mut out, b"Server", server.server_name.as_bytes());
    }
    push_field(&mut out, b"Content-Type", content_type.as_bytes());
    push_field(&mut out, b"Cache-Control", b"no-cache");
    out.extend_from_slice(fields);
    if server.request_id.respond && !server.request_id.header.is_empty() {
        push_field(&mut out, server.request_id.header.as_bytes(), exchange.request_id().as_bytes());
    }
    handshake::write_hsts(plan, exchange, Some(route), &mut out);
    route.write_response_edits(worker, plan, exchange, &mut out);
    if chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    answer::write_connection(&mut out, exchange, next);
    out.extend_from_slice(b"\r\n");
    exchange.to_client = out;
}
