//! The journey of a request, in order: the table of contents of the product.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use tidegate_cache::Outcome;
use tidegate_http1::{RequestFacts, request_facts};
use tidegate_plan::Action;

use crate::{
    abuse::{self, Level},
    ai,
    answer::{self, Answer},
    cache::{self, Given, Look},
    connection::{Close, Connection, Next},
    drain,
    failure::{Cause, Failure},
    forward, handshake,
    prepare::PreparedRoute,
    record,
    stage::{self, auth::Entry, hook::Ruling, respond::Made},
    worker::{Worker, WorkerPlan},
};

pub use crate::memory::Exchange;

/// Takes the request whose head stands in `exchange` on its journey; it ends in exactly one record.
pub async fn run(worker: &Rc<Worker>, connection: &mut Connection, exchange: &mut Exchange) -> Next {
    let plan = worker.plan();
    exchange.enter(worker, &plan, connection);
    let next = match caught(journey(worker, &plan, connection, exchange)).await {
        Some(next) => next,
        None => {
            worker.panicked();
            exchange.failed(Failure::gateway(Cause::Panicked));
            Next::Close(Close::Panicked)
        }
    };
    drain::name(worker, exchange);
    hide_key(&plan, exchange);
    record::write(worker, &plan, connection, exchange);
    next
}

