//! A plan made ready to run: patterns compiled, addresses parsed, everything looked up once.

use std::sync::Arc;

use tidegate_auth::{AccessList, CidrSet};
use tidegate_http1::Limits;
use tidegate_limit::{Concurrency, LeastRate, Quota, Table};
use tidegate_message::Field;
use tidegate_plan::{self as plan, Action, Plan, PlanError, UpstreamProtocol};
use tidegate_route::{HeaderEdits, Rewriter, Router, Template};
use tidegate_upstream::RetryPolicy;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    ai::prepare::PreparedAi,
    cache::{self, PreparedCache},
    exchange::Exchange,
    io::tls::{Client, HTTP1, HTTP2, Server},
    key_sets::{self, KeySets},
    log::{Format, Log},
    loop_guard::LoopGuard,
    metrics::Metrics,
    stage::auth::Auth,
    tcp::PreparedTcp,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// A plan made ready, shared by all workers.
pub struct Prepared {
    /// As it was decoded.
    pub plan: Plan,
    /// Counts up with every plan.
    pub generation: u64,
    /// Bounds on request heads.
    pub head_limits: Limits,
    /// Bounds on response heads.
    pub response_limits: Limits,
    /// Of request bodies.
    pub least_body_rate: LeastRate,
    /// Of what clients take of responses.
    pub least_send_rate: LeastRate,
    /// Peers whose word on the client is taken.
    pub trusted: CidrSet,
    /// By index of the listener; listeners with the same routes share one.
    pub routers: Vec<Arc<Router>>,
    /// By index of the route.
    pub routes: Vec<PreparedRoute>,
    /// Keys that tokens are checked with.
    pub key_sets: KeySets,
    /// By index of the listener: how its connections are passed on, `None` for those that speak HTTP.
    pub tcp: Vec<Option<PreparedTcp>>,
    /// By index of the upstream: how its connections are secured, `None` for plain ones.
    pub upstream_tls: Vec<Option<Arc<Client>>>,
    /// By index of the listener: how its connections are secured, `None` for plain ones.
    pub listener_tls: Vec<Option<Arc<Server>>>,
    /// By index of the limit.
    pub limits: Vec<PreparedLimit>,
    /// By index of the cap.
    pub caps: Vec<PreparedCap>,
    /// The buckets of all limits.
    pub buckets: Arc<Table>,
    /// The counts of all caps.
    pub in_flight: Arc<Concurrency>,
    /// By index of the hook: its place in the counters.
    pub hook_slots: Vec<u32>,
    /// The AI part.
    pub ai: Option<PreparedAi>,
    /// What is kept of answers.
    pub cache: Option<Arc<cache::Shared>>,
    /// How requests that come back are known.
    pub loop_guard: Option<LoopGuard>,
    /// Where lines go.
    pub log: Option<Log>,
    /// What lines look like.
    pub log_format: Option<Format>,
}

/// One route made ready.
pub struct PreparedRoute {
    /// As it was decoded.
    pub plan: plan::Route,
    /// Its place in the counters.
    pub slot: u32,
    /// Who may come by address.
    pub access: Option<AccessList>,
    /// Who may come by credential.
    pub auth: Option<Auth>,
    /// What the upstream gets instead.
    pub rewrite: Option<Rewriter>,
    /// Edits of what is forwarded.
    pub request_edits: HeaderEdits,
    /// Edits of what is answered.
    pub response_edits: HeaderEdits,
    /// Whether another attempt follows.
    pub retry: RetryPolicy,
    /// What is kept of its answers.
    pub cache: Option<PreparedCache>,
    /// The location of a redirect, or the body of a fixed response.
    pub template: Option<Template>,
}

/// One limit made ready.
pub struct PreparedLimit {
    /// As it was decoded.
    pub plan: plan::Limit,
    /// Its arithmetic.
    pub quota: Quota,
    /// Tells its keys from those of other limits.
    pub seed: u64,
    /// Its place in the counters.
    pub slot: u32,
}

/// One cap made ready.
pub struct PreparedCap {
    /// As it was decoded.
    pub plan: plan::Concurrency,
    /// Tells its keys from those of other caps.
    pub seed: u64,
    /// Its place in the counters.
    pub slot: u32,
}

