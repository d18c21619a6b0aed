//! One small question to an upstream, whose answer is held whole: a sub-request on behalf of an exchange.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use tidegate_http1::{parse_response, response_facts};
use tidegate_message::{Method, ResponseHead};
use tidegate_upstream::{Outcome, Tried};

use crate::{
    body::{Body, poll_flush},
    connection::Connection,
    failure::{Cause, Failure},
    upstream::{Link, Upstream, Wait},
    worker::{Worker, WorkerPlan},
};

/// Endpoints that are asked before it is given up.
const ENDPOINTS_MOST: usize = 2;

/// A question.
pub struct Ask<'a> {
    /// Whom.
    pub upstream: &'a Upstream,
    /// Head and body, for an endpoint of that authority. It may be sent twice.
    pub request: &'a dyn Fn(&str, &mut Vec<u8>),
    /// For a connection.
    pub connect_ms: u32,
    /// For all of it, the connection included.
    pub total_ms: u32,
    /// Bytes of an answer's body that are held; a longer one is a failure.
    pub most: usize,
}

/// An answer.
#[derive(Debug, Default)]
pub struct Reply {
    /// Its head.
    pub head: ResponseHead,
    /// Its content.
    pub body: Vec<u8>,
}

/// Asks, and waits for the whole answer. The client's connection is watched, and nothing is read of it.
pub async fn ask(
    worker: &Worker,
    plan: &WorkerPlan,
    question: &Ask<'_>,
    connection: &Connection,
) -> Result<Reply, Failure> {
    let due = worker.now().saturating_add(u64::from(question.total_ms) * 1_000_000);
    let mut tried = Tried::default();
    let mut failure = Failure::upstream(Cause::NoEndpoint);
    let mut endpoints = 0;
    let mut fresh = false;
    while endpoints < ENDPOINTS_MOST {
        let before = tried;
        match once(worker, plan, question, connection, due, &mut tried, fresh).await {
            Ok(reply) => return Ok(reply),
            Err(Lost { failure: lost, stale, again }) => {
                failure = lost;
                if stale && !fresh {
                    // A kept connection that had ended says nothing of its endpoint.
                    fresh = true;
                    tried = before;
                    continue;
                }
                endpoints += 1;
                fresh = false;
                if !again || !question.upstream.has_untried(&tried) {
                    break;
                }
            }
        }
    }
    Err(failure)
}

/// Why an attempt gave no answer.
struct Lost {
    failure: Failure,
    /// It went over a connection that had been used before, and had ended meanwhile.
    stale: bool,
    /// Another endpoint may do better.
    again: bool,
}

async fn once(
    worker: &Worker,
    plan: &WorkerPlan,
    question: &Ask<'_>,
    connection: &Connection,
    due: u64,
    tried: &mut Tried,
    fresh: bool,
) -> Result<Reply, Lost> {
    let left = || (due.saturating_sub(worker.now()) / 1_000_000).clamp(1, u64::from(u32::MAX)) as u32;
    let nobody = Lost { failure: Failure::upstream(Cause::NoEndpoint), stale: false, again: false };
    let mut attempt = question.upstream.attempt(worker.now(), None, tried).ok_or(nobody)?;
    let wait = Wait { deadline: &connection.deadline, client: Some(&connection.stream) };
    let bounded = |milliseconds: u32| milliseconds.min(left());
    let mut link =
        attempt.connect(worker, wait, question.connect_ms, bounded, fresh, &[]).await.map_err(|failure| {
            let gone = failure.cause == Cause::ClientGone;
            let outcome = if gone { Outcome::Cancelled } else { Outcome::Failed };
            attempt.finish(worker, outcome, None, failure.cause.as_str());
            Lost { failure, stale: false, again: !gone }
        })?;
    let reused = link.reused;
    let sent_at = worker.now();
    let mut out = Vec::with_capacity(1024);
    (question.request)(&attempt.endpoint.authority, &mut out);
    connection.deadline.set(left());
    let mut any = false;
    match exchange(worker, plan, question, connection, &mut link, &mut out, &mut any).await {
        Ok((reply, keeps)) => {
            let latency = worker.now().saturating_sub(sent_at);
            let good = !question.upstream.counts_as_failure(reply.head.status);
            attempt.finish(worker, if good { Outcome::Ok } else { Outcome::Failed }, Some(latency), "status");
            if keeps {
                question.upstream.check_in(link, &attempt.endpoint, worker.now());
            }
            Ok(reply)
        }
        Err(failure) => {
            let reset = failure.cause == Cause::UpstreamReset;
            let stale = reused && reset && !any;
            let blamed = !stale && failure.cause != Cause::ClientGone;
            let outcome = if blamed { Outcome::Failed } else { Outcome::Cancelled };
            attempt.finish(worker, outcome, None, failure.cause.as_str());
            Err(Lost { failure, stale, again: reset && !any })
        }
    }
}

