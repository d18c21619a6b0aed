//! The chat form: one conversation with a model, in no provider's words.

use serde_json::{Map, Value};

/// What a client asks of a model. Absent is `None`, never a default: the target's own default holds then.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The model as the client named it.
    pub model: String,
    /// The conversation in order, system and developer messages where they stood.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it may, must, or must call which.
    pub tool_choice: Option<ToolChoice>,
    /// `Some(false)`: one call at a time.
    pub parallel_tool_calls: Option<bool>,
    /// The most tokens of output, reasoning included.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The most likely tokens that are sampled from.
    pub top_k: Option<u64>,
    /// OpenAI's scale, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// OpenAI's scale, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Texts at which the output ends.
    pub stop: Vec<String>,
    /// How many choices.
    pub n: Option<u64>,
    /// For answers that can be repeated.
    pub seed: Option<i64>,
    /// Whether token probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives at each place.
    pub top_logprobs: Option<u64>,
    /// OpenAI's map of token ids.
    pub logit_bias: Option<Value>,
    /// What the answer has to look like.
    pub response_format: Option<ResponseFormat>,
    /// How much the model is to think.
    pub reasoning: Option<Reasoning>,
    /// The end user, as the client calls them.
    pub user: Option<String>,
    /// Free-form labels.
    pub metadata: Option<Map<String, Value>>,
    /// The provider's class of service, in its own word.
    pub service_tier: Option<String>,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Whether a stream is to carry usage (OpenAI chat); `true` for dialects whose streams always do.
    pub include_usage: bool,
    /// Top-level fields that the chat form has no word for. They survive where the target speaks the dialect they
    /// came from, or one that shares its words (OpenAI and the compatibles); elsewhere each is refused or dropped.
    pub rest: Map<String, Value>,
    /// Whose words the request came in; `rest`, here and in messages, means the same to no other. `None` for requests
    /// that no client wrote.
    pub dialect: Option<crate::Dialect>,
}

impl ChatRequest {
    /// Whether a class of service is asked for that is not the usual one.
    pub(crate) fn asks_for_service_tier(&self) -> bool {
        let usual = |tier: &str| matches!(tier, "auto" | "default" | "standard" | "standard_only");
        self.service_tier.as_deref().is_some_and(|tier| !usual(tier))
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator.
    System,
    /// The operator, in OpenAI's newer word; a target without it takes it as system.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The results of calls. One message may carry several [`Part::ToolResult`].
    Tool,
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The speaker's name, where several share a role.
    pub name: Option<String>,
    /// Fields that the chat form has no word for.
    pub rest: Map<String, Value>,
}

/// Where a prompt cache may end, in Anthropic's form: `{"type":"ephemeral","ttl":"1h"}`. Targets without explicit
/// breakpoints leave it out silently: it changes the price, never the answer.
pub type CacheControl = Value;

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Words.
    Text {
        /// UTF-8.
        text: String,
        /// A breakpoint of the prompt cache behind it.
        cache: Option<CacheControl>,
        /// Citations or annotations, in the form of the dialect that it came from; `None` for none.
        citations: Option<Value>,
    },
    /// A picture.
    Image {
        /// Where it is.
        media: Media,
        /// OpenAI's `low`, `high`, `auto`.
        detail: Option<String>,
        /// A breakpoint of the prompt cache behind it.
        cache: Option<CacheControl>,
    },
    /// Sound.
    Audio {
        /// Where it is; `media_type` as `audio/wav`.
        media: Media,
    },
    /// Moving pictures.
    Video {
        /// Where it is.
        media: Media,
    },
    /// A document.
    File {
        /// Where it is.
        media: Media,
        /// Its name.
        name: Option<String>,
        /// A breakpoint of the prompt cache behind it.
        cache: Option<CacheControl>,
        /// Other fields of the block (Anthropic's `citations`, `context`, `title`).
        rest: Map<String, Value>,
    },
    /// The model calls a tool.
    ToolCall {
        /// Ties the result to it. Where a dialect has none, `call_` and a number that is unique in the conversation.
        id: String,
        /// The tool.
        name: String,
        /// JSON text as the model wrote it; may be empty for no arguments.
        arguments: String,
        /// An opaque token that the provider wants back (Gemini's `thoughtSignature`).
        signature: Option<String>,
        /// A breakpoint of the prompt cache behind it.
        cache: Option<CacheControl>,
    },
    /// What the tool said.
    ToolResult {
        /// The call's id.
        id: String,
        /// The tool's name, where the dialect tells it (Gemini needs it).
        name: Option<String>,
        /// Text, images, files.
        parts: Vec<Part>,
        /// Whether the tool failed.
        is_error: bool,
        /// A breakpoint of the prompt cache behind it.
        cache: Option<CacheControl>,
    },
    /// What the model thought before it spoke.
    Thinking {
        /// May be empty where only the signature is told.
        text: String,
        /// An opaque token without which the provider refuses the next turn (Anthropic's `signature`, Gemini's
        /// `thoughtSignature`, the `encrypted_content` of OpenAI responses).
        signature: Option<String>,
        /// The item's id (OpenAI responses).
        id: Option<String>,
    },
    /// Thought that the provider hides (Anthropic).
    RedactedThinking {
        /// Opaque.
        data: String,
    },
    /// The model declines, in words (OpenAI).
    Refusal {
        /// Why.
        text: String,
    },
    /// A block that only its own dialect knows. Refused, or dropped where allowed, for any other.
    Other {
        /// Whose.
        dialect: crate::Dialect,
        /// The whole block.
        value: Value,
    },
}

