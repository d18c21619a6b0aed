//! Whether another call's answer will do: one that is kept, or one that is on its way.

use std::{future::poll_fn, task::Poll};

use tidegate_dialect::{Surface, canonical};

use super::{
    Desk,
    call::Call,
    flight::{Begun, Follower, Joined, Lead},
    record::CacheState,
    tap::Tap,
};
use crate::{
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
};

/// What is known of others' answers.
pub enum Reuse {
    /// Nobody's will do.
    Ask,
    /// One was kept.
    Kept(Box<Tap>),
    /// One is on its way.
    Joined(Follower, Begun),
    /// The client has gone while it was waited for.
    Gone(Failure),
}

/// Looks for another call's answer. Where there is none, notes in the call what becomes of its own.
pub async fn look(
    desk: &Desk<'_>,
    connection: &Connection,
    exchange: &Exchange,
    call: &mut Call,
    body: &[u8],
) -> Reuse {
    let ai = desk.ai;
    let model = &ai.plan.models[call.model as usize];
    if model.cache.is_none() && !model.deduplicate {
        return Reuse::Ask;
    }
    // A client may say that it wants its own (RFC 9111 §5.2.1).
    let control = exchange.head.field(b"cache-control").unwrap_or_default();
    let says = |word: &str| {
        control
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    let (no_store, no_cache) = (says("no-store"), says("no-cache"));
    let Some(key) = key(desk, call, body).filter(|_| !no_store) else {
        call.facts.cache = CacheState::Bypass;
        return Reuse::Ask;
    };
    if let Some(rule) = &model.cache {
        let allowed = call.chat.as_ref().is_none_or(|chat| canonical::cacheable(chat, rule).is_ok());
        if !allowed {
            call.facts.cache = CacheState::Bypass;
        } else {
            if !no_cache && let Some(kept) = ai.cache.find(key, desk.worker.now()) {
                let mut tap =
                    Tap::new(call, kept.provider, same(call, kept.provider), exchange.request_id(), false);
                if tap.replay(&kept.bytes, kept.is_stream).is_ok() {
                    call.facts.cache = CacheState::Hit;
                    return Reuse::Kept(Box::new(tap));
                }
            }
            call.facts.cache = CacheState::Miss;
            call.keep = Some((key, rule.ttl_ms));
        }
    }
    if !model.deduplicate || no_cache {
        return Reuse::Ask;
    }
    loop {
        match ai.flights.join(key ^ u128::from(call.stream)) {
            Joined::Lead(lead) => {
                call.lead = Some(lead);
                return Reuse::Ask;
            }
            Joined::Follow(follower) => {
                connection.deadline.set(model.first_token_ms);
                let begun = poll_fn(|cx| match follower.poll_begun(cx) {
                    Poll::Ready(begun) => Poll::Ready(Ok(begun)),
                    Poll::Pending if connection.deadline.poll_passed(cx) => {
                        Poll::Ready(Err(Failure::upstream(Cause::UpstreamTimeout)))
                    }
                    Poll::Pending if connection.stream.poll_gone(cx) => {
                        Poll::Ready(Err(Failure::client(Cause::ClientGone)))
                    }
                    Poll::Pending => Poll::Pending,
                })
                .await;
                desk.worker.look_at_clock();
                match begun {
                    Ok(Some(begun)) => {
                        call.facts.cache = CacheState::Joined;
                        call.keep = None;
                        return Reuse::Joined(follower, begun);
                    }
                    // The one that asked had no luck: this one tries its own, or joins the next that does.
                    Ok(None) => {}
                    Err(failure) if failure.cause == Cause::ClientGone => return Reuse::Gone(failure),
                    Err(_) => return Reuse::Ask,
                }
            }
        }
    }
}

/// Whether a kept answer is in the client's own words.
pub fn same(call: &Call, provider: tidegate_dialect::Dialect) -> bool {
    let plain = matches!(call.surface, Surface::Generate | Surface::Prompts);
    !plain && call.dialect == provider
}

/// Takes note that the answer begins, for those who join.
pub fn begin(lead: &mut Option<Lead>, begun: Begun) {
    if let Some(lead) = lead {
        lead.begin(begun);
    }
}

/// What makes two calls the same: the conversation in its canonical form, the model, and whose they are.
fn key(desk: &Desk<'_>, call: &mut Call, body: &[u8]) -> Option<u128> {
    let ai = desk.ai;
    let model = &ai.plan.models[call.model as usize];
    let shared = model.cache.as_ref().is_some_and(|cache| cache.shared);
    // A key without a tenant is alone, also where it is called like one.
    let (sort, owner) = match call.key {
        Some(index) if !shared => {
            let key = &ai.plan.keys[index as usize];
            if key.tenant.is_empty() { ("key", key.name.as_str()) } else { ("tenant", key.tenant.as_str()) }
        }
        _ => ("", ""),
    };
    // What is asked in one surface's words may be answered to another's: all chats are one.
    let surface = if call.surface.is_chat() { "" } else { call.surface.as_str() };
    let mut salt = Vec::with_capacity(64);
    for part in [model.name.as_str(), &call.star, sort, owner, surface] {
        salt.extend_from_slice(part.as_bytes());
        salt.push(0);
    }
    if call.surface.is_chat() {
        let chat = call.chat(body).ok()?;
        return Some(canonical::key(chat, &salt));
    }
    match call.surface {
        Surface::Embeddings | Surface::Completions | Surface::Moderations | Surface::Rerank => {
            salt.extend_from_slice(call.dialect.as_str().as_bytes());
            let value = tidegate_dialect::json::parse(body).ok()?;
            Some(canonical::key_of_value(&value, call.surface.as_str(), &salt))
        }
        _ => None,
    }
}
