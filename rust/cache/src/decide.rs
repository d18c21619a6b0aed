//! The two decisions: what a request gets from the store, and what becomes of the origin's answer.

use std::sync::Arc;

use tidegate_message::{Method, ResponseHead};
use tidegate_plan::RouteCache;

use crate::{
    Draft, Found, Freshness, Object, Outcome, Part, Reason, RequestFacts, ResponseControl, Store, Times, Use,
    conditional,
    control::FOREVER,
    fields::{Fields, Kept},
    freshness::Asked,
    purge, range, storable,
    vary::Spec,
};

/// How long an answer that could not be kept makes others of its key be fetched each by itself, in milliseconds.
pub const PASS_MS: u64 = 60_000;

/// A request as the store sees it.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a, F> {
    /// Its method.
    pub method: Method,
    /// Its fields.
    pub fields: &'a F,
    /// What was read of them.
    pub facts: &'a RequestFacts,
    /// The text of its key.
    pub text: &'a [u8],
    /// The text's hash.
    pub hash: u128,
    /// The rules of its route.
    pub rules: &'a RouteCache,
}

/// What a request gets.
#[derive(Debug)]
pub enum Verdict {
    /// What is kept.
    Give {
        /// What.
        object: Arc<Object>,
        /// [`Outcome::Hit`], or [`Outcome::Stale`]: then it is fetched anew beside.
        outcome: Outcome,
        /// Where it is kept.
        slot: u128,
    },
    /// What the origin says; it may be kept.
    Fetch(Fetch),
    /// What the origin says; it is not kept.
    Pass(Reason),
    /// 504: the client wanted it only from the store (RFC 9111 §5.2.1.7).
    Refuse,
}

/// An answer that is to be fetched.
#[derive(Debug)]
pub struct Fetch {
    /// Why.
    pub reason: Reason,
    /// Where it will be kept, as far as that is known.
    pub slot: u128,
    /// What is kept and may still hold.
    pub kept: Option<Arc<Object>>,
    /// A part that is kept, which a new one may be put together with.
    pub part: Option<Arc<Object>>,
    /// Whether others who ask for the same wait for this one.
    pub shared: bool,
}

/// Looks for an answer to a request.
pub fn decide<F: Fields>(store: &Store, asking: &Asking<'_, F>, now_ms: u64, room: &mut Vec<u8>) -> Verdict {
    let Asking { facts, rules, .. } = asking;
    match asking.method {
        Method::Get | Method::Head => {}
        _ => return Verdict::Pass(Reason::Method),
    }
    if facts.precondition {
        return Verdict::Pass(Reason::Precondition);
    }
    if facts.no_store {
        return Verdict::Pass(Reason::RequestNoStore);
    }
    let fetch = |reason, slot, kept: Option<Arc<Object>>, shared: bool| {
        if facts.only_if_cached {
            Verdict::Refuse
        } else if facts.head {
            Verdict::Pass(Reason::Head)
        } else {
            // Whoever has credentials may get what others may not, and a part is not what others wait for.
            let shared = shared && !facts.authorized && !facts.range && !facts.no_cache;
            Verdict::Fetch(Fetch { reason, slot, kept, part: None, shared })
        }
    };
    let (object, softly, slot) =
        match store.find(asking.text, asking.hash, asking.fields, &rules.vary, now_ms, room) {
            Found::Object { object, softly, slot } => (object, softly, slot),
            Found::Pass(Reason::KeyCollision) => return Verdict::Pass(Reason::KeyCollision),
            // It may have become one that can be kept.
            Found::Pass(_) => return fetch(Reason::HitForPass, asking.hash, None, false),
            Found::Miss { reason, slot } => return fetch(reason, slot, None, true),
        };
    if object.part().is_some() && !covers(&object, asking) {
        return match fetch(Reason::Partial, slot, None, !facts.range) {
            Verdict::Fetch(fetch) => Verdict::Fetch(Fetch { part: Some(object), ..fetch }),
            verdict => verdict,
        };
    }
    let give = |object, outcome| Verdict::Give { object, outcome, slot };
    let asked = match object.freshness().may(facts, now_ms, softly) {
        Use::Fresh | Use::StaleAllowed => return give(object, Outcome::Hit),
        Use::StaleWhileRevalidate => return give(object, Outcome::Stale),
        Use::Validate(asked) => asked,
    };
    let reason = match asked {
        Asked::Stale => Reason::Stale,
        Asked::NoCache => Reason::NoCache,
        Asked::Request => Reason::RequestNoCache,
    };
    // A part is not asked about: its range would have to be asked for with it.
    let kept = object.part().is_none().then_some(object);
    fetch(reason, slot, kept, true)
}

/// Whether a part that is kept holds all that the request asks for.
fn covers<F: Fields>(object: &Object, asking: &Asking<'_, F>) -> bool {
    let Some(value) = asking.fields.value(b"range") else { return false };
    if !conditional::range_applies(asking.fields, &object.fields()) {
        return false;
    }
    match range::select(value, object.total()) {
        range::Asked::One(part) => object.has(&part),
        range::Asked::Many(parts) => parts.iter().all(|part| object.has(part)),
        range::Asked::Whole | range::Asked::Unsatisfiable => false,
    }
}

/// What becomes of the origin's answer to a [`Fetch`].
#[derive(Debug)]
pub enum Arrived {
    /// What is kept holds, under new fields.
    Confirmed(Arc<Object>),
    /// A 304 that is not about what is kept: it is fetched again, without conditions.
    Mistaken,
    /// The origin fails, and what is kept is given in its place (RFC 5861 §4).
    Failing,
    /// It is kept.
    Keep {
        /// What it is, but for its content.
        draft: Box<Draft>,
        /// Where it is kept.
        slot: u128,
    },
    /// It is not kept.
    Drop(Reason),
}

