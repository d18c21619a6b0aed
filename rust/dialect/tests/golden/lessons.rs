//! What went wrong in other gateways, each once.

use serde_json::{Value, json};
use tidegate_dialect::{Dialect, Event, EventReader, EventWriter, Source, Target, Usage};

use crate::{DIALECTS, REPLY};

fn usage_of(dialect: Dialect, body: Value) -> Usage {
    dialect.parse_answer(body.to_string().as_bytes()).unwrap().usage
}

#[test]
fn cached_tokens_are_counted_once_wherever_the_provider_counts_them() {
    let openai = usage_of(
        Dialect::OpenAi,
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}}}),
    );
    let anthropic = usage_of(
        Dialect::Anthropic,
        json!({"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "x"}],
            "usage": {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 5}}),
    );
    let gemini = usage_of(
        Dialect::Gemini,
        json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 5}}),
    );
    for usage in [openai, anthropic, gemini] {
        assert_eq!((usage.input, usage.cache_read), (Some(40), Some(60)), "{usage:?}");
        assert_eq!((usage.input_total(), usage.output_total()), (Some(100), Some(5)));
    }
}

#[test]
fn what_each_client_is_told_of_usage_adds_up_to_what_the_provider_said() {
    let said = Usage {
        source: Source::Reported,
        input: Some(40),
        cache_read: Some(60),
        output: Some(20),
        reasoning: Some(30),
        ..Usage::default()
    };
    for (dialect, name, _) in DIALECTS {
        let mut answer = Dialect::OpenAi
            .parse_answer(br#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#)
            .unwrap();
        answer.usage = said;
        let mut body = Vec::new();
        dialect.write_answer(&answer, &REPLY, &mut body);
        let read = dialect.parse_answer(&body).unwrap().usage;
        assert_eq!((read.input_total(), read.output_total()), (Some(100), Some(50)), "{name}");
    }
}

fn read(dialect: Dialect, text: &str) -> Vec<Event> {
    let (mut reader, mut events) = (EventReader::new(dialect), Vec::new());
    reader.feed(text.as_bytes(), &mut events).unwrap();
    // A stream that breaks off has told what it has told.
    _ = reader.finish(&mut events);
    events
}

fn usage_in(events: &[Event]) -> Option<Usage> {
    events.iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(*usage),
        _ => None,
    })
}

const STARTED: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";

#[test]
fn the_placeholder_at_the_start_of_a_stream_is_no_output() {
    let usage = usage_in(&read(Dialect::Anthropic, STARTED)).unwrap();
    assert_eq!((usage.input, usage.output), (Some(9), None));
}

#[test]
fn a_stream_that_breaks_off_leaves_the_input_that_was_said() {
    let cut = format!(
        "{STARTED}event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n"
    );
    let events = read(Dialect::Anthropic, &cut);
    assert_eq!(usage_in(&events).unwrap().input_total(), Some(9));
    assert!(!events.contains(&Event::End));
}

#[test]
fn usage_is_always_asked_for_and_told_only_to_who_asked() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let request = Dialect::OpenAi.parse_request(body, None, None).unwrap();
    assert!(!request.include_usage);
    let target = Target { model: "m", stream: true, max_tokens: 1, drop_unsupported: false };
    let mut out = Vec::new();
    Dialect::OpenAi.write_request(&request, &target, &mut out).unwrap();
    let sent: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    for include_usage in [false, true] {
        let reply = tidegate_dialect::Reply { include_usage, ..REPLY };
        let (mut writer, mut out) = (EventWriter::new(Dialect::OpenAi, &reply), Vec::new());
        let usage = Usage { input: Some(1), output: Some(2), ..Usage::default() };
        let start = Event::Start { id: "i".into(), model: "m".into(), created: None };
        for event in [start, Event::Usage(usage), Event::End] {
            writer.write(&event, &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap().contains("prompt_tokens"), include_usage);
    }
}

#[test]
fn a_body_of_megabytes_is_nothing_special() {
    let long = "word ".repeat(400_000);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": long}]}).to_string();
    let request = Dialect::OpenAi.parse_request(body.as_bytes(), None, None).unwrap();
    for (dialect, _, model) in DIALECTS {
        let target = Target { model, stream: false, max_tokens: 1, drop_unsupported: false };
        let mut out = Vec::new();
        dialect.write_request(&request, &target, &mut out).unwrap();
        assert!(out.len() > long.len(), "{dialect:?}");
    }
}

