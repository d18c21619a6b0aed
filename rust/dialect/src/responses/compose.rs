//! Writes a responses request from the chat form.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{ENCRYPTED, LOGPROBS, request::wants_encrypted};
use crate::carry::Home;
use crate::chat::{Media, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice};
use crate::json::{Array, Object};
use crate::{ChatRequest, Dialect, Fault, Target, Written};

/// Top-level words of other dialects that end in a request's rest and that this one does not have. (OpenAI refuses any
/// parameter that it does not know.)
#[rustfmt::skip] // by whose words they are
const FOREIGN: &[&str] = &[
    // OpenAI chat completions
    "audio", "modalities", "prediction", "web_search_options", "functions", "function_call", "best_of", "echo", "suffix",
    // servers that are compatible with it
    "min_p", "repetition_penalty", "ignore_eos", "guided_json", "guided_regex", "guided_choice", "chat_template",
    "chat_template_kwargs", "provider", "models", "route", "transforms", "plugins",
    // Anthropic
    "system", "thinking", "mcp_servers", "container", "output_config", "speed", "anthropic_version", "anthropic_beta",
    // Gemini
    "safetySettings", "cachedContent", "generationConfig", "toolConfig", "labels",
    // Bedrock
    "guardrailConfig", "additionalModelRequestFields", "additionalModelResponseFieldPaths", "performanceConfig",
    "requestMetadata", "promptVariables", "outputConfig",
    // Cohere, Mistral, Ollama
    "documents", "citation_options", "safety_mode", "strict_tools", "safe_prompt", "prompt_mode", "options",
    "keep_alive", "think", "format", "template", "raw",
];

/// Appends the body of a request to a provider. What is appended is nothing where a fault is returned.
pub fn write(request: &ChatRequest, target: &Target<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    let start = out.len();
    let mut composer = Composer { target, written: Written::default(), stored: false, breakpoints: false };
    match composer.body(request, out) {
        Ok(()) => Ok(composer.written),
        Err(fault) => {
            out.truncate(start);
            Err(fault)
        }
    }
}

struct Composer<'t> {
    target: &'t Target<'t>,
    written: Written,
    /// The provider keeps the conversation, so items may be named by id alone.
    stored: bool,
    /// The client sets breakpoints in this dialect's own way.
    breakpoints: bool,
}