/// Why a plan can't be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRejected {
    /// Where: `routes[3].rewrite.path.pattern`.
    pub path: String,
    /// What is wrong there.
    pub why: String,
}

impl std::fmt::Display for PlanRejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl std::error::Error for PlanRejected {}

impl From<PlanError> for PlanRejected {
    fn from(error: PlanError) -> Self {
        Self { path: error.path, why: error.why }
    }
}

/// What can't be run, and where it stands.
pub fn rejected(path: impl Into<String>, why: impl ToString) -> PlanRejected {
    PlanRejected { path: path.into(), why: why.to_string() }
}

/// Compiles what only needs the plan; nothing is opened, bound or started. [`Prepared::new`] does the rest.
pub fn check(plan: &Plan) -> Result<(), PlanRejected> {
    let metrics = Metrics::new(1);
    CidrSet::parse(&plan.server.trusted_proxies).map_err(|error| cidr("server.trusted_proxies", &error))?;
    routers(plan)?;
    let key_sets = key_sets::prepare(plan, None)?;
    for (index, route) in plan.routes.iter().enumerate() {
        PreparedRoute::new(route, index, &metrics, &key_sets)?;
    }
    for (index, limit) in plan.limits.iter().enumerate() {
        quota(limit, index)?;
    }
    PreparedTcp::all(plan, None, &metrics)?;
    upstream_names(plan)?;
    listener_tls(plan, None)?;
    if let Some(ai) = &plan.ai {
        PreparedAi::check(ai)?;
    }
    if let Some(log) = &plan.access_log {
        Format::compile(&log.format).map_err(|why| rejected("access_log.format", why))?;
    }
    Ok(())
}

impl Prepared {
    /// Makes a plan ready. What `before` has that did not change is taken over: buckets, counts, the log.
    pub fn new(
        mut plan: Plan,
        before: Option<&Prepared>,
        generation: u64,
        metrics: &Metrics,
    ) -> Result<Self, PlanRejected> {
        let trusted = CidrSet::parse(&plan.server.trusted_proxies)
            .map_err(|error| cidr("server.trusted_proxies", &error))?;
        let routers = routers(&plan)?;
        let key_sets = key_sets::prepare(&plan, before.map(|before| &before.key_sets))?;
        let routes = (plan.routes.iter().enumerate())
            .map(|(index, route)| PreparedRoute::new(route, index, metrics, &key_sets))
            .collect::<Result<_, _>>()?;
        let tcp = PreparedTcp::all(&plan, before, metrics)?;
        let upstream_tls = upstream_tls(&plan, before)?;
        let listener_tls = listener_tls(&plan, before)?;
        let limits = (plan.limits.iter().enumerate())
            .map(|(index, limit)| {
                let identity = format!("{} {} {}", limit.name, limit.rate.tokens, limit.rate.per_ms);
                let seed = xxh3_64(identity.as_bytes());
                let slot = metrics.limit_slot(&limit.name);
                Ok(PreparedLimit { quota: quota(limit, index)?, seed, slot, plan: limit.clone() })
            })
            .collect::<Result<_, PlanRejected>>()?;
        let caps = (plan.concurrency.iter())
            .map(|cap| PreparedCap {
                seed: xxh3_64(cap.name.as_bytes()),
                slot: metrics.limit_slot(&cap.name),
                plan: cap.clone(),
            })
            .collect();
        let same_room = |kept: &&Prepared| kept.plan.server.limit_keys == plan.server.limit_keys;
        let most = plan.server.limit_keys as usize;
        // A table for a million keys is made only where something is limited.
        let buckets = match before.filter(same_room).filter(|kept| !kept.limits.is_empty()) {
            Some(kept) => kept.buckets.clone(),
            None => Arc::new(Table::new(if plan.limits.is_empty() { 1 } else { most })),
        };
        let in_flight = match before.filter(same_room).filter(|kept| !kept.caps.is_empty()) {
            Some(kept) => kept.in_flight.clone(),
            None => Arc::new(Concurrency::new(if plan.concurrency.is_empty() { 1 } else { most })),
        };
        let log = match (&plan.access_log, before.and_then(|kept| kept.log.as_ref())) {
            (None, _) => None,
            (Some(config), Some(kept)) if kept.plan() == config => Some(kept.clone()),
            (Some(config), _) => Some(Log::open(config).map_err(|error| rejected("access_log", error))?),
        };
        let log_format = match &plan.access_log {
            None => None,
            Some(config) => {
                Some(Format::compile(&config.format).map_err(|why| rejected("access_log.format", why))?)
            }
        };
        let ai = match plan.ai.take() {
            None => None,
            Some(ai) => {
                Some(PreparedAi::new(ai, &plan.upstreams, before.and_then(|kept| kept.ai.as_ref()), metrics)?)
            }
        };
        let server = &plan.server;
        Ok(Self {
            ai,
            cache: cache::store(&plan, before),
            generation,
            head_limits: Limits {
                head_bytes: server.head_bytes as usize,
                head_fields: server.head_fields as usize,
            },
            least_body_rate: LeastRate::new(server.abuse.min_body_rate, server.abuse.rate_grace_ms),
            least_send_rate: LeastRate::new(server.abuse.min_send_rate, server.abuse.rate_grace_ms),
            response_limits: Limits { head_bytes: RESPONSE_HEAD_BYTES, head_fields: RESPONSE_HEAD_FIELDS },
            trusted,
            routers,
            routes,
            key_sets,
            tcp,
            upstream_tls,
            listener_tls,
            limits,
            caps,
            buckets,
            in_flight,
            hook_slots: plan.hooks.iter().map(|hook| metrics.hook_slot(&hook.name)).collect(),
            loop_guard: plan.server.loop_guard.as_ref().map(LoopGuard::from),
            log,
            log_format,
            plan,
        })
    }
}

