//! Writes a request to a provider in Anthropic's words.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::blocks::{misfit, write_block};
use super::reasoning::{self, Thinking};
use crate::json::Object;
use crate::turns::{Conversation, Rules, refuse_absent, says_nothing};
use crate::{ChatRequest, Dialect, Fault, Part, ResponseFormat, Role, Target, Tool, ToolChoice, Written};

/// What is asked of a model that any JSON object is wanted from: the API has a form for schemas only.
pub(crate) const JSON_ONLY: &str = "Answer with a single JSON object and nothing else.";

/// Fields that mean the same from a client of any dialect, since only this API has them.
const OWN_FIELDS: [&str; 10] = [
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "output_config",
    "speed",
    "thinking",
    "user_profile_id",
];

const RULES: Rules = Rules { dialect: Dialect::Anthropic, misfit };

/// Appends the body of a request to a provider.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write(request, target, false, out)
}

/// Appends the body of a request for the count of the conversation's tokens (`/v1/messages/count_tokens`).
pub fn write_count_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write(request, target, true, out)
}

fn write(
    request: &ChatRequest,
    target: &Target<'_>,
    count: bool,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let own = request.dialect == Some(Dialect::Anthropic);
    let mut written = Written::default();
    let conversation = Conversation::gather(request, &RULES, target, &mut written)?;
    let plan =
        reasoning::plan(request.reasoning.as_ref(), target.model, request.max_tokens, target.max_tokens, own);
    if plan.no_room {
        written.drop(target, "reasoning")?;
    }

    let start = out.len();
    let mut body = Object::begin(out);
    body.put("model", target.model);
    if !count {
        body.put("max_tokens", &plan.max_tokens);
    }
    write_conversation(&conversation, request, &mut body);
    let done = write_tools(request, target, &mut written, &mut body)
        .and_then(|()| {
            if count { Ok(()) } else { write_sampling(request, target, own, &plan, &mut written, &mut body) }
        })
        .and_then(|()| {
            reasoning::write(&plan, &mut body);
            write_rest(request, target, own, count, &plan, &mut written, &mut body)
        });
    if target.stream && !count {
        body.put("stream", &true);
    }
    body.end();
    if let Err(fault) = done {
        out.truncate(start);
        return Err(fault);
    }
    Ok(written)
}

/// Appends `system` and `messages`.
fn write_conversation(conversation: &Conversation<'_>, request: &ChatRequest, body: &mut Object<'_>) {
    let json_only = matches!(request.response_format, Some(ResponseFormat::Json));
    match conversation.system.as_slice() {
        [] if !json_only => {}
        [Part::Text { text, cache: None, .. }] if !json_only => {
            body.put("system", text);
        }
        parts => {
            let mut system = body.array("system");
            for part in parts {
                write_block(part, false, &mut system);
            }
            if json_only {
                write_block(&Part::text(JSON_ONLY), false, &mut system);
            }
            system.end();
        }
    }
    let mut messages = body.array("messages");
    for (index, turn) in conversation.turns.iter().enumerate() {
        let prefill = index + 1 == conversation.turns.len() && turn.role == Role::Assistant;
        let mut message = messages.object();
        message.put(
            "role",
            match turn.role {
                Role::Assistant => "assistant",
                Role::System => "system",
                _ => "user",
            },
        );
        match turn.parts.as_slice() {
            [Part::Text { text, cache: None, citations: None }] => {
                message.put("content", if prefill { text.trim_end() } else { text });
            }
            parts => {
                let mut content = message.array("content");
                for (place, part) in parts.iter().enumerate() {
                    write_block(part, prefill && place + 1 == parts.len(), &mut content);
                }
                content.end();
            }
        }
        message.end();
    }
    messages.end();
}

fn write_tools(
    request: &ChatRequest,
    target: &Target<'_>,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    let mut any = false;
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function { name, .. } if allowed.is_none_or(|names| names.contains(name)) => any = true,
            Tool::Native { dialect: Dialect::Anthropic, .. } => any = true,
            Tool::Function { .. } => {}
            Tool::Native { .. } => written.drop(target, &format!("tools[{index}]"))?,
        }
    }
    if !any {
        return Ok(());
    }
    let mut tools = body.array("tools");
    for tool in &request.tools {
        match tool {
            Tool::Function { name, description, parameters, strict, cache }
                if allowed.is_none_or(|names| names.contains(name)) =>
            {
                let mut tool = tools.object();
                tool.put("name", name).maybe("description", description.as_ref());
                tool.put("input_schema", &*object_schema(parameters.as_ref()));
                if *strict == Some(true) {
                    tool.put("strict", &true);
                }
                tool.maybe("cache_control", cache.as_ref());
                tool.end();
            }
            Tool::Native { dialect: Dialect::Anthropic, value } => {
                tools.put(value);
            }
            _ => {}
        }
    }
    tools.end();

    let one_at_a_time = request.parallel_tool_calls == Some(false);
    let (kind, name) = match &request.tool_choice {
        None if one_at_a_time => ("auto", None),
        None => return Ok(()),
        Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
        Some(ToolChoice::None) => ("none", None),
    };
    let mut choice = body.object("tool_choice");
    choice.put("type", kind).maybe("name", name);
    // `none` has no such field, and a request with it is refused.
    if one_at_a_time && kind != "none" {
        choice.put("disable_parallel_tool_use", &true);
    }
    choice.end();
    Ok(())
}

