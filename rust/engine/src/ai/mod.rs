//! AI calls: the journey of a request to a language model, from the client's words to the usage record.
//!
//! ```text
//! what is asked → who → read → which model → may they → guards → cache, join → reserve → attempts → relay → settle, record
//! ```

// What a client is told is large, and is moved a few times on a path that ends the call: a box would save nothing.
#![allow(clippy::result_large_err)]

mod admit;
mod affinity;
mod attempt;
pub mod batch;
mod cache;
mod call;
mod choose;
mod compose;
mod echo;
pub mod errors;
mod flight;
mod guard;
mod hedge;
mod listing;
mod load;
pub mod prepare;
mod prompt;
pub mod record;
mod relay;
mod reuse;
mod serve;
mod state;
mod tap;
mod words;

use std::{rc::Rc, sync::atomic::Ordering::Relaxed};

use tidegate_dialect::{
    ApiError, Dialect, ErrorKind, Surface,
    embeddings::Form,
    surface::{self, Asked},
};
use tidegate_http1::{BodyLength, RequestFacts};
use tidegate_plan::{AiRoute, LogContent, RequestId};

use crate::{
    answer::{self, Answer},
    connection::{Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    prepare::PreparedRoute,
    stage::hook::read_body,
    worker::{Worker, WorkerPlan},
};
use call::{Call, Content};
use prepare::PreparedAi;
use record::Outcome;

/// The largest body that an AI route reads where the route names no bound: what the largest provider takes.
const BODY_BYTES: usize = 32 << 20;

/// The most of request bodies that is held in memory at once, all workers together: sixteen of the largest.
const BODIES_MOST: u64 = 16 * BODY_BYTES as u64;

/// Bodies up to this are not counted: connections are bounded, and so are these.
const BODY_SMALL: u64 = 64 << 10;

/// A large body that is held; counted for as long as it is.
struct HeldBody(Rc<Worker>, u64);

impl HeldBody {
    /// `None`: there is no room for it. One whose length is not told counts as the largest that is taken.
    fn take(worker: &Rc<Worker>, facts: &RequestFacts, most: usize) -> Option<Self> {
        let bytes = match facts.body {
            BodyLength::Exact(length) => length,
            BodyLength::None => 0,
            BodyLength::Chunked | BodyLength::UntilClose => most as u64,
        };
        let counted = if bytes > BODY_SMALL { bytes.min(most as u64) } else { 0 };
        let before = worker.shared.held_bodies.fetch_add(counted, Relaxed);
        let held = Self(worker.clone(), counted);
        (before + counted <= BODIES_MOST || counted == 0).then_some(held)
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        self.0.shared.held_bodies.fetch_sub(self.1, Relaxed);
    }
}

/// What all steps of a call share.
pub struct Desk<'a> {
    /// Whose thread it runs on.
    pub worker: &'a Rc<Worker>,
    /// The plan that holds for it.
    pub plan: &'a Rc<WorkerPlan>,
    /// The plan's AI part.
    pub ai: &'a PreparedAi,
    /// The route that took it.
    pub route: &'a PreparedRoute,
    /// What the route adds.
    pub on: &'a AiRoute,
}

