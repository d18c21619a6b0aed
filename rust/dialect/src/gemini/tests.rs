//! Conversations, answers and streams there and back.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    Answer, ApiError, ChatRequest, Dialect, ErrorKind, Event, Finish, Media, Message, Part, PartKind,
    Reasoning, Reply, ResponseFormat, Role, Target, Tool, ToolChoice, Usage,
};

fn target(model: &str) -> Target<'_> {
    Target { model, stream: false, max_tokens: 100, drop_unsupported: false }
}

fn reply<'a>() -> Reply<'a> {
    Reply { model: "small", id: "gw-1", created: 7, include_usage: true }
}

fn parse(value: Value) -> ChatRequest {
    parse_request(value.to_string().as_bytes()).unwrap()
}

fn write(request: &ChatRequest, model: &str) -> Value {
    let mut out = Vec::new();
    write_request(request, &target(model), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn rich() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/files/a"}},
            ]},
            {"role": "model", "parts": [
                {"text": "Hm.", "thought": true},
                {"text": "Let me see.", "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "f1", "name": "look", "args": {"at": 1}}, "thoughtSignature": "Y2Fs"},
                {"functionCall": {"id": "f2", "name": "look", "args": {"at": 2}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "f1", "name": "look", "response": {"output": "a cat"}}},
                {"functionResponse": {"id": "f2", "name": "look", "response": {"error": "too dark"}}},
            ]},
            {"role": "user", "parts": [{"text": "And?"}]},
            {"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "A cat."}]},
            {"role": "user", "parts": [{"text": "Thanks."}]},
        ],
        "tools": [
            {"functionDeclarations": [
                {"name": "look", "description": "Looks.", "parameters": {"type": "OBJECT", "properties": {"at": {"type": "INTEGER"}}}},
                {"name": "wide", "parametersJsonSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}},
                {"name": "bare"},
            ]},
            {"googleSearch": {}},
            {"codeExecution": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look", "wide"]}, "retrievalConfig": {"languageCode": "en"}},
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40, "candidateCount": 2, "maxOutputTokens": 64, "stopSequences": ["END"],
            "seed": 7, "presencePenalty": 0.1, "frequencyPenalty": 0.2, "responseLogprobs": true, "logprobs": 3,
            "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "thinkingConfig": {"thinkingBudget": 256, "includeThoughts": true},
            "responseModalities": ["TEXT"],
        },
        "serviceTier": "flex",
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/x",
        "labels": {"team": "a"},
    })
}

#[test]
fn a_rich_request_comes_back_as_it_was() {
    let request = parse(rich());
    assert_eq!(write(&request, "gemini-2.5-flash"), rich());
    assert_eq!(parse(write(&request, "gemini-2.5-flash")), request);
}

