//! Says which route a request would take, without sending anything.

use std::fmt::Write as _;

use tidegate_http1::{parse_request, request_facts};
use tidegate_message::RequestHead;
use tidegate_plan::Plan;
use tidegate_route::{Asked, Captures, Router, normalise_host, normalise_path};

use crate::{
    cache::Spoken,
    metrics::Metrics,
    prepare::{PlanRejected, Prepared},
};

/// The decision for one request, as JSON:
/// `{"listener": 0, "host": "…", "path": "…", "route": 3 or null, "matched_prefix": 3, "refused": null or "reason"}`.
pub fn explain(
    plan: Plan,
    listener: u32,
    method: &str,
    url: &str,
    headers: &[(String, String)],
) -> Result<String, PlanRejected> {
    let mut plan = plan;
    // Nothing is opened for an explanation.
    plan.access_log = None;
    plan.upstreams.iter_mut().for_each(|upstream| upstream.tls = None);
    let prepared = Prepared::new(plan, None, 0, &Metrics::new(1))?;
    let Some(router) = prepared.routers.get(listener as usize) else {
        return Err(PlanRejected {
            path: "listeners".into(),
            why: format!("there is no listener {listener}"),
        });
    };
    let decision = decide(&prepared, router, method, url, headers);
    let mut text = format!("{{\"listener\":{listener}");
    match decision {
        Ok(decision) => {
            text.push_str(",\"host\":");
            quote(&mut text, &decision.host);
            text.push_str(",\"path\":");
            quote(&mut text, &decision.path);
            match decision.route {
                Some((route, prefix)) => {
                    let _ = write!(text, ",\"route\":{route},\"matched_prefix\":{prefix}");
                    if let Some(key) = &decision.cache_key {
                        text.push_str(",\"cache_key\":");
                        quote(&mut text, key);
                    }
                }
                None => text.push_str(",\"route\":null,\"matched_prefix\":0"),
            }
            text.push_str(",\"refused\":null}");
        }
        Err(reason) => {
            text.push_str(",\"host\":\"\",\"path\":\"\",\"route\":null,\"matched_prefix\":0,\"refused\":");
            quote(&mut text, reason.as_bytes());
            text.push('}');
        }
    }
    Ok(text)
}

struct Decision {
    host: Vec<u8>,
    path: Vec<u8>,
    route: Option<(u32, usize)>,
    /// The text of the key that its answer is kept under.
    cache_key: Option<Vec<u8>>,
}

fn decide(
    prepared: &Prepared,
    router: &Router,
    method: &str,
    url: &str,
    headers: &[(String, String)],
) -> Result<Decision, &'static str> {
    let mut text = String::new();
    let after_scheme = url.split_once("://").map(|(_, rest)| rest);
    let (authority, target) = match after_scheme {
        Some(rest) => match rest.find(['/', '?']) {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, "/"),
        },
        None => ("", url),
    };
    let slash = if target.starts_with('/') || target == "*" { "" } else { "/" };
    let _ = write!(text, "{method} {slash}{target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let _ = write!(text, "Host: {authority}\r\n");
    }
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    let mut head = RequestHead::default();
    match parse_request(text.as_bytes(), &prepared.head_limits, &mut head) {
        Ok(Some(length)) if length == text.len() => {}
        Ok(_) => return Err("not_one_request"),
        Err(refusal) => return Err(refusal.as_str()),
    }
    request_facts(&head).map_err(|refusal| refusal.as_str())?;
    let (mut host_room, mut path_room) = (Vec::new(), Vec::new());
    let host = normalise_host(head.slice(head.authority), &mut host_room);
    let merge = prepared.plan.server.merge_slashes;
    let path =
        normalise_path(head.slice(head.path), merge, &mut path_room).map_err(|refusal| refusal.as_str())?;
    let asked = Asked {
        head: &head,
        host,
        path,
        method_name: head.slice(head.method_name),
        query: head.slice(head.query),
    };
    let found = router.find(&asked, &mut Captures::default());
    let cache_key = found.as_ref().and_then(|found| {
        let route = prepared.routes.get(found.route as usize)?;
        let scheme = if url.starts_with("https://") { b"https".as_slice() } else { b"http" };
        let spoken = Spoken { head: &head, host, path, scheme, route: &route.plan.name };
        Some(spoken.key_text(route.cache.as_ref()?))
    });
    Ok(Decision {
        cache_key,
        host: host.to_vec(),
        path: path.to_vec(),
        route: found.map(|found| (found.route, found.prefix_len)),
    })
}

/// A JSON string; bytes that are no UTF-8 are replaced.
pub fn quote(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            control if control < ' ' => drop(write!(out, "\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}
