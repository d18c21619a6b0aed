//! What two calls have in common that ask the same: one key for both, and whether their answer may be kept.

use std::collections::HashMap;

use serde_json::{Map, Value};
use tidegate_plan::ModelCache;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::chat::{Media, Message, Part, ResponseFormat, Role, Tool, ToolChoice};
use crate::{ChatRequest, HINTS, STATE};

/// The key of a request: the same for requests that ask the same of the same model, whatever the client's dialect, the order of keys
/// and white space in JSON, the ids of calls, and whether the answer is to be a stream. Who asks (`user`, `metadata`), the class of
/// service, and what only changes keeping and price do not count. Everything else does: a difference that is not
/// understood is a difference.
///
/// The hash is XXH3 with 128 bits: accidents do not happen, but who knows the salt could make two requests meet. So the
/// salt holds whose the answers are (a tenant), and a secret of the process.
pub fn key(request: &ChatRequest, salt: &[u8]) -> u128 {
    let mut form = Form::new(salt, b"chat");
    form.request(request);
    form.hash.digest128()
}

/// The key of a request that has no chat form (embeddings, reranking), by its JSON; `surface` keeps their keys apart.
pub fn key_of_value(value: &Value, surface: &str, salt: &[u8]) -> u128 {
    let mut form = Form::new(salt, surface.as_bytes());
    match value {
        Value::Object(map) => form.fields(map, |key| !asks_nothing(key) && key != "stream"),
        value => form.value(value),
    }
    form.hash.digest128()
}

/// Whether a request's answer may be kept and given to another that asks the same.
pub fn cacheable(request: &ChatRequest, rule: &ModelCache) -> Result<(), NotCacheable> {
    // Where nothing is said, providers take 1.
    let temperature = request.temperature.unwrap_or(1.0);
    if rule.max_temperature.is_some_and(|most| temperature > most) {
        return Err(NotCacheable::Temperature);
    }
    if request.n.is_some_and(|n| n > 1) {
        return Err(NotCacheable::Choices);
    }
    if STATE.iter().any(|field| request.rest.contains_key(*field)) {
        return Err(NotCacheable::State);
    }
    let of_calls = |part: &Part| matches!(part, Part::ToolCall { .. } | Part::ToolResult { .. });
    let calls = || request.messages.iter().flat_map(|message| &message.parts).any(of_calls);
    if !rule.tools
        && (!request.tools.is_empty() || request.rest.contains_key("web_search_options") || calls())
    {
        return Err(NotCacheable::Tools);
    }
    Ok(())
}

/// Why an answer may not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotCacheable {
    /// It is sampled at a higher temperature than the model's rule allows.
    Temperature,
    /// There are tools or calls, and the model's rule wants none.
    Tools,
    /// More than one answer is asked for: they are to differ.
    Choices,
    /// It builds on what the provider keeps, which the request does not show.
    State,
}

impl NotCacheable {
    /// As logs and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Tools => "tools",
            Self::Choices => "choices",
            Self::State => "state",
        }
    }
}

/// Top-level fields that change nothing of the answer.
fn asks_nothing(key: &str) -> bool {
    matches!(key, "user" | "metadata" | "service_tier" | "stream_options")
        || (HINTS.contains(&key) && key != "include")
}

/// Tags where parts may stand too, whose tags are letters.
mod mark {
    pub const MESSAGE: u8 = 0xFF;
    pub const TOOLS: u8 = 0xFE;
    pub const NAME: u8 = 0xFD;
    pub const REST: u8 = 0xFC;
}

/// What is hashed: each value behind a tag, each text behind its length, so that no two requests read the same.
struct Form<'r> {
    hash: Xxh3,
    /// Ids of calls become numbers in the order in which they appear.
    calls: HashMap<&'r str, u64>,
}

impl<'r> Form<'r> {
    fn new(salt: &[u8], surface: &[u8]) -> Self {
        let mut form = Self { hash: Xxh3::with_seed(xxh3_64(salt)), calls: HashMap::new() };
        form.bytes(salt);
        form.bytes(surface);
        form
    }

    fn tag(&mut self, tag: u8) {
        self.hash.update(&[tag]);
    }

