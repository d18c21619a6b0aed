//! The AI part of a plan made ready: keys by their hash, models by name, state that outlives plans.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tidegate_auth::{AccessList, CidrSet};
use tidegate_dialect::Dialect;
use tidegate_guard::Guards;
use tidegate_journal::Journal;
use tidegate_limit::{AccountSpec, Accounts, Metric, Window};
use tidegate_plan::{self as plan, Ai, ProviderDialect};
use tidegate_prompt::Prompts;

use super::{affinity::Affinity, cache::AnswerCache, flight::Flights, load::Looks, state::TargetState};
use crate::{metrics::Metrics, prepare::PlanRejected};

/// The AI part of a plan made ready, shared by all workers.
pub struct PreparedAi {
    /// As it was decoded.
    pub plan: Ai,
    /// Keys by SHA-256.
    keys: HashMap<[u8; 32], u32>,
    /// By index of the key: from where it may be used.
    pub access: Vec<Option<AccessList>>,
    names: HashMap<String, u32>,
    patterns: Vec<Pattern>,
    /// By index of the model.
    pub models: Vec<PreparedModel>,
    /// Limits and budgets; what was spent is carried over from plan to plan.
    pub accounts: Accounts,
    /// All guards of the plan.
    pub guards: Arc<Guards>,
    /// Prompts as APIs.
    pub prompts: Prompts,
    /// Answers that are kept.
    pub cache: Arc<AnswerCache>,
    /// Calls in flight that others may join.
    pub flights: Arc<Flights>,
    /// Who served which beginnings.
    pub affinity: Arc<Affinity>,
    /// Where usage records go.
    pub journal: Option<Arc<Journal>>,
    journal_plan: Option<plan::UsageJournal>,
    _looks: Looks,
}

/// A model name with a `*`.
struct Pattern {
    before: String,
    after: String,
    model: u32,
}

/// One model made ready.
pub struct PreparedModel {
    /// By index of the target; kept from plan to plan.
    pub states: Vec<Arc<TargetState>>,
    /// By index of the target: its place in the counters.
    pub slots: Vec<u32>,
    /// Calls, and second attempts among them, since this plan began.
    pub hedged: Hedged,
}

/// How often calls were hedged.
#[derive(Debug, Default)]
pub struct Hedged {
    calls: AtomicU64,
    hedges: AtomicU64,
}

impl Hedged {
    /// One more call.
    pub fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// Whether a second attempt is within the budget, in percent of calls; counted if so. The first few always are.
    pub fn hedge(&self, percent: u32) -> bool {
        const FREE: u64 = 3;
        let allowed = self.calls.load(Relaxed).saturating_mul(u64::from(percent)) / 100 + FREE;
        let taken = self.hedges.fetch_add(1, Relaxed) < allowed;
        if !taken {
            self.hedges.fetch_sub(1, Relaxed);
        }
        taken
    }
}

/// A model that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Index of the model.
    pub model: u32,
    /// What the `*` of its name stands for; empty where it has none.
    pub star: &'a str,
}

impl PreparedAi {
    /// Compiles what only needs the plan; nothing is opened.
    pub fn check(plan: &Ai) -> Result<(), PlanRejected> {
        guards(plan)?;
        prompts(plan)?;
        keys(plan).map(drop)
    }

    /// Makes it ready. What `before` has that did not change is taken over.
    pub fn new(
        plan: Ai,
        upstreams: &[plan::Upstream],
        before: Option<&PreparedAi>,
        metrics: &Metrics,
    ) -> Result<Self, PlanRejected> {
        let (keys, access) = keys(&plan)?;
        let mut names = HashMap::new();
        let mut patterns = Vec::new();
        for (index, model) in plan.models.iter().enumerate() {
            match model.name.split_once('*') {
                None => drop(names.insert(model.name.clone(), index as u32)),
                Some((before, after)) => {
                    patterns.push(Pattern {
                        before: before.into(),
                        after: after.into(),
                        model: index as u32,
                    });
                }
            }
        }
        // The longest goes first: it says the most.
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.before.len() + pattern.after.len()));
        let known: HashMap<String, &Arc<TargetState>> = before.map(PreparedAi::states).unwrap_or_default();
        let models: Vec<PreparedModel> = (plan.models.iter())
            .map(|model| {
                let states = model.targets.iter().map(|target| {
                    let provider = &plan.providers[target.provider as usize];
                    let kept = known.get(&identity(&plan, model, target)).copied();
                    let kept = kept.filter(|kept| kept.credentials.len() == provider.credentials.len());
                    kept.cloned().unwrap_or_else(|| Arc::new(TargetState::new(provider.credentials.len())))
                });
                let slots = model.targets.iter().map(|target| {
                    metrics.ai_slot(&model.name, &plan.providers[target.provider as usize].name)
                });
                PreparedModel { states: states.collect(), slots: slots.collect(), hedged: Hedged::default() }
            })
            .collect();
        let specs: Vec<AccountSpec> = plan.accounts.iter().map(account).collect();
        let accounts = Accounts::new(&specs, before.map(|before| &before.accounts));
        let (guards, prompts) = (Arc::new(guards(&plan)?), prompts(&plan)?);
        let cache = before
            .filter(|before| before.plan.cache_bytes == plan.cache_bytes)
            .map_or_else(|| Arc::new(AnswerCache::new(plan.cache_bytes)), |before| before.cache.clone());
        let flights = before.map_or_else(Default::default, |before| before.flights.clone());
        let affinity = before.map_or_else(Default::default, |before| before.affinity.clone());
        let journal = match (&plan.journal, before) {
            (None, _) => None,
            (Some(wanted), Some(before)) if before.journal_plan.as_ref() == Some(wanted) => {
                before.journal.clone()
            }
            (Some(wanted), _) => {
                let opened = Journal::open(std::path::Path::new(&wanted.path), wanted.segment_bytes);
                Some(opened.map_err(|error| rejected("journal.path", format!("{}: {error}", wanted.path)))?)
            }
        };
        let journal_plan = plan.journal.clone();
        let looks = Looks::begin(&plan, upstreams, &models);
        Ok(Self {
            keys,
            access,
            names,
            patterns,
            models,
            accounts,
            guards,
            prompts,
            cache,
            flights,
            affinity,
            journal,
            journal_plan,
            _looks: looks,
            plan,
        })
    }

    fn states(&self) -> HashMap<String, &Arc<TargetState>> {
        (self.plan.models.iter().zip(&self.models))
            .flat_map(|(model, prepared)| {
                (model.targets.iter().zip(&prepared.states))
                    .map(|(target, state)| (identity(&self.plan, model, target), state))
            })
            .collect()
    }

    /// The key with that secret.
    pub fn key(&self, secret: &[u8]) -> Option<u32> {
        self.keys.get(&tidegate_auth::sha256(secret)).copied()
    }

    /// The model that goes by `name`.
    pub fn model<'a>(&self, name: &'a str) -> Option<Named<'a>> {
        if let Some(model) = self.names.get(name) {
            return Some(Named { model: *model, star: "" });
        }
        self.patterns.iter().find_map(|pattern| {
            let star = name.strip_prefix(&*pattern.before)?.strip_suffix(&*pattern.after)?;
            (!star.is_empty()).then_some(Named { model: pattern.model, star })
        })
    }
}

