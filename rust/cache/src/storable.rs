//! Whether an answer is kept, and which of its fields (RFC 9111 §3).

use tidegate_message::{Known, ResponseHead, hop_by_hop};
use tidegate_plan::RouteCache;

use crate::{
    conditional::{has_validator, write_line},
    control::ResponseControl,
    fields::{Fields, members},
    freshness::{self, Freshness, Times},
    reason::Reason,
    request::RequestFacts,
};

/// An answer that may be kept: what there is to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storable {
    /// Until when.
    pub freshness: Freshness,
    /// Fields that are not kept, lower case.
    pub hidden: Vec<Vec<u8>>,
}

/// Whether the answer to a GET is kept.
///
/// # Errors
/// The first rule that speaks against it.
pub fn judge(
    request: &RequestFacts,
    response: &ResponseHead,
    times: Times,
    rules: &RouteCache,
) -> Result<Storable, Reason> {
    let control = ResponseControl::read(response);
    let status = response.status;
    if request.no_store {
        return Err(Reason::RequestNoStore);
    }
    // RFC 9111 §5.2.2.3: where the status is understood, `must-understand` outweighs `no-store`.
    if control.must_understand && !is_understood(status) {
        return Err(Reason::StatusNotUnderstood);
    }
    if control.no_store && !control.must_understand {
        return Err(Reason::NoStore);
    }
    if control.private {
        return Err(Reason::Private);
    }
    if request.authorized && !control.allows_authorized() {
        return Err(Reason::Authorization);
    }
    if status == 206 && !request.range {
        return Err(Reason::BadPart);
    }
    if matches!(status, 304 | 416) || status < 200 {
        return Err(Reason::Status);
    }
    if response.lines().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"vary") && members(value).any(|member| member == b"*")
    }) {
        return Err(Reason::VaryStar);
    }
    if !rules.set_cookie && !control.public && response.value(b"set-cookie").is_some() {
        let hides = |hidden: &Vec<u8>| hidden == b"set-cookie";
        let stripped = rules.hide.iter().any(|name| name.eq_ignore_ascii_case("set-cookie"));
        if !stripped && !control.hidden.iter().any(hides) {
            return Err(Reason::SetCookie);
        }
    }
    // A part is judged as the whole would be.
    let whole = if status == 206 { 200 } else { status };
    let freshness = Freshness::new(whole, response, &control, times, rules);
    let is_explicit = freshness::explicit(response, &control, times).is_some();
    let is_configured = rules.ttl.iter().any(|ttl| ttl.status == whole);
    if !(is_explicit || is_configured || control.public || freshness::is_heuristic(whole)) {
        return Err(Reason::Status);
    }
    let useful = freshness.lifetime > freshness.initial_age
        || freshness.while_revalidate > 0
        || freshness.if_error > 0
        || has_validator(response);
    if !useful {
        return Err(if is_explicit { Reason::Expired } else { Reason::NoFreshness });
    }
    if freshness.no_cache && !has_validator(response) {
        return Err(Reason::NoCache);
    }
    let mut hidden = control.hidden;
    hidden.extend(rules.hide.iter().map(|name| name.to_ascii_lowercase().into_bytes()));
    Ok(Storable { freshness, hidden })
}

/// Statuses whose rules of caching this cache follows: those that RFC 9110 §15 registers.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Whether a field is kept (RFC 9111 §3.1), whatever the connection says. `hidden` is in lower case.
pub fn is_kept(name: &[u8], hidden: &[Vec<u8>]) -> bool {
    let dropped: &[&[u8]] = match name.len() {
        // What is derived anew for every answer.
        3 => &[b"age"],
        18 => &[b"proxy-authenticate"],
        25 => &[b"proxy-authentication-info"],
        12 => &[b"cache-status"],
        _ => &[],
    };
    !dropped.iter().any(|other| name.eq_ignore_ascii_case(other))
        && !hidden.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// Appends the lines of a response that are kept.
pub fn write_kept(response: &ResponseHead, hidden: &[Vec<u8>], out: &mut Vec<u8>) {
    let nominated: Vec<&[u8]> =
        response.all(Known::Connection).flat_map(tidegate_message::list_members).collect();
    for field in &response.fields {
        let name = response.slice(field.name);
        let nominated = || nominated.iter().any(|other| name.eq_ignore_ascii_case(other));
        if !hop_by_hop(field.known) && is_kept(name, hidden) && !nominated() {
            write_line(name, response.slice(field.value), out);
        }
    }
}
