//! Reads a responses request into the chat form and writes one from it.

use serde_json::{Map, Value, json};

use super::{Carrier, ENCRYPTED, LOGPROBS, carrier};
use crate::chat::{Media, Message, Part, Reasoning, ResponseFormat, Role, Tool, ToolChoice};
use crate::json::{Fields, Path};
use crate::{ChatRequest, Dialect, Fault};

/// Reads a client's request.
pub fn parse(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut fields = Fields::parse(body)?;
    let mut request =
        ChatRequest { model: fields.string("model")?.unwrap_or_default(), ..ChatRequest::default() };
    if let Some(text) = fields.string("instructions")? {
        request.messages.push(message(Role::System, vec![Part::text(text)]));
    }
    let path = Path::Root.key("input");
    match fields.take("input") {
        None => {}
        Some(Value::String(text)) => request.messages.push(message(Role::User, vec![Part::text(text)])),
        Some(Value::Array(items)) => Items::read(items, path, &mut request.messages)?,
        Some(_) => return Err(Fault::wrong("input", "a string or a list of items")),
    }
    let path = Path::Root.key("tools");
    for (index, value) in fields.array("tools")?.into_iter().enumerate() {
        request.tools.push(tool(value, path.index(index))?);
    }
    let (choice, other_choice) = tool_choice(fields.take("tool_choice"))?;
    request.tool_choice = choice;
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls")?;
    request.max_tokens = fields.unsigned("max_output_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_logprobs = fields.unsigned("top_logprobs")?;
    request.service_tier = fields.string("service_tier")?;
    request.metadata = fields.object("metadata")?;
    request.user = fields.string("user")?;
    request.stream = fields.boolean("stream")?.unwrap_or(false);
    request.include_usage = true;
    // Its one field asks for padding against eavesdroppers who measure; what Tidegate writes has none.
    fields.take("stream_options");
    let (reasoning, other_reasoning) = reasoning(fields.object("reasoning")?)?;
    request.reasoning = reasoning;
    let (format, verbosity, other_text) = text_config(fields.object("text")?)?;
    request.response_format = format;
    if fields.peek("include").is_some_and(|include| !include.is_array()) {
        return Err(fields.wrong("include", "a list of strings"));
    }
    if fields.peek("include").and_then(Value::as_array).is_some_and(|list| list.iter().any(|v| v == LOGPROBS))
    {
        request.logprobs = Some(true);
    }
    // What says the default says nothing, and must not stand in the way at providers that have no word for it.
    if fields.peek("background") == Some(&Value::Bool(false)) {
        fields.take("background");
    }
    if fields.peek_str("truncation") == Some("disabled") {
        fields.take("truncation");
    }
    request.rest = fields.rest();
    request.rest.retain(|_, value| !value.is_null());
    let others = [
        ("tool_choice", other_choice),
        ("reasoning", other_reasoning),
        ("text", other_text),
        ("verbosity", verbosity),
    ];
    for (key, value) in others {
        if let Some(value) = value {
            request.rest.insert(key.to_owned(), value);
        }
    }
    if request.user.is_none() {
        request.user = request.rest.get("safety_identifier").and_then(Value::as_str).map(str::to_owned);
    }
    Ok(request)
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None, rest: Map::new() }
}

/// The list of items on its way into messages: what the model said in one go becomes one message, and so do the results
/// of its calls.
struct Items<'m> {
    messages: &'m mut Vec<Message>,
    /// Signatures of calls that came in carrying items: the call's id and the token.
    signatures: Vec<(String, String)>,
}

impl<'m> Items<'m> {
    fn read(items: Vec<Value>, path: Path<'_>, messages: &'m mut Vec<Message>) -> Result<(), Fault> {
        let mut reader = Self { messages, signatures: Vec::new() };
        for (index, item) in items.into_iter().enumerate() {
            reader.item(item, path.index(index))?;
        }
        let Self { messages, signatures } = reader;
        for (call, token) in signatures {
            let calls =
                messages.iter_mut().flat_map(|message| &mut message.parts).filter_map(|part| match part {
                    Part::ToolCall { id, signature, .. } if *id == call => Some(signature),
                    _ => None,
                });
            if let Some(signature) = calls.last() {
                *signature = Some(token);
            }
        }
        Ok(())
    }

