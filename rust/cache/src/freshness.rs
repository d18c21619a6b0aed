//! How old an answer is and until when it may be given (RFC 9111 §4.2).

use tidegate_plan::RouteCache;

use crate::{
    control::{FOREVER, ResponseControl, delta_seconds},
    date,
    fields::{Fields, members},
    request::RequestFacts,
};

/// The most that a heuristic gives, in seconds: a day, of which RFC 9111 §4.2.2 used to warn.
const HEURISTIC_MOST: u64 = 86_400;

/// Everything that decides how an answer may be given, from the moment it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When it came, in milliseconds since 1970.
    pub response_ms: u64,
    /// How old it was then, in seconds.
    pub initial_age: u32,
    /// How long it is fresh from its birth on, in seconds.
    pub lifetime: u32,
    /// How long past that it is given while a new one is fetched.
    pub while_revalidate: u32,
    /// How long past that it is given where the origin fails.
    pub if_error: u32,
    /// It is never given without asking.
    pub no_cache: bool,
    /// Stale it is never given without asking.
    pub must_revalidate: bool,
    /// What it answers has not changed while it is fresh, so that a reload need not ask.
    pub immutable: bool,
}

/// When things happened, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The request was sent to the origin.
    pub request_ms: u64,
    /// The head of the answer came.
    pub response_ms: u64,
}

/// What may be done with an answer that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Given as it is.
    Fresh,
    /// Given though stale, because the client said that it may be.
    StaleAllowed,
    /// Given though stale, and a new one is fetched beside.
    StaleWhileRevalidate,
    /// The origin is asked first.
    Validate(Asked),
}

/// Why the origin is asked about an answer that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is stale.
    Stale,
    /// It may never be given without asking.
    NoCache,
    /// The request wants it so.
    Request,
}

impl Freshness {
    /// Of a response that came at `times`.
    pub fn new(
        status: u16,
        fields: &impl Fields,
        control: &ResponseControl,
        times: Times,
        rules: &RouteCache,
    ) -> Self {
        let explicit = explicit(fields, control, times);
        let lifetime = explicit
            .or_else(|| configured(status, rules))
            .or_else(|| heuristic(status, fields, control, times, rules))
            .unwrap_or(0);
        let lifetime = if status >= 400 { lifetime.min(rules.negative_s) } else { lifetime };
        let pragma = !control.present
            && fields
                .values(b"pragma")
                .flat_map(members)
                .any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        let strict = control.forbids_stale();
        let unless = |told: Option<u32>, otherwise: u32| if strict { 0 } else { told.unwrap_or(otherwise) };
        Self {
            response_ms: times.response_ms,
            initial_age: initial_age(fields, times),
            lifetime,
            while_revalidate: unless(control.stale_while_revalidate, rules.stale_while_revalidate_s),
            if_error: unless(control.stale_if_error, rules.stale_if_error_s),
            no_cache: control.no_cache || pragma,
            must_revalidate: strict,
            immutable: control.immutable,
        }
    }

    /// `current_age` (RFC 9111 §4.2.3), in seconds.
    pub fn age(&self, now_ms: u64) -> u32 {
        let resident = now_ms.saturating_sub(self.response_ms) / 1000;
        self.initial_age.saturating_add(u32::try_from(resident).unwrap_or(u32::MAX)).min(FOREVER)
    }

    /// For how many more seconds it is fresh; below zero: since when it is stale.
    pub fn left(&self, now_ms: u64) -> i64 {
        i64::from(self.lifetime) - i64::from(self.age(now_ms))
    }