/// What a journey comes to; `None` where it panics. So that exchange is recorded too, and nothing else ends with it.
async fn caught(journey: impl Future<Output = Next>) -> Option<Next> {
    let mut journey = pin!(journey);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| journey.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

/// A key in the query is for nobody's eyes: where the record is written, stars take its place.
fn hide_key(plan: &WorkerPlan, exchange: &mut Exchange) {
    let Some(route) = exchange.route.map(|index| &plan.shared.routes[index as usize]) else { return };
    let head = &mut exchange.head;
    let query = head.query;
    let mut hide =
        |name: &str| tidegate_auth::mask_query_parameter(query.of_mut(&mut head.bytes), name.as_bytes());
    if matches!(route.plan.action, Action::Ai(_)) {
        hide("key");
    }
    route.query_credentials().for_each(|(name, _)| hide(name));
}

/// Answers a request whose head could not be read, and records it.
pub async fn refuse(worker: &Worker, connection: &mut Connection, exchange: &mut Exchange, failure: Failure) {
    let plan = worker.plan();
    exchange.head.clear();
    exchange.enter(worker, &plan, connection);
    answer::fail(worker, &plan, connection, exchange, None, failure).await;
    record::write(worker, &plan, connection, exchange);
}

async fn journey(
    worker: &Rc<Worker>,
    plan: &Rc<WorkerPlan>,
    connection: &mut Connection,
    exchange: &mut Exchange,
) -> Next {
    #[cfg(feature = "memory")]
    crate::fault::here(crate::fault::Place::Exchange);
    // What is asked, and may it be asked like that?
    let facts = match request_facts(&exchange.head) {
        Ok(facts) => facts,
        Err(refusal) => return answer::fail(worker, plan, connection, exchange, None, refusal.into()).await,
    };
    exchange.expect(&facts);
    if let Err(failure) = abuse::admit_request(worker, connection, exchange) {
        return answer::fail(worker, plan, connection, exchange, None, failure).await;
    }
    if let Some(guard) = &plan.shared.loop_guard
        && let Err(failure) = guard.check(&exchange.head)
    {
        return answer::fail(worker, plan, connection, exchange, None, failure).await;
    }

    // match
    let route = match stage::matching::find(plan, exchange) {
        Ok(index) => &plan.shared.routes[index as usize],
        Err(failure) => return answer::fail(worker, plan, connection, exchange, None, failure).await,
    };
    if let Err(failure) = handshake::check_host(plan, exchange) {
        return answer::fail(worker, plan, connection, exchange, None, failure).await;
    }
    let fail = async |connection: &mut Connection, exchange: &mut Exchange, failure| {
        answer::fail(worker, plan, connection, exchange, Some(route), failure).await
    };
    if let Some(most) = route.plan.body_bytes
        && exchange.body.limit(most).is_err()
    {
        return fail(connection, exchange, Failure::client(Cause::BodyTooLarge)).await;
    }

    // which page asks
    if let Some(cors) = &route.plan.cors {
        match stage::cors::check(cors, exchange) {
            Ok(false) => {}
            Ok(true) => return send(worker, plan, connection, exchange, route, Made::empty(204)).await,
            Err(failure) => return fail(connection, exchange, failure).await,
        }
    }

    // who
    match stage::auth::check(worker, plan, route, exchange) {
        Ok(Entry::In) => {}
        // Boxed: most who come are known without asking anybody.
        Ok(Entry::Ask(question)) => {
            let asking = stage::auth::ask(worker, plan, route, connection, exchange, question);
            match Box::pin(asking).await {
                Ok(None) => {}
                Ok(Some(made)) => return send(worker, plan, connection, exchange, route, made).await,
                Err(failure) => return fail(connection, exchange, failure).await,
            }
        }
        Err(failure) => return fail(connection, exchange, failure).await,
    }

    // how much
    let _permits = match stage::limit::admit(worker, plan, route, exchange) {
        Ok(admitted) => {
            if let Some(wait) = admitted.wait
                && let Err(failure) = connection.pause(worker, wait).await
            {
                return fail(connection, exchange, failure).await;
            }
            admitted.permits
        }
        Err(failure) => return fail(connection, exchange, failure).await,
    };

    // Python's word
    let mut upstream = None;
    if let Some(hook) = route.plan.hook {
        match stage::hook::ask(worker, plan, route, connection, exchange, &facts, hook).await {
            Ok(Ruling::Pass) if matches!(route.plan.action, Action::Hook) => {
                return fail(connection, exchange, Failure::gateway(Cause::HookFailed)).await;
            }
            Ok(Ruling::Pass) => {}
            Ok(Ruling::Upstream(index)) => upstream = Some(index),
            Ok(Ruling::Answer(verdict)) => {
                return stage::hook::answer(worker, plan, connection, exchange, route, &verdict).await;
            }
            Err(failure) => return fail(connection, exchange, failure).await,
        }
    }

    if let (None, Action::Ai(on)) = (upstream, &route.plan.action) {
        // Boxed: it is large, and those who call no model should not carry it.
        return Box::pin(ai::run(worker, plan, connection, exchange, route, &facts, on)).await;
    }

    // pick, pool, send, retry → response rewrite → relay; or an answer of our own
    let upstream = match (upstream, &route.plan.action) {
        (Some(index), _) => Some(index),
        (None, Action::Forward { upstream: index }) => Some(*index),
        (None, _) => None,
    };
    match upstream {
        Some(index) if route.cache.is_some() => {
            cached(worker, plan, connection, exchange, route, &facts, index).await
        }
        Some(index) => {
            let upstream = &plan.upstreams[index as usize];
            forward::run(worker, plan, connection, exchange, route, &facts, upstream).await
        }
        None => own_answer(worker, plan, connection, exchange, route).await,
    }
}

/// cache: what is kept answers; else the origin does, and what it says is kept.
async fn cached(
    worker: &Rc<Worker>,
    plan: &Rc<WorkerPlan>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    facts: &RequestFacts,
    index: u32,
) -> Next {
    let upstream = &plan.upstreams[index as usize];
    let (Some(rules), Some(shared)) = (&route.cache, &plan.shared.cache) else {
        return forward::run(worker, plan, connection, exchange, route, facts, upstream).await;
    };
    let own = matches!(&route.plan.action, Action::Forward { upstream } if *upstream == index);
    let chosen = (!own).then_some(&*upstream.name);
    let around =
        cache::Around { worker, plan, route, cache: rules, shared, framing: facts, upstream, chosen };
    match cache::look(worker, plan, route, rules, shared, exchange, facts, chosen) {
        Look::Give { object, outcome, facts, debug, slot } => {
            if outcome == Outcome::Stale {
                cache::refresh(worker, plan, connection, exchange, slot, index, !own);
            }
            let given = Given { object, outcome, reason: None, forwarded: None, debug, facts };
            cache::give(worker, plan, connection, exchange, route, given).await
        }
        // Boxed: they are large, and hits should not carry them.
        Look::Fetch(fetch, cached) => {
            Box::pin(cache::fetch(around, connection, exchange, fetch, cached)).await
        }
        Look::Pass(cached) => Box::pin(cache::pass(around, connection, exchange, cached)).await,
        Look::Refuse => {
            let failure = Failure::gateway(Cause::OnlyIfCached);
            answer::fail(worker, plan, connection, exchange, Some(route), failure).await
        }
    }
}

/// Redirects, fixed responses, and what the engine itself knows.
async fn own_answer(
    worker: &Worker,
    plan: &Rc<WorkerPlan>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
) -> Next {
    match stage::respond::make(worker, plan, route, exchange, &route.plan.action) {
        Ok(made) => send(worker, plan, connection, exchange, route, made).await,
        Err(failure) => answer::fail(worker, plan, connection, exchange, Some(route), failure).await,
    }
}

/// Sends an answer that was made here, with what the stages before it have to tell.
async fn send(
    worker: &Worker,
    plan: &Rc<WorkerPlan>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    made: Made,
) -> Next {
    let mut fields = std::mem::take(&mut exchange.fields);
    fields.extend_from_slice(&made.fields);
    let answer = Answer {
        status: made.status,
        content_type: made.content_type.as_bytes(),
        fields: &fields,
        body: &made.body,
    };
    let next = answer::send(worker, plan, connection, exchange, Some(route), answer).await;
    exchange.fields = fields;
    next
}

impl Exchange {
    /// What becomes of the connection after this exchange, when all of the request was read.
    pub fn after(&self, worker: &Worker, plan: &WorkerPlan, connection: &Connection) -> Next {
        let server = &plan.shared.plan.server;
        let most = server.keep_alive_requests;
        if !self.keep_alive {
            Next::Close(Close::Asked)
        } else if worker.draining.get() && !connection.admin {
            Next::Close(Close::Drain)
        } else if most > 0 && connection.exchanges >= most {
            Next::Close(Close::Requests)
        } else if server.keep_alive_ms == 0 {
            Next::Close(Close::KeepAliveOff)
        } else if worker.level.get() >= Level::Idle && !connection.admin {
            Next::Close(Close::Overload)
        } else {
            Next::KeepAlive
        }
    }
}
