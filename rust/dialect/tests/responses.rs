//! OpenAI responses: requests, answers and streams, both ways.

use serde_json::{Map, Value, json};
use tidegate_dialect::chat::{
    Answer, Choice, Finish, Media, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice,
};
use tidegate_dialect::{
    ChatRequest, Dialect, Event, EventReader, EventWriter, Fault, PartKind, Reply, Source, Target, Usage,
    Written,
};

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

#[test]
fn a_text_and_instructions_become_messages() {
    let request = parse(json!({"model": "m", "instructions": "be kind", "input": "hello", "stream": true}));
    assert_eq!(
        request.messages,
        [message(Role::System, vec![Part::text("be kind")]), message(Role::User, vec![Part::text("hello")])]
    );
    assert!(request.stream && request.include_usage);
    let written = write(&request);
    assert_eq!(written["instructions"], "be kind");
    let hello =
        json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}]);
    assert_eq!(written["input"], hello);
    assert_eq!(written["model"], "gpt-x");
    assert_eq!(written.get("stream"), None);
}

fn conversation() -> Value {
    json!([
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            {"type": "input_image", "image_url": "https://x/y.png"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
            {"type": "input_file", "file_url": "https://x/z.pdf"},
            {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "mp3"}},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "think"}], "encrypted_content": "gAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "calling", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"},
        {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "one"},
        {"type": "function_call_output", "call_id": "call_2", "output": [
            {"type": "input_text", "text": "two"}, {"type": "input_image", "file_id": "file-2"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "item_reference", "id": "msg_0"},
        {"role": "user", "content": "go on"},
    ])
}

#[test]
fn every_item_finds_its_place_in_the_conversation() {
    let request = parse(json!({"model": "m", "input": conversation()}));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(
        roles,
        [Role::Developer, Role::User, Role::Assistant, Role::Tool, Role::Assistant, Role::User]
    );
    let base64 =
        |media_type: &str, data: &str| Media::Base64 { media_type: media_type.into(), data: data.into() };
    let user = &request.messages[1].parts;
    assert_eq!(
        user[1],
        Part::Image { media: base64("image/png", "AAAA"), detail: Some("low".into()), cache: None }
    );
    assert!(
        matches!(&user[4], Part::File { media, name: Some(name), .. } if *media == base64("application/pdf", "BBBB") && name == "a.pdf")
    );
    assert_eq!(user[6], Part::Audio { media: base64("audio/mp3", "CCCC") });
    let thinking =
        Part::Thinking { text: "think".into(), signature: Some("gAAA".into()), id: Some("rs_1".into()) };
    assert_eq!(
        request.messages[2].parts,
        [thinking, Part::text("calling"), call("call_1", "f", "{\"a\":1}"), call("call_2", "g", "{}")]
    );
    let image = Part::Image { media: Media::FileId { id: "file-2".into() }, detail: None, cache: None };
    assert_eq!(
        request.messages[3].parts,
        [result("call_1", vec![Part::text("one")]), result("call_2", vec![Part::text("two"), image])]
    );
    assert_eq!(request.messages[4].parts[0], Part::Refusal { text: "no".into() });
    assert!(matches!(&request.messages[4].parts[2], Part::Other { dialect: Dialect::Responses, .. }));
}

#[test]
fn a_conversation_survives_being_written_and_read_again() {
    let request = parse(json!({"model": "gpt-x", "input": conversation(), "store": true}));
    let again = parse(write(&request));
    assert_eq!(again.messages.len(), request.messages.len());
    for (again, before) in again.messages.iter().zip(&request.messages) {
        assert_eq!(again.role, before.role);
        for (again, before) in again.parts.iter().zip(&before.parts) {
            match (again, before) {
                // What is not said is `auto`.
                (Part::Image { media: a, .. }, Part::Image { media: b, .. }) => assert_eq!(a, b),
                (Part::ToolResult { id: a, parts: x, .. }, Part::ToolResult { id: b, parts: y, .. }) => {
                    assert_eq!((a, x.len()), (b, y.len()));
                }
                (a, b) => assert_eq!(a, b),
            }
        }
    }
}

