//! Between chat completions and responses.

use serde_json::{Value, json};
use tidegate_dialect::canonical;
use tidegate_dialect::chat::Tool;

use super::*;

fn chat() -> Value {
    json!({
        "model": "m", "temperature": 0, "max_completion_tokens": 50, "reasoning_effort": "low", "stream": true,
        "stream_options": {"include_usage": true}, "verbosity": "low",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
                {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "one"},
            {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
    })
}

fn responses() -> Value {
    json!({
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]},
            {"type": "function_call", "call_id": "fc_a", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "function_call", "call_id": "fc_b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "fc_a", "output": "one"},
            {"type": "function_call_output", "call_id": "fc_b", "output": "two"},
        ],
        "text": {"format": {"type": "json_schema", "strict": true, "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        "tools": [{"type": "function", "strict": true, "name": "f", "parameters": {"properties": {}, "type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "instructions": "be kind", "reasoning": {"effort": "low"}, "max_output_tokens": 50, "temperature": 0.0, "model": "m",
        "store": false,
    })
}

fn chat_request() -> ChatRequest {
    Dialect::OpenAi.parse_request(chat().to_string().as_bytes(), None, None).unwrap()
}

#[test]
fn the_same_question_has_the_same_key_in_both_dialects() {
    assert_eq!(canonical::key(&chat_request(), b"t"), canonical::key(&parse(responses()), b"t"));
}

#[test]
fn a_chat_request_is_written_as_responses() {
    let mut written = write(&chat_request());
    assert_eq!(written["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(written["input"][1]["call_id"], "call_1");
    written.as_object_mut().unwrap().remove("include");
    let again = parse(written);
    assert_eq!(
        canonical::key(&ChatRequest { model: "m".into(), ..again }, b"t"),
        canonical::key(&chat_request(), b"t")
    );
}

#[test]
fn a_responses_request_is_written_as_chat() {
    let mut body = responses();
    let more = json!({"include": ["reasoning.encrypted_content"], "truncation": "disabled", "prompt_cache_key": "k", "user": "u"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut out = Vec::new();
    let written = Dialect::OpenAi.write_request(&parse(body), &target(false), &mut out).unwrap();
    assert!(written.dropped.is_empty());
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value.get("include"), None);
    assert_eq!(value["prompt_cache_key"], "k");
    assert_eq!(value["messages"][0], json!({"role": "system", "content": "be kind"}));
    assert_eq!(value["messages"].as_array().unwrap().len(), 5);
    assert_eq!(value["verbosity"], "low");
    assert_eq!(value["reasoning_effort"], "low");
    let tools = Dialect::OpenAi.parse_request(&out, None, None).unwrap().tools;
    assert!(matches!(&tools[0], Tool::Function { strict: Some(true), .. }));
}

#[test]
fn a_stream_of_chat_chunks_becomes_a_stream_of_items() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "x",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let call = |index: u32, id: Value, name: Value, arguments: &str| {
        json!({"tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]})
    };
    let chunks = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "let "}), Value::Null),
        chunk(json!({"content": "me"}), Value::Null),
        chunk(call(0, json!("call_a"), json!("f"), ""), Value::Null),
        chunk(call(0, Value::Null, Value::Null, "{\"x\":1}"), Value::Null),
        chunk(call(1, json!("call_b"), json!("g"), "{}"), Value::Null),
        chunk(json!({}), json!("tool_calls")),
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "x", "choices": [],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}}),
    ];
    let mut bytes: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    bytes.push_str("data: [DONE]\n\n");
    let mut reader = tidegate_dialect::EventReader::new(Dialect::OpenAi);
    let mut events = Vec::new();
    reader.feed(bytes.as_bytes(), &mut events).unwrap();
    reader.finish(&mut events).unwrap();
    let response = gather(&events);
    assert_eq!(response["status"], "completed");
    let output = response["output"].as_array().unwrap();
    assert_eq!(output.len(), 3, "{response}");
    assert_eq!(output[0]["content"][0]["text"], "let me");
    assert_eq!((&output[1]["call_id"], &output[1]["arguments"]), (&json!("call_a"), &json!("{\"x\":1}")));
    assert_eq!((&output[2]["call_id"], &output[2]["arguments"]), (&json!("call_b"), &json!("{}")));
    assert_eq!(response["usage"]["input_tokens"], 10);
    assert_eq!(response["usage"]["input_tokens_details"]["cached_tokens"], 4);
}