/// An upstream's head may be larger than a client's: it is trusted more, and cookies add up.
const RESPONSE_HEAD_BYTES: usize = 128 * 1024;
const RESPONSE_HEAD_FIELDS: usize = 1000;

fn cidr(path: &str, error: &tidegate_auth::CidrError) -> PlanRejected {
    rejected(format!("{path}[{}]", error.index), &error.why)
}

fn quota(limit: &plan::Limit, index: usize) -> Result<Quota, PlanRejected> {
    Quota::new(limit.rate.tokens, limit.rate.per_ms, limit.burst, limit.delay_ms)
        .ok_or_else(|| rejected(format!("limits[{index}]"), "an empty bucket would take years to fill"))
}

/// Every endpoint within TLS has a name to check.
fn upstream_names(plan: &Plan) -> Result<(), PlanRejected> {
    for (index, upstream) in plan.upstreams.iter().enumerate() {
        let Some(tls) = &upstream.tls else { continue };
        for endpoint in &upstream.endpoints {
            Client::name(tls, &endpoint.address).map_err(|refused| {
                rejected(format!("upstreams[{index}].tls.{}", refused.part), refused.why)
            })?;
        }
    }
    Ok(())
}

/// Clients of upstreams within TLS; those of which nothing has changed go on with their sessions.
fn upstream_tls(plan: &Plan, before: Option<&Prepared>) -> Result<Vec<Option<Arc<Client>>>, PlanRejected> {
    upstream_names(plan)?;
    let make = |(index, upstream): (usize, &plan::Upstream)| {
        let Some(tls) = &upstream.tls else { return Ok(None) };
        let kept = before.and_then(|before| {
            let at = before.plan.upstreams.iter().position(|kept| kept.name == upstream.name)?;
            before.upstream_tls.get(at)?.as_ref()
        });
        let offered: &[&[u8]] = match upstream.protocol {
            UpstreamProtocol::Http1 => &[HTTP1],
            UpstreamProtocol::Http2 => &[HTTP2],
            UpstreamProtocol::Auto => &[HTTP2, HTTP1],
        };
        Client::new(tls, &upstream.name, offered, kept)
            .map(Some)
            .map_err(|refused| rejected(format!("upstreams[{index}].tls.{}", refused.part), refused.why))
    };
    plan.upstreams.iter().enumerate().map(make).collect()
}

