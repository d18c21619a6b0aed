//! Waits for what another request fetches, and reads along.

use std::{future::poll_fn, sync::Arc, task::Poll};

use tidegate_cache::{
    Draft, Found, Outcome, Reason,
    fill::{Begun, End, Reader},
    key,
    present::{self, Shown, View},
    status,
};
use tidegate_message::{Method, Version};

use super::{
    Cached, Given, PreparedCache, Shared, count,
    give::{give, push_status, write_head},
    now_ms,
    sender::{Sender, Stopped},
};
use crate::{
    answer::{self, push_field, push_number_field, write_connection},
    connection::{Close, Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    prepare::PreparedRoute,
    worker::{Worker, WorkerPlan},
};

/// What came of waiting.
pub enum Followed {
    /// The client was answered.
    Done(Next),
    /// It looks again.
    Again,
    /// It asks the origin for itself.
    Alone(Reason),
}

/// Waits for the answer that `reader` reads, and sends it.
#[allow(clippy::too_many_arguments)] // both ends, and what lies between them
pub async fn follow(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    cache: &PreparedCache,
    shared: &Shared,
    cached: &mut Cached,
    reader: Reader<Failure>,
) -> Followed {
    connection.deadline.set(cache.rules.coalesce_ms);
    let begun = poll_fn(|cx| match reader.poll_begun(cx) {
        Poll::Ready(begun) => Poll::Ready(Ok(begun)),
        Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Err(Reason::WaitOver)),
        Poll::Pending if connection.stream.poll_broken(cx) => Poll::Ready(Err(Reason::Incomplete)),
        Poll::Pending => Poll::Pending,
    })
    .await;
    worker.look_at_clock();
    let given = |object, outcome| Given {
        object,
        outcome,
        reason: None,
        forwarded: None,
        debug: cached.debug,
        facts: cached.facts.clone(),
    };
    match begun {
        Err(Reason::WaitOver) => Followed::Alone(Reason::WaitOver),
        Err(_) => {
            exchange.failed(Failure::client(Cause::ClientGone));
            Followed::Done(Next::Close(Close::Broken))
        }
        Ok(Begun::Ended(End::Kept(object))) => {
            let given = given(object, Outcome::Joined);
            Followed::Done(give(worker, plan, connection, exchange, route, given).await)
        }
        Ok(Begun::Ended(End::Failed(failure))) => {
            let kept = cached.kept.take().filter(|(object, _)| object.freshness().if_error(now_ms(worker)));
            if let Some((object, _)) = kept {
                let given = given(object, Outcome::StaleError);
                return Followed::Done(give(worker, plan, connection, exchange, route, given).await);
            }
            Followed::Done(answer::fail(worker, plan, connection, exchange, Some(route), failure).await)
        }
        // Whoever fetched is gone: one of those who waited takes its place.
        Ok(Begun::Ended(End::Whole | End::Released(Reason::Incomplete))) => Followed::Again,
        Ok(Begun::Ended(End::Released(reason))) => Followed::Alone(reason),
        Ok(Begun::Answer(draft, length)) => {
            if !selects(worker, exchange, cache, shared, cached, &draft) {
                // It is another variant than this request's.
                return Followed::Again;
            }
            count(worker, route.slot, Outcome::Joined, None);
            let ttl = Some(draft.freshness.left(now_ms(worker)));
            let told =
                status::Told { outcome: Outcome::Joined, reason: None, ttl, forwarded: None, stored: false };
            push_status(&mut exchange.fields, &told, cached.debug.then_some(&cached.text[..]));
            let begun = begin(worker, plan, connection, exchange, route, &draft, length, reader, cached);
            Followed::Done(send(plan, connection, exchange, begun).await)
        }
    }
}

/// Whether what is being fetched is what the request would get, now that it is known what that varies with.
fn selects(
    worker: &Worker,
    exchange: &Exchange,
    cache: &PreparedCache,
    shared: &Shared,
    cached: &Cached,
    draft: &Draft,
) -> bool {
    if *draft.key == *cached.text {
        return true;
    }
    let mut room = worker.small.borrow_mut();
    let vary = &cache.rules.vary;
    let now = now_ms(worker);
    match shared.store.find(&cached.text, cached.hash, &exchange.head, vary, now, &mut room) {
        Found::Miss { slot, .. } | Found::Object { slot, .. } => slot == key::hash(&draft.key),
        Found::Pass(_) => false,
    }
}

