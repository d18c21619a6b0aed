//! Requests and answers, read, written and read again.

use serde_json::{Value, json};

use crate::bedrock::{
    error_type, parse_answer, parse_count_request, parse_error, parse_request, write_answer, write_count,
    write_count_request, write_error, write_request,
};
use crate::error::FaultKind;
use crate::{
    ApiError, ChatRequest, Dialect, ErrorKind, Finish, Media, Message, Part, Reasoning, Reply,
    ResponseFormat, Role, Source, Target, Tool, ToolChoice, Usage, Written,
};

const TARGET: Target<'_> = Target {
    model: "anthropic.claude-opus-4-8-v1:0",
    stream: false,
    max_tokens: 4096,
    drop_unsupported: false,
};
const DROPPING: Target<'_> = Target { drop_unsupported: true, ..TARGET };
const REPLY: Reply<'_> = Reply { model: "small", id: "req_1", created: 7, include_usage: true };

fn parse(value: &Value) -> ChatRequest {
    parse_request(value.to_string().as_bytes()).unwrap()
}

fn write(request: &ChatRequest, target: &Target<'_>) -> (Value, Written) {
    let mut out = Vec::new();
    let written = write_request(request, target, &mut out).unwrap();
    (serde_json::from_slice(&out).unwrap(), written)
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
        arguments: "{\"q\":1}".into(),
        signature: None,
        cache: None,
    }
}

fn result(id: &str) -> Part {
    Part::ToolResult { id: id.into(), name: None, parts: vec![Part::text("r")], is_error: false, cache: None }
}

fn tool(name: &str) -> Tool {
    Tool::Function { name: name.into(), description: None, parameters: None, strict: None, cache: None }
}

fn rich() -> Value {
    json!({
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "What is in these?"},
                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
                {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/a.jpg"}}}},
                {"document": {"format": "pdf", "name": "report", "source": {"bytes": "JVBERi0="}, "context": "c", "citations": {"enabled": true}}},
                {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://b/v.mov"}}}},
                {"guardContent": {"text": {"text": "guarded"}}},
                {"cachePoint": {"type": "default"}}
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQB"}}},
                {"reasoningContent": {"redactedContent": "Eo8B"}},
                {"text": "Looking."},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"b": 1, "a": [null]}}},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "look", "input": {}}},
                {"cachePoint": {"type": "default"}}
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "a cat"}], "status": "error"}},
                {"toolResult": {"toolUseId": "tooluse_2", "content": [{"text": "d"}, {"image": {"format": "gif", "source": {"bytes": "R0lGODlh"}}}]}},
                {"text": "Go on."}
            ]}
        ],
        "inferenceConfig": {"maxTokens": 9000, "temperature": 1.0, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "look", "description": "Looks.", "inputSchema": {"json": {"type": "object"}}}},
                {"cachePoint": {"type": "default"}},
                {"systemTool": {"name": "nova_grounding"}}
            ],
            "toolChoice": {"any": {}}
        },
        "outputConfig": {"effort": "high", "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{\"type\":\"object\"}", "name": "n"}}}},
        "requestMetadata": {"team": "a"},
        "serviceTier": {"type": "flex"},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "top_k": 5, "other": {"x": 1}},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "not_known_yet": 1
    })
}

#[test]
fn a_rich_conversation_means_the_same_when_it_is_read_and_written() {
    let first = parse(&rich());
    let (body, written) = write(&first, &TARGET);
    assert_eq!(written, Written::default());
    let mut expected = rich();
    // The mark stands on the block before; a guarded text can bear none.
    expected["messages"][0]["content"].as_array_mut().unwrap().pop();
    assert_eq!(body, expected);
    assert_eq!(parse(&body), first);
}

