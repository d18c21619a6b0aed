//! The AI gateway: who is asked, by which name, by whom, for how much.

use crate::{Access, Secret};
use serde::Deserialize;

/// All that AI routes share. Times are milliseconds, money is picodollars (10⁻¹² USD), so that sums are exact.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// Who answers.
    pub providers: Vec<Provider>,
    /// Names that clients see. A name may hold one `*`, which stands for any text; exact names go first.
    pub models: Vec<Model>,
    /// Who may ask.
    pub keys: Vec<AiKey>,
    /// Whether calls without any key are let in too: nobody has been given one yet.
    pub open: bool,
    /// Limits and budgets; keys point at them.
    pub accounts: Vec<Account>,
    /// Accounts that hold for calls without a key.
    pub open_accounts: Vec<u32>,
    /// Prompts as APIs.
    pub prompts: Vec<Prompt>,
    /// What is looked for in texts; routes and keys point at them.
    pub guards: Vec<Guard>,
    /// Bytes of answers that are kept for models with a cache; 0 for none.
    pub cache_bytes: u64,
    /// Where usage records are written; `null` keeps none (tests).
    pub journal: Option<UsageJournal>,
    /// Whether prompts and answers go into usage records.
    pub log_content: LogContent,
    /// The client's field whose value is a call's tags (comma-separated): `X-Tidegate-Tags`.
    pub tag_header: String,
}

/// Where usage records are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageJournal {
    /// A folder, made where it is not there.
    pub path: String,
    /// Bytes of one segment file.
    pub segment_bytes: u64,
}

/// What of prompts and answers is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogContent {
    /// Nothing.
    Off,
    /// With personal data masked.
    Redacted,
    /// Everything.
    Full,
}

/// Whose words a provider speaks, and at which addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderDialect {
    /// OpenAI and all who are compatible: `{base}/chat/completions`.
    Openai,
    /// OpenAI responses: `{base}/responses`.
    Responses,
    /// `{base}/openai/deployments/{model}/chat/completions?api-version=…`, or `{base}/openai/v1/…` without a version.
    Azure,
    /// `{base}/v1/messages`.
    Anthropic,
    /// `{base}/v1beta/models/{model}:generateContent`.
    Gemini,
    /// `{base}/v1/projects/{project}/locations/{region}/publishers/google/models/{model}:generateContent`.
    Vertex,
    /// `{base}/model/{model}/converse`.
    Bedrock,
    /// `{base}/v2/chat`.
    Cohere,
    /// `{base}/v1/chat/completions`.
    Mistral,
    /// `{base}/api/chat`.
    Ollama,
    /// Nobody: the gateway answers with what it was told, so that a first call needs no account.
    Echo,
}

/// Somebody who answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// As logs, metrics and records call it; unique.
    pub name: String,
    /// Whose words it speaks.
    pub dialect: ProviderDialect,
    /// Index of the upstream with its endpoints; `null` for `echo` only.
    pub upstream: Option<u32>,
    /// The path of the base URL, without a slash at its end: `/v1`; empty for none.
    pub base_path: String,
    /// For a connection to it.
    pub connect_ms: u32,
    /// At least one; a provider without secrets has one of scheme `none`.
    pub credentials: Vec<Credential>,
    /// Fields that every call carries.
    pub headers: Vec<(String, String)>,
    /// Paths that differ from the dialect's own, by surface (`chat`, `embeddings` …), behind `base_path`; `{model}` stands for the model.
    pub paths: Vec<(String, String)>,
    /// Fields of requests that this provider can't take (removed or refused as the model says): `seed`, `logprobs`.
    pub unsupported: Vec<String>,
    /// AWS region, or Vertex location; else empty.
    pub region: String,
    /// Vertex project; else empty.
    pub project: String,
    /// Azure's api-version; empty for the versionless paths.
    pub api_version: String,
    /// How the load of own inference servers is read; `null` for not at all.
    pub load: Option<LoadProbe>,
}

