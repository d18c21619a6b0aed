//! Answers in Converse's words, read and written, with their usage and stop reasons.

use serde_json::{Map, Value, json};

use super::blocks::{parse_content, write_answer_block};
use crate::json::{Fields, Object, Path, unsigned};
use crate::{Answer, Choice, Fault, Finish, Reply, Source, Usage};

/// Reads a provider's answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    let mut body = Fields::parse(body)?;
    let Some(output) = body.take("output") else { return Err(body.missing("output")) };
    let path = Path::Root.key("output");
    let mut output = Fields::of(output, path)?;
    let path = path.key("message");
    let Some(message) = output.take("message") else { return Err(output.missing("message")) };
    let mut message = Fields::of(message, path)?;
    let parts = match message.take("content") {
        Some(content) => parse_content(content, path.key("content"))?,
        None => Vec::new(),
    };
    let native_finish = body.string("stopReason")?;
    let mut usage = Usage::default();
    if let Some(value) = body.take("usage") {
        usage = read_usage(&value);
    }
    let rest = body.rest();
    let stop_text = rest.get("additionalModelResponseFields").and_then(stop_text);
    let choice = Choice {
        index: 0,
        parts,
        finish: native_finish.as_deref().map(finish_of).unwrap_or_default(),
        native_finish,
        stop_text,
        logprobs: None,
        rest: Map::new(),
    };
    Ok(Answer { id: String::new(), model: String::new(), created: None, choices: vec![choice], usage, rest })
}

/// Appends the body of an answer to a client: its first choice, since the dialect has no others. The dialect has no
/// names of answers and models.
pub fn write_answer(answer: &Answer, _reply: &Reply<'_>, out: &mut Vec<u8>) {
    let choice = answer.choices.first();
    let mut body = Object::begin(out);
    let mut output = body.object("output");
    let mut message = output.object("message");
    message.put("role", "assistant");
    let mut content = message.array("content");
    for part in choice.map(|choice| choice.parts.as_slice()).unwrap_or_default() {
        write_answer_block(part, &mut content);
    }
    content.end();
    message.end();
    output.end();
    let finish = choice.map(|choice| choice.finish).unwrap_or_default();
    let native = choice.and_then(|choice| choice.native_finish.as_deref());
    let stop_text = choice.and_then(|choice| choice.stop_text.as_deref());
    body.put("stopReason", stop_reason(finish, native, stop_text.is_some()));
    write_usage(&answer.usage, body.key("usage"));
    match answer.rest.get("metrics") {
        Some(metrics) => body.put("metrics", metrics),
        // SDKs want the field; how long it took is told by nobody else's dialect.
        None => body.put("metrics", &json!({"latencyMs": 0})),
    };
    match answer.rest.get("additionalModelResponseFields") {
        Some(fields) => body.put("additionalModelResponseFields", fields),
        None => body.maybe("additionalModelResponseFields", stop_fields(stop_text).as_ref()),
    };
    for key in ["trace", "performanceConfig", "serviceTier"] {
        body.maybe(key, answer.rest.get(key));
    }
    body.end();
}

/// Reads the answer of `count-tokens`.
pub fn parse_count(body: &[u8]) -> Result<u64, Fault> {
    let mut body = Fields::parse(body)?;
    body.unsigned("inputTokens")?.ok_or_else(|| body.missing("inputTokens"))
}

/// Appends the answer of `count-tokens`.
pub fn write_count(tokens: u64, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    body.put("inputTokens", &tokens);
    body.end();
}

/// The text that ended an answer, where the request asked for it (`additionalModelResponseFieldPaths:
/// ["/stop_sequence"]`).
pub(super) fn stop_text(fields: &Value) -> Option<String> {
    fields.get("stop_sequence").and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn stop_fields(stop_text: Option<&str>) -> Option<Value> {
    stop_text.map(|text| json!({"stop_sequence": text}))
}

/// What a stop reason means.
pub(super) fn finish_of(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => Finish::Error,
        _ => Finish::Stop,
    }
}

/// The stop reason for a client: the provider's own word where it is one of the dialect's and says the same.
pub(super) fn stop_reason(finish: Finish, native: Option<&str>, stop_text: bool) -> &str {
    const WORDS: [&str; 9] = [
        "end_turn",
        "tool_use",
        "max_tokens",
        "stop_sequence",
        "guardrail_intervened",
        "content_filtered",
        "malformed_model_output",
        "malformed_tool_use",
        "model_context_window_exceeded",
    ];
    match (finish, native) {
        (_, Some(word)) if WORDS.contains(&word) && finish_of(word) == finish => word,
        (Finish::Stop, _) if stop_text => "stop_sequence",
        (Finish::Stop, _) => "end_turn",
        (Finish::Length, _) => "max_tokens",
        (Finish::ToolCalls, _) => "tool_use",
        (Finish::ContentFilter, _) => "content_filtered",
        (Finish::Error, _) => "malformed_model_output",
    }
}

/// Reads a `usage` object. `inputTokens` does not count what the cache read or took in: `totalTokens` is the sum of all
/// four, for Claude's and Nova's models alike; a provider whose total says otherwise counts them in it, and then they
/// are taken out.
pub(super) fn read_usage(value: &Value) -> Usage {
    let count = |key: &str| value.get(key).and_then(unsigned);
    let input = count("inputTokens");
    let cache_read = count("cacheReadInputTokens");
    let written = count("cacheWriteInputTokens");
    let output = count("outputTokens");
    let hour = value.get("cacheDetails").and_then(Value::as_array).and_then(|details| {
        let of_an_hour =
            details.iter().filter(|detail| detail.get("ttl").and_then(Value::as_str) == Some("1h"));
        of_an_hour
            .filter_map(|detail| detail.get("inputTokens").and_then(unsigned))
            .reduce(u64::saturating_add)
    });
    let cached = cache_read.unwrap_or(0).saturating_add(written.unwrap_or(0));
    let inclusive = match (input, output, count("totalTokens")) {
        (Some(input), Some(output), Some(total)) => {
            cached > 0 && input >= cached && total == input.saturating_add(output)
        }
        _ => false,
    };
    let usage = Usage {
        input: input.map(|input| if inclusive { input.saturating_sub(cached) } else { input }),
        cache_read,
        cache_write_5m: written.map(|written| written.saturating_sub(hour.unwrap_or(0))),
        cache_write_1h: hour,
        output,
        ..Usage::default()
    };
    if usage == Usage::default() { usage } else { Usage { source: Source::Reported, ..usage } }
}

/// Appends a `usage` object. SDKs need the three sums: they are 0 where nobody knows them.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    let input = [usage.input, usage.audio_in].into_iter().flatten().fold(0, u64::saturating_add);
    let written =
        [usage.cache_write_5m, usage.cache_write_1h].into_iter().flatten().reduce(u64::saturating_add);
    let output = usage.output_total().unwrap_or(0);
    let mut object = Object::begin(out);
    object.put("inputTokens", &input).put("outputTokens", &output);
    object.put("totalTokens", &usage.input_total().unwrap_or(0).saturating_add(output));
    object.maybe("cacheReadInputTokens", usage.cache_read.as_ref());
    object.maybe("cacheWriteInputTokens", written.as_ref());
    if let Some(hour) = usage.cache_write_1h {
        let mut details = vec![json!({"ttl": "1h", "inputTokens": hour})];
        details.extend(usage.cache_write_5m.map(|tokens| json!({"ttl": "5m", "inputTokens": tokens})));
        object.put("cacheDetails", &details);
    }
    object.end();
}
