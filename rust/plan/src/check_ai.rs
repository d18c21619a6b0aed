//! The checks of the AI part of a plan: indices that point somewhere, numbers within their bounds.

use std::collections::HashSet;

use crate::{
    Ai, Plan, PlanError, ProviderDialect,
    check::{indices, require},
};

pub(crate) fn check(plan: &Plan, ai: &Ai) -> Result<(), PlanError> {
    for (at, provider) in ai.providers.iter().enumerate() {
        let here = |part: &str| format!("ai.providers[{at}].{part}");
        let echo = provider.dialect == ProviderDialect::Echo;
        indices(provider.upstream.as_slice(), plan.upstreams.len(), &here("upstream"))?;
        require(provider.upstream.is_some() != echo, &here("upstream"), || {
            "must be there, but for `echo`".into()
        })?;
        require(!provider.credentials.is_empty(), &here("credentials"), || "needs at least one".into())?;
    }
    let models = ai.models.len();
    for (at, model) in ai.models.iter().enumerate() {
        let here = |part: &str| format!("ai.models[{at}].{part}");
        require(!model.targets.is_empty(), &here("targets"), || "needs at least one".into())?;
        for (index, target) in model.targets.iter().enumerate() {
            let here = format!("ai.models[{at}].targets[{index}]");
            indices(&[target.provider], ai.providers.len(), &format!("{here}.provider"))?;
            let tiers = target.price.iter().flat_map(|price| price.tiers.windows(2));
            require(
                tiers.into_iter().all(|pair| pair[0].0 < pair[1].0),
                &format!("{here}.price.tiers"),
                || "must rise".into(),
            )?;
        }
        require((1..=16).contains(&model.attempts), &here("attempts"), || "must be 1 to 16".into())?;
        for fallback in &model.fallback {
            indices(&[fallback.model], models, &here("fallback"))?;
        }
        for rule in &model.rules {
            indices(&[rule.model], models, &here("rules"))?;
        }
        if let Some(shadow) = &model.shadow {
            indices(&[shadow.model], models, &here("shadow.model"))?;
        }
    }
    unique(ai.models.iter().map(|model| &*model.name), "ai.models", "name")?;
    unique(ai.keys.iter().map(|key| &*key.sha256), "ai.keys", "sha256")?;
    unique(ai.accounts.iter().map(|account| &*account.name), "ai.accounts", "name")?;
    for (at, key) in ai.keys.iter().enumerate() {
        let here = |part: &str| format!("ai.keys[{at}].{part}");
        indices(key.models.as_deref().unwrap_or_default(), models, &here("models"))?;
        indices(&key.accounts, ai.accounts.len(), &here("accounts"))?;
        indices(&key.guards, ai.guards.len(), &here("guards"))?;
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        require(key.sha256.len() == 64 && key.sha256.bytes().all(hexadecimal), &here("sha256"), || {
            "must be 64 lower-case hexadecimal digits".into()
        })?;
    }
    indices(&ai.open_accounts, ai.accounts.len(), "ai.open_accounts")?;
    for (at, account) in ai.accounts.iter().enumerate() {
        let place = format!("ai.accounts[{at}].models");
        indices(account.models.as_deref().unwrap_or_default(), models, &place)?;
    }
    for (at, prompt) in ai.prompts.iter().enumerate() {
        let here = |part: &str| format!("ai.prompts[{at}].{part}");
        require(prompt.versions.iter().any(|version| version.weight > 0), &here("versions"), || {
            "one must have a weight above zero".into()
        })?;
        for version in &prompt.versions {
            indices(&[version.model], models, &here("versions"))?;
        }
    }
    if let Some(journal) = &ai.journal {
        require((1 << 16..=1 << 30).contains(&journal.segment_bytes), "ai.journal.segment_bytes", || {
            "must be 65536 to 1073741824".into()
        })?;
    }
    Ok(())
}

fn unique<'a>(names: impl Iterator<Item = &'a str>, list: &str, part: &str) -> Result<(), PlanError> {
    let mut seen = HashSet::new();
    for (at, name) in names.enumerate() {
        require(seen.insert(name), &format!("{list}[{at}].{part}"), || "is there already".into())?;
    }
    Ok(())
}