#[test]
fn every_setting_survives_the_chat_form() {
    let body = json!({
        "model": "gpt-x",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "web_search", "search_context_size": "low"},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "parallel_tool_calls": false, "max_output_tokens": 99, "temperature": 0.5, "top_p": 0.25, "top_logprobs": 3,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto", "mode": "pro"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "user": "u", "metadata": {"k": "v"}, "service_tier": "flex", "store": false, "truncation": "auto",
        "safety_identifier": "s", "prompt_cache_key": "p", "previous_response_id": "resp_0", "max_tool_calls": 2,
        "background": true, "future_field": {"x": 1},
    });
    let request = parse(body.clone());
    assert_eq!(request.tool_choice, Some(ToolChoice::Allowed { names: vec!["f".into()], required: true }));
    assert!(matches!(request.response_format, Some(ResponseFormat::Schema { .. })));
    assert_eq!(request.logprobs, Some(true));
    assert!(matches!(&request.tools[1], Tool::Native { dialect: Dialect::Responses, .. }));
    assert_eq!(write(&request), body);
}

#[test]
fn choices_of_tools_are_read_in_every_form() {
    let choice = |value: Value| parse(json!({"tool_choice": value}));
    assert_eq!(choice(json!("auto")).tool_choice, Some(ToolChoice::Auto));
    assert_eq!(choice(json!("none")).tool_choice, Some(ToolChoice::None));
    assert_eq!(choice(json!("required")).tool_choice, Some(ToolChoice::Required));
    let named = choice(json!({"type": "function", "name": "f"}));
    assert_eq!(named.tool_choice, Some(ToolChoice::Named("f".into())));
    let hosted = choice(json!({"type": "web_search"}));
    assert_eq!(hosted.tool_choice, None);
    assert_eq!(write(&hosted)["tool_choice"], json!({"type": "web_search"}));
}

#[test]
fn what_the_dialect_can_not_say_is_refused_or_named() {
    let request = ChatRequest {
        stop: vec!["x".into()],
        seed: Some(1),
        n: Some(2),
        top_k: Some(5),
        rest: json!({"safetySettings": [], "vendor": 1}).as_object().unwrap().clone(),
        ..ChatRequest::default()
    };
    let mut out = b"before".to_vec();
    let fault = Dialect::Responses.write_request(&request, &target(false), &mut out).unwrap_err();
    assert!(fault.message.contains("top_k"), "{fault}");
    assert_eq!(out, b"before");
    let Written { dropped } = Dialect::Responses.write_request(&request, &target(true), &mut out).unwrap();
    assert_eq!(dropped, ["top_k", "stop", "n", "seed", "safetySettings"]);
    let body: Value = serde_json::from_slice(&out[6..]).unwrap();
    assert_eq!(body["vendor"], 1);
}

#[test]
fn a_conversation_of_another_dialect_is_not_kept_and_brings_its_tokens_back() {
    let thought = |signature: Option<&str>| Part::Thinking {
        text: "t".into(),
        signature: signature.map(str::to_owned),
        id: Some("rs_9".into()),
    };
    let request = ChatRequest {
        messages: vec![message(Role::Assistant, vec![thought(None), thought(Some("tok")), Part::text("x")])],
        reasoning: Some(Reasoning { budget: Some(20_000), include: Some(true), ..Reasoning::default() }),
        tools: vec![Tool::Function {
            name: "f".into(),
            description: None,
            parameters: None,
            strict: None,
            cache: None,
        }],
        ..ChatRequest::default()
    };
    let body = write(&request);
    assert_eq!(body["store"], false);
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(body["reasoning"], json!({"effort": "high", "summary": "auto"}));
    // A thought that is neither kept nor carried is of no use to the provider.
    assert_eq!(body["input"].as_array().unwrap().len(), 2);
    assert_eq!(body["input"][0]["encrypted_content"], "tok");
    assert_eq!(body["tools"][0]["strict"], false);
}

