//! Whole conversations, there and back.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::*;
use crate::{
    Answer, ChatRequest, Choice, ErrorKind, Event, EventReader, EventWriter, Finish, Gather, Media, Part,
    Reply, Role, Source, Target, Tool, ToolChoice, Usage, replay,
};

const REPLY: Reply<'_> = Reply { model: "small", id: "req1", created: 7, include_usage: true };

fn parsed(body: &Value) -> ChatRequest {
    parse_request(body.to_string().as_bytes()).unwrap()
}

fn written(request: &ChatRequest, model: &str) -> Value {
    let target = Target { model, stream: request.stream, max_tokens: 0, drop_unsupported: false };
    let mut out = Vec::new();
    write_request(request, &target, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn tool_loop() -> Value {
    json!({
        "model": "llama", "max_tokens": 50, "temperature": 0.5, "stop": ["x"], "seed": 3,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}}
            ], "name": "bob"},
            {"role": "assistant", "content": null, "reasoning_content": "Hm.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"},
                 "extra_content": {"google": {"thought_signature": "c2ln"}}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "call_2", "content": "a dog"},
            {"role": "assistant", "content": "A cat and a dog."},
            {"role": "user", "content": "Thanks"}
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks",
            "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}, "strict": true}}],
        "tool_choice": "auto", "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}, "strict": true}},
        "reasoning_effort": "low", "user": "u1", "metadata": {"a": "b"},
        "guided_json": {"kept": [1, 2]}
    })
}

#[test]
fn a_tool_loop_with_media_survives_the_chat_form() {
    let body = tool_loop();
    let again = written(&parsed(&body), "llama");
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&again[name], value, "{name}");
    }
    assert_eq!(parsed(&again), parsed(&body));
}

#[test]
fn what_the_chat_form_holds_is_what_was_said() {
    let request = parsed(&tool_loop());
    assert_eq!(request.max_tokens, Some(50));
    assert_eq!(request.messages[1].name.as_deref(), Some("bob"));
    assert!(matches!(&request.messages[1].parts[1],
        Part::Image { media: Media::Base64 { media_type, data }, .. } if media_type == "image/png" && data == "AAAA"));
    assert!(matches!(&request.messages[1].parts[3],
        Part::Audio { media: Media::Base64 { media_type, .. } } if media_type == "audio/mpeg"));
    assert!(matches!(&request.messages[2].parts[0], Part::Thinking { text, .. } if text == "Hm."));
    assert!(matches!(&request.messages[2].parts[2],
        Part::ToolCall { signature: Some(signature), .. } if signature == "c2ln"));
    // Results learn the names of their calls, which Gemini wants.
    assert!(matches!(&request.messages[3].parts[0],
        Part::ToolResult { id, name: Some(name), .. } if id == "call_1" && name == "look"));
    assert_eq!(request.rest.keys().collect::<Vec<_>>(), ["guided_json"]);
}

#[test]
fn own_models_get_the_words_they_know() {
    let mut request = parsed(&json!({"model": "x", "max_tokens": 9, "messages": [
        {"role": "developer", "content": "d"},
        {"role": "assistant", "content": "a", "reasoning_content": "t"}]}));
    request.stream = true;
    let newer = written(&request, "gpt-5-mini");
    assert_eq!(newer["max_completion_tokens"], 9);
    assert_eq!(newer["messages"][0]["role"], "developer");
    assert_eq!(newer["messages"][1].get("reasoning_content"), None);
    assert_eq!(newer["stream_options"], json!({"include_usage": true}));
    let older = written(&request, "deepseek-chat");
    assert_eq!(older["max_tokens"], 9);
    assert_eq!(older["messages"][0]["role"], "system");
    assert_eq!(older["messages"][1]["reasoning_content"], "t");
}

#[test]
fn the_older_functions_become_tools() {
    let request = parsed(
        &json!({"model": "m", "functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"},
        "messages": [
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "done"}]}),
    );
    assert!(matches!(&request.tools[0], Tool::Function { name, .. } if name == "f"));
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    let (Part::ToolCall { id, .. }, Part::ToolResult { id: result, name, .. }) =
        (&request.messages[0].parts[0], &request.messages[1].parts[0])
    else {
        panic!()
    };
    assert_eq!((id, name.as_deref()), (result, Some("f")));
}

#[test]
fn pictures_of_tools_come_behind_all_results_of_the_turn() {
    let image = Part::Image {
        media: Media::Base64 { media_type: "image/png".into(), data: "AA".into() },
        detail: None,
        cache: None,
    };
    let mut request = parsed(&tool_loop());
    let Part::ToolResult { parts, .. } = &mut request.messages[3].parts[0] else { panic!() };
    parts.push(image);
    let messages = written(&request, "llama")["messages"].clone();
    let roles: Vec<_> =
        messages.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user", "assistant", "user"]);
    assert_eq!(messages[5]["content"][0]["type"], "image_url");
}

