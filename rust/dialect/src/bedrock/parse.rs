//! Reads a client's request in Converse's words.

use serde_json::{Map, Value};

use super::blocks::{mark_of, parse_content};
use crate::json::{Fields, Path};
use crate::{ChatRequest, Dialect, Fault, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice};

/// Reads a client's request. The model and whether the answer is a stream are in the path.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    parse(Fields::parse(body)?)
}

/// Reads a client's request for the count of a conversation's tokens (`/model/{model}/count-tokens`).
pub fn parse_count_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut body = Fields::parse(body)?;
    let Some(mut input) = body.object("input")? else { return Err(body.missing("input")) };
    match input.shift_remove("converse") {
        Some(Value::Object(converse)) => {
            let path = Path::Root.key("input");
            parse(Fields::from_map(converse, path.key("converse")))
        }
        _ => Err(Fault::wrong("input", "an object with `converse`")),
    }
}

fn parse(mut body: Fields<'_>) -> Result<ChatRequest, Fault> {
    let mut request =
        ChatRequest { include_usage: true, dialect: Some(Dialect::Bedrock), ..ChatRequest::default() };
    let root = *body.path();
    if let Some(system) = body.take("system") {
        let parts = parse_content(system, root.key("system"))?;
        request.messages.push(message(Role::System, parts));
    }
    let path = root.key("messages");
    for (index, value) in body.array("messages")?.into_iter().enumerate() {
        parse_message(value, path.index(index), &mut request.messages)?;
    }
    if let Some(inference) = body.object("inferenceConfig")? {
        let mut inference = Fields::from_map(inference, root.key("inferenceConfig"));
        request.max_tokens = inference.unsigned("maxTokens")?;
        request.temperature = inference.number("temperature")?;
        request.top_p = inference.number("topP")?;
        request.stop = inference.strings("stopSequences")?;
    }
    if let Some(config) = body.object("toolConfig")? {
        parse_tools(Fields::from_map(config, root.key("toolConfig")), &mut request)?;
    }
    if let Some(tier) = body.object("serviceTier")? {
        request.service_tier = Fields::from_map(tier, root.key("serviceTier")).string("type")?;
    }
    let mut reasoning = Reasoning::default();
    if let Some(config) = body.object("outputConfig")? {
        let mut config = Fields::from_map(config, root.key("outputConfig"));
        reasoning.effort = config.string("effort")?;
        if let Some(format) = config.take("textFormat") {
            let schema = format.pointer("/structure/jsonSchema");
            let word = |key: &str| schema.and_then(|schema| schema.get(key)).and_then(Value::as_str);
            let parsed = word("schema").and_then(|schema| serde_json::from_str(schema).ok());
            let Some(parsed) = parsed else {
                return Err(config.wrong("textFormat", "a `json_schema` whose schema is JSON"));
            };
            request.response_format = Some(ResponseFormat::Schema {
                name: word("name").unwrap_or("response").to_owned(),
                description: word("description").map(str::to_owned),
                schema: parsed,
                strict: None,
            });
        }
    }
    request.metadata = body.object("requestMetadata")?.filter(|labels| !labels.is_empty());
    let mut more = body.object("additionalModelRequestFields")?.unwrap_or_default();
    if let Some(top_k) = more.get("top_k").and_then(crate::json::unsigned) {
        more.shift_remove("top_k");
        request.top_k = Some(top_k);
    }
    parse_thinking(&mut more, &mut reasoning);
    request.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
    request.rest = body.rest();
    request.rest.remove("modelId");
    if !more.is_empty() {
        request.rest.insert("additionalModelRequestFields".to_owned(), Value::Object(more));
    }
    Ok(request)
}

/// Takes out what Claude's models know as thinking, if the chat form has words for it.
fn parse_thinking(more: &mut Map<String, Value>, reasoning: &mut Reasoning) {
    let effort = more.get("output_config").and_then(|config| config.get("effort")).and_then(Value::as_str);
    if let Some(effort) = effort
        && reasoning.effort.is_none()
    {
        reasoning.effort = Some(effort.to_owned());
        if let Some(Value::Object(config)) = more.get_mut("output_config") {
            config.shift_remove("effort");
            if config.is_empty() {
                more.shift_remove("output_config");
            }
        }
    }
    let Some(thinking) = more.get("thinking") else { return };
    let display = thinking.get("display").and_then(Value::as_str).map(|display| display != "omitted");
    match thinking.get("type").and_then(Value::as_str) {
        Some("enabled") => {
            reasoning.enabled = Some(true);
            reasoning.budget = thinking.get("budget_tokens").and_then(crate::json::unsigned);
        }
        Some("adaptive") => reasoning.enabled = Some(true),
        Some("disabled") => reasoning.enabled = Some(false),
        _ => return,
    }
    reasoning.include = display;
    more.shift_remove("thinking");
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None, rest: Map::new() }
}

/// Reads a turn. Results of calls become messages of the tool's, apart from what the user says beside them.
fn parse_message(value: Value, path: Path<'_>, messages: &mut Vec<Message>) -> Result<(), Fault> {
    let mut fields = Fields::of(value, path)?;
    let role = match fields.required_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(fields.wrong("role", "`user`, `assistant` or `system`")),
    };
    let Some(content) = fields.take("content") else { return Err(fields.missing("content")) };
    let parts = parse_content(content, fields.path().key("content"))?;
    if role != Role::User || parts.is_empty() {
        messages.push(message(role, parts));
        return Ok(());
    }
    let first = messages.len();
    for part in parts {
        let role = if matches!(part, Part::ToolResult { .. }) { Role::Tool } else { Role::User };
        match messages.get_mut(first..).and_then(<[Message]>::last_mut) {
            Some(last) if last.role == role => last.parts.push(part),
            _ => messages.push(message(role, vec![part])),
        }
    }
    Ok(())
}

fn parse_tools(mut config: Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let root = *config.path();
    let path = root.key("tools");
    for (index, tool) in config.array("tools")?.into_iter().enumerate() {
        if let Some(point) = tool.get("cachePoint") {
            if let Some(Tool::Function { cache, .. }) = request.tools.last_mut() {
                *cache = Some(mark_of(point));
            }
            continue;
        }
        if tool.get("toolSpec").is_none() {
            request.tools.push(Tool::Native { dialect: Dialect::Bedrock, value: tool });
            continue;
        }
        let path = path.index(index);
        let mut tool = Fields::of(tool, path)?;
        let mut spec = Fields::of(tool.take("toolSpec").unwrap_or_default(), path.key("toolSpec"))?;
        let schema = spec.object("inputSchema")?;
        let parameters = schema.and_then(|mut schema| schema.shift_remove("json"));
        if !parameters.as_ref().is_some_and(Value::is_object) {
            return Err(spec.wrong("inputSchema", "an object with `json`"));
        }
        request.tools.push(Tool::Function {
            name: spec.required_string("name")?,
            description: spec.string("description")?,
            parameters,
            strict: spec.boolean("strict")?,
            cache: None,
        });
    }
    if let Some(choice) = config.object("toolChoice")? {
        let named = choice.get("tool").and_then(|tool| tool.get("name")).and_then(Value::as_str);
        request.tool_choice = Some(match named {
            Some(name) => ToolChoice::Named(name.to_owned()),
            None if choice.contains_key("any") => ToolChoice::Required,
            None if choice.contains_key("auto") => ToolChoice::Auto,
            None => return Err(config.wrong("toolChoice", "an object with `auto`, `any` or `tool`")),
        });
    }
    Ok(())
}
