//! Attempts at targets until one answers: the order of targets, retries, fallbacks.

use std::{cell::Cell, sync::atomic::Ordering::Relaxed, time::Duration};

use tidegate_dialect::{ApiError, Dialect, ErrorKind, Surface, headers::headroom};
use tidegate_limit::Metric;
use tidegate_plan::{CredentialScheme, FallbackCause, Model, ModelBalance, ProviderDialect};
use tidegate_upstream::Tried as Endpoints;

use super::{
    Desk, admit,
    affinity::{Beginning, Warm},
    attempt::{self, Open, Order},
    batch::{Batched, Share},
    call::Call,
    choose::{self, Choice, Tried},
    compose, errors,
    errors::{Lost, LostCause},
    hedge::{hedged, lose, shadow},
    prepare::{Named, chat_dialect},
    record::{self, Outcome},
    refuse, relay,
    reuse::{self, Reuse},
    state::InFlight,
    tap::Tap,
};
use crate::{
    connection::{Close, Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    io::Stream,
    upstream::Upstream,
};

/// An answer that has begun to come, and whom from.
pub struct Opened<'a> {
    /// The answer.
    pub open: Open<'a>,
    /// Where it comes from.
    pub upstream: &'a Upstream,
    /// The target and credential.
    pub choice: Choice,
    /// Counted as long as it lasts.
    pub in_flight: InFlight,
    /// When the call has to be over, in nanoseconds since the engine started; 0 for never.
    pub due: u64,
}

/// Serves a call whose model is settled.
pub async fn call(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    body: &[u8],
) -> Next {
    match reuse::look(desk, connection, exchange, call, body).await {
        Reuse::Ask => {}
        Reuse::Kept(tap) => {
            return match admit::count(desk, call) {
                Ok(()) => relay::reused(desk, connection, exchange, call, tap).await,
                Err(error) => refuse(desk, connection, exchange, call.dialect, error).await,
            };
        }
        Reuse::Joined(follower, begun) => {
            return match admit::count(desk, call) {
                Ok(()) => relay::joined(desk, connection, exchange, call, follower, begun).await,
                Err(error) => refuse(desk, connection, exchange, call.dialect, error).await,
            };
        }
        Reuse::Gone(failure) => {
            call.facts.outcome = Outcome::ClientGone;
            exchange.failed(failure);
            return Next::Close(Close::Broken);
        }
    }
    shadow(desk, call, body);
    let mut lead = None;
    let model = &desk.ai.plan.models[call.model as usize];
    if let (Some(batch), Surface::Embeddings, false) = (&model.batch, call.surface, call.is_edited)
        && let Ok(request) = call.embed(body).cloned()
        && request.inputs.len() < batch.inputs as usize
    {
        match Box::pin(desk.worker.batches.gather(call, &request, batch)).await {
            Batched::Lead(leads) => {
                call.embed = leads.merged().or(Some(request));
                // Merged or not, it is written anew: so that the answer is read as vectors.
                call.is_edited = true;
                lead = Some(leads);
            }
            Batched::Wait(share) => {
                if let Some(next) = Box::pin(shared(desk, connection, exchange, call, share)).await {
                    return next;
                }
            }
        }
        desk.worker.look_at_clock();
    }
    match chain(desk, Some(&connection.stream), exchange, call, body).await {
        Ok(Served::Opened(opened)) => relay::run(desk, connection, exchange, call, *opened, lead).await,
        Ok(Served::Echo(tap)) => relay::whole(desk, connection, exchange, call, tap, &[]).await,
        Err(lost) if lost.cause == LostCause::ClientGone => {
            call.facts.outcome = Outcome::ClientGone;
            exchange.failed(Failure::client(Cause::ClientGone));
            Next::Close(Close::Broken)
        }
        Err(lost) => {
            call.facts.reason = lost.reason;
            let mut error = lost.error;
            error.retry_after_ms = error.retry_after_ms.or(lost.retry_after_ms);
            refuse(desk, connection, exchange, call.dialect, error).await
        }
    }
}

