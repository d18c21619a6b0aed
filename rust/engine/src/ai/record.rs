//! The one usage record that every call ends in, written to the journal as a line of JSON.

use std::borrow::Cow;

use tidegate_dialect::{Finish, Surface, Usage};
use tidegate_limit::Amounts;
use tidegate_plan::{LogContent, Price, ProviderDialect, Target};

use super::{call::Call, prepare::PreparedAi};
use crate::{
    exchange::Exchange,
    log::{escape::json, number::push_decimal},
    worker::{Worker, WorkerPlan},
};

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// The client got its answer.
    Ok,
    /// The client got an error.
    #[default]
    Error,
    /// The client went away before its answer was whole.
    ClientGone,
    /// The provider's stream broke off after a part of it had been sent.
    Cut,
}

impl Outcome {
    /// As records name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::ClientGone => "client_gone",
            Self::Cut => "cut",
        }
    }
}

/// How the cache had to do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheState {
    /// The model has none.
    #[default]
    Off,
    /// Looked for and not found.
    Miss,
    /// Found.
    Hit,
    /// An identical call was under way and was joined.
    Joined,
    /// Not looked for: the call may not be cached, or asked not to be.
    Bypass,
}

impl CacheState {
    /// As records and `X-Tidegate-Cache` name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Bypass => "bypass",
        }
    }
}

/// What is known of a call when it ends.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Index of the model that served, and of its target; `None` before one was chosen.
    pub served: Option<(u32, usize)>,
    /// Index of the credential.
    pub credential: usize,
    /// What it took.
    pub usage: Usage,
    /// Picodollars; `None` where no price is known.
    pub usd: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, where it did not end well.
    pub reason: &'static str,
    /// Why the model stopped.
    pub finish: Option<Finish>,
    /// Attempts at providers.
    pub attempts: u32,
    /// Models that were asked in vain before.
    pub fallbacks: u32,
    /// Cache and de-duplication.
    pub cache: CacheState,
    /// Picodollars that were reserved.
    pub reserved_usd: u64,
    /// Nanoseconds since the engine started: when the request that was answered was sent.
    pub sent_at: u64,
    /// When the first content came; 0 where none did.
    pub first_at: u64,
    /// The guard that acted.
    pub guard: String,
}

/// Books the call: budgets, counters, the journal.
pub fn write(worker: &Worker, plan: &WorkerPlan, ai: &PreparedAi, call: &mut Call, exchange: &Exchange) {
    let facts = &mut call.facts;
    let free = facts.attempts == 0 || call.surface == Surface::CountTokens;
    facts.usd = price(ai, &call.star, facts, &facts.usage).or(free.then_some(0));
    if let Some(reservation) = call.reservation.take() {
        let usage = &facts.usage;
        // A call that no provider worked for, and one that the cache answered, costs requests only.
        let reused = matches!(facts.cache, CacheState::Hit | CacheState::Joined);
        let tokens = |told: Option<u64>| told.filter(|_| !reused).unwrap_or(0);
        let spent = Amounts {
            requests: 1,
            input: tokens(usage.input_total()),
            output: tokens(usage.output_total()),
            usd: facts.usd.map(|usd| usd.saturating_add(call.aside_usd)),
        };
        if facts.attempts > 0 || facts.outcome == Outcome::Ok {
            reservation.settle(&spent, crate::unix_milliseconds());
        }
    }
    count(worker, ai, call);
    if let Some(content) = &mut call.content {
        content.finish(ai.plan.log_content == LogContent::Redacted);
    }
    append(worker, plan, ai, call, exchange, "end");
}

/// Notes that a call is about to cost something: what a process that is killed leaves behind of it.
pub fn begin(worker: &Worker, plan: &WorkerPlan, ai: &PreparedAi, call: &Call, exchange: &Exchange) {
    append(worker, plan, ai, call, exchange, "begin");
}