/// Reads the load of an inference server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadProbe {
    /// Where its Prometheus text is: `/metrics`.
    pub path: String,
    /// Between two looks.
    pub interval_ms: u32,
}

/// How a call is let in at a provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// As logs and metrics call it.
    pub name: String,
    /// Its share, 1 to 1000.
    pub weight: u32,
    /// How it is told.
    pub scheme: CredentialScheme,
}

/// How a credential is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialScheme {
    /// Not at all.
    None,
    /// The client's own credential is passed on.
    Client,
    /// One field: `Authorization` and `Bearer SECRET`, or `x-api-key` and `SECRET`.
    Header {
        /// The field.
        name: String,
        /// The whole value.
        value: Secret,
    },
    /// A query parameter.
    Query {
        /// Its name.
        name: String,
        /// Its value, percent-encoded already.
        value: Secret,
    },
    /// AWS Signature Version 4, service `bedrock`.
    Aws {
        /// The access key's id.
        access_key: String,
        /// The secret.
        secret_key: Secret,
        /// Of temporary credentials; empty for none.
        session_token: Secret,
    },
}

/// A name that clients see.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Unique.
    pub name: String,
    /// Who serves it; at least one.
    pub targets: Vec<Target>,
    /// How one of them is chosen.
    pub balance: ModelBalance,
    /// Models that are asked where none of the targets answers, in order.
    pub fallback: Vec<Fallback>,
    /// Attempts at this model's own targets, 1 to 16.
    pub attempts: u32,
    /// Waits between attempts: the first, doubled each time, a random half of it; `retry-after` goes before.
    pub backoff_ms: u32,
    /// The longest `retry-after` that is waited for; a longer one goes on to the next target or fallback.
    pub retry_after_most_ms: u32,
    /// From sending the request to the first event, or the answer's head.
    pub first_token_ms: u32,
    /// Between two events.
    pub between_tokens_ms: u32,
    /// For the whole call, all attempts.
    pub total_ms: u32,
    /// How long a target, with that credential, is left out that answered 429 or failed; 0 for not.
    pub cooldown_ms: u32,
    /// Identical calls in flight become one.
    pub deduplicate: bool,
    /// Answers are kept; `null` for not.
    pub cache: Option<ModelCache>,
    /// A second attempt before the first token; `null` for none.
    pub hedge: Option<Hedge>,
    /// Small embedding calls become one; `null` for not.
    pub batch: Option<Batch>,
    /// The client's field that ties calls together, to one target and endpoint; empty for none.
    pub session_header: String,
    /// A prompt goes where its beginning was served last.
    pub prefix_affinity: bool,
    /// The variant of a target is the same for the same key or the same value of this field; empty: `balance` alone decides.
    pub sticky: String,
    /// A share of calls is asked of another model too, and the answer thrown away; `null` for none.
    pub shadow: Option<Shadow>,
    /// Other models for some calls; the first rule that holds goes.
    pub rules: Vec<Rule>,
    /// What a target can't do is left out, instead of being refused.
    pub drop_unsupported: bool,
    /// What becomes of the provider's answer when the client is gone.
    pub on_disconnect: OnDisconnect,
    /// Output tokens that are reserved where a request names no bound.
    pub expected_output: u64,
    /// Bytes of a prompt that are taken at most; 0 for no bound but the route's.
    pub prompt_bytes: u64,
    /// The most output tokens that a client may ask for; more is cut to it. 0 for no bound.
    pub max_output: u64,
}

/// How a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelBalance {
    /// By weight.
    Weight,
    /// The fewest calls in flight by weight.
    LeastBusy,
    /// The shortest time to the first token and per token.
    Latency,
    /// The cheapest that is not cooling down.
    Cost,
    /// The most that the provider's headers say is left.
    Headroom,
    /// In the order of the list: the next only where the one before is down, limited or too busy.
    Order,
}

