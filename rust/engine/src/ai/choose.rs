//! Which target of a model is asked next, and with which credential.

use std::sync::atomic::Ordering::Relaxed;

use tidegate_plan::{Ai, Model, ModelBalance};

use super::{prepare::PreparedModel, state::TargetState};

/// A target and a credential, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Index in the model's targets.
    pub target: usize,
    /// Index in the provider's credentials.
    pub credential: usize,
}

/// What a choice depends on, beside the targets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Nanoseconds since the engine started.
    pub now: u64,
    /// Estimated tokens of input.
    pub input: u64,
    /// Expected tokens of output.
    pub output: u64,
    /// Ties calls together, where the model or the call asks for that.
    pub tie: Option<u64>,
    /// The target that served the prompt's beginning last.
    pub preferred: Option<usize>,
    /// Whether there is nobody else: then those that cool down are asked too, but for those who asked for it.
    pub in_need: bool,
}

/// Pairs that were tried by this call, as bits: targets beyond the 8th, and credentials beyond the 8th, share.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried(u64);

impl Tried {
    fn bit(choice: Choice) -> u64 {
        1 << ((choice.target % 8) * 8 + choice.credential % 8)
    }

    /// Notes one.
    pub fn insert(&mut self, choice: Choice) {
        self.0 |= Self::bit(choice);
    }

    /// Whether it was noted.
    pub fn contains(self, choice: Choice) -> bool {
        self.0 & Self::bit(choice) != 0
    }
}

/// Chooses among those that were not tried and do not cool down (see [`Wanted::in_need`]); `None` where there is none.
pub fn next(
    ai: &Ai,
    model: &Model,
    prepared: &PreparedModel,
    wanted: &Wanted,
    tried: Tried,
) -> Option<Choice> {
    let usable = |target: usize| credential(ai, model, &prepared.states[target], target, wanted, tried);
    let weight = |target: usize| u64::from(model.targets[target].weight);
    let fits = |target: usize| {
        let most = model.targets[target].context_tokens;
        most == 0 || wanted.input <= most
    };
    let candidates = || {
        (0..model.targets.len()).filter_map(move |target| {
            usable(target).map(|credential| Choice { target, credential }).filter(|_| fits(target))
        })
    };
    if let Some(target) = wanted.preferred
        && let Some(choice) = candidates().find(|choice| choice.target == target && weight(target) > 0)
    {
        return Some(choice);
    }
    let state = |choice: &Choice| &prepared.states[choice.target];
    // Those of weight zero are asked only where no other is left.
    let first = || candidates().filter(|choice| weight(choice.target) > 0);
    let chosen = match model.balance {
        _ if wanted.tie.is_some() => by_weight(first(), weight, wanted.tie),
        ModelBalance::Weight => by_weight(first(), weight, None),
        ModelBalance::LeastBusy => first().min_by_key(|choice| {
            (u64::from(state(choice).in_flight.load(Relaxed)) + 1) * 1000 / weight(choice.target).max(1)
        }),
        ModelBalance::Latency => first().min_by_key(|choice| state(choice).expected_ns(wanted.output)),
        ModelBalance::Cost => first().min_by_key(|choice| {
            let price = model.targets[choice.target].price.as_ref();
            price
                .and_then(|price| tidegate_dialect::price::estimate_cost(price, wanted.input, wanted.output))
                .unwrap_or(u64::MAX)
        }),
        ModelBalance::Headroom => {
            first().max_by_key(|choice| state(choice).headroom(choice.credential, wanted.now))
        }
        ModelBalance::Order => {
            first().find(|choice| !is_busy(model, state(choice), choice.target)).or_else(|| first().next())
        }
    };
    // All that could be asked are too small for the prompt by what the catalogue says: then the catalogue may be wrong.
    chosen.or_else(|| candidates().next()).or_else(|| {
        (0..model.targets.len())
            .find_map(|target| usable(target).map(|credential| Choice { target, credential }))
    })
}

fn is_busy(model: &Model, state: &TargetState, target: usize) -> bool {
    let target = &model.targets[target];
    let calls = target.busy_calls > 0 && state.in_flight.load(Relaxed) >= target.busy_calls;
    let queue = target.busy_queue_ms > 0 && state.queue_ms.load(Relaxed) >= u64::from(target.busy_queue_ms);
    calls || queue
}

/// By weight: at random, or where `tie` falls.
fn by_weight(
    candidates: impl Iterator<Item = Choice> + Clone,
    weight: impl Fn(usize) -> u64,
    tie: Option<u64>,
) -> Option<Choice> {
    let total: u64 = candidates.clone().map(|choice| weight(choice.target)).sum();
    if total == 0 {
        return None;
    }
    let mut at = tie.map_or_else(|| fastrand::u64(..total), |tie| tie % total);
    candidates.into_iter().find(|choice| match at.checked_sub(weight(choice.target)) {
        Some(rest) => {
            at = rest;
            false
        }
        None => true,
    })
}

/// A credential of the target's provider by weight, among those that are left.
fn credential(
    ai: &Ai,
    model: &Model,
    state: &TargetState,
    target: usize,
    wanted: &Wanted,
    tried: Tried,
) -> Option<usize> {
    let credentials = &ai.providers[model.targets[target].provider as usize].credentials;
    let left = |credential: &usize| {
        let free = if wanted.in_need { TargetState::is_free_in_need } else { TargetState::is_cool };
        !tried.contains(Choice { target, credential: *credential }) && free(state, *credential, wanted.now)
    };
    if let [_] = &credentials[..] {
        return Some(0).filter(left);
    }
    let total: u64 =
        (0..credentials.len()).filter(left).map(|index| u64::from(credentials[index].weight)).sum();
    let mut at = fastrand::u64(..total.max(1));
    (0..credentials.len()).filter(left).find(|index| {
        match at.checked_sub(u64::from(credentials[*index].weight)) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        }
    })
}
