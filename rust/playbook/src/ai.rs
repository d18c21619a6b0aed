//! A plan with an AI part to start from, and the words of its clients and providers.

use serde_json::{Value, json};

use crate::{plan, route};

/// The secret of the key `a`, whose tenant is `acme`.
pub const KEY_A: &str = "key-a";
/// The secret of the key `b`, whose tenant is `other`.
pub const KEY_B: &str = "key-b";

/// The plan: providers `one`, `two` and `three`, which speak OpenAI's words at ports 80, 81 and 82, the model `small`, which `one` serves, and
/// the keys `a` and `b`. Tests change what they are about.
pub fn ai_plan() -> Value {
    let mut plan = plan();
    let up = plan["upstreams"][0].clone();
    let upstreams = [("one", 80), ("two", 81), ("three", 82)].map(|(name, port)| {
        let mut up = up.clone();
        up["name"] = json!(name);
        up["endpoints"] = json!([
            {"address": {"kind": "ip", "ip": "10.0.0.1", "port": port}, "weight": 1, "authority": name}
        ]);
        up
    });
    plan["upstreams"] = json!(upstreams);
    let mut route = route();
    route["action"] = json!({"kind": "ai", "guards": []});
    plan["routes"] = json!([route]);
    let providers: Vec<Value> =
        ["one", "two", "three"].iter().enumerate().map(|(index, name)| provider(name, index)).collect();
    plan["ai"] = json!({
        "providers": providers,
        "models": [ai_model("small", &[0])],
        "keys": [
            key("a", "f10f781241e2246678b6b45c857069208152a53863e47fac33f607ab405006f4", "acme"),
            key("b", "a30534a53b23547377ddccbd1ac85a8a84c13db43493c16e55a6abc7b0eba634", "other"),
        ],
        "open": false, "accounts": [], "open_accounts": [], "prompts": [], "guards": [], "cache_bytes": 1_000_000,
        "journal": null, "log_content": "off", "tag_header": "X-Tidegate-Tags"
    });
    plan
}

fn provider(name: &str, upstream: usize) -> Value {
    json!({
        "name": name, "dialect": "openai", "upstream": upstream, "base_path": "/v1", "connect_ms": 1000,
        "credentials": [{"name": "own", "weight": 1, "scheme": {
            "kind": "header", "name": "Authorization", "value": format!("Bearer secret-{name}")
        }}],
        "headers": [], "paths": [], "unsupported": [], "region": "", "project": "", "api_version": "", "load": null
    })
}

fn key(name: &str, sha256: &str, tenant: &str) -> Value {
    json!({
        "name": name, "sha256": sha256, "tenant": tenant, "team": "", "user": "", "models": null, "surfaces": null,
        "access": null, "expires_ms": null, "accounts": [], "guards": [], "tags": []
    })
}

/// A model that the providers with these numbers serve, as `{model}-1`; one attempt, a second for the first token, a second between tokens.
pub fn ai_model(name: &str, providers: &[u32]) -> Value {
    let targets: Vec<Value> = providers
        .iter()
        .map(|provider| {
            json!({
                "provider": provider, "model": format!("{name}-1"), "weight": 1, "variant": "", "price": null,
                "prices": [], "context_tokens": 0, "busy_calls": 0, "busy_queue_ms": 0
            })
        })
        .collect();
    json!({
        "name": name, "targets": targets, "balance": "order", "fallback": [], "attempts": providers.len(), "backoff_ms": 100,
        "retry_after_most_ms": 5000, "first_token_ms": 1000, "between_tokens_ms": 1000, "total_ms": 0, "cooldown_ms": 0,
        "deduplicate": false, "cache": null, "hedge": null, "batch": null, "session_header": "", "prefix_affinity": false,
        "sticky": "", "shadow": null, "rules": [], "drop_unsupported": false, "on_disconnect": "abort",
        "expected_output": 100, "prompt_bytes": 0, "max_output": 0
    })
}

/// A price of so many picodollars for each token of input and of output.
pub fn ai_price(input: u64, output: u64) -> Value {
    json!({"version": "test", "tiers": [], "rates": {
        "input": input, "cache_read": null, "cache_write_5m": null, "cache_write_1h": null, "output": output,
        "reasoning": null, "audio_in": null, "audio_out": null, "image": null, "request": null
    }})
}

/// A request of a client to `path`, with a key.
pub fn ai_request(path: &str, key: &str, fields: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A chat call in OpenAI's words.
pub fn ai_chat(key: &str, model: &str, text: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    ai_request("/v1/chat/completions", key, "", &body)
}

/// The same, for a stream.
pub fn ai_stream(key: &str, model: &str, text: &str) -> String {
    let body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]});
    ai_request("/v1/chat/completions", key, "", &body)
}

/// A provider's answer to a chat call: 10 tokens in, 5 out.
pub fn ai_answer(text: &str) -> String {
    let body = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    });
    whole(200, "", &body)
}

/// A provider's refusal.
pub fn ai_refusal(status: u16, fields: &str, code: &str) -> String {
    whole(status, fields, &json!({"error": {"message": "no", "type": "x", "param": null, "code": code}}))
}

fn whole(status: u16, fields: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The head of a provider's stream, which ends with its connection.
pub const AI_STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// One piece of a provider's stream.
pub fn ai_piece(text: &str) -> String {
    let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// The end of a provider's stream: 10 tokens in, 5 out.
pub fn ai_end() -> String {
    let last = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    format!("data: {last}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// The status and the body of an answer with a length.
pub fn ai_body(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, serde_json::from_str(body).unwrap_or_default())
}
