//! Somebody else decides: each request is asked about at an upstream, as nginx's `auth_request` does.

use std::rc::Rc;

use tidegate_auth::{Hashed, Until};
use tidegate_message::{Known, hop_by_hop};
use tidegate_plan as plan;
use xxhash_rust::xxh3::xxh3_64;

use super::{Tried, jwt::push_clean};
use crate::{
    answer::push_field,
    ask::{self, Ask, Reply},
    compose,
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    passwords,
    stage::{limit::key_bytes, respond::Made},
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// Answers that a worker remembers, where a route has any remembered.
pub const REMEMBERED: usize = 4096;

/// Bytes of a refusal's body that the client is given.
const BODY_MOST: usize = 64 * 1024;

/// Fields of a refusal that the client is given.
const TOLD: [&[u8]; 5] = [b"www-authenticate", b"location", b"set-cookie", b"cache-control", b"retry-after"];

/// Whom a route asks, and what is told either way.
#[derive(Debug)]
pub struct Forward {
    config: plan::AuthForward,
    /// Tells these rules from others.
    identity: u64,
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub struct Passed {
    identity: Rc<[u8]>,
    user: Rc<str>,
    until: u64,
}

impl Until for Passed {
    fn until(&self) -> u64 {
        self.until
    }
}

impl Forward {
    /// Made ready.
    pub fn new(config: &plan::AuthForward) -> Self {
        Self { identity: xxh3_64(format!("{config:?}").as_bytes()), config: config.clone() }
    }

    /// Lets in what was let in a moment ago; else somebody must be asked.
    pub fn check(&self, worker: &Worker, plan: &WorkerPlan, exchange: &mut Exchange) -> Tried {
        let known = self.hashed(worker, plan, exchange).and_then(|hashed| {
            worker.judged.passed.borrow_mut().find(hashed, self.identity, worker.unix_seconds())
        });
        match known {
            Some(passed) => enter(&passed, exchange),
            None => Tried::Ask,
        }
    }

    /// Asks.
    pub async fn ask(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        connection: &Connection,
        exchange: &mut Exchange,
    ) -> Tried {
        let config = &self.config;
        let request =
            |authority: &str, out: &mut Vec<u8>| self.request(worker, plan, exchange, authority, out);
        let question = Ask {
            upstream: &plan.upstreams[config.upstream as usize],
            request: &request,
            connect_ms: config.connect_ms,
            total_ms: config.timeout_ms,
            most: BODY_MOST,
        };
        let reply = match ask::ask(worker, plan, &question, connection).await {
            Ok(reply) => reply,
            Err(failure) if failure.cause == Cause::ClientGone => return Tried::No(failure),
            Err(failure) => return Tried::No(Failure::upstream(named(failure.cause))),
        };
        match reply.head.status {
            200..=299 => {
                let passed = self.passed(worker, &reply);
                self.remember(worker, plan, exchange, &passed);
                for name in &config.client_headers {
                    copy(&reply, name.as_bytes(), name, &mut exchange.fields);
                }
                enter(&passed, exchange)
            }
            401 | 403 => Tried::Answer(refusal(reply)),
            301 | 302 | 303 | 307 | 308 if config.redirects => Tried::Answer(refusal(reply)),
            _ => Tried::No(Failure::upstream(Cause::AuthStatus)),
        }
    }

    /// Whether the field is one that the upstream hears from whoever decides.
    pub fn tells(&self, name: &[u8]) -> bool {
        self.config.response_headers.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }

    fn request(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        exchange: &Exchange,
        authority: &str,
        out: &mut Vec<u8>,
    ) {
        let head = &exchange.head;
        let variables = Variables { worker, plan, exchange };
        for part in ["GET ", &self.config.target, " HTTP/1.1\r\nHost: ", authority, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        // What users of nginx's auth_request write themselves, and what other gateways of this kind tell.
        for name in [&b"X-Original-Method"[..], b"X-Forwarded-Method"] {
            push_field(out, name, head.slice(head.method_name));
        }
        for name in [&b"X-Original-URI: "[..], b"X-Forwarded-Uri: "] {
            out.extend_from_slice(name);
            compose::own_path(exchange, out);
            if head.has_query {
                out.push(b'?');
                out.extend_from_slice(head.slice(head.query));
            }
            out.extend_from_slice(b"\r\n");
        }
        compose::x_forwarded(&variables, out);
        let id = plan.shared.plan.server.request_id.header.as_bytes();
        if !id.is_empty() {
            push_field(out, id, exchange.request_id().as_bytes());
        }
        for name in &self.config.request_headers {
            for field in &head.fields {
                if head.slice(field.name).eq_ignore_ascii_case(name.as_bytes()) {
                    push_field(out, name.as_bytes(), head.slice(field.value));
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn passed(&self, worker: &Worker, reply: &Reply) -> Passed {
        let mut identity = Vec::new();
        for name in &self.config.response_headers {
            copy(reply, name.as_bytes(), name, &mut identity);
        }
        let user = self.config.user.as_ref().and_then(|name| reply.head.field(name.as_bytes()));
        let user = String::from_utf8_lossy(user.unwrap_or_default());
        let user: String = user.chars().filter(|char| !char.is_control()).take(super::USER_MOST).collect();
        let kept_s = self.config.cache.as_ref().map_or(0, |cache| cache.ttl_s);
        Passed {
            identity: identity.into(),
            user: user.into(),
            until: worker.unix_seconds().saturating_add(u64::from(kept_s)),
        }
    }

    fn remember(&self, worker: &Worker, plan: &WorkerPlan, exchange: &Exchange, passed: &Passed) {
        if let Some(hashed) = self.hashed(worker, plan, exchange) {
            worker.judged.passed.borrow_mut().remember(hashed, self.identity, passed.clone());
        }
    }

    /// What an answer is remembered by; `None` where none is.
    fn hashed(&self, worker: &Worker, plan: &WorkerPlan, exchange: &Exchange) -> Option<Hashed> {
        let cache = self.config.cache.as_ref()?;
        let mut room = worker.small.borrow_mut();
        room.clear();
        key_bytes(plan, &cache.key, exchange, &mut room);
        passwords::hash(&room)
    }
}

fn enter(passed: &Passed, exchange: &mut Exchange) -> Tried {
    exchange.identity.extend_from_slice(&passed.identity);
    exchange.user.push_str(&passed.user);
    Tried::In
}

/// All lines of that name.
fn copy(reply: &Reply, name: &[u8], written: &str, out: &mut Vec<u8>) {
    let head = &reply.head;
    for field in &head.fields {
        if head.slice(field.name).eq_ignore_ascii_case(name) {
            push_clean(out, written, head.slice(field.value));
        }
    }
}

/// What the client is told of a refusal.
fn refusal(reply: Reply) -> Made {
    let Reply { head, body } = reply;
    let mut made = Made { status: head.status, body, ..Made::default() };
    for field in &head.fields {
        let (name, value) = (head.slice(field.name), head.slice(field.value));
        let told = TOLD.iter().any(|known| name.eq_ignore_ascii_case(known));
        if told && !hop_by_hop(field.known) {
            push_clean(&mut made.fields, &String::from_utf8_lossy(name), value);
        }
    }
    if let Some(kind) = head.known(Known::ContentType) {
        made.content_type = String::from_utf8_lossy(kind).into_owned();
    }
    made
}

/// As failures of whoever decides are called, so that nobody takes them for those of the route's own upstream.
fn named(cause: Cause) -> Cause {
    match cause {
        Cause::ConnectTimeout | Cause::UpstreamTimeout | Cause::TotalTimeout => Cause::AuthTimeout,
        Cause::UpstreamFull | Cause::QueueTimeout | Cause::NoEndpoint => Cause::AuthFull,
        Cause::BadResponse(_) | Cause::UnexpectedUpgrade | Cause::UpstreamCut | Cause::AnswerTooLarge => {
            Cause::AuthAnswer
        }
        _ => Cause::AuthUnreachable,
    }
}
