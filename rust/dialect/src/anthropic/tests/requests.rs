//! Requests and answers, read, written and read again.

use serde_json::{Value, json};

use crate::anthropic::{
    parse_answer, parse_error, parse_request, write_answer, write_count, write_count_request, write_error,
    write_request,
};
use crate::error::FaultKind;
use crate::{
    Answer, ApiError, ChatRequest, Choice, Dialect, ErrorKind, Finish, Media, Message, Part, Reasoning,
    Reply, ResponseFormat, Role, Source, Target, Tool, ToolChoice, Usage, Written,
};

const TARGET: Target<'_> =
    Target { model: "claude-opus-4-8", stream: false, max_tokens: 4096, drop_unsupported: false };
const DROPPING: Target<'_> = Target { drop_unsupported: true, ..TARGET };
const REPLY: Reply<'_> = Reply { model: "small", id: "req_1", created: 7, include_usage: true };

fn parse(value: &Value) -> ChatRequest {
    parse_request(value.to_string().as_bytes()).unwrap()
}

fn write(request: &ChatRequest, target: &Target<'_>) -> (Value, Written) {
    let mut out = b"before ".to_vec();
    let written = write_request(request, target, &mut out).unwrap();
    (serde_json::from_slice(&out[7..]).unwrap(), written)
}

fn said(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None, rest: Default::default() }
}

fn ask(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { model: "m".into(), messages, dialect: Some(Dialect::OpenAi), ..ChatRequest::default() }
}

fn call(id: &str) -> Part {
    Part::ToolCall {
        id: id.into(),
        name: "look".into(),
        arguments: "{\"q\":1.50}".into(),
        signature: None,
        cache: None,
    }
}

fn result(id: &str, text: &str) -> Part {
    Part::ToolResult {
        id: id.into(),
        name: None,
        parts: vec![Part::text(text)],
        is_error: false,
        cache: None,
    }
}

/// A conversation with everything in it.
fn rich() -> Value {
    json!({
        "model": "claude-opus-4-8",
        "max_tokens": 9000,
        "system": [
            {"type": "text", "text": "Be brief."},
            {"type": "text", "text": "A long manual.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is in these?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}, "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "https://pictures.test/a.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "T", "context": "C", "citations": {"enabled": true}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "piece"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "found"}]}
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Let me look.", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "Eo8B"},
                {"type": "text", "text": "Looking.", "citations": [{"type": "char_location", "cited_text": "w", "document_index": 0, "document_title": null, "start_char_index": 0, "end_char_index": 1}]},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"b": 1, "a": [2.5, null]}},
                {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a cat", "is_error": true},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [
                    {"type": "text", "text": "a dog"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}}
                ], "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "Go on."}
            ]}
        ],
        "tools": [
            {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "temperature": 1.0,
        "top_k": 5,
        "stop_sequences": ["END"],
        "service_tier": "standard_only",
        "metadata": {"user_id": "u1"},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "container": {"id": "c1"},
        "mcp_servers": [{"type": "url", "url": "https://mcp.test", "name": "x"}],
        "not_known_yet": 1,
        "stream": true
    })
}

#[test]
fn a_rich_conversation_means_the_same_when_it_is_read_and_written() {
    let first = parse(&rich());
    let target = Target { stream: true, ..TARGET };
    let (body, written) = write(&first, &target);
    assert_eq!(written, Written::default());
    assert_eq!(body, rich());
    assert_eq!(parse(&body), first);
}

