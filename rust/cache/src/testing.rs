//! Rules as a route has them where nothing is configured, for tests.

use tidegate_plan::{CacheKey, CacheQuery, CacheVary, RouteCache};

/// Keeps what the origin says.
pub fn rules() -> RouteCache {
    RouteCache {
        ttl: vec![],
        key: CacheKey {
            space: "shop".into(),
            scheme: true,
            host: true,
            query: CacheQuery { sort: false, keep: None, drop: vec![] },
            headers: vec![],
            cookies: vec![],
            template: vec![],
        },
        vary: CacheVary {
            accept_encoding: ["zstd", "br", "gzip"].map(String::from).into(),
            accept_language: vec![],
            ignore: vec![],
            most: 32,
        },
        bypass: vec![],
        stale_while_revalidate_s: 0,
        stale_if_error_s: 0,
        heuristic_percent: 0,
        negative_s: 300,
        object_bytes: 8 << 20,
        set_cookie: false,
        authorized: false,
        request_control: true,
        tags: vec!["Cache-Tag".into(), "Surrogate-Key".into()],
        hide: vec![],
        strip: vec![],
        debug: None,
        coalesce_ms: 5000,
    }
}

/// Fresh for a minute from second 1000 on.
#[cfg(test)]
pub fn draft(key: &str, fields: &str, tags: &[u64]) -> crate::Draft {
    crate::Draft {
        key: key.as_bytes().into(),
        fields: fields.as_bytes().into(),
        status: 200,
        freshness: crate::Freshness {
            response_ms: 1_000_000,
            initial_age: 0,
            lifetime: 60,
            while_revalidate: 0,
            if_error: 0,
            no_cache: false,
            must_revalidate: false,
            immutable: false,
        },
        tags: tags.into(),
        turn: 0,
        part: None,
    }
}
