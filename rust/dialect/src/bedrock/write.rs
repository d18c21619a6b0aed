//! Writes a request to a provider in Converse's words.

use serde_json::{Map, Value, json};

use super::blocks::{misfit, write_block, write_point};
use crate::anthropic::reasoning::{self, Thinking};
use crate::anthropic::{JSON_ONLY, object_schema};
use crate::json::Object;
use crate::turns::{Conversation, Rules, refuse_absent, says_nothing};
use crate::{ChatRequest, Dialect, Fault, Part, ResponseFormat, Role, Target, Tool, ToolChoice, Written};

const RULES: Rules = Rules { dialect: Dialect::Bedrock, misfit };

/// Fields that mean the same from a client of any dialect, since only this API has them.
const OWN_FIELDS: [&str; 5] = [
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
];

/// Appends the body of a request to a provider. The model and whether the answer is a stream belong into its path.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let start = out.len();
    write(request, target, false, out).inspect_err(|_| out.truncate(start))
}

/// Appends the body of a request for the count of the conversation's tokens (`/model/{model}/count-tokens`).
pub fn write_count_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let start = out.len();
    out.extend_from_slice(b"{\"input\":{\"converse\":");
    let written = write(request, target, true, out).inspect_err(|_| out.truncate(start))?;
    out.extend_from_slice(b"}}");
    Ok(written)
}

fn write(
    request: &ChatRequest,
    target: &Target<'_>,
    count: bool,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let own = request.dialect == Some(Dialect::Bedrock);
    let claude = target.model.contains("claude");
    let mut written = Written::default();
    let conversation = Conversation::gather(request, &RULES, target, &mut written)?;
    let plan =
        reasoning::plan(request.reasoning.as_ref(), target.model, request.max_tokens, target.max_tokens, own);
    if plan.no_room {
        written.drop(target, "reasoning")?;
    }
    let mut body = Object::begin(out);
    write_conversation(&conversation, request, &mut body);
    write_tools(request, &conversation, target, &mut written, &mut body)?;
    if !count {
        write_inference(request, target, own, claude, &plan, &mut written, &mut body)?;
        write_output(request, target, own, claude, &plan, &mut body);
        write_labels(request, target, own, &mut written, &mut body)?;
    }
    write_more(request, target, own, claude, &plan, &mut written, &mut body)?;
    for (key, value) in &request.rest {
        match key.as_str() {
            "additionalModelRequestFields" => {}
            _ if count => {}
            key if own || OWN_FIELDS.contains(&key) => {
                body.put(key, value);
            }
            key if !says_nothing(value) => written.drop(target, key)?,
            _ => {}
        }
    }
    body.end();
    Ok(written)
}

fn write_conversation(conversation: &Conversation<'_>, request: &ChatRequest, body: &mut Object<'_>) {
    let json_only = matches!(request.response_format, Some(ResponseFormat::Json));
    if !conversation.system.is_empty() || json_only {
        let mut system = body.array("system");
        for part in &conversation.system {
            write_block(part, false, &mut system);
        }
        if json_only {
            write_block(&Part::text(JSON_ONLY), false, &mut system);
        }
        system.end();
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
        let mut content = message.array("content");
        for (place, part) in turn.parts.iter().enumerate() {
            write_block(part, prefill && place + 1 == turn.parts.len(), &mut content);
        }
        content.end();
        message.end();
    }
    messages.end();
}