#[test]
fn what_builds_on_the_providers_memory_goes_nowhere_else() {
    for field in
        [json!({"previous_response_id": "resp_1"}), json!({"conversation": "c"}), json!({"background": true})]
    {
        let mut body = json!({"model": "m", "input": "x"});
        body.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        let request = parse(body);
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
            let fault = dialect.write_request(&request, &target(true), &mut Vec::new()).unwrap_err();
            assert!(fault.message.contains("keeps responses"), "{fault}");
        }
        assert!(Dialect::Responses.write_request(&request, &target(false), &mut Vec::new()).is_ok());
    }
    let harmless = json!({"input": "x", "store": true, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k"});
    let request = parse(harmless);
    let mut written = Written::default();
    for field in request.rest.keys() {
        written.drop(&target(false), field).unwrap();
    }
    assert!(written.dropped.is_empty());
}

#[test]
fn faults_of_requests_say_where() {
    let path = |body: Value| try_parse(body).unwrap_err().path;
    assert_eq!(path(json!({"input": 5})), "input");
    assert_eq!(
        path(json!({"input": [{"role": "user", "content": "x"}, {"role": "wizard", "content": ""}]})),
        "input[1].role"
    );
    assert_eq!(
        path(json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]})),
        "input[0].content[0].text"
    );
    assert_eq!(path(json!({"input": [{"type": "function_call", "name": "f"}]})), "input[0].call_id");
    assert_eq!(path(json!({"input": ["x"]})), "input[0]");
    assert_eq!(path(json!({"tools": [{"type": "function"}]})), "tools[0].name");
    assert_eq!(
        path(json!({"tools": [{"type": "function", "name": "f", "parameters": "x"}]})),
        "tools[0].parameters"
    );
    assert_eq!(path(json!({"text": {"format": {"type": "json_schema"}}})), "text.format.name");
    assert_eq!(path(json!({"temperature": "hot"})), "temperature");
    assert_eq!(path(json!({"include": "x"})), "include");
    assert!(Dialect::Responses.parse_request(b"{\"a\":", None, None).is_err());
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

#[test]
fn an_answer_is_read_with_disjoint_buckets() {
    let answer = answer_of(&response());
    let choice = &answer.choices[0];
    let thought =
        Part::Thinking { text: "a\n\nb".into(), signature: Some("gAAA".into()), id: Some("rs_1".into()) };
    assert_eq!(choice.parts[0], thought);
    assert!(matches!(&choice.parts[1], Part::Text { text, citations: Some(_), .. } if text == "hi"));
    assert_eq!(choice.parts[2], call("call_1", "f", "{}"));
    assert!(matches!(&choice.parts[3], Part::Other { dialect: Dialect::Responses, .. }));
    assert_eq!((choice.finish, choice.native_finish.as_deref()), (Finish::ToolCalls, Some("completed")));
    assert_eq!(
        (answer.id.as_str(), answer.model.as_str(), answer.created),
        ("resp_1", "gpt-x-2026", Some(1_700_000_001))
    );
    let expected = Usage {
        source: Source::Reported,
        input: Some(30),
        cache_read: Some(60),
        cache_write_5m: Some(10),
        output: Some(20),
        reasoning: Some(30),
        ..Usage::default()
    };
    assert_eq!(answer.usage, expected);
    assert_eq!((answer.usage.input_total(), answer.usage.output_total()), (Some(100), Some(50)));
    // What the object repeats of the request is not carried to clients of other dialects.
    assert_eq!(answer.rest.keys().collect::<Vec<_>>(), ["service_tier"]);
}

#[test]
fn ends_are_read_by_status_and_reason() {
    let with = |change: Value| {
        let mut value = response();
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        value["output"].as_array_mut().unwrap().truncate(2);
        answer_of(&value).choices[0].finish
    };
    assert_eq!(with(json!({})), Finish::Stop);
    let incomplete = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    assert_eq!(with(incomplete("max_output_tokens")), Finish::Length);
    assert_eq!(with(incomplete("content_filter")), Finish::ContentFilter);
    assert_eq!(
        with(json!({"status": "failed", "error": {"code": "server_error", "message": "x"}})),
        Finish::Error
    );
    assert!(Dialect::Responses.parse_answer(b"{}").is_err());
    assert!(Dialect::Responses.parse_answer(b"<html>").is_err());
}

#[test]
fn an_answer_is_written_as_it_was_read() {
    let mut out = Vec::new();
    Dialect::Responses.write_answer(&answer_of(&response()), &REPLY, &mut out);
    let written: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&written["id"], &written["model"], &written["status"]),
        (&json!("resp_1"), &json!("small"), &json!("completed"))
    );
    assert_eq!(written["service_tier"], "default");
    let again = answer_of(&written);
    assert_eq!(again.choices, answer_of(&response()).choices);
    assert_eq!(again.usage, answer_of(&response()).usage);
}