#[test]
fn a_rich_request_is_understood() {
    let request = parse(rich());
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    use Role::{Assistant, System, Tool as Results, User};
    assert_eq!(roles, [System, User, Assistant, Results, User, Assistant, User]);
    assert_eq!(
        request.messages[2].parts[1],
        Part::Thinking { text: String::new(), signature: Some("tg.g.c2ln".into()), id: None }
    );
    assert!(
        matches!(&request.messages[2].parts[3], Part::ToolCall { id, arguments, signature: Some(sign), .. }
        if id == "f1" && arguments == r#"{"at":1}"# && sign == "Y2Fs")
    );
    assert!(matches!(&request.messages[3].parts[1], Part::ToolResult { is_error: true, .. }));
    assert_eq!(
        request.tool_choice,
        Some(ToolChoice::Allowed { names: vec!["look".into(), "wide".into()], required: true })
    );
    assert_eq!((request.n, request.top_k, request.max_tokens), (Some(2), Some(40), Some(64)));
    assert!(
        matches!(&request.response_format, Some(ResponseFormat::Schema { schema, .. }) if schema["type"] == "object")
    );
    assert_eq!(
        request.reasoning,
        Some(Reasoning { budget: Some(256), include: Some(true), ..Reasoning::default() })
    );
    assert!(matches!(request.tools.last(), Some(Tool::Native { dialect: Dialect::Gemini, .. })));
}

#[test]
fn snake_case_and_lone_elements_are_taken_too() {
    let request = parse(json!({
        "system_instruction": {"parts": {"text": "s"}},
        "contents": {"parts": [{"inline_data": {"mime_type": "image/jpeg", "data": "_-8"}}, {"text": "t"}]},
        "tools": [{"function_declarations": [{"name": "a_b", "parameters": {"type": "OBJECT", "properties": {"snake_name": {"type": "STRING"}}}}]}, {"google_search": {}}],
        "tool_config": {"function_calling_config": {"mode": "any"}},
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_level": "HIGH"}},
        "safety_settings": [],
    }));
    assert_eq!(request.messages[0].parts, [Part::text("s")]);
    assert!(
        matches!(&request.messages[1].parts[0], Part::Image { media: Media::Base64 { data, .. }, .. } if data == "/+8=")
    );
    assert!(
        matches!(&request.tools[0], Tool::Function { name, parameters: Some(schema), .. } if name == "a_b" && schema["properties"]["snake_name"]["type"] == "string")
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Required));
    assert_eq!(request.max_tokens, Some(5));
    assert_eq!(request.reasoning.unwrap().effort.as_deref(), Some("high"));
    assert!(request.rest.contains_key("safetySettings"));
}

#[test]
fn calls_without_ids_get_some_and_their_results_find_them() {
    let call = |name: &str| json!({"functionCall": {"name": name, "args": {}}});
    let result = |name: &str| json!({"functionResponse": {"name": name, "response": {"v": 1}}});
    let request = parse(json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [call("a"), call("b"), call("a")]},
        {"role": "function", "parts": [result("b"), result("a"), result("a"), {"text": "more"}]},
    ]}));
    let ids = |message: &Message| -> Vec<String> {
        message
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolCall { id, .. } | Part::ToolResult { id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(ids(&request.messages[1]), ["call_1_0", "call_1_1", "call_1_2"]);
    assert_eq!(ids(&request.messages[2]), ["call_1_1", "call_1_0", "call_1_2"]);
    assert_eq!(request.messages[3].role, Role::User);
    let written = write(&request, "gemini-2.5-pro");
    assert_eq!(written["contents"][2]["parts"][0]["functionResponse"]["response"], json!({"v": 1}));
    assert_eq!(parse(written), request);
}

#[test]
fn results_of_other_dialects_get_the_name_of_their_call_and_go_together() {
    let message = |role, parts| Message { role, parts, name: None, rest: Map::new() };
    let call = |id: &str, name: &str| Part::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: String::new(),
        signature: None,
        cache: None,
    };
    let result =
        |id: &str, parts| Part::ToolResult { id: id.into(), name: None, parts, is_error: false, cache: None };
    let picture = Part::Image {
        media: Media::Base64 { media_type: String::new(), data: "iVBORw0KGgo=".into() },
        detail: None,
        cache: None,
    };
    let request = ChatRequest {
        messages: vec![
            message(Role::User, vec![Part::text("go")]),
            message(Role::Assistant, vec![Part::text("well")]),
            message(Role::Assistant, vec![call("x", "a"), call("y", "b")]),
            message(Role::Tool, vec![result("y", vec![Part::text("1"), Part::text("2"), picture])]),
            message(Role::Tool, vec![result("x", vec![])]),
            message(Role::Developer, vec![Part::text("late")]),
        ],
        ..ChatRequest::default()
    };
    let written = write(&request, "gemini-3-pro");
    assert_eq!(written["systemInstruction"]["parts"][0]["text"], "late");
    assert_eq!(written["contents"].as_array().unwrap().len(), 3);
    let model = &written["contents"][1]["parts"];
    assert_eq!(model[1]["thoughtSignature"], "skip_thought_signature_validator");
    assert!(model[2].get("thoughtSignature").is_none());
    let results = &written["contents"][2]["parts"];
    assert_eq!(results[0]["functionResponse"]["name"], "b");
    assert_eq!(results[0]["functionResponse"]["response"], json!({"output": "1\n2"}));
    assert_eq!(results[0]["functionResponse"]["parts"][0]["inlineData"]["mimeType"], "image/png");
    assert_eq!(results[1]["functionResponse"]["name"], "a");

    let orphan = ChatRequest {
        messages: vec![message(Role::Tool, vec![result("z", vec![])])],
        ..ChatRequest::default()
    };
    let fault = write_request(&orphan, &target("m"), &mut Vec::new()).unwrap_err();
    assert_eq!(fault.path, "messages[0].content[0]");
}

