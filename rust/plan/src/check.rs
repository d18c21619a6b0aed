//! Decoding and the checks that serde cannot state: bounds, and indices that point somewhere.

use std::{collections::HashSet, fmt};

use crate::{Action, Auth, Memory, Plan, SCHEMA, check_ai, check_cache, check_tcp};

/// Why a plan was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Where, as `routes[3].action.upstream`; empty where the text is no plan at all.
    pub path: String,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.path, self.why) }
    }
}

impl std::error::Error for PlanError {}

pub(crate) fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
    let plan: Plan = serde_json::from_slice(bytes)
        .map_err(|error| PlanError { path: String::new(), why: format!("not a plan: {error}") })?;
    check(&plan)?;
    Ok(plan)
}

fn check(plan: &Plan) -> Result<(), PlanError> {
    require(plan.schema == SCHEMA, "schema", || {
        format!("this engine runs schema {SCHEMA}, the plan has {}", plan.schema)
    })?;
    require(
        plan.server.head_bytes >= 1024 && plan.server.head_bytes <= 1 << 20,
        "server.head_bytes",
        || "must be 1024 to 1048576".into(),
    )?;
    require((1..=1000).contains(&plan.server.head_fields), "server.head_fields", || {
        "must be 1 to 1000".into()
    })?;
    require((1..=1 << 24).contains(&plan.server.limit_keys), "server.limit_keys", || {
        "must be 1 to 16777216".into()
    })?;
    if let Memory::Share { percent } = plan.server.abuse.memory {
        require((1..=100).contains(&percent), "server.abuse.memory.percent", || "must be 1 to 100".into())?;
    }
    for (at, route) in plan.routes.iter().enumerate() {
        let here = |part: &str| format!("routes[{at}].{part}");
        indices(&route.listeners, plan.listeners.len(), &here("listeners"))?;
        indices(&route.limits, plan.limits.len(), &here("limits"))?;
        indices(&route.concurrency, plan.concurrency.len(), &here("concurrency"))?;
        indices(route.hook.as_slice(), plan.hooks.len(), &here("hook"))?;
        require((1..=16).contains(&route.retry.attempts), &here("retry.attempts"), || {
            "must be 1 to 16".into()
        })?;
        if let Some(cache) = &route.cache {
            check_cache::route(cache, &here("cache"))?;
            require(plan.cache.is_some(), "cache", || "a route that keeps answers needs it".into())?;
        }
        if let Some(auth) = &route.auth {
            check_auth(plan, auth, &here("auth"), true)?;
        }
        match &route.action {
            Action::Forward { upstream } => {
                indices(&[*upstream], plan.upstreams.len(), &here("action.upstream"))?;
            }
            Action::Redirect(redirect) => {
                require(
                    matches!(redirect.status, 301 | 302 | 303 | 307 | 308),
                    &here("action.status"),
                    || format!("{} does not redirect; use 301, 302, 303, 307 or 308", redirect.status),
                )?;
            }
            Action::Respond(respond) => {
                require((200..600).contains(&respond.status), &here("action.status"), || {
                    "must be 200 to 599".into()
                })?;
            }
            Action::Hook => {
                require(route.hook.is_some(), &here("hook"), || "this action needs a hook".into())?
            }
            Action::Ai(on) => {
                let ai = plan.ai.as_ref();
                require(ai.is_some(), "ai", || "an AI route needs it".into())?;
                indices(&on.guards, ai.map_or(0, |ai| ai.guards.len()), &here("action.guards"))?;
            }
            Action::Builtin { .. } | Action::Https { .. } => {}
        }
    }
    if let Some(ai) = &plan.ai {
        check_ai::check(plan, ai)?;
    }
    if let Some(store) = &plan.cache {
        check_cache::store(store)?;
    }
    let mut names = HashSet::new();
    for (at, listener) in plan.listeners.iter().enumerate() {
        check_tcp::check(plan, listener, &format!("listeners[{at}]"))?;
        require(names.insert(&listener.name), &format!("listeners[{at}].name"), || {
            format!("{:?} names another listener already", listener.name)
        })?;
        if let Some(tls) = &listener.tls {
            let here = |part: &str| format!("listeners[{at}].tls.{part}");
            require(!tls.certificates.is_empty(), &here("certificates"), || "needs at least one".into())?;
            require(matches!(tls.tickets_s, 0 | 60..=43_200), &here("tickets_s"), || {
                "must be 0 or 60 to 43200".into()
            })?;
        }
    }
    for (at, upstream) in plan.upstreams.iter().enumerate() {
        require(!upstream.endpoints.is_empty(), &format!("upstreams[{at}].endpoints"), || {
            "needs at least one".into()
        })?;
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            require(
                (1..=1000).contains(&endpoint.weight),
                &format!("upstreams[{at}].endpoints[{index}].weight"),
                || "must be 1 to 1000".into(),
            )?;
        }
    }
    for (at, limit) in plan.limits.iter().enumerate() {
        let here = |part: &str| format!("limits[{at}].{part}");
        require(limit.rate.tokens > 0 && limit.rate.per_ms > 0, &here("rate"), || {
            "must be above zero".into()
        })?;
        require(limit.burst > 0, &here("burst"), || "must be at least 1".into())?;
        require((1..=limit.burst).contains(&limit.cost), &here("cost"), || "must be 1 to burst".into())?;
    }
    for (at, cap) in plan.concurrency.iter().enumerate() {
        require(cap.max > 0, &format!("concurrency[{at}].max"), || "must be at least 1".into())?;
    }
    Ok(())
}