/// Takes a request of an AI route on its journey.
pub async fn run(
    worker: &Rc<Worker>,
    plan: &Rc<WorkerPlan>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    facts: &RequestFacts,
    on: &AiRoute,
) -> Next {
    let Some(ai) = &plan.shared.ai else {
        return answer::fail(
            worker,
            plan,
            connection,
            exchange,
            Some(route),
            Failure::gateway(Cause::NoRoute),
        )
        .await;
    };
    let desk = Desk { worker, plan, ai, route, on };

    // what is asked
    let path = asked_path(exchange);
    let place = match surface::recognise(exchange.head.slice(exchange.head.method_name), &path) {
        Ok(mut place) => {
            speaks_mistral(&mut place, exchange);
            place
        }
        Err(not) => {
            if !not.allow.is_empty() {
                answer::push_field(&mut exchange.fields, b"Allow", not.allow.as_bytes());
            }
            let (kind, code, text) = match not.status {
                405 => (ErrorKind::InvalidRequest, "method_not_allowed", "This path takes other methods."),
                _ => (ErrorKind::NotFound, "unknown_path", "There is no such API here."),
            };
            let mut error = ApiError::new(not.status, kind, text);
            error.code = Some(code.into());
            return refuse(&desk, connection, exchange, not.dialect, error).await;
        }
    };
    let dialect = place.dialect;

    // who
    let key = match admit::who(ai, exchange) {
        Ok(key) => key,
        Err(failure) => {
            exchange.failed(failure);
            let error = errors::from_failure(failure, exchange.request_id());
            return refuse(&desk, connection, exchange, dialect, error).await;
        }
    };
    let rest = behind_version(&path, exchange);
    let mut call = Call::new(worker, exchange, place, rest, key);
    if let Some(body) = listing::answer(&desk, &call, || prompts_path(exchange)) {
        let answer = Answer { status: 200, content_type: b"application/json", fields: b"", body: &body };
        return answer::send(worker, plan, connection, exchange, Some(route), answer).await;
    }

    // Usage that could not be written down is not run up.
    if plan.usage.as_ref().is_some_and(|writer| writer.borrow().pressure()) {
        let mut error =
            ApiError::new(503, ErrorKind::Overloaded, "Usage records can't be written at present.");
        error.code = Some("usage_journal_full".into());
        return refuse(&desk, connection, exchange, dialect, error).await;
    }

    // read
    let most = exchange_bound(route);
    let held = HeldBody::take(worker, facts, most);
    let read = match &held {
        Some(_) => read_body(worker, plan, connection, exchange, facts, most).await,
        None => Err(Failure::gateway(Cause::BodiesFull)),
    };
    if let Err(failure) = read {
        worker.look_at_clock();
        exchange.failed(failure);
        let error = errors::from_failure(failure, exchange.request_id());
        return refuse(&desk, connection, exchange, dialect, error).await;
    }
    worker.look_at_clock();
    let body = std::mem::take(&mut exchange.replay.content);
    let next = match admit::read(&desk, exchange, &mut call, &body) {
        Err(error) => refuse(&desk, connection, exchange, call.dialect, error).await,
        Ok(rendered) => {
            let asked = rendered.as_deref().unwrap_or(&body);
            match guard::request(&desk, &mut call, asked, exchange.request_id()) {
                Err(error) => refuse(&desk, connection, exchange, call.dialect, error).await,
                Ok(edited) => {
                    let asked = edited.as_deref().unwrap_or(asked);
                    if ai.plan.log_content != LogContent::Off {
                        call.content = Some(Content::of(&mut call, asked));
                    }
                    serve::call(&desk, connection, exchange, &mut call, asked).await
                }
            }
        }
    };
    if call.facts.reason.is_empty() {
        call.facts.reason = exchange.reason;
    } else {
        exchange.reason = call.facts.reason;
    }
    if call.facts.outcome == Outcome::Error && exchange.status < 400 && exchange.status != 0 {
        call.facts.outcome = Outcome::Ok;
    }
    record::write(worker, plan, ai, &mut call, exchange);
    exchange.replay.content = body;
    next
}

/// Tells the client of an error in the words of its dialect.
pub async fn refuse(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    dialect: Dialect,
    mut error: ApiError,
) -> Next {
    error.request_id = Some(exchange.request_id().to_owned());
    if exchange.reason.is_empty() {
        exchange.reason = reason(error.kind);
    }
    let body = errors::body(dialect, &error);
    let mut fields = std::mem::take(&mut exchange.fields);
    if let Some(after) = error.retry_after_ms {
        answer::push_number_field(&mut fields, b"Retry-After", after.div_ceil(1000));
    }
    let mut status = if (400..600).contains(&error.status) { error.status } else { error.kind.status() };
    if dialect == Dialect::Anthropic && error.kind == ErrorKind::Overloaded {
        // Anthropic's own word for it, which its SDKs know.
        status = 529;
    }
    name_error(dialect, error.kind, &mut fields);
    name_request(&desk.plan.shared.plan.server.request_id, dialect, exchange.request_id(), &mut fields);
    let answer = Answer { status, content_type: b"application/json", fields: &fields, body: &body };
    let next = answer::send(desk.worker, desk.plan, connection, exchange, Some(desk.route), answer).await;
    fields.clear();
    exchange.fields = fields;
    next
}

/// The AWS SDKs read the kind of an error from a field.
pub fn name_error(dialect: Dialect, kind: ErrorKind, fields: &mut Vec<u8>) {
    if dialect == Dialect::Bedrock {
        let kind = tidegate_dialect::bedrock::error_type(kind);
        answer::push_field(fields, b"x-amzn-ErrorType", kind.as_bytes());
    }
}