#[test]
fn blocks_become_the_parts_that_they_are() {
    let request = parse(&rich());
    assert_eq!(request.user.as_deref(), Some("u1"));
    assert_eq!(request.parallel_tool_calls, Some(false));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool, Role::User]);
    let assistant = &request.messages[2].parts;
    assert_eq!(
        assistant[0],
        Part::Thinking { text: "Let me look.".into(), signature: Some("EqQB".into()), id: None }
    );
    assert!(matches!(&assistant[3], Part::Other { dialect: Dialect::Anthropic, .. }));
    assert!(
        matches!(&assistant[5], Part::ToolCall { arguments, .. } if arguments == r#"{"b":1,"a":[2.5,null]}"#)
    );
    assert!(matches!(&request.tools[1], Tool::Native { dialect: Dialect::Anthropic, .. }));
    assert!(matches!(
        &request.messages[1].parts[1],
        Part::Image { cache: Some(_), media: Media::Base64 { .. }, .. }
    ));
    assert!(matches!(&request.messages[1].parts[4], Part::File { name: Some(name), .. } if name == "T"));
}

#[test]
fn results_of_one_turn_stand_together_and_first_and_turns_of_one_role_become_one() {
    let request = ask(vec![
        said(Role::System, vec![Part::text("one")]),
        said(Role::User, vec![Part::text("hi")]),
        said(Role::User, vec![Part::text("there")]),
        said(Role::Assistant, vec![call("a"), call("b.c")]),
        said(Role::User, vec![Part::text("wait")]),
        said(Role::Tool, vec![result("a", "1")]),
        said(Role::Tool, vec![result("b.c", "2")]),
        said(Role::Developer, vec![Part::text("two")]),
    ]);
    let (body, _) = write(&request, &TARGET);
    assert_eq!(body["system"], json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]));
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(
        messages[0]["content"],
        json!([{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}])
    );
    let turn = &messages[2]["content"];
    assert_eq!(turn[0]["tool_use_id"], "a");
    assert_eq!(
        turn[1]["tool_use_id"], messages[1]["content"][1]["id"],
        "the respelled id is the same in both"
    );
    assert_eq!(turn[2]["text"], "wait");
    assert_eq!(messages[1]["content"][0]["input"], json!({"q": 1.5}));
}

#[test]
fn an_instruction_in_the_middle_stays_there_for_clients_of_this_dialect() {
    let body = json!({"model": "m", "max_tokens": 4096, "system": "s", "messages": [
        {"role": "user", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}]});
    let (written, _) = write(&parse(&body), &TARGET);
    assert_eq!(written["messages"], body["messages"]);
}

#[test]
fn what_the_api_refuses_is_left_out() {
    let unsigned = Part::Thinking { text: "hm".into(), signature: None, id: None };
    let foreign =
        Part::Thinking { text: "hm".into(), signature: Some("tg.o.gAAA".into()), id: Some("rs_1".into()) };
    let signed = Part::Thinking { text: "hm".into(), signature: Some("s".into()), id: None };
    let request = ask(vec![
        said(Role::User, vec![Part::text(""), Part::text("hi")]),
        said(Role::Assistant, vec![unsigned, foreign, Part::text("so"), signed]),
        said(Role::User, vec![Part::text("")]),
        said(Role::Assistant, vec![Part::text("It is "), Part::text(" \n")]),
    ]);
    let (body, _) = write(&request, &TARGET);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "so"},
                {"type": "text", "text": "It is"}
            ]}
        ])
    );
}

#[test]
fn what_it_can_not_do_is_refused_by_name_or_dropped_by_name() {
    let mut request = ask(vec![said(
        Role::User,
        vec![
            Part::text("hi"),
            Part::Audio { media: Media::Base64 { media_type: "audio/wav".into(), data: String::new() } },
        ],
    )]);
    request.seed = Some(1);
    request.n = Some(1);
    request.temperature = Some(1.7);
    request.rest.insert("modalities".into(), json!(["text"]));
    request.rest.insert("store".into(), json!(true));
    request.rest.insert("prediction".into(), Value::Null);
    request.rest.insert("prompt_cache_key".into(), json!("k"));
    let fault = write_request(&request, &TARGET, &mut Vec::new()).unwrap_err();
    assert_eq!((fault.kind, fault.path.as_str()), (FaultKind::Unsupported, "messages[0].audio"));
    let (body, written) = write(&request, &DROPPING);
    assert_eq!(written.dropped, ["messages[0].audio", "temperature", "seed", "modalities"]);
    assert_eq!(body["temperature"], 1);
    assert!(body.get("store").is_none());
}