/// A client's side of a fill whose head stands in `exchange.to_client`.
pub struct Sending {
    /// `None`: the head is all that is sent.
    pub sender: Option<Sender>,
    /// What becomes of the connection.
    pub next: Next,
}

/// Writes the head of what is being fetched, as the client's conditions and ranges want it.
#[allow(clippy::too_many_arguments)] // what a head depends on
pub fn begin(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    draft: &Arc<Draft>,
    length: Option<u64>,
    reader: Reader<Failure>,
    cached: &Cached,
) -> Sending {
    let read = exchange.skip_body();
    let mut next = if read { exchange.after(worker, plan, connection) } else { Next::Close(Close::Unread) };
    let part = draft.part;
    let total = part.map_or(length, |part| Some(part.total));
    let view = View {
        status: draft.status,
        fields: tidegate_cache::fields::Kept(&draft.fields),
        total,
        response_ms: draft.freshness.response_ms,
    };
    let shown = match (part, length) {
        // A part is what the client asked for, as it came.
        (Some(part), Some(length)) => Shown::Part(part.start..part.start + length),
        _ => match present::show(&view, &exchange.head, &cached.facts) {
            // Several parts would have to be waited for.
            Shown::Parts(_) => Shown::Whole,
            shown => shown,
        },
    };
    let old_client = exchange.head.version == Version::Http10;
    let bodiless = exchange.head.method == Method::Head
        || matches!(shown, Shown::NotModified | Shown::Unsatisfiable)
        || view.status == 204;
    let unknown = length.is_none() && !bodiless && shown == Shown::Whole;
    if unknown && old_client {
        next = Next::Close(Close::Delimited);
    }
    let mut out = std::mem::take(&mut exchange.to_client);
    write_head(worker, plan, route, exchange, &view, &shown, &draft.freshness, &mut out);
    let mut range = None;
    match &shown {
        Shown::Part(wanted) => {
            let mut value = Vec::new();
            tidegate_cache::range::write_content_range(wanted, total.unwrap_or(wanted.end), &mut value);
            push_field(&mut out, b"Content-Range", &value);
            push_number_field(&mut out, b"Content-Length", wanted.end - wanted.start);
            range = part.is_none().then(|| wanted.clone());
        }
        Shown::Unsatisfiable => {
            let value = format!("bytes */{}", total.unwrap_or(0));
            push_field(&mut out, b"Content-Range", value.as_bytes());
            push_number_field(&mut out, b"Content-Length", 0);
        }
        Shown::NotModified => {}
        _ => match length {
            Some(length) if view.status != 204 => push_number_field(&mut out, b"Content-Length", length),
            None if !old_client => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            _ => {}
        },
    }
    write_connection(&mut out, exchange, next);
    out.extend_from_slice(b"\r\n");
    exchange.to_client = out;
    exchange.status = shown.status(view.status);
    let sender = (!bodiless).then(|| Sender::new(reader, unknown && !old_client, range));
    Sending { sender, next }
}

/// Sends what is being fetched by somebody else.
async fn send(
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    sending: Sending,
) -> Next {
    let Sending { sender, next } = sending;
    let Some(mut sender) = sender else {
        return answer::deliver(plan, connection, exchange, next).await;
    };
    let send_timeout = plan.shared.plan.server.send_timeout_ms;
    connection.deadline.set(send_timeout);
    let sent = poll_fn(|cx| {
        let Connection { stream, deadline, .. } = &mut *connection;
        match sender.poll(cx, stream, &mut exchange.to_client, || deadline.set(send_timeout)) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(|stopped| match stopped {
                Stopped::Client => Failure::client(Cause::ClientGone),
                Stopped::Fetch(failure) => failure,
                Stopped::Left => Failure::upstream(Cause::UpstreamCut),
            })),
            // Whoever fetches has deadlines of its own for the origin.
            Poll::Pending if sender.is_blocked(&exchange.to_client) && deadline.poll_passed(cx) => {
                Poll::Ready(Err(Failure::client(Cause::SendTimeout)))
            }
            Poll::Pending if stream.poll_broken(cx) => Poll::Ready(Err(Failure::client(Cause::ClientGone))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    exchange.bytes_sent = sender.bytes;
    match sent {
        Ok(()) => next,
        Err(failure) => {
            exchange.failed(failure);
            exchange.to_client.clear();
            Next::Close(Close::Failed)
        }
    }
}