/// Appends `toolConfig`, if there are tools to tell of.
fn write_tools(
    request: &ChatRequest,
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let called = called(conversation);
    let never = request.tool_choice == Some(ToolChoice::None);
    if never && !request.tools.is_empty() && !called.is_empty() {
        written.drop(target, "tool_choice")?;
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        written.drop(target, "parallel_tool_calls")?;
    }
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    let mut given: Vec<&Tool> = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            _ if never && called.is_empty() => {}
            Tool::Function { name, .. } if allowed.is_none_or(|names| names.contains(name)) => {
                given.push(tool)
            }
            Tool::Function { .. } => {}
            Tool::Native { dialect: Dialect::Bedrock, .. } => given.push(tool),
            Tool::Native { .. } => written.drop(target, &format!("tools[{index}]"))?,
        }
    }
    if given.is_empty() && called.is_empty() {
        return Ok(());
    }
    let mut config = body.object("toolConfig");
    let mut tools = config.array("tools");
    for tool in &given {
        match tool {
            Tool::Function { name, description, parameters, strict, cache } => {
                let mut block = tools.object();
                let mut spec = block.object("toolSpec");
                spec.put("name", name);
                spec.maybe("description", description.as_ref().filter(|text| !text.is_empty()));
                let mut schema = spec.object("inputSchema");
                schema.put("json", &*object_schema(parameters.as_ref()));
                schema.end();
                if *strict == Some(true) {
                    spec.put("strict", &true);
                }
                spec.end();
                block.end();
                write_point(cache.as_ref(), &mut tools);
            }
            Tool::Native { value, .. } => {
                tools.put(value);
            }
        }
    }
    if given.is_empty() {
        for name in called {
            let schema = object_schema(None);
            tools.put(&json!({"toolSpec": {"name": name, "inputSchema": {"json": &*schema}}}));
        }
    }
    tools.end();
    let choice = match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => Some(json!({"any": {}})),
        Some(ToolChoice::Named(name)) => Some(json!({"tool": {"name": name}})),
        Some(ToolChoice::Auto | ToolChoice::Allowed { .. }) => Some(json!({"auto": {}})),
        Some(ToolChoice::None) | None => None,
    };
    config.maybe("toolChoice", choice.filter(|_| !given.is_empty()).as_ref());
    config.end();
    Ok(())
}

/// Names of the tools that the conversation has calls of, each once.
fn called<'a>(conversation: &Conversation<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for part in conversation.turns.iter().flat_map(|turn| &turn.parts) {
        if let Part::ToolCall { name, .. } = part
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

fn write_inference(
    request: &ChatRequest,
    target: &Target<'_>,
    own: bool,
    claude: bool,
    plan: &reasoning::Plan<'_>,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let thinks = matches!(plan.thinking, Some(Thinking::Adaptive | Thinking::Budget(_)));
    let temperature = match request.temperature {
        Some(temperature) if !own && claude && thinks && temperature != 1.0 => {
            written.drop(target, "temperature")?;
            None
        }
        Some(temperature) if !own && temperature > 1.0 => {
            written.drop(target, "temperature")?;
            Some(1.0)
        }
        temperature => temperature,
    };
    let raised = matches!(plan.thinking, Some(Thinking::Budget(_))) && claude && !own;
    let max_tokens = request.max_tokens.or_else(|| raised.then_some(plan.max_tokens));
    let stop: Vec<&String> = request.stop.iter().filter(|stop| own || !stop.trim().is_empty()).collect();
    if stop.len() < request.stop.len() {
        written.drop(target, "stop")?;
    }
    refuse_absent(request, target, written)?;
    if max_tokens.is_none() && temperature.is_none() && request.top_p.is_none() && stop.is_empty() {
        return Ok(());
    }
    let mut config = body.object("inferenceConfig");
    config.maybe("maxTokens", max_tokens.as_ref()).maybe("temperature", temperature.as_ref());
    config.maybe("topP", request.top_p.as_ref());
    if !stop.is_empty() {
        config.put("stopSequences", &stop);
    }
    config.end();
    Ok(())
}

