//! Writes a request for Cohere.

use serde_json::{Value, json};

use super::messages;
use crate::effort::{budget_of, is_none};
use crate::json::Object;
use crate::{ChatRequest, Fault, Reasoning, ResponseFormat, Target, Tool, ToolChoice, Written};

/// Fields of the chat form's rest that are Cohere's.
const OWN: [&str; 4] = ["documents", "citation_options", "safety_mode", "priority"];

/// Appends the request's body. `user` and `metadata` are left out and named, never refused: they change no answer.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    refuse(request, target, &mut written)?;
    let mut object = Object::begin(out);
    object.put("model", target.model).put("stream", &target.stream);
    let mut list = object.array("messages");
    for (index, message) in request.messages.iter().enumerate() {
        for part in messages::write(message, &mut list) {
            written.drop(target, &format!("messages[{index}].content[{part}]"))?;
        }
    }
    list.end();
    tools(request, target, &mut written, &mut object)?;
    match &request.response_format {
        None => {}
        Some(ResponseFormat::Text) => {
            object.put("response_format", &json!({"type": "text"}));
        }
        Some(ResponseFormat::Json) => {
            object.put("response_format", &json!({"type": "json_object"}));
        }
        Some(ResponseFormat::Schema { schema, .. }) => {
            let mut format = object.object("response_format");
            format.put("type", "json_object").put("json_schema", schema);
            format.end();
        }
    }
    object.maybe("max_tokens", request.max_tokens.as_ref());
    if !request.stop.is_empty() {
        object.put("stop_sequences", &request.stop);
    }
    object.maybe("temperature", request.temperature.as_ref());
    object.maybe("seed", request.seed.as_ref());
    object.maybe("frequency_penalty", request.frequency_penalty.as_ref());
    object.maybe("presence_penalty", request.presence_penalty.as_ref());
    object.maybe("k", request.top_k.as_ref());
    object.maybe("p", request.top_p.as_ref());
    object.maybe("logprobs", request.logprobs.as_ref());
    object.maybe("thinking", request.reasoning.as_ref().and_then(thinking).as_ref());
    for (key, value) in &request.rest {
        if OWN.contains(&key.as_str()) {
            object.put(key, value);
        } else {
            written.drop(target, key)?;
        }
    }
    object.end();
    Ok(written)
}

fn refuse(request: &ChatRequest, target: &Target<'_>, written: &mut Written) -> Result<(), Fault> {
    let many = request.n.is_some_and(|n| n > 1);
    let single = request.parallel_tool_calls == Some(false) && !request.tools.is_empty();
    for (field, there) in [
        ("n", many),
        ("parallel_tool_calls", single),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count > 0)),
        ("logit_bias", request.logit_bias.is_some()),
        ("service_tier", request.asks_for_service_tier()),
    ] {
        if there {
            written.drop(target, field)?;
        }
    }
    written.leave_out_labels(request);
    Ok(())
}

fn tools(
    request: &ChatRequest,
    target: &Target<'_>,
    written: &mut Written,
    object: &mut Object<'_>,
) -> Result<(), Fault> {
    // Cohere has no word for "this one" or "one of these": the others are not told of.
    let told = |name: &str| match &request.tool_choice {
        Some(ToolChoice::Named(only)) => only == name,
        Some(ToolChoice::Allowed { names, .. }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    let mut strict = false;
    let mut inner = Vec::new();
    let mut list = crate::json::Array::begin(&mut inner);
    for (index, tool) in request.tools.iter().enumerate() {
        let Tool::Function { name, description, parameters, strict: wanted, .. } = tool else {
            written.drop(target, &format!("tools[{index}]"))?;
            continue;
        };
        if !told(name) {
            continue;
        }
        strict |= *wanted == Some(true);
        let mut tool = list.object();
        tool.put("type", "function");
        let mut function = tool.object("function");
        function.put("name", name).maybe("description", description.as_ref());
        match parameters {
            Some(schema) => function.put("parameters", schema),
            // The field must be there.
            None => function.put("parameters", &json!({"type": "object", "properties": {}})),
        };
        function.end();
        tool.end();
    }
    list.end();
    if inner.len() == 2 {
        return Ok(());
    }
    object.key("tools").append(&mut inner);
    if strict {
        object.put("strict_tools", &true);
    }
    match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. }) => {
            object.put("tool_choice", "REQUIRED");
        }
        Some(ToolChoice::None) => {
            object.put("tool_choice", "NONE");
        }
        _ => {}
    }
    Ok(())
}

fn thinking(reasoning: &Reasoning) -> Option<Value> {
    let effort = reasoning.effort.as_deref();
    if reasoning.enabled == Some(false) || effort.is_some_and(is_none) {
        return Some(json!({"type": "disabled"}));
    }
    match reasoning.budget.or_else(|| effort.and_then(budget_of)) {
        Some(budget) => Some(json!({"type": "enabled", "token_budget": budget})),
        None if reasoning.enabled == Some(true) || effort.is_some() => Some(json!({"type": "enabled"})),
        None => None,
    }
}
