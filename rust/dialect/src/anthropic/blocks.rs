//! Content blocks of Anthropic's messages, to and from parts.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::json::{Array, Fields, Object, Path, append};
use crate::turns::is_empty;
use crate::{Dialect, Fault, Media, Part, carry};

/// Reads `content`: a text, or blocks.
pub(super) fn parse_content(value: Value, path: Path<'_>) -> Result<Vec<Part>, Fault> {
    match value {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(blocks) => blocks
            .into_iter()
            .enumerate()
            .map(|(index, block)| parse_block(block, path.index(index)))
            .collect(),
        _ => Err(Fault::wrong(path.to_string(), "a string or an array of content blocks")),
    }
}

/// Reads one block. Types that the chat form has no word for stay whole.
pub(super) fn parse_block(block: Value, path: Path<'_>) -> Result<Part, Fault> {
    if is_own(&block) {
        return Ok(Part::Other { dialect: Dialect::Anthropic, value: block });
    }
    let mut fields = Fields::of(block, path)?;
    let kind = fields.required_string("type")?;
    let cache = fields.take("cache_control");
    match kind.as_str() {
        "text" => Ok(Part::Text {
            text: fields.required_string("text")?,
            cache,
            citations: fields
                .take("citations")
                .filter(|list| list.as_array().is_none_or(|list| !list.is_empty())),
        }),
        "image" => Ok(Part::Image { media: parse_source(&mut fields)?, detail: None, cache }),
        "document" => {
            let media = parse_source(&mut fields)?;
            let name = fields.string("title")?;
            Ok(Part::File { media, name, cache, rest: fields.rest() })
        }
        "tool_use" => {
            let (id, signature) = carry::split_id(fields.required_string("id")?);
            let name = fields.required_string("name")?;
            let arguments = fields.take("input").map(|input| input.to_string()).unwrap_or_default();
            Ok(Part::ToolCall { id, name, arguments, signature, cache })
        }
        "tool_result" => {
            let (id, _) = carry::split_id(fields.required_string("tool_use_id")?);
            let parts = match fields.take("content") {
                None => Vec::new(),
                Some(content) => parse_content(content, fields.path().key("content"))?,
            };
            let is_error = fields.boolean("is_error")?.unwrap_or(false);
            Ok(Part::ToolResult { id, name: None, parts, is_error, cache })
        }
        "thinking" => {
            let text = fields.string("thinking")?.unwrap_or_default();
            let (id, signature) = carry::split_thought(fields.string("signature")?.unwrap_or_default());
            Ok(Part::Thinking { text, signature, id })
        }
        _ => Ok(Part::RedactedThinking { data: fields.required_string("data")? }),
    }
}

/// Whether a block means nothing outside this dialect: a type of its own, a document made of blocks, a call by a
/// server's program or of a toolset, and their results.
fn is_own(block: &Value) -> bool {
    let there = |key: &str| block.get(key).is_some_and(|value| !value.is_null());
    match block.get("type").and_then(Value::as_str) {
        Some("text" | "image" | "thinking" | "redacted_thinking") => false,
        Some("document") => block.pointer("/source/type").and_then(Value::as_str) == Some("content"),
        Some("tool_use" | "tool_result") => {
            let caller = block.pointer("/caller/type").and_then(Value::as_str);
            there("toolset_name") || caller.is_some_and(|caller| caller != "direct")
        }
        Some(_) => true,
        None => false,
    }
}

fn parse_source(fields: &mut Fields<'_>) -> Result<Media, Fault> {
    let Some(source) = fields.take("source") else { return Err(fields.missing("source")) };
    let mut source = Fields::of(source, fields.path().key("source"))?;
    match source.required_string("type")?.as_str() {
        "base64" => Ok(Media::Base64 {
            media_type: source.string("media_type")?.unwrap_or_default(),
            data: source.required_string("data")?,
        }),
        "url" => Ok(Media::Url { url: source.required_string("url")?, media_type: None }),
        "file" => Ok(Media::FileId { id: source.required_string("file_id")? }),
        "text" => Ok(Media::Text { text: source.required_string("data")? }),
        _ => Err(source.wrong("type", "`base64`, `url`, `file`, `text` or `content`")),
    }
}