impl Part {
    /// Plain words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), cache: None, citations: None }
    }
}

/// Where content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// In the request itself.
    Base64 {
        /// `image/png`; empty where the client did not say.
        media_type: String,
        /// Standard alphabet, padded.
        data: String,
    },
    /// Elsewhere. (`data:` URLs are taken apart into `Base64` by the readers.)
    Url {
        /// Where.
        url: String,
        /// What it is, where the dialect tells it.
        media_type: Option<String>,
    },
    /// Uploaded to the provider before.
    FileId {
        /// The provider's id.
        id: String,
    },
    /// Words (Anthropic's plain-text documents).
    Text {
        /// UTF-8.
        text: String,
    },
}

/// What the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool {
    /// A function of the client's.
    Function {
        /// Unique in the request.
        name: String,
        /// When and how to call it.
        description: Option<String>,
        /// JSON Schema; `None` for no arguments.
        parameters: Option<Value>,
        /// Whether arguments must follow the schema to the letter.
        strict: Option<bool>,
        /// A breakpoint of the prompt cache behind it.
        cache: Option<CacheControl>,
    },
    /// One of the provider's own (web search, code execution, computer use).
    Native {
        /// Whose.
        dialect: crate::Dialect,
        /// The whole declaration.
        value: Value,
    },
}

/// Whether tools are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// Never.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// At least one (`required`) or as the model likes, of these.
    Allowed {
        /// Their names.
        names: Vec<String>,
        /// Whether one must be called.
        required: bool,
    },
}

/// What the answer has to look like.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseFormat {
    /// Words.
    Text,
    /// Any JSON object.
    Json,
    /// JSON of a schema.
    Schema {
        /// The schema's name; `response` where the dialect has none.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// JSON Schema.
        schema: Value,
        /// Whether it is followed to the letter.
        strict: Option<bool>,
    },
}

/// How much the model thinks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning {
    /// `Some(false)`: not at all.
    pub enabled: Option<bool>,
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`; other words pass.
    pub effort: Option<String>,
    /// Tokens for it.
    pub budget: Option<u64>,
    /// `auto`, `concise`, `detailed` (OpenAI responses).
    pub summary: Option<String>,
    /// Whether thoughts are wanted in the answer (Gemini's `includeThoughts`).
    pub include: Option<bool>,
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The provider's id; empty where it gave none.
    pub id: String,
    /// The model that answered, in the provider's word; empty where it did not say.
    pub model: String,
    /// Seconds since 1970, where the provider said.
    pub created: Option<u64>,
    /// Usually one.
    pub choices: Vec<Choice>,
    /// What it took; all buckets `None` where the provider did not say.
    pub usage: crate::Usage,
    /// Top-level fields that the chat form has no word for (`system_fingerprint`, `promptFeedback`).
    pub rest: Map<String, Value>,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Counts from 0.
    pub index: u32,
    /// What was said, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
    /// The same in the provider's word, and the text at which it stopped where one did.
    pub native_finish: Option<String>,
    /// The stop text that ended it (Anthropic's `stop_sequence`).
    pub stop_text: Option<String>,
    /// OpenAI's `logprobs` object.
    pub logprobs: Option<Value>,
    /// Safety ratings, content filter results, grounding and the like, by the provider's name of the field.
    pub rest: Map<String, Value>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Finish {
    /// The model was done, or came to a stop text.
    #[default]
    Stop,
    /// No more tokens were allowed.
    Length,
    /// It waits for the results of calls.
    ToolCalls,
    /// The provider, or the model, declined.
    ContentFilter,
    /// The provider says that something went wrong.
    Error,
}
