//! Whatever the network sends, nothing panics, and what is read can be written.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_dialect::{Dialect, EventReader, EventWriter, Reply, Target};

const REPLY: Reply<'static> = Reply { model: "m", id: "é/1", created: 1, include_usage: true };

/// Values of every type, and of every word that the dialect knows.
fn value() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "output_text",
        "input_text",
        "input_image",
        "input_file",
        "input_audio",
        "refusal",
        "summary_text",
        "assistant",
        "user",
        "system",
        "function",
        "allowed_tools",
        "json_schema",
        "data:image/png;base64,AA",
        "tidegate.call:a:b",
        "tidegate.redacted:x",
        "completed",
        "incomplete",
        "image_generation_call",
        "item_reference",
        "é",
    ];
    const KEYS: &[&str] = &[
        "type",
        "role",
        "content",
        "id",
        "call_id",
        "name",
        "arguments",
        "output",
        "summary",
        "encrypted_content",
        "text",
        "image_url",
        "file_id",
        "file_data",
        "input_audio",
        "data",
        "format",
        "refusal",
        "annotations",
        "tools",
        "mode",
        "parameters",
        "strict",
        "schema",
        "effort",
        "result",
        "logprobs",
        "status",
    ];
    let leaf = prop_oneof![
        proptest::sample::select(WORDS).prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(KEYS), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn requests_of_any_shape(input in value(), tools in value(), choice in value(), text in value(), reasoning in value()) {
        let bodies = [
            json!({"model": "m", "input": [input.clone()]}),
            json!({"model": "m", "input": input, "tools": tools, "tool_choice": choice, "text": text, "reasoning": reasoning}),
        ];
        for body in bodies {
            if let Ok(request) = Dialect::Responses.parse_request(body.to_string().as_bytes(), None, None) {
                let target = Target { model: "m", stream: true, max_tokens: 1, drop_unsupported: true };
                let mut out = Vec::new();
                let written = Dialect::Responses.write_request(&request, &target, &mut out);
                prop_assert!(written.is_ok());
                let again = Dialect::Responses.parse_request(&out, None, None);
                prop_assert!(again.is_ok(), "{again:?} {}", String::from_utf8_lossy(&out));
            }
        }
    }

    #[test]
    fn answers_of_any_shape(output in proptest::collection::vec(value(), 0..4), status in value(), usage in value()) {
        let body = json!({"output": output, "status": status, "usage": usage});
        if let Ok(answer) = Dialect::Responses.parse_answer(body.to_string().as_bytes()) {
            let mut out = Vec::new();
            Dialect::Responses.write_answer(&answer, &REPLY, &mut out);
            prop_assert!(Dialect::Responses.parse_answer(&out).is_ok());
        }
    }

    #[test]
    fn streams_of_any_shape(events in proptest::collection::vec((0usize..16, 0u64..3, 0u64..3, value()), 0..25), other in any::<Vec<u8>>()) {
        const TYPES: [&str; 16] = [
            "response.created", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
            "response.output_text.done", "response.refusal.delta", "response.output_text.annotation.added",
            "response.content_part.done", "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
            "response.reasoning_text.delta", "response.function_call_arguments.delta",
            "response.function_call_arguments.done", "response.output_item.done", "response.completed", "error",
        ];
        let mut reader = EventReader::new(Dialect::Responses);
        let mut told = Vec::new();
        for (kind, output, content, value) in events {
            let data = json!({
                "type": TYPES[kind], "output_index": output, "content_index": content, "summary_index": content,
                "delta": value, "text": value, "arguments": value, "item": value, "part": value, "response": value,
                "annotation": value, "item_id": "x",
            });
            if reader.feed(format!("data: {data}\n\n").as_bytes(), &mut told).is_err() {
                break;
            }
        }
        let _ = reader.feed(&other, &mut told);
        let _ = reader.finish(&mut told);
        let mut writer = EventWriter::new(Dialect::Responses, &REPLY);
        let mut out = Vec::new();
        told.iter().for_each(|event| writer.write(event, &mut out));
        prop_assert!(std::str::from_utf8(&out).is_ok());
    }
}