/// The name of what an API of this dialect can't take in a request, if the part is such.
pub(super) fn misfit(part: &Part) -> Option<&'static str> {
    match part {
        Part::Audio { .. } => Some("audio"),
        Part::Video { .. } => Some("video"),
        Part::Image { media: Media::Text { .. }, .. } => Some("image"),
        Part::Image { media: Media::Base64 { media_type, data }, .. } => {
            media_type_of(media_type, data).is_none().then_some("image")
        }
        Part::File { media: Media::Base64 { media_type, data }, .. } => {
            let known = matches!(media_type.as_str(), "application/pdf" | "")
                || media_type_of(media_type, data).is_some()
                || is_text(media_type) && plain_text(data).is_some();
            (!known).then_some("file")
        }
        Part::Other { dialect, .. } if *dialect != Dialect::Anthropic => Some("content"),
        _ => None,
    }
}

/// Appends a part as a block of a request. What [`misfit`] names must not come here.
pub(super) fn write_block(part: &Part, trim: bool, array: &mut Array<'_>) {
    match part {
        Part::Text { text, cache, citations } => {
            let text = if trim { text.trim_end() } else { text };
            let mut block = begin(array, "text");
            block.put("text", text);
            if let Some(own) = citations.as_ref().and_then(own_citations) {
                block.put("citations", &own);
            }
            end(block, cache.as_ref());
        }
        Part::Refusal { text } => {
            let mut block = begin(array, "text");
            block.put("text", text);
            block.end();
        }
        Part::Image { media, cache, .. } => {
            let mut block = begin(array, "image");
            write_source(media, &mut block);
            end(block, cache.as_ref());
        }
        Part::File { media, name, cache, rest } => {
            write_file(media, name.as_deref(), cache.as_ref(), rest, array)
        }
        Part::ToolCall { id, name, arguments, cache, .. } => {
            let mut block = begin(array, "tool_use");
            block.put("id", &*carry::plain_id(id)).put("name", name);
            block.key("input").extend_from_slice(object_text(arguments).unwrap_or("{}").as_bytes());
            end(block, cache.as_ref());
        }
        Part::ToolResult { id, parts, is_error, cache, .. } => {
            let mut block = begin(array, "tool_result");
            block.put("tool_use_id", &*carry::plain_id(id));
            match parts.as_slice() {
                [] => {}
                [Part::Text { text, cache: None, citations: None }] => {
                    block.put("content", text);
                }
                parts => {
                    let mut content = block.array("content");
                    for part in parts.iter().filter(|part| misfit(part).is_none() && !is_empty(part)) {
                        write_block(part, false, &mut content);
                    }
                    content.end();
                }
            }
            if *is_error {
                block.put("is_error", &true);
            }
            end(block, cache.as_ref());
        }
        Part::Thinking { text, signature, .. } => {
            let mut block = begin(array, "thinking");
            block.put("thinking", text).put("signature", signature.as_deref().unwrap_or_default());
            block.end();
        }
        Part::RedactedThinking { data } => {
            let mut block = begin(array, "redacted_thinking");
            block.put("data", data);
            block.end();
        }
        Part::Other { value, .. } => {
            array.put(value);
        }
        Part::Audio { .. } | Part::Video { .. } => {}
    }
}

/// A call's arguments, if they are a JSON object; `{}` where there are none.
pub(crate) fn object_text(arguments: &str) -> Option<&str> {
    let text = arguments.trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Some("{}");
    }
    let whole = text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    whole.then_some(text)
}

/// A call's arguments for a client's answer: an object, even where the model wrote none (then in `_arguments`).
pub(crate) fn arguments_or_empty(arguments: &str) -> Cow<'_, str> {
    match object_text(arguments) {
        Some(text) => Cow::Borrowed(text),
        None => {
            let mut out = b"{\"_arguments\":".to_vec();
            append(arguments, &mut out);
            out.push(b'}');
            Cow::Owned(String::from_utf8(out).unwrap_or_else(|_| "{}".to_owned()))
        }
    }
}

/// The type of a picture in base64, in the words of Anthropic and Bedrock; looked for in its first bytes where it is not
/// said. `None` where it is none that they take.
pub(crate) fn media_type_of<'a>(media_type: &'a str, data: &str) -> Option<&'a str> {
    match media_type {
        "image/jpg" | "image/pjpeg" => Some("image/jpeg"),
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => Some(media_type),
        "" | "image/*" | "application/octet-stream" => [
            ("iVBORw0KGgo", "image/png"),
            ("/9j/", "image/jpeg"),
            ("R0lGOD", "image/gif"),
            ("UklGR", "image/webp"),
        ]
        .into_iter()
        .find_map(|(start, name)| data.starts_with(start).then_some(name)),
        _ => None,
    }
}