#[test]
fn another_providers_signature_never_reaches_a_provider() {
    // The turn of one provider, told to a client, sent on to another (a fallback, or another model for the next turn).
    let answers = [
        (
            Dialect::Anthropic,
            json!({"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use",
            "content": [{"type": "thinking", "thinking": "hm", "signature": "U0VDUkVU"}, {"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
            "usage": {"input_tokens": 1, "output_tokens": 1}}),
        ),
        (
            Dialect::Gemini,
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true, "thoughtSignature": "U0VDUkVU"},
            {"functionCall": {"id": "t1", "name": "f", "args": {}}}]}, "finishReason": "STOP"}], "responseId": "r"}),
        ),
        (
            Dialect::Responses,
            json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "U0VDUkVU"},
            {"id": "fc_1", "type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}", "status": "completed"}]}),
        ),
    ];
    let family = |dialect| match dialect {
        Dialect::Bedrock => Dialect::Anthropic,
        other => other,
    };
    for (from, body) in answers {
        let answer = from.parse_answer(body.to_string().as_bytes()).unwrap();
        for (client, ..) in DIALECTS {
            let mut told = Vec::new();
            client.write_answer(&answer, &REPLY, &mut told);
            let parts = client.parse_answer(&told).unwrap().choices.remove(0).parts;
            let message = tidegate_dialect::Message {
                role: tidegate_dialect::Role::Assistant,
                parts,
                name: None,
                rest: serde_json::Map::new(),
            };
            let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
            let mut request = Dialect::OpenAi.parse_request(body, None, None).unwrap();
            request.messages.push(message);
            request.dialect = Some(client);
            for (to, _, model) in DIALECTS {
                let target = Target { model, stream: false, max_tokens: 1, drop_unsupported: true };
                let mut out = Vec::new();
                to.write_request(&request, &target, &mut out).unwrap();
                let sent = String::from_utf8(out).unwrap();
                if family(to) != family(from) {
                    assert!(!sent.contains("U0VDUkVU"), "{from:?} by {client:?} to {to:?}: {sent}");
                }
                assert!(!sent.contains("tg."), "{from:?} by {client:?} to {to:?}: {sent}");
            }
        }
    }
}

#[test]
fn what_was_uploaded_to_one_provider_is_not_sent_to_another() {
    let body = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_text", "text": "x"}, {"type": "input_file", "file_id": "file-1"}]}]});
    let request = Dialect::Responses.parse_request(body.to_string().as_bytes(), None, None).unwrap();
    let mut target = Target { model: "m", stream: false, max_tokens: 1, drop_unsupported: false };
    for (dialect, name, _) in DIALECTS {
        target.drop_unsupported = false;
        let written = dialect.write_request(&request, &target, &mut Vec::new());
        if matches!(dialect, Dialect::Responses | Dialect::OpenAi) {
            assert_eq!(written.unwrap().dropped, [""; 0], "{name}");
            continue;
        }
        assert!(written.unwrap_err().message.contains("messages[0].content[1]"), "{name}");
        target.drop_unsupported = true;
        let mut out = Vec::new();
        let written = dialect.write_request(&request, &target, &mut out).unwrap();
        assert_eq!(written.dropped, ["messages[0].content[1]"], "{name}");
        assert!(!String::from_utf8(out).unwrap().contains("file-1"));
    }
}

#[test]
fn neither_faults_nor_errors_repeat_what_was_asked() {
    let secret = "SECRETWORD";
    for body in [
        format!("{{\"model\":\"m\",\"messages\":[{{\"role\":\"{secret}\",\"content\":\"x\"}}]}}"),
        format!("{{\"model\":\"m\",\"messages\":\"{secret}\"}}"),
        format!("{{\"model\":\"m\",\"{secret}"),
        format!(
            "{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"text\":\"{secret}\"}}]}}],\"contents\":[\"{secret}\"],\"input\":[\"{secret}\"]}}"
        ),
    ] {
        for (dialect, name, _) in DIALECTS {
            if let Err(fault) = dialect.parse_request(body.as_bytes(), None, None) {
                assert!(!fault.message.contains(secret), "{name}: {fault}");
                let mut told = Vec::new();
                dialect.write_error(&tidegate_dialect::ApiError::from_fault(&fault), &mut told);
                assert!(!String::from_utf8(told).unwrap().contains(secret), "{name}");
            }
        }
    }
}