/// One that serves a model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Index of the provider.
    pub provider: u32,
    /// The provider's name of the model; `*` is replaced by what the `*` of the model's name stood for.
    pub model: String,
    /// Its share, 0 to 1000; 0 gets none but by a fallback within the model.
    pub weight: u32,
    /// As records call it: the side of a test.
    pub variant: String,
    /// The price; `null` where it is not known.
    pub price: Option<Price>,
    /// Prices by the provider's model name, for targets with `*`.
    pub prices: Vec<(String, Price)>,
    /// The longest conversation in tokens; 0 where it is not known.
    pub context_tokens: u64,
    /// Calls in flight above which `order` goes on to the next, and seconds of queue by the server's own metrics; 0 for no bound.
    pub busy_calls: u32,
    /// See `busy_calls`.
    pub busy_queue_ms: u32,
}

/// Picodollars a token, and the steps at which they change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Where it comes from: the catalogue's version, or `configuration`.
    pub version: String,
    /// From the first token.
    pub rates: Rates,
    /// Above so many tokens of input in all, these hold for the whole call; in rising order.
    pub tiers: Vec<(u64, Rates)>,
}

/// Picodollars a token; `null` where nothing is said (then the rule of `dialect::price` holds).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Input that no cache held.
    pub input: Option<u64>,
    /// Read from the provider's cache; `input` where not said.
    pub cache_read: Option<u64>,
    /// Written to it for five minutes; `input` where not said.
    pub cache_write_5m: Option<u64>,
    /// Written to it for an hour; `cache_write_5m` where not said.
    pub cache_write_1h: Option<u64>,
    /// Output.
    pub output: Option<u64>,
    /// Thought; `output` where not said.
    pub reasoning: Option<u64>,
    /// Audio in; `input` where not said.
    pub audio_in: Option<u64>,
    /// Audio out; `output` where not said.
    pub audio_out: Option<u64>,
    /// For a picture made.
    pub image: Option<u64>,
    /// For the call itself.
    pub request: Option<u64>,
}

/// A model that is asked instead.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Index of the model.
    pub model: u32,
    /// For which causes.
    pub on: Vec<FallbackCause>,
}

/// Why another model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackCause {
    /// 429, or cooling down.
    RateLimited,
    /// No connection, 5xx, an answer that is none.
    Down,
    /// The conversation is longer than the model takes.
    ContextTooLong,
    /// The provider's filter declined.
    ContentFilter,
    /// No first token in time.
    TooSlow,
    /// The key has no money left for this model.
    OverBudget,
}

/// Answers that are kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCache {
    /// How long.
    pub ttl_ms: u64,
    /// Whether tenants share them.
    pub shared: bool,
    /// Calls with a higher temperature are not kept; `null` for no bound.
    pub max_temperature: Option<f64>,
    /// Whether calls with tools are kept.
    pub tools: bool,
}

/// A second attempt before the first token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long the first is waited for.
    pub after_ms: u32,
    /// The most second attempts, in percent of calls.
    pub budget_percent: u32,
}

/// Small embedding calls become one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// How long the first waits for others.
    pub window_ms: u32,
    /// The most inputs in one call.
    pub inputs: u32,
}

/// Calls that are asked of another model too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Index of the model.
    pub model: u32,
    /// Of calls.
    pub percent: u32,
}

/// Another model for some calls; all conditions that are given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Index of the model that is asked instead.
    pub model: u32,
    /// Estimated input tokens, at least.
    pub min_tokens: Option<u64>,
    /// Estimated input tokens, at most.
    pub max_tokens: Option<u64>,
    /// A tag of the call.
    pub tag: Option<String>,
    /// A request field and its value; the value empty for "is there".
    pub header: Option<(String, String)>,
}