/// Citations in this dialect's form for a client: its own as they are, OpenAI's `url_citation` as a web search result
/// (with an empty `encrypted_index`, by which requests know it again), others not at all.
pub(super) fn parse_citation(value: &Value, text: Option<&str>) -> Option<Value> {
    if is_own_citation(value) {
        return Some(value.clone());
    }
    if value.get("type").and_then(Value::as_str) != Some("url_citation") {
        return None;
    }
    let cited = value.get("url_citation").unwrap_or(value);
    let at = |key: &str| cited.get(key).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
    let quoted: String = match (text, at("start_index"), at("end_index")) {
        (Some(text), Some(start), Some(end)) => {
            text.chars().skip(start).take(end.saturating_sub(start)).collect()
        }
        _ => String::new(),
    };
    let word = |key: &str| cited.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(serde_json::json!({
        "type": "web_search_result_location",
        "url": word("url"),
        "title": word("title"),
        "cited_text": quoted,
        "encrypted_index": "",
    }))
}

/// All citations of a text for a client; `None` for none.
pub(super) fn answer_text_citations(citations: Option<&Value>, text: &str) -> Option<Value> {
    let list = citations?.as_array()?;
    let list: Vec<Value> = list.iter().filter_map(|value| parse_citation(value, Some(text))).collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

fn own_citations(citations: &Value) -> Option<Value> {
    let own: Vec<Value> = citations
        .as_array()?
        .iter()
        .filter(|value| is_own_citation(value))
        .filter(|value| value.get("encrypted_index").and_then(Value::as_str) != Some(""))
        .cloned()
        .collect();
    (!own.is_empty()).then_some(Value::Array(own))
}

fn is_own_citation(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("_location")
}

fn write_file(
    media: &Media,
    name: Option<&str>,
    cache: Option<&Value>,
    rest: &Map<String, Value>,
    array: &mut Array<'_>,
) {
    if let Media::Base64 { media_type, data } = media
        && media_type_of(media_type, data).is_some()
    {
        let mut block = begin(array, "image");
        write_source(media, &mut block);
        return end(block, cache);
    }
    let mut block = begin(array, "document");
    match media {
        Media::Base64 { media_type, data } if is_text(media_type) => {
            let text = plain_text(data).unwrap_or_default();
            write_source(&Media::Text { text }, &mut block);
        }
        Media::Base64 { data, .. } => {
            let mut source = block.object("source");
            source.put("type", "base64").put("media_type", "application/pdf").put("data", data);
            source.end();
        }
        other => write_source(other, &mut block),
    }
    if let Some(name) = name.filter(|_| !rest.contains_key("title")) {
        block.put("title", name);
    }
    for key in ["title", "context", "citations"] {
        block.maybe(key, rest.get(key));
    }
    end(block, cache);
}

/// Appends `source`.
pub(super) fn write_source(media: &Media, block: &mut Object<'_>) {
    let mut source = block.object("source");
    match media {
        Media::Base64 { media_type, data } => {
            let media_type = media_type_of(media_type, data).unwrap_or(media_type);
            source.put("type", "base64").put("media_type", media_type).put("data", data);
        }
        Media::Url { url, .. } => {
            source.put("type", "url").put("url", url);
        }
        Media::FileId { id } => {
            source.put("type", "file").put("file_id", id);
        }
        Media::Text { text } => {
            source.put("type", "text").put("media_type", "text/plain").put("data", text);
        }
    }
    source.end();
}

fn is_text(media_type: &str) -> bool {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    bare.starts_with("text/")
        || matches!(bare, "application/json" | "application/xml" | "application/x-ndjson")
}

fn plain_text(data: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

fn begin<'a>(array: &'a mut Array<'_>, kind: &str) -> Object<'a> {
    let mut block = array.object();
    block.put("type", kind);
    block
}

fn end(mut block: Object<'_>, cache: Option<&Value>) {
    block.maybe("cache_control", cache);
    block.end();
}