/// What there is to know of an answer that came.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Its head.
    pub response: &'a ResponseHead,
    /// When it was asked for and when it came.
    pub times: Times,
    /// The turn of purges in which it was asked for.
    pub turn: u64,
    /// The length of its content, if that is known.
    pub length: Option<u64>,
    /// What was kept, and asked about.
    pub kept: Option<&'a Arc<Object>>,
}

/// Decides on the origin's answer.
pub fn arrived<F: Fields>(store: &Store, asking: &Asking<'_, F>, came: &Came<'_>) -> Arrived {
    let Came { response, times, kept, .. } = *came;
    let status = response.status;
    if status == 304
        && let Some(kept) = kept
    {
        return match confirmed(asking.rules, came, kept) {
            Some(object) => Arrived::Confirmed(Arc::new(object)),
            None => Arrived::Mistaken,
        };
    }
    if is_failure(status)
        && let Some(kept) = kept
        && kept.freshness().if_error(times.response_ms)
    {
        return Arrived::Failing;
    }
    match keep(store, asking, came) {
        Ok((draft, slot)) => Arrived::Keep { draft: Box::new(draft), slot },
        Err(reason) => Arrived::Drop(reason),
    }
}

/// RFC 5861 §4: what counts as an error.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// RFC 9111 §4.3.4: what is kept, freshened by a 304.
fn confirmed(rules: &RouteCache, came: &Came<'_>, kept: &Object) -> Option<Object> {
    if !conditional::confirms(came.response, &kept.fields()) {
        return None;
    }
    let mut hidden: Vec<Vec<u8>> =
        rules.hide.iter().map(|name| name.to_ascii_lowercase().into_bytes()).collect();
    hidden.extend(ResponseControl::read(came.response).hidden);
    let mut fields = Vec::new();
    conditional::write_merged(kept.fields(), came.response, &hidden, &mut fields);
    let merged = Kept(&fields);
    let control = ResponseControl::read(&merged);
    let mut freshness = Freshness::new(kept.status(), &merged, &control, came.times, rules);
    // The stored Age and Date are those of the first answer; the 304 says how old its word is.
    freshness.initial_age = Freshness::new(200, came.response, &control, came.times, rules).initial_age;
    if control.no_store || control.private {
        freshness.lifetime = 0;
    }
    let tags = purge::tags(&merged, &rules.tags);
    Some(kept.with(&fields, freshness, tags.into(), came.turn))
}

fn keep<F: Fields>(store: &Store, asking: &Asking<'_, F>, came: &Came<'_>) -> Result<(Draft, u128), Reason> {
    let Came { response, times, turn, length, .. } = *came;
    let judged = storable::judge(asking.facts, response, times, asking.rules)?;
    if length.is_some_and(|length| length > asking.rules.object_bytes) {
        return Err(Reason::TooLarge);
    }
    let part = if response.status == 206 { Some(part_of(response, length)?) } else { None };
    let spec = Spec::read(response, &asking.rules.vary)?;
    let mut fields = Vec::with_capacity(response.bytes.len());
    storable::write_kept(response, &judged.hidden, &mut fields);
    if part.is_some() {
        fields = without(&fields, b"content-range");
    }
    let tags = purge::tags(response, &asking.rules.tags);
    let (key, slot) = store.place(asking.text, asking.hash, spec, asking.fields, &asking.rules.vary);
    let draft = Draft {
        key: key.into(),
        fields: fields.into(),
        status: if part.is_some() { 200 } else { response.status },
        freshness: judged.freshness,
        tags: tags.into(),
        turn,
        part,
    };
    Ok((draft, slot))
}

/// RFC 9111 §3.3: one range, of a known whole, that is as long as it says.
fn part_of(response: &ResponseHead, length: Option<u64>) -> Result<Part, Reason> {
    let told = response.field(b"content-range").and_then(range::content_range).ok_or(Reason::BadPart)?;
    if length.is_some_and(|length| length != told.end - told.start) || told.total > u64::from(FOREVER) << 16 {
        return Err(Reason::BadPart);
    }
    Ok(Part { start: told.start, total: told.total })
}

fn without(fields: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(fields.len());
    for (other, value) in Kept(fields).lines() {
        if !other.eq_ignore_ascii_case(name) {
            conditional::write_line(other, value, &mut out);
        }
    }
    out
}

/// Joins a new part with what is kept of the same representation (RFC 9111 §3.4): the whole, a larger part, or the new
/// part alone where they do not touch.
pub fn assemble(kept: &Object, new: &Object) -> Option<Object> {
    let (Some(old), Some(part)) = (kept.part(), new.part()) else { return None };
    let old_end = old.start + kept.length();
    let end = part.start + new.length();
    let touch = part.start <= old_end && old.start <= end;
    if !touch || old.total != part.total || !conditional::same_representation(&kept.fields(), &new.fields()) {
        return None;
    }
    let mut chunks: Vec<Arc<[u8]>> = Vec::new();
    let mut push = |object: &Object, range: std::ops::Range<u64>| {
        chunks.extend(object.pieces(range).map(Arc::<[u8]>::from));
    };
    // What is new counts where both have it.
    push(kept, 0..part.start.saturating_sub(old.start).min(kept.length()));
    push(new, 0..new.length());
    if old_end > end {
        push(kept, end - old.start..kept.length());
    }
    let start = old.start.min(part.start);
    let length: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let mut draft = new.draft();
    draft.part = (length < part.total).then_some(Part { start, total: part.total });
    Some(Object::new(&draft, &chunks))
}
