//! Fetches anew what was given though stale, with no client that waits.

use std::rc::Rc;

use tidegate_auth::jwt::Claims;
use tidegate_cache::Reason;

use super::{
    Look,
    fetch::{Around, pass},
    look,
};
use crate::{
    abuse::ClientPlace,
    connection::Connection,
    exchange::Exchange,
    io::Stream,
    stage,
    worker::{Worker, WorkerPlan},
};

/// Starts the fetch of what `exchange` was just given, unless somebody fetches it already.
pub fn refresh(
    worker: &Rc<Worker>,
    plan: &Rc<WorkerPlan>,
    connection: &Connection,
    exchange: &Exchange,
    slot: u128,
    upstream: u32,
    chosen: bool,
) {
    if plan.shared.cache.as_ref().is_none_or(|shared| shared.fills.has(slot)) {
        return;
    }
    let asked = Asked {
        head: exchange.head.bytes.clone(),
        user: exchange.user.clone(),
        claims: exchange.claims.clone(),
        identity: exchange.identity.clone(),
        hook_set: exchange.hook_set.clone(),
        hook_remove: exchange.hook_remove.clone(),
    };
    let beside = Connection {
        stream: Stream::Nobody,
        peer: connection.peer,
        listening: connection.listening.clone(),
        exchanges: 0,
        expects_proxy: false,
        expects_http2: false,
        expects_tls: false,
        tls: connection.tls.clone(),
        place: ClientPlace::default(),
        admin: connection.admin,
        deadline: worker.timers.deadline(),
    };
    let (worker, plan) = (worker.clone(), plan.clone());
    tokio::task::spawn_local(async move {
        let _ = run(&worker, &plan, beside, asked, upstream, chosen).await;
    });
}

/// The request, and what the stages before this one made of it.
struct Asked {
    head: Vec<u8>,
    user: String,
    claims: Option<Rc<Claims>>,
    identity: Vec<u8>,
    hook_set: Vec<u8>,
    hook_remove: Vec<String>,
}

async fn run(
    worker: &Rc<Worker>,
    plan: &Rc<WorkerPlan>,
    mut connection: Connection,
    asked: Asked,
    upstream: u32,
    chosen: bool,
) -> Option<()> {
    let mut exchange = worker.borrow_exchange();
    exchange.begin();
    exchange.read_head(&asked.head, &plan.shared.head_limits, worker.now()).ok()?;
    let framing = tidegate_http1::request_facts(&exchange.head).ok()?;
    exchange.enter(worker, plan, &connection);
    exchange.expect(&framing);
    exchange.user = asked.user;
    exchange.claims = asked.claims;
    exchange.identity = asked.identity;
    exchange.hook_set = asked.hook_set;
    exchange.hook_remove = asked.hook_remove;
    let index = stage::matching::find(plan, &mut exchange).ok()?;
    let route = plan.shared.routes.get(index as usize)?;
    let (cache, shared) = (route.cache.as_ref()?, plan.shared.cache.as_ref()?);
    let upstream = plan.upstreams.get(upstream as usize)?;
    let chosen = chosen.then(|| upstream.name.clone());
    let around =
        Around { worker, plan, route, cache, shared, framing: &framing, upstream, chosen: chosen.as_deref() };
    let looked = look(worker, plan, route, cache, shared, &exchange, &framing, chosen.as_deref());
    // It is kept, and stale: it is asked about as if that were all that is known of it.
    let mut text = Vec::new();
    super::look::write_text(worker, plan, cache, &exchange, chosen.as_deref(), &mut text);
    if let Look::Give { object, slot, facts, debug, .. } = looked
        && let tidegate_cache::fill::Joined::Lead(lead) = shared.fills.join(slot, &text)
    {
        let cached = Box::new(super::Cached {
            hash: tidegate_cache::key::hash(&text),
            text,
            facts,
            reason: Reason::Stale,
            lead: Some(lead),
            kept: Some((object, slot)),
            part: None,
            asked_ms: 0,
            turn: 0,
            debug,
            validators: Vec::new(),
            lines: Vec::new(),
        });
        pass(around, &mut connection, &mut exchange, cached).await;
    }
    worker.return_exchange(exchange);
    Some(())
}
