//! Messages in Ollama's form, both ways.

use serde_json::{Map, Value};

use crate::ids::Calls;
use crate::json::{Array, Fields, Object, Path, append, parse_object};
use crate::{Dialect, Fault, Media, Message, Part, Role, media};

/// Reads one message of a request.
pub(super) fn read(value: Value, path: Path<'_>, calls: &mut Calls) -> Result<Message, Fault> {
    let mut fields = Fields::of(value, path)?;
    let role = match fields.required_string("role")?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(fields.wrong("role", "`system`, `user`, `assistant` or `tool`")),
    };
    let parts = if role == Role::Tool {
        let id = fields.string("tool_call_id")?;
        let told = fields.string("tool_name")?;
        let name = told.or(fields.string("name")?);
        let parts = said(&mut fields, calls)?;
        let (id, name) = calls.result(id, name.filter(|name| !name.is_empty()));
        vec![Part::ToolResult { id, name, parts, is_error: false, cache: None }]
    } else {
        said(&mut fields, calls)?
    };
    Ok(Message { role, parts, name: None, rest: fields.rest() })
}

/// Thoughts, words, pictures and calls of a message: of a request or of an answer.
pub(super) fn said(fields: &mut Fields<'_>, calls: &mut Calls) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    if let Some(text) = fields.string("thinking")?.filter(|text| !text.is_empty()) {
        parts.push(Part::Thinking { text, signature: None, id: None });
    }
    if let Some(text) = fields.string("content")?.filter(|text| !text.is_empty()) {
        parts.push(Part::text(text));
    }
    images(fields, &mut parts)?;
    let values = fields.array("tool_calls")?;
    let path = fields.path().key("tool_calls");
    for (index, value) in values.into_iter().enumerate() {
        let mut call = Fields::of(value, path.index(index))?;
        let id = call.string("id")?;
        let Some(function) = call.take("function") else { return Err(call.missing("function")) };
        let mut function = Fields::of(function, call.path().key("function"))?;
        let name = function.required_string("name")?;
        let arguments = match function.take("arguments") {
            None => "{}".to_owned(),
            // Some clients send the text that other dialects have.
            Some(Value::String(text)) => text,
            Some(value @ Value::Object(_)) => value.to_string(),
            Some(_) => return Err(function.wrong("arguments", "an object")),
        };
        parts.push(Part::ToolCall {
            id: calls.call(id, &name),
            name,
            arguments,
            signature: None,
            cache: None,
        });
    }
    Ok(parts)
}

/// Pictures: base64 whose type is told by its first bytes alone.
pub(super) fn images(fields: &mut Fields<'_>, parts: &mut Vec<Part>) -> Result<(), Fault> {
    for value in fields.array("images")? {
        let Value::String(data) = value else { return Err(fields.wrong("images", "a list of base64 texts")) };
        let media = match media::data_url(&data) {
            Some((media_type, data)) => {
                Media::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
            }
            None => {
                let media_type = media::sniff(&data).to_owned();
                Media::Base64 { media_type, data: media::standard_base64(data) }
            }
        };
        parts.push(Part::Image { media, detail: None, cache: None });
    }
    Ok(())
}

/// Writes one message; results each become one of their own. Returns the places of the parts that Ollama has no form for.
pub(super) fn write(message: &Message, list: &mut Array<'_>) -> Vec<usize> {
    if message.role == Role::Tool {
        let mut left = Vec::new();
        for (index, part) in message.parts.iter().enumerate() {
            let Part::ToolResult { id, name, parts, .. } = part else {
                left.push(index);
                continue;
            };
            let mut object = list.object();
            object.put("role", "tool");
            if !write_said(parts, "\n", &mut object).is_empty() {
                left.push(index);
            }
            object.maybe("tool_name", name.as_ref());
            if !id.is_empty() {
                object.put("tool_call_id", id);
            }
            object.end();
        }
        return left;
    }
    let mut object = list.object();
    let (role, between) = match message.role {
        Role::Assistant => ("assistant", ""),
        Role::User => ("user", "\n"),
        _ => ("system", "\n"),
    };
    object.put("role", role);
    let left = write_said(&message.parts, between, &mut object);
    object.end();
    left
}

/// Writes what was said into a message's object. Texts are joined: Ollama knows one a message.
pub(super) fn write_said(parts: &[Part], between: &str, object: &mut Object<'_>) -> Vec<usize> {
    let mut left = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut thoughts: Vec<&str> = Vec::new();
    let mut images: Vec<&str> = Vec::new();
    let mut any_call = false;
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Text { text, .. }
            | Part::Refusal { text }
            | Part::File { media: Media::Text { text }, .. } => {
                texts.push(text);
            }
            Part::Thinking { text, .. } => thoughts.push(text),
            Part::Image { media: Media::Base64 { data, .. }, .. } => images.push(data),
            Part::ToolCall { .. } => any_call = true,
            // Another provider's hidden thought says nothing to Ollama.
            Part::RedactedThinking { .. } | Part::Other { dialect: Dialect::Ollama, .. } => {}
            _ => left.push(index),
        }
    }
    append(&texts.join(between), object.key("content"));
    thoughts.retain(|text| !text.is_empty());
    if !thoughts.is_empty() {
        object.put("thinking", &thoughts.join("\n"));
    }
    if !images.is_empty() {
        object.put("images", &images);
    }
    if any_call {
        write_calls(parts, object);
    }
    left
}

/// Writes `tool_calls`.
pub(super) fn write_calls(parts: &[Part], object: &mut Object<'_>) {
    let mut list = object.array("tool_calls");
    let mut index = 0u64;
    for part in parts {
        if let Part::ToolCall { id, name, arguments, .. } = part {
            write_call(id, name, arguments, index, &mut list);
            index = index.saturating_add(1);
        }
    }
    list.end();
}

/// Writes a call. Arguments that are no JSON object go whole under `input`: Ollama takes nothing but objects.
pub(super) fn write_call(id: &str, name: &str, arguments: &str, index: u64, list: &mut Array<'_>) {
    let mut call = list.object();
    if !id.is_empty() {
        call.put("id", id);
    }
    let mut function = call.object("function");
    function.put("index", &index).put("name", name);
    match parse_object(arguments.as_bytes()) {
        Ok(map) => function.put("arguments", &map),
        Err(_) if arguments.trim().is_empty() => function.put("arguments", &Map::new()),
        Err(_) => function.put("arguments", &Map::from_iter([("input".to_owned(), Value::from(arguments))])),
    };
    function.end();
    call.end();
}