#[test]
fn blocks_become_the_parts_that_they_are() {
    let request = parse(&rich());
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert!(
        matches!(&request.messages[0].parts[0], Part::Text { cache: Some(mark), .. } if mark["ttl"] == "1h")
    );
    let reasoning = request.reasoning.unwrap();
    assert_eq!(
        (reasoning.budget, reasoning.effort.as_deref(), request.top_k),
        (Some(2048), Some("high"), Some(5))
    );
    assert!(
        matches!(&request.messages[1].parts[4], Part::Video { media: Media::Url { media_type: Some(t), .. } } if t == "video/quicktime")
    );
    assert!(
        matches!(&request.messages[2].parts[3], Part::ToolCall { arguments, .. } if arguments == r#"{"b":1,"a":[null]}"#)
    );
    assert!(matches!(&request.tools[1], Tool::Native { dialect: Dialect::Bedrock, .. }));
}

#[test]
fn there_is_no_choice_of_no_tool() {
    let mut request = ask(vec![said(Role::User, vec![Part::text("hi")])]);
    request.tools = vec![tool("look")];
    request.tool_choice = Some(ToolChoice::None);
    assert!(write(&request, &TARGET).0.get("toolConfig").is_none(), "no tools, no calls");
    request.messages.extend([said(Role::Assistant, vec![call("a")]), said(Role::Tool, vec![result("a")])]);
    let fault = write_request(&request, &TARGET, &mut Vec::new()).unwrap_err();
    assert_eq!((fault.kind, fault.path.as_str()), (FaultKind::Unsupported, "tool_choice"));
    let (body, written) = write(&request, &DROPPING);
    assert_eq!(written.dropped, ["tool_choice"]);
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert!(body["toolConfig"].get("toolChoice").is_none());
}

#[test]
fn calls_of_tools_that_are_not_given_any_more_are_declared_from_their_names() {
    let request = ask(vec![
        said(Role::User, vec![Part::text("hi")]),
        said(Role::Assistant, vec![call("a"), call("b")]),
        said(Role::Tool, vec![result("a"), result("b")]),
    ]);
    let (body, _) = write(&request, &TARGET);
    assert_eq!(
        body["toolConfig"],
        json!({"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object", "properties": {}}}}}]})
    );
}

#[test]
fn what_it_can_not_do_is_refused_by_name_or_dropped_by_name() {
    let url = Media::Url { url: "https://x.test/a.png".into(), media_type: None };
    let mut request = ask(vec![said(
        Role::User,
        vec![Part::text("hi"), Part::Image { media: url, detail: None, cache: None }],
    )]);
    request.parallel_tool_calls = Some(false);
    request.tools = vec![tool("look")];
    request.seed = Some(1);
    request.user = Some("u1".into());
    assert!(write_request(&request, &TARGET, &mut Vec::new()).is_err());
    let (body, written) = write(&request, &DROPPING);
    assert_eq!(written.dropped, ["messages[0].image", "parallel_tool_calls", "seed"]);
    assert_eq!(body["requestMetadata"], json!({"user": "u1"}));
    let mut out = b"kept".to_vec();
    assert!(write_request(&request, &TARGET, &mut out).is_err());
    assert_eq!(out, b"kept");
}

