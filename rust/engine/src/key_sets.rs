//! Keys that tokens are checked with, while they change: handed in by whoever fetches them, shared by all workers.
//!
//! They stand beside the plan, as addresses of names do: a provider that turns its keys over changes nothing that
//! somebody configured, and requests that are on their way shall know the new keys too.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tidegate_auth::jwt::{KeySet, KeySetError, Origin};
use tidegate_plan::{self as plan, Auth, Plan};
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64;

use crate::prepare::PlanRejected;

/// One set of keys.
#[derive(Debug)]
pub struct KeyCell {
    /// As metrics and the log call it.
    pub name: String,
    is_fetched: bool,
    current: RwLock<Arc<KeySet>>,
    /// Tells states of the set apart; 0 where no keys have come yet. What was judged by one state is not by another.
    state: AtomicU64,
    /// Somebody asks for new keys at this moment.
    asking: AtomicBool,
    /// Told when an answer has come.
    pub answered: Notify,
    /// Nanoseconds since the engine started before which nobody asks again.
    not_before: AtomicU64,
    /// The last fetch failed: keys that are not known may be new ones.
    failing: AtomicBool,
    fetched: AtomicU64,
    failed: AtomicU64,
}

/// Whether one may ask for new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Yes; [`KeyCell::asked`] must follow.
    Now,
    /// Somebody does already.
    Wait,
    /// It was asked a moment ago.
    Later,
}

impl KeyCell {
    fn new(config: &plan::KeySet) -> Result<Self, KeySetError> {
        let made = Self {
            name: config.name.clone(),
            is_fetched: config.fetch.is_some(),
            current: RwLock::default(),
            state: AtomicU64::new(0),
            asking: AtomicBool::new(false),
            answered: Notify::new(),
            not_before: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        if let Some(jwks) = &config.jwks {
            let origin = if config.fetch.is_some() { Origin::Published } else { Origin::Own };
            let text = jwks.expose().as_bytes();
            made.install(KeySet::parse(text, origin)?, text);
        }
        Ok(made)
    }

    /// The keys of the moment, and what tells this state of them from others; `None` before there are any.
    pub fn current(&self) -> Option<(Arc<KeySet>, u64)> {
        let state = self.state();
        let keys = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        (state != 0).then_some((keys, state))
    }

    /// What tells the state of the moment from others; 0 before there are keys.
    pub fn state(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    /// Whether somebody asks for new keys at this moment.
    pub fn is_asking(&self) -> bool {
        self.asking.load(Ordering::Acquire)
    }

    /// Whether the last fetch failed.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Takes keys that were fetched. How many can be used, and why others can't; a set without any is refused, and
    /// the keys before it stay.
    pub fn set(&self, text: &[u8]) -> Result<(usize, Vec<String>), KeySetError> {
        let parsed = KeySet::parse(text, Origin::Published).and_then(|keys| match keys.is_empty() {
            false => Ok(keys),
            true => Err(KeySetError(match keys.skipped().first() {
                Some(first) => format!("no key of this set can be used; of the first, {}", first.why),
                None => "there is no key in this set".into(),
            })),
        });
        let keys = parsed.inspect_err(|_| self.fail())?;
        let skipped = keys.skipped().iter().map(|skipped| format!("key {}: {}", skipped.index, skipped.why));
        let told = (keys.len(), skipped.collect());
        self.fetched.fetch_add(1, Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
        self.install(keys, text);
        Ok(told)
    }

    /// Keys could not be fetched; those that there are stay.
    pub fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.failing.store(true, Ordering::Relaxed);
    }

    fn install(&self, keys: KeySet, text: &[u8]) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        // Another state may be read with these keys for a moment, never these keys' state with others: what is
        // remembered under a state was judged by keys that were at least as new.
        self.state.store(xxh3_64(text).max(1), Ordering::Release);
    }

    /// Whether one may ask for new keys at `now`, in nanoseconds since the engine started.
    pub fn may_ask(&self, now: u64) -> Ask {
        if now < self.not_before.load(Ordering::Relaxed) {
            return if self.asking.load(Ordering::Acquire) { Ask::Wait } else { Ask::Later };
        }
        if self.asking.swap(true, Ordering::AcqRel) { Ask::Wait } else { Ask::Now }
    }

    /// An answer has come, or will not; nobody asks again before `again`.
    pub fn asked(&self, again: u64) {
        self.not_before.store(again, Ordering::Relaxed);
        self.asking.store(false, Ordering::Release);
        self.answered.notify_waiters();
    }

    /// Name, fetches that succeeded, fetches that failed, keys; `None` of a set that is not fetched.
    pub fn figures(&self) -> Option<(String, u64, u64, usize)> {
        let keys = self.current.read().unwrap_or_else(PoisonError::into_inner).len();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.is_fetched.then(|| (self.name.clone(), count(&self.fetched), count(&self.failed), keys))
    }
}

/// The sets of a plan, by name.
pub type KeySets = HashMap<String, Arc<KeyCell>>;

/// The sets of a plan; those that are fetched go on with the keys that they have.
pub fn prepare(plan: &Plan, before: Option<&KeySets>) -> Result<KeySets, PlanRejected> {
    let mut made = KeySets::new();
    for (index, route) in plan.routes.iter().enumerate() {
        let methods = match &route.auth {
            Some(Auth::Any(any)) => &any.methods[..],
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        for method in methods {
            let Auth::Jwt(jwt) = method else { continue };
            let config = &jwt.key_set;
            if made.contains_key(&config.name) {
                continue;
            }
            let kept = before.and_then(|before| before.get(&config.name));
            let cell = match kept.filter(|kept| config.fetch.is_some() && kept.state() != 0) {
                Some(kept) => kept.clone(),
                None => Arc::new(KeyCell::new(config).map_err(|why| PlanRejected {
                    path: format!("routes[{index}].auth.key_set.jwks"),
                    why: why.to_string(),
                })?),
            };
            made.insert(config.name.clone(), cell);
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] =
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn fetched() -> KeyCell {
        let fetch = Some(plan::KeyFetch { hook: 0, interval_ms: 1000 });
        KeyCell::new(&plan::KeySet { name: "https://id/jwks".into(), jwks: None, fetch }).unwrap()
    }

    #[test]
    fn garbage_leaves_the_keys_that_there_are() {
        let cell = fetched();
        assert!(cell.current().is_none());
        assert_eq!(cell.set(ONE).unwrap(), (1, Vec::new()));
        let (_, state) = cell.current().unwrap();
        for garbage in [&b"<html>"[..], b"{}", br#"{"keys":[]}"#, br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
            assert!(cell.set(garbage).is_err());
            assert!(cell.is_failing());
            assert_eq!(cell.current().unwrap().1, state);
        }
        assert_eq!(cell.figures(), Some(("https://id/jwks".into(), 1, 4, 1)));
        cell.set(ONE).unwrap();
        assert!(!cell.is_failing());
    }

    #[test]
    fn one_asks_at_a_time_and_not_too_often() {
        let cell = fetched();
        assert_eq!(cell.may_ask(5), Ask::Now);
        assert_eq!(cell.may_ask(5), Ask::Wait);
        cell.asked(100);
        assert_eq!(cell.may_ask(99), Ask::Later);
        assert_eq!(cell.may_ask(100), Ask::Now);
    }
}
