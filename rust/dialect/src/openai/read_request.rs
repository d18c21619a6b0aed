//! Reads a client's chat request.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Flavour;
use super::content::{arguments_of, parse_call, parse_content, parse_thoughts};
use crate::carry::split_id;
use crate::json::{Fields, Path};
use crate::{ChatRequest, Fault, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice};

pub(crate) fn parse_request_as(flavour: Flavour, body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut fields = Fields::parse(body)?;
    let mut request = ChatRequest {
        model: fields.string("model")?.unwrap_or_default(),
        messages: parse_messages(flavour, &mut fields)?,
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.unsigned("top_k")?,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        stop: fields.strings("stop")?,
        n: fields.unsigned("n")?,
        seed: fields.signed(if flavour == Flavour::Mistral { "random_seed" } else { "seed" })?,
        logprobs: fields.boolean("logprobs")?,
        top_logprobs: fields.unsigned("top_logprobs")?,
        logit_bias: fields.take("logit_bias"),
        user: fields.string("user")?,
        metadata: fields.object("metadata")?,
        service_tier: fields.string("service_tier")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        ..ChatRequest::default()
    };
    let most = fields.unsigned("max_tokens")?;
    request.max_tokens = fields.unsigned("max_completion_tokens")?.or(most);
    parse_tools(flavour, &mut fields, &mut request)?;
    request.response_format = parse_format(&mut fields)?;
    request.reasoning = parse_reasoning(flavour, &mut fields)?;
    request.include_usage = flavour == Flavour::Mistral;
    if let Some(options) = fields.object("stream_options")? {
        let mut options = Fields::from_map(options, Path::Key(&Path::Root, "stream_options"));
        request.include_usage |= options.boolean("include_usage")?.unwrap_or(false);
        let others = options.rest();
        request.rest = fields.rest();
        if !others.is_empty() {
            request.rest.insert("stream_options".to_owned(), Value::Object(others));
        }
    } else {
        request.rest = fields.rest();
    }
    request.rest.retain(|_, value| !value.is_null());
    Ok(request)
}

fn parse_messages(flavour: Flavour, fields: &mut Fields<'_>) -> Result<Vec<Message>, Fault> {
    if !fields.has("messages") {
        return Err(fields.missing("messages"));
    }
    let values = fields.array("messages")?;
    if values.is_empty() {
        return Err(fields.wrong("messages", "a list of at least one message"));
    }
    let list = Path::Key(&Path::Root, "messages");
    // Names of calls by id: results don't tell them, but Gemini wants them.
    let mut names: HashMap<String, String> = HashMap::new();
    let mut messages = Vec::with_capacity(values.len());
    for (at, value) in values.into_iter().enumerate() {
        let message = parse_message(flavour, value, list.index(at), at, &names)?;
        for part in &message.parts {
            if let Part::ToolCall { id, name, .. } = part {
                names.insert(id.clone(), name.clone());
            }
        }
        messages.push(message);
    }
    Ok(messages)
}

