//! Conversations, answers and streams there and back.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    ApiError, ChatRequest, Dialect, ErrorKind, Event, Finish, Media, Part, PartKind, Reasoning, Reply,
    ResponseFormat, Role, Source, Target, Tool, ToolChoice, Usage,
};

fn target<'a>() -> Target<'a> {
    Target { model: "command-a", stream: true, max_tokens: 100, drop_unsupported: false }
}

fn reply<'a>() -> Reply<'a> {
    Reply { model: "small", id: "gw-1", created: 7, include_usage: true }
}

fn parse(value: &Value) -> ChatRequest {
    parse_request(value.to_string().as_bytes()).unwrap()
}

fn write(request: &ChatRequest) -> Value {
    let mut out = Vec::new();
    write_request(request, &target(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn citation() -> Value {
    json!({"start": 0, "end": 3, "text": "cat", "sources": [{"type": "tool", "id": "c1:0"}], "content_index": 0, "type": "TEXT_CONTENT"})
}

fn rich() -> Value {
    json!({
        "model": "command-a", "stream": true,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}, {"type": "image_url", "image_url": {"url": "https://x/a.png"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}], "tool_plan": "I will look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "document", "document": {"data": {"what": "cat"}, "id": "d1"}}, {"type": "text", "text": "and"}]},
            {"role": "tool", "tool_call_id": "c2", "content": "dark"},
            {"role": "assistant", "content": [{"type": "text", "text": "cats"}], "citations": [citation()]},
            {"role": "user", "content": "Thanks."},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}}}],
        "strict_tools": true,
        "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
        "max_tokens": 9, "stop_sequences": ["END"], "temperature": 0.5, "seed": 7, "frequency_penalty": 0.1, "presence_penalty": 0.2,
        "k": 4, "p": 0.75, "logprobs": true,
        "thinking": {"type": "enabled", "token_budget": 64},
        "documents": ["d"], "citation_options": {"mode": "FAST"}, "safety_mode": "STRICT", "priority": 1,
    })
}

#[test]
fn a_rich_request_comes_back_as_it_was() {
    let request = parse(&rich());
    assert_eq!(write(&request), rich());
    assert_eq!(parse(&write(&request)), request);
}

#[test]
fn a_rich_request_is_understood() {
    let request = parse(&rich());
    assert!(request.stream);
    let plan = &request.messages[2].parts;
    assert!(matches!(&plan[0], Part::Thinking { text, .. } if text == "Hm."));
    assert_eq!(plan[1], Part::text("I will look."));
    assert!(matches!(&plan[2], Part::ToolCall { id, .. } if id == "c1"));
    assert!(
        matches!(&request.messages[1].parts[1], Part::Image { media: Media::Base64 { media_type, .. }, .. } if media_type == "image/png")
    );
    assert!(
        matches!(&request.messages[5].parts[0], Part::Text { citations: Some(list), .. } if list[0] == citation())
    );
    assert_eq!(request.messages[3].role, Role::Tool);
    assert_eq!(
        (request.top_k, request.top_p, request.tool_choice),
        (Some(4), Some(0.75), Some(ToolChoice::Required))
    );
    assert!(matches!(request.response_format, Some(ResponseFormat::Schema { .. })));
    assert_eq!(
        request.reasoning,
        Some(Reasoning { enabled: Some(true), budget: Some(64), ..Reasoning::default() })
    );
    assert_eq!(
        request.rest.keys().collect::<Vec<_>>(),
        ["documents", "citation_options", "safety_mode", "priority"]
    );
}

