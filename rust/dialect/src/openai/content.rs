//! Pieces of messages: text, pictures, sound, files, thoughts, calls; read and written.

use serde_json::{Map, Value, json};

use super::{Flavour, in_family};
use crate::carry::{Home, split_id};
use crate::json::{Fields, Path, append};
use crate::{Fault, Media, Part};

/// Reads a message's `content`: a text, a list of parts, or nothing.
pub(super) fn parse_content(
    flavour: Flavour,
    content: Option<Value>,
    path: Path<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), Fault> {
    match content {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) => {
            parts.push(Part::text(text));
            Ok(())
        }
        Some(Value::Array(values)) => {
            parts.reserve(values.len());
            for (at, value) in values.into_iter().enumerate() {
                parts.push(parse_part(flavour, value, path.index(at))?);
            }
            Ok(())
        }
        Some(_) => Err(Fault::wrong(path.to_string(), "a string or a list of parts")),
    }
}

/// Reads one part. What is not known is kept whole.
pub(super) fn parse_part(flavour: Flavour, value: Value, path: Path<'_>) -> Result<Part, Fault> {
    let mut fields = Fields::of(value, path)?;
    let kind = fields.required_string("type")?;
    let cache = cache_of(&mut fields);
    match kind.as_str() {
        "text" | "input_text" | "output_text" => Ok(Part::Text {
            text: fields.required_string("text")?,
            cache,
            citations: fields
                .take("annotations")
                .filter(|list| list.as_array().is_none_or(|list| !list.is_empty())),
        }),
        "refusal" => Ok(Part::Refusal { text: fields.required_string("refusal")? }),
        "image_url" => {
            let (url, detail) = url_of(&mut fields, "image_url")?;
            Ok(Part::Image { media: media_of_url(url, None), detail, cache })
        }
        "video_url" => Ok(Part::Video { media: media_of_url(url_of(&mut fields, "video_url")?.0, None) }),
        "audio_url" => Ok(Part::Audio { media: media_of_url(url_of(&mut fields, "audio_url")?.0, None) }),
        "input_audio" => match fields.take("input_audio") {
            // Mistral's: a URL or base64 alone.
            Some(Value::String(text)) => Ok(Part::Audio { media: media_of_data(text) }),
            Some(Value::Object(map)) => {
                let path = fields.path().key("input_audio");
                let mut audio = Fields::from_map(map, path);
                let data = audio.required_string("data")?;
                let format = audio.string("format")?.unwrap_or_default();
                Ok(Part::Audio { media: Media::Base64 { media_type: audio_type(&format), data } })
            }
            _ => Err(fields.missing("input_audio")),
        },
        "file" => parse_file(fields, cache),
        "document_url" => Ok(Part::File {
            media: media_of_url(fields.required_string("document_url")?, None),
            name: fields.string("document_name")?,
            cache,
            rest: Map::new(),
        }),
        "thinking" => {
            let thinking = fields.take("thinking");
            // Mistral's are lists, Anthropic's texts.
            let mistral = matches!(thinking, Some(Value::Array(_)));
            let text = match thinking {
                Some(Value::String(text)) => text,
                Some(Value::Array(pieces)) => {
                    pieces.iter().filter_map(|piece| piece.get("text").and_then(Value::as_str)).collect()
                }
                _ => String::new(),
            };
            let signature = fields.string("signature")?;
            let signature = signature.map(|told| if mistral { Home::Mistral.read(told) } else { told });
            Ok(Part::Thinking { text, signature, id: None })
        }
        "redacted_thinking" => Ok(Part::RedactedThinking { data: fields.required_string("data")? }),
        _ => {
            let mut value = Map::new();
            value.insert("type".to_owned(), Value::String(kind));
            value.extend(fields.rest());
            Ok(Part::Other { dialect: flavour.dialect(), value: Value::Object(value) })
        }
    }
}

fn parse_file(mut fields: Fields<'_>, cache: Option<Value>) -> Result<Part, Fault> {
    let nested = fields.object("file")?;
    let at = fields.path().key("file");
    let mut file = match nested {
        Some(map) => Fields::from_map(map, at),
        // Mistral's has its id beside the type.
        None => {
            return match fields.string("file_id")? {
                Some(id) => {
                    Ok(Part::File { media: Media::FileId { id }, name: None, cache, rest: Map::new() })
                }
                None => Err(fields.missing("file")),
            };
        }
    };
    let name = file.string("filename")?;
    let media = match (file.string("file_data")?, file.string("file_id")?) {
        (Some(data), _) => media_of_data(data),
        (None, Some(id)) => Media::FileId { id },
        (None, None) => return Err(file.missing("file_data")),
    };
    Ok(Part::File { media, name, cache, rest: file.rest() })
}

