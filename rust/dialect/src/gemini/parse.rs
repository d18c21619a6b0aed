//! Reads a client's `generateContent` request.

use serde_json::{Map, Value};

use super::parts::{camel_keys, list, message, read};
use super::schema::to_json_schema;
use crate::ids::Calls;
use crate::json::{Fields, Path, parse_object, unsigned};
use crate::{ChatRequest, Dialect, Fault, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice};

/// Reads a client's request. Model and stream are told by the path; a `countTokens` request that wraps one in
/// `generateContentRequest` is unwrapped.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut fields = Fields::from_map(camel_keys(parse_object(body)?), Path::Root);
    if let Some(Value::Object(inner)) = fields.take("generateContentRequest") {
        fields = Fields::from_map(camel_keys(inner), Path::Root);
    }
    let mut request = ChatRequest { include_usage: true, ..ChatRequest::default() };
    if let Some(model) = fields.string("model")? {
        request.model = model.strip_prefix("models/").map(str::to_owned).unwrap_or(model);
    }
    let mut calls = Calls::new();
    if let Some(system) = fields.take("systemInstruction") {
        let parts = match system {
            Value::String(text) => vec![Part::text(text)],
            system => content(system, fields.path().key("systemInstruction"), &mut calls)?.1,
        };
        push(Role::System, parts, &mut request.messages);
    }
    let contents = list(&mut fields, "contents")?;
    let path = fields.path().key("contents");
    for (turn, value) in contents.into_iter().enumerate() {
        calls.turn(turn);
        let (role, parts) = content(value, path.index(turn), &mut calls)?;
        turns(role, parts, &mut request.messages);
    }
    tools(&mut fields, &mut request)?;
    tool_config(&mut fields, &mut request)?;
    if let Some(config) = fields.take("generationConfig") {
        generation_config(message(config, fields.path().key("generationConfig"))?, &mut request)?;
    }
    request.service_tier = fields.string("serviceTier")?;
    request.rest.extend(fields.rest());
    Ok(request)
}