#[test]
fn a_refused_request_leaves_nothing_behind() {
    let mut request = ask(vec![said(Role::User, vec![Part::text("hi")])]);
    request.seed = Some(1);
    let mut out = b"kept".to_vec();
    assert!(write_request(&request, &TARGET, &mut out).is_err());
    assert_eq!(out, b"kept");
    assert!(
        write_request(&ask(vec![said(Role::System, vec![Part::text("hi")])]), &TARGET, &mut out).is_err()
    );
    let broken = Part::ToolCall {
        id: "a".into(),
        name: "b".into(),
        arguments: "{\"a\":".into(),
        signature: None,
        cache: None,
    };
    let fault =
        write_request(&ask(vec![said(Role::Assistant, vec![broken])]), &TARGET, &mut out).unwrap_err();
    assert_eq!(fault.path, "messages[0].tool_calls.arguments");
}

#[test]
fn every_choice_of_tools_has_its_word() {
    let mut request = ask(vec![said(Role::User, vec![Part::text("hi")])]);
    let tool = |name: &str| Tool::Function {
        name: name.into(),
        description: None,
        parameters: None,
        strict: None,
        cache: None,
    };
    request.parallel_tool_calls = Some(false);
    request.tool_choice = Some(ToolChoice::Required);
    assert!(write(&request, &TARGET).0.get("tool_choice").is_none(), "no choice without tools");
    request.tools = vec![tool("a"), tool("b")];
    let mut choice = |choice: Option<ToolChoice>| {
        request.tool_choice = choice;
        write(&request, &TARGET).0
    };
    assert_eq!(choice(None)["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(choice(Some(ToolChoice::None))["tool_choice"], json!({"type": "none"}));
    assert_eq!(
        choice(Some(ToolChoice::Required))["tool_choice"],
        json!({"type": "any", "disable_parallel_tool_use": true})
    );
    assert_eq!(choice(Some(ToolChoice::Named("b".into())))["tool_choice"]["name"], "b");
    let one = choice(Some(ToolChoice::Allowed { names: vec!["b".into()], required: true }));
    assert_eq!(one["tools"], json!([{"name": "b", "input_schema": {"type": "object", "properties": {}}}]));
    assert_eq!(one["tool_choice"]["type"], "any");
}

#[test]
fn schemas_are_native_and_any_json_is_asked_for_in_words() {
    let mut request = ask(vec![said(Role::User, vec![Part::text("hi")])]);
    request.response_format = Some(ResponseFormat::Schema {
        name: "n".into(),
        description: None,
        schema: json!({"type": "object"}),
        strict: None,
    });
    assert_eq!(
        write(&request, &TARGET).0["output_config"],
        json!({"format": {"type": "json_schema", "schema": {"type": "object"}}})
    );
    request.response_format = Some(ResponseFormat::Json);
    assert!(write(&request, &TARGET).0["system"][0]["text"].as_str().unwrap().contains("JSON object"));
}

#[test]
fn efforts_and_budgets_are_told_in_the_model_s_words() {
    let mut request = ask(vec![said(Role::User, vec![Part::text("hi")])]);
    request.reasoning = Some(Reasoning { effort: Some("low".into()), ..Reasoning::default() });
    request.temperature = Some(0.5);
    assert!(write_request(&request, &TARGET, &mut Vec::new()).is_err(), "no temperature while it thinks");
    request.temperature = None;
    let (body, _) = write(&request, &TARGET);
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (&json!({"type": "adaptive"}), &json!({"effort": "low"}))
    );
    let (body, _) = write(&request, &Target { model: "claude-sonnet-4-5", ..TARGET });
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 2048}));
    assert_eq!(body["max_tokens"], 4096 + 2048);
}