fn append(worker: &Worker, plan: &WorkerPlan, ai: &PreparedAi, call: &Call, exchange: &Exchange, kind: &str) {
    let Some(writer) = &plan.usage else { return };
    let mut line = std::mem::take(&mut *worker.small.borrow_mut());
    line.clear();
    render(ai, worker, call, exchange, kind, &mut line);
    writer.borrow_mut().append(&line);
    *worker.small.borrow_mut() = line;
}

/// Records what an attempt cost whose answer nobody took: `loser` or `shadow`. Returns the picodollars.
pub fn aside(
    worker: &Worker,
    plan: &WorkerPlan,
    ai: &PreparedAi,
    call: &Call,
    exchange: &Exchange,
    kind: &str,
    facts: Facts,
) -> u64 {
    let mut apart = call.apart();
    apart.facts = facts;
    apart.facts.usd = price(ai, &apart.star, &apart.facts, &apart.facts.usage);
    let usd = apart.facts.usd.unwrap_or(0);
    let Some(writer) = &plan.usage else { return usd };
    let mut line = Vec::with_capacity(1024);
    render(ai, worker, &apart, exchange, kind, &mut line);
    writer.borrow_mut().append(&line);
    usd
}

/// What so much usage costs at the target that served.
pub fn price(ai: &PreparedAi, star: &str, facts: &Facts, usage: &Usage) -> Option<u64> {
    let (model, target) = facts.served?;
    if matches!(facts.cache, CacheState::Hit | CacheState::Joined) {
        return Some(0);
    }
    let target = ai.plan.models.get(model as usize)?.targets.get(target)?;
    if ai.plan.providers[target.provider as usize].dialect == ProviderDialect::Echo {
        return Some(0);
    }
    tidegate_dialect::price::cost(price_of(target, star)?, usage)
}

/// The price of what serves: a target that serves many models has one for each.
pub fn price_of<'a>(target: &'a Target, star: &str) -> Option<&'a Price> {
    if target.prices.is_empty() || !target.model.contains('*') {
        return target.price.as_ref();
    }
    let name = served_name(target, star);
    let own = target.prices.iter().find(|(known, _)| **known == *name).map(|(_, price)| price);
    own.or(target.price.as_ref())
}

/// The provider's name of the model that a target serves.
pub fn served_name<'a>(target: &'a Target, star: &str) -> Cow<'a, str> {
    if target.model.contains('*') {
        target.model.replace('*', star).into()
    } else {
        target.model.as_str().into()
    }
}

fn count(worker: &Worker, ai: &PreparedAi, call: &Call) {
    let facts = &call.facts;
    if !call.is_settled {
        return;
    }
    let (model, target) = facts.served.unwrap_or((call.model, 0));
    let slot = ai.models.get(model as usize).and_then(|model| model.slots.get(target)).copied().unwrap_or(0);
    let counted = crate::metrics::AiCall {
        outcome: facts.outcome.as_str(),
        input: facts.usage.input_total().unwrap_or(0),
        cache_read: facts.usage.cache_read.unwrap_or(0),
        output: facts.usage.output_total().unwrap_or(0),
        reasoning: facts.usage.reasoning.unwrap_or(0),
        picodollars: facts.usd.unwrap_or(0),
        first_token_ns: facts.first_at.saturating_sub(facts.sent_at),
        rest_ns: worker.now().saturating_sub(facts.first_at),
        total_ns: worker.now().saturating_sub(call.started),
        attempts: facts.attempts,
        fallbacks: facts.fallbacks,
        streamed: call.stream,
        cache: facts.cache.as_str(),
    };
    worker.metrics.ai_call(slot, &counted);
}

