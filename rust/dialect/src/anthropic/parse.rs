//! Reads a client's request in Anthropic's words.

use serde_json::{Map, Value};

use super::blocks::{parse_block, parse_content};
use crate::json::{Fields, Path};
use crate::{ChatRequest, Dialect, Fault, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice};

/// Reads a client's request, also one of `count_tokens` (hence `max_tokens` may be absent).
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut body = Fields::parse(body)?;
    let mut request = ChatRequest {
        model: body.string("model")?.unwrap_or_default(),
        stream: body.boolean("stream")?.unwrap_or(false),
        include_usage: true,
        max_tokens: body.unsigned("max_tokens")?,
        temperature: body.number("temperature")?,
        top_p: body.number("top_p")?,
        top_k: body.unsigned("top_k")?,
        stop: body.strings("stop_sequences")?,
        service_tier: body.string("service_tier")?,
        dialect: Some(Dialect::Anthropic),
        ..ChatRequest::default()
    };
    if let Some(system) = body.take("system") {
        let parts = parse_content(system, Path::Root.key("system"))?;
        request.messages.push(message(Role::System, parts));
    }
    if !body.has("messages") {
        return Err(body.missing("messages"));
    }
    let path = Path::Root.key("messages");
    for (index, value) in body.array("messages")?.into_iter().enumerate() {
        parse_message(value, path.index(index), &mut request.messages)?;
    }
    let path = Path::Root.key("tools");
    for (index, tool) in body.array("tools")?.into_iter().enumerate() {
        request.tools.push(parse_tool(tool, path.index(index))?);
    }
    if let Some(choice) = body.take("tool_choice") {
        let mut choice = Fields::of(choice, Path::Root.key("tool_choice"))?;
        request.tool_choice = Some(match choice.required_string("type")?.as_str() {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(choice.required_string("name")?),
            _ => return Err(choice.wrong("type", "`auto`, `any`, `tool` or `none`")),
        });
        request.parallel_tool_calls = choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    }
    if let Some(mut metadata) = body.object("metadata")? {
        let user = metadata.shift_remove("user_id").filter(|user| !user.is_null());
        request.user = match user {
            None => None,
            Some(Value::String(user)) => Some(user),
            Some(_) => return Err(Fault::wrong("metadata.user_id", "a string")),
        };
        request.metadata = Some(metadata).filter(|metadata| !metadata.is_empty());
    }
    let thinking = body.object("thinking")?;
    let mut output = body.object("output_config")?.unwrap_or_default();
    let format = output.shift_remove("format").filter(|format| !format.is_null());
    let format = body.take("output_format").or(format);
    request.response_format = format.map(parse_format).transpose()?;
    let effort = match output.shift_remove("effort") {
        None | Some(Value::Null) => None,
        Some(Value::String(effort)) => Some(effort),
        Some(_) => return Err(Fault::wrong("output_config.effort", "a string")),
    };
    let mut rest = Map::new();
    request.reasoning = parse_thinking(thinking, effort, &mut rest)?;
    if !output.is_empty() {
        rest.insert("output_config".to_owned(), Value::Object(output));
    }
    rest.extend(body.rest());
    request.rest = rest;
    Ok(request)
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
    let first = messages.len();
    match content {
        Value::Array(blocks) if role == Role::User => {
            let path = fields.path().key("content");
            for (index, block) in blocks.into_iter().enumerate() {
                let part = parse_block(block, path.index(index))?;
                let role = if matches!(part, Part::ToolResult { .. }) { Role::Tool } else { Role::User };
                match messages.get_mut(first..).and_then(<[Message]>::last_mut) {
                    Some(last) if last.role == role => last.parts.push(part),
                    _ => messages.push(message(role, vec![part])),
                }
            }
            if messages.len() == first {
                messages.push(message(role, Vec::new()));
            }
        }
        content => messages.push(message(role, parse_content(content, fields.path().key("content"))?)),
    }
    if let Some(message) = messages.get_mut(first) {
        message.rest = fields.rest();
    }
    Ok(())
}

fn parse_tool(tool: Value, path: Path<'_>) -> Result<Tool, Fault> {
    let kind = tool.get("type").and_then(Value::as_str);
    // Tools that only a server's program may call mean nothing elsewhere.
    let direct = match tool.get("allowed_callers").and_then(Value::as_array) {
        Some(callers) => callers.iter().any(|caller| caller.as_str() == Some("direct")),
        None => true,
    };
    if kind.is_some_and(|kind| kind != "custom") || !direct {
        return Ok(Tool::Native { dialect: Dialect::Anthropic, value: tool });
    }
    let mut fields = Fields::of(tool, path)?;
    let parameters = fields.object("input_schema")?.map(Value::Object);
    if parameters.is_none() {
        return Err(fields.missing("input_schema"));
    }
    Ok(Tool::Function {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        parameters,
        strict: fields.boolean("strict")?,
        cache: fields.take("cache_control"),
    })
}

fn parse_format(format: Value) -> Result<ResponseFormat, Fault> {
    let config = Path::Root.key("output_config");
    let mut format = Fields::of(format, config.key("format"))?;
    if format.required_string("type")? != "json_schema" {
        return Err(format.wrong("type", "`json_schema`"));
    }
    let Some(schema) = format.object("schema")? else { return Err(format.missing("schema")) };
    Ok(ResponseFormat::Schema {
        name: "response".to_owned(),
        description: None,
        schema: Value::Object(schema),
        // Anthropic follows every schema to the letter.
        strict: Some(true),
    })
}

/// Reads `thinking` and the effort. A sort of thinking that the chat form has no word for stays in `rest`.
fn parse_thinking(
    thinking: Option<Map<String, Value>>,
    effort: Option<String>,
    rest: &mut Map<String, Value>,
) -> Result<Option<Reasoning>, Fault> {
    let mut reasoning = Reasoning { effort, ..Reasoning::default() };
    if let Some(thinking) = thinking {
        let mut fields = Fields::from_map(thinking, Path::Root.key("thinking"));
        match fields.peek_str("type") {
            Some("enabled") => {
                reasoning.enabled = Some(true);
                reasoning.budget = fields.unsigned("budget_tokens")?;
            }
            Some("adaptive") => reasoning.enabled = Some(true),
            Some("disabled") => reasoning.enabled = Some(false),
            Some(_) => {
                rest.insert("thinking".to_owned(), Value::Object(fields.rest()));
                return Ok(reasoning.effort.is_some().then_some(reasoning));
            }
            None => return Err(fields.missing("type")),
        }
        reasoning.include = fields.string("display")?.map(|display| display != "omitted");
    }
    Ok((reasoning != Reasoning::default()).then_some(reasoning))
}