    fn item(&mut self, item: Value, path: Path<'_>) -> Result<(), Fault> {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or("");
        match kind {
            "message" => self.message(Fields::of(item, path)?),
            "" if item.get("role").is_some() => self.message(Fields::of(item, path)?),
            "function_call" => {
                let mut fields = Fields::of(item, path)?;
                let id = fields.required_string("call_id")?;
                let name = fields.required_string("name")?;
                let arguments = fields.string("arguments")?.unwrap_or_default();
                self.push(
                    Role::Assistant,
                    Part::ToolCall { id, name, arguments, signature: None, cache: None },
                );
                Ok(())
            }
            "function_call_output" => {
                let mut fields = Fields::of(item, path)?;
                let id = fields.required_string("call_id")?;
                let name = fields.string("name")?;
                let at = path.key("output");
                let parts = match fields.take("output") {
                    None => Vec::new(),
                    Some(Value::String(text)) => vec![Part::text(text)],
                    Some(Value::Array(values)) => contents(values, at)?,
                    Some(_) => return Err(fields.wrong("output", "a string or a list of contents")),
                };
                self.push(Role::Tool, Part::ToolResult { id, name, parts, is_error: false, cache: None });
                Ok(())
            }
            "reasoning" => {
                match reasoning_item(item, path)? {
                    Carrier::Part(part) => self.push(Role::Assistant, part),
                    Carrier::Call { id, signature } => self.signatures.push((id, signature)),
                }
                Ok(())
            }
            "image_generation_call" => {
                let part = super::image_part(&item)
                    .unwrap_or(Part::Other { dialect: Dialect::Responses, value: item });
                self.push(Role::Assistant, part);
                Ok(())
            }
            "" if item.get("id").is_none() => match item {
                Value::Object(_) => Err(Fault::missing(path.key("type").to_string())),
                _ => Err(Fault::wrong(path.to_string(), "an object")),
            },
            _ => {
                // Built-in tools answer for themselves, but some outputs are the client's to give.
                let role = if kind.ends_with("_output") { Role::Tool } else { Role::Assistant };
                self.push(role, Part::Other { dialect: Dialect::Responses, value: item });
                Ok(())
            }
        }
    }

    fn message(&mut self, mut fields: Fields<'_>) -> Result<(), Fault> {
        let role = match fields.required_string("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            "developer" => Role::Developer,
            _ => return Err(fields.wrong("role", "`user`, `assistant`, `system` or `developer`")),
        };
        let path = *fields.path();
        let parts = match fields.take("content") {
            Some(Value::String(text)) => vec![Part::text(text)],
            Some(Value::Array(values)) => contents(values, path.key("content"))?,
            Some(_) => return Err(fields.wrong("content", "a string or a list of contents")),
            None => return Err(fields.missing("content")),
        };
        if role == Role::Assistant {
            for part in parts {
                self.push(role, part);
            }
        } else {
            self.messages.push(message(role, parts));
        }
        Ok(())
    }

    fn push(&mut self, role: Role, part: Part) {
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.parts.push(part),
            _ => self.messages.push(message(role, vec![part])),
        }
    }
}

fn reasoning_item(item: Value, path: Path<'_>) -> Result<Carrier, Fault> {
    let mut fields = Fields::of(item, path)?;
    let id = fields.string("id")?;
    let encrypted = fields.string("encrypted_content")?;
    let summary = fields.array("summary")?;
    let content = fields.array("content")?;
    Ok(carrier(id, encrypted, &summary, &content))
}

fn contents(values: Vec<Value>, path: Path<'_>) -> Result<Vec<Part>, Fault> {
    values.into_iter().enumerate().map(|(index, value)| content(value, path.index(index))).collect()
}