impl Composer<'_> {
    fn drop(&mut self, field: &str) -> Result<(), Fault> {
        self.written.drop(self.target, field)
    }

    fn body(&mut self, request: &ChatRequest, out: &mut Vec<u8>) -> Result<(), Fault> {
        let rest = &request.rest;
        self.stored = rest.get("store") == Some(&Value::Bool(true));
        self.breakpoints = rest.contains_key("prompt_cache_options");
        self.refuse(request)?;
        let mut body = Object::begin(out);
        body.put("model", self.target.model);
        let mut messages = request.messages.as_slice();
        let mut first = 0;
        if let [message, others @ ..] = messages
            && let Some(text) = instructions(message)
        {
            body.put("instructions", text.as_ref());
            (messages, first) = (others, 1);
        }
        let mut input = body.array("input");
        for (index, message) in messages.iter().enumerate() {
            self.message(message, index + first, &mut input)?;
        }
        input.end();
        self.tools(&request.tools, &mut body)?;
        match (&request.tool_choice, rest.get("tool_choice")) {
            (Some(choice), _) => body.put("tool_choice", &tool_choice(choice)),
            (None, other) => body.maybe("tool_choice", other.map(flat_choice).as_ref()),
        };
        body.maybe("parallel_tool_calls", request.parallel_tool_calls.as_ref());
        body.maybe("max_output_tokens", request.max_tokens.as_ref());
        body.maybe("temperature", request.temperature.as_ref());
        body.maybe("top_p", request.top_p.as_ref());
        body.maybe("top_logprobs", request.top_logprobs.as_ref());
        text(request, &mut body);
        reasoning(request.reasoning.as_ref(), rest.get("reasoning"), &mut body);
        include(request, &mut body);
        let identifier = rest.get("safety_identifier").and_then(Value::as_str);
        body.maybe("user", request.user.as_deref().filter(|user| Some(*user) != identifier));
        body.maybe("metadata", request.metadata.as_ref());
        let tier = request.service_tier.as_deref();
        body.maybe("service_tier", tier.map(|tier| if tier == "standard_only" { "default" } else { tier }));
        // A conversation that came in another dialect can't be continued by its id, so nobody needs it kept.
        // (OpenAI keeps for 30 days what says nothing.)
        if !rest.contains_key("store") {
            body.put("store", &false);
        }
        for (key, value) in rest {
            match key.as_str() {
                "tool_choice" | "reasoning" | "text" | "verbosity" | "include" => {}
                key if FOREIGN.contains(&key) => self.drop(key)?,
                key => {
                    body.put(key, value);
                }
            }
        }
        if self.target.stream {
            body.put("stream", &true);
        }
        body.end();
        Ok(())
    }

    /// Fields of the chat form that this dialect has no word for.
    fn refuse(&mut self, request: &ChatRequest) -> Result<(), Fault> {
        let unsayable = [
            ("top_k", request.top_k.is_some()),
            ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
            ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
            ("stop", !request.stop.is_empty()),
            ("n", request.n.is_some_and(|n| n != 1)),
            ("seed", request.seed.is_some()),
            ("logit_bias", request.logit_bias.is_some()),
        ];
        unsayable.iter().filter(|(_, there)| *there).try_for_each(|(field, _)| self.drop(field))
    }

    fn message(&mut self, message: &Message, index: usize, input: &mut Array<'_>) -> Result<(), Fault> {
        if message.name.is_some() {
            self.drop(&format!("messages[{index}].name"))?;
        }
        let said = |value: &Value| match value {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        for (key, _) in message.rest.iter().filter(|(_, value)| said(value)) {
            self.drop(&format!("messages[{index}].{key}"))?;
        }
        let assistant = message.role == Role::Assistant;
        let mut parts = message.parts.as_slice();
        while let Some(part) = parts.first() {
            let run = parts.iter().take_while(|part| is_content(part, message.role)).count();
            if run > 0 {
                let (contents, behind) = parts.split_at(run);
                if assistant {
                    self.said(contents, input);
                } else {
                    self.heard(message.role, contents, index, input)?;
                }
                parts = behind;
                continue;
            }
            self.item(part, index, input)?;
            parts = parts.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    /// What the model said.
    fn said(&mut self, parts: &[Part], input: &mut Array<'_>) {
        let mut item = input.object();
        item.put("type", "message").put("role", "assistant");
        if let [Part::Text { text, citations: None, .. }] = parts {
            item.put("content", text);
            return item.end();
        }
        let mut content = item.array("content");
        for part in parts {
            match part {
                Part::Text { text, citations, .. } => {
                    let annotations = super::annotations(citations.as_ref());
                    content.put(&json!({"type": "output_text", "text": text, "annotations": annotations}));
                }
                Part::Refusal { text } => {
                    content.put(&json!({"type": "refusal", "refusal": text}));
                }
                _ => {}
            }
        }
        content.end();
        item.end();
    }

    /// What people and operators said.
    fn heard(
        &mut self,
        role: Role,
        parts: &[Part],
        index: usize,
        input: &mut Array<'_>,
    ) -> Result<(), Fault> {
        let mut item = input.object();
        item.put("type", "message");
        let role = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::Assistant => "assistant",
            Role::User | Role::Tool => "user",
        };
        item.put("role", role);
        let mut content = item.array("content");
        self.contents(parts, index, &mut content)?;
        content.end();
        item.end();
        Ok(())
    }

    fn contents(&mut self, parts: &[Part], index: usize, list: &mut Array<'_>) -> Result<(), Fault> {
        for part in parts {
            match part {
                Part::Text { text, cache, .. } => {
                    let mut content = list.object();
                    content.put("type", "input_text").put("text", text);
                    self.breakpoint(cache.as_ref(), &mut content);
                    content.end();
                }
                Part::Image { media, detail, cache } => {
                    let mut content = list.object();
                    content.put("type", "input_image");
                    match media {
                        Media::FileId { id } => content.put("file_id", id),
                        media => content.put("image_url", address(media, "image/png").as_ref()),
                    };
                    content.put("detail", detail.as_deref().unwrap_or("auto"));
                    self.breakpoint(cache.as_ref(), &mut content);
                    content.end();
                }
                Part::File { media: Media::Text { text }, .. } => {
                    list.put(&json!({"type": "input_text", "text": text}));
                }
                Part::File { media, name, cache, rest } => {
                    let mut content = list.object();
                    content.put("type", "input_file");
                    match media {
                        Media::FileId { id } => content.put("file_id", id),
                        Media::Url { url, .. } => content.put("file_url", url),
                        // A file in the request needs a name.
                        media => content
                            .put("filename", name.as_deref().unwrap_or("file"))
                            .put("file_data", address(media, "application/octet-stream").as_ref()),
                    };
                    content.maybe("detail", rest.get("detail"));
                    self.breakpoint(cache.as_ref(), &mut content);
                    content.end();
                }
                Part::Audio { media: Media::Base64 { media_type, data } } => {
                    let format = media_type.rsplit('/').next().unwrap_or_default();
                    let format = match format {
                        "mpeg" | "mpeg3" => "mp3",
                        "x-wav" | "wave" | "vnd.wave" | "" => "wav",
                        format => format,
                    };
                    list.put(
                        &json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}),
                    );
                }
                Part::Other { dialect: Dialect::Responses, value } => {
                    list.put(value);
                }
                Part::Refusal { text } => {
                    list.put(&json!({"type": "input_text", "text": text}));
                }
                Part::Audio { .. } => self.drop(&format!("messages[{index}].content (audio)"))?,
                Part::Video { .. } => self.drop(&format!("messages[{index}].content (video)"))?,
                _ => self.drop(&format!("messages[{index}].content"))?,
            }
        }
        Ok(())
    }

    fn breakpoint(&self, cache: Option<&Value>, content: &mut Object<'_>) {
        // Models that know no breakpoints refuse them, and they change the price only.
        let Some(cache) = cache.filter(|_| self.breakpoints) else { return };
        let long = cache.get("ttl").and_then(Value::as_str) == Some("1h");
        let point =
            if long { json!({"mode": "explicit", "ttl": "12h"}) } else { json!({"mode": "explicit"}) };
        content.put("prompt_cache_breakpoint", &point);
    }

    /// A part that is an item of its own.
    fn item(&mut self, part: &Part, index: usize, input: &mut Array<'_>) -> Result<(), Fault> {
        match part {
            Part::ToolCall { id, name, arguments, .. } => {
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                let mut item = input.object();
                item.put("type", "function_call").put("call_id", id).put("name", name);
                item.put("arguments", arguments);
                item.end();
            }
            Part::ToolResult { id, parts, .. } => {
                let mut item = input.object();
                item.put("type", "function_call_output").put("call_id", id);
                match parts.as_slice() {
                    [] => {
                        item.put("output", "");
                    }
                    [Part::Text { text, .. }] => {
                        item.put("output", text);
                    }
                    parts => {
                        let mut output = item.array("output");
                        self.contents(parts, index, &mut output)?;
                        output.end();
                    }
                }
                item.end();
            }
            Part::Thinking { text, signature, id } => {
                // Without its own token, or an id that it has kept, it is of no use to the provider; another's it refuses.
                let token = signature.as_deref().and_then(|signature| Home::OpenAi.own(signature));
                if token.is_some() || (self.stored && id.is_some() && signature.is_none()) {
                    let mut item = input.object();
                    item.put("type", "reasoning").maybe("id", id.as_ref());
                    item.put("summary", &super::summary(text)).maybe("encrypted_content", token);
                    item.end();
                }
            }
            // Another provider's: this one could not read it.
            Part::RedactedThinking { .. } => {}
            Part::Image { media: Media::Base64 { data, .. }, .. } => {
                let id = format!("ig_{index}");
                let status = "completed";
                input.put(
                    &json!({"type": "image_generation_call", "id": id, "status": status, "result": data}),
                );
            }
            Part::Other { dialect: Dialect::Responses, value } => {
                input.put(value);
            }
            _ => self.drop(&format!("messages[{index}].content"))?,
        }
        Ok(())
    }

    fn tools(&mut self, tools: &[Tool], body: &mut Object<'_>) -> Result<(), Fault> {
        if tools.is_empty() {
            return Ok(());
        }
        let mut list = body.array("tools");
        for (index, tool) in tools.iter().enumerate() {
            match tool {
                Tool::Function { name, description, parameters, strict, .. } => {
                    let mut tool = list.object();
                    tool.put("type", "function").put("name", name).maybe("description", description.as_ref());
                    match parameters {
                        Some(schema) => tool.put("parameters", schema),
                        None => tool.put("parameters", &json!({"type": "object", "properties": {}})),
                    };
                    // Strict is the default here and nowhere else; most schemas do not stand it.
                    tool.put("strict", &strict.unwrap_or(false));
                    tool.end();
                }
                Tool::Native { dialect: Dialect::Responses, value } => {
                    list.put(value);
                }
                Tool::Native { dialect: Dialect::OpenAi, value } if custom(value).is_some() => {
                    list.put(&custom(value));
                }
                Tool::Native { .. } => self.drop(&format!("tools[{index}]"))?,
            }
        }
        list.end();
        Ok(())
    }
}