#[test]
fn a_named_tool_is_asked_for_by_telling_of_no_other() {
    let tool = |name: &str| Tool::Function {
        name: name.into(),
        description: None,
        parameters: None,
        strict: None,
        cache: None,
    };
    let of = |choice| {
        write(&ChatRequest {
            tools: vec![tool("a"), tool("b"), tool("c")],
            tool_choice: Some(choice),
            ..ChatRequest::default()
        })
    };
    let named = of(ToolChoice::Named("b".into()));
    assert_eq!(named["tools"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&named["tools"][0]["function"]["name"], &named["tool_choice"]),
        (&json!("b"), &json!("REQUIRED"))
    );
    let allowed = of(ToolChoice::Allowed { names: vec!["a".into(), "c".into()], required: false });
    assert_eq!(allowed["tools"].as_array().unwrap().len(), 2);
    assert!(allowed.get("tool_choice").is_none());
}

#[test]
fn what_cohere_can_not_do_is_refused_or_left_out_by_name() {
    let message = crate::Message {
        role: Role::User,
        parts: vec![Part::Audio { media: Media::FileId { id: "f".into() } }, Part::text("hi")],
        name: None,
        rest: Map::new(),
    };
    let request = ChatRequest {
        n: Some(2),
        user: Some("u".into()),
        tools: vec![Tool::Native { dialect: Dialect::Gemini, value: json!({}) }],
        messages: vec![message],
        rest: Map::from_iter([("safetySettings".to_owned(), json!([]))]),
        ..ChatRequest::default()
    };
    assert_eq!(write_request(&request, &target(), &mut Vec::new()).unwrap_err().path, "n");
    let lenient = Target { drop_unsupported: true, ..target() };
    let written = write_request(&request, &lenient, &mut Vec::new()).unwrap();
    assert_eq!(written.dropped, ["n", "user", "messages[0].content[0]", "tools[0]", "safetySettings"]);
}

#[test]
fn odd_requests_are_faults_that_say_where() {
    for (body, path) in [
        (r#"{"messages": [{"role": "bot"}]}"#, "messages[0].role"),
        (r#"{"messages": [{"role": "tool", "content": "x"}]}"#, "messages[0].tool_call_id"),
        (r#"{"messages": [{"role": "user", "content": [{"text": "x"}]}]}"#, "messages[0].content[0].type"),
        (r#"{"tool_choice": "ANY"}"#, "tool_choice"),
        (r#"{"k": -1}"#, "k"),
    ] {
        assert_eq!(parse_request(body.as_bytes()).unwrap_err().path, path, "{body}");
    }
}

fn rich_answer() -> Value {
    json!({
        "id": "r1", "finish_reason": "TOOL_CALL",
        "message": {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}], "tool_plan": "I will look.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}}],
            "citations": [citation()]},
        "usage": {"billed_units": {"input_tokens": 5, "output_tokens": 4}, "tokens": {"input_tokens": 70, "output_tokens": 9}, "cached_tokens": 20},
        "logprobs": [{"text": "Hi", "token_ids": [], "logprobs": [-0.5]}],
    })
}

#[test]
fn a_rich_answer_comes_back_as_it_was() {
    let answer = parse_answer(rich_answer().to_string().as_bytes()).unwrap();
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    assert_eq!(
        (answer.usage.input, answer.usage.cache_read, answer.usage.output),
        (Some(50), Some(20), Some(9))
    );
    let mut out = Vec::new();
    write_answer(&answer, &reply(), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), rich_answer());
}

#[test]
fn reasons_of_finish_keep_their_word_where_it_means_the_same() {
    for word in ["COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS", "ERROR", "TIMEOUT", "ERROR_TOXIC", "ERROR_LIMIT"]
    {
        let body = json!({"finish_reason": word, "message": {"content": [{"type": "text", "text": "a"}]}});
        let answer = parse_answer(body.to_string().as_bytes()).unwrap();
        let mut out = Vec::new();
        write_answer(&answer, &reply(), &mut out);
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap()["finish_reason"], word);
    }
}

#[test]
fn usage_that_is_not_said_stays_so_and_billed_units_stand_in_for_tokens() {
    let of = |usage: Value| {
        parse_answer(json!({"message": {}, "usage": usage}).to_string().as_bytes()).unwrap().usage
    };
    assert_eq!(of(json!({})), Usage::default());
    let billed = of(json!({"billed_units": {"input_tokens": 3.0, "output_tokens": 4}}));
    assert_eq!((billed.source, billed.input, billed.output), (Source::Reported, Some(3), Some(4)));
}

#[test]
fn errors_are_sorted_and_come_back() {
    assert_eq!(parse_error(498, b"{\"message\":\"invalid api token\"}").kind, ErrorKind::Authentication);
    assert_eq!(parse_error(400, b"{\"message\":\"too many tokens: 9\"}").kind, ErrorKind::ContextTooLong);
    assert_eq!(
        parse_error(429, b"{\"message\":\"Trial key: 1000 API calls / month\"}").kind,
        ErrorKind::Quota
    );
    assert_eq!(parse_error(502, b"<html>").kind, ErrorKind::Server);
    let error =
        ApiError { request_id: Some("r".into()), ..ApiError::new(429, ErrorKind::RateLimited, "slow") };
    let mut out = Vec::new();
    write_error(&error, &mut out);
    let read = parse_error(429, &out);
    assert_eq!((read.kind, read.message, read.request_id), (error.kind, error.message, error.request_id));
}

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let mut reader = Reader::new();
    let mut events = Vec::new();
    for piece in pieces {
        reader.feed(piece, &mut events).unwrap();
    }
    reader.finish(&mut events).unwrap();
    events
}

