//! Conversations, answers and streams there and back.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    ApiError, ChatRequest, ErrorKind, Event, Finish, Media, Message, Part, PartKind, Reasoning, Reply,
    ResponseFormat, Role, Source, Target, Tool, ToolChoice, Usage,
};

fn target<'a>() -> Target<'a> {
    Target { model: "llama", stream: false, max_tokens: 100, drop_unsupported: false }
}

fn reply<'a>() -> Reply<'a> {
    Reply { model: "small", id: "gw-1", created: 1_795_246_955, include_usage: true }
}

fn parse(value: &Value) -> ChatRequest {
    parse_request(value.to_string().as_bytes()).unwrap()
}

fn write(request: &ChatRequest) -> Value {
    let mut out = Vec::new();
    write_request(request, &target(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn rich() -> Value {
    json!({
        "model": "llama",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgo="]},
            {"role": "assistant", "content": "Let me see.", "thinking": "Hm.", "tool_calls": [
                {"id": "c1", "function": {"index": 0, "name": "look", "arguments": {"at": 1}}},
                {"id": "c2", "function": {"index": 1, "name": "look", "arguments": {}}}]},
            {"role": "tool", "content": "a cat", "tool_name": "look", "tool_call_id": "c1"},
            {"role": "tool", "content": "dark", "tool_name": "look", "tool_call_id": "c2"},
            {"role": "user", "content": "Thanks."},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}}}],
        "format": {"type": "object"},
        "think": "high",
        "logprobs": true, "top_logprobs": 2,
        "stream": false,
        "options": {"temperature": 0.5, "top_p": 0.75, "top_k": 4, "num_predict": 9, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2, "stop": ["END"], "num_ctx": 8192, "mirostat": 1},
        "keep_alive": "5m",
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
    assert!(!request.stream);
    assert!(
        matches!(&request.messages[1].parts[1], Part::Image { media: Media::Base64 { media_type, .. }, .. } if media_type == "image/png")
    );
    assert!(matches!(&request.messages[2].parts[0], Part::Thinking { text, .. } if text == "Hm."));
    assert!(
        matches!(&request.messages[2].parts[2], Part::ToolCall { arguments, .. } if arguments == "{\"at\":1}")
    );
    assert_eq!((request.max_tokens, request.top_k, request.seed), (Some(9), Some(4), Some(7)));
    assert!(matches!(request.response_format, Some(ResponseFormat::Schema { .. })));
    assert_eq!(request.rest["options"], json!({"num_ctx": 8192, "mirostat": 1}));
}

#[test]
fn a_stream_is_the_default_and_calls_without_ids_find_their_results() {
    let request = parse(&json!({"model": "m", "options": {"num_predict": -1}, "template": "", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "a", "arguments": {}}}, {"function": {"name": "b", "arguments": "{}"}}]},
        {"role": "tool", "content": "B", "tool_name": "b"},
        {"role": "tool", "content": "A"},
    ]}));
    assert!(request.stream && request.max_tokens.is_none() && request.rest.is_empty());
    let result = |at: usize| match &request.messages[at].parts[0] {
        Part::ToolResult { id, name, .. } => (id.clone(), name.clone().unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    assert_eq!(result(2), ("call_1_1".into(), "b".into()));
    assert_eq!(result(3), ("call_1_0".into(), "a".into()));
}

#[test]
fn a_generate_is_one_message_of_the_user() {
    let request = parse(
        &json!({"model": "m", "prompt": "Why?", "system": "Brief.", "images": ["/9j/4AAQ"], "stream": false, "format": "json", "raw": true, "think": true}),
    );
    assert_eq!(request.messages[0].role, Role::System);
    assert_eq!(request.messages[1].parts[0], Part::text("Why?"));
    assert!(matches!(&request.messages[1].parts[1], Part::Image { .. }));
    assert_eq!(request.response_format, Some(ResponseFormat::Json));
    assert_eq!(request.reasoning, Some(Reasoning { enabled: Some(true), ..Reasoning::default() }));
    assert_eq!(write_request(&request, &target(), &mut Vec::new()).unwrap_err().path, "raw");
}

#[test]
fn what_ollama_can_not_do_is_refused_or_left_out_by_name() {
    let tool = |name: &str| Tool::Function {
        name: name.into(),
        description: None,
        parameters: None,
        strict: None,
        cache: None,
    };
    let far = Part::Image {
        media: Media::Url { url: "https://x/a.png".into(), media_type: None },
        detail: None,
        cache: None,
    };
    let request = ChatRequest {
        messages: vec![Message {
            role: Role::User,
            parts: vec![Part::text("a"), far, Part::text("b")],
            name: None,
            rest: Map::new(),
        }],
        tools: vec![tool("a"), tool("b")],
        tool_choice: Some(ToolChoice::Named("b".into())),
        metadata: Some(Map::new()),
        ..ChatRequest::default()
    };
    assert_eq!(write_request(&request, &target(), &mut Vec::new()).unwrap_err().path, "tool_choice");
    let lenient = Target { drop_unsupported: true, ..target() };
    let mut out = Vec::new();
    let written = write_request(&request, &lenient, &mut out).unwrap();
    assert_eq!(written.dropped, ["tool_choice", "metadata", "messages[0].content[1]"]);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["messages"][0]["content"], "a\nb");
    assert_eq!(value["tools"].as_array().unwrap().len(), 1);
    let never =
        ChatRequest { tools: vec![tool("a")], tool_choice: Some(ToolChoice::None), ..ChatRequest::default() };
    assert!(write(&never).get("tools").is_none());
}