/// A schema that says `object`, as the API wants every tool's to.
pub(crate) fn object_schema(parameters: Option<&Value>) -> Cow<'_, Value> {
    match parameters {
        Some(schema) if schema.get("type").is_some() => Cow::Borrowed(schema),
        Some(Value::Object(schema)) if !schema.is_empty() => {
            let mut whole = Map::new();
            whole.insert("type".to_owned(), Value::String("object".to_owned()));
            whole.extend(schema.iter().map(|(key, value)| (key.clone(), value.clone())));
            Cow::Owned(Value::Object(whole))
        }
        _ => Cow::Owned(json!({"type": "object", "properties": {}})),
    }
}

fn write_sampling(
    request: &ChatRequest,
    target: &Target<'_>,
    own: bool,
    plan: &reasoning::Plan<'_>,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let thinks = !own && matches!(plan.thinking, Some(Thinking::Adaptive | Thinking::Budget(_)));
    match request.temperature {
        // The API takes no other temperature while a model thinks.
        Some(temperature) if thinks && temperature != 1.0 => written.drop(target, "temperature")?,
        Some(temperature) if temperature > 1.0 && !own => {
            written.drop(target, "temperature")?;
            body.put("temperature", &1);
        }
        temperature => {
            body.maybe("temperature", temperature.as_ref());
        }
    }
    body.maybe("top_p", request.top_p.as_ref());
    match request.top_k {
        Some(_) if thinks => written.drop(target, "top_k")?,
        top_k => {
            body.maybe("top_k", top_k.as_ref());
        }
    }
    let sayable = |stop: &&String| !stop.trim().is_empty();
    if own || request.stop.iter().all(|stop| sayable(&stop)) {
        if !request.stop.is_empty() {
            body.put("stop_sequences", &request.stop);
        }
    } else {
        // The API refuses stop texts of nothing but white space.
        written.drop(target, "stop")?;
        let stop: Vec<&String> = request.stop.iter().filter(sayable).collect();
        if !stop.is_empty() {
            body.put("stop_sequences", &stop);
        }
    }
    match request.service_tier.as_deref() {
        None => {}
        Some(tier) if own => {
            body.put("service_tier", tier);
        }
        Some("auto" | "priority") => {
            body.put("service_tier", "auto");
        }
        Some("default" | "standard" | "standard_only") => {
            body.put("service_tier", "standard_only");
        }
        Some(_) => written.drop(target, "service_tier")?,
    }
    refuse_absent(request, target, written)?;
    let mut labels = request.metadata.clone().unwrap_or_default();
    let user = labels.shift_remove("user_id").and_then(|user| user.as_str().map(str::to_owned));
    let user = request.user.as_deref().or(user.as_deref());
    if !own && !labels.is_empty() {
        written.drop(target, "metadata")?;
        labels.clear();
    }
    if user.is_some() || !labels.is_empty() {
        let mut metadata = body.object("metadata");
        metadata.maybe("user_id", user).all(&labels);
        metadata.end();
    }
    Ok(())
}

fn write_rest(
    request: &ChatRequest,
    target: &Target<'_>,
    own: bool,
    count: bool,
    plan: &reasoning::Plan<'_>,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let schema = match &request.response_format {
        Some(ResponseFormat::Schema { schema, .. }) => Some(schema),
        _ => None,
    };
    let more = request.rest.get("output_config").and_then(Value::as_object);
    if schema.is_some() || plan.effort.is_some() || more.is_some() {
        let mut config = body.object("output_config");
        config.maybe("effort", plan.effort);
        if let Some(schema) = schema {
            let mut format = config.object("format");
            format.put("type", "json_schema").put("schema", schema);
            format.end();
        }
        for (key, value) in more.into_iter().flatten() {
            let said = key == "effort" && plan.effort.is_some() || key == "format" && schema.is_some();
            if !said {
                config.put(key, value);
            }
        }
        config.end();
    }
    for (key, value) in &request.rest {
        match key.as_str() {
            "output_config" => {}
            "thinking" if plan.thinking.is_some() => {}
            // Counting takes the conversation and what shapes it, nothing of how it is sampled or served.
            _ if count && !matches!(key.as_str(), "thinking" | "cache_control" | "mcp_servers") => {}
            key if own || OWN_FIELDS.contains(&key) => {
                body.put(key, value);
            }
            key if !says_nothing(value) => written.drop(target, key)?,
            _ => {}
        }
    }
    Ok(())
}