/// A breakpoint of the prompt cache: Anthropic's form (as OpenRouter and LiteLLM take it), or OpenAI's own, whose
/// shortest life is 30 minutes.
fn cache_of(fields: &mut Fields<'_>) -> Option<Value> {
    let own = fields.take("prompt_cache_breakpoint").map(|_| json!({"type": "ephemeral", "ttl": "1h"}));
    fields.take("cache_control").or(own)
}

fn url_of(fields: &mut Fields<'_>, key: &str) -> Result<(String, Option<String>), Fault> {
    match fields.take(key) {
        Some(Value::String(url)) => Ok((url, None)),
        Some(Value::Object(map)) => {
            let mut inner = Fields::from_map(map, fields.path().key(key));
            Ok((inner.required_string("url")?, inner.string("detail")?))
        }
        _ => Err(fields.missing(key)),
    }
}

/// What lies behind a URL: `data:` ones are taken apart (RFC 2397).
pub(super) fn media_of_url(url: String, media_type: Option<String>) -> Media {
    if let Some(rest) = url.strip_prefix("data:")
        && let Some((kind, data)) = rest.split_once(',')
        && let Some(kind) = kind.strip_suffix(";base64")
    {
        return Media::Base64 { media_type: kind.to_owned(), data: data.to_owned() };
    }
    Media::Url { url, media_type }
}

/// A URL, or base64 alone.
fn media_of_data(text: String) -> Media {
    if text.starts_with("data:") || text.starts_with("https://") || text.starts_with("http://") {
        media_of_url(text, None)
    } else {
        Media::Base64 { media_type: crate::media::sniff(&text).to_owned(), data: text }
    }
}

fn audio_type(format: &str) -> String {
    match format {
        "" => String::new(),
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// OpenAI's word for a media type of sound.
fn audio_format(media_type: &str) -> &str {
    match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "mpeg" | "mp3" => "mp3",
        "wav" | "x-wav" | "wave" | "" => "wav",
        other => other,
    }
}

/// The URL of content: `data:` for what is in the request itself; `None` for what has none.
pub(super) fn url_of_media(media: &Media, default_type: &str) -> Option<String> {
    match media {
        Media::Base64 { media_type, data } => {
            let kind = if media_type.is_empty() { default_type } else { media_type };
            Some(format!("data:{kind};base64,{data}"))
        }
        Media::Url { url, .. } => Some(url.clone()),
        Media::FileId { .. } | Media::Text { .. } => None,
    }
}

/// Appends a part of a system, user or tool message, as a JSON object; `false` and nothing where the dialect has no words
/// for it.
pub(super) fn write_part(flavour: Flavour, part: &Part, out: &mut Vec<u8>) -> bool {
    let value = match part {
        Part::Text { text, .. } => json!({"type": "text", "text": text}),
        Part::Refusal { text } => json!({"type": "refusal", "refusal": text}),
        Part::Image { media, detail, .. } => {
            let Some(url) = url_of_media(media, "image/png") else { return false };
            match detail {
                Some(detail) => json!({"type": "image_url", "image_url": {"url": url, "detail": detail}}),
                None => json!({"type": "image_url", "image_url": {"url": url}}),
            }
        }
        Part::Audio { media } => match (media, flavour) {
            (Media::Base64 { data, .. }, Flavour::Mistral) => {
                json!({"type": "input_audio", "input_audio": data})
            }
            (Media::Base64 { media_type, data }, Flavour::OpenAi) => {
                json!({"type": "input_audio", "input_audio": {"data": data, "format": audio_format(media_type)}})
            }
            (Media::Url { url, .. }, Flavour::Mistral) => json!({"type": "input_audio", "input_audio": url}),
            (Media::Url { url, .. }, Flavour::OpenAi) => {
                json!({"type": "audio_url", "audio_url": {"url": url}})
            }
            _ => return false,
        },
        Part::Video { media } => {
            let Some(url) = url_of_media(media, "video/mp4") else { return false };
            json!({"type": "video_url", "video_url": {"url": url}})
        }
        Part::File { media, name, .. } => match (media, flavour) {
            (Media::Text { text }, _) => json!({"type": "text", "text": text}),
            (Media::FileId { id }, Flavour::OpenAi) => json!({"type": "file", "file": {"file_id": id}}),
            (Media::FileId { id }, Flavour::Mistral) => json!({"type": "file", "file_id": id}),
            (media, Flavour::Mistral) => {
                let Some(url) = url_of_media(media, "application/pdf") else { return false };
                match name {
                    Some(name) => json!({"type": "document_url", "document_url": url, "document_name": name}),
                    None => json!({"type": "document_url", "document_url": url}),
                }
            }
            (media @ Media::Base64 { .. }, Flavour::OpenAi) => {
                let Some(data) = url_of_media(media, "application/pdf") else { return false };
                // A name is required beside data.
                let name = name.as_deref().unwrap_or("document");
                json!({"type": "file", "file": {"filename": name, "file_data": data}})
            }
            (Media::Url { .. }, Flavour::OpenAi) => return false,
        },
        Part::Other { dialect, value } if in_family(*dialect) => value.clone(),
        _ => return false,
    };
    append(&value, out);
    true
}

/// Reads thoughts out of a message's fields beside its content. What carries signatures goes before what does not.
pub(super) fn parse_thoughts(fields: &mut Fields<'_>, parts: &mut Vec<Part>) {
    let blocks = fields.take("thinking_blocks");
    let details = fields.take("reasoning_details");
    let plain = [fields.take("reasoning_content"), fields.take("reasoning")];
    let before = parts.len();
    if let Some(Value::Array(blocks)) = blocks {
        parts.extend(blocks.iter().filter_map(|block| {
            let text = |name: &str| block.get(name).and_then(Value::as_str).map(str::to_owned);
            match block.get("type").and_then(Value::as_str)? {
                "thinking" => Some(Part::Thinking {
                    text: text("thinking").unwrap_or_default(),
                    signature: text("signature").filter(|signature| !signature.is_empty()),
                    id: text("id"),
                }),
                "redacted_thinking" => Some(Part::RedactedThinking { data: text("data")? }),
                _ => None,
            }
        }));
    }
    if parts.len() == before
        && let Some(Value::Array(details)) = details
    {
        parts.extend(details.iter().filter_map(thought_of_detail));
    }
    if parts.len() == before {
        let text = plain.into_iter().flatten().find_map(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        });
        parts.extend(text.map(|text| Part::Thinking { text, signature: None, id: None }));
    }
}

