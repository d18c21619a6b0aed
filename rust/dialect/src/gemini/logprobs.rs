//! Token probabilities: Gemini's `logprobsResult` to and from OpenAI's `logprobs` object.

use serde_json::{Map, Value, json};

use super::parts::camel_keys;

/// As OpenAI's object; `None` where nothing can be read out of it.
pub(super) fn read(value: Value) -> Option<Value> {
    let Value::Object(map) = value else { return None };
    let mut map = camel_keys(map);
    let Some(Value::Array(chosen)) = map.shift_remove("chosenCandidates") else { return None };
    let mut top = match map.shift_remove("topCandidates") {
        Some(Value::Array(top)) => top.into_iter(),
        _ => Vec::new().into_iter(),
    };
    let content = chosen.iter().map(|token| {
        let mut out = one(token);
        let others =
            top.next().and_then(|step| Some(step.get("candidates")?.as_array()?.iter().map(one).collect()));
        out.insert("top_logprobs".into(), Value::Array(others.map_or_else(Vec::new, values)));
        Value::Object(out)
    });
    Some(json!({"content": content.collect::<Vec<_>>()}))
}

fn values(maps: Vec<Map<String, Value>>) -> Vec<Value> {
    maps.into_iter().map(Value::Object).collect()
}

fn one(token: &Value) -> Map<String, Value> {
    let text = token.get("token").and_then(Value::as_str).unwrap_or_default();
    let mut out = Map::new();
    out.insert("token".into(), text.into());
    out.insert("logprob".into(), token.get("logProbability").cloned().unwrap_or(json!(0.0)));
    out.insert("bytes".into(), text.bytes().map(Value::from).collect());
    out
}

/// As Gemini's object; `None` where it holds no tokens.
pub(super) fn write(value: &Value) -> Option<Value> {
    let content = value.get("content")?.as_array()?;
    let candidate = |token: &Value| json!({"token": token.get("token").unwrap_or(&Value::Null), "logProbability": token.get("logprob").unwrap_or(&Value::Null)});
    let chosen: Vec<Value> = content.iter().map(candidate).collect();
    let top: Vec<Value> = content
        .iter()
        .map(|token| {
            let others = token.get("top_logprobs").and_then(Value::as_array);
            let all: Vec<Value> = others.into_iter().flatten().map(candidate).collect();
            json!({"candidates": all})
        })
        .collect();
    Some(json!({"chosenCandidates": chosen, "topCandidates": top}))
}