/// Gives a call its share of another's answer; `None` where that failed, and it asks for itself.
async fn shared(
    desk: &Desk<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    call: &mut Call,
    share: tokio::sync::oneshot::Receiver<Share>,
) -> Option<Next> {
    if let Err((_, error)) = admit::reserve(desk, call) {
        return Some(refuse(desk, connection, exchange, call.dialect, error).await);
    }
    let Ok(Share { answer: Some(answer), served }) = share.await else { return None };
    desk.worker.look_at_clock();
    call.facts.served = served;
    call.facts.attempts = 1;
    let mut tap = Box::new(Tap::new(call, Dialect::OpenAi, false, exchange.request_id(), false));
    tap.vectors(answer);
    Some(relay::whole(desk, connection, exchange, call, tap, b"application/json").await)
}

/// Who answers.
pub enum Served<'a> {
    /// A provider.
    Opened(Box<Opened<'a>>),
    /// The gateway itself.
    Echo(Box<Tap>),
}

/// The model that was asked, then its fallbacks.
async fn chain<'a>(
    desk: &Desk<'a>,
    client: Option<&Stream>,
    exchange: &mut Exchange,
    call: &mut Call,
    body: &[u8],
) -> Result<Served<'a>, Lost> {
    let ai = desk.ai;
    let mut asked = Vec::new();
    loop {
        let lost = match admit::reserve(desk, call) {
            Ok(()) => {
                match targets(desk, client, exchange, call, body, is_last(desk, call.model, &asked)).await {
                    Ok(served) => return Ok(served),
                    Err(lost) => lost,
                }
            }
            Err((exhausted, error)) => {
                let money = exhausted.metric == Metric::Usd;
                let cause =
                    if money { LostCause::Other(FallbackCause::OverBudget) } else { LostCause::Final };
                let reason = if money { "over_budget" } else { "rate_limited" };
                Lost { cause, error, reason, retry_after_ms: None, stale: false }
            }
        };
        let LostCause::Other(cause) = lost.cause else { return Err(lost) };
        if asked.is_empty() {
            asked.push(call.model);
        }
        // Its own fallbacks first, then those of the models before it.
        let next = asked.iter().rev().find_map(|model| {
            let fallback = ai.plan.models[*model as usize].fallback.iter();
            fallback.clone().find(|fallback| fallback.on.contains(&cause) && !asked.contains(&fallback.model))
        });
        // A fallback is the operator's choice, not the client's: the key need not name it.
        let Some(next) = next else { return Err(lost) };
        desk.worker.metrics.retry(lost.reason);
        asked.push(next.model);
        call.facts.fallbacks += 1;
        call.reservation = None;
        let star = call.star.clone();
        call.turn_to(ai, Named { model: next.model, star: &star });
    }
}

/// Whether no fallback is left behind the models that were asked.
fn is_last(desk: &Desk<'_>, model: u32, asked: &[u32]) -> bool {
    let of = |model: &u32| &desk.ai.plan.models[*model as usize].fallback;
    let mut left = of(&model).iter().chain(asked.iter().flat_map(of));
    left.all(|fallback| fallback.model == model || asked.contains(&fallback.model))
}