/// Whether the part belongs to a message's content, instead of being an item.
fn is_content(part: &Part, role: Role) -> bool {
    match part {
        Part::Text { .. } | Part::Refusal { .. } => true,
        Part::ToolCall { .. }
        | Part::ToolResult { .. }
        | Part::Thinking { .. }
        | Part::RedactedThinking { .. } => false,
        _ => !matches!(role, Role::Assistant | Role::Tool),
    }
}

/// The leading system message's text, if it has nothing else.
fn instructions(message: &Message) -> Option<Cow<'_, str>> {
    if message.role != Role::System || message.name.is_some() || message.parts.is_empty() {
        return None;
    }
    let texts: Option<Vec<&str>> = message
        .parts
        .iter()
        .map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    Some(match texts?.as_slice() {
        [text] => Cow::Borrowed(*text),
        texts => Cow::Owned(texts.join("\n\n")),
    })
}

/// Where the content is, as a URL. `media_type` is for what does not say its own.
fn address<'m>(media: &'m Media, fallback: &str) -> Cow<'m, str> {
    match media {
        Media::Url { url, .. } => Cow::Borrowed(url),
        Media::Base64 { media_type, data } => {
            let media_type = if media_type.is_empty() { fallback } else { media_type };
            Cow::Owned(format!("data:{media_type};base64,{data}"))
        }
        Media::FileId { id } => Cow::Borrowed(id),
        Media::Text { text } => Cow::Borrowed(text),
    }
}