/// Appends `outputConfig`: the effort, and the schema of the answer.
fn write_output(
    request: &ChatRequest,
    target: &Target<'_>,
    own: bool,
    claude: bool,
    plan: &reasoning::Plan<'_>,
    body: &mut Object<'_>,
) {
    // Models of others have no thinking in Claude's words, only the effort.
    let asked = request.reasoning.as_ref().and_then(|reasoning| reasoning.effort.as_deref());
    let effort = if own || claude && !reasoning::takes_budget(target.model) { plan.effort } else { None };
    let effort = effort.or_else(|| asked.filter(|effort| !claude && *effort != "none"));
    let effort = effort.map(|effort| if effort == "minimal" && !own { "low" } else { effort });
    let schema = match &request.response_format {
        Some(ResponseFormat::Schema { name, description, schema, .. }) => Some((name, description, schema)),
        _ => None,
    };
    if effort.is_none() && schema.is_none() {
        return;
    }
    let mut config = body.object("outputConfig");
    if let Some((name, description, schema)) = schema {
        let mut format = json!({"schema": schema.to_string(), "name": name});
        if let (Some(description), Some(format)) = (description, format.as_object_mut()) {
            format.insert("description".to_owned(), Value::String(description.clone()));
        }
        config.put("textFormat", &json!({"type": "json_schema", "structure": {"jsonSchema": format}}));
    }
    config.maybe("effort", effort);
    config.end();
}

fn write_labels(
    request: &ChatRequest,
    target: &Target<'_>,
    own: bool,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let mut labels: Map<String, Value> = Map::new();
    for (key, value) in request.metadata.iter().flatten() {
        let value = if value.is_string() { value.clone() } else { Value::String(value.to_string()) };
        labels.insert(key.clone(), value);
    }
    if let Some(user) = &request.user {
        labels.entry("user").or_insert_with(|| Value::String(user.clone()));
    }
    let fits = |text: &str| {
        text.len() <= 256
            && text.chars().all(|at| {
                at.is_ascii_alphanumeric() || at.is_ascii_whitespace() || ":_@$#=/+,-.".contains(at)
            })
    };
    let all_fit = labels.iter().all(|(key, value)| fits(key) && value.as_str().is_some_and(fits));
    if !own && (labels.len() > 16 || !all_fit) {
        written.drop(target, "metadata")?;
    } else if !labels.is_empty() {
        body.put("requestMetadata", &labels);
    }
    match request.service_tier.as_deref() {
        Some(tier) if own || matches!(tier, "priority" | "default" | "flex" | "reserved") => {
            body.put("serviceTier", &json!({"type": tier}));
        }
        None | Some("auto") => {}
        Some("standard" | "standard_only") => {
            body.put("serviceTier", &json!({"type": "default"}));
        }
        Some(_) => written.drop(target, "service_tier")?,
    }
    Ok(())
}

/// Appends `additionalModelRequestFields`: what only some models know.
fn write_more(
    request: &ChatRequest,
    target: &Target<'_>,
    own: bool,
    claude: bool,
    plan: &reasoning::Plan<'_>,
    written: &mut Written,
    body: &mut Object<'_>,
) -> Result<(), Fault> {
    let theirs = request.rest.get("additionalModelRequestFields").and_then(Value::as_object);
    let thinks = matches!(plan.thinking, Some(Thinking::Adaptive | Thinking::Budget(_)));
    let asked = request.reasoning.as_ref();
    let only_budget = asked.is_some_and(|reasoning| reasoning.effort.is_none()) && thinks;
    let thinking = (own || claude) && plan.thinking.is_some();
    if only_budget && !thinking {
        written.drop(target, "reasoning")?;
    }
    let top_k = match request.top_k {
        Some(top_k) if own || claude && !thinks => Some(top_k),
        Some(_) => {
            written.drop(target, "top_k")?;
            None
        }
        None => None,
    };
    if theirs.is_none_or(Map::is_empty) && !thinking && top_k.is_none() {
        return Ok(());
    }
    let mut more = body.object("additionalModelRequestFields");
    if thinking {
        reasoning::write(plan, &mut more);
    }
    more.maybe("top_k", top_k.as_ref());
    for (key, value) in theirs.into_iter().flatten() {
        let said = key == "thinking" && thinking || key == "top_k" && top_k.is_some();
        if !said {
            more.put(key, value);
        }
    }
    more.end();
    Ok(())
}