/// The targets of one model, one after the other. `last_model`: there is no other, so targets that cool down are better than
/// none. A call that finds all of them so asks one of them, once.
pub async fn targets<'a>(
    desk: &Desk<'a>,
    client: Option<&Stream>,
    exchange: &mut Exchange,
    call: &mut Call,
    body: &[u8],
    last_model: bool,
) -> Result<Served<'a>, Lost> {
    let Desk { worker, plan, ai, .. } = desk;
    let model = &ai.plan.models[call.model as usize];
    let prepared = &ai.models[call.model as usize];
    let due = if model.total_ms > 0 { call.started + u64::from(model.total_ms) * 1_000_000 } else { 0 };
    let mut tried = Tried::default();
    // The target that was asked last, and those of its endpoints that were tried.
    let mut at_endpoints = (usize::MAX, Cell::<Endpoints>::default());
    let mut in_need = false;
    let mut last: Option<Lost> = None;
    let mut backoff = u64::from(model.backoff_ms);
    let warm = warm(desk, call, model, body);
    for round in 0..model.attempts {
        let wanted = choose::Wanted {
            now: worker.now(),
            input: call.input_estimate,
            output: call.expected_output,
            tie: tie(desk, exchange, call, model),
            preferred: warm.filter(|_| round == 0).map(|warm| warm.target),
            in_need,
        };
        let mut choice = choose::next(&ai.plan, model, prepared, &wanted, tried);
        if choice.is_none() && round == 0 && last_model {
            in_need = true;
            let anyone = choose::Wanted { in_need, ..wanted };
            choice = choose::next(&ai.plan, model, prepared, &anyone, tried);
        }
        let elsewhere = last.as_ref().is_some_and(|lost| falls_back(model, lost));
        if choice.is_none() && round > 0 && !elsewhere {
            // All were tried: once more from the start, after a while.
            tried = Tried::default();
            at_endpoints = (usize::MAX, Cell::default());
            let wait =
                last.as_ref().and_then(|lost| lost.retry_after_ms).unwrap_or_else(|| jittered(backoff));
            backoff = backoff.saturating_mul(2);
            if wait > u64::from(model.retry_after_most_ms) || late(worker.now(), wait, due) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
            worker.look_at_clock();
            let again = choose::Wanted { now: worker.now(), in_need: last_model, ..wanted };
            choice = choose::next(&ai.plan, model, prepared, &again, tried);
        }
        let Some(choice) = choice else { break };
        if at_endpoints.0 != choice.target {
            at_endpoints = (choice.target, Cell::default());
        }
        let tried_before = tried;
        tried.insert(choice);
        call.facts.attempts += 1;
        exchange.attempts = call.facts.attempts;
        if call.facts.attempts == 1 && client.is_some() {
            call.facts.served = Some((call.model, choice.target));
            record::begin(worker, desk.plan, ai, call, exchange);
        }
        call.facts.served = Some((call.model, choice.target));
        call.facts.credential = choice.credential;
        let near = warm.filter(|warm| warm.target == choice.target).map(|warm| warm.endpoint);
        let provider = ai.plan.providers[model.targets[choice.target].provider as usize].dialect;
        let same =
            compose::is_same(call.dialect, call.surface, provider) && provider != ProviderDialect::Echo;
        let passes = same && !call.is_edited;
        if !passes && call.surface == Surface::Embeddings {
            call.embed(body).map_err(|fault| bad_request(&fault, exchange))?;
        }
        if !passes && (call.surface.is_chat() || call.surface == Surface::CountTokens) {
            call.chat(body).map_err(|fault| bad_request(&fault, exchange))?;
        }
        let (served, second) = match &model.hedge {
            None => (
                one(desk, client, exchange, call, body, model, choice, due, near, &at_endpoints.1).await,
                None,
            ),
            Some(hedge) => {
                prepared.hedged.call();
                let first =
                    one(desk, client, exchange, call, body, model, choice, due, near, &at_endpoints.1);
                let both =
                    hedged(desk, client, exchange, call, body, model, hedge, first, &wanted, tried, due);
                Box::pin(both).await
            }
        };
        if let Some(second) = second {
            tried.insert(second);
            call.facts.attempts += 1;
            let won = matches!(&served, Ok(Served::Opened(opened)) if opened.choice == second);
            lose(desk, exchange, call, if won { choice } else { second });
        }
        let lost = match served {
            Ok(served) => {
                if let Served::Opened(opened) = &served {
                    call.facts.served = Some((call.model, opened.choice.target));
                    call.facts.credential = opened.choice.credential;
                    if model.prefix_affinity {
                        let endpoint = opened.open.attempt.endpoint.key as u32;
                        ai.affinity.serve(&call.beginning, Warm { target: opened.choice.target, endpoint });
                    }
                }
                return Ok(served);
            }
            Err(lost) => lost,
        };
        let LostCause::Other(cause) = lost.cause else { return Err(lost) };
        // A name that the provider does not know may be the client's own, and says nothing of others.
        let cools =
            matches!(cause, FallbackCause::RateLimited | FallbackCause::Down | FallbackCause::TooSlow)
                && lost.reason != "provider_not_found";
        // Another endpoint of the same provider may do better: then it is the endpoint that failed, not the target.
        let upstream = ai.plan.providers[model.targets[choice.target].provider as usize].upstream;
        let others =
            upstream.is_some_and(|index| plan.upstreams[index as usize].has_untried(&at_endpoints.1.get()));
        if cools && others {
            tried = tried_before;
        } else if cools && model.cooldown_ms > 0 {
            let until = |pause: u64| worker.now().saturating_add(pause.saturating_mul(1_000_000));
            let told = lost.retry_after_ms.map_or(0, until);
            prepared.states[choice.target].cool_down(
                choice.credential,
                until(model.cooldown_ms.into()),
                told,
            );
        }
        worker.metrics.retry(lost.reason);
        // What the conversation itself is refused for, another target of the same model refuses too.
        let same_everywhere = matches!(cause, FallbackCause::ContextTooLong | FallbackCause::ContentFilter);
        last = Some(lost);
        if same_everywhere || (in_need && !others) {
            break;
        }
    }
    Err(last.unwrap_or_else(|| all_cooling(desk, call)))
}

