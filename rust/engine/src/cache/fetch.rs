//! Asks the origin: for all who ask for the same, or beside them.

use std::rc::Rc;

use tidegate_cache::{conditional, decide::Fetch, fill::Joined, vary};
use tidegate_http1::RequestFacts as Framing;
use tidegate_message::Field;

use super::{
    Cached, Given, Look, PreparedCache, Shared,
    follow::{Followed, follow},
    give::give,
    look, now_ms,
};
use crate::{
    answer,
    connection::{Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    forward,
    prepare::PreparedRoute,
    upstream::Upstream,
    worker::{Worker, WorkerPlan},
};

/// How often a request that waited in vain looks again before it asks the origin for itself.
const TRIES_MOST: u32 = 4;

/// Everything that stays the same while a request is met.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// Its plan.
    pub plan: &'a Rc<WorkerPlan>,
    /// The request's route.
    pub route: &'a PreparedRoute,
    /// Its rules.
    pub cache: &'a PreparedCache,
    /// What all workers share.
    pub shared: &'a Shared,
    /// The framing of the request.
    pub framing: &'a Framing,
    /// Whom it goes to.
    pub upstream: &'a Upstream,
    /// The upstream's name, where something else than the route chose it.
    pub chosen: Option<&'a str>,
}

/// Fetches what is not kept, or not fresh, and answers with it.
pub async fn fetch(
    around: Around<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    mut fetch: Fetch,
    mut cached: Box<Cached>,
) -> Next {
    let Around { worker, plan, route, cache, shared, .. } = around;
    let mut tries = 0;
    loop {
        let shares = fetch.shared && cache.rules.coalesce_ms > 0 && tries < TRIES_MOST;
        if !shares {
            cached.lead = Some(shared.fills.alone(fetch.slot, &cached.text));
            break;
        }
        match shared.fills.join(fetch.slot, &cached.text) {
            Joined::Lead(lead) => {
                // Somebody may have come to its end between the look and now.
                if let Look::Give { object, outcome, facts, debug, .. } = again(around, exchange) {
                    lead.confirm(object.clone());
                    let given = Given { object, outcome, reason: None, forwarded: None, debug, facts };
                    return give(worker, plan, connection, exchange, route, given).await;
                }
                cached.lead = Some(lead);
                break;
            }
            Joined::Collision => {
                cached.reason = tidegate_cache::Reason::KeyCollision;
                break;
            }
            Joined::Follow(reader) => {
                let followed =
                    follow(worker, plan, connection, exchange, route, cache, shared, &mut cached, reader)
                        .await;
                match followed {
                    Followed::Done(next) => return next,
                    Followed::Alone(reason) => {
                        cached.reason = reason;
                        fetch.shared = false;
                    }
                    Followed::Again => {
                        tries += 1;
                        match again(around, exchange) {
                            Look::Give { object, outcome, facts, debug, .. } => {
                                let given =
                                    Given { object, outcome, reason: None, forwarded: None, debug, facts };
                                return give(worker, plan, connection, exchange, route, given).await;
                            }
                            Look::Fetch(other, state) => (fetch, cached) = (other, state),
                            Look::Pass(state) => {
                                cached = state;
                                break;
                            }
                            Look::Refuse => {
                                let failure = Failure::gateway(Cause::OnlyIfCached);
                                return answer::fail(
                                    worker,
                                    plan,
                                    connection,
                                    exchange,
                                    Some(route),
                                    failure,
                                )
                                .await;
                            }
                        }
                    }
                }
            }
        }
    }
    pass(around, connection, exchange, cached).await
}

/// Asks the origin, with what the stage leaves for the way back.
pub async fn pass(
    around: Around<'_>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    mut cached: Box<Cached>,
) -> Next {
    let Around { worker, plan, route, cache, shared, framing, upstream, .. } = around;
    if cached.lead.is_some() {
        write_lines(cache, exchange, &mut cached);
    }
    cached.asked_ms = now_ms(worker);
    cached.turn = shared.store.turn();
    exchange.cached = Some(cached);
    let next = forward::run(worker, plan, connection, exchange, route, framing, upstream).await;
    // Whatever is left of it, those who wait are told.
    exchange.cached = None;
    next
}

fn again(around: Around<'_>, exchange: &Exchange) -> Look {
    let Around { worker, plan, route, cache, shared, framing, chosen, .. } = around;
    look(worker, plan, route, cache, shared, exchange, framing, chosen)
}

/// What the origin is sent in the place of the client's conditions and preferences: the store's own conditions, and
/// only those preferences that answers are told apart by.
fn write_lines(cache: &PreparedCache, exchange: &Exchange, cached: &mut Cached) {
    cached.lines.clear();
    if let Some((kept, _)) = &cached.kept {
        conditional::write_validators(&kept.fields(), &mut cached.validators);
    }
    for (name, sent) in normalised_fields(cache) {
        if let Some(value) = vary::normalised(name, &exchange.head, &cache.rules.vary)
            && sent
        {
            answer::push_field(&mut cached.lines, name, &value);
        }
    }
}

/// The preferences that are put into a form of their own, and whether they are at all.
fn normalised_fields(cache: &PreparedCache) -> [(&'static [u8], bool); 2] {
    let vary = &cache.rules.vary;
    [
        (b"accept-encoding", !vary.accept_encoding.is_empty()),
        (b"accept-language", !vary.accept_language.is_empty()),
    ]
}

impl Cached {
    /// Whether a field of the client's is left out of what the origin is sent.
    pub fn drops(&self, cache: &PreparedCache, field: &Field, name: &[u8]) -> bool {
        if self.lead.is_none() || field.known != tidegate_message::Known::Other {
            return false;
        }
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let conditions = is(b"if-none-match") || is(b"if-modified-since");
        // A range goes on as it is, and a part is kept as a part; but the whole is asked about as a whole.
        let ranges = self.kept.is_some() && (is(b"range") || is(b"if-range"));
        conditions
            || ranges
            || normalised_fields(cache).iter().any(|(other, sent)| *sent && is(other))
            || cache.strips(name)
    }
}
