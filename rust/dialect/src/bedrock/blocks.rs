//! Content blocks of Converse, to and from parts.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::media::{
    document_format, document_type, image_format, is_bytes, media_subtype, parse_source, write_file,
    write_image, write_media,
};
use crate::anthropic::{arguments_or_empty, media_type_of, object_text};
use crate::json::{Array, Fields, Path};
use crate::turns::is_empty;
use crate::{Dialect, Fault, Media, Part, carry};

/// The most characters of a call's id.
const ID_LENGTH: usize = 64;

/// Reads `content`. A cache point marks the block before it.
pub(super) fn parse_content(value: Value, path: Path<'_>) -> Result<Vec<Part>, Fault> {
    let Value::Array(blocks) = value else {
        return Err(Fault::wrong(path.to_string(), "an array of content blocks"));
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().enumerate() {
        match block.get("cachePoint") {
            Some(point) => {
                let mark = mark_of(point);
                if let Some(cache) = parts.last_mut().and_then(cache_of) {
                    *cache = Some(mark);
                }
            }
            None => parts.push(parse_block(block, path.index(index))?),
        }
    }
    Ok(parts)
}

/// Reads one block. Sorts that the chat form has no word for stay whole.
pub(super) fn parse_block(block: Value, path: Path<'_>) -> Result<Part, Fault> {
    if is_own(&block) {
        return Ok(Part::Other { dialect: Dialect::Bedrock, value: block });
    }
    let mut fields = Fields::of(block, path)?;
    if let Some(text) = fields.string("text")? {
        return Ok(Part::text(text));
    }
    if let Some(json) = fields.take("json") {
        return Ok(Part::text(json.to_string()));
    }
    let path = *fields.path();
    for (key, kind) in [("image", "image"), ("video", "video"), ("audio", "audio")] {
        if let Some(value) = fields.take(key) {
            let mut inner = Fields::of(value, path.key(key))?;
            let format = inner.required_string("format")?;
            let media = parse_source(&mut inner, || format!("{kind}/{}", media_subtype(&format)))?;
            return Ok(match key {
                "image" => Part::Image { media, detail: None, cache: None },
                "video" => Part::Video { media },
                _ => Part::Audio { media },
            });
        }
    }
    if let Some(value) = fields.take("document") {
        let mut inner = Fields::of(value, path.key("document"))?;
        let format = inner.string("format")?.unwrap_or_else(|| "txt".to_owned());
        let media = parse_source(&mut inner, || document_type(&format).to_owned())?;
        let name = inner.string("name")?;
        return Ok(Part::File { media, name, cache: None, rest: inner.rest() });
    }
    if let Some(value) = fields.take("toolUse") {
        let mut inner = Fields::of(value, path.key("toolUse"))?;
        let (id, signature) = carry::split_id(inner.required_string("toolUseId")?);
        let name = inner.required_string("name")?;
        let arguments = inner.take("input").map(|input| input.to_string()).unwrap_or_default();
        return Ok(Part::ToolCall { id, name, arguments, signature, cache: None });
    }
    if let Some(value) = fields.take("toolResult") {
        let mut inner = Fields::of(value, path.key("toolResult"))?;
        let (id, _) = carry::split_id(inner.required_string("toolUseId")?);
        let parts = match inner.take("content") {
            None => Vec::new(),
            Some(content) => parse_content(content, inner.path().key("content"))?,
        };
        let is_error = inner.string("status")?.is_some_and(|status| status == "error");
        return Ok(Part::ToolResult { id, name: None, parts, is_error, cache: None });
    }
    if let Some(value) = fields.take("reasoningContent") {
        let mut inner = Fields::of(value, path.key("reasoningContent"))?;
        if let Some(data) = inner.string("redactedContent")? {
            return Ok(Part::RedactedThinking { data });
        }
        let Some(text) = inner.take("reasoningText") else { return Err(inner.missing("reasoningText")) };
        let mut text = Fields::of(text, inner.path().key("reasoningText"))?;
        let (id, signature) = carry::split_thought(text.string("signature")?.unwrap_or_default());
        return Ok(Part::Thinking { text: text.string("text")?.unwrap_or_default(), signature, id });
    }
    if let Some(value) = fields.take("citationsContent") {
        let mut inner = Fields::of(value, path.key("citationsContent"))?;
        let texts = inner.array("content")?;
        let text = texts.iter().filter_map(|text| text.get("text").and_then(Value::as_str)).collect();
        let citations = inner.take("citations");
        return Ok(Part::Text { text, cache: None, citations });
    }
    Err(Fault::wrong(
        path.to_string(),
        "an object with one of `text`, `image`, `document`, `toolUse`, `toolResult` …",
    ))
}

/// Whether a block means nothing outside this dialect: sorts of its own, calls that the provider runs itself, documents
/// made of blocks, and places that belong to somebody else.
fn is_own(block: &Value) -> bool {
    let at = |pointer: &str| block.pointer(pointer).is_some_and(|value| !value.is_null());
    ["/guardContent", "/searchResult", "/toolAddition", "/toolRemoval", "/toolUse/type", "/toolResult/type"]
        .into_iter()
        .chain(["/document/source/content", "/image/source/s3Location/bucketOwner"])
        .chain(["/document/source/s3Location/bucketOwner", "/video/source/s3Location/bucketOwner"])
        .any(at)
}

/// A cache point in the chat form's words.
pub(super) fn mark_of(point: &Value) -> Value {
    match point.get("ttl").and_then(Value::as_str) {
        Some(ttl) => json!({"type": "ephemeral", "ttl": ttl}),
        None => json!({"type": "ephemeral"}),
    }
}

fn cache_of(part: &mut Part) -> Option<&mut Option<Value>> {
    match part {
        Part::Text { cache, .. }
        | Part::Image { cache, .. }
        | Part::File { cache, .. }
        | Part::ToolCall { cache, .. }
        | Part::ToolResult { cache, .. } => Some(cache),
        _ => None,
    }
}

/// Appends the cache point that stands behind a marked block.
pub(super) fn write_point(mark: Option<&Value>, array: &mut Array<'_>) {
    let Some(mark) = mark else { return };
    let mut block = array.object();
    let mut point = block.object("cachePoint");
    point.put("type", "default").maybe("ttl", mark.get("ttl"));
    point.end();
    block.end();
}

/// The name of what Converse can't take in a request, if the part is such.
pub(super) fn misfit(part: &Part) -> Option<&'static str> {
    let place = |media: &Media| matches!(media, Media::Url { url, .. } if url.starts_with("s3://"));
    match part {
        Part::Image { media: Media::Base64 { media_type, data }, .. } => {
            media_type_of(media_type, data).is_none().then_some("image")
        }
        Part::Image { media, .. } => (!place(media) || image_format(media).is_none()).then_some("image"),
        Part::Video { media } => (!is_bytes(media) && !place(media)).then_some("video"),
        Part::Audio { media } => (!is_bytes(media) && !place(media)).then_some("audio"),
        Part::File { media: Media::Text { .. }, .. } => None,
        Part::File { media: Media::Base64 { media_type, data }, .. } => {
            (document_format(media_type).is_none() && media_type_of(media_type, data).is_none())
                .then_some("file")
        }
        Part::File { media, .. } => (!place(media)).then_some("file"),
        Part::RedactedThinking { data } => STANDARD.decode(data).is_err().then_some("redacted_thinking"),
        Part::Other { dialect, .. } if *dialect != Dialect::Bedrock => Some("content"),
        _ => None,
    }
}