#[test]
fn what_gemini_can_not_do_is_refused_or_left_out_by_name() {
    let request = ChatRequest {
        logit_bias: Some(json!({"1": 2})),
        parallel_tool_calls: Some(false),
        tools: vec![
            Tool::Function {
                name: "f".into(),
                description: None,
                parameters: None,
                strict: Some(true),
                cache: None,
            },
            Tool::Native { dialect: Dialect::OpenAi, value: json!({}) },
        ],
        user: Some("u".into()),
        rest: Map::from_iter([("prediction".to_owned(), json!(1))]),
        ..ChatRequest::default()
    };
    assert_eq!(write_request(&request, &target("m"), &mut Vec::new()).unwrap_err().path, "logit_bias");
    let lenient = Target { drop_unsupported: true, ..target("m") };
    let mut out = Vec::new();
    let written = write_request(&request, &lenient, &mut out).unwrap();
    assert_eq!(written.dropped, ["logit_bias", "parallel_tool_calls", "user", "tools[1]", "prediction"]);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
}

#[test]
fn thinking_goes_by_level_or_budget_as_the_model_knows_it() {
    let thinking = |reasoning: Reasoning, model: &str| {
        let request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::default() };
        write(&request, model)["generationConfig"]["thinkingConfig"].clone()
    };
    let effort = |word: &str| Reasoning { effort: Some(word.into()), ..Reasoning::default() };
    assert_eq!(thinking(effort("medium"), "gemini-2.5-pro"), json!({"thinkingBudget": 8192}));
    assert_eq!(thinking(effort("medium"), "gemini-3-flash"), json!({"thinkingLevel": "MEDIUM"}));
    assert_eq!(thinking(effort("none"), "gemini-2.5-flash"), json!({"thinkingBudget": 0}));
    let anthropic = Reasoning { enabled: Some(true), budget: Some(2000), ..Reasoning::default() };
    assert_eq!(thinking(anthropic, "gemini-3-pro"), json!({"thinkingBudget": 2000, "includeThoughts": true}));
    let both = Reasoning { budget: Some(9), ..effort("low") };
    assert_eq!(thinking(both, "gemini-3-pro"), json!({"thinkingLevel": "LOW"}));
}

