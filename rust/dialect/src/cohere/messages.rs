//! Messages in Cohere's form, both ways.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::json::{Array, Fields, Object, Path, parse_object};
use crate::{Dialect, Fault, Media, Message, Part, Role, carry, media};

/// Reads one message of a request.
pub(super) fn read(value: Value, path: Path<'_>) -> Result<Message, Fault> {
    let mut fields = Fields::of(value, path)?;
    let role = match fields.required_string("role")?.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(fields.wrong("role", "`system`, `user`, `assistant` or `tool`")),
    };
    let parts = match role {
        Role::Assistant => assistant(&mut fields)?,
        Role::Tool => {
            let (id, _) = carry::split_id(fields.required_string("tool_call_id")?);
            let parts = content(&mut fields)?;
            vec![Part::ToolResult { id, name: None, parts, is_error: false, cache: None }]
        }
        _ => content(&mut fields)?,
    };
    Ok(Message { role, parts, name: None, rest: fields.rest() })
}

/// Reads an assistant's words, thoughts and calls: of a request's message or of an answer.
pub(super) fn assistant(fields: &mut Fields<'_>) -> Result<Vec<Part>, Fault> {
    let mut parts = content(fields)?;
    if let Some(plan) = fields.string("tool_plan")?.filter(|plan| !plan.is_empty()) {
        // Thoughts come first, then what is said of them.
        let at = parts.iter().take_while(|part| matches!(part, Part::Thinking { .. })).count();
        parts.insert(at, Part::text(plan));
    }
    cite(fields.array("citations")?, &mut parts);
    // A signature in an id is one that a writer of this dialect has put there.
    let values = fields.array("tool_calls")?;
    let path = fields.path().key("tool_calls");
    for (index, value) in values.into_iter().enumerate() {
        let mut call = Fields::of(value, path.index(index))?;
        let (id, signature) = carry::split_id(call.required_string("id")?);
        let Some(function) = call.take("function") else { return Err(call.missing("function")) };
        let mut function = Fields::of(function, call.path().key("function"))?;
        let name = function.required_string("name")?;
        let arguments = function.string("arguments")?.unwrap_or_default();
        parts.push(Part::ToolCall { id, name, arguments, signature, cache: None });
    }
    Ok(parts)
}

/// Citations go to the text that they are of.
fn cite(values: Vec<Value>, parts: &mut [Part]) {
    for value in values {
        let wanted =
            value.get("content_index").and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
        let at = match wanted {
            Some(at) if matches!(parts.get(at), Some(Part::Text { .. })) => Some(at),
            _ => parts.iter().rposition(|part| matches!(part, Part::Text { .. })),
        };
        if let Some(Part::Text { citations, .. }) = at.and_then(|at| parts.get_mut(at)) {
            match citations {
                Some(Value::Array(list)) => list.push(value),
                _ => *citations = Some(Value::Array(vec![value])),
            }
        }
    }
}

/// Citations of a text that are in Cohere's form.
pub(super) fn citations(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let list = value.and_then(Value::as_array);
    list.into_iter().flatten().filter(|one| is_citation(one))
}

/// Whether a citation is in Cohere's form; other dialects' have no place in it.
pub(super) fn is_citation(value: &Value) -> bool {
    value.get("sources").is_some() && value.get("start").is_some()
}

fn content(fields: &mut Fields<'_>) -> Result<Vec<Part>, Fault> {
    let values = match fields.take("content") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(Value::String(text)) => return Ok(vec![Part::text(text)]),
        Some(Value::Array(values)) => values,
        Some(_) => return Err(fields.wrong("content", "a string or an array")),
    };
    let path = fields.path().key("content");
    values.into_iter().enumerate().map(|(index, value)| block(value, path.index(index))).collect()
}

fn block(value: Value, path: Path<'_>) -> Result<Part, Fault> {
    let mut fields = Fields::of(value, path)?;
    match fields.peek_str("type") {
        Some("text") => Ok(Part::text(fields.required_string("text")?)),
        Some("thinking") => {
            Ok(Part::Thinking { text: fields.required_string("thinking")?, signature: None, id: None })
        }
        Some("image_url") => {
            let Some(value) = fields.take("image_url") else { return Err(fields.missing("image_url")) };
            let mut image = Fields::of(value, fields.path().key("image_url"))?;
            let url = image.required_string("url")?;
            let media = match media::data_url(&url) {
                Some((media_type, data)) => {
                    Media::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
                }
                None => Media::Url { url, media_type: None },
            };
            Ok(Part::Image { media, detail: image.string("detail")?, cache: None })
        }
        Some("document") => document(fields),
        Some(_) => Ok(Part::Other { dialect: Dialect::Cohere, value: Value::Object(fields.rest()) }),
        None => Err(fields.missing("type")),
    }
}

/// A document is an object of texts, told as JSON, or a text.
fn document(mut fields: Fields<'_>) -> Result<Part, Fault> {
    let Some(value) = fields.take("document") else { return Err(fields.missing("document")) };
    let mut inner = Fields::of(value, fields.path().key("document"))?;
    let text = match inner.take("data") {
        Some(Value::String(text)) => text,
        Some(data @ Value::Object(_)) => data.to_string(),
        _ => return Err(inner.wrong("data", "an object")),
    };
    let name = inner.string("id")?;
    Ok(Part::File { media: Media::Text { text }, name, cache: None, rest: Map::new() })
}