/// Appends a part as a block of a request, and the cache point behind it. What [`misfit`] names must not come here.
pub(super) fn write_block(part: &Part, trim: bool, array: &mut Array<'_>) {
    match part {
        Part::Text { text, cache, .. } => {
            write_text(if trim { text.trim_end() } else { text }, array);
            write_point(cache.as_ref(), array);
        }
        Part::Refusal { text } => write_text(text, array),
        Part::Image { media, cache, .. } => {
            write_image(media, array);
            write_point(cache.as_ref(), array);
        }
        Part::Video { media } => write_media("video", media, array),
        Part::Audio { media } => write_media("audio", media, array),
        Part::File { media, name, cache, rest } => {
            write_file(media, name.as_deref(), rest, array);
            write_point(cache.as_ref(), array);
        }
        Part::ToolCall { id, name, arguments, cache, .. } => {
            write_call(&short_id(id), name, object_text(arguments).unwrap_or("{}"), array);
            write_point(cache.as_ref(), array);
        }
        Part::ToolResult { id, parts, is_error, cache, .. } => {
            let mut block = array.object();
            let mut result = block.object("toolResult");
            result.put("toolUseId", &*short_id(id));
            let mut content = result.array("content");
            for part in parts.iter().filter(|part| misfit(part).is_none() && !is_empty(part)) {
                write_block(part, false, &mut content);
            }
            content.end();
            if *is_error {
                result.put("status", "error");
            }
            result.end();
            block.end();
            write_point(cache.as_ref(), array);
        }
        Part::Thinking { text, signature, .. } => {
            write_thought(text, signature.as_deref().unwrap_or_default(), array);
        }
        Part::RedactedThinking { data } => write_redacted(data, array),
        Part::Other { value, .. } => {
            array.put(value);
        }
    }
}