#[test]
fn thinking_goes_where_the_model_s_family_wants_it() {
    let mut request = ask(vec![said(Role::User, vec![Part::text("hi")])]);
    request.reasoning = Some(Reasoning { effort: Some("low".into()), ..Reasoning::default() });
    let (body, _) = write(&request, &TARGET);
    assert_eq!(body["additionalModelRequestFields"], json!({"thinking": {"type": "adaptive"}}));
    assert_eq!(body["outputConfig"], json!({"effort": "low"}));
    let old = Target { model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0", ..TARGET };
    let (body, _) = write(&request, &old);
    assert_eq!(body["additionalModelRequestFields"]["thinking"]["budget_tokens"], 2048);
    assert_eq!(body["inferenceConfig"]["maxTokens"], 4096 + 2048);
    assert!(body.get("outputConfig").is_none());
    let (body, _) = write(&request, &Target { model: "openai.gpt-oss-120b-1:0", ..TARGET });
    assert_eq!(
        (body["outputConfig"]["effort"].as_str(), body.get("additionalModelRequestFields")),
        (Some("low"), None)
    );
}

#[test]
fn schemas_documents_and_long_ids_are_told_as_converse_wants_them() {
    let long = "x".repeat(100);
    let file = Part::File {
        media: Media::Text { text: "words".into() },
        name: Some("my_file.txt".into()),
        cache: None,
        rest: Default::default(),
    };
    let mut request = ask(vec![
        said(Role::User, vec![file]),
        said(Role::Assistant, vec![call(&long)]),
        said(Role::Tool, vec![result(&long)]),
    ]);
    request.response_format = Some(ResponseFormat::Schema {
        name: "n".into(),
        description: None,
        schema: json!({"type": "object"}),
        strict: None,
    });
    let (body, _) = write(&request, &TARGET);
    let document = &body["messages"][0]["content"][0]["document"];
    assert_eq!(*document, json!({"format": "txt", "name": "my-file-txt", "source": {"bytes": "d29yZHM="}}));
    let id = body["messages"][1]["content"][0]["toolUse"]["toolUseId"].as_str().unwrap();
    assert_eq!(id.len(), 64);
    assert_eq!(body["messages"][2]["content"][0]["toolResult"]["toolUseId"], id);
    let schema = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
    assert_eq!(schema, "{\"type\":\"object\"}");
}

#[test]
fn a_count_asks_with_the_conversation_alone() {
    let mut out = Vec::new();
    write_count_request(&parse(&rich()), &TARGET, &mut out).unwrap();
    let body: Value = serde_json::from_slice(&out).unwrap();
    let keys: Vec<&str> = body["input"]["converse"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["system", "messages", "toolConfig", "additionalModelRequestFields"]);
    assert_eq!(parse_count_request(&out).unwrap().messages, parse(&rich()).messages);
    let mut out = Vec::new();
    write_count(12, &mut out);
    assert_eq!(out, br#"{"inputTokens":12}"#);
}

#[test]
fn wrong_requests_say_where() {
    let path = |value: Value| parse_request(value.to_string().as_bytes()).unwrap_err().path;
    assert_eq!(path(json!({"messages": [{"role": "king"}]})), "messages[0].role");
    assert_eq!(path(json!({"messages": [{"role": "user", "content": "text"}]})), "messages[0].content");
    assert_eq!(
        path(json!({"messages": [{"role": "user", "content": [{"x": 1}]}]})),
        "messages[0].content[0]"
    );
    assert_eq!(
        path(json!({"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]})),
        "messages[0].content[0].image.source"
    );
    assert_eq!(
        path(json!({"toolConfig": {"tools": [{"toolSpec": {}}]}})),
        "toolConfig.tools[0].toolSpec.inputSchema"
    );
}

#[test]
fn an_answer_is_read_with_disjoint_buckets_and_written_as_it_was() {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"text": "hello"},
            {"citationsContent": {"content": [{"text": "cited"}], "citations": [{"title": "t", "location": {"web": {"url": "u"}}}]}},
            {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"a": 1}}}
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 122, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 7,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 3}]},
        "metrics": {"latencyMs": 321},
        "trace": {"promptRouter": {"invokedModelId": "x"}}
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
            output: Some(5),
            ..Usage::default()
        }
    );
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    let mut out = Vec::new();
    write_answer(&answer, &REPLY, &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), body);
}

#[test]
fn cached_tokens_that_a_provider_counts_into_its_input_are_taken_out() {
    let body = json!({"output": {"message": {"content": []}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 110, "outputTokens": 5, "totalTokens": 115, "cacheReadInputTokens": 100}});
    let usage = parse_answer(body.to_string().as_bytes()).unwrap().usage;
    assert_eq!((usage.input, usage.cache_read, usage.output), (Some(10), Some(100), Some(5)));
}

#[test]
fn errors_are_told_apart_by_name_status_and_message() {
    let kind = |status: u16, body: Value| parse_error(status, body.to_string().as_bytes()).kind;
    assert_eq!(kind(429, json!({"message": "Too many tokens, please wait"})), ErrorKind::RateLimited);
    assert_eq!(
        kind(400, json!({"message": "Input is too long for requested model."})),
        ErrorKind::ContextTooLong
    );
    assert_eq!(
        kind(400, json!({"message": "x", "__type": "com.amazon#ServiceQuotaExceededException"})),
        ErrorKind::Quota
    );
    assert_eq!(
        kind(403, json!({"message": "x", "__type": "ExpiredTokenException:http://a"})),
        ErrorKind::Authentication
    );
    assert_eq!(kind(408, json!({"message": "x"})), ErrorKind::Timeout);
    assert_eq!(kind(424, json!({"message": "x"})), ErrorKind::Server);
    assert_eq!(kind(503, json!({"message": "x"})), ErrorKind::Overloaded);
    assert!(!parse_error(502, b"<html>secret").message.contains("secret"));
    let mut out = Vec::new();
    write_error(&ApiError::new(429, ErrorKind::RateLimited, "slow down"), &mut out);
    let again = parse_error(429, &out);
    assert_eq!((again.kind, again.message.as_str()), (ErrorKind::RateLimited, "slow down"));
    assert_eq!(error_type(ErrorKind::Timeout), "ModelTimeoutException");
}
