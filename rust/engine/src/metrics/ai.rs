//! AI calls, counted by model and provider; names follow OpenTelemetry's conventions for generative AI where they have one.

use super::{
    Metrics,
    blocks::Counter,
    histogram::Coarse,
    render::{Page, by_slot, label},
    worker::WorkerMetrics,
};

/// How calls end.
const OUTCOMES: [&str; 4] = ["ok", "error", "client_gone", "cut"];
/// How the cache had to do with them.
const CACHE: [&str; 5] = ["off", "miss", "hit", "joined", "bypass"];
/// Buckets of tokens.
const TOKENS: [&str; 4] = ["input", "cache_read", "output", "reasoning"];

/// One call, when it is over.
#[derive(Debug, Clone, Copy)]
pub struct AiCall {
    /// One of `ok`, `error`, `client_gone`, `cut`.
    pub outcome: &'static str,
    /// All input tokens.
    pub input: u64,
    /// Those among them that the provider's cache held.
    pub cache_read: u64,
    /// All output tokens.
    pub output: u64,
    /// Those among them that were thought.
    pub reasoning: u64,
    /// What it cost.
    pub picodollars: u64,
    /// From sending the request to the first content, in nanoseconds.
    pub first_token_ns: u64,
    /// From there to the end.
    pub rest_ns: u64,
    /// From the request's first byte to the end.
    pub total_ns: u64,
    /// Attempts at targets.
    pub attempts: u32,
    /// Models that were asked in vain before.
    pub fallbacks: u32,
    /// Whether the client got a stream.
    pub streamed: bool,
    /// One of `off`, `miss`, `hit`, `joined`, `bypass`.
    pub cache: &'static str,
}

/// A model at a provider.
#[derive(Debug, Default)]
pub(super) struct Ai {
    outcomes: [Counter; OUTCOMES.len()],
    cache: [Counter; CACHE.len()],
    tokens: [Counter; TOKENS.len()],
    picodollars: Counter,
    attempts: Counter,
    fallbacks: Counter,
    guarded: Counter,
    first_token: Coarse,
    per_token: Coarse,
    durations: Coarse,
}

impl WorkerMetrics {
    /// A call is over.
    pub fn ai_call(&self, slot: u32, call: &AiCall) {
        let at = self.ai.at(slot);
        let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap_or(0);
        at.outcomes[place(&OUTCOMES, call.outcome)].add(1);
        at.cache[place(&CACHE, call.cache)].add(1);
        let tokens = [call.input, call.cache_read, call.output, call.reasoning];
        for (counter, more) in at.tokens.iter().zip(tokens) {
            counter.add(more);
        }
        at.picodollars.add(call.picodollars);
        at.attempts.add(u64::from(call.attempts));
        at.fallbacks.add(u64::from(call.fallbacks));
        at.durations.count(call.total_ns);
        if call.outcome == "ok" && call.attempts > 0 {
            at.first_token.count(call.first_token_ns);
            if call.streamed && call.output > 1 {
                at.per_token.count(call.rest_ns / (call.output - 1));
            }
        }
    }

    /// A guard acted on a call.
    pub fn ai_guarded(&self, slot: u32) {
        self.ai.at(slot).guarded.add(1);
    }
}

pub(super) fn write(metrics: &Metrics, page: &mut Page<'_>) {
    let names = metrics.ai.names();
    let labels = |slot: usize| {
        [("gen_ai_request_model", label(&names, slot, 0)), ("gen_ai_provider_name", label(&names, slot, 1))]
    };
    let numbers: fn(&Ai) -> [&Counter; 4] =
        |ai| [&ai.outcomes[0], &ai.outcomes[1], &ai.outcomes[2], &ai.outcomes[3]];
    let rows = by_slot(metrics, names.len(), |worker| &worker.ai, numbers);
    page.counter("tidegate_ai_calls_total", "AI calls by model, provider and outcome.");
    for (slot, sums) in &rows {
        for (outcome, sum) in OUTCOMES.iter().zip(sums) {
            let [model, provider] = labels(*slot);
            page.sample("tidegate_ai_calls_total", &[model, provider, ("outcome", outcome)], *sum);
        }
    }
    let numbers: fn(&Ai) -> [&Counter; 5] =
        |ai| [&ai.cache[0], &ai.cache[1], &ai.cache[2], &ai.cache[3], &ai.cache[4]];
    let rows = by_slot(metrics, names.len(), |worker| &worker.ai, numbers);
    page.counter("tidegate_ai_cache_total", "AI calls by what the cache and de-duplication did.");
    for (slot, sums) in &rows {
        for (state, sum) in CACHE.iter().zip(sums) {
            let [model, provider] = labels(*slot);
            page.sample("tidegate_ai_cache_total", &[model, provider, ("cache", state)], *sum);
        }
    }
    let numbers: fn(&Ai) -> [&Counter; 4] = |ai| [&ai.tokens[0], &ai.tokens[1], &ai.tokens[2], &ai.tokens[3]];
    let rows = by_slot(metrics, names.len(), |worker| &worker.ai, numbers);
    page.counter(
        "tidegate_ai_tokens_total",
        "Tokens by type; cache_read is a part of input, reasoning one of output.",
    );
    for (slot, sums) in &rows {
        for (kind, sum) in TOKENS.iter().zip(sums) {
            let [model, provider] = labels(*slot);
            page.sample("tidegate_ai_tokens_total", &[model, provider, ("gen_ai_token_type", kind)], *sum);
        }
    }
    let numbers: fn(&Ai) -> [&Counter; 4] = |ai| [&ai.picodollars, &ai.attempts, &ai.fallbacks, &ai.guarded];
    let rows = by_slot(metrics, names.len(), |worker| &worker.ai, numbers);
    let families = [
        ("tidegate_ai_cost_picodollars_total", "What calls cost, in 10^-12 US dollars."),
        ("tidegate_ai_attempts_total", "Attempts at targets."),
        ("tidegate_ai_fallbacks_total", "Models that were asked in vain before one answered."),
        ("tidegate_ai_guarded_total", "Calls on which a guard acted."),
    ];
    for (at, (family, help)) in families.into_iter().enumerate() {
        page.counter(family, help);
        for (slot, sums) in &rows {
            page.sample(family, &labels(*slot), sums[at]);
        }
    }
    type Part = fn(&Ai) -> &Coarse;
    let families: [(&str, &str, Part); 3] = [
        ("tidegate_ai_time_to_first_token_seconds", "From sending a request to its first content.", |ai| {
            &ai.first_token
        }),
        ("tidegate_ai_time_per_output_token_seconds", "Of a stream's tokens behind the first, each.", |ai| {
            &ai.per_token
        }),
        ("tidegate_ai_call_duration_seconds", "From a call's first byte to its end.", |ai| &ai.durations),
    ];
    for (family, help, part) in families {
        page.head(family, help, "histogram");
        for (slot, _) in &rows {
            let cells = metrics.workers.iter().filter_map(|worker| worker.ai.seen(*slot));
            page.histogram(family, &labels(*slot), cells.map(part));
        }
    }
}
