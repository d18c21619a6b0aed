//! Answers of `/v2/chat`.

use serde_json::{Map, Value, json};

use super::messages;
use crate::json::{Fields, Object, unsigned};
use crate::usage::Source;
use crate::{Answer, Choice, Fault, Finish, Part, Reply, Usage};

/// Reads a provider's answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    let mut fields = Fields::parse(body)?;
    let Some(message) = fields.take("message") else { return Err(fields.missing("message")) };
    let mut message = Fields::of(message, fields.path().key("message"))?;
    let parts = messages::assistant(&mut message)?;
    let native = fields.string("finish_reason")?;
    let has_call = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let mut rest = Map::new();
    let usage = fields.take("usage").map(|value| usage(value, &mut rest)).unwrap_or_default();
    let choice = Choice {
        index: 0,
        parts,
        finish: finish(native.as_deref().unwrap_or_default(), has_call),
        native_finish: native,
        stop_text: None,
        logprobs: fields.take("logprobs").as_ref().and_then(logprobs),
        rest: Map::new(),
    };
    let id = fields.string("id")?.unwrap_or_default();
    rest.extend(fields.rest());
    Ok(Answer { id, choices: vec![choice], usage, rest, ..Answer::default() })
}

/// Tokens are what is counted; what is billed leaves out the provider's own additions to the prompt, and stands in only
/// where nothing else is said. `cached_tokens` are among those of the input. `billed_units` are kept in `rest`.
pub(super) fn usage(value: Value, rest: &mut Map<String, Value>) -> Usage {
    let billed = value.get("billed_units");
    let count = |key: &str| {
        let of = |from: Option<&Value>| from.and_then(|from| from.get(key)).and_then(unsigned);
        of(value.get("tokens")).or_else(|| of(billed))
    };
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    let cached = value.get("cached_tokens").and_then(unsigned);
    if let Some(billed) = billed.filter(|billed| billed.is_object()) {
        rest.insert("billed_units".into(), billed.clone());
    }
    Usage {
        source: if input.or(output).is_some() { Source::Reported } else { Source::Unknown },
        input: input.map(|all| all.saturating_sub(cached.unwrap_or(0))),
        cache_read: cached,
        output,
        ..Usage::default()
    }
}

pub(super) fn write_usage(usage: &Usage, billed: Option<&Value>, object: &mut Object<'_>) {
    let (input, output) = (usage.input_total(), usage.output_total());
    if input.is_none() && output.is_none() {
        return;
    }
    let pair = |out: &mut Object<'_>| {
        out.maybe("input_tokens", input.as_ref()).maybe("output_tokens", output.as_ref());
    };
    let mut out = object.object("usage");
    match billed {
        Some(billed) => {
            out.put("billed_units", billed);
        }
        None => {
            let mut billed = out.object("billed_units");
            pair(&mut billed);
            billed.end();
        }
    }
    let mut tokens = out.object("tokens");
    pair(&mut tokens);
    tokens.end();
    out.maybe("cached_tokens", usage.cache_read.as_ref());
    out.end();
}

pub(super) fn finish(word: &str, has_call: bool) -> Finish {
    match word {
        "MAX_TOKENS" | "ERROR_LIMIT" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        "ERROR_TOXIC" => Finish::ContentFilter,
        "ERROR" | "TIMEOUT" => Finish::Error,
        _ if has_call => Finish::ToolCalls,
        // `COMPLETE`, `STOP_SEQUENCE`, `USER_CANCEL`, and words of tomorrow.
        _ => Finish::Stop,
    }
}

pub(super) fn word(finish: Finish, native: Option<&str>, stop_text: Option<&str>) -> &'static str {
    const KNOWN: [&str; 6] = ["STOP_SEQUENCE", "ERROR_LIMIT", "TIMEOUT", "USER_CANCEL", "COMPLETE", "ERROR"];
    let same = |word: &&&str| Some(**word) == native && self::finish(word, false) == finish;
    match (KNOWN.iter().find(same), finish, stop_text) {
        (Some(word), _, _) => word,
        (None, Finish::Stop, Some(_)) => "STOP_SEQUENCE",
        (None, Finish::Stop, None) => "COMPLETE",
        (None, Finish::Length, _) => "MAX_TOKENS",
        (None, Finish::ToolCalls, _) => "TOOL_CALL",
        (None, Finish::ContentFilter, _) => "ERROR_TOXIC",
        (None, Finish::Error, _) => "ERROR",
    }
}

/// A list of pieces (each of one or more tokens), or one piece, as OpenAI's object. A piece of several tokens is as
/// likely as all of them.
pub(super) fn logprobs(value: &Value) -> Option<Value> {
    let pieces = match value {
        Value::Array(pieces) => pieces.as_slice(),
        piece @ Value::Object(_) => std::slice::from_ref(piece),
        _ => return None,
    };
    let content: Vec<Value> = pieces
        .iter()
        .map(|piece| {
            let text = piece.get("text").and_then(Value::as_str).unwrap_or_default();
            let all = piece.get("logprobs").and_then(Value::as_array);
            let sum: f64 = all.into_iter().flatten().filter_map(Value::as_f64).sum();
            let bytes: Vec<u8> = text.bytes().collect();
            json!({"token": text, "logprob": sum, "bytes": bytes, "top_logprobs": []})
        })
        .collect();
    Some(json!({"content": content}))
}

/// OpenAI's object as a list of pieces. Token ids are not known.
pub(super) fn pieces(value: &Value) -> Vec<Value> {
    let content = value.get("content").and_then(Value::as_array);
    let piece = |token: &Value| json!({"text": token.get("token"), "token_ids": [], "logprobs": [token.get("logprob")]});
    content.into_iter().flatten().map(piece).collect()
}

/// Appends the answer's body for a client: the first choice, since Cohere's clients know one.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let none = Vec::new();
    let choice = answer.choices.first();
    let parts = choice.map_or(&none, |choice| &choice.parts);
    let mut object = Object::begin(out);
    object.put("id", if answer.id.is_empty() { reply.id } else { &answer.id });
    let finish = choice.map_or("COMPLETE", |choice| {
        word(choice.finish, choice.native_finish.as_deref(), choice.stop_text.as_deref())
    });
    object.put("finish_reason", finish);
    let mut message = object.object("message");
    message.put("role", "assistant");
    messages::write_assistant(parts, true, &mut message);
    message.end();
    write_usage(&answer.usage, answer.rest.get("billed_units"), &mut object);
    let told = choice.and_then(|choice| choice.logprobs.as_ref()).map(pieces);
    object.maybe("logprobs", told.filter(|pieces| !pieces.is_empty()).as_ref());
    object.end();
}