/// Mistral's clients ask at OpenAI's paths, and read answers in words of their own; what they are, they say.
fn speaks_mistral(place: &mut Asked, exchange: &Exchange) {
    let agent = exchange.head.field(b"user-agent").unwrap_or_default();
    if place.dialect == Dialect::OpenAi && agent.starts_with(b"mistral-client-") {
        match (place.surface, place.embeddings) {
            (Surface::Chat, _) => place.dialect = Dialect::Mistral,
            (Surface::Embeddings, Some(Form::OpenAi)) => {
                place.dialect = Dialect::Mistral;
                place.embeddings = Some(Form::Mistral);
            }
            _ => {}
        }
    }
}

/// Tells the client the request's id, in the field where the SDKs of its dialect look for one: they show it with their errors.
pub fn name_request(told: &RequestId, dialect: Dialect, id: &str, fields: &mut Vec<u8>) {
    let id = id.as_bytes();
    if id.is_empty() {
        return;
    }
    if !(told.respond && told.header.eq_ignore_ascii_case("x-request-id")) {
        answer::push_field(fields, b"X-Request-Id", id);
    }
    match dialect {
        Dialect::Anthropic => answer::push_field(fields, b"request-id", id),
        Dialect::Bedrock => answer::push_field(fields, b"x-amzn-RequestId", id),
        _ => {}
    }
}

/// What logs call an error that has no closer name.
fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "bad_request",
        ErrorKind::Authentication => "unauthorized",
        ErrorKind::Quota => "over_budget",
        ErrorKind::Permission => "not_permitted",
        ErrorKind::NotFound => "unknown_model_or_path",
        ErrorKind::TooLarge => "body_too_large",
        ErrorKind::ContextTooLong => "context_too_long",
        ErrorKind::ContentFilter => "content_filter",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Server => "provider_error",
        ErrorKind::Unsupported => "unsupported",
    }
}

/// Where prompts are, below the route's prefix.
fn prompts_path(exchange: &Exchange) -> String {
    let path = exchange.path();
    let prefix = String::from_utf8_lossy(&path[..exchange.prefix_len.min(path.len())]);
    prefix.trim_end_matches('/').to_owned() + "/prompts"
}

/// The path as it was written, behind what the route's prefix matched. Model names in it may hold anything, encoded.
fn asked_path(exchange: &Exchange) -> String {
    let raw = exchange.head.slice(exchange.head.path);
    let raw = std::str::from_utf8(raw).unwrap_or("/");
    let normal = exchange.path();
    // The prefix is a part of the normalised path; where normalising changed nothing in it, the raw path has it too.
    let prefix = exchange.prefix_len.min(normal.len());
    let rest = match raw.as_bytes().starts_with(&normal[..prefix]) {
        true => &raw[prefix..],
        false => std::str::from_utf8(&normal[prefix..]).unwrap_or(""),
    };
    if rest.starts_with('/') { rest.to_owned() } else { ["/", rest].concat() }
}

/// The path behind the API's version, with the query but without a key in it.
fn behind_version(path: &str, exchange: &Exchange) -> String {
    let path = path.strip_prefix("/openai").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let path = ["/v1", "/v2"]
        .iter()
        .find_map(|version| path.strip_prefix(version).filter(|rest| rest.starts_with('/')))
        .unwrap_or(path);
    let mut query = Vec::new();
    tidegate_auth::without_query_parameter(exchange.head.slice(exchange.head.query), b"key", &mut query);
    match std::str::from_utf8(&query) {
        Ok("") | Err(_) => path.to_owned(),
        Ok(query) => format!("{path}?{query}"),
    }
}

/// The largest body that is read.
fn exchange_bound(route: &PreparedRoute) -> usize {
    route.plan.body_bytes.map_or(BODY_BYTES, |most| most.min(usize::MAX as u64) as usize)
}

/// The words in which the client of an AI route is told what the journey refuses; `None` for other routes.
pub fn dialect(route: &PreparedRoute, exchange: &Exchange) -> Option<Dialect> {
    let tidegate_plan::Action::Ai(_) = &route.plan.action else { return None };
    let method = exchange.head.slice(exchange.head.method_name);
    Some(
        surface::recognise(method, &asked_path(exchange))
            .map_or_else(|not| not.dialect, |place| place.dialect),
    )
}
