//! OpenAI responses: requests, answers and streams, both ways.
#![allow(clippy::unwrap_used)] // a failure here is a failed test

mod answers;
mod cross;
mod requests;
mod strange;
mod streams;

use serde_json::{Map, Value, json};
use tidegate_dialect::chat::{Answer, Message, Part, Role};
use tidegate_dialect::{ChatRequest, Dialect, Event, EventWriter, Fault, PartKind, Reply, Source, Target};

const REPLY: Reply<'static> =
    Reply { model: "small", id: "req-1", created: 1_700_000_000, include_usage: true };

fn parse(body: Value) -> ChatRequest {
    try_parse(body).unwrap()
}

fn try_parse(body: Value) -> Result<ChatRequest, Fault> {
    Dialect::Responses.parse_request(body.to_string().as_bytes(), None, None)
}

fn target(drop_unsupported: bool) -> Target<'static> {
    Target { model: "gpt-x", stream: false, max_tokens: 1, drop_unsupported }
}

fn write(request: &ChatRequest) -> Value {
    let mut out = Vec::new();
    Dialect::Responses.write_request(request, &target(false), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None, rest: Map::new() }
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
    Part::ToolCall { id, name, arguments, signature: None, cache: None }
}

fn result(id: &str, parts: Vec<Part>) -> Part {
    Part::ToolResult { id: id.to_owned(), name: None, parts, is_error: false, cache: None }
}

fn response() -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_001.0, "status": "completed", "model": "gpt-x-2026",
        "error": null, "incomplete_details": null, "instructions": "secret", "service_tier": "default",
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}], "encrypted_content": "gAAA"},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}]}]},
            {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"id": "ws_1", "type": "web_search_call", "status": "completed"},
        ],
        "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
            "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 30}, "total_tokens": 150},
    })
}

fn answer_of(value: &Value) -> Answer {
    Dialect::Responses.parse_answer(value.to_string().as_bytes()).unwrap()
}

/// An answer as the events of its stream.
fn events_of(answer: &Answer) -> Vec<Event> {
    let mut events = vec![Event::Start { id: answer.id.clone(), model: answer.model.clone(), created: None }];
    for (part, index) in answer.choices[0].parts.iter().zip(0u32..) {
        let (kind, text, signed) = match part.clone() {
            Part::Text { text, .. } => (PartKind::Text, text, None),
            Part::Refusal { text } => (PartKind::Refusal, text, None),
            Part::Thinking { text, signature, id } => (PartKind::Thinking { id }, text, signature),
            Part::RedactedThinking { data } => (PartKind::RedactedThinking { data }, String::new(), None),
            Part::ToolCall { id, name, arguments, signature, .. } => {
                (PartKind::ToolCall { id, name }, arguments, signature)
            }
            Part::Other { dialect, value } => (PartKind::Other { dialect, value }, String::new(), None),
            part => (PartKind::Media { part }, String::new(), None),
        };
        events.push(Event::Open { choice: 0, part: index, kind });
        let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        for piece in [&text[..middle], &text[middle..]] {
            if !piece.is_empty() {
                events.push(Event::Delta { choice: 0, part: index, text: piece.to_owned() });
            }
        }
        if let Some(signature) = signed {
            events.push(Event::Signature { choice: 0, part: index, signature });
        }
        events.push(Event::Close { choice: 0, part: index });
    }
    let finish = answer.choices[0].finish;
    events.push(Event::Finish { choice: 0, finish, native: None, stop_text: None, rest: Map::new() });
    if answer.usage.source != Source::Unknown {
        events.push(Event::Usage(answer.usage));
    }
    events.push(Event::End);
    events
}

fn stream(events: &[Event]) -> Vec<u8> {
    let mut writer = EventWriter::new(Dialect::Responses, &REPLY);
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    out
}

/// The data of a stream, each with its name checked and counted.
fn data_of(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    let values: Vec<Value> = blocks
        .map(|block| {
            let (name, data) = block.split_once('\n').unwrap();
            let value: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), value["type"].as_str());
            value
        })
        .collect();
    for (index, value) in values.iter().enumerate() {
        assert_eq!(value["sequence_number"], index);
    }
    values
}

/// The whole response out of a stream's last event.
fn gather(events: &[Event]) -> Value {
    data_of(&stream(events)).last().unwrap()["response"].clone()
}
