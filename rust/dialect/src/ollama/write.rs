//! Writes an `/api/chat` request.

use serde_json::{Value, json};

use super::messages;
use crate::effort::is_none;
use crate::json::{Array, Object};
use crate::{ChatRequest, Fault, Reasoning, ResponseFormat, Target, Tool, ToolChoice, Written};

/// Fields of the chat form's rest that `/api/chat` takes. (`options` are merged.)
const OWN: [&str; 3] = ["keep_alive", "truncate", "shift"];

/// Appends the request's body. Ollama can't be made to call a tool: that it must is refused, that it must not is told by
/// telling of none. `user` and `metadata` are left out and named, never refused: they change no answer.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    refuse(request, target, &mut written)?;
    let mut object = Object::begin(out);
    object.put("model", target.model);
    let mut list = object.array("messages");
    for (index, message) in request.messages.iter().enumerate() {
        for part in messages::write(message, &mut list) {
            written.drop(target, &format!("messages[{index}].content[{part}]"))?;
        }
    }
    list.end();
    tools(request, target, &mut written, &mut object)?;
    match &request.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::Json) => {
            object.put("format", "json");
        }
        Some(ResponseFormat::Schema { schema, .. }) => {
            object.put("format", schema);
        }
    }
    object.maybe("think", request.reasoning.as_ref().and_then(think).as_ref());
    object.maybe("logprobs", request.logprobs.as_ref());
    object.maybe("top_logprobs", request.top_logprobs.as_ref());
    // A stream is the default: it must be said that none is wanted.
    object.put("stream", &target.stream);
    options(request, &mut object);
    for (key, value) in &request.rest {
        match key.as_str() {
            "options" => {}
            own if OWN.contains(&own) => {
                object.put(key, value);
            }
            _ => written.drop(target, key)?,
        }
    }
    object.end();
    Ok(written)
}

fn refuse(request: &ChatRequest, target: &Target<'_>, written: &mut Written) -> Result<(), Fault> {
    let tools = !request.tools.is_empty();
    let must = matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
    );
    for (field, there) in [
        ("n", request.n.is_some_and(|n| n > 1)),
        ("tool_choice", must),
        ("parallel_tool_calls", tools && request.parallel_tool_calls == Some(false)),
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
    let told = |name: &str| match &request.tool_choice {
        Some(ToolChoice::None) => false,
        Some(ToolChoice::Named(only)) => only == name,
        Some(ToolChoice::Allowed { names, .. }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    let mut inner = Vec::new();
    let mut list = Array::begin(&mut inner);
    for (index, tool) in request.tools.iter().enumerate() {
        let Tool::Function { name, description, parameters, .. } = tool else {
            written.drop(target, &format!("tools[{index}]"))?;
            continue;
        };
        if !told(name) {
            continue;
        }
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
    if inner.len() > 2 {
        object.key("tools").append(&mut inner);
    }
    Ok(())
}

fn options(request: &ChatRequest, object: &mut Object<'_>) {
    let mut inner = Vec::new();
    let mut options = Object::begin(&mut inner);
    options.maybe("temperature", request.temperature.as_ref());
    options.maybe("top_p", request.top_p.as_ref());
    options.maybe("top_k", request.top_k.as_ref());
    options.maybe("num_predict", request.max_tokens.as_ref());
    options.maybe("seed", request.seed.as_ref());
    options.maybe("presence_penalty", request.presence_penalty.as_ref());
    options.maybe("frequency_penalty", request.frequency_penalty.as_ref());
    if !request.stop.is_empty() {
        options.put("stop", &request.stop);
    }
    if let Some(Value::Object(rest)) = request.rest.get("options") {
        options.all(rest);
    }
    options.end();
    if inner.len() > 2 {
        object.key("options").append(&mut inner);
    }
}

/// Ollama knows on, off, and three levels; no budget.
fn think(reasoning: &Reasoning) -> Option<Value> {
    match reasoning.effort.as_deref() {
        Some(word) if is_none(word) => Some(false.into()),
        _ if reasoning.enabled == Some(false) => Some(false.into()),
        Some("minimal") => Some("low".into()),
        Some("xhigh") => Some("high".into()),
        Some(word) => Some(word.into()),
        None if reasoning.enabled == Some(true) || reasoning.budget.is_some() => Some(true.into()),
        None => None,
    }
}