#[test]
fn signatures_of_other_providers_come_back_in_the_next_turn() {
    let signed = Part::ToolCall {
        id: "call:1".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: Some("R2Vt+aW5p/Q==".into()),
        cache: None,
    };
    let parts = vec![
        Part::Thinking { text: "t".into(), signature: Some("anthropic".into()), id: None },
        Part::RedactedThinking { data: "hidden".into() },
        signed,
        call("call_2", "g", "{}"),
    ];
    let choice = Choice {
        index: 0,
        parts: parts.clone(),
        finish: Finish::ToolCalls,
        native_finish: None,
        stop_text: None,
        logprobs: None,
        rest: Map::new(),
    };
    let answer = Answer { choices: vec![choice], ..Answer::default() };
    let mut out = Vec::new();
    Dialect::Responses.write_answer(&answer, &REPLY, &mut out);
    let written: Value = serde_json::from_slice(&out).unwrap();
    let streamed = gather(&events_of(&answer));
    assert_eq!(streamed["output"], written["output"]);
    let items = written["output"].as_array().unwrap().clone();
    let ids: std::collections::HashSet<&str> =
        items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), items.len());
    // The client gives the items back as they came.
    let request = parse(json!({"model": "m", "input": items}));
    let [message] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
    let mut back = message.parts.clone();
    if let Part::Thinking { id, .. } = &mut back[0] {
        *id = None;
    }
    assert_eq!(back, parts);
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

#[test]
fn a_stream_tells_everything_in_the_dialects_order() {
    let answer = Answer {
        choices: vec![Choice {
            index: 0,
            parts: vec![
                Part::Thinking { text: "hm so".into(), signature: Some("S".into()), id: None },
                Part::text("héllo"),
                call("call_1", "f", "{\"a\":1}"),
            ],
            finish: Finish::ToolCalls,
            native_finish: None,
            stop_text: None,
            logprobs: None,
            rest: Map::new(),
        }],
        usage: Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() },
        ..Answer::default()
    };
    let values = data_of(&stream(&events_of(&answer)));
    let names: Vec<&str> = values.iter().map(|value| value["type"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let mut plain = Vec::new();
    Dialect::Responses.write_answer(&answer, &REPLY, &mut plain);
    let plain: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(values.last().unwrap()["response"], plain);
    assert_eq!(values[13]["text"], "héllo");
    assert_eq!(values[8]["item"], plain["output"][0]);
}

#[test]
fn a_stream_that_was_cut_short_says_so() {
    let events = |finish| {
        let mut answer = answer_of(&response());
        answer.choices[0].parts.truncate(2);
        answer.choices[0].finish = finish;
        events_of(&answer)
    };
    let values = data_of(&stream(&events(Finish::Length)));
    let last = values.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(last["response"]["output"][1]["status"], "incomplete");
    assert_eq!(gather(&events(Finish::ContentFilter))["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn an_error_after_the_beginning_ends_the_stream_as_failed() {
    let mut events = events_of(&answer_of(&response()));
    events.truncate(5);
    let error = tidegate_dialect::ApiError::new(0, tidegate_dialect::ErrorKind::RateLimited, "slow down");
    events.push(Event::Error(error));
    events.push(Event::End);
    let values = data_of(&stream(&events));
    let [.., error, failed] = values.as_slice() else { panic!() };
    assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!("slow down")));
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["error"], json!({"code": "rate_limit_exceeded", "message": "slow down"}));
}

fn read(bytes: &[u8]) -> Result<Vec<Event>, Fault> {
    let mut reader = EventReader::new(Dialect::Responses);
    let mut events = Vec::new();
    reader.feed(bytes, &mut events)?;
    reader.finish(&mut events)?;
    Ok(events)
}