fn content(value: Value, path: Path<'_>) -> Result<Part, Fault> {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or("");
    match kind {
        "input_text" | "output_text" | "text" => {
            let mut fields = Fields::of(value, path)?;
            let cache = breakpoint(&mut fields);
            let text = fields.required_string("text")?;
            let citations =
                fields.take("annotations").filter(|list| list.as_array().is_none_or(|l| !l.is_empty()));
            Ok(Part::Text { text, cache, citations })
        }
        "refusal" => Ok(Part::Refusal { text: Fields::of(value, path)?.required_string("refusal")? }),
        "input_image" => {
            let mut fields = Fields::of(value, path)?;
            let cache = breakpoint(&mut fields);
            let detail = fields.string("detail")?;
            let media = match (fields.string("image_url")?, fields.string("file_id")?) {
                (Some(url), _) => from_url(url),
                (None, Some(id)) => Media::FileId { id },
                (None, None) => return Err(fields.missing("image_url")),
            };
            Ok(Part::Image { media, detail, cache })
        }
        "input_file" => {
            let mut fields = Fields::of(value, path)?;
            let cache = breakpoint(&mut fields);
            let name = fields.string("filename")?;
            let (id, data, url) =
                (fields.string("file_id")?, fields.string("file_data")?, fields.string("file_url")?);
            let media = match (id, data, url) {
                (Some(id), ..) => Media::FileId { id },
                (_, Some(data), _) if data.starts_with("data:") => from_url(data),
                (_, Some(data), _) => Media::Base64 { media_type: String::new(), data },
                (.., Some(url)) => Media::Url { url, media_type: None },
                _ => return Err(fields.missing("file_id")),
            };
            let mut rest = fields.rest();
            rest.shift_remove("type");
            rest.retain(|_, value| !value.is_null());
            Ok(Part::File { media, name, cache, rest })
        }
        "input_audio" => {
            let mut fields = Fields::of(value, path)?;
            let audio = fields.take("input_audio").ok_or_else(|| fields.missing("input_audio"))?;
            let at = path.key("input_audio");
            let mut audio = Fields::of(audio, at)?;
            let data = audio.required_string("data")?;
            let format = audio.string("format")?;
            let media_type = format.map(|format| format!("audio/{format}")).unwrap_or_default();
            Ok(Part::Audio { media: Media::Base64 { media_type, data } })
        }
        "" => match value {
            Value::Object(_) => Err(Fault::missing(path.key("type").to_string())),
            _ => Err(Fault::wrong(path.to_string(), "an object")),
        },
        _ => Ok(Part::Other { dialect: Dialect::Responses, value }),
    }
}

/// OpenAI's explicit breakpoints in the chat form's words; its longer time (12 hours) is the longer of theirs.
fn breakpoint(fields: &mut Fields<'_>) -> Option<Value> {
    let point = fields.take("prompt_cache_breakpoint")?;
    Some(match point.get("ttl").and_then(Value::as_str) {
        Some("12h") => json!({"type": "ephemeral", "ttl": "1h"}),
        _ => json!({"type": "ephemeral"}),
    })
}

/// Takes `data:image/png;base64,…` apart.
fn from_url(url: String) -> Media {
    let split = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')).and_then(|(head, data)| {
        let head = head.strip_suffix(";base64")?;
        let media_type = head.split(';').next().unwrap_or_default();
        Some(Media::Base64 { media_type: media_type.to_owned(), data: data.to_owned() })
    });
    split.unwrap_or(Media::Url { url, media_type: None })
}

fn tool(value: Value, path: Path<'_>) -> Result<Tool, Fault> {
    match value.get("type").and_then(Value::as_str) {
        Some("function") => {}
        Some(_) => return Ok(Tool::Native { dialect: Dialect::Responses, value }),
        None if value.is_object() => return Err(Fault::missing(path.key("type").to_string())),
        None => return Err(Fault::wrong(path.to_string(), "an object")),
    }
    let mut fields = Fields::of(value, path)?;
    let parameters = fields.take("parameters");
    if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
        return Err(fields.wrong("parameters", "a JSON schema (an object)"));
    }
    Ok(Tool::Function {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        parameters,
        strict: fields.boolean("strict")?,
        cache: None,
    })
}