#[test]
fn a_sort_of_thinking_without_a_word_passes_untouched() {
    let body = json!({"model": "claude-opus-4-8", "max_tokens": 10, "messages": [{"role": "user", "content": "a"}], "thinking": {"type": "between_tools"}});
    assert_eq!(write(&parse(&body), &TARGET).0, body);
}

#[test]
fn documents_of_text_and_pictures_in_files_find_their_block() {
    let file = |media_type: &str, data: &str| Part::File {
        media: Media::Base64 { media_type: media_type.into(), data: data.into() },
        name: Some("f".into()),
        cache: None,
        rest: Default::default(),
    };
    let request = ask(vec![said(
        Role::User,
        vec![file("text/csv", "YSxi"), file("image/jpg", "/9j/"), file("application/pdf", "JVBE")],
    )]);
    let (body, _) = write(&request, &TARGET);
    let content = &body["messages"][0]["content"];
    assert_eq!(content[0]["source"], json!({"type": "text", "media_type": "text/plain", "data": "a,b"}));
    assert_eq!(content[1]["source"]["media_type"], "image/jpeg");
    assert_eq!(content[2]["title"], "f");
    let zip = ask(vec![said(Role::User, vec![file("application/zip", "AAAA")])]);
    assert!(write_request(&zip, &TARGET, &mut Vec::new()).is_err());
}

#[test]
fn a_count_asks_with_the_conversation_alone() {
    let mut out = Vec::new();
    write_count_request(&parse(&rich()), &TARGET, &mut out).unwrap();
    let body: Value = serde_json::from_slice(&out).unwrap();
    let keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["model", "system", "messages", "tools", "tool_choice", "thinking", "output_config", "mcp_servers"]
    );
    let mut out = Vec::new();
    write_count(12, &mut out);
    assert_eq!(out, br#"{"input_tokens":12}"#);
}

#[test]
fn wrong_requests_say_where() {
    let path = |value: Value| parse_request(value.to_string().as_bytes()).unwrap_err().path;
    assert_eq!(path(json!({"model": "m"})), "messages");
    assert_eq!(path(json!({"messages": [{"role": "king", "content": ""}]})), "messages[0].role");
    assert_eq!(
        path(json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]})),
        "messages[0].content[0].text"
    );
    assert_eq!(path(json!({"messages": [{"role": "user"}]})), "messages[0].content");
    assert_eq!(path(json!({"messages": [], "tools": [{"name": "x"}]})), "tools[0].input_schema");
    assert_eq!(path(json!({"messages": [], "tool_choice": {"type": "x"}})), "tool_choice.type");
    assert_eq!(path(json!({"messages": [], "thinking": {}})), "thinking.type");
    assert!(parse_request(b"{").is_err());
}

#[test]
fn an_answer_is_read_with_disjoint_buckets_and_written_as_it_was() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "small",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "hello", "citations": [{"type": "page_location"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}},
            {"type": "web_search_tool_result", "tool_use_id": "x", "content": []}
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
            "cache_read_input_tokens": 100, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}}
    });
    let answer = parse_answer(body.to_string().as_bytes()).unwrap();
    assert_eq!(
        answer.usage,
        Usage {
            source: Source::Reported,
            input: Some(10),
            cache_read: Some(100),
            cache_write_5m: Some(3),
            cache_write_1h: Some(4),
            output: Some(30),
            reasoning: Some(20),
            ..Usage::default()
        }
    );
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    let mut out = Vec::new();
    write_answer(&answer, &REPLY, &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), body);
}

#[test]
fn usage_that_nobody_knows_is_none_when_read_and_zero_for_the_sdk() {
    let answer = parse_answer(br#"{"content":[],"stop_reason":"end_turn"}"#).unwrap();
    assert_eq!(answer.usage, Usage::default());
    let mut out = Vec::new();
    write_answer(&answer, &REPLY, &mut out);
    let body: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["usage"], json!({"input_tokens": 0, "output_tokens": 0}));
    assert_eq!(body["id"], "req_1");
}