#[test]
fn faults_name_the_field() {
    let fault = |body: Value| parse_request(body.to_string().as_bytes()).unwrap_err().path;
    assert_eq!(fault(json!({})), "messages");
    assert_eq!(fault(json!({"messages": []})), "messages");
    assert_eq!(fault(json!({"messages": [{"role": "king", "content": ""}]})), "messages[0].role");
    assert_eq!(fault(json!({"messages": [{"role": "user"}]})), "messages[0].content");
    assert_eq!(
        fault(json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})),
        "messages[0].content[0].image_url"
    );
    assert_eq!(fault(json!({"messages": [{"role": "tool", "content": "x"}]})), "messages[0].tool_call_id");
    assert_eq!(
        fault(json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]})),
        "tools[0].function"
    );
    assert_eq!(
        fault(
            json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]})
        ),
        "tools[0].function.parameters"
    );
}

#[test]
fn what_the_target_can_not_do_is_refused_or_dropped() {
    let mut request =
        parsed(&json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "safetySettings": [1]}));
    request.tools.push(Tool::Native { dialect: crate::Dialect::Anthropic, value: json!({"type": "bash"}) });
    let mut target = Target { model: "m", stream: false, max_tokens: 0, drop_unsupported: false };
    assert!(write_request(&request, &target, &mut Vec::new()).is_err());
    target.drop_unsupported = true;
    let written = write_request(&request, &target, &mut Vec::new()).unwrap();
    assert_eq!(written.dropped, ["tools[0]", "safetySettings"]);
}

fn signed_answer() -> Answer {
    Answer {
        id: "msg_1".into(),
        model: "claude".into(),
        created: Some(5),
        choices: vec![Choice {
            index: 0,
            parts: vec![
                Part::Thinking { text: "I think.".into(), signature: Some("s1".into()), id: None },
                Part::RedactedThinking { data: "hidden".into() },
                Part::text("Hello"),
                Part::ToolCall {
                    id: "c1".into(),
                    name: "f".into(),
                    arguments: "{\"a\":1}".into(),
                    signature: Some("s2".into()),
                    cache: None,
                },
                Part::ToolCall {
                    id: "c2".into(),
                    name: "g".into(),
                    arguments: "{}".into(),
                    signature: None,
                    cache: None,
                },
            ],
            finish: Finish::ToolCalls,
            native_finish: Some("tool_calls".into()),
            stop_text: None,
            logprobs: None,
            rest: Map::new(),
        }],
        usage: Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() },
        rest: Map::new(),
    }
}

#[test]
fn signatures_survive_a_client_that_sends_the_message_back() {
    let mut out = Vec::new();
    write_answer(&signed_answer(), &REPLY, &mut out);
    let body: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["model"], "small");
    assert_eq!(body["usage"]["total_tokens"], 7);
    let message = body["choices"][0]["message"].clone();
    let next = parsed(&json!({"model": "m", "messages": [message]}));
    assert_eq!(next.messages[0].role, Role::Assistant);
    assert_eq!(next.messages[0].parts, signed_answer().choices[0].parts);
    let mut again = parse_answer(&out).unwrap();
    again.model = "claude".into();
    assert_eq!(again, signed_answer());
}

#[test]
fn signatures_survive_a_client_that_gathers_the_stream() {
    let mut events = Vec::new();
    replay(&signed_answer(), &mut events);
    let bytes = stream(&events);
    // A client that appends lists and texts of the deltas, and joins calls by their index.
    let (mut blocks, mut calls) = (Vec::new(), Vec::<Value>::new());
    for chunk in chunks(&bytes) {
        let delta = chunk["choices"][0]["delta"].clone();
        blocks.extend(delta["thinking_blocks"].as_array().cloned().unwrap_or_default());
        for call in delta["tool_calls"].as_array().cloned().unwrap_or_default() {
            let at = call["index"].as_u64().unwrap() as usize;
            if calls.len() <= at {
                calls.push(call);
                continue;
            }
            if let Some(more) = call["function"]["arguments"].as_str() {
                let text = format!("{}{more}", calls[at]["function"]["arguments"].as_str().unwrap());
                calls[at]["function"]["arguments"] = json!(text);
            }
            if let Some(extra) = call.get("extra_content") {
                calls[at]["extra_content"] = extra.clone();
            }
        }
    }
    let message =
        json!({"role": "assistant", "content": "Hello", "thinking_blocks": blocks, "tool_calls": calls});
    let next = parsed(&json!({"model": "m", "messages": [message]}));
    assert_eq!(next.messages[0].parts, signed_answer().choices[0].parts);
}