/// The choice, or the whole value where it names what the chat form has no word for.
fn tool_choice(value: Option<Value>) -> Result<(Option<ToolChoice>, Option<Value>), Fault> {
    let Some(value) = value else { return Ok((None, None)) };
    let name = |value: &Value| match value.get("type").and_then(Value::as_str) {
        Some("function") => value.get("name").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let choice = match &value {
        Value::String(word) => match word.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => return Err(Fault::wrong("tool_choice", "`auto`, `none`, `required` or an object")),
        },
        Value::Object(object) => match object.get("type").and_then(Value::as_str) {
            Some("function") => match name(&value) {
                Some(name) => Some(ToolChoice::Named(name)),
                None => return Err(Fault::missing("tool_choice.name")),
            },
            Some("allowed_tools") => {
                let tools = object.get("tools").and_then(Value::as_array);
                let names: Option<Vec<String>> = tools.and_then(|tools| tools.iter().map(name).collect());
                let required = object.get("mode").and_then(Value::as_str) == Some("required");
                names.map(|names| ToolChoice::Allowed { names, required })
            }
            Some(_) => None,
            None => return Err(Fault::missing("tool_choice.type")),
        },
        _ => return Err(Fault::wrong("tool_choice", "a string or an object")),
    };
    let other = choice.is_none().then_some(value);
    Ok((choice, other))
}

fn reasoning(object: Option<Map<String, Value>>) -> Result<(Option<Reasoning>, Option<Value>), Fault> {
    let Some(object) = object else { return Ok((None, None)) };
    let mut fields = Fields::from_map(object, Path::Key(&Path::Root, "reasoning"));
    let effort = fields.string("effort")?;
    let old = fields.string("generate_summary")?;
    let summary = fields.string("summary")?.or(old);
    let rest = leftover(fields);
    let reasoning = Reasoning {
        enabled: effort.as_deref().map(|effort| effort != "none"),
        include: summary.is_some().then_some(true),
        effort,
        budget: None,
        summary,
    };
    let said = reasoning != Reasoning::default();
    Ok((said.then_some(reasoning), rest))
}

type TextConfig = (Option<ResponseFormat>, Option<Value>, Option<Value>);

fn text_config(object: Option<Map<String, Value>>) -> Result<TextConfig, Fault> {
    let Some(object) = object else { return Ok((None, None, None)) };
    let path = Path::Key(&Path::Root, "text");
    let mut fields = Fields::from_map(object, path);
    let verbosity = fields.take("verbosity");
    let format = match fields.object("format")? {
        None => None,
        Some(format) => {
            let mut fields = Fields::from_map(format, path.key("format"));
            Some(match fields.required_string("type")?.as_str() {
                "text" => ResponseFormat::Text,
                "json_object" => ResponseFormat::Json,
                "json_schema" => ResponseFormat::Schema {
                    name: fields.required_string("name")?,
                    description: fields.string("description")?,
                    schema: Value::Object(fields.object("schema")?.ok_or_else(|| fields.missing("schema"))?),
                    strict: fields.boolean("strict")?,
                },
                _ => return Err(fields.wrong("type", "`text`, `json_object` or `json_schema`")),
            })
        }
    };
    Ok((format, verbosity, leftover(fields)))
}

fn leftover(fields: Fields<'_>) -> Option<Value> {
    let mut rest = fields.rest();
    rest.retain(|_, value| !value.is_null());
    (!rest.is_empty()).then_some(Value::Object(rest))
}

/// Whether the tokens of thoughts are to be asked for, that the client did not ask for itself.
pub(super) fn wants_encrypted(reasoning: Option<&Reasoning>, rest: &Map<String, Value>) -> bool {
    let thinks = reasoning.is_some_and(|r| r.enabled != Some(false) && r.effort.as_deref() != Some("none"));
    let said = rest.get("include").and_then(Value::as_array);
    thinks && said.is_none_or(|list| list.iter().all(|v| v != ENCRYPTED))
}