/// One of OpenRouter's `reasoning_details`.
pub(super) fn thought_of_detail(detail: &Value) -> Option<Part> {
    let text = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
    let signature = text("signature").filter(|signature| !signature.is_empty());
    match detail.get("type").and_then(Value::as_str)? {
        "reasoning.text" => {
            Some(Part::Thinking { text: text("text").unwrap_or_default(), signature, id: text("id") })
        }
        "reasoning.summary" => {
            Some(Part::Thinking { text: text("summary")?, signature: None, id: text("id") })
        }
        "reasoning.encrypted" => Some(Part::RedactedThinking { data: text("data")? }),
        _ => None,
    }
}

/// Reads one of `tool_calls`. `fallback` is its id where it has none.
pub(super) fn parse_call(
    flavour: Flavour,
    value: Value,
    path: Path<'_>,
    fallback: impl FnOnce() -> String,
) -> Result<Part, Fault> {
    if value.get("function").is_none() {
        // OpenAI's custom tools: kept whole.
        if value.get("custom").is_some_and(Value::is_object) {
            return Ok(Part::Other { dialect: flavour.dialect(), value });
        }
        return Err(Fault::missing(path.key("function").to_string()));
    }
    let mut call = Fields::of(value, path)?;
    let id = call.string("id")?.filter(|id| !id.is_empty() && id != "null");
    let signature = call.take("extra_content").as_ref().and_then(signature_of_extra);
    // Mistral's calls have no such field: their ids carry it.
    let (id, signature) = match (flavour, id, signature) {
        (Flavour::Mistral, Some(id), None) => {
            let (id, signature) = split_id(id);
            (Some(id), signature)
        }
        (_, id, signature) => (id, signature),
    };
    let cache = call.take("cache_control");
    let function = call.object("function")?.unwrap_or_default();
    let at = call.path().key("function");
    let mut function = Fields::from_map(function, at);
    let name = function.required_string("name")?;
    let arguments = arguments_of(function.take("arguments"));
    Ok(Part::ToolCall { id: id.unwrap_or_else(fallback), name, arguments, signature, cache })
}

/// Gemini's signature of a call, where its own OpenAI-compatible API puts it.
pub(super) fn signature_of_extra(extra: &Value) -> Option<String> {
    extra.get("google")?.get("thought_signature")?.as_str().map(str::to_owned)
}

/// JSON text of arguments: Mistral and careless clients write an object in its place.
pub(super) fn arguments_of(arguments: Option<Value>) -> String {
    match arguments {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}