fn stream(events: &[Event]) -> Vec<u8> {
    let mut writer = EventWriter::new(crate::Dialect::OpenAi, &REPLY);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

fn chunks(bytes: &[u8]) -> Vec<Value> {
    String::from_utf8(bytes.to_vec())
        .unwrap()
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect()
}

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let mut reader = EventReader::new(crate::Dialect::OpenAi);
    let mut events = Vec::new();
    for piece in pieces {
        reader.feed(piece, &mut events).unwrap();
    }
    reader.finish(&mut events).unwrap();
    events
}

fn gathered(events: &[Event]) -> Answer {
    let mut gather = Gather::new();
    events.iter().for_each(|event| gather.feed(event));
    assert!(gather.ended());
    gather.into_answer()
}

#[test]
fn a_stream_has_openais_order() {
    let mut events = Vec::new();
    replay(&signed_answer(), &mut events);
    let bytes = stream(&events);
    assert!(bytes.ends_with(b"data: [DONE]\n\n"));
    let chunks = chunks(&bytes);
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(chunks[0]["object"], "chat.completion.chunk");
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(3)));
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
    assert!(chunks.iter().rev().skip(1).all(|chunk| chunk["usage"].is_null() && chunk["id"] == "msg_1"));
}

#[test]
fn interleaved_calls_are_told_apart() {
    let deltas = [
        json!({"role": "assistant", "content": ""}),
        json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}, {"index": 1, "function": {"arguments": "}"}}]}),
    ];
    let mut bytes: Vec<u8> = Vec::new();
    for delta in deltas {
        crate::sse::sse_json(
            &json!({"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
            &mut bytes,
        );
    }
    crate::sse::sse_json(
        &json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "content_filter_results": {"hate": {}}}]}),
        &mut bytes,
    );
    crate::sse::sse_data(b"[DONE]", &mut bytes);
    let events = read(&[&bytes]);
    let answer = gathered(&events);
    let call = |id: &str, name: &str| Part::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: "{}".into(),
        signature: None,
        cache: None,
    };
    assert_eq!(answer.choices[0].parts, [call("a", "f"), call("b", "g")]);
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    assert!(answer.choices[0].rest.contains_key("content_filter_results"));
    for cut in 0..bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), events, "cut at {cut}");
    }
}

#[test]
fn calls_with_one_index_and_many_ids_are_many() {
    let bytes = concat!(
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":{"x":1}}}]},"finish_reason":"stop"}]}"#,
        "\n\n",
    );
    let answer = gathered(&read(&[bytes.as_bytes()]));
    assert_eq!(answer.choices[0].parts.len(), 2);
    assert!(
        matches!(&answer.choices[0].parts[1], Part::ToolCall { arguments, .. } if arguments == "{\"x\":1}")
    );
}

#[test]
fn thoughts_of_all_compatibles_are_read_once() {
    for delta in [
        json!({"reasoning_content": "t"}),
        json!({"reasoning": "t"}),
        json!({"reasoning": "t", "reasoning_content": "t"}),
        json!({"reasoning": "t", "reasoning_details": [{"type": "reasoning.text", "text": "t"}]}),
        json!({"reasoning_content": "t", "thinking_blocks": [{"type": "thinking", "thinking": "t"}]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]}),
    ] {
        let mut bytes = Vec::new();
        crate::sse::sse_json(&json!({"choices": [{"delta": delta}]}), &mut bytes);
        crate::sse::sse_json(
            &json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "length"}]}),
            &mut bytes,
        );
        let answer = gathered(&read(&[&bytes]));
        let expected = [Part::Thinking { text: "t".into(), signature: None, id: None }, Part::text("a")];
        assert_eq!(answer.choices[0].parts, expected, "{delta}");
        assert_eq!(answer.choices[0].finish, Finish::Length);
    }
}