#[test]
fn odd_requests_are_faults_that_say_where() {
    for (body, path) in [
        (r#"{"contents": 5}"#, "contents"),
        (r#"{"contents": [{"role": "bot"}]}"#, "contents[0].role"),
        (r#"{"contents": [{"parts": [{"text": 5}]}]}"#, "contents[0].parts[0].text"),
        (r#"{"contents": [{"parts": [{"functionCall": {}}]}]}"#, "contents[0].parts[0].functionCall.name"),
        (r#"{"generationConfig": {"temperature": "hot"}}"#, "generationConfig.temperature"),
        (
            r#"{"toolConfig": {"functionCallingConfig": {"mode": "X"}}}"#,
            "toolConfig.functionCallingConfig.mode",
        ),
        (r#"[]"#, ""),
        ("{\"contents\": \"\u{0}", ""),
    ] {
        assert_eq!(parse_request(body.as_bytes()).unwrap_err().path, path, "{body}");
    }
}

fn rich_answer() -> Value {
    json!({
        "candidates": [
            {"content": {"parts": [
                {"text": "thinking", "thought": true, "thoughtSignature": "dA=="},
                {"text": "Hi", "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "f", "name": "look", "args": {"at": 1}}, "thoughtSignature": "Y2Fs"},
            ], "role": "model"}, "finishReason": "STOP", "index": 0,
             "logprobsResult": {"chosenCandidates": [{"token": "Hi", "logProbability": -0.5}], "topCandidates": [{"candidates": [{"token": "Ho", "logProbability": -1.5}]}]},
             "citationMetadata": {"citations": [{"uri": "https://x"}]}, "safetyRatings": [{"category": "C", "probability": "LOW"}]},
            {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}], "role": "model"}, "finishReason": "RECITATION", "index": 1},
        ],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 17, "cachedContentTokenCount": 2, "thoughtsTokenCount": 3},
        "modelVersion": "small",
        "responseId": "r1",
    })
}

#[test]
fn a_rich_answer_comes_back_as_it_was() {
    let answer = parse_answer(rich_answer().to_string().as_bytes()).unwrap();
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    assert_eq!(answer.choices[1].finish, Finish::ContentFilter);
    assert_eq!(answer.choices[1].native_finish.as_deref(), Some("RECITATION"));
    assert_eq!(answer.usage.output_total(), Some(7));
    let mut out = Vec::new();
    write_answer(&answer, &reply(), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), rich_answer());
}

#[test]
fn a_blocked_prompt_is_a_filtered_choice_and_is_told_as_it_was() {
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 0, "totalTokenCount": 4}, "modelVersion": "small", "responseId": "r"});
    let answer = parse_answer(blocked.to_string().as_bytes()).unwrap();
    assert_eq!((answer.choices.len(), answer.choices[0].finish), (1, Finish::ContentFilter));
    let mut out = Vec::new();
    write_answer(&answer, &reply(), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), blocked);

    let stream = format!("data: {blocked}\n\n");
    let events = read(&[stream.as_bytes()]);
    assert!(
        matches!(&events[2], Event::Finish { finish: Finish::ContentFilter, native: Some(word), .. } if word == "PROHIBITED_CONTENT")
    );
    let written = write_events(&events, Writer::new(&reply()));
    let data = written.strip_prefix("data: ").unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), blocked);
    assert!(parse_answer(b"{}").is_err());
}

#[test]
fn a_made_id_is_the_same_in_the_answer_and_in_its_stream() {
    let chunk = json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "look"}}]}, "finishReason": "STOP"}], "responseId": "r9"});
    let answer = parse_answer(chunk.to_string().as_bytes()).unwrap();
    let Part::ToolCall { id, arguments, .. } = &answer.choices[0].parts[0] else { panic!() };
    assert_eq!(arguments, "{}");
    let events = read(&[format!("data: {chunk}\n\n").as_bytes()]);
    assert!(
        matches!(&events[1], Event::Open { kind: PartKind::ToolCall { id: streamed, .. }, .. } if streamed == id)
    );
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

fn stream() -> Vec<Value> {
    let chunk = |part: Value| json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}], "modelVersion": "m-1", "responseId": "r1"});
    vec![
        chunk(json!({"text": "Hm, \"é\" {", "thought": true})),
        chunk(json!({"text": "Hel"})),
        chunk(json!({"text": "lo ]}"})),
        chunk(json!({"text": "", "thoughtSignature": "c2ln"})),
        chunk(
            json!({"functionCall": {"id": "1", "name": "a", "args": {"x": "}"}}, "thoughtSignature": "Y2Fs"}),
        ),
        chunk(json!({"functionCall": {"id": "2", "name": "b", "args": {}}})),
        json!({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0, "groundingMetadata": {"a": 1}}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6, "totalTokenCount": 11}, "modelVersion": "m-1", "responseId": "r1"}),
    ]
}