fn write_events(events: &[Event]) -> String {
    let mut writer = Writer::new(&reply());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// As Cohere's documentation shows a stream: a plan, two calls, words with a citation behind the end of their block.
fn stream() -> String {
    let events = [
        json!({"type": "message-start", "id": "r1", "delta": {"message": {"role": "assistant", "content": [], "tool_plan": ""}}}),
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will"}}}),
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": " look."}}}),
        json!({"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}}}}),
        json!({"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": "{\"at\""}}}}}),
        json!({"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": ":1}"}}}}}),
        json!({"type": "tool-call-end", "index": 0}),
        json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "cäts"}}}}),
        json!({"type": "content-end", "index": 0}),
        json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation()}}}),
        json!({"type": "citation-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 5, "output_tokens": 6}}}}),
    ];
    events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_events() {
    let text = stream();
    let whole = read(&[text.as_bytes()]);
    for at in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(at);
        assert_eq!(read(&[first, second]), whole, "cut at {at}");
    }
    let at = |kind: fn(&Event) -> bool| whole.iter().position(kind).unwrap();
    let cited = at(|event| matches!(event, Event::Citation { part: 2, .. }));
    assert!(matches!(&whole[cited + 1], Event::Close { part: 2, .. }));
    assert!(matches!(&whole[cited + 2], Event::Finish { finish: Finish::ToolCalls | Finish::Stop, .. }));
    assert_eq!(whole.last(), Some(&Event::End));
}

#[test]
fn calls_may_be_open_side_by_side() {
    let one = |index: u32, id: &str| json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": {"id": id, "function": {"name": "f"}}}}});
    let more = |index: u32, text: &str| json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": {"function": {"arguments": text}}}}});
    let events = [
        one(0, "a"),
        one(1, "b"),
        more(1, "B"),
        more(0, "A"),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}),
    ];
    let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let told = read(&[text.as_bytes()]);
    assert!(told.contains(&Event::Delta { choice: 0, part: 1, text: "B".into() }));
    assert!(told.contains(&Event::Delta { choice: 0, part: 0, text: "A".into() }));
    assert_eq!(told.iter().filter(|event| matches!(event, Event::Close { .. })).count(), 2);
}

