//! What people ask of the store and tell it: what is kept under a key, and what is to be forgotten.

use std::fmt::Write as _;

use tidegate_cache::{
    Found, Object, Purge,
    fields::{Fields, Pairs},
    key,
};
use tidegate_plan::CacheVary;

use super::Shared;
use crate::explain::quote;

/// Makes answers invalid, `softly` only stale. `what` is `key` (a key's text), `url`-like `prefix`, `host`, `tag` or
/// `all`. `None`: there is no such thing; else whether anything may have been meant (for a key, whether it was kept).
pub fn purge(shared: &Shared, what: &str, value: &[u8], softly: bool) -> Option<bool> {
    let purge = match what {
        "key" => return Some(shared.store.forget(key::hash(value), softly)),
        "prefix" => Purge::Prefix(value),
        "host" => Purge::Host(value),
        "tag" => Purge::Tag(value),
        "all" => Purge::All,
        _ => return None,
    };
    shared.store.purge(purge, softly);
    Some(true)
}

/// What is kept under a key's text, for a request without any field that `Vary` names.
pub fn describe(shared: &Shared, text: &[u8], now_ms: u64) -> Option<String> {
    let vary = CacheVary { accept_encoding: vec![], accept_language: vec![], ignore: vec![], most: 1 };
    let mut room = Vec::new();
    let found = shared.store.find(text, key::hash(text), &Pairs::default(), &vary, now_ms, &mut room);
    let mut out = String::new();
    match found {
        Found::Object { object, softly, .. } => write_object(&object, softly, now_ms, &mut out),
        Found::Pass(reason) => {
            let _ = write!(out, "{{\"kept\":false,\"reason\":\"{}\"}}", reason.as_str());
        }
        Found::Miss { reason: tidegate_cache::Reason::VaryMiss, .. } => {
            out.push_str("{\"kept\":true,\"variants\":true}");
        }
        Found::Miss { .. } => return None,
    }
    Some(out)
}

fn write_object(object: &Object, softly: bool, now_ms: u64, out: &mut String) {
    let freshness = object.freshness();
    let _ = write!(
        out,
        "{{\"kept\":true,\"status\":{},\"age\":{},\"ttl\":{},\"purged_softly\":{softly},\"bytes\":{},\"total\":{},\"weight\":{},\"fields\":[",
        object.status(),
        freshness.age(now_ms),
        freshness.left(now_ms),
        object.length(),
        object.total(),
        object.weight(),
    );
    for (at, (name, value)) in object.fields().lines().enumerate() {
        out.push_str(if at == 0 { "[" } else { ",[" });
        quote(out, name);
        out.push(',');
        quote(out, value);
        out.push(']');
    }
    out.push_str("]}");
}
