//! Tokens: where they are looked for, what they say, and what is answered to those that let nobody in.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use tidegate_auth::{
    Hashed, Until,
    jwt::{Algorithm, Claims, TokenError, TokenRules},
};
use tidegate_plan::{self as plan, KeySource};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Tried, USER_MOST, credential};
use crate::{
    answer::push_field,
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    hooks::Call,
    key_sets::{Ask, KeyCell, KeySets},
    prepare::PlanRejected,
    worker::{Worker, WorkerPlan},
};

/// Tokens that a worker remembers: those of so many clients cost no signature with each request. A token with its
/// claims takes a few hundred bytes to a few KiB.
pub const REMEMBERED: usize = 4096;

/// Longer tokens are checked every time, so that what is remembered is bounded in bytes as well.
const REMEMBERED_BYTES: usize = 4096;

/// Tokens as a route asks for them.
#[derive(Debug)]
pub struct Jwt {
    config: plan::Jwt,
    rules: TokenRules,
    keys: Arc<KeyCell>,
    /// Tells these rules from others.
    identity: u64,
}

/// A token that was let in.
#[derive(Debug, Clone)]
pub struct Known {
    claims: Rc<Claims>,
    until: u64,
}

impl Until for Known {
    fn until(&self) -> u64 {
        self.until
    }
}

impl Jwt {
    /// Made ready; `path` is where the plan has it.
    pub fn new(config: &plan::Jwt, key_sets: &KeySets, path: &str) -> Result<Self, PlanRejected> {
        let rejected = |part: &str, why: String| PlanRejected { path: format!("{path}.{part}"), why };
        let algorithms = config.algorithms.iter().map(|name| {
            Algorithm::parse(name).ok_or_else(|| rejected("algorithms", format!("{name:?} is not known")))
        });
        let rules = TokenRules {
            algorithms: algorithms.collect::<Result<_, _>>()?,
            issuers: config.issuers.clone(),
            audiences: config.audiences.clone(),
            required: config.required.clone(),
            scopes: config.scopes.clone(),
            leeway_s: config.leeway_s,
            max_age_s: config.max_age_s,
        };
        let keys = key_sets.get(&config.key_set.name);
        let keys = keys.ok_or_else(|| rejected("key_set", "is not there".into()))?.clone();
        let identity = xxh3_64(format!("{rules:?}").as_bytes());
        Ok(Self { config: config.clone(), rules, keys, identity })
    }

    /// As the plan has it.
    pub fn plan(&self) -> &plan::Jwt {
        &self.config
    }

    /// Checks the token, if there is one.
    pub fn check(&self, worker: &Worker, exchange: &mut Exchange) -> Tried {
        let Exchange { head, problem: room, .. } = &mut *exchange;
        let found = self.config.sources.iter().find(|source| {
            // The borrow of one turn must not outlive it: what is found is looked up once more below.
            credential(source, head, room).is_some()
        });
        let Some(token) = found.and_then(|source| credential(source, head, room)) else {
            return Tried::Absent;
        };
        let now = worker.unix_seconds();
        let hashed = (token.len() <= REMEMBERED_BYTES).then(|| Hashed::new(token));
        let known = hashed.and_then(|hashed| {
            worker.judged.tokens.borrow_mut().find(hashed, self.judge(self.keys.state()), now)
        });
        let known = match known {
            Some(known) => known,
            None => {
                let Some((keys, state)) = self.keys.current() else { return self.unknown() };
                match self.rules.verify(&keys, token, now) {
                    Ok(token) => {
                        let known = Known { claims: Rc::new(token.claims), until: token.until };
                        if let Some(hashed) = hashed {
                            worker.judged.tokens.borrow_mut().remember(
                                hashed,
                                self.judge(state),
                                known.clone(),
                            );
                        }
                        known
                    }
                    Err(TokenError::UnknownKey) => return self.unknown(),
                    Err(error) => return Tried::No(Failure::client(Cause::Token(error))),
                }
            }
        };
        enter(known.claims, &self.config.user, &self.config.headers, exchange)
    }

    fn judge(&self, keys: u64) -> u64 {
        xxh3_64_with_seed(&keys.to_le_bytes(), self.identity)
    }

    /// The key is not among those that are known. Where keys are fetched there may be new ones.
    fn unknown(&self) -> Tried {
        match self.config.key_set.fetch {
            Some(_) => Tried::Ask,
            None => Tried::No(Failure::client(Cause::Token(TokenError::UnknownKey))),
        }
    }