/// Whether another model is asked for what was lost: then it is asked at once, instead of waiting for this one.
fn falls_back(model: &Model, lost: &Lost) -> bool {
    let LostCause::Other(cause) = lost.cause else { return false };
    model.fallback.iter().any(|fallback| fallback.on.contains(&cause))
}

fn bad_request(fault: &tidegate_dialect::Fault, exchange: &Exchange) -> Lost {
    let error = errors::from_fault(fault, exchange.request_id());
    Lost { cause: LostCause::Final, error, reason: "bad_request", retry_after_ms: None, stale: false }
}

/// All targets cool down, or there is none.
fn all_cooling(desk: &Desk<'_>, call: &Call) -> Lost {
    let now = desk.worker.now();
    let states = &desk.ai.models[call.model as usize].states;
    let first = states.iter().filter_map(|state| state.cool_at(now)).min();
    let mut error = ApiError::new(
        503,
        ErrorKind::Overloaded,
        "All that serve this model are left out for a while after failures.",
    );
    error.code = Some("all_targets_cooling".into());
    let retry_after_ms = first.map(|at| at.saturating_sub(now) / 1_000_000 + 1);
    Lost {
        cause: LostCause::Other(FallbackCause::RateLimited),
        error,
        reason: "all_targets_cooling",
        retry_after_ms,
        stale: false,
    }
}

fn late(now: u64, wait_ms: u64, due: u64) -> bool {
    due > 0 && now + wait_ms * 1_000_000 >= due
}

/// Between a half and the whole.
fn jittered(milliseconds: u64) -> u64 {
    milliseconds / 2 + fastrand::u64(..=milliseconds / 2 + 1)
}

/// What ties this call to others: a session, or a side of a test.
fn tie(desk: &Desk<'_>, exchange: &Exchange, call: &Call, model: &Model) -> Option<u64> {
    let hash = xxhash_rust::xxh3::xxh3_64;
    if !model.session_header.is_empty()
        && let Some(session) = exchange.head.field(model.session_header.as_bytes())
    {
        return Some(hash(session));
    }
    match model.sticky.as_str() {
        "" => None,
        "key" => call.key.map(|index| hash(desk.ai.plan.keys[index as usize].name.as_bytes())),
        header => exchange.head.field(header.as_bytes()).map(hash),
    }
}