#[test]
fn a_stream_that_fails_or_breaks_off_is_told() {
    let failed =
        "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"boom\"}}\n\n";
    assert!(
        matches!(read(&[failed.as_bytes()]).last(), Some(Event::Error(error)) if error.message == "boom")
    );
    let mut reader = Reader::new();
    let cut = stream().replace("message-end", "other");
    reader.feed(cut.as_bytes(), &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    assert!(Reader::new().feed(b"data: <html>\n\n", &mut Vec::new()).is_err());
    let told = write_events(&[Event::Error(ApiError::new(0, ErrorKind::Server, "late"))]);
    assert!(matches!(read(&[told.as_bytes()]).last(), Some(Event::Error(error)) if error.message == "late"));
}

#[test]
fn a_signature_without_words_is_no_block() {
    let part = 0;
    let events = [
        Event::Open { choice: 0, part, kind: PartKind::Thinking { id: None } },
        Event::Signature { choice: 0, part, signature: "s".into() },
        Event::Close { choice: 0, part },
    ];
    assert_eq!(write_events(&events), "");
}

#[derive(Debug, Clone)]
enum Told {
    Text(Vec<String>, bool),
    Thinking(Vec<String>),
    Call(String, Option<String>, Vec<String>),
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    let words = || proptest::collection::vec("[a-zé\"\\n{}]{1,6}", 0..4);
    proptest::collection::vec(
        prop_oneof![
            (words(), any::<bool>()).prop_map(|(words, cited)| Told::Text(words, cited)),
            proptest::collection::vec("[a-zé]{1,6}", 1..4).prop_map(Told::Thinking),
            ("[a-z]{1,5}", proptest::option::of("[A-Za-z0-9+/=]{1,9}"), words())
                .prop_map(|(name, sign, words)| Told::Call(name, sign, words)),
        ],
        0..8,
    )
}

fn events_of(told: &[Told]) -> Vec<Event> {
    let mut events = vec![Event::Start { id: "r".into(), model: String::new(), created: None }];
    let mut has_call = false;
    for (part, one) in (0u32..).zip(told) {
        let (kind, words, cited) = match one {
            Told::Text(words, cited) => (PartKind::Text, words, *cited),
            Told::Thinking(words) => (PartKind::Thinking { id: None }, words, false),
            Told::Call(name, _, words) => {
                has_call = true;
                (PartKind::ToolCall { id: format!("id{part}"), name: name.clone() }, words, false)
            }
        };
        events.push(Event::Open { choice: 0, part, kind });
        if let Told::Call(_, Some(signature), _) = one {
            events.push(Event::Signature { choice: 0, part, signature: signature.clone() });
        }
        events.extend(words.iter().map(|text| Event::Delta { choice: 0, part, text: text.clone() }));
        if matches!(one, Told::Call(_, _, words) if words.is_empty()) {
            // No arguments are an empty object on the wire.
            events.push(Event::Delta { choice: 0, part, text: "{}".to_owned() });
        }
        if cited {
            events.push(Event::Citation { choice: 0, part, value: citation() });
        }
        events.push(Event::Close { choice: 0, part });
    }
    let (finish, native) =
        if has_call { (Finish::ToolCalls, "TOOL_CALL") } else { (Finish::Stop, "COMPLETE") };
    let billed = json!({"input_tokens": 1, "output_tokens": 2});
    let rest = Map::from_iter([("billed_units".to_owned(), billed)]);
    events.push(Event::Finish { choice: 0, finish, native: Some(native.into()), stop_text: None, rest });
    let usage = Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() };
    events.extend([Event::Usage(usage), Event::End]);
    events
}

proptest! {
    #[test]
    fn what_the_writer_tells_the_reader_understands(told in told(), cut in 0usize..900) {
        let events = events_of(&told);
        let text = write_events(&events);
        let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
        prop_assert_eq!(read(&[first, second]), events);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200), prefix in "(data: )?[\\[{]?") {
        let text = [prefix.as_bytes(), &bytes].concat();
        let _ = parse_request(&text);
        let _ = parse_answer(&text);
        let _ = parse_error(500, &text);
        let mut reader = Reader::new();
        let mut events = Vec::new();
        if reader.feed(&text, &mut events).is_ok() {
            let _ = reader.finish(&mut events);
        }
    }
}
