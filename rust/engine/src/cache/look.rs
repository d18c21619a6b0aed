//! What a request gets: its key, what is kept under it, and whether that may be given.

use std::sync::Arc;

use tidegate_cache::{
    Object, Outcome, Reason, RequestFacts,
    decide::{self, Asking, Fetch, Verdict},
    key,
};
use tidegate_http1::{BodyLength, RequestFacts as Framing};
use tidegate_message::Method;

use super::{Cached, PreparedCache, Shared, count, now_ms};
use crate::{
    exchange::Exchange,
    prepare::PreparedRoute,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// What a request gets.
pub enum Look {
    /// What is kept.
    Give {
        /// What.
        object: Arc<Object>,
        /// A hit, or a stale one that is to be fetched anew beside.
        outcome: Outcome,
        /// What the request says to caches.
        facts: RequestFacts,
        /// Whether the client is told the key.
        debug: bool,
        /// Where it is kept.
        slot: u128,
    },
    /// It is fetched, and may be kept.
    Fetch(Fetch, Box<Cached>),
    /// It is fetched and not kept.
    Pass(Box<Cached>),
    /// 504.
    Refuse,
}

/// Looks for an answer. `upstream` is the name of the one that something else than the route chose.
#[allow(clippy::too_many_arguments)] // what a key depends on
pub fn look(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    cache: &PreparedCache,
    shared: &Shared,
    exchange: &Exchange,
    framing: &Framing,
    upstream: Option<&str>,
) -> Look {
    let head = &exchange.head;
    let rules = &cache.rules;
    let mut facts = RequestFacts::read(head, head.method, rules.request_control);
    // Whoever came in by a credential of any kind may get what others may not, and the origin may be told who it is.
    facts.authorized |=
        !exchange.user.is_empty() || exchange.claims.is_some() || !exchange.identity.is_empty();
    facts.authorized &= !rules.authorized;
    let debug = cache
        .debug
        .as_ref()
        .is_some_and(|(header, allow)| head.field(header).is_some() && allow.contains(exchange.client_ip));
    let mut room = worker.small.take();
    let mut text = std::mem::take(&mut *worker.key_text.borrow_mut());
    text.clear();
    write_text(worker, plan, cache, exchange, upstream, &mut text);
    let hash = key::hash(&text);
    let asking = Asking { method: head.method, fields: head, facts: &facts, text: &text, hash, rules };
    let verdict = if framing.upgrade.is_some() {
        Verdict::Pass(Reason::Upgrade)
    } else if !matches!(framing.body, BodyLength::None | BodyLength::Exact(0))
        && matches!(head.method, Method::Get | Method::Head)
    {
        Verdict::Pass(Reason::RequestBody)
    } else if cache.bypasses(head) {
        Verdict::Pass(Reason::Bypass)
    } else {
        decide::decide(&shared.store, &asking, now_ms(worker), &mut room)
    };
    let cached = |reason, text: &Vec<u8>, facts| {
        Box::new(Cached {
            text: text.clone(),
            hash,
            facts,
            reason,
            lead: None,
            kept: None,
            part: None,
            asked_ms: now_ms(worker),
            turn: shared.store.turn(),
            debug,
            validators: Vec::new(),
            lines: Vec::new(),
        })
    };
    let look = match verdict {
        Verdict::Give { object, outcome, slot } => Look::Give { object, outcome, facts, debug, slot },
        Verdict::Fetch(fetch) => {
            let mut cached = cached(fetch.reason, &text, facts);
            cached.kept = fetch.kept.clone().map(|object| (object, fetch.slot));
            cached.part = fetch.part.clone();
            Look::Fetch(fetch, cached)
        }
        Verdict::Pass(reason) => Look::Pass(cached(reason, &text, facts)),
        Verdict::Refuse => {
            count(worker, route.slot, Outcome::Refused, None);
            Look::Refuse
        }
    };
    worker.small.replace(room);
    *worker.key_text.borrow_mut() = text;
    look
}

/// Writes the text of an exchange's key.
pub fn write_text(
    worker: &Worker,
    plan: &WorkerPlan,
    cache: &PreparedCache,
    exchange: &Exchange,
    upstream: Option<&str>,
    out: &mut Vec<u8>,
) {
    let head = &exchange.head;
    let variables = Variables { worker, plan, exchange };
    let template = cache.template.as_ref().map(|template| {
        let mut text = Vec::new();
        template.render(&variables, &mut text);
        text
    });
    let parts = key::Parts {
        scheme: variables.scheme(),
        host: &exchange.host,
        path: head.slice(head.path),
        query: head.has_query.then(|| head.slice(head.query)),
        template: template.as_deref(),
        upstream: upstream.map(str::as_bytes),
        added: (!exchange.hook_set.is_empty()).then_some(&exchange.hook_set[..]),
    };
    key::write(&cache.rules.key, &parts, head, out);
}
