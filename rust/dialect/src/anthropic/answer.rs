//! Answers in Anthropic's words, read and written, with their usage and stop reasons.

use serde_json::{Map, Value};

use super::blocks::{answer_text_citations, arguments_or_empty, parse_block, write_source};
use crate::json::{Array, Fields, Object, Path, append, unsigned};
use crate::{Answer, Choice, Dialect, Fault, Finish, Media, Part, Reply, Source, Usage, carry};

/// Reads a provider's answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    let mut body = Fields::parse(body)?;
    let id = body.string("id")?.unwrap_or_default();
    let model = body.string("model")?.unwrap_or_default();
    if !body.has("content") {
        return Err(body.missing("content"));
    }
    let path = Path::Root.key("content");
    let parts = body
        .array("content")?
        .into_iter()
        .enumerate()
        .map(|(index, block)| parse_block(block, path.index(index)))
        .collect::<Result<_, _>>()?;
    let native_finish = body.string("stop_reason")?;
    let mut choice = Choice {
        index: 0,
        parts,
        finish: native_finish.as_deref().map(finish_of).unwrap_or_default(),
        native_finish,
        stop_text: body.string("stop_sequence")?,
        logprobs: None,
        rest: Map::new(),
    };
    if let Some(details) = body.take("stop_details") {
        choice.rest.insert("stop_details".to_owned(), details);
    }
    let mut usage = Usage::default();
    if let Some(value) = body.take("usage") {
        read_usage(&value, true, &mut usage);
    }
    body.take("type");
    body.take("role");
    let mut rest = body.rest();
    rest.retain(|_, value| !value.is_null());
    Ok(Answer { id, model, created: None, choices: vec![choice], usage, rest })
}

/// Appends the body of an answer to a client: its first choice, since the dialect has no others.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let choice = answer.choices.first();
    let mut body = Object::begin(out);
    body.put("id", if answer.id.is_empty() { reply.id } else { &answer.id });
    body.put("type", "message").put("role", "assistant").put("model", reply.model);
    let mut content = body.array("content");
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    for part in parts {
        write_part(part, &mut content);
    }
    content.end();
    match choice {
        Some(choice) => {
            let declined = parts.iter().any(|part| matches!(part, Part::Refusal { .. }));
            let native = choice.native_finish.as_deref();
            let reason = stop_reason(choice.finish, native, choice.stop_text.is_some(), declined);
            body.put("stop_reason", reason).put("stop_sequence", &choice.stop_text);
            body.maybe("stop_details", choice.rest.get("stop_details"));
        }
        None => {
            body.put("stop_reason", "end_turn").put("stop_sequence", &());
        }
    }
    body.maybe("container", answer.rest.get("container"));
    write_usage(&answer.usage, body.key("usage"));
    body.end();
}

/// Reads the answer of `count_tokens`.
pub fn parse_count(body: &[u8]) -> Result<u64, Fault> {
    let mut body = Fields::parse(body)?;
    body.unsigned("input_tokens")?.ok_or_else(|| body.missing("input_tokens"))
}

/// Appends the answer of `count_tokens`.
pub fn write_count(tokens: u64, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    body.put("input_tokens", &tokens);
    body.end();
}

/// Appends a part as a block of an answer. Sound is left out: the dialect has none.
fn write_part(part: &Part, content: &mut Array<'_>) {
    match part {
        Part::Text { text, citations, .. } => {
            let mut block = content.object();
            block.put("type", "text").put("text", text);
            block.maybe("citations", answer_text_citations(citations.as_ref(), text).as_ref());
            block.end();
        }
        Part::Refusal { text } => {
            let mut block = content.object();
            block.put("type", "text").put("text", text);
            block.end();
        }
        Part::ToolCall { id, name, arguments, signature, .. } => {
            let mut block = content.object();
            block.put("type", "tool_use").put("id", &*carry::signed_id(id, signature.as_deref()));
            block.put("name", name);
            block.key("input").extend_from_slice(arguments_or_empty(arguments).as_bytes());
            block.end();
        }
        Part::Thinking { text, signature, id } => {
            let signature = carry::signed_thought(id.as_deref(), signature.as_deref());
            let mut block = content.object();
            block.put("type", "thinking").put("thinking", text).put("signature", &*signature);
            block.end();
        }
        Part::RedactedThinking { data } => {
            let mut block = content.object();
            block.put("type", "redacted_thinking").put("data", data);
            block.end();
        }
        Part::Image { media, .. } => {
            // No model of Anthropic's answers with pictures; its clients get one in the form in which they send it.
            let mut block = content.object();
            block.put("type", "image");
            write_source(media, &mut block);
            block.end();
        }
        Part::File { media: Media::Text { text }, .. } => {
            let mut block = content.object();
            block.put("type", "text").put("text", text);
            block.end();
        }
        Part::Other { dialect: Dialect::Anthropic, value } => {
            content.put(value);
        }
        Part::Other { .. }
        | Part::Audio { .. }
        | Part::Video { .. }
        | Part::File { .. }
        | Part::ToolResult { .. } => {}
    }
}