/// Sends the question and reads the answer; whether the connection may be used again. `any`: something came.
async fn exchange(
    worker: &Worker,
    plan: &WorkerPlan,
    question: &Ask<'_>,
    connection: &Connection,
    link: &mut Link,
    out: &mut Vec<u8>,
    any: &mut bool,
) -> Result<(Reply, bool), Failure> {
    let mut reply = Reply::default();
    let mut input = Vec::new();
    loop {
        let read = read(worker, connection, link, out, &mut input).await?;
        if read == 0 {
            return Err(Failure::upstream(Cause::UpstreamReset));
        }
        *any = true;
        if take_head(plan, &mut input, &mut reply.head)? {
            break;
        }
    }
    let facts =
        response_facts(&reply.head, Method::Get).map_err(|bad| Failure::upstream(Cause::BadResponse(bad)))?;
    if reply.head.status == 101 {
        return Err(Failure::upstream(Cause::UnexpectedUpgrade));
    }
    let mut body = Body::new(facts.body, false);
    let cut = |_| Failure::upstream(Cause::UpstreamCut);
    loop {
        while !body.is_received() && !input.is_empty() {
            let (content, used) = body.decode(&mut input).map_err(cut)?;
            reply.body.extend_from_slice(&input[content]);
            input.drain(..used);
            if used == 0 {
                break;
            }
        }
        if reply.body.len() > question.most {
            return Err(Failure::upstream(Cause::AnswerTooLarge));
        }
        if body.is_received() {
            return Ok((reply, facts.keep_alive && input.is_empty() && out.is_empty()));
        }
        if read(worker, connection, link, out, &mut input).await? == 0 {
            body.end_of_input().map_err(cut)?;
            return Ok((reply, false));
        }
    }
}

/// Takes the final head out of what has come; informational ones are passed over.
fn take_head(plan: &WorkerPlan, input: &mut Vec<u8>, head: &mut ResponseHead) -> Result<bool, Failure> {
    loop {
        let parsed = parse_response(input, &plan.shared.response_limits, head);
        let Some(length) = parsed.map_err(|bad| Failure::upstream(Cause::BadResponse(bad)))? else {
            return Ok(false);
        };
        input.drain(..length);
        if !(100..200).contains(&head.status) || head.status == 101 {
            return Ok(true);
        }
        if input.is_empty() {
            return Ok(false);
        }
    }
}

async fn read(
    worker: &Worker,
    connection: &Connection,
    link: &mut Link,
    out: &mut Vec<u8>,
    input: &mut Vec<u8>,
) -> Result<usize, Failure> {
    let read = poll_fn(|cx: &mut Context<'_>| {
        let mut scratch = worker.scratch.borrow_mut();
        if !out.is_empty()
            && let Poll::Ready(Err(_)) = poll_flush(cx, &mut link.stream, out)
        {
            // It may have said why before it stopped to read.
            out.clear();
        }
        match link.stream.poll_read(cx, &mut scratch) {
            Poll::Ready(Ok(read)) => {
                input.extend_from_slice(&scratch[..read]);
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Ok(0)),
            Poll::Pending if connection.deadline.poll_passed(cx) => {
                Poll::Ready(Err(Failure::upstream(Cause::UpstreamTimeout)))
            }
            Poll::Pending if connection.stream.poll_broken(cx) => {
                Poll::Ready(Err(Failure::client(Cause::ClientGone)))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    worker.look_at_clock();
    read
}