/// Writes one message; results each become a message of their own. Returns the places of the parts that Cohere has no form
/// for.
pub(super) fn write(message: &Message, list: &mut Array<'_>) -> Vec<usize> {
    match message.role {
        Role::Tool => write_results(message, list),
        Role::Assistant => {
            let mut object = list.object();
            object.put("role", "assistant");
            let left = write_assistant(&message.parts, false, &mut object);
            object.end();
            left
        }
        role => {
            let mut object = list.object();
            object.put("role", if role == Role::User { "user" } else { "system" });
            let left = match message.parts.as_slice() {
                [Part::Text { text, .. }] => {
                    object.put("content", text);
                    Vec::new()
                }
                parts => {
                    let mut blocks = object.array("content");
                    let left = places(parts, |part| write_block(part, role == Role::User, &mut blocks));
                    blocks.end();
                    left
                }
            };
            object.end();
            left
        }
    }
}

fn places(parts: &[Part], mut write: impl FnMut(&Part) -> bool) -> Vec<usize> {
    parts.iter().enumerate().filter_map(|(index, part)| (!write(part)).then_some(index)).collect()
}

fn write_results(message: &Message, list: &mut Array<'_>) -> Vec<usize> {
    places(&message.parts, |part| {
        let Part::ToolResult { id, parts, .. } = part else { return false };
        // What Cohere can't take of it is left out and told; the result itself must be there.
        let mut all = true;
        let mut object = list.object();
        object.put("role", "tool").put("tool_call_id", id);
        if let [Part::Text { text, .. }] = parts.as_slice() {
            object.put("content", text);
        } else {
            let mut blocks = object.array("content");
            for part in parts {
                match part {
                    Part::File { media: Media::Text { text }, name, .. } => {
                        write_document(text, name.as_deref(), &mut blocks);
                    }
                    part => all &= write_block(part, false, &mut blocks),
                }
            }
            blocks.end();
        }
        object.end();
        all
    })
}

fn write_document(text: &str, id: Option<&str>, blocks: &mut Array<'_>) {
    let mut block = blocks.object();
    block.put("type", "document");
    let mut document = block.object("document");
    match parse_object(text.as_bytes()) {
        Ok(data) => document.put("data", &data),
        Err(_) => document.put("data", text),
    };
    document.maybe("id", id);
    document.end();
    block.end();
}

/// Writes what an assistant said into a message's object: of a request or of an answer.
/// `signs` says that the ids of calls carry their signatures: for clients, which send them back.
pub(super) fn write_assistant(parts: &[Part], signs: bool, object: &mut Object<'_>) -> Vec<usize> {
    let has_call = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let words = |part: &Part| match part {
        Part::Text { text, .. } | Part::Refusal { text } => Some(text.clone()),
        _ => None,
    };
    let mut left = Vec::new();
    let mut inner = Vec::new();
    let mut blocks = Array::begin(&mut inner);
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::ToolCall { .. } | Part::RedactedThinking { .. } => {}
            Part::Text { .. } | Part::Refusal { .. } if has_call => {}
            Part::Thinking { text, .. } if text.is_empty() => {}
            part => {
                if !write_block(part, false, &mut blocks) {
                    left.push(index);
                }
            }
        }
    }
    blocks.end();
    if inner.len() > 2 {
        object.key("content").append(&mut inner);
    }
    if has_call {
        let plan: Vec<String> = parts.iter().filter_map(words).filter(|text| !text.is_empty()).collect();
        if !plan.is_empty() {
            object.put("tool_plan", &plan.join("\n"));
        }
        let mut calls = object.array("tool_calls");
        for part in parts {
            if let Part::ToolCall { id, name, arguments, signature, .. } = part {
                let id = id_of(id, signature.as_deref().filter(|_| signs));
                write_call(&id, name, arguments, calls.element());
            }
        }
        calls.end();
    }
    let all = parts.iter().flat_map(|part| match part {
        Part::Text { citations: told, .. } => citations(told.as_ref()).collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let all: Vec<&Value> = all.collect();
    if !all.is_empty() {
        object.put("citations", &all);
    }
    left
}

/// A call's id, with its signature in it where there is one.
pub(super) fn id_of<'a>(id: &'a str, signature: Option<&str>) -> Cow<'a, str> {
    match signature {
        Some(signature) => carry::signed_id(id, Some(signature)),
        None => Cow::Borrowed(id),
    }
}

/// Writes a call; one without arguments has an empty object.
pub(super) fn write_call(id: &str, name: &str, arguments: &str, out: &mut Vec<u8>) {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    crate::json::append(
        &json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}),
        out,
    );
}

fn write_block(part: &Part, images: bool, blocks: &mut Array<'_>) -> bool {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } | Part::File { media: Media::Text { text }, .. } => {
            let mut block = blocks.object();
            block.put("type", "text").put("text", text);
            block.end();
        }
        Part::Thinking { text, .. } => {
            let mut block = blocks.object();
            block.put("type", "thinking").put("thinking", text);
            block.end();
        }
        Part::Image { media, detail, .. } if images => {
            let url = match media {
                Media::Url { url, .. } => url.clone(),
                Media::Base64 { media_type, data } => {
                    let seen = media::sniff(data);
                    let sort = match (media_type.as_str(), seen) {
                        ("", "") => "image/jpeg",
                        ("", seen) => seen,
                        (told, _) => told,
                    };
                    format!("data:{sort};base64,{data}")
                }
                _ => return false,
            };
            let mut block = blocks.object();
            block.put("type", "image_url");
            let mut image = block.object("image_url");
            image.put("url", &url).maybe("detail", detail.as_ref());
            image.end();
            block.end();
        }
        Part::Other { dialect: Dialect::Cohere, value } => {
            blocks.put(value);
        }
        _ => return false,
    }
    true
}
