//! The items of an answer, and the response object around them: shared by plain answers and streams.

use serde_json::{Map, Value, json};

use crate::carry::Home;
use crate::chat::{Answer, Finish, Media, Part};
use crate::{Reply, Usage};

/// Fields of the response object that come from elsewhere where they are known (another answer's rest).
const PASSING: &[&str] =
    &["service_tier", "moderation", "tool_usage", "prompt_cache_diagnostics", "input_transformations"];

/// What the response object says besides its items.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    /// `resp_…`.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// As the client called it.
    pub model: String,
}

impl Envelope {
    /// `id` and `created` are the provider's words; the id is taken over where it is of this dialect.
    pub fn new(id: &str, created: Option<u64>, reply: &Reply<'_>) -> Self {
        let id = if id.starts_with("resp_") { id.to_owned() } else { format!("resp_{}", plain(reply.id)) };
        Self { id, created: created.unwrap_or(reply.created), model: reply.model.to_owned() }
    }

    /// The id of an item that has none: the same for the same response and place.
    pub fn item_id(&self, prefix: &str, output_index: usize) -> String {
        let base = self.id.strip_prefix("resp_").unwrap_or(&self.id);
        format!("{prefix}_{base}_{output_index}")
    }

    /// The whole object. `output` takes the place of the list of items.
    pub fn response(
        &self,
        outcome: &Outcome,
        output: Value,
        usage: &Usage,
        rest: &Map<String, Value>,
    ) -> Value {
        let mut value = json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": outcome.status,
            "background": false,
            "error": outcome.error,
            "incomplete_details": outcome.incomplete.map(|reason| json!({"reason": reason})),
            "instructions": null,
            "max_output_tokens": null,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "store": false,
            "temperature": null,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": null,
            "truncation": "disabled",
            "usage": super::usage::write(usage),
            "user": null,
            "metadata": {},
        });
        if let Some(object) = value.as_object_mut() {
            for (key, value) in rest.iter().filter(|(key, _)| PASSING.contains(&key.as_str())) {
                object.insert(key.clone(), value.clone());
            }
        }
        value
    }
}

fn plain(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
}

/// How a response ended.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// `completed`, `incomplete`, `failed`, or `in_progress`.
    pub status: &'static str,
    /// Why it is incomplete.
    pub incomplete: Option<&'static str>,
    /// Why it failed.
    pub error: Option<Value>,
}

impl Outcome {
    /// Before the end.
    pub const RUNNING: Self = Self { status: "in_progress", incomplete: None, error: None };

    /// At the end.
    pub fn of(finish: Finish) -> Self {
        let (status, incomplete) = match finish {
            Finish::Stop | Finish::ToolCalls => ("completed", None),
            Finish::Length => ("incomplete", Some("max_output_tokens")),
            Finish::ContentFilter => ("incomplete", Some("content_filter")),
            Finish::Error => ("failed", None),
        };
        let error = (finish == Finish::Error)
            .then(|| json!({"code": "server_error", "message": "The provider did not finish its answer."}));
        Self { status, incomplete, error }
    }

    /// The status of the item that was being made when it ended.
    pub fn item_status(&self) -> &'static str {
        if self.status == "completed" { "completed" } else { "incomplete" }
    }
}

/// A text content.
pub(super) fn output_text(text: &str, annotations: Vec<Value>, logprobs: Vec<Value>) -> Value {
    json!({"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text})
}

/// A refusal content.
pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// A message item.
pub(super) fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
    json!({"id": id, "type": "message", "status": status, "content": content, "role": "assistant"})
}

/// A call.
pub(super) fn call(id: &str, status: &str, call_id: &str, name: &str, arguments: &str) -> Value {
    let empty = status == "completed" && arguments.trim().is_empty();
    let arguments = if empty { "{}" } else { arguments };
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": call_id,
        "name": name,
    })
}

/// A thought.
pub(super) fn reasoning(id: &str, text: &str, encrypted: Option<&str>) -> Value {
    let mut item = json!({"id": id, "type": "reasoning", "summary": super::summary(text)});
    if let (Some(encrypted), Some(item)) = (encrypted, item.as_object_mut()) {
        item.insert("encrypted_content".to_owned(), encrypted.into());
    }
    item
}