    /// Whether `response_is_fresh` (RFC 9111 §4.2).
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.left(now_ms) > 0
    }

    /// Whether it may be given where the origin fails.
    pub fn if_error(&self, now_ms: u64) -> bool {
        !self.must_revalidate
            && !self.no_cache
            && -self.left(now_ms) <= i64::from(self.if_error)
            && (self.if_error > 0 || self.is_fresh(now_ms))
    }

    /// Whether it is of no use any more, but for its validators.
    pub fn is_over(&self, now_ms: u64) -> bool {
        let grace = self.while_revalidate.max(self.if_error);
        -self.left(now_ms) > i64::from(grace)
    }

    /// What may be done with it for a request. `softly` purged, it counts as stale.
    pub fn may(&self, request: &RequestFacts, now_ms: u64, softly: bool) -> Use {
        if request.no_cache {
            return Use::Validate(Asked::Request);
        }
        if self.no_cache {
            return Use::Validate(Asked::NoCache);
        }
        let age = self.age(now_ms);
        let left = if softly { self.left(now_ms).min(0) } else { self.left(now_ms) };
        // A reload asks with `max-age=0`: what does not change is not asked for again (RFC 8246 §2).
        let reloads = request.max_age == Some(0);
        let too_old = request.max_age.is_some_and(|most| age > most || reloads)
            && !(reloads && self.immutable && left > 0);
        if too_old && request.max_stale.is_none() {
            return Use::Validate(Asked::Request);
        }
        if left > 0 {
            return match request.min_fresh {
                Some(least) if left < i64::from(least) => Use::Validate(Asked::Request),
                _ if too_old => Use::Validate(Asked::Request),
                _ => Use::Fresh,
            };
        }
        if self.must_revalidate {
            return Use::Validate(Asked::Stale);
        }
        if request.max_stale.is_some_and(|most| -left <= i64::from(most)) && !softly {
            return Use::StaleAllowed;
        }
        if self.while_revalidate > 0
            && -left <= i64::from(self.while_revalidate)
            && request.min_fresh.is_none()
            && request.max_age.is_none()
        {
            return Use::StaleWhileRevalidate;
        }
        Use::Validate(Asked::Stale)
    }
}

/// What the origin says: `s-maxage`, `max-age`, `Expires`, in this order (RFC 9111 §4.2.1).
pub fn explicit(fields: &impl Fields, control: &ResponseControl, times: Times) -> Option<u32> {
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(seconds);
    }
    if control.targeted {
        return None;
    }
    let mut lines = fields.values(b"expires");
    let first = lines.next()?;
    // RFC 9111 §5.3: what is no date, as `0`, has passed already. So have two that differ.
    if lines.any(|other| other != first) {
        return Some(0);
    }
    let Some(expires) = date::parse(first) else { return Some(0) };
    // RFC 9110 §6.6.1: where there is no date, the time at which it came takes its place.
    let born = fields.value(b"date").and_then(date::parse).unwrap_or((times.response_ms / 1000) as i64);
    Some(expires.saturating_sub(born).clamp(0, i64::from(FOREVER)) as u32)
}

fn configured(status: u16, rules: &RouteCache) -> Option<u32> {
    let by = |wanted: u16| rules.ttl.iter().find(|ttl| ttl.status == wanted).map(|ttl| ttl.seconds);
    by(status).or_else(|| if is_heuristic(status) { by(0) } else { None })
}

/// RFC 9111 §4.2.2: a part of the time since the last change, where the status or `public` allows it.
fn heuristic(
    status: u16,
    fields: &impl Fields,
    control: &ResponseControl,
    times: Times,
    rules: &RouteCache,
) -> Option<u32> {
    if rules.heuristic_percent == 0 || !(is_heuristic(status) || control.public) {
        return None;
    }
    let modified = fields.value(b"last-modified").and_then(date::parse)?;
    let now = (times.response_ms / 1000) as i64;
    let born = fields.value(b"date").and_then(date::parse).unwrap_or(now);
    let since = u64::try_from(born.saturating_sub(modified)).ok()?;
    let part = since.saturating_mul(u64::from(rules.heuristic_percent)) / 100;
    Some(part.min(HEURISTIC_MOST) as u32)
}

/// Statuses that a cache may keep by itself (RFC 9110 §15.1), but for 206, which is kept with its range.
pub fn is_heuristic(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// `corrected_initial_age` (RFC 9111 §4.2.3), in seconds.
fn initial_age(fields: &impl Fields, times: Times) -> u32 {
    let response = (times.response_ms / 1000) as i64;
    let born = fields.value(b"date").and_then(date::parse);
    let apparent = born.map_or(0, |born| response.saturating_sub(born).clamp(0, i64::from(FOREVER)) as u32);
    let delay = times.response_ms.saturating_sub(times.request_ms) / 1000;
    let told = age(fields).saturating_add(u32::try_from(delay).unwrap_or(FOREVER));
    apparent.max(told).min(FOREVER)
}

/// The value of `Age`. Of several the first counts (RFC 9111 §5.1); one that can't be read says nothing good.
fn age(fields: &impl Fields) -> u32 {
    let Some(value) = fields.value(b"age") else { return 0 };
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    delta_seconds(first).unwrap_or(FOREVER)
}
