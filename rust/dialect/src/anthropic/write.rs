//! Writes a request to a provider in Anthropic's words.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::blocks::{is_empty, misfit, object_text, write_block};
use super::reasoning::{self, Thinking};
use crate::json::Object;
use crate::{
    ChatRequest, Dialect, Fault, Message, Part, ResponseFormat, Role, Target, Tool, ToolChoice, Written,
};

/// What is asked of a model that any JSON object is wanted from: the API has a form for schemas only.
const JSON_ONLY: &str = "Answer with a single JSON object and nothing else.";

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
    let conversation = Conversation::gather(request, own, target, &mut written)?;
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
    conversation.write(request, &mut body);
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

/// The conversation in the API's order: instructions, then turns.
struct Conversation<'a> {
    system: Vec<&'a Part>,
    turns: Vec<Turn<'a>>,
}

struct Turn<'a> {
    role: Role,
    parts: Vec<&'a Part>,
}

impl<'a> Conversation<'a> {
    fn gather(
        request: &'a ChatRequest,
        own: bool,
        target: &Target<'_>,
        written: &mut Written,
    ) -> Result<Self, Fault> {
        let mut this = Self { system: Vec::new(), turns: Vec::new() };
        for (index, message) in request.messages.iter().enumerate() {
            let parts = admitted(message, index, own, target, written)?;
            let role = match message.role {
                Role::System | Role::Developer if own && !this.turns.is_empty() => Role::System,
                Role::System | Role::Developer => {
                    this.system.extend(parts);
                    continue;
                }
                Role::User | Role::Tool => Role::User,
                Role::Assistant => Role::Assistant,
            };
            if parts.is_empty() {
                continue;
            }
            match this.turns.last_mut() {
                Some(last) if last.role == role && role != Role::System => last.parts.extend(parts),
                _ => this.turns.push(Turn { role, parts }),
            }
        }
        for turn in &mut this.turns {
            if turn.role == Role::User {
                // Stable: results keep their order, and so does what the user says behind them.
                turn.parts.sort_by_key(|part| !matches!(part, Part::ToolResult { .. }));
            }
        }
        while let Some(last) = this.turns.last_mut().filter(|turn| turn.role == Role::Assistant) {
            match last.parts.last() {
                Some(Part::Text { text, .. } | Part::Refusal { text }) if text.trim_end().is_empty() => {
                    last.parts.pop();
                }
                Some(_) => break,
                None => {
                    this.turns.pop();
                }
            }
        }
        if this.turns.is_empty() {
            return Err(Fault::wrong("messages", "a list with at least one message that is no instruction"));
        }
        Ok(this)
    }

    fn write(&self, request: &ChatRequest, body: &mut Object<'_>) {
        let json_only = matches!(request.response_format, Some(ResponseFormat::Json));
        match self.system.as_slice() {
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
        for (index, turn) in self.turns.iter().enumerate() {
            let prefill = index + 1 == self.turns.len() && turn.role == Role::Assistant;
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
}

/// The parts of a message that are written; those that the API can't take are refused or named.
fn admitted<'a>(
    message: &'a Message,
    index: usize,
    own: bool,
    target: &Target<'_>,
    written: &mut Written,
) -> Result<Vec<&'a Part>, Fault> {
    if message.name.is_some() && message.role != Role::Tool {
        written.drop(target, &format!("messages[{index}].name"))?;
    }
    if !own {
        for (key, value) in &message.rest {
            if !says_nothing(value) {
                written.drop(target, &format!("messages[{index}].{key}"))?;
            }
        }
    }
    let instruction = matches!(message.role, Role::System | Role::Developer);
    let mut parts = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        let wrong = match part {
            Part::Text { .. } => None,
            _ if instruction => Some("content"),
            Part::ToolCall { arguments, .. } if object_text(arguments).is_none() => {
                let path = format!("messages[{index}].tool_calls.arguments");
                return Err(Fault::wrong(path, "the text of a JSON object"));
            }
            Part::ToolResult { parts, .. } => {
                for name in parts.iter().filter_map(misfit) {
                    written.drop(target, &format!("messages[{index}].{name}"))?;
                }
                None
            }
            // Signed by another provider (a reasoning item of OpenAI's has an id), or by nobody: the API refuses it.
            Part::Thinking { signature, id, .. } if signature.is_none() || id.is_some() => continue,
            part => misfit(part),
        };
        match wrong {
            Some(name) => written.drop(target, &format!("messages[{index}].{name}"))?,
            None if is_empty(part) => {}
            None => parts.push(part),
        }
    }
    let thinks = |part: &&Part| matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. });
    // With thinking on, a turn with calls must begin with its thoughts; Anthropic's own turns keep the order they came in.
    if message.role == Role::Assistant && !own && !parts.first().is_some_and(thinks) {
        parts.sort_by_key(|part| !thinks(part));
    }
    Ok(parts)
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
    let absent = [
        ("n", request.n.is_some_and(|n| n != 1)),
        ("seed", request.seed.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count != 0)),
        ("logit_bias", request.logit_bias.as_ref().is_some_and(|bias| !says_nothing(bias))),
    ];
    absent.into_iter().filter(|(_, asked)| *asked).try_for_each(|(name, _)| written.drop(target, name))?;
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

/// Whether leaving it out changes nothing.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