/// What becomes of the provider's answer when the client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The provider's connection is closed; usage is estimated.
    Abort,
    /// It is read to its end (within the time-outs), so that usage is exact.
    Drain,
}

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AiKey {
    /// As records, logs and limits know it; twice while its secret is rotated.
    pub name: String,
    /// SHA-256 of the key, 64 lower-case hexadecimal digits; unique.
    pub sha256: String,
    /// Whose it is; empty for nobody's.
    pub tenant: String,
    /// A part of the tenant; empty for none.
    pub team: String,
    /// A member of the team; empty for none.
    pub user: String,
    /// Indices of the models that it may ask; `null` for all.
    pub models: Option<Vec<u32>>,
    /// Surfaces that it may use (`chat`, `embeddings` …); `null` for all.
    pub surfaces: Option<Vec<String>>,
    /// Who may use it by address; `null` for everybody.
    pub access: Option<Access>,
    /// Milliseconds since 1970 after which it is refused; `null` for never.
    pub expires_ms: Option<u64>,
    /// Indices of the accounts that its calls are paid from, all of them.
    pub accounts: Vec<u32>,
    /// Indices of guards that hold for its calls, beside the route's.
    pub guards: Vec<u32>,
    /// Tags that all its calls bear.
    pub tags: Vec<String>,
}

/// One limit or budget.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Unique, and the same as long as it means the same: `tenant acme: usd per month`. State is carried over by it.
    pub name: String,
    /// What is counted.
    pub metric: Metric,
    /// The most in one window: requests, tokens, picodollars, or calls in flight.
    pub limit: u64,
    /// When it begins again.
    pub window: Window,
    /// Only calls for these models count; `null` for all.
    pub models: Option<Vec<u32>>,
    /// Only calls with this tag count; `null` for all.
    pub tag: Option<String>,
    /// What was spent before this process began; `null` for nothing.
    pub opening: Option<Opening>,
}

/// What was spent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Any moment of the window it was spent in, in milliseconds since 1970.
    pub at_ms: u64,
    /// How much.
    pub spent: u64,
}

/// What an account counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Calls.
    Requests,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Both.
    Tokens,
    /// Picodollars.
    Usd,
    /// Calls in flight; `window` is `none`.
    InFlight,
}

/// When an account begins again (UTC; a week begins on Monday).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Never.
    None,
    /// Each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day.
    Day,
    /// Each week.
    Week,
    /// Each month.
    Month,
}

/// A prompt as an API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// The last part of its path.
    pub name: String,
    /// What is told of it in the OpenAPI document.
    pub description: String,
    /// At least one.
    pub versions: Vec<PromptVersion>,
}

/// One version of a prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptVersion {
    /// Unique in the prompt.
    pub version: String,
    /// Its share of the calls that pin none; the default has 1 and the others 0 where no test runs.
    pub weight: u32,
    /// Index of the model.
    pub model: u32,
    /// Role and template (minijinja), in order.
    pub messages: Vec<(String, String)>,
    /// JSON Schema of the inputs, as JSON text; `{}` for anything.
    pub input: String,
    /// JSON Schema of the output, as JSON text; `null`: text.
    pub output: Option<String>,
    /// Other fields of the chat request (OpenAI's words), as JSON text: `{"temperature": 0}`.
    pub parameters: String,
}

/// What is looked for in texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// As logs, metrics and refusals call it; unique.
    pub name: String,
    /// In which texts.
    pub scope: GuardScope,
    /// What is looked for.
    pub look_for: LookFor,
    /// What is done.
    pub action: GuardAction,
}

/// In which texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardScope {
    /// What the client sends.
    Request,
    /// What the model answers.
    Response,
    /// Both.
    Both,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LookFor {
    /// Personal data: `card`, `iban`, `email`, `phone`, `ip`, `ssn`, `api_key`.
    Pii {
        /// Which.
        kinds: Vec<String>,
    },
    /// Words, in any case, as whole words.
    Keywords {
        /// Which.
        words: Vec<String>,
    },
    /// A regular expression of the regex crate.
    Regex {
        /// The pattern.
        pattern: String,
    },
}

/// What is done with what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardAction {
    /// The call is refused; an answer is cut off.
    Block,
    /// `[EMAIL]` takes its place.
    Mask,
    /// `[EMAIL_1]` takes its place upstream, and the original comes back in the answer.
    Restore,
}

/// What an AI route adds to what all share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AiRoute {
    /// Indices of guards.
    pub guards: Vec<u32>,
}