/// Listeners within TLS; sessions of those that let in the same clients go on.
fn listener_tls(plan: &Plan, before: Option<&Prepared>) -> Result<Vec<Option<Arc<Server>>>, PlanRejected> {
    let make = |(index, listener): (usize, &plan::Listener)| {
        let Some(tls) = &listener.tls else { return Ok(None) };
        let kept = before.and_then(|before| {
            let at = before.plan.listeners.iter().position(|kept| kept.name == listener.name)?;
            before.listener_tls.get(at)?.as_ref()
        });
        Server::new(tls, &listener.name, listener.http2, kept)
            .map(Some)
            .map_err(|refused| rejected(format!("listeners[{index}].tls.{}", refused.part), refused.why))
    };
    plan.listeners.iter().enumerate().map(make).collect()
}

/// One router for each set of listeners; most plans have one, beside that of the admin listener.
fn routers(plan: &Plan) -> Result<Vec<Arc<Router>>, PlanRejected> {
    let mut made: Vec<(Vec<u32>, Arc<Router>)> = Vec::new();
    let mut routers = Vec::new();
    for listener in 0..plan.listeners.len() as u32 {
        let served: Vec<u32> = (plan.routes.iter().enumerate())
            .filter(|(_, route)| route.listeners.contains(&listener))
            .map(|(index, _)| index as u32)
            .collect();
        if let Some((_, router)) = made.iter().find(|(same, _)| *same == served) {
            routers.push(router.clone());
            continue;
        }
        let routes = served.iter().map(|index| (*index, &plan.routes[*index as usize].matches));
        let router = Router::build(routes)
            .map_err(|error| rejected(format!("routes[{}].{}", error.route, error.path), &error.why))?;
        let router = Arc::new(router);
        made.push((served, router.clone()));
        routers.push(router);
    }
    Ok(routers)
}

impl PreparedRoute {
    fn new(
        route: &plan::Route,
        index: usize,
        metrics: &Metrics,
        key_sets: &KeySets,
    ) -> Result<Self, PlanRejected> {
        let here = |part: &str| format!("routes[{index}].{part}");
        let access = match &route.access {
            None => None,
            Some(access) => {
                let parse = |list: &[String], name: &str| {
                    CidrSet::parse(list).map_err(|error| cidr(&here(&format!("access.{name}")), &error))
                };
                Some(AccessList::new(parse(&access.allow, "allow")?, parse(&access.deny, "deny")?))
            }
        };
        let auth = match &route.auth {
            None => None,
            Some(auth) => Some(Auth::new(auth, key_sets, &here("auth"))?),
        };
        let template = match &route.action {
            Action::Redirect(redirect) => Some((&redirect.location, "action.location")),
            Action::Respond(respond) => Some((&respond.body, "action.body")),
            _ => None,
        };
        let template = match template {
            None => None,
            Some((template, part)) => {
                Some(Template::compile(template).map_err(|why| rejected(here(part), why))?)
            }
        };
        let rewrite = match &route.rewrite {
            None => None,
            Some(rewrite) => {
                Some(Rewriter::compile(rewrite).map_err(|(part, why)| rejected(here(&part), why))?)
            }
        };
        Ok(Self {
            slot: metrics.route_slot(&route.name),
            access,
            auth,
            rewrite,
            request_edits: HeaderEdits::compile(&route.request_headers)
                .map_err(|(part, why)| rejected(here(&format!("request_headers{part}")), why))?,
            response_edits: HeaderEdits::compile(&route.response_headers)
                .map_err(|(part, why)| rejected(here(&format!("response_headers{part}")), why))?,
            retry: RetryPolicy::from(&route.retry),
            cache: match &route.cache {
                None => None,
                Some(rules) => Some(PreparedCache::new(rules, &here("cache"))?),
            },
            template,
            plan: route.clone(),
        })
    }

    /// Whether a field is a credential that is not forwarded.
    pub fn strips(&self, field: &Field, name: &[u8]) -> bool {
        self.auth.as_ref().is_some_and(|auth| auth.strips(field, name))
    }

    /// The query parameters that are credentials, and whether they are not forwarded.
    pub fn query_credentials(&self) -> impl Iterator<Item = (&str, bool)> {
        self.auth.iter().flat_map(Auth::query_names)
    }

    /// Writes the fields that the route adds to every answer.
    pub fn write_response_edits(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        exchange: &Exchange,
        out: &mut Vec<u8>,
    ) {
        if !self.response_edits.is_empty() {
            self.response_edits.write(&Variables { worker, plan, exchange }, out);
        }
    }
}
