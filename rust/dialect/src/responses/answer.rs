//! Plain answers both ways.

use serde_json::{Map, Value, json};

use super::items::{self, Envelope, Outcome};
use super::{Carrier, carrier};
use crate::chat::{Answer, Choice, Finish, Part};
use crate::json::{Fields, Path};
use crate::{Dialect, Fault, Reply};

/// What the object repeats of the request, and what the chat form has its own word for: not worth carrying.
#[rustfmt::skip] // a set, not a list
const ECHO: &[&str] = &[
    "object", "background", "completed_at", "instructions", "max_output_tokens", "max_tool_calls",
    "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature", "text", "tool_choice", "tools",
    "top_logprobs", "top_p", "truncation", "user", "metadata", "frequency_penalty", "presence_penalty",
];

/// Reads a provider's answer.
pub(super) fn parse(body: &[u8]) -> Result<Answer, Fault> {
    let mut fields = Fields::parse(body)?;
    if !fields.has("output") && !fields.has("error") {
        return Err(fields.missing("output"));
    }
    let status = fields.take("status");
    let details = fields.take("incomplete_details");
    let (status, why) = (status.as_ref().and_then(Value::as_str), reason(details.as_ref()));
    let mut parts = Vec::new();
    let mut logprobs = Vec::new();
    let path = Path::Root.key("output");
    for (index, item) in fields.array("output")?.into_iter().enumerate() {
        item_parts(item, path.index(index), &mut parts, &mut logprobs)?;
    }
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let finish = finish(status, why, calls);
    let error = fields.take("error");
    let mut choice = Choice {
        index: 0,
        parts,
        finish: if error.is_some() { Finish::Error } else { finish },
        native_finish: why.or(status).map(str::to_owned),
        stop_text: None,
        logprobs: (!logprobs.is_empty()).then(|| json!({"content": logprobs})),
        rest: Map::new(),
    };
    if let Some(error) = error {
        choice.rest.insert("error".to_owned(), error);
    }
    let usage = fields.take("usage");
    let mut answer = Answer {
        id: fields.string("id")?.unwrap_or_default(),
        model: fields.string("model")?.unwrap_or_default(),
        created: fields.number("created_at")?.map(|seconds| seconds.max(0.0) as u64),
        choices: vec![choice],
        usage: super::usage::parse(usage.as_ref()),
        rest: fields.rest(),
    };
    answer.rest.retain(|key, value| !value.is_null() && !ECHO.contains(&key.as_str()));
    Ok(answer)
}

/// The parts that an item of an answer is; signatures of calls go to theirs, before it.
pub(super) fn item_parts(
    item: Value,
    path: Path<'_>,
    parts: &mut Vec<Part>,
    logprobs: &mut Vec<Value>,
) -> Result<(), Fault> {
    match item.get("type").and_then(Value::as_str).unwrap_or("") {
        "message" => {
            let mut fields = Fields::of(item, path)?;
            let at = path.key("content");
            for (index, value) in fields.array("content")?.into_iter().enumerate() {
                parts.extend(content(value, at.index(index), logprobs)?);
            }
        }
        "function_call" => {
            let mut fields = Fields::of(item, path)?;
            let item_id = fields.string("id")?;
            parts.push(Part::ToolCall {
                id: fields.string("call_id")?.or(item_id).ok_or_else(|| fields.missing("call_id"))?,
                name: fields.required_string("name")?,
                arguments: fields.string("arguments")?.unwrap_or_default(),
                signature: None,
                cache: None,
            });
        }
        "reasoning" => {
            let mut fields = Fields::of(item, path)?;
            let (id, encrypted) = (fields.string("id")?, fields.string("encrypted_content")?);
            let (summary, told) = (fields.array("summary")?, fields.array("content")?);
            match carrier(id, encrypted, &summary, &told) {
                Carrier::Part(part) => parts.push(part),
                Carrier::Call { id: call, signature: token } => {
                    let signature = parts.iter_mut().rev().find_map(|part| match part {
                        Part::ToolCall { id, signature, .. } if *id == call => Some(signature),
                        _ => None,
                    });
                    if let Some(signature) = signature {
                        *signature = Some(token);
                    }
                }
            }
        }
        // Nothing can be said of it, to nobody.
        "" => {}
        _ => parts.push(Part::Other { dialect: Dialect::Responses, value: item }),
    }
    Ok(())
}

fn content(value: Value, path: Path<'_>, logprobs: &mut Vec<Value>) -> Result<Option<Part>, Fault> {
    Ok(Some(match value.get("type").and_then(Value::as_str).unwrap_or("") {
        "output_text" => {
            let mut fields = Fields::of(value, path)?;
            logprobs.extend(fields.array("logprobs")?);
            let text = fields.string("text")?.unwrap_or_default();
            let citations =
                Some(fields.array("annotations")?).filter(|list| !list.is_empty()).map(Value::Array);
            Part::Text { text, cache: None, citations }
        }
        "refusal" => Part::Refusal { text: Fields::of(value, path)?.string("refusal")?.unwrap_or_default() },
        "" => return Ok(None),
        _ => Part::Other { dialect: Dialect::Responses, value },
    }))
}

/// Why it is incomplete.
pub(super) fn reason(details: Option<&Value>) -> Option<&str> {
    details.and_then(|details| details.get("reason")).and_then(Value::as_str)
}

/// Why it ended. `calls`: whether functions were called.
pub(super) fn finish(status: Option<&str>, reason: Option<&str>, calls: bool) -> Finish {
    match (status, reason) {
        (Some("failed" | "cancelled"), _) => Finish::Error,
        (_, Some("content_filter")) => Finish::ContentFilter,
        (_, Some("max_output_tokens")) | (Some("incomplete"), _) => Finish::Length,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// Appends the body of an answer to a client.
pub(super) fn write(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let envelope = Envelope::new(&answer.id, answer.created, reply);
    let choice = answer.choices.first();
    let mut outcome = Outcome::of(choice.map(|choice| choice.finish).unwrap_or_default());
    let known =
        choice.and_then(|choice| choice.rest.get("error")).filter(|error| error.get("code").is_some());
    if let (Some(error), true) = (known, outcome.error.is_some()) {
        outcome.error = Some(error.clone());
    }
    let output = items::of_answer(answer, &envelope, &outcome);
    crate::json::append(&envelope.response(&outcome, Value::Array(output), &answer.usage, &answer.rest), out);
}