    /// Asks for new keys, or waits for somebody who does, and checks again.
    pub async fn fetch(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        connection: &Connection,
        exchange: &mut Exchange,
    ) -> Tried {
        let Some(fetch) = &self.config.key_set.fetch else { return self.unknown() };
        match self.keys.may_ask(worker.now()) {
            Ask::Now => {
                // Whatever becomes of this exchange, others may ask after it.
                let first = self.keys.state() == 0;
                let _asked = Asked { worker, keys: &self.keys, interval_ms: fetch.interval_ms, first };
                if let Err(cause) = self.ask(worker, plan, connection, fetch).await {
                    let side = if cause == Cause::ClientGone { Failure::client } else { Failure::gateway };
                    return Tried::No(side(cause));
                }
            }
            Ask::Wait => {
                if let Err(cause) = self.wait(plan, connection, fetch).await {
                    let side = if cause == Cause::ClientGone { Failure::client } else { Failure::gateway };
                    return Tried::No(side(cause));
                }
            }
            Ask::Later => {}
        }
        worker.look_at_clock();
        match self.check(worker, exchange) {
            // What can't be known is not the client's fault.
            Tried::Ask if self.keys.state() == 0 || self.keys.is_failing() => {
                Tried::No(Failure::gateway(Cause::KeysUnavailable))
            }
            Tried::Ask => Tried::No(Failure::client(Cause::Token(TokenError::UnknownKey))),
            tried => tried,
        }
    }

    async fn ask(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        connection: &Connection,
        fetch: &plan::KeyFetch,
    ) -> Result<(), Cause> {
        let hook = &plan.shared.plan.hooks[fetch.hook as usize];
        let call = Call {
            hook: fetch.hook,
            hook_name: hook.name.clone(),
            generation: plan.shared.generation,
            about: self.keys.name.clone(),
            ..Call::default()
        };
        let mut waiting = worker.shared.hooks.call(call).map_err(|_| Cause::HooksFull)?;
        connection.deadline.set(hook.timeout_ms);
        let mut outcome = pin!(&mut waiting.outcome);
        poll_fn(|cx| match outcome.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Err(Cause::KeysUnavailable)),
            Poll::Pending if connection.stream.poll_broken(cx) => Poll::Ready(Err(Cause::ClientGone)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    async fn wait(
        &self,
        plan: &WorkerPlan,
        connection: &Connection,
        fetch: &plan::KeyFetch,
    ) -> Result<(), Cause> {
        let mut answered = pin!(self.keys.answered.notified());
        // From here on an answer is not missed; one that came just before is seen by the next look.
        answered.as_mut().enable();
        if !self.keys.is_asking() {
            return Ok(());
        }
        connection.deadline.set(plan.shared.plan.hooks[fetch.hook as usize].timeout_ms);
        poll_fn(|cx| match answered.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if connection.deadline.poll_passed(cx) => Poll::Ready(Err(Cause::KeysUnavailable)),
            Poll::Pending if connection.stream.poll_broken(cx) => Poll::Ready(Err(Cause::ClientGone)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// RFC 6750 §3: who brought no token is not told of an error.
    pub fn challenge(&self, failure: Option<Failure>, fields: &mut Vec<u8>) {
        let mut value = format!("Bearer realm=\"{}\"", self.config.realm);
        match failure.map(|failure| failure.cause) {
            Some(Cause::Token(TokenError::Scope)) => {
                let scopes = self.config.scopes.join(" ");
                value.push_str(&format!(", error=\"insufficient_scope\", scope=\"{scopes}\""));
            }
            Some(Cause::Token(error)) => {
                let detail = error.detail();
                value.push_str(&format!(", error=\"invalid_token\", error_description=\"{detail}\""));
            }
            _ => {}
        }
        push_field(fields, b"WWW-Authenticate", value.as_bytes());
    }

    /// Whether the field is one that the upstream learns a claim from.
    pub fn tells(&self, name: &[u8]) -> bool {
        self.config.headers.iter().any(|header| name.eq_ignore_ascii_case(header.name.as_bytes()))
    }

    /// Where a token is looked for.
    pub fn sources(&self) -> &[KeySource] {
        &self.config.sources
    }
}

/// Between two times of asking while there are no keys at all.
const NO_KEYS_MS: u32 = 1000;

/// Gives the right to ask back, also where the exchange ends in the middle.
struct Asked<'a> {
    worker: &'a Worker,
    keys: &'a KeyCell,
    interval_ms: u32,
    /// There were no keys at all. Nobody can make us ask for those, so it does not count as asking for others.
    first: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let interval_ms = match (self.first, self.keys.state()) {
            (true, 0) => self.interval_ms.min(NO_KEYS_MS),
            (true, _) => 0,
            (false, _) => self.interval_ms,
        };
        let now = self.worker.shared.now();
        self.keys.asked(now.saturating_add(u64::from(interval_ms) * 1_000_000));
    }
}

/// Notes who came, and what the upstream is told of them.
pub fn enter(
    claims: Rc<Claims>,
    user: &str,
    headers: &[plan::ClaimHeader],
    exchange: &mut Exchange,
) -> Tried {
    if let Some(user) = claims.text(user) {
        exchange.user.extend(user.chars().filter(|char| !char.is_control()).take(USER_MOST));
    }
    for header in headers {
        if let Some(text) = claims.text(&header.claim) {
            push_clean(&mut exchange.identity, &header.name, text.as_bytes());
        }
    }
    exchange.claims = Some(claims);
    Tried::In
}

/// One line with a value that somebody else chose: controls never leave (RFC 9110 §5.5).
pub fn push_clean(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().filter(|byte| **byte >= b' ' && **byte != 0x7f));
    out.extend_from_slice(b"\r\n");
}