/// Chat completions' custom tool, whose fields lie one level deeper there.
fn custom(value: &Value) -> Option<Value> {
    if value.get("type").and_then(Value::as_str) != Some("custom") {
        return None;
    }
    let mut flat = Map::new();
    flat.insert("type".to_owned(), "custom".into());
    for (key, value) in value.get("custom")?.as_object()? {
        // `format` of a grammar lies one level deeper too.
        let grammar = value.get("grammar").and_then(Value::as_object);
        let value = match (key.as_str(), grammar) {
            ("format", Some(grammar)) => {
                let mut format = grammar.clone();
                format.insert("type".to_owned(), "grammar".into());
                Value::Object(format)
            }
            _ => value.clone(),
        };
        flat.insert(key.clone(), value);
    }
    Some(Value::Object(flat))
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({"type": "function", "name": name}),
        ToolChoice::Allowed { names, required } => {
            let tools: Vec<Value> =
                names.iter().map(|name| json!({"type": "function", "name": name})).collect();
            let mode = if *required { "required" } else { "auto" };
            json!({"type": "allowed_tools", "mode": mode, "tools": tools})
        }
    }
}

/// A choice that the chat form has no word for. Chat completions' names lie one level deeper.
fn flat_choice(choice: &Value) -> Value {
    match choice.pointer("/custom/name") {
        Some(name) => json!({"type": "custom", "name": name}),
        None => choice.clone(),
    }
}