    fn number(&mut self, number: u64) {
        self.hash.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hash.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.tag(0),
            Some(value) => {
                self.tag(1);
                write(self, value);
            }
        }
    }

    fn float(&mut self, float: f64) {
        // 0 and -0 are the same, and so are all that are no number.
        let float = if float == 0.0 { 0.0 } else { float };
        self.number(if float.is_nan() { f64::NAN.to_bits() } else { float.to_bits() });
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.tag(b'0'),
            Value::Bool(value) => self.tag(if *value { b't' } else { b'f' }),
            Value::Number(number) => match (crate::json::unsigned(value), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => {
                    self.tag(b'u');
                    self.number(number);
                }
                (None, Some(number), _) => {
                    self.tag(b'i');
                    self.number(number.cast_unsigned());
                }
                (None, None, float) => {
                    self.tag(b'd');
                    self.float(float.unwrap_or(f64::NAN));
                }
            },
            Value::String(text) => {
                self.tag(b's');
                self.text(text);
            }
            Value::Array(values) => {
                self.tag(b'[');
                self.number(values.len() as u64);
                for value in values {
                    self.value(value);
                }
            }
            Value::Object(map) => self.fields(map, |_| true),
        }
    }

    /// An object's members by name; `null` is absent.
    fn fields(&mut self, map: &Map<String, Value>, counts: impl Fn(&str) -> bool) {
        let mut members: Vec<_> = map.iter().filter(|(key, value)| !value.is_null() && counts(key)).collect();
        members.sort_unstable_by_key(|(key, _)| *key);
        self.tag(b'{');
        self.number(members.len() as u64);
        for (key, value) in members {
            self.text(key);
            self.value(value);
        }
    }

    fn request(&mut self, request: &'r ChatRequest) {
        self.text(&request.model);
        let mut role = None;
        for message in &request.messages {
            // Dialects differ in whether what the model said in one go, and the results of its calls, are one
            // message or several.
            let grouped = matches!(message.role, Role::Assistant | Role::Tool);
            self.message(message, grouped && role == Some(message.role));
            role = Some(message.role);
        }
        self.tag(mark::TOOLS);
        self.number(request.tools.len() as u64);
        for tool in &request.tools {
            self.tool(tool);
        }
        // What says the default says nothing.
        match &request.tool_choice {
            None | Some(ToolChoice::Auto) => self.tag(b'a'),
            Some(ToolChoice::None) => self.tag(b'n'),
            Some(ToolChoice::Required) => self.tag(b'r'),
            Some(ToolChoice::Named(name)) => {
                self.tag(b'N');
                self.text(name);
            }
            Some(ToolChoice::Allowed { names, required }) => {
                self.tag(if *required { b'L' } else { b'l' });
                self.texts(names);
            }
        }
        self.tag(u8::from(request.parallel_tool_calls != Some(false)));
        self.maybe(request.max_tokens, Self::number);
        self.maybe(request.temperature, Self::float);
        self.maybe(request.top_p, Self::float);
        self.maybe(request.top_k, Self::number);
        self.float(request.frequency_penalty.unwrap_or(0.0));
        self.float(request.presence_penalty.unwrap_or(0.0));
        self.texts(&request.stop);
        self.number(request.n.unwrap_or(1));
        self.maybe(request.seed, |form, seed| form.number(seed.cast_unsigned()));
        self.tag(u8::from(request.logprobs == Some(true)));
        self.maybe(request.top_logprobs, Self::number);
        self.maybe(request.logit_bias.as_ref(), Self::value);
        match &request.response_format {
            None | Some(ResponseFormat::Text) => self.tag(b't'),
            Some(ResponseFormat::Json) => self.tag(b'j'),
            Some(ResponseFormat::Schema { name, description, schema, strict }) => {
                self.tag(b's');
                self.text(name);
                self.maybe(description.as_deref(), Self::text);
                self.value(schema);
                self.maybe(*strict, |form, strict| form.tag(u8::from(strict)));
            }
        }
        self.maybe(request.reasoning.as_ref(), |form, reasoning| {
            // Who names an effort thinks.
            let enabled = reasoning.enabled.or(reasoning.effort.as_ref().map(|effort| effort != "none"));
            form.maybe(enabled, |form, enabled| form.tag(u8::from(enabled)));
            form.maybe(reasoning.effort.as_deref(), Self::text);
            form.maybe(reasoning.budget, Self::number);
            form.maybe(reasoning.summary.as_deref(), Self::text);
            form.maybe(reasoning.include, |form, include| form.tag(u8::from(include)));
        });
        self.fields(&request.rest, |key| !asks_nothing(key));
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
    }

    fn message(&mut self, message: &'r Message, continues: bool) {
        if !continues {
            self.tag(mark::MESSAGE);
            self.tag(match message.role {
                Role::System => b's',
                Role::Developer => b'd',
                Role::User => b'u',
                Role::Assistant => b'a',
                Role::Tool => b't',
            });
        }
        if let Some(name) = &message.name {
            self.tag(mark::NAME);
            self.text(name);
        }
        if message.rest.values().any(|value| !value.is_null()) {
            self.tag(mark::REST);
            self.fields(&message.rest, |_| true);
        }
        for part in &message.parts {
            self.part(part);
        }
    }

    fn part(&mut self, part: &'r Part) {
        match part {
            Part::Text { text, citations, .. } => {
                self.tag(b'T');
                self.text(text);
                self.maybe(citations.as_ref(), Self::value);
            }
            Part::Image { media, detail, .. } => {
                self.tag(b'I');
                self.media(media);
                self.text(detail.as_deref().unwrap_or("auto"));
            }
            Part::Audio { media } => {
                self.tag(b'A');
                self.media(media);
            }
            Part::Video { media } => {
                self.tag(b'V');
                self.media(media);
            }
            Part::File { media, name, rest, .. } => {
                self.tag(b'F');
                self.media(media);
                self.maybe(name.as_deref(), Self::text);
                self.fields(rest, |_| true);
            }
            Part::ToolCall { id, name, arguments, signature, .. } => {
                self.tag(b'C');
                self.call(id);
                self.text(name);
                match serde_json::from_str::<Value>(arguments) {
                    Ok(value) => self.value(&value),
                    Err(_) if arguments.is_empty() => self.fields(&Map::new(), |_| true),
                    Err(_) => {
                        self.tag(b'?');
                        self.text(arguments);
                    }
                }
                self.maybe(signature.as_deref(), Self::text);
            }
            Part::ToolResult { id, parts, is_error, .. } => {
                self.tag(b'R');
                self.call(id);
                self.tag(u8::from(*is_error));
                self.number(parts.len() as u64);
                for part in parts {
                    self.part(part);
                }
            }
            Part::Thinking { text, signature, .. } => {
                self.tag(b'H');
                self.text(text);
                self.maybe(signature.as_deref(), Self::text);
            }
            Part::RedactedThinking { data } => {
                self.tag(b'X');
                self.text(data);
            }
            Part::Refusal { text } => {
                self.tag(b'D');
                self.text(text);
            }
            Part::Other { dialect, value } => {
                self.tag(b'O');
                self.tag(*dialect as u8);
                self.value(value);
            }
        }
    }

    fn call(&mut self, id: &'r str) {
        let next = self.calls.len() as u64;
        let number = *self.calls.entry(id).or_insert(next);
        self.number(number);
    }

    fn media(&mut self, media: &Media) {
        match media {
            Media::Base64 { media_type, data } => {
                self.tag(b'b');
                self.text(media_type);
                self.text(data);
            }
            Media::Url { url, media_type } => {
                self.tag(b'u');
                self.text(url);
                self.maybe(media_type.as_deref(), Self::text);
            }
            Media::FileId { id } => {
                self.tag(b'i');
                self.text(id);
            }
            Media::Text { text } => {
                self.tag(b't');
                self.text(text);
            }
        }
    }

    fn tool(&mut self, tool: &Tool) {
        match tool {
            Tool::Function { name, description, parameters, strict, .. } => {
                self.tag(b'f');
                self.text(name);
                self.maybe(description.as_deref(), Self::text);
                self.maybe(parameters.as_ref(), Self::value);
                self.tag(u8::from(*strict == Some(true)));
            }
            Tool::Native { dialect, value } => {
                self.tag(b'n');
                self.tag(*dialect as u8);
                self.value(value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
