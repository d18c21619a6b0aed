//! Answers to `generateContent`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::count::created;
use super::parts::{To, camel_keys, list, message, read};
use super::{finish, logprobs, parts, usage};
use crate::ids::Calls;
use crate::json::{Array, Fields, Object, Path, parse_object};
use crate::{Answer, Choice, Fault, Finish, Part, Reply};

/// Reads a provider's answer. A prompt that the provider blocked is one choice without parts that ended with
/// [`Finish::ContentFilter`].
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    let mut fields = Fields::from_map(camel_keys(parse_object(body)?), Path::Root);
    let mut answer = Answer {
        id: fields.string("responseId")?.unwrap_or_default(),
        model: fields.string("modelVersion")?.unwrap_or_default(),
        created: created(fields.take("createTime")),
        ..Answer::default()
    };
    if let Some(value) = fields.take("usageMetadata") {
        // A count that can't be read costs the count, not the answer.
        answer.usage = usage::read(value, Path::Root).unwrap_or_default();
    }
    let candidates = list(&mut fields, "candidates")?;
    let path = fields.path().key("candidates");
    for (place, value) in candidates.into_iter().enumerate() {
        let choice = choice(value, path.index(place), place, &answer.id)?;
        answer.choices.push(choice);
    }
    if answer.choices.is_empty() {
        match fields.peek("promptFeedback").and_then(block_reason) {
            Some(reason) => answer.choices.push(blocked(reason)),
            None => return Err(fields.missing("candidates")),
        }
    }
    answer.rest = fields.rest();
    Ok(answer)
}

/// Why the prompt was blocked, out of a `promptFeedback`.
pub(super) fn block_reason(feedback: &Value) -> Option<String> {
    let reason = feedback.get("blockReason").or_else(|| feedback.get("block_reason"))?.as_str()?;
    (reason != "BLOCKED_REASON_UNSPECIFIED").then(|| reason.to_owned())
}

fn blocked(reason: String) -> Choice {
    Choice {
        index: 0,
        parts: Vec::new(),
        finish: Finish::ContentFilter,
        native_finish: Some(reason),
        stop_text: None,
        logprobs: None,
        rest: Map::new(),
    }
}

fn choice(value: Value, path: Path<'_>, place: usize, id: &str) -> Result<Choice, Fault> {
    let mut fields = message(value, path)?;
    let index = fields.unsigned("index")?.unwrap_or(place as u64);
    let mut calls = Calls::of_answer(&[id, &index.to_string()]);
    let mut said = Vec::new();
    if let Some(content) = fields.take("content") {
        let mut content = message(content, fields.path().key("content"))?;
        let values = list(&mut content, "parts")?;
        let path = content.path().key("parts");
        for (index, value) in values.into_iter().enumerate() {
            read(value, path.index(index), &mut calls, &mut said)?;
        }
    }
    let native_finish = fields.string("finishReason")?;
    let has_call = said.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    Ok(Choice {
        index: u32::try_from(index).map_err(|_| fields.wrong("index", "a small number"))?,
        parts: said,
        finish: finish::read(native_finish.as_deref().unwrap_or_default(), has_call),
        native_finish,
        stop_text: None,
        logprobs: fields.take("logprobsResult").and_then(logprobs::read),
        rest: fields.rest(),
    })
}

/// Appends the answer's body for a client.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    let silent = answer.choices.iter().all(|choice| choice.parts.is_empty());
    let was_blocked = silent && answer.rest.get("promptFeedback").and_then(block_reason).is_some();
    if !was_blocked {
        let mut list = object.array("candidates");
        for choice in &answer.choices {
            write_choice(choice, &mut list);
        }
        list.end();
    }
    usage::write(&answer.usage, &mut object);
    object.put("modelVersion", reply.model);
    object.put("responseId", if answer.id.is_empty() { reply.id } else { &answer.id });
    for (key, value) in answer.rest.iter().filter(|(key, _)| OWN.contains(&key.as_str())) {
        object.put(key, value);
    }
    object.end();
}

/// Fields of an answer that are Gemini's; another provider's (`system_fingerprint`) would be noise to its clients.
const OWN: [&str; 2] = ["promptFeedback", "modelStatus"];

/// Fields of a candidate that are Gemini's.
pub(super) const OWN_OF_CHOICE: [&str; 8] = [
    "citationMetadata",
    "finishMessage",
    "tokenCount",
    "groundingMetadata",
    "avgLogprobs",
    "safetyRatings",
    "urlContextMetadata",
    "continuationToken",
];

fn write_choice(choice: &Choice, list: &mut Array<'_>) {
    let mut object = list.object();
    let mut content = object.object("content");
    let mut said = content.array("parts");
    parts::write(&choice.parts, &HashMap::new(), To::Client, &mut said);
    said.end();
    content.put("role", "model");
    content.end();
    object.put("finishReason", finish::word(choice.finish, choice.native_finish.as_deref()));
    object.put("index", &choice.index);
    object.maybe("logprobsResult", choice.logprobs.as_ref().and_then(logprobs::write).as_ref());
    for (key, value) in choice.rest.iter().filter(|(key, _)| OWN_OF_CHOICE.contains(&key.as_str())) {
        object.put(key, value);
    }
    object.end();
}