/// `alone`: it may be several at once.
fn check_auth(plan: &Plan, auth: &Auth, path: &str, alone: bool) -> Result<(), PlanError> {
    match auth {
        Auth::ApiKeys(_) | Auth::Basic(_) => Ok(()),
        Auth::Jwt(jwt) => {
            require(!jwt.sources.is_empty(), &format!("{path}.sources"), || "needs at least one".into())?;
            let fetch = jwt.key_set.fetch.as_ref().map(|fetch| fetch.hook);
            indices(fetch.as_slice(), plan.hooks.len(), &format!("{path}.key_set.fetch.hook"))
        }
        Auth::Forward(forward) => {
            require(alone, path, || "asks somebody else, and is not one of several".into())?;
            indices(&[forward.upstream], plan.upstreams.len(), &format!("{path}.upstream"))?;
            let visible = |target: &str| target.bytes().all(|byte| byte.is_ascii_graphic());
            require(
                forward.target.starts_with('/') && visible(&forward.target),
                &format!("{path}.target"),
                || "must be a path of visible characters".into(),
            )
        }
        Auth::Oidc(oidc) => {
            require(alone, path, || "asks somebody else, and is not one of several".into())?;
            indices(&[oidc.hook], plan.hooks.len(), &format!("{path}.hook"))
        }
        Auth::Any(any) => {
            require(alone && !any.methods.is_empty(), &format!("{path}.methods"), || {
                "needs at least one, and none that is `any` again".into()
            })?;
            (any.methods.iter().enumerate())
                .try_for_each(|(at, one)| check_auth(plan, one, &format!("{path}.methods[{at}]"), false))
        }
    }
}

pub(crate) fn indices(list: &[u32], len: usize, path: &str) -> Result<(), PlanError> {
    match list.iter().find(|index| **index as usize >= len) {
        Some(index) => {
            Err(PlanError { path: path.into(), why: format!("index {index} points past {len} entries") })
        }
        None => Ok(()),
    }
}

pub(crate) fn require(holds: bool, path: &str, why: impl FnOnce() -> String) -> Result<(), PlanError> {
    if holds { Ok(()) } else { Err(PlanError { path: path.into(), why: why() }) }
}
