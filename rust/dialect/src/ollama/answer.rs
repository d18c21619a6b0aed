//! Answers of `/api/chat` and `/api/generate`.

use serde_json::{Map, Value, json};

use super::messages::{said, write_calls, write_said};
use crate::ids::Calls;
use crate::json::{Fields, Object, unsigned};
use crate::usage::Source;
use crate::{Answer, Choice, Fault, Finish, Media, Part, Reply, Usage, when};

/// Reads a provider's answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    let mut fields = Fields::parse(body)?;
    let model = fields.string("model")?.unwrap_or_default();
    let made = fields.string("created_at")?.unwrap_or_default();
    let mut calls = Calls::of_answer(&[&model, &made]);
    let parts = match fields.take("message") {
        Some(message) => said(&mut Fields::of(message, fields.path().key("message"))?, &mut calls)?,
        // An answer of `generate`.
        None => match fields.take("response") {
            Some(text) => {
                fields = Fields::from_map(with(fields.rest(), "content", text), crate::json::Path::Root);
                said(&mut fields, &mut calls)?
            }
            None => return Err(fields.missing("message")),
        },
    };
    fields.take("done");
    let native = fields.string("done_reason")?;
    let has_call = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let usage = usage(&mut fields);
    let choice = Choice {
        index: 0,
        parts,
        finish: finish(native.as_deref(), has_call),
        native_finish: native,
        stop_text: None,
        logprobs: fields.take("logprobs").filter(Value::is_array).map(|content| json!({"content": content})),
        rest: Map::new(),
    };
    let created = when::seconds(&made);
    Ok(Answer { id: String::new(), model, created, choices: vec![choice], usage, rest: fields.rest() })
}

fn with(mut map: Map<String, Value>, key: &str, value: Value) -> Map<String, Value> {
    map.insert(key.to_owned(), value);
    map
}

pub(super) fn finish(word: Option<&str>, has_call: bool) -> Finish {
    match word {
        Some("length") => Finish::Length,
        _ if has_call => Finish::ToolCalls,
        // `stop`, `load`, `unload`, and words of tomorrow.
        _ => Finish::Stop,
    }
}

/// Ollama's words are two; a filter or a failure has none and is told as the end that it is.
pub(super) fn word(finish: Finish, native: Option<&str>) -> &str {
    match (finish, native) {
        (Finish::Length, _) => "length",
        (Finish::Stop, Some(word @ ("load" | "unload"))) => word,
        _ => "stop",
    }
}

/// `prompt_eval_count` is missing where the whole prompt was cached: not said, then, rather than 0.
pub(super) fn usage(fields: &mut Fields<'_>) -> Usage {
    let mut count = |key: &str| fields.take(key).as_ref().and_then(unsigned);
    let (input, output) = (count("prompt_eval_count"), count("eval_count"));
    let source = if input.or(output).is_some() { Source::Reported } else { Source::Unknown };
    Usage { source, input, output, ..Usage::default() }
}

/// Fields of an answer that are Ollama's: nanoseconds, and the context of `generate`.
const OWN: [&str; 5] =
    ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration", "context"];

/// Writes what an answer and the last line of a stream have in common.
pub(super) fn write_end(
    finish: Finish,
    native: Option<&str>,
    usage: &Usage,
    rest: &Map<String, Value>,
    object: &mut Object<'_>,
) {
    object.put("done", &true).put("done_reason", word(finish, native));
    for (key, value) in rest.iter().filter(|(key, _)| OWN.contains(&key.as_str())) {
        object.put(key, value);
    }
    object.maybe("prompt_eval_count", usage.input_total().as_ref());
    object.maybe("eval_count", usage.output_total().as_ref());
}

/// Appends the answer to a client's `chat`: the first choice, since Ollama's clients know one.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    write(answer, reply, out, |parts, object| {
        let mut message = object.object("message");
        message.put("role", "assistant");
        write_said(parts, "", &mut message);
        message.end();
    });
}

/// Appends the answer to a client's `generate`.
pub fn write_generate(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    write(answer, reply, out, |parts, object| {
        let mut words = String::new();
        let mut thoughts = String::new();
        for part in parts {
            match part {
                Part::Text { text, .. } | Part::Refusal { text } => words.push_str(text),
                Part::File { media: Media::Text { text }, .. } => words.push_str(text),
                Part::Thinking { text, .. } => thoughts.push_str(text),
                _ => {}
            }
        }
        object.put("response", &words);
        if !thoughts.is_empty() {
            object.put("thinking", &thoughts);
        }
        if parts.iter().any(|part| matches!(part, Part::ToolCall { .. })) {
            write_calls(parts, object);
        }
    });
}

fn write(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>, said: impl FnOnce(&[Part], &mut Object<'_>)) {
    let choice = answer.choices.first();
    let mut object = Object::begin(out);
    object.put("model", reply.model);
    object.put("created_at", &when::rfc3339(answer.created.unwrap_or(reply.created)));
    said(choice.map_or(&[], |choice| &choice.parts), &mut object);
    let finish = choice.map_or(Finish::Stop, |choice| choice.finish);
    let native = choice.and_then(|choice| choice.native_finish.as_deref());
    write_end(finish, native, &answer.usage, &answer.rest, &mut object);
    let logprobs = choice.and_then(|choice| choice.logprobs.as_ref());
    object.maybe("logprobs", logprobs.and_then(|value| value.get("content")));
    object.end();
}