fn content(value: Value, path: Path<'_>, calls: &mut Calls) -> Result<(Role, Vec<Part>), Fault> {
    let mut fields = message(value, path)?;
    let role = match fields.string("role")?.as_deref() {
        None | Some("" | "user" | "function" | "tool") => Role::User,
        Some("model" | "assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) => return Err(fields.wrong("role", "`user` or `model`")),
    };
    let mut parts = Vec::new();
    let values = list(&mut fields, "parts")?;
    let path = fields.path().key("parts");
    for (index, value) in values.into_iter().enumerate() {
        read(value, path.index(index), calls, &mut parts)?;
    }
    Ok((role, parts))
}

/// A user's turn may hold results and words; each run of one sort becomes a message of its own.
fn turns(role: Role, parts: Vec<Part>, messages: &mut Vec<Message>) {
    if role != Role::User || !parts.iter().any(is_result) {
        return push(role, parts, messages);
    }
    let mut run: Vec<Part> = Vec::new();
    for part in parts {
        if run.first().is_some_and(|first| is_result(first) != is_result(&part)) {
            push(run_role(&run), std::mem::take(&mut run), messages);
        }
        run.push(part);
    }
    push(run_role(&run), run, messages);
}

fn run_role(run: &[Part]) -> Role {
    if run.first().is_some_and(is_result) { Role::Tool } else { Role::User }
}

fn is_result(part: &Part) -> bool {
    matches!(part, Part::ToolResult { .. })
}

fn push(role: Role, parts: Vec<Part>, messages: &mut Vec<Message>) {
    messages.push(Message { role, parts, name: None, rest: Map::new() });
}

fn tools(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let values = list(fields, "tools")?;
    let path = fields.path().key("tools");
    for (index, value) in values.into_iter().enumerate() {
        let mut tool = message(value, path.index(index))?;
        let declarations = list(&mut tool, "functionDeclarations")?;
        let inner = tool.path().key("functionDeclarations");
        for (index, value) in declarations.into_iter().enumerate() {
            let mut function = message(value, inner.index(index))?;
            let exact = function.take("parametersJsonSchema");
            let subset = function.take("parameters").map(to_json_schema);
            request.tools.push(Tool::Function {
                name: function.required_string("name")?,
                description: function.string("description")?,
                parameters: exact.or(subset),
                strict: None,
                cache: None,
            });
        }
        for (key, value) in tool.rest() {
            let value = Value::Object(Map::from_iter([(key, value)]));
            request.tools.push(Tool::Native { dialect: Dialect::Gemini, value });
        }
    }
    Ok(())
}

fn tool_config(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let Some(config) = fields.take("toolConfig") else { return Ok(()) };
    let mut config = message(config, fields.path().key("toolConfig"))?;
    if let Some(calling) = config.take("functionCallingConfig") {
        let mut calling = message(calling, config.path().key("functionCallingConfig"))?;
        let mode = calling.string("mode")?.unwrap_or_default().to_ascii_uppercase();
        let mut names = calling.strings("allowedFunctionNames")?;
        request.tool_choice = match (mode.as_str(), names.len()) {
            ("" | "MODE_UNSPECIFIED", 0) => None,
            ("NONE", _) => Some(ToolChoice::None),
            ("ANY", 0) => Some(ToolChoice::Required),
            ("ANY", 1) => names.pop().map(ToolChoice::Named),
            ("ANY", _) => Some(ToolChoice::Allowed { names, required: true }),
            ("AUTO" | "VALIDATED", 0) => Some(ToolChoice::Auto),
            ("" | "MODE_UNSPECIFIED" | "AUTO" | "VALIDATED", _) => {
                Some(ToolChoice::Allowed { names, required: false })
            }
            _ => return Err(calling.wrong("mode", "`AUTO`, `ANY`, `NONE` or `VALIDATED`")),
        };
        let left = calling.rest();
        if !left.is_empty() {
            let mut inner = Map::new();
            inner.insert("functionCallingConfig".into(), Value::Object(left));
            inner.extend(config.rest());
            request.rest.insert("toolConfig".into(), Value::Object(inner));
            return Ok(());
        }
    }
    let left = config.rest();
    if !left.is_empty() {
        request.rest.insert("toolConfig".into(), Value::Object(left));
    }
    Ok(())
}

fn generation_config(mut config: Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    request.temperature = config.number("temperature")?;
    request.top_p = config.number("topP")?;
    request.top_k = config.unsigned("topK")?;
    request.n = config.unsigned("candidateCount")?;
    request.seed = config.signed("seed")?;
    request.stop = config.strings("stopSequences")?;
    request.max_tokens = config.unsigned("maxOutputTokens")?;
    request.presence_penalty = config.number("presencePenalty")?;
    request.frequency_penalty = config.number("frequencyPenalty")?;
    request.logprobs = config.boolean("responseLogprobs")?;
    request.top_logprobs = config.unsigned("logprobs")?;
    response_format(&mut config, request)?;
    if let Some(thinking) = config.take("thinkingConfig") {
        let mut thinking = message(thinking, config.path().key("thinkingConfig"))?;
        // Where nothing is said thoughts are not told: the API's default.
        let include = Some(thinking.boolean("includeThoughts")?.unwrap_or(false));
        let mut reasoning = Reasoning { include, ..Reasoning::default() };
        match thinking.take("thinkingBudget") {
            None => {}
            Some(value) if value.as_i64() == Some(-1) => reasoning.enabled = Some(true),
            Some(value) => match unsigned(&value) {
                Some(0) => reasoning.enabled = Some(false),
                Some(budget) => reasoning.budget = Some(budget),
                None => return Err(thinking.wrong("thinkingBudget", "a whole number, -1 or more")),
            },
        }
        let level = thinking.string("thinkingLevel")?.map(|level| level.to_ascii_lowercase());
        reasoning.effort = level.filter(|level| level != "thinking_level_unspecified");
        request.reasoning = Some(reasoning);
    }
    let left = config.rest();
    if !left.is_empty() {
        request.rest.insert("generationConfig".into(), Value::Object(left));
    }
    Ok(())
}

fn response_format(config: &mut Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    match config.peek_str("responseMimeType") {
        Some("application/json") => {
            config.take("responseMimeType");
            let exact = config.take("responseJsonSchema");
            let subset = config.take("responseSchema").map(to_json_schema);
            request.response_format = Some(match exact.or(subset) {
                Some(schema) => ResponseFormat::Schema {
                    name: "response".into(),
                    description: None,
                    schema,
                    strict: None,
                },
                None => ResponseFormat::Json,
            });
        }
        Some("text/plain") => {
            config.take("responseMimeType");
            request.response_format = Some(ResponseFormat::Text);
        }
        // Others (`text/x.enum`) only Gemini knows: they stay among the rest, with their schema.
        _ => {}
    }
    Ok(())
}