#[test]
fn errors_within_a_stream_end_it_and_half_a_stream_is_a_fault() {
    let events = read(&[b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: ping\n\ndata: {\"error\":{\"message\":\"m\",\"code\":429}}\n\ndata: [DONE]\n\n"]);
    assert!(matches!(events.last(), Some(Event::Error(error)) if error.kind == ErrorKind::RateLimited));
    assert!(events.contains(&Event::Ping));
    let mut reader = Reader::new();
    reader.feed(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    assert!(Reader::new().finish(&mut Vec::new()).is_err());
    assert!(Reader::new().feed(b"data: <html>\n\n", &mut Vec::new()).is_err());
}

#[test]
fn mistrals_words_differ_where_they_do() {
    let mut request = parsed(&tool_loop());
    request.tool_choice = Some(ToolChoice::Required);
    request.messages[1].parts.truncate(2);
    request.messages[1].name = None;
    assert!(request.rest.shift_remove("guided_json").is_some());
    let target = Target { model: "mistral-small", stream: true, max_tokens: 0, drop_unsupported: false };
    let mut out = Vec::new();
    crate::mistral::write_request(&request, &target, &mut out).unwrap();
    let body: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&body["random_seed"], &body["tool_choice"]), (&json!(3), &json!("any")));
    assert_eq!(body.get("stream_options"), None);
    let id = body["messages"][2]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(crate::mistral::is_id(id));
    assert_eq!(body["messages"][3]["tool_call_id"], id);
    assert_eq!(body["messages"][3]["name"], "look");
    assert_eq!(body["messages"][2]["content"][0]["thinking"][0]["text"], "Hm.");
    let back = crate::mistral::parse_request(&out).unwrap();
    assert_eq!(
        (back.seed, back.tool_choice, back.include_usage),
        (Some(3), Some(ToolChoice::Required), true)
    );

    let mut events = Vec::new();
    replay(&signed_answer(), &mut events);
    let mut writer = EventWriter::new(crate::Dialect::Mistral, &REPLY);
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    let chunks = chunks(&out);
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 7);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    let answer = gathered(&read(&[&out]));
    assert_eq!(answer.choices[0].parts[0], signed_answer().choices[0].parts[0]);
    assert_eq!(answer.usage.input, Some(3));
}

fn any_part() -> impl Strategy<Value = Part> {
    let text = "[^\\x00]{0,30}";
    prop_oneof![
        (text, proptest::option::of(Just(json!([{"type": "url_citation"}]))))
            .prop_map(|(text, citations)| Part::Text { text, cache: None, citations }),
        (text, proptest::option::of("[a-z]{1,9}"), proptest::option::of("[a-z]{1,9}"))
            .prop_map(|(text, signature, id)| Part::Thinking { text, signature, id }),
        "[a-z]{0,9}".prop_map(|data| Part::RedactedThinking { data }),
        text.prop_map(|text| Part::Refusal { text }),
        ("[a-z]{1,9}", "[a-z]{1,9}", text, proptest::option::of("[a-z]{1,9}")).prop_map(
            |(id, name, arguments, signature)| Part::ToolCall { id, name, arguments, signature, cache: None }
        ),
        Just(Part::Other { dialect: crate::Dialect::Bedrock, value: json!({"x": 1}) }),
        Just(Part::Image { media: Media::FileId { id: "f".into() }, detail: None, cache: None }),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    proptest::collection::vec(proptest::collection::vec(any_part(), 0..6), 1..3).prop_map(|choices| Answer {
        id: "id".into(),
        model: "m".into(),
        created: Some(1),
        choices: choices
            .into_iter()
            .zip(0..)
            .map(|(parts, index)| Choice {
                index,
                parts,
                finish: Finish::Length,
                native_finish: Some("length".into()),
                stop_text: Some("x".into()),
                logprobs: Some(json!({"content": [{"token": "a"}]})),
                rest: Map::new(),
            })
            .collect(),
        usage: Usage { source: Source::Reported, input: Some(1), output: Some(2), ..Usage::default() },
        rest: Map::new(),
    })
}

proptest! {
    #[test]
    fn replay_and_gather_are_inverse(answer in any_answer()) {
        let mut events = Vec::new();
        replay(&answer, &mut events);
        prop_assert_eq!(gathered(&events), answer);
    }

    #[test]
    fn what_is_streamed_to_a_client_reads_as_the_answer(answer in any_answer(), cut in any::<prop::sample::Index>()) {
        let mut events = Vec::new();
        replay(&answer, &mut events);
        let bytes = stream(&events);
        let read_whole = read(&[&bytes]);
        let cut = cut.index(bytes.len());
        prop_assert_eq!(&read(&[&bytes[..cut], &bytes[cut..]]), &read_whole);
        let again = gathered(&read_whole);
        let words = |answer: &Answer| answer.choices.iter().map(|choice| choice.parts.iter().map(|part| match part {
            Part::Text { text, .. } | Part::Refusal { text } => text.as_str(),
            Part::Thinking { text, .. } => text,
            // No arguments are an empty object on the wire.
            Part::ToolCall { arguments, .. } if arguments.trim().is_empty() => "{}",
            Part::ToolCall { arguments, .. } => arguments.trim_start(),
            Part::RedactedThinking { data } => data,
            _ => "",
        }).collect::<String>()).collect::<Vec<_>>();
        prop_assert_eq!(words(&again), words(&answer));
        prop_assert_eq!(again.usage, answer.usage);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}:,\"a-z0-9]{0,80}") {
        let _ = parse_request(&bytes);
        let _ = parse_answer(json.as_bytes());
        let _ = parse_error(500, json.as_bytes());
        let mut reader = Reader::new();
        let _ = reader.feed(format!("data: {json}\n\n").as_bytes(), &mut Vec::new());
        let _ = reader.finish(&mut Vec::new());
    }
}