/// One target, and beside it a second where the model hedges.
#[allow(clippy::too_many_arguments)] // the call, its target, and what bounds both
pub async fn one<'a>(
    desk: &Desk<'a>,
    client: Option<&Stream>,
    exchange: &Exchange,
    call: &Call,
    body: &[u8],
    model: &Model,
    choice: Choice,
    due: u64,
    near: Option<u32>,
    endpoints: &Cell<Endpoints>,
) -> Result<Served<'a>, Lost> {
    let Desk { worker, plan, ai, .. } = desk;
    let target = &model.targets[choice.target];
    let provider = &ai.plan.providers[target.provider as usize];
    let name = record::served_name(target, &call.star);
    let same = compose::is_same(call.dialect, call.surface, provider.dialect);
    let request_id = exchange.request_id();
    if provider.dialect == ProviderDialect::Echo {
        return super::echo::answer(call, request_id).map(|tap| Served::Echo(Box::new(tap)));
    }
    if call.surface == Surface::CountTokens && !same {
        // Nobody else counts as that provider would: an estimate is all there is.
        let mut tap = Tap::new(call, call.dialect, false, request_id, false);
        tap.count(call.input_estimate);
        return Ok(Served::Echo(Box::new(tap)));
    }
    let sent = compose::body(call, body, &name, model, provider, same).map_err(|fault| {
        let error = errors::from_fault(&fault, request_id);
        Lost { cause: LostCause::Final, error, reason: "unsupported", retry_after_ms: None, stale: false }
    })?;
    let Some(index) = provider.upstream else { return Err(all_cooling(desk, call)) };
    let upstream: &Upstream = &plan.upstreams[index as usize];
    let content_type = exchange.head.field(b"content-type").and_then(|told| std::str::from_utf8(told).ok());
    let content_type = if same && call.surface.has_form() {
        content_type.unwrap_or("application/json")
    } else {
        "application/json"
    };
    let request = |authority: &str, out: &mut Vec<u8>| {
        let wanted = compose::Wanted {
            provider,
            credential: choice.credential,
            model: &name,
            surface: call.surface,
            stream: call.stream,
            same,
            authority,
            content_type,
            loop_guard: plan.shared.loop_guard.as_ref(),
        };
        compose::request(&wanted, call, exchange, &sent, out);
    };
    let order = Order {
        request: &request,
        upstream,
        near,
        tried: endpoints,
        tie: tie(desk, exchange, call, model),
        connect_ms: provider.connect_ms,
        first_token_ms: model.first_token_ms,
        between_tokens_ms: model.between_tokens_ms,
        due,
        stream: call.stream,
        own_credential: !matches!(provider.credentials[choice.credential].scheme, CredentialScheme::Client),
        request_id,
    };
    let state = &ai.models[call.model as usize].states[choice.target];
    let in_flight = InFlight::new(state);
    let keep = call.keep.is_some() || call.lead.is_some();
    let tap = Box::new(Tap::new(call, chat_dialect(provider.dialect), same, request_id, keep));
    let open = attempt::make(worker, plan, &order, tap, client).await.map_err(|(lost, _)| lost)?;
    state.warmed(choice.credential);
    if model.balance == ModelBalance::Headroom {
        let told = headroom(attempt::fields(&open.head), crate::unix_milliseconds() / 1000);
        let shares = [told.requests, told.tokens].into_iter().flatten().filter_map(|room| {
            let limit = room.limit.filter(|limit| *limit > 0)?;
            Some(room.remaining.saturating_mul(1000) / limit)
        });
        if let Some(thousandths) = shares.min() {
            state.left(choice.credential, thousandths, worker.now());
        }
    }
    Ok(Served::Opened(Box::new(Opened { open, upstream, choice, in_flight, due })))
}

/// Where the conversation's beginning was served last, where the model goes by that.
fn warm(desk: &Desk<'_>, call: &mut Call, model: &Model, body: &[u8]) -> Option<Warm> {
    if !model.prefix_affinity {
        return None;
    }
    let owner = call.key.map_or("", |index| desk.ai.plan.keys[index as usize].tenant.as_str());
    call.beginning = Beginning::of(body, &model.name, owner);
    let warm = desk.ai.affinity.find(&call.beginning)?;
    let states = &desk.ai.models[call.model as usize].states;
    let busy = |target: usize| states.get(target).map_or(0, |state| state.in_flight.load(Relaxed));
    let least = (0..states.len()).map(busy).min().unwrap_or(0);
    // A warm cache is worth a little waiting, not a lot.
    (busy(warm.target) <= least + least / 4 + WARM_CALLS).then_some(warm)
}

/// A target with a warm cache may have this many calls in flight more than the idlest.
const WARM_CALLS: u32 = 8;