#[test]
fn both_forms_of_a_stream_cut_anywhere_give_the_same_events() {
    let sse: String = stream().iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    let array = serde_json::to_string_pretty(&stream()).unwrap();
    let whole = read(&[sse.as_bytes()]);
    assert_eq!(read(&[array.as_bytes()]), whole);
    for text in [&sse, &array] {
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    }
    assert!(matches!(&whole[0], Event::Start { id, model, .. } if id == "r1" && model == "m-1"));
    let words: String = whole
        .iter()
        .filter_map(|event| match event {
            Event::Delta { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(words, "Hm, \"é\" {Hello ]}{\"x\":\"}\"}{}");
    assert_eq!(whole.iter().filter(|event| matches!(event, Event::Signature { .. })).count(), 2);
    assert!(
        matches!(&whole[whole.len() - 2], Event::Finish { finish: Finish::ToolCalls, rest, .. } if rest.contains_key("groundingMetadata"))
    );
    assert_eq!(whole.last(), Some(&Event::End));
}

#[test]
fn a_stream_without_its_end_is_a_fault() {
    let cut = |chunks: &[Value]| {
        let mut reader = Reader::new();
        let text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        reader.feed(text.as_bytes(), &mut Vec::new()).unwrap();
        reader.finish(&mut Vec::new())
    };
    assert!(cut(&[]).is_err());
    assert!(cut(&stream()[..6]).is_err());
    assert!(cut(&stream()).is_ok());
    let mut reader = Reader::new();
    reader.feed(b"[{\"candidates\": [", &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    assert!(Reader::new().feed(b"data: <html>\n\n", &mut Vec::new()).is_err());
    assert!(Reader::new().feed(b"{}x", &mut Vec::new()).is_err());
}

#[test]
fn an_error_within_a_stream_ends_it_and_is_told_in_either_form() {
    let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let events = read(&[format!("data: {}\n\ndata: {error}\n\n", stream()[0]).as_bytes()]);
    assert!(
        matches!(events.last(), Some(Event::Error(error)) if error.kind == ErrorKind::Overloaded && error.status == 503)
    );
    let told = [Event::Error(ApiError::new(0, ErrorKind::Timeout, "stalled"))];
    let text = write_events(&told, Writer::new(&reply()));
    assert_eq!(
        text,
        "data: {\"error\":{\"code\":504,\"message\":\"stalled\",\"status\":\"DEADLINE_EXCEEDED\"}}\n\n"
    );
    let mut long = events.clone();
    long.pop();
    long.extend(told);
    let array: Vec<Value> = serde_json::from_str(&write_events(&long, Writer::array(&reply()))).unwrap();
    assert_eq!(array[1]["error"]["code"], 504);
}

#[test]
fn a_stream_of_events_becomes_an_array_where_the_client_wants_one() {
    let events = read(&[serde_json::to_string(&stream()).unwrap().as_bytes()]);
    let array: Vec<Value> = serde_json::from_str(&write_events(&events, Writer::array(&reply()))).unwrap();
    assert_eq!(array.len(), 7);
    assert_eq!(array[6]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(array[6]["usageMetadata"]["totalTokenCount"], 11);
    assert_eq!(write_events(&[Event::End], Writer::array(&reply())).chars().next(), Some('['));
}

#[test]
fn counts_and_lists_of_models_are_written() {
    let mut out = Vec::new();
    write_count(31, None, &mut out);
    assert_eq!(parse_count(&out).unwrap(), 31);
    out.clear();
    write_models(["a", "b"], &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["models"][1]["name"], "models/b");
    let wrapped =
        json!({"generateContentRequest": {"model": "models/m", "contents": [{"parts": [{"text": "a"}]}]}});
    assert_eq!(parse(wrapped).messages.len(), 1);
}

/// A part of a stream that Gemini can tell: its kind and what comes in it.
#[derive(Debug, Clone)]
enum Told {
    Text(Vec<String>),
    Thinking(Vec<String>, Option<String>),
    Sign(String),
    Call(String, String, Option<String>),
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    let words = || proptest::collection::vec("[a-zé\"\\n{}]{1,6}", 1..4);
    let sign = || proptest::option::of("[A-Za-z0-9]{4}");
    proptest::collection::vec(
        prop_oneof![
            words().prop_map(Told::Text),
            (words(), sign()).prop_map(|(words, sign)| Told::Thinking(words, sign)),
            "[A-Za-z0-9]{4}".prop_map(Told::Sign),
            ("[a-z]{1,5}", "[a-z]{0,5}", sign())
                .prop_map(|(name, value, sign)| { Told::Call(name, json!({"v": value}).to_string(), sign) }),
        ],
        0..8,
    )
}

fn events_of(told: &[Told]) -> Vec<Event> {
    let mut events = vec![Event::Start { id: "r".into(), model: "small".into(), created: None }];
    let mut part = 0;
    let mut before: Option<&Told> = None;
    let mut has_call = false;
    for one in told {
        // Words behind words of the same sort are one part on this wire.
        let merges = matches!(
            (before, one),
            (Some(Told::Text(_)), Told::Text(_)) | (Some(Told::Thinking(_, None)), Told::Thinking(..))
        );
        if merges {
            continue;
        }
        before = Some(one);
        let (kind, words, sign) = match one {
            Told::Text(words) => (PartKind::Text, words.clone(), None),
            Told::Thinking(words, sign) => (PartKind::Thinking { id: None }, words.clone(), sign.clone()),
            Told::Sign(sign) => (PartKind::Thinking { id: None }, vec![], Some(sign.clone())),
            Told::Call(name, arguments, sign) => {
                has_call = true;
                let id = format!("id{part}");
                (PartKind::ToolCall { id, name: name.clone() }, vec![arguments.clone()], sign.clone())
            }
        };
        events.push(Event::Open { choice: 0, part, kind });
        let words = words.into_iter().map(|text| Event::Delta { choice: 0, part, text });
        let sign = sign.map(|signature| Event::Signature { choice: 0, part, signature });
        if matches!(one, Told::Call(..)) {
            events.extend(sign);
            events.extend(words);
        } else {
            events.extend(words);
            events.extend(sign);
        }
        events.push(Event::Close { choice: 0, part });
        part += 1;
    }
    // The last part is closed when the connection ends, behind the usage of the last chunk.
    let last = match before {
        Some(Told::Text(_) | Told::Thinking(_, None)) => events.pop(),
        _ => None,
    };
    events.push(Event::Usage(Usage {
        source: crate::Source::Reported,
        input: Some(3),
        output: Some(4),
        ..Usage::default()
    }));
    events.extend(last);
    events.push(Event::Finish {
        choice: 0,
        finish: if has_call { Finish::ToolCalls } else { Finish::Stop },
        native: Some("STOP".into()),
        stop_text: None,
        rest: Map::new(),
    });
    events.push(Event::End);
    events
}

proptest! {
    #[test]
    fn what_the_writer_tells_the_reader_understands(told in told(), array in any::<bool>(), cut in 0usize..400) {
        let events = events_of(&told);
        let writer = if array { Writer::array(&reply()) } else { Writer::new(&reply()) };
        let text = write_events(&events, writer);
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

#[test]
fn an_answer_of_no_words_is_one_with_an_empty_list() {
    let mut out = Vec::new();
    let answer = Answer { choices: vec![], ..Answer::default() };
    write_answer(&answer, &reply(), &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["responseId"], "gw-1");
}