fn render(ai: &PreparedAi, worker: &Worker, call: &Call, exchange: &Exchange, kind: &str, out: &mut Vec<u8>) {
    let facts = &call.facts;
    let key = call.key.map(|index| &ai.plan.keys[index as usize]);
    let mut object = Object(out);
    object.0.extend_from_slice(b"{\"v\":1");
    object.text("kind", kind);
    object.text("id", &call.id);
    object.text("request_id", exchange.request_id());
    object.number("at_ms", crate::unix_milliseconds());
    object.number("started_ms", call.started_ms);
    object.text("key", key.map_or("", |key| &key.name));
    object.text("tenant", key.map_or("", |key| &key.tenant));
    object.text("team", key.map_or("", |key| &key.team));
    object.text("user", key.map_or("", |key| &key.user));
    object.list("tags", &call.tags);
    object.text("surface", call.surface.as_str());
    object.text("client_dialect", call.dialect.as_str());
    object.text("model", &call.asked);
    let target = facts.served.and_then(|(model, target)| {
        Some((&ai.plan.models[model as usize], ai.plan.models[model as usize].targets.get(target)?))
    });
    let provider = target.map(|(_, target)| &ai.plan.providers[target.provider as usize]);
    object.text("routed", target.map_or("", |(model, _)| &model.name));
    let served = target.map(|(_, target)| served_name(target, &call.star));
    object.text("served", served.as_deref().unwrap_or(""));
    object.text("provider", provider.map_or("", |provider| &provider.name));
    object.text("variant", target.map_or("", |(_, target)| &target.variant));
    let credential = provider.and_then(|provider| provider.credentials.get(facts.credential));
    object.text("credential", credential.map_or("", |credential| &credential.name));
    object.text("prompt", &call.prompt);
    object.flag("stream", call.stream);
    object.number("reserved_usd", facts.reserved_usd);
    object.number("reserved_input", call.input_estimate);
    object.number("reserved_output", call.expected_output);
    if kind == "begin" {
        object.0.push(b'}');
        return;
    }
    object.number("status", u64::from(exchange.status));
    object.text("outcome", facts.outcome.as_str());
    object.text("reason", facts.reason);
    object.text("finish", facts.finish.map_or("", finish_name));
    object.number("attempts", u64::from(facts.attempts));
    object.number("fallbacks", u64::from(facts.fallbacks));
    object.text("cache", facts.cache.as_str());
    let Usage {
        source,
        input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        audio_in,
        audio_out,
        images,
    } = facts.usage;
    object.text("source", source.as_str());
    object.maybe("input", input);
    object.maybe("cache_read", cache_read);
    object.maybe("cache_write_5m", cache_write_5m);
    object.maybe("cache_write_1h", cache_write_1h);
    object.maybe("output", output);
    object.maybe("reasoning", reasoning);
    object.maybe("audio_in", audio_in);
    object.maybe("audio_out", audio_out);
    object.maybe("images", images);
    object.maybe("usd", facts.usd);
    object.text(
        "price_version",
        target.and_then(|(_, target)| price_of(target, &call.star)).map_or("", |price| &price.version),
    );
    let since = |moment: u64, start: u64| if moment == 0 { 0 } else { moment.saturating_sub(start) / 1000 };
    object.number("queue_us", since(facts.sent_at, call.started));
    object.number("first_token_us", since(facts.first_at, call.started));
    object.number("total_us", since(worker.now(), call.started));
    object.text("guard", &facts.guard);
    if let Some(content) = &call.content {
        object.text("prompt_text", &content.prompt);
        object.text("answer_text", &content.answer);
    }
    object.0.push(b'}');
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Error => "error",
    }
}

fn quoted(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    json(value.as_bytes(), out);
    out.push(b'"');
}

/// A JSON object that is being written, behind its first member.
struct Object<'a>(&'a mut Vec<u8>);

impl Object<'_> {
    // Inlined: names are literals, whose bytes are then stored instead of copied by a call for each.
    #[inline(always)]
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    #[inline(always)]
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quoted(value, self.0);
    }

    #[inline(always)]
    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        push_decimal(value, self.0);
    }

    #[inline(always)]
    fn maybe(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(name, value),
            None => {
                self.name(name);
                self.0.extend_from_slice(b"null");
            }
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn list(&mut self, name: &str, values: &[String]) {
        self.name(name);
        self.0.push(b'[');
        for (at, value) in values.iter().enumerate() {
            self.0.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            json(value.as_bytes(), self.0);
            self.0.push(b'"');
        }
        self.0.push(b']');
    }
}