/// Appends a block that is whole at its start, if the dialect has it; says whether it did.
pub(super) fn write_whole(part: &Part, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut array = Array::begin(out);
    write_part(part, &mut array);
    // The element alone, without the bracket around it.
    out.remove(start);
    out.len() > start
}

/// What a stop reason means. `pause_turn` ends an answer that the client may let go on.
pub(super) fn finish_of(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// The stop reason for a client: the provider's own word where it is one of the dialect's and says the same. An answer
/// that its provider failed to finish is told as cut off (`max_tokens`): the dialect has no word for it.
pub(super) fn stop_reason(finish: Finish, native: Option<&str>, stop_text: bool, declined: bool) -> &str {
    const WORDS: [&str; 7] = [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ];
    match (finish, native) {
        (_, Some(word)) if WORDS.contains(&word) && finish_of(word) == finish => word,
        (Finish::Stop, _) if stop_text => "stop_sequence",
        (Finish::Stop, _) if declined => "refusal",
        (Finish::Stop, _) => "end_turn",
        (Finish::Length | Finish::Error, _) => "max_tokens",
        (Finish::ToolCalls, _) => "tool_use",
        (Finish::ContentFilter, _) => "refusal",
    }
}

/// Takes over what a `usage` object says. `output` is `false` for the one of `message_start`, whose `output_tokens` is a
/// placeholder.
pub(super) fn read_usage(value: &Value, output: bool, usage: &mut Usage) {
    let count = |name: &str| value.get(name).and_then(unsigned);
    let part = |of: &str, name: &str| value.get(of)?.get(name).and_then(unsigned);
    let mut said = Usage {
        input: count("input_tokens"),
        cache_read: count("cache_read_input_tokens"),
        ..Usage::default()
    };
    let written = count("cache_creation_input_tokens");
    said.cache_write_1h = part("cache_creation", "ephemeral_1h_input_tokens").or(usage.cache_write_1h);
    said.cache_write_5m = match (written, part("cache_creation", "ephemeral_5m_input_tokens")) {
        // The sum goes before its parts, and what no part names was written for five minutes, the default.
        (Some(all), _) => Some(all.saturating_sub(said.cache_write_1h.unwrap_or(0))),
        (None, five_minutes) => five_minutes,
    };
    if output {
        said.reasoning = part("output_tokens_details", "thinking_tokens");
        let visible = |all: u64| all.saturating_sub(said.reasoning.unwrap_or(0));
        said.output = count("output_tokens").map(visible);
    }
    if said != Usage::default() {
        said.source = Source::Reported;
        usage.update(&said);
    }
}

/// Appends a `usage` object. SDKs need `input_tokens` and `output_tokens`: they are 0 where nobody knows them.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    let input = [usage.input, usage.audio_in].into_iter().flatten().fold(0, u64::saturating_add);
    let mut object = Object::begin(out);
    object.put("input_tokens", &input);
    write_cache(usage, true, &mut object);
    object.put("output_tokens", &usage.output_total().unwrap_or(0));
    write_details(usage, &mut object);
    object.end();
}

/// Appends the `usage` object of a `message_delta`, which has no split of the cache's writes.
pub(super) fn write_delta_usage(usage: &Usage, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    if usage.input.is_some() || usage.audio_in.is_some() {
        let input = [usage.input, usage.audio_in].into_iter().flatten().fold(0, u64::saturating_add);
        object.put("input_tokens", &input);
    }
    write_cache(usage, false, &mut object);
    object.put("output_tokens", &usage.output_total().unwrap_or(0));
    write_details(usage, &mut object);
    object.end();
}

fn write_cache(usage: &Usage, split: bool, object: &mut Object<'_>) {
    if let (five_minutes @ Some(_), hour) | (five_minutes @ None, hour @ Some(_)) =
        (usage.cache_write_5m, usage.cache_write_1h)
    {
        let (five_minutes, hour) = (five_minutes.unwrap_or(0), hour.unwrap_or(0));
        object.put("cache_creation_input_tokens", &five_minutes.saturating_add(hour));
        if split {
            let mut creation = object.object("cache_creation");
            creation.put("ephemeral_5m_input_tokens", &five_minutes);
            creation.put("ephemeral_1h_input_tokens", &hour);
            creation.end();
        }
    }
    object.maybe("cache_read_input_tokens", usage.cache_read.as_ref());
}

fn write_details(usage: &Usage, object: &mut Object<'_>) {
    if let Some(reasoning) = usage.reasoning {
        let mut details = object.object("output_tokens_details");
        details.put("thinking_tokens", &reasoning);
        details.end();
    }
}

/// Appends a stop reason's `delta`.
pub(super) fn write_stop(reason: &str, stop_text: Option<&str>, details: Option<&Value>, out: &mut Vec<u8>) {
    let mut delta = Object::begin(out);
    delta.put("stop_reason", reason);
    append(&stop_text, delta.key("stop_sequence"));
    delta.maybe("stop_details", details);
    delta.end();
}