fn parse_message(
    flavour: Flavour,
    value: Value,
    path: Path<'_>,
    number: usize,
    names: &HashMap<String, String>,
) -> Result<Message, Fault> {
    let mut fields = Fields::of(value, path)?;
    let word = fields.required_string("role")?;
    let content = fields.take("content");
    let at = path.key("content");
    let mut parts = Vec::new();
    let role = match word.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => return Err(fields.wrong("role", "system, developer, user, assistant or tool")),
    };
    let mut speaker = fields.string("name")?;
    match role {
        Role::Tool => {
            let called = fields.string("tool_call_id")?;
            let id = match (called, word.as_str(), &speaker) {
                (Some(id), _, _) if flavour == Flavour::Mistral => split_id(id).0,
                (Some(id), _, _) => id,
                // The older form knows functions by their names alone.
                (None, "function", Some(name)) => legacy_id(name),
                _ => return Err(fields.missing("tool_call_id")),
            };
            let name = names.get(&id).cloned().or_else(|| speaker.take());
            speaker = None;
            let mut inner = Vec::new();
            parse_content(flavour, content, at, &mut inner)?;
            let cache = fields.take("cache_control");
            parts.push(Part::ToolResult { id, name, parts: inner, is_error: false, cache });
        }
        Role::Assistant => parse_assistant(flavour, &mut fields, content, number, &mut parts)?,
        _ => {
            if content.is_none() {
                return Err(fields.missing("content"));
            }
            parse_content(flavour, content, at, &mut parts)?;
            if let (Some(Part::Text { cache: cache @ None, .. }), Some(mark)) =
                (parts.last_mut(), fields.take("cache_control"))
            {
                *cache = Some(mark);
            }
        }
    }
    let mut rest = fields.rest();
    rest.retain(|_, value| !value.is_null());
    // Mistral's SDK says of every answer that it is not the beginning of one.
    if flavour == Flavour::Mistral && rest.get("prefix") == Some(&Value::Bool(false)) {
        rest.remove("prefix");
    }
    Ok(Message { role, parts, name: speaker, rest })
}

fn parse_assistant(
    flavour: Flavour,
    fields: &mut Fields<'_>,
    content: Option<Value>,
    number: usize,
    parts: &mut Vec<Part>,
) -> Result<(), Fault> {
    let path = *fields.path();
    parse_thoughts(fields, parts);
    // An empty text stands beside calls in many clients, and some targets refuse empty texts.
    if content.as_ref().and_then(Value::as_str) != Some("") {
        parse_content(flavour, content, path.key("content"), parts)?;
    }
    if let Some(text) = fields.string("refusal")?.filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal { text });
    }
    let calls = path.key("tool_calls");
    for (at, value) in fields.array("tool_calls")?.into_iter().enumerate() {
        parts.push(parse_call(flavour, value, calls.index(at), || format!("call_{number}_{at}"))?);
    }
    if let Some(function) = fields.object("function_call")? {
        let mut function = Fields::from_map(function, path.key("function_call"));
        let name = function.required_string("name")?;
        let arguments = arguments_of(function.take("arguments"));
        parts.push(Part::ToolCall { id: legacy_id(&name), name, arguments, signature: None, cache: None });
    }
    Ok(())
}

/// The id of a call in the older form, which has none: results name the function.
pub(super) fn legacy_id(name: &str) -> String {
    format!("call_{name}")
}

fn parse_tools(flavour: Flavour, fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let list = Path::Key(&Path::Root, "tools");
    for (at, value) in fields.array("tools")?.into_iter().enumerate() {
        let path = list.index(at);
        if value.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "function") {
            request.tools.push(Tool::Native { dialect: flavour.dialect(), value });
            continue;
        }
        let mut tool = Fields::of(value, path)?;
        let cache = tool.take("cache_control");
        let Some(function) = tool.object("function")? else { return Err(tool.missing("function")) };
        request.tools.push(parse_function(Fields::from_map(function, path.key("function")), cache)?);
    }
    let list = Path::Key(&Path::Root, "functions");
    for (at, value) in fields.array("functions")?.into_iter().enumerate() {
        request.tools.push(parse_function(Fields::of(value, list.index(at))?, None)?);
    }
    let word = if fields.has("tool_choice") { "tool_choice" } else { "function_call" };
    let choice = match fields.peek(word) {
        None => None,
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" | "any" => Some(ToolChoice::Required),
            _ => return Err(fields.wrong(word, "`auto`, `none`, `required` or an object")),
        },
        Some(Value::Object(choice)) => choice_of(choice),
        Some(_) => return Err(fields.wrong(word, "a string or an object")),
    };
    // What is not known (a custom tool) stays in `rest`.
    if choice.is_some() {
        fields.take(word);
        request.tool_choice = choice;
    }
    Ok(())
}