/// A thought with its signature, which may be another provider's.
pub(super) fn thought(id: &str, text: &str, signature: Option<&str>) -> Value {
    let signature = signature.map(|signature| Home::OpenAi.tell(signature));
    reasoning(id, text, signature.as_deref())
}

/// The item that carries a call's signature.
pub(super) fn call_signature(id: &str, call_id: &str, signature: &str) -> Value {
    reasoning(id, "", Some(&format!("{}{call_id}:{signature}", super::CALL)))
}

/// A part of an answer that is neither text nor thought nor call; `None` for what the dialect can't tell.
pub(super) fn other(id: &str, part: &Part) -> Option<Value> {
    match part {
        Part::Image { media: Media::Base64 { media_type, data }, .. } => {
            let format =
                media_type.strip_prefix("image/").filter(|format| !format.is_empty()).unwrap_or("png");
            Some(json!({
                "id": id,
                "type": "image_generation_call",
                "status": "completed",
                "output_format": format,
                "result": data,
            }))
        }
        Part::Image { media: Media::Url { url, .. }, .. } => {
            let text = output_text(&format!("![image]({url})"), Vec::new(), Vec::new());
            Some(message(id, "completed", vec![text]))
        }
        Part::Other { dialect: crate::Dialect::Responses, value } => Some(value.clone()),
        _ => None,
    }
}

/// All items of an answer's first choice.
pub(super) fn of_answer(answer: &Answer, envelope: &Envelope, outcome: &Outcome) -> Vec<Value> {
    let Some(choice) = answer.choices.first() else { return Vec::new() };
    let mut items: Vec<Value> = Vec::new();
    let mut contents: Vec<Value> = Vec::new();
    let mut logprobs = logprobs(choice.logprobs.as_ref());
    for part in &choice.parts {
        match part {
            Part::Text { text, citations, .. } => {
                let annotations = super::annotations(citations.as_ref());
                contents.push(output_text(text, annotations, std::mem::take(&mut logprobs)));
                continue;
            }
            Part::Refusal { text } => {
                contents.push(refusal(text));
                continue;
            }
            _ => {}
        }
        flush(&mut contents, &mut items, envelope, "completed");
        let index = items.len();
        match part {
            Part::Thinking { text, signature, id } => {
                let id = thought_id(id.as_deref(), index, &items, envelope);
                items.push(thought(&id, text, signature.as_deref()));
            }
            Part::RedactedThinking { data } => {
                let encrypted = format!("{}{data}", super::REDACTED);
                items.push(reasoning(&envelope.item_id("rs", index), "", Some(&encrypted)));
            }
            Part::ToolCall { id, name, arguments, signature, .. } => {
                items.push(call(&envelope.item_id("fc", index), "completed", id, name, arguments));
                if let Some(signature) = signature {
                    let carrier = envelope.item_id("rs", items.len());
                    items.push(call_signature(&carrier, id, signature));
                }
            }
            part => items.extend(other(&envelope.item_id("ig", index), part)),
        }
    }
    flush(&mut contents, &mut items, envelope, outcome.item_status());
    items
}

fn flush(contents: &mut Vec<Value>, items: &mut Vec<Value>, envelope: &Envelope, status: &str) {
    if !contents.is_empty() {
        let id = envelope.item_id("msg", items.len());
        items.push(message(&id, status, std::mem::take(contents)));
    }
}

/// A thought's own id, unless another item has it.
pub(super) fn thought_id(id: Option<&str>, index: usize, items: &[Value], envelope: &Envelope) -> String {
    let own = id.filter(|id| items.iter().all(|item| item.get("id").and_then(Value::as_str) != Some(id)));
    own.map_or_else(|| envelope.item_id("rs", index), str::to_owned)
}

/// The list out of chat completions' object.
pub(super) fn logprobs(value: Option<&Value>) -> Vec<Value> {
    let content = value.and_then(|value| value.get("content")).and_then(Value::as_array);
    content.cloned().unwrap_or_default()
}
