//! What changes a key and what does not.

use serde_json::json;

use super::*;
use crate::Dialect;

fn responses(body: Value) -> ChatRequest {
    crate::responses::parse_request(body.to_string().as_bytes()).unwrap()
}

fn of(body: Value) -> u128 {
    key(&responses(body), b"tenant")
}

fn rule(max_temperature: Option<f64>, tools: bool) -> ModelCache {
    ModelCache { ttl_ms: 1, shared: false, max_temperature, tools }
}

#[test]
fn who_asks_and_how_it_is_sent_do_not_count() {
    let plain = json!({"model": "m", "input": "hello", "temperature": 0});
    let dressed = json!({
        "stream": true, "temperature": 0.0, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex", "store": false,
        "safety_identifier": "x", "input": [{"type": "message", "role": "user", "content": "hello"}], "model": "m",
        "tool_choice": "auto", "text": {"format": {"type": "text"}}, "truncation": "disabled",
    });
    assert_eq!(of(plain), of(dressed));
}

#[test]
fn order_of_keys_white_space_and_ids_of_calls_do_not_count() {
    let with = |id: &str, arguments: &str, schema: Value| {
        of(
            json!({"model": "m", "tools": [{"type": "function", "name": "f", "parameters": schema}], "input": [
                {"type": "function_call", "call_id": id, "name": "f", "arguments": arguments},
                {"type": "function_call_output", "call_id": id, "output": "1"},
            ]}),
        )
    };
    let a = with("call_1", r#"{"a":1,"b":[2]}"#, json!({"type": "object", "properties": {}}));
    let b = with("toolu_9", "{ \"b\": [2.0], \"a\": 1 }", json!({"properties": {}, "type": "object"}));
    assert_eq!(a, b);
    assert_ne!(a, with("call_1", r#"{"a":1,"b":[3]}"#, json!({"type": "object", "properties": {}})));
}

#[test]
fn whether_turns_come_as_one_message_or_several_does_not_count() {
    let part = |id: &str| Part::ToolResult {
        id: id.to_owned(),
        name: None,
        parts: vec![Part::text("r")],
        is_error: false,
        cache: None,
    };
    let tool = |parts| Message { role: Role::Tool, parts, name: None, rest: Map::new() };
    let together = ChatRequest { messages: vec![tool(vec![part("a"), part("b")])], ..ChatRequest::default() };
    let apart = ChatRequest {
        messages: vec![tool(vec![part("a")]), tool(vec![part("b")])],
        ..ChatRequest::default()
    };
    assert_eq!(key(&together, b""), key(&apart, b""));
    let user = |texts: &[&str]| Message {
        role: Role::User,
        parts: texts.iter().map(|text| Part::text(*text)).collect(),
        name: None,
        rest: Map::new(),
    };
    let one = ChatRequest { messages: vec![user(&["a", "b"])], ..ChatRequest::default() };
    let two = ChatRequest { messages: vec![user(&["a"]), user(&["b"])], ..ChatRequest::default() };
    assert_ne!(key(&one, b""), key(&two, b""));
}

#[test]
fn everything_that_may_change_the_answer_changes_the_key() {
    let base = json!({"model": "m", "input": "hello"});
    let changes = [
        json!({"model": "n"}),
        json!({"input": "hello "}),
        json!({"instructions": "x"}),
        json!({"temperature": 0.5}),
        json!({"top_p": 0.5}),
        json!({"max_output_tokens": 5}),
        json!({"text": {"format": {"type": "json_object"}}}),
        json!({"text": {"verbosity": "low"}}),
        json!({"reasoning": {"effort": "low"}}),
        json!({"tools": [{"type": "function", "name": "f"}]}),
        json!({"tools": [{"type": "web_search"}]}),
        json!({"tool_choice": "none"}),
        json!({"parallel_tool_calls": false}),
        json!({"truncation": "auto"}),
        json!({"include": ["message.output_text.logprobs"]}),
        json!({"future_field": 1}),
        json!({"input": [{"role": "system", "content": "hello"}]}),
        json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://a/b"}]}]}),
    ];
    let mut keys = std::collections::HashSet::from([of(base.clone())]);
    for change in changes {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert!(keys.insert(of(body)), "{change}");
    }
}

#[test]
fn borders_between_texts_count() {
    let with = |a: &str, b: &str| {
        of(json!({"model": "m", "input": [{"role": "user", "content": [
            {"type": "input_text", "text": a}, {"type": "input_text", "text": b}]}]}))
    };
    assert_ne!(with("ab", "c"), with("a", "bc"));
}

#[test]
fn salts_and_surfaces_keep_keys_apart() {
    let request = responses(json!({"model": "m", "input": "x"}));
    assert_ne!(key(&request, b"a"), key(&request, b"b"));
    let value = json!({"model": "m", "input": ["x"], "user": "u"});
    let same = json!({"input": ["x"], "model": "m", "user": "v"});
    assert_eq!(key_of_value(&value, "embeddings", b"a"), key_of_value(&same, "embeddings", b"a"));
    assert_ne!(key_of_value(&value, "embeddings", b"a"), key_of_value(&value, "rerank", b"a"));
    assert_ne!(key_of_value(&value, "embeddings", b"a"), key_of_value(&value, "embeddings", b"b"));
    let other = json!({"model": "m", "input": ["y"]});
    assert_ne!(key_of_value(&value, "embeddings", b"a"), key_of_value(&other, "embeddings", b"a"));
}

#[test]
fn each_reason_against_keeping_an_answer_has_a_name() {
    let check = |body: Value, rule: &ModelCache| cacheable(&responses(body), rule);
    let open = rule(None, true);
    let strict = rule(Some(0.0), false);
    let cold = json!({"model": "m", "input": "x", "temperature": 0});
    assert_eq!(check(cold.clone(), &strict), Ok(()));
    assert_eq!(check(json!({"input": "x"}), &strict), Err(NotCacheable::Temperature));
    assert_eq!(check(json!({"input": "x"}), &open), Ok(()));
    let tools = json!({"input": "x", "temperature": 0, "tools": [{"type": "function", "name": "f"}]});
    assert_eq!(check(tools.clone(), &strict), Err(NotCacheable::Tools));
    assert_eq!(check(tools, &open), Ok(()));
    assert_eq!(
        check(json!({"input": "x", "previous_response_id": "resp_1"}), &open),
        Err(NotCacheable::State)
    );
    let several = ChatRequest { n: Some(2), ..ChatRequest::default() };
    assert_eq!(cacheable(&several, &open), Err(NotCacheable::Choices));
    assert_eq!(NotCacheable::Choices.as_str(), "choices");
}

#[test]
fn other_blocks_of_other_dialects_differ() {
    let with = |dialect| {
        let part = Part::Other { dialect, value: json!({"type": "x"}) };
        let message = Message { role: Role::User, parts: vec![part], name: None, rest: Map::new() };
        key(&ChatRequest { messages: vec![message], ..ChatRequest::default() }, b"")
    };
    assert_ne!(with(Dialect::OpenAi), with(Dialect::Anthropic));
}