#[test]
fn signatures_of_other_providers_come_back_with_the_next_turn() {
    let call = Part::ToolCall {
        id: "call_1".into(),
        name: "f".into(),
        arguments: String::new(),
        signature: Some("sig==".into()),
        cache: None,
    };
    let thought = Part::Thinking { text: "t".into(), signature: Some("gAA".into()), id: Some("rs_1".into()) };
    let answer = Answer {
        choices: vec![Choice {
            index: 0,
            parts: vec![thought.clone(), call.clone()],
            finish: Finish::ToolCalls,
            native_finish: Some("STOP".into()),
            stop_text: None,
            logprobs: None,
            rest: Default::default(),
        }],
        ..Answer::default()
    };
    let mut out = Vec::new();
    write_answer(&answer, &REPLY, &mut out);
    let body: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["stop_reason"], "tool_use");
    let id = &body["content"][1]["id"];
    let next = parse(&json!({"messages": [
        {"role": "assistant", "content": body["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "1"}]}
    ]}));
    assert_eq!(next.messages[0].parts[0], thought);
    assert!(
        matches!(&next.messages[0].parts[1], Part::ToolCall { id, signature: Some(s), .. } if id == "call_1" && s == "sig==")
    );
    assert!(matches!(&next.messages[1].parts[0], Part::ToolResult { id, .. } if id == "call_1"));
}

#[test]
fn errors_are_told_apart_by_type_code_and_message() {
    let kind = |status: u16, sort: &str, message: &str| {
        let body =
            json!({"type": "error", "error": {"type": sort, "message": message}, "request_id": "req_9"});
        let error = parse_error(status, body.to_string().as_bytes());
        assert_eq!(error.request_id.as_deref(), Some("req_9"));
        error.kind
    };
    assert_eq!(kind(529, "overloaded_error", "Overloaded"), ErrorKind::Overloaded);
    assert_eq!(
        kind(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        ErrorKind::ContextTooLong
    );
    assert_eq!(
        kind(400, "invalid_request_error", "Your credit balance is too low to access the API."),
        ErrorKind::Quota
    );
    assert_eq!(
        kind(400, "invalid_request_error", "Output blocked by content filtering policy"),
        ErrorKind::ContentFilter
    );
    assert_eq!(kind(400, "invalid_request_error", "max_tokens: Field required"), ErrorKind::InvalidRequest);
    assert_eq!(kind(402, "billing_error", ""), ErrorKind::Quota);
    assert_eq!(kind(413, "request_too_large", ""), ErrorKind::TooLarge);
    assert_eq!(kind(418, "new_error", ""), ErrorKind::InvalidRequest);
    let spent = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "", "details": {"error_code": "contract_spend_limit_reached"}}});
    assert_eq!(parse_error(429, spent.to_string().as_bytes()).kind, ErrorKind::Quota);
    let page = parse_error(502, b"<html>secret</html>");
    assert_eq!((page.kind, page.message.contains("secret")), (ErrorKind::Server, false));
}

#[test]
fn an_error_of_any_provider_is_told_in_the_api_s_form() {
    let mut error = ApiError::new(400, ErrorKind::ContextTooLong, "This model takes 8192 tokens.");
    error.request_id = Some("req_2".into());
    error.code = Some("context_length_exceeded".into());
    let mut out = Vec::new();
    write_error(&error, &mut out);
    let body: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert!(body["error"]["message"].as_str().unwrap().starts_with("prompt is too long"));
    assert_eq!(body["error"]["details"]["error_code"], "context_length_exceeded");
    let again = parse_error(400, &out);
    assert_eq!((again.kind, again.request_id), (ErrorKind::ContextTooLong, Some("req_2".into())));
}