fn choice_of(choice: &Map<String, Value>) -> Option<ToolChoice> {
    let name_of = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    if let Some(allowed) = choice.get("allowed_tools") {
        let names = allowed.get("tools")?.as_array()?.iter().map(|tool| name_of(tool.get("function")?));
        let required = allowed.get("mode").and_then(Value::as_str) == Some("required");
        return Some(ToolChoice::Allowed { names: names.collect::<Option<_>>()?, required });
    }
    match choice.get("function") {
        Some(function) => name_of(function).map(ToolChoice::Named),
        // The older form.
        None if !choice.contains_key("type") => {
            choice.get("name")?.as_str().map(|name| ToolChoice::Named(name.to_owned()))
        }
        None => None,
    }
}

fn parse_function(mut function: Fields<'_>, cache: Option<Value>) -> Result<Tool, Fault> {
    let parameters = function.take("parameters");
    if parameters.as_ref().is_some_and(|schema| !schema.is_object() && !schema.is_boolean()) {
        return Err(function.wrong("parameters", "a JSON Schema"));
    }
    Ok(Tool::Function {
        name: function.required_string("name")?,
        description: function.string("description")?,
        parameters,
        strict: function.boolean("strict")?,
        cache,
    })
}

fn parse_format(fields: &mut Fields<'_>) -> Result<Option<ResponseFormat>, Fault> {
    let kind = fields.peek("response_format").and_then(|format| format.get("type")).and_then(Value::as_str);
    let known = match kind {
        Some("text") => ResponseFormat::Text,
        Some("json_object") => ResponseFormat::Json,
        Some("json_schema") => {
            let at = Path::Key(&Path::Root, "response_format");
            let mut format = Fields::of(fields.take("response_format").unwrap_or_default(), at)?;
            let Some(schema) = format.object("json_schema")? else {
                return Err(format.missing("json_schema"));
            };
            let mut inner = Fields::from_map(schema, at.key("json_schema"));
            return Ok(Some(ResponseFormat::Schema {
                name: inner.string("name")?.unwrap_or_else(|| "response".to_owned()),
                description: inner.string("description")?,
                // Mistral's SDK calls it `schema_definition` in code, `schema` on the wire.
                schema: inner.take("schema").ok_or_else(|| inner.missing("schema"))?,
                strict: inner.boolean("strict")?,
            }));
        }
        // Grammars and the like of compatibles stay in `rest`.
        _ => return Ok(None),
    };
    fields.take("response_format");
    Ok(Some(known))
}

fn parse_reasoning(flavour: Flavour, fields: &mut Fields<'_>) -> Result<Option<Reasoning>, Fault> {
    let mut reasoning = Reasoning { effort: fields.string("reasoning_effort")?, ..Reasoning::default() };
    // OpenRouter's.
    if let Some(map) = fields.object("reasoning")? {
        let mut inner = Fields::from_map(map, Path::Key(&Path::Root, "reasoning"));
        reasoning.effort = inner.string("effort")?.or(reasoning.effort);
        reasoning.budget = inner.unsigned("max_tokens")?;
        reasoning.enabled = inner.boolean("enabled")?;
        reasoning.include = inner.boolean("exclude")?.map(|exclude| !exclude);
        reasoning.summary = inner.string("summary")?;
    }
    // Anthropic's, as DeepSeek, GLM and LiteLLM take it in this dialect.
    if let Some(map) = fields.object("thinking")? {
        let mut inner = Fields::from_map(map, Path::Key(&Path::Root, "thinking"));
        reasoning.enabled = inner.string("type")?.map(|kind| kind != "disabled").or(reasoning.enabled);
        reasoning.budget = inner.unsigned("budget_tokens")?.or(reasoning.budget);
    }
    if flavour == Flavour::Mistral && fields.peek_str("prompt_mode") == Some("reasoning") {
        fields.take("prompt_mode");
        reasoning.enabled = Some(true);
    }
    Ok((reasoning != Reasoning::default()).then_some(reasoning))
}