/// Appends a part as a block of an answer. What Converse has no block for is left out.
pub(super) fn write_answer_block(part: &Part, array: &mut Array<'_>) {
    match part {
        Part::Text { text, citations: Some(citations), .. } if is_own_citations(citations) => {
            let mut block = array.object();
            let mut content = block.object("citationsContent");
            content.put("content", &json!([{"text": text}]));
            content.put("citations", citations);
            content.end();
            block.end();
        }
        Part::ToolCall { id, name, arguments, signature, .. } => {
            let id = carry::signed_id(id, signature.as_deref());
            write_call(&id, name, &arguments_or_empty(arguments), array);
        }
        Part::Thinking { text, signature, id } => {
            write_thought(text, &carry::signed_thought(id.as_deref(), signature.as_deref()), array);
        }
        Part::ToolResult { .. } => {}
        Part::Text { text, .. } => write_text(text, array),
        part if misfit(part).is_none() => write_block(part, false, array),
        _ => {}
    }
}

/// Citations in Converse's form have no type, but a place.
fn is_own_citations(citations: &Value) -> bool {
    citations.as_array().is_some_and(|list| list.iter().all(is_own_citation))
}

pub(super) fn is_own_citation(citation: &Value) -> bool {
    citation.is_object() && citation.get("type").is_none()
}

fn write_text(text: &str, array: &mut Array<'_>) {
    let mut block = array.object();
    block.put("text", text);
    block.end();
}

fn write_call(id: &str, name: &str, input: &str, array: &mut Array<'_>) {
    let mut block = array.object();
    let mut call = block.object("toolUse");
    call.put("toolUseId", id).put("name", name);
    call.key("input").extend_from_slice(input.as_bytes());
    call.end();
    block.end();
}

fn write_thought(text: &str, signature: &str, array: &mut Array<'_>) {
    let mut block = array.object();
    let mut content = block.object("reasoningContent");
    let mut thought = content.object("reasoningText");
    thought.put("text", text).maybe("signature", Some(signature).filter(|signature| !signature.is_empty()));
    thought.end();
    content.end();
    block.end();
}

fn write_redacted(data: &str, array: &mut Array<'_>) {
    let mut block = array.object();
    let mut content = block.object("reasoningContent");
    content.put("redactedContent", data);
    content.end();
    block.end();
}

/// A call's id in Converse's alphabet and length.
pub(super) fn short_id(id: &str) -> Cow<'_, str> {
    let plain = carry::plain_id(id);
    if plain.len() <= ID_LENGTH {
        return plain;
    }
    let start = plain.get(..ID_LENGTH - 17).unwrap_or_default();
    Cow::Owned(format!("{start}_{:016x}", xxhash_rust::xxh3::xxh3_64(id.as_bytes())))
}
