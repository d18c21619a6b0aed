//! How much a model thinks, in Anthropic's words.
//!
//! The API has two: a budget of tokens (`thinking.type: enabled`), and, from the 4.6 models on, `adaptive` with
//! `output_config.effort`. A client's budget is written as one; a client's effort as `adaptive` and the effort, or, for
//! the models that know only budgets ([`takes_budget`]), as [`budget_of`] it. `none` and `enabled: false` are `disabled`.

use crate::Reasoning;
use crate::json::Object;

/// The least budget that the API takes.
const LEAST_BUDGET: u64 = 1024;

/// What is written of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan<'a> {
    /// `thinking`, if any.
    pub thinking: Option<Thinking>,
    /// `output_config.effort`.
    pub effort: Option<&'a str>,
    /// `max_tokens`, with room for the budget where the client named no bound.
    pub max_tokens: u64,
    /// `display`: whether thoughts are wanted in the answer.
    pub display: Option<&'static str>,
    /// The client's bound is too small for any budget.
    pub no_room: bool,
}

/// The sorts of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    Disabled,
    Adaptive,
    Budget(u64),
}

/// Decides it. `own` requests, in this very dialect, are taken at their word.
pub(crate) fn plan<'a>(
    reasoning: Option<&'a Reasoning>,
    model: &str,
    asked_tokens: Option<u64>,
    default_tokens: u64,
    own: bool,
) -> Plan<'a> {
    let mut plan = Plan { max_tokens: asked_tokens.unwrap_or(default_tokens), ..Plan::default() };
    let Some(reasoning) = reasoning else { return plan };
    let effort = reasoning.effort.as_deref();
    plan.display = match (reasoning.include, &reasoning.summary) {
        (Some(true), _) => Some("summarized"),
        (Some(false), _) => Some("omitted"),
        (None, summary) => summary.as_ref().map(|_| "summarized"),
    };
    if own {
        plan.effort = effort;
        plan.thinking = match (reasoning.enabled, reasoning.budget) {
            (Some(false), _) => Some(Thinking::Disabled),
            (_, Some(budget)) => Some(Thinking::Budget(budget)),
            (Some(true), None) => Some(Thinking::Adaptive),
            (None, None) => None,
        };
        return plan;
    }
    if reasoning.enabled == Some(false) || effort == Some("none") || reasoning.budget == Some(0) {
        plan.thinking = Some(Thinking::Disabled);
        return plan;
    }
    let budget = match (reasoning.budget, effort) {
        (Some(budget), _) => Some(budget),
        (None, _) if !takes_budget(model) => None,
        (None, Some(effort)) => Some(budget_of(effort)),
        (None, None) => reasoning.enabled.map(|_| budget_of("medium")),
    };
    match budget {
        None if effort.is_none() && reasoning.enabled.is_none() => {}
        None => {
            plan.thinking = Some(Thinking::Adaptive);
            plan.effort = effort.map(|effort| if effort == "minimal" { "low" } else { effort });
        }
        // `budget_tokens` must be less than `max_tokens`, which counts thoughts too.
        Some(budget) => {
            let budget = budget.max(LEAST_BUDGET);
            match asked_tokens {
                None => {
                    plan.max_tokens = default_tokens.saturating_add(budget);
                    plan.thinking = Some(Thinking::Budget(budget));
                }
                Some(most) if most > LEAST_BUDGET => {
                    plan.thinking = Some(Thinking::Budget(budget.min(most - 1)));
                }
                Some(_) => plan.no_room = true,
            }
        }
    }
    plan
}

/// Appends `thinking`.
pub(crate) fn write(plan: &Plan<'_>, body: &mut Object<'_>) {
    let Some(thinking) = plan.thinking else { return };
    let mut object = body.object("thinking");
    match thinking {
        Thinking::Disabled => {
            object.put("type", "disabled");
        }
        Thinking::Adaptive => {
            object.put("type", "adaptive").maybe("display", plan.display);
        }
        Thinking::Budget(budget) => {
            object.put("type", "enabled").put("budget_tokens", &budget).maybe("display", plan.display);
        }
    }
    object.end();
}

/// Tokens that stand for an effort, for models that know only budgets. (Anthropic names no such table; these keep the
/// steps of its own efforts apart and below what its smallest models can put out.)
pub(crate) fn budget_of(effort: &str) -> u64 {
    match effort {
        "minimal" => 1024,
        "low" => 2048,
        "high" => 16_384,
        "xhigh" | "max" => 32_000,
        _ => 8192,
    }
}

/// Whether the model is older than adaptive thinking: Claude 3, 4, 4.1 and 4.5, by any name that has these in it
/// (`claude-sonnet-4-20250514`, `us.anthropic.claude-opus-4-1-20250805-v1:0`).
pub(crate) fn takes_budget(model: &str) -> bool {
    let Some(at) = model.find("claude") else { return false };
    let name = model.get(at..).unwrap_or_default();
    ["claude-3", "-4-0", "-4-1", "-4-5", "-4-2025", "-4@2025"].iter().any(|old| name.contains(old))
        || ["claude-opus-4", "claude-sonnet-4"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(word: &str) -> Reasoning {
        Reasoning { effort: Some(word.to_owned()), ..Reasoning::default() }
    }

    #[test]
    fn an_effort_is_adaptive_for_new_models_and_a_budget_for_old_ones() {
        let high = effort("high");
        let new = plan(Some(&high), "claude-opus-4-8", None, 4096, false);
        assert_eq!(
            (new.thinking, new.effort, new.max_tokens),
            (Some(Thinking::Adaptive), Some("high"), 4096)
        );
        let old = plan(Some(&high), "anthropic.claude-sonnet-4-5-20250929-v1:0", None, 4096, false);
        assert_eq!((old.thinking, old.max_tokens), (Some(Thinking::Budget(16_384)), 4096 + 16_384));
        let none = effort("none");
        assert_eq!(plan(Some(&none), "claude-opus-5", None, 1, false).thinking, Some(Thinking::Disabled));
    }

    #[test]
    fn a_budget_stays_below_the_client_s_own_bound() {
        let asked = Reasoning { budget: Some(5000), ..Reasoning::default() };
        let cut = plan(Some(&asked), "claude-opus-4-5", Some(3000), 4096, false);
        assert_eq!((cut.thinking, cut.max_tokens), (Some(Thinking::Budget(2999)), 3000));
        let none = plan(Some(&asked), "claude-opus-4-5", Some(900), 4096, false);
        assert!(none.no_room && none.thinking.is_none());
        let own = plan(Some(&asked), "claude-opus-4-5", Some(3000), 4096, true);
        assert_eq!(own.thinking, Some(Thinking::Budget(5000)), "the provider says what is wrong with it");
    }

    #[test]
    fn models_that_know_only_budgets_are_told_by_their_names() {
        for old in [
            "claude-3-7-sonnet-latest",
            "claude-sonnet-4-20250514",
            "claude-haiku-4-5",
            "eu.anthropic.claude-opus-4-1-20250805-v1:0",
            "claude-opus-4@20250514",
        ] {
            assert!(takes_budget(old), "{old}");
        }
        for new in ["claude-opus-4-6", "claude-sonnet-5-5", "claude-haiku-5-5", "my-model"] {
            assert!(!takes_budget(new), "{new}");
        }
    }
}