fn identity(plan: &Ai, model: &plan::Model, target: &plan::Target) -> String {
    let provider = &plan.providers[target.provider as usize].name;
    format!("{}\0{provider}\0{}", model.name, target.model)
}

/// The words that a provider speaks in chats.
pub fn chat_dialect(dialect: ProviderDialect) -> Dialect {
    match dialect {
        ProviderDialect::Openai | ProviderDialect::Azure | ProviderDialect::Echo => Dialect::OpenAi,
        ProviderDialect::Responses => Dialect::Responses,
        ProviderDialect::Anthropic => Dialect::Anthropic,
        ProviderDialect::Gemini | ProviderDialect::Vertex => Dialect::Gemini,
        ProviderDialect::Bedrock => Dialect::Bedrock,
        ProviderDialect::Cohere => Dialect::Cohere,
        ProviderDialect::Mistral => Dialect::Mistral,
        ProviderDialect::Ollama => Dialect::Ollama,
    }
}

fn rejected(path: impl std::fmt::Display, why: impl Into<String>) -> PlanRejected {
    PlanRejected { path: format!("ai.{path}"), why: why.into() }
}

type Keys = (HashMap<[u8; 32], u32>, Vec<Option<AccessList>>);

/// Keys by their hash, and from where each may be used.
fn keys(plan: &Ai) -> Result<Keys, PlanRejected> {
    let mut keys = HashMap::with_capacity(plan.keys.len());
    let mut access = Vec::with_capacity(plan.keys.len());
    for (at, key) in plan.keys.iter().enumerate() {
        let digest = tidegate_auth::sha256_hex(&key.sha256)
            .ok_or_else(|| rejected(format_args!("keys[{at}].sha256"), "is no SHA-256 in hexadecimal"))?;
        keys.insert(digest, at as u32);
        let list = |list: &[String], part: &str| {
            CidrSet::parse(list).map_err(|error| {
                rejected(format_args!("keys[{at}].access.{part}[{}]", error.index), error.why.to_string())
            })
        };
        access.push(match &key.access {
            Some(access) => Some(AccessList::new(list(&access.allow, "allow")?, list(&access.deny, "deny")?)),
            None => None,
        });
    }
    Ok((keys, access))
}

fn guards(plan: &Ai) -> Result<Guards, PlanRejected> {
    Guards::compile(&plan.guards)
        .map_err(|fault| rejected(format_args!("guards[{}].{}", fault.guard, fault.part), fault.why))
}

fn prompts(plan: &Ai) -> Result<Prompts, PlanRejected> {
    Prompts::compile(&plan.prompts).map_err(|fault| rejected(fault.path, fault.why))
}

fn account(account: &plan::Account) -> AccountSpec {
    AccountSpec {
        name: account.name.clone(),
        metric: match account.metric {
            plan::Metric::Requests => Metric::Requests,
            plan::Metric::InputTokens => Metric::InputTokens,
            plan::Metric::OutputTokens => Metric::OutputTokens,
            plan::Metric::Tokens => Metric::Tokens,
            plan::Metric::Usd => Metric::Usd,
            plan::Metric::InFlight => Metric::InFlight,
        },
        limit: account.limit,
        window: match account.window {
            plan::Window::None => Window::None,
            plan::Window::Minute => Window::Minute,
            plan::Window::Hour => Window::Hour,
            plan::Window::Day => Window::Day,
            plan::Window::Week => Window::Week,
            plan::Window::Month => Window::Month,
        },
        opening: account.opening.map(|opening| (opening.at_ms, opening.spent)),
    }
}
