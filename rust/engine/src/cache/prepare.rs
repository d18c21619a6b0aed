//! The rules of a route made ready, and the store taken over from plan to plan.

use std::sync::Arc;

use tidegate_auth::CidrSet;
use tidegate_cache::{Fills, Store};
use tidegate_message::RequestHead;
use tidegate_plan::{self as plan, CacheBypassPart, Plan, ValueTest};
use tidegate_route::Template;

use super::Shared;
use crate::prepare::{PlanRejected, Prepared, rejected};

/// The part of the store's memory that fills under way may hold.
const FILLS_PART: u64 = 4;

/// The rules of a route made ready.
pub struct PreparedCache {
    /// As they were decoded.
    pub rules: plan::RouteCache,
    /// What else is in the key.
    pub template: Option<Template>,
    /// Who is told keys.
    pub debug: Option<(Vec<u8>, CidrSet)>,
}

impl PreparedCache {
    /// Of the route at `path`.
    pub fn new(rules: &plan::RouteCache, path: &str) -> Result<Self, PlanRejected> {
        let template = match rules.key.template.is_empty() {
            true => None,
            false => Some(
                Template::compile(&rules.key.template)
                    .map_err(|why| rejected(format!("{path}.key.template"), why))?,
            ),
        };
        let debug = match &rules.debug {
            None => None,
            Some(debug) => {
                let allow = CidrSet::parse(&debug.allow)
                    .map_err(|error| rejected(format!("{path}.debug.allow[{}]", error.index), &error.why))?;
                Some((debug.header.clone().into_bytes(), allow))
            }
        };
        Ok(Self { rules: rules.clone(), template, debug })
    }

    /// Whether a request goes past the store.
    pub fn bypasses(&self, head: &RequestHead) -> bool {
        self.rules.bypass.iter().any(|bypass| {
            let name = bypass.test.name.as_bytes();
            let mut room = Vec::new();
            let value = match bypass.part {
                CacheBypassPart::Header => head.field(name),
                CacheBypassPart::Cookie => head.cookie(name),
                CacheBypassPart::Query => {
                    let there = tidegate_route::query_parameter(head.slice(head.query), name, &mut room);
                    there.then_some(&room[..])
                }
            };
            match &bypass.test.test {
                ValueTest::Present => value.is_some(),
                ValueTest::Absent => value.is_none(),
                ValueTest::Exact { value: wanted } => value == Some(wanted.as_bytes()),
                // The plan's check lets none through.
                ValueTest::Regex { .. } => false,
            }
        })
    }

    /// Whether a request field does not reach the origin, for it is in no key.
    pub fn strips(&self, name: &[u8]) -> bool {
        self.rules.strip.iter().any(|stripped| name.eq_ignore_ascii_case(stripped.as_bytes()))
    }
}

/// The store of a plan: that of the plan before, while its size stays.
pub fn store(plan: &Plan, before: Option<&Prepared>) -> Option<Arc<Shared>> {
    let wanted = plan.cache.as_ref()?;
    if let Some(kept) = before
        && kept.plan.cache.as_ref().is_some_and(|old| old.memory_bytes == wanted.memory_bytes)
        && let Some(cache) = &kept.cache
    {
        return Some(cache.clone());
    }
    let largest =
        plan.routes.iter().filter_map(|route| route.cache.as_ref()).map(|rules| rules.object_bytes).max();
    Some(Arc::new(Shared {
        store: Store::new(wanted.memory_bytes, largest.unwrap_or(1 << 20)),
        fills: Fills::new(wanted.memory_bytes / FILLS_PART),
    }))
}
