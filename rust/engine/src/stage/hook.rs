//! Python's word: one call through the queue, one ruling back, within the hook's time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tidegate_http1::RequestFacts;
use tidegate_limit::Pace;
use tidegate_plan::OnFailure;

use crate::{
    answer::{self, Answer, push_field},
    body::{BodyFault, poll_flush},
    connection::{Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    hooks::{Call, Outcome, Verdict},
    prepare::PreparedRoute,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// What Python says of a call that was not answered in time.
const LATE: &str = "late";

/// What follows from a hook's verdict.
pub enum Ruling {
    /// The request goes on; changes of its fields are noted in the exchange.
    Pass,
    /// It goes on to this upstream.
    Upstream(u32),
    /// It is answered.
    Answer(Box<Verdict>),
}

/// Asks the route's hook.
pub async fn ask(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    connection: &mut Connection,
    exchange: &mut Exchange,
    facts: &RequestFacts,
    index: u32,
) -> Result<Ruling, Failure> {
    let hook = &plan.shared.plan.hooks[index as usize];
    let slot = plan.shared.hook_slots[index as usize];
    if hook.body {
        read_body(worker, plan, connection, exchange, facts, hook.body_bytes as usize).await?;
    }
    let started = worker.now();
    let outcome = call(worker, plan, route, connection, exchange, index, String::new()).await;
    let failed = |cause: Cause| match hook.on_failure {
        OnFailure::Allow => Ok(Ruling::Pass),
        OnFailure::Refuse => Err(Failure::gateway(cause)),
    };
    let verdict = match outcome {
        Ok(Outcome::Pass) => Ok(None),
        Ok(Outcome::Verdict(verdict)) => Ok(Some(verdict)),
        // Python keeps the time as well, and may see first that it is over.
        Ok(Outcome::Failed(why)) if why == LATE => Err(Cause::HookTimeout),
        Ok(Outcome::Failed(_)) => Err(Cause::HookFailed),
        Err(cause) => Err(cause),
    };
    worker.metrics.hook_call(slot, verdict.is_ok(), worker.look_at_clock().saturating_sub(started));
    match verdict {
        Ok(None) => Ok(Ruling::Pass),
        Ok(Some(verdict)) => rule(plan, exchange, verdict),
        Err(Cause::ClientGone) => Err(Failure::client(Cause::ClientGone)),
        Err(cause) => failed(cause),
    }
}

/// Turns a verdict into what follows from it.
fn rule(plan: &WorkerPlan, exchange: &mut Exchange, verdict: Box<Verdict>) -> Result<Ruling, Failure> {
    if verdict.status.is_some() {
        return Ok(Ruling::Answer(verdict));
    }
    for (name, value) in &verdict.set_headers {
        push_checked(&mut exchange.hook_set, name, value);
    }
    let Verdict { set_headers, remove_headers, upstream, .. } = *verdict;
    exchange.hook_remove = remove_headers;
    exchange.hook_remove.extend(set_headers.into_iter().map(|(name, _)| name));
    match upstream {
        None => Ok(Ruling::Pass),
        Some(name) => match plan.upstream_named(&name) {
            Some(index) => Ok(Ruling::Upstream(index)),
            None => Err(Failure::gateway(Cause::HookUpstream)),
        },
    }
}

/// A field that Python made: nothing that could end its line leaves in it, and nothing that frames a message.
pub fn push_checked(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let known = tidegate_message::Known::parse(name.as_bytes());
    let framing = tidegate_message::hop_by_hop(known) || known == tidegate_message::Known::Host;
    if name.is_empty() || !name.bytes().all(token) || framing {
        return;
    }
    let start = out.len();
    push_field(out, name.as_bytes(), value);
    let end = out.len() - 2;
    for byte in &mut out[start..end] {
        if (*byte < b' ' && *byte != b'\t') || *byte == 0x7f {
            *byte = b' ';
        }
    }
}

/// Asks a hook about a request. `about`: what the engine itself asks; empty for a route's own hook.
pub async fn call(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    connection: &Connection,
    exchange: &Exchange,
    index: u32,
    about: String,
) -> Result<Outcome, Cause> {
    let hook = &plan.shared.plan.hooks[index as usize];
    let head = &exchange.head;
    let variables = Variables { worker, plan, exchange };
    let call = Call {
        id: 0,
        hook: index,
        hook_name: hook.name.clone(),
        generation: plan.shared.generation,
        method: head.slice(head.method_name).to_vec(),
        target: head.slice(head.target).to_vec(),
        path: exchange.path().to_vec(),
        query: head.slice(head.query).to_vec(),
        host: exchange.host.clone(),
        scheme: std::str::from_utf8(variables.scheme()).unwrap_or("http"),
        tls: exchange.tls.clone(),
        client_ip: exchange.client_text.clone(),
        request_id: exchange.request_id().to_owned(),
        route: route.plan.name.clone(),
        listener: plan.shared.plan.listeners[exchange.listener as usize].name.clone(),
        user: exchange.user.clone(),
        about,
        headers: (head.fields.iter())
            .map(|field| (head.slice(field.name).to_vec(), head.slice(field.value).to_vec()))
            .collect(),
        body: hook.body.then(|| exchange.replay.content.clone()),
    };
    let mut waiting = worker.shared.hooks.call(call).map_err(|_| Cause::HooksFull)?;
    connection.deadline.set(hook.timeout_ms);
    let mut outcome = pin!(&mut waiting.outcome);
    poll_fn(|cx| match outcome.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|_| Cause::HookFailed)),
        Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Err(Cause::HookTimeout)),
        Poll::Pending if connection.stream.poll_broken(cx) => Poll::Ready(Err(Cause::ClientGone)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Reads the whole body into the replay buffer, from which it is forwarded afterwards.
pub async fn read_body(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    facts: &RequestFacts,
    most: usize,
) -> Result<(), Failure> {
    if exchange.body.limit(most as u64).is_err() {
        return Err(Failure::client(Cause::BodyTooLarge));
    }
    exchange.replay.most = most;
    let timeout = plan.shared.plan.server.body_timeout_ms;
    connection.deadline.set(timeout);
    if facts.expect_continue && !exchange.body.is_received() && exchange.input.is_empty() {
        exchange.to_client.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let fault = |fault: BodyFault| {
        Failure::client(match fault {
            BodyFault::TooLarge => Cause::BodyTooLarge,
            BodyFault::Chunk(fault) => Cause::BadChunk(fault.as_str()),
            _ => Cause::ClientGone,
        })
    };
    let mut pace = Pace::default();
    loop {
        let Exchange { body, input, replay, to_client, .. } = &mut *exchange;
        let before = body.bytes;
        while !body.is_received() && !input.is_empty() {
            let (content, used) = body.decode(input).map_err(fault)?;
            replay.note(&input[content]);
            input.drain(..used);
        }
        if body.is_received() {
            return Ok(());
        }
        if pace.note(worker.look_at_clock(), body.bytes - before, true, plan.shared.least_body_rate) {
            return Err(Failure::client(Cause::BodyTooSlow));
        }
        poll_fn(|cx| {
            if let Poll::Ready(Err(_)) = poll_flush(cx, &mut connection.stream, to_client) {
                return Poll::Ready(Err(Failure::client(Cause::ClientGone)));
            }
            let mut scratch = worker.scratch.borrow_mut();
            match connection.stream.poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Failure::client(Cause::ClientGone))),
                Poll::Ready(Ok(read)) => {
                    input.extend_from_slice(&scratch[..read]);
                    connection.deadline.set(timeout);
                    Poll::Ready(Ok(()))
                }
                Poll::Pending if connection.deadline.poll_passed(cx) => {
                    Poll::Ready(Err(Failure::client(Cause::BodyTimeout)))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
    }
}

/// Sends the answer that a hook made.
pub async fn answer(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    verdict: &Verdict,
) -> Next {
    if verdict.status.is_some_and(|status| status >= 400) {
        exchange.failed(Failure::client(Cause::HookRefused));
    }
    exchange.hook_reason.push_str(verdict.reason.as_deref().unwrap_or_default());
    let mut fields = std::mem::take(&mut exchange.fields);
    for (name, value) in &verdict.response_headers {
        push_checked(&mut fields, name, value);
    }
    let answer = Answer {
        status: verdict.status.unwrap_or(500).clamp(200, 599),
        content_type: b"",
        fields: &fields,
        body: &verdict.body,
    };
    let next = answer::send(worker, plan, connection, exchange, Some(route), answer).await;
    exchange.fields = fields;
    next
}
