//! Requests.

use tidegate_dialect::Written;
use tidegate_dialect::chat::{Media, Reasoning, ResponseFormat, Tool, ToolChoice};

use super::*;

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
        Part::Thinking { text: "think".into(), signature: Some("tg.o.gAAA".into()), id: Some("rs_1".into()) };
    assert_eq!(
        request.messages[2].parts,
        [thinking, Part::text("calling"), call("call_1", "f", "{\"a\":1}"), call("call_2", "g", "{}")]
    );
    let image = Part::Image { media: Media::FileId { id: "file-2".into() }, detail: None, cache: None };
    // Results are told the names of their tools.
    let named = |part: Part, tool: &str| match part {
        Part::ToolResult { id, parts, is_error, cache, .. } => {
            Part::ToolResult { id, name: Some(tool.to_owned()), parts, is_error, cache }
        }
        other => other,
    };
    assert_eq!(
        request.messages[3].parts,
        [
            named(result("call_1", vec![Part::text("one")]), "f"),
            named(result("call_2", vec![Part::text("two"), image]), "g")
        ]
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
        messages: vec![message(
            Role::Assistant,
            vec![thought(None), thought(Some("tg.o.tok")), thought(Some("Claude's")), Part::text("x")],
        )],
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
    // A thought that is neither kept nor carried, or is another provider's, is of no use to the provider.
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