#[test]
fn odd_requests_are_faults_that_say_where() {
    for (body, path) in [
        (r#"{"messages": [{"role": "bot"}]}"#, "messages[0].role"),
        (r#"{"messages": [{"role": "user", "content": []}]}"#, "messages[0].content"),
        (r#"{"messages": [{"role": "user", "images": [1]}]}"#, "messages[0].images"),
        (
            r#"{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": 1}}]}]}"#,
            "messages[0].tool_calls[0].function.arguments",
        ),
        (r#"{"prompt": "x", "options": {"top_k": "many"}}"#, "options.top_k"),
        (r#"{"prompt": "x", "format": 5}"#, "format"),
        (r#"{"prompt": "x", "think": 5}"#, "think"),
    ] {
        assert_eq!(parse_request(body.as_bytes()).unwrap_err().path, path, "{body}");
    }
}

fn rich_answer() -> Value {
    json!({
        "model": "small", "created_at": "2026-11-21T07:42:35Z",
        "message": {"role": "assistant", "content": "Let me see.", "thinking": "Hm.", "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "look", "arguments": {"at": 1}}}]},
        "done": true, "done_reason": "stop", "total_duration": 9, "load_duration": 1, "prompt_eval_duration": 2, "eval_duration": 3,
        "prompt_eval_count": 5, "eval_count": 6,
        "logprobs": [{"token": "Let", "logprob": -0.5, "bytes": [76], "top_logprobs": []}],
    })
}

#[test]
fn a_rich_answer_comes_back_as_it_was() {
    let answer = parse_answer(rich_answer().to_string().as_bytes()).unwrap();
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    assert_eq!(
        (answer.usage.input, answer.usage.output, answer.created),
        (Some(5), Some(6), Some(1_795_246_955))
    );
    let mut out = Vec::new();
    write_answer(&answer, &reply(), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), rich_answer());
}

#[test]
fn an_answer_to_generate_says_at_the_top_what_a_chat_says_in_its_message() {
    let answer = parse_answer(rich_answer().to_string().as_bytes()).unwrap();
    let mut out = Vec::new();
    write_generate(&answer, &reply(), &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&value["response"], &value["thinking"]), (&json!("Let me see."), &json!("Hm.")));
    let again = parse_answer(&out).unwrap();
    assert_eq!(again.choices[0].parts, answer.choices[0].parts);
    assert_eq!(again.usage, answer.usage);
}

#[test]
fn a_count_that_is_missing_is_not_zero() {
    let body = json!({"message": {"content": "x"}, "done": true, "eval_count": 3});
    let usage = parse_answer(body.to_string().as_bytes()).unwrap().usage;
    assert_eq!((usage.source, usage.input, usage.output), (Source::Reported, None, Some(3)));
    let silent = parse_answer(br#"{"message":{"content":"x"}}"#).unwrap();
    assert_eq!(silent.usage, Usage::default());
    let mut out = Vec::new();
    write_answer(&silent, &reply(), &mut out);
    assert!(!String::from_utf8(out).unwrap().contains("eval_count"));
}

#[test]
fn errors_are_sorted_and_come_back() {
    assert_eq!(parse_error(404, br#"{"error":"model 'x' not found"}"#).kind, ErrorKind::NotFound);
    assert_eq!(parse_error(400, br#"{"error":"llama does not support tools"}"#).kind, ErrorKind::Unsupported);
    assert_eq!(parse_error(502, b"<html>").kind, ErrorKind::Server);
    let mut out = Vec::new();
    write_error(&ApiError::new(429, ErrorKind::RateLimited, "slow"), &mut out);
    assert_eq!(out, br#"{"error":"slow"}"#);
}

#[test]
fn lists_of_models_have_digests_that_can_be_cut() {
    let mut out = Vec::new();
    write_tags(["a", "b:latest"], 0, &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["models"][1]["model"], "b:latest");
    assert_eq!(value["models"][0]["modified_at"], "1970-01-01T00:00:00Z");
    assert_eq!(value["models"][0]["digest"].as_str().unwrap().len(), 64);
    out.clear();
    write_version("0.9.0", &mut out);
    assert_eq!(out, br#"{"version":"0.9.0"}"#);
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

fn write_events(events: &[Event], mut writer: Writer) -> String {
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn stream() -> String {
    let at = "2026-11-21T07:42:35.123456Z";
    [
        json!({"model": "m", "created_at": at, "message": {"role": "assistant", "content": "", "thinking": "Hm"}, "done": false}),
        json!({"model": "m", "created_at": at, "message": {"role": "assistant", "content": "Hé"}, "done": false}),
        json!({"model": "m", "created_at": at, "message": {"role": "assistant", "content": "llo"}, "done": false}),
        json!({"model": "m", "created_at": at, "message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": {}}}]}, "done": false}),
        json!({"model": "m", "created_at": at, "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop", "total_duration": 5, "eval_count": 4}),
    ]
    .iter()
    .map(|line| format!("{line}\n"))
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
    // A last line without its end is a line.
    assert_eq!(read(&[text.trim_end().as_bytes()]), whole);
    let ids: Vec<&String> = whole
        .iter()
        .filter_map(|event| match event {
            Event::Open { kind: PartKind::ToolCall { id, .. }, .. } => Some(id),
            _ => None,
        })
        .collect();
    assert!(ids.len() == 2 && ids[0] != ids[1]);
    assert!(whole.iter().any(|event| matches!(event, Event::Finish { finish: Finish::ToolCalls, rest, .. } if rest["total_duration"] == 5)));
    assert_eq!(whole.last(), Some(&Event::End));
}

#[test]
fn a_stream_that_fails_or_breaks_off_is_told() {
    let first = stream().lines().next().unwrap().to_owned();
    let failed = format!("{first}\n{{\"error\":\"llama runner died\"}}\n");
    assert!(
        matches!(read(&[failed.as_bytes()]).last(), Some(Event::Error(error)) if error.kind == ErrorKind::Server)
    );
    let mut reader = Reader::new();
    reader.feed(first.as_bytes(), &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    assert!(Reader::new().feed(b"<html>\n", &mut Vec::new()).is_err());
    assert!(Reader::new().feed(&vec![b'x'; (8 << 20) + 1], &mut Vec::new()).is_err());
    let told =
        write_events(&[Event::Error(ApiError::new(0, ErrorKind::Timeout, "stalled"))], Writer::new(&reply()));
    assert_eq!(told, "{\"error\":\"stalled\"}\n");
}

#[derive(Debug, Clone)]
enum Told {
    Text(Vec<String>),
    Thinking(Vec<String>),
    Call(String, String),
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    let words = || proptest::collection::vec("[a-zé\"\\n{}]{1,6}", 1..4);
    proptest::collection::vec(
        prop_oneof![
            words().prop_map(Told::Text),
            words().prop_map(Told::Thinking),
            ("[a-z]{1,5}", "[a-z]{0,5}")
                .prop_map(|(name, value)| Told::Call(name, json!({"v": value}).to_string())),
        ],
        0..8,
    )
}

fn events_of(told: &[Told]) -> Vec<Event> {
    let mut events =
        vec![Event::Start { id: String::new(), model: "small".into(), created: Some(1_795_246_955) }];
    let mut part = 0;
    let mut before: Option<&Told> = None;
    let mut has_call = false;
    for one in told {
        // Words behind words of the same sort are one part on this wire.
        if matches!(
            (before, one),
            (Some(Told::Text(_)), Told::Text(_)) | (Some(Told::Thinking(_)), Told::Thinking(_))
        ) {
            continue;
        }
        before = Some(one);
        let (kind, words) = match one {
            Told::Text(words) => (PartKind::Text, words.clone()),
            Told::Thinking(words) => (PartKind::Thinking { id: None }, words.clone()),
            Told::Call(name, arguments) => {
                has_call = true;
                (PartKind::ToolCall { id: format!("id{part}"), name: name.clone() }, vec![arguments.clone()])
            }
        };
        events.push(Event::Open { choice: 0, part, kind });
        events.extend(words.into_iter().map(|text| Event::Delta { choice: 0, part, text }));
        events.push(Event::Close { choice: 0, part });
        part += 1;
    }
    let rest = Map::from_iter([("total_duration".to_owned(), json!(5))]);
    let finish = if has_call { Finish::ToolCalls } else { Finish::Stop };
    events.push(Event::Finish { choice: 0, finish, native: Some("stop".into()), stop_text: None, rest });
    let usage = Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() };
    events.extend([Event::Usage(usage), Event::End]);
    events
}

proptest! {
    #[test]
    fn what_the_writer_tells_the_reader_understands(told in told(), generate in any::<bool>(), cut in 0usize..900) {
        let events = events_of(&told);
        let writer = if generate { Writer::generate(&reply()) } else { Writer::new(&reply()) };
        let text = write_events(&events, writer);
        let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
        prop_assert_eq!(read(&[first, second]), events);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200), prefix in "[\\[{]?") {
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
