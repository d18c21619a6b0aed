//! Bounds of the rules for what is kept.

use crate::{CacheStore, Part, PlanError, RouteCache, ValueTest, Variable, check::require};

/// Checks the store.
pub(crate) fn store(store: &CacheStore) -> Result<(), PlanError> {
    require((1 << 20..=1 << 42).contains(&store.memory_bytes), "cache.memory_bytes", || {
        "must be 1 MiB to 4 TiB".into()
    })
}

/// Checks the rules of a route.
pub(crate) fn route(cache: &RouteCache, path: &str) -> Result<(), PlanError> {
    let here = |part: &str| format!("{path}.{part}");
    for (at, ttl) in cache.ttl.iter().enumerate() {
        require(
            ttl.status == 0 || (200..600).contains(&ttl.status),
            &here(&format!("ttl[{at}].status")),
            || "must be 0 or 200 to 599".into(),
        )?;
    }
    require(cache.heuristic_percent <= 100, &here("heuristic_percent"), || "must be 0 to 100".into())?;
    require((1..=64).contains(&cache.vary.most), &here("vary.most"), || "must be 1 to 64".into())?;
    require((1..=1 << 32).contains(&cache.object_bytes), &here("object_bytes"), || {
        "must be 1 to 4 GiB".into()
    })?;
    let has_break = |text: &String| text.contains('\n');
    require(!has_break(&cache.key.space), &here("key.space"), || "has an end of line".into())?;
    let lower = |name: &String| name.bytes().all(|byte| !byte.is_ascii_uppercase());
    require(cache.key.headers.iter().all(lower), &here("key.headers"), || "must be in lower case".into())?;
    require(cache.vary.ignore.iter().all(lower), &here("vary.ignore"), || "must be in lower case".into())?;
    for part in &cache.key.template {
        let known = match part {
            Part::Text { .. } | Part::Header { .. } | Part::Query { .. } | Part::Cookie { .. } => true,
            Part::Variable { name } => matches!(
                name,
                Variable::Host
                    | Variable::Authority
                    | Variable::Scheme
                    | Variable::Path
                    | Variable::Query
                    | Variable::RequestUri
                    | Variable::Route
                    | Variable::Dollar
            ),
            Part::Capture { .. } | Part::Claim { .. } => false,
        };
        require(known, &here("key.template"), || "asks for what a URL does not say".into())?;
    }
    for bypass in &cache.bypass {
        require(!bypass.test.name.is_empty(), &here("bypass"), || "needs a name".into())?;
        let by_pattern = matches!(bypass.test.test, ValueTest::Regex { .. });
        require(!by_pattern, &here("bypass"), || "can't go by a pattern".into())?;
    }
    Ok(())
}