#[test]
fn a_stream_is_read_as_it_was_written_wherever_it_is_cut() {
    let mut answer = answer_of(&response());
    answer.choices[0].parts.push(Part::Refusal { text: "no".into() });
    answer.choices[0].parts.push(Part::RedactedThinking { data: "x".into() });
    if let Part::Text { citations, .. } = &mut answer.choices[0].parts[1] {
        *citations = None;
    }
    let written = events_of(&answer);
    let bytes = stream(&written);
    let events = read(&bytes).unwrap();
    let told = |events: &[Event]| -> Vec<Event> {
        events.iter().filter(|e| !matches!(e, Event::Start { .. } | Event::Finish { .. })).cloned().collect()
    };
    assert_eq!(told(&events), told(&written));
    for cut in (1..bytes.len()).step_by(7) {
        let mut reader = EventReader::new(Dialect::Responses);
        let mut pieces = Vec::new();
        reader.feed(&bytes[..cut], &mut pieces).unwrap();
        reader.feed(&bytes[cut..], &mut pieces).unwrap();
        reader.finish(&mut pieces).unwrap();
        assert_eq!(pieces, events, "cut at {cut}");
    }
    let half = read(&bytes[..bytes.len() / 2]);
    assert!(half.is_err());
}

fn sse(values: &[Value]) -> Vec<u8> {
    values
        .iter()
        .map(|v| format!("event: {}\ndata: {v}\n\n", v["type"].as_str().unwrap()))
        .collect::<String>()
        .into()
}

fn texts(events: &[Event]) -> Vec<(u32, String)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { part, text, .. } => Some((*part, text.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn calls_side_by_side_and_servers_that_leave_events_out_are_understood() {
    let call = |index: u32, arguments: &str| json!({"type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"), "name": "f", "arguments": arguments});
    let events = read(&sse(&[
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 5}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": call(0, "")}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": call(1, "")}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"b\""}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ":1}"}),
        json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}"}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": call(1, "{\"b\":1}")}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": call(0, "{}")}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": call(2, "{\"whole\":1}")}),
        json!({"type": "response.output_text.delta", "output_index": 3, "content_index": 0, "delta": "late"}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
    ]))
    .unwrap();
    let expected = [(1, "{\"b\""), (0, "{}"), (1, ":1}"), (2, "{\"whole\":1}"), (3, "late")];
    assert_eq!(texts(&events), expected.map(|(part, text)| (part, text.to_owned())));
    let opened = events.iter().filter(|event| matches!(event, Event::Open { .. })).count();
    let closed = events.iter().filter(|event| matches!(event, Event::Close { .. })).count();
    assert_eq!((opened, closed), (4, 4));
    assert!(matches!(events.iter().rev().nth(1), Some(Event::Finish { finish: Finish::ToolCalls, .. })));
    assert!(!events.iter().any(|event| matches!(event, Event::Usage(_))));
}

#[test]
fn a_stream_with_nothing_but_its_last_event_is_whole() {
    let events = read(&sse(&[json!({"type": "response.completed", "response": response()})])).unwrap();
    assert_eq!(texts(&events), [(0, "a\n\nb".to_owned()), (1, "hi".to_owned()), (2, "{}".to_owned())]);
    assert!(matches!(&events[0], Event::Start { id, .. } if id == "resp_1"));
    assert!(events.iter().any(|event| matches!(event, Event::Usage(usage) if usage.cache_read == Some(60))));
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn summaries_in_parts_become_one_thought_and_raw_thought_is_not_told_twice() {
    let summary = |index: u32, text: &str| json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "summary_index": index, "delta": text});
    let events = read(&sse(&[
        json!({"type": "response.created", "response": {}}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0, "summary_index": 0}),
        summary(0, "a"),
        json!({"type": "response.reasoning_text.delta", "item_id": "rs_1", "output_index": 0, "content_index": 0, "delta": "raw"}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0, "summary_index": 1}),
        summary(1, "b"),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}}),
        json!({"type": "response.completed", "response": {"status": "completed"}}),
    ]))
    .unwrap();
    let text: String = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(text, "a\n\nb");
    assert!(events.contains(&Event::Signature { choice: 0, part: 0, signature: "E".into() }));
}

#[test]
fn errors_inside_a_stream_end_it() {
    let flat =
        read(&sse(&[json!({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": null})]))
            .unwrap();
    let failed = read(&sse(&[json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "error": {"code": "context_length_exceeded", "message": "long"}}})])).unwrap();
    let kind = |events: &[Event]| match events.last() {
        Some(Event::Error(error)) => error.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&flat), tidegate_dialect::ErrorKind::RateLimited);
    assert_eq!(kind(&failed), tidegate_dialect::ErrorKind::ContextTooLong);
    assert!(read(b"data: <html>\n\n").is_err());
    assert!(read(b"data: [1]\n\n").is_err());
}