fn text(request: &ChatRequest, body: &mut Object<'_>) {
    let other = request.rest.get("text").and_then(Value::as_object);
    let verbosity = request.rest.get("verbosity");
    if request.response_format.is_none() && verbosity.is_none() && other.is_none() {
        return;
    }
    let mut text = body.object("text");
    match &request.response_format {
        None => {}
        Some(ResponseFormat::Text) => {
            text.put("format", &json!({"type": "text"}));
        }
        Some(ResponseFormat::Json) => {
            text.put("format", &json!({"type": "json_object"}));
        }
        Some(ResponseFormat::Schema { name, description, schema, strict }) => {
            let mut format = text.object("format");
            format.put("type", "json_schema").put("name", name).maybe("description", description.as_ref());
            format.put("schema", schema).maybe("strict", strict.as_ref());
            format.end();
        }
    }
    text.maybe("verbosity", verbosity);
    if let Some(other) = other {
        text.all(other);
    }
    text.end();
}

fn reasoning(reasoning: Option<&Reasoning>, other: Option<&Value>, body: &mut Object<'_>) {
    let other = other.and_then(Value::as_object);
    let effort = reasoning.and_then(effort);
    let summary = reasoning.and_then(|reasoning| {
        let wanted = reasoning.include == Some(true) && effort != Some("none");
        reasoning.summary.as_deref().or(wanted.then_some("auto"))
    });
    if effort.is_none() && summary.is_none() && other.is_none() {
        return;
    }
    let mut object = body.object("reasoning");
    object.maybe("effort", effort).maybe("summary", summary);
    if let Some(other) = other {
        object.all(other);
    }
    object.end();
}

/// The word for how much is thought. Budgets become the nearest word: up to 2,048 tokens are few, from 16,384 many.
fn effort(reasoning: &Reasoning) -> Option<&str> {
    match (&reasoning.effort, reasoning.enabled, reasoning.budget) {
        (Some(effort), ..) => Some(effort),
        (None, Some(false), _) | (None, _, Some(0)) => Some("none"),
        (None, _, Some(budget)) => Some(match budget {
            0..=2_048 => "low",
            2_049..=16_383 => "medium",
            _ => "high",
        }),
        (None, ..) => None,
    }
}

fn include(request: &ChatRequest, body: &mut Object<'_>) {
    let said = request.rest.get("include").and_then(Value::as_array);
    let probabilities =
        request.logprobs == Some(true) && said.is_none_or(|list| list.iter().all(|value| value != LOGPROBS));
    // The next turn may come back in a dialect that carries the token and not the id.
    let encrypted = wants_encrypted(request.reasoning.as_ref(), &request.rest);
    if said.is_none() && !probabilities && !encrypted {
        return;
    }
    let mut include = body.array("include");
    for value in said.into_iter().flatten() {
        include.put(value);
    }
    if probabilities {
        include.put(LOGPROBS);
    }
    if encrypted {
        include.put(ENCRYPTED);
    }
    include.end();
}
