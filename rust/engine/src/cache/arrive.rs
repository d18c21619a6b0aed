//! What becomes of the origin's answer to what the stage let through.

use std::sync::Arc;

use tidegate_cache::{
    Draft, Object, Outcome, Reason, Times,
    decide::{self, Arrived, Asking, Came},
    fill::Lead,
    invalidate, key, status,
};
use tidegate_http1::{BodyLength, ResponseFacts};
use tidegate_message::Method;

use super::{Cached, Given, Shared, count, give::push_status, now_ms};
use crate::{
    exchange::Exchange,
    failure::{Failure, Side},
    prepare::PreparedRoute,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// What is done with it.
pub enum Arrival {
    /// It is relayed.
    Relay,
    /// What is kept is given in its place.
    Give(Given),
    /// It is relayed and kept.
    Fill(Filling, Box<Cached>),
}

/// An answer that is relayed and kept.
pub struct Filling {
    /// Who reads along.
    pub lead: Lead<Failure>,
    /// What it is, but for its content.
    pub draft: Arc<Draft>,
    /// Where it is kept.
    pub slot: u128,
    /// What it is put together with, if both are parts.
    pub kept: Option<Arc<Object>>,
    /// How long the lines that are added to the response were before.
    pub fields: usize,
}

/// Whether a 304 came that is not about what is kept: then the origin is asked again, without conditions.
pub fn is_mistaken(exchange: &mut Exchange) -> bool {
    let Exchange { cached: Some(cached), response, .. } = exchange else { return false };
    let Some((kept, _)) = &cached.kept else { return false };
    let mistaken = response.status == 304 && !tidegate_cache::conditional::confirms(response, &kept.fields());
    if mistaken {
        cached.kept = None;
        cached.validators.clear();
    }
    mistaken
}

/// Decides on the answer whose head has come.
pub fn arrived(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &mut Exchange,
    facts: &ResponseFacts,
) -> Arrival {
    let (Some(mut cached), Some(cache), Some(shared)) =
        (exchange.cached.take(), &route.cache, &plan.shared.cache)
    else {
        return Arrival::Relay;
    };
    let status = exchange.response.status;
    let fields = exchange.fields.len();
    let Some(lead) = cached.lead.take() else {
        if !exchange.head.method.is_safe() && invalidate::counts(status) {
            forget(worker, plan, route, exchange, &cached, shared);
        }
        tell(worker, route, exchange, &cached, Outcome::Pass, Some(cached.reason), false);
        return Arrival::Relay;
    };
    let length = match facts.body {
        BodyLength::None => Some(0),
        BodyLength::Exact(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    let kept = cached.kept.take();
    let now = now_ms(worker);
    let decided = {
        let asking = Asking {
            method: Method::Get,
            fields: &exchange.head,
            facts: &cached.facts,
            text: &cached.text,
            hash: cached.hash,
            rules: &cache.rules,
        };
        let came = Came {
            response: &exchange.response,
            times: Times { request_ms: cached.asked_ms, response_ms: now },
            turn: cached.turn,
            length,
            kept: kept.as_ref().map(|(object, _)| object),
        };
        decide::arrived(&shared.store, &asking, &came)
    };
    let given = |object, outcome| {
        Arrival::Give(Given {
            object,
            outcome,
            reason: Some(cached.reason),
            forwarded: Some(status),
            debug: cached.debug,
            facts: cached.facts.clone(),
        })
    };
    match (decided, kept) {
        (Arrived::Confirmed(object), Some((_, slot))) => {
            shared.store.keep(slot, object.clone());
            lead.confirm(object.clone());
            given(object, Outcome::Revalidated)
        }
        (Arrived::Failing, Some((object, _))) => {
            // Whoever waits gets the same.
            lead.confirm(object.clone());
            given(object, Outcome::StaleError)
        }
        (Arrived::Keep { draft, slot }, kept) => {
            if facts.body == BodyLength::UntilClose {
                // Its end can't be told from a broken connection.
                lead.release(Reason::Incomplete);
                tell(
                    worker,
                    route,
                    exchange,
                    &cached,
                    outcome_of(kept.is_some()),
                    Some(Reason::Incomplete),
                    false,
                );
                return Arrival::Relay;
            }
            tell(worker, route, exchange, &cached, outcome_of(kept.is_some()), Some(cached.reason), true);
            let draft = Arc::new(with_date(*draft, now));
            // RFC 9111 §4: what is stale, or must be asked about, when it comes is nobody else's answer.
            let lead = if draft.freshness.no_cache || !draft.freshness.is_fresh(now) {
                lead.release(cached.reason);
                shared.fills.alone(slot, &cached.text)
            } else {
                lead
            };
            let kept = cached.part.take();
            Arrival::Fill(Filling { lead, draft, slot, kept, fields }, cached)
        }
        (Arrived::Drop(reason), kept) => {
            if let Some((_, slot)) = &kept
                && !decide::is_failure(status)
            {
                // What the origin gives now is another answer, and that can't be kept.
                shared.store.remove(*slot);
            }
            let lasting = !cached.facts.authorized && !cached.facts.range && status < 500;
            if lasting {
                shared.store.pass(&cached.text, cached.hash, reason, now + decide::PASS_MS);
            }
            lead.release(reason);
            tell(worker, route, exchange, &cached, outcome_of(kept.is_some()), Some(reason), false);
            Arrival::Relay
        }
        (Arrived::Mistaken | Arrived::Confirmed(_) | Arrived::Failing, _) => {
            lead.release(cached.reason);
            Arrival::Relay
        }
    }
}

fn outcome_of(was_kept: bool) -> Outcome {
    if was_kept { Outcome::Expired } else { Outcome::Miss }
}

/// RFC 9110 §6.6.1: an answer without a date is kept with the time at which it came.
fn with_date(mut draft: Draft, now_ms: u64) -> Draft {
    use tidegate_cache::fields::{Fields, Kept};
    if Kept(&draft.fields).value(b"date").is_none() {
        let mut fields = b"Date: ".to_vec();
        fields.extend_from_slice(&crate::answer::imf_fixdate(now_ms / 1000));
        fields.extend_from_slice(b"\r\n");
        fields.extend_from_slice(&draft.fields);
        draft.fields = fields.into();
    }
    draft
}

/// Says in the answer what the cache did, and counts it.
fn tell(
    worker: &Worker,
    route: &PreparedRoute,
    exchange: &mut Exchange,
    cached: &Cached,
    outcome: Outcome,
    reason: Option<Reason>,
    stored: bool,
) {
    count(worker, route.slot, outcome, reason);
    let status = exchange.response.status;
    let told = status::Told { outcome, reason, ttl: None, forwarded: Some(status), stored };
    push_status(&mut exchange.fields, &told, cached.debug.then_some(&cached.text[..]));
}

/// What is kept in place of an answer that did not come; whoever waited for it is told the same.
pub fn instead_of_failure(worker: &Worker, exchange: &mut Exchange, failure: Failure) -> Option<Given> {
    let cached = exchange.cached.as_mut()?;
    let lead = cached.lead.take();
    if failure.side == Side::Client {
        // Dropped, those who waited ask for themselves.
        return None;
    }
    let kept = cached.kept.take().filter(|(object, _)| object.freshness().if_error(now_ms(worker)));
    let Some((object, _)) = kept else {
        if let Some(lead) = lead {
            lead.fail(failure);
        }
        return None;
    };
    if let Some(lead) = lead {
        lead.confirm(object.clone());
    }
    Some(Given {
        object,
        outcome: Outcome::StaleError,
        reason: Some(cached.reason),
        forwarded: None,
        debug: cached.debug,
        facts: cached.facts.clone(),
    })
}

/// RFC 9111 §4.4: an unsafe request that went well makes invalid what is kept of its target, and of what its answer
/// names on the same origin.
fn forget(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    cached: &Cached,
    shared: &Shared,
) {
    shared.store.forget(cached.hash, false);
    let Some(cache) = &route.cache else { return };
    let head = &exchange.head;
    let variables = Variables { worker, plan, exchange };
    let authority = head.slice(head.authority);
    for target in
        invalidate::targets(&exchange.response, variables.scheme(), authority, head.slice(head.path))
    {
        let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        let parts = key::Parts {
            scheme: variables.scheme(),
            host: &exchange.host,
            path: &target[..end],
            query: target.get(end + 1..),
            template: None,
            upstream: None,
            added: None,
        };
        let mut text = Vec::new();
        key::write(&cache.rules.key, &parts, head, &mut text);
        shared.store.forget(key::hash(&text), false);
    }
}
