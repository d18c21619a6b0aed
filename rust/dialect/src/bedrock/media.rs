//! Pictures, videos, sounds and documents of Converse: formats, sources and names.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::anthropic::media_type_of;
use crate::json::{Array, Fields, Object};
use crate::{Fault, Media};

/// Documents' formats and media types.
const DOCUMENTS: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

/// Formats of videos and sounds whose media type has another name.
const RENAMED: [(&str, &str); 6] = [
    ("mkv", "x-matroska"),
    ("mov", "quicktime"),
    ("flv", "x-flv"),
    ("wmv", "x-ms-wmv"),
    ("three_gp", "3gpp"),
    ("mp3", "mpeg"),
];

/// Takes `source`.
pub(super) fn parse_source(
    fields: &mut Fields<'_>,
    media_type: impl FnOnce() -> String,
) -> Result<Media, Fault> {
    let Some(source) = fields.take("source") else { return Err(fields.missing("source")) };
    let mut source = Fields::of(source, fields.path().key("source"))?;
    if let Some(data) = source.string("bytes")? {
        return Ok(Media::Base64 { media_type: media_type(), data });
    }
    if let Some(text) = source.string("text")? {
        return Ok(Media::Text { text });
    }
    match source.take("s3Location") {
        Some(place) => {
            let mut place = Fields::of(place, source.path().key("s3Location"))?;
            Ok(Media::Url { url: place.required_string("uri")?, media_type: Some(media_type()) })
        }
        None => Err(source.missing("bytes")),
    }
}

/// Appends a picture.
pub(super) fn write_image(media: &Media, array: &mut Array<'_>) {
    let mut block = array.object();
    let mut image = block.object("image");
    image.put("format", image_format(media).unwrap_or("png"));
    write_source(media, &mut image);
    image.end();
    block.end();
}

/// The format of a picture, if Converse has it.
pub(super) fn image_format(media: &Media) -> Option<&str> {
    match media {
        Media::Base64 { media_type, data } => media_type_of(media_type, data)?.strip_prefix("image/"),
        Media::Url { media_type: Some(media_type), .. } => {
            media_type_of(media_type, "")?.strip_prefix("image/")
        }
        Media::Url { url, .. } => match url.rsplit('.').next()? {
            "jpg" | "jpeg" => Some("jpeg"),
            format @ ("png" | "gif" | "webp") => Some(format),
            _ => None,
        },
        Media::FileId { .. } | Media::Text { .. } => None,
    }
}

/// Appends a video or a sound.
pub(super) fn write_media(key: &str, media: &Media, array: &mut Array<'_>) {
    let media_type = match media {
        Media::Base64 { media_type, .. } => media_type.as_str(),
        Media::Url { media_type: Some(media_type), .. } => media_type,
        Media::Url { url, .. } => url.rsplit('.').next().unwrap_or_default(),
        Media::FileId { .. } | Media::Text { .. } => "",
    };
    let subtype = media_type.rsplit('/').next().unwrap_or_default();
    let mut block = array.object();
    let mut inner = block.object(key);
    inner.put(
        "format",
        RENAMED.iter().find(|(_, name)| *name == subtype).map_or(subtype, |(format, _)| format),
    );
    write_source(media, &mut inner);
    inner.end();
    block.end();
}

/// Appends a document, or a picture that came as one.
pub(super) fn write_file(
    media: &Media,
    name: Option<&str>,
    rest: &Map<String, Value>,
    array: &mut Array<'_>,
) {
    let format = match media {
        Media::Base64 { media_type, data } => match document_format(media_type) {
            Some(format) => format,
            None if media_type_of(media_type, data).is_some() => return write_image(media, array),
            None => "txt",
        },
        Media::Url { media_type: Some(media_type), .. } => document_format(media_type).unwrap_or("pdf"),
        Media::Url { url, .. } => {
            let end = url.rsplit('.').next().unwrap_or_default();
            DOCUMENTS.iter().find(|(format, _)| *format == end).map_or("pdf", |(format, _)| format)
        }
        Media::FileId { .. } | Media::Text { .. } => "txt",
    };
    let mut block = array.object();
    let mut document = block.object("document");
    document.put("format", format).put("name", &*document_name(name, media));
    write_source(media, &mut document);
    document.maybe("context", rest.get("context").filter(|context| context.is_string()));
    document.maybe("citations", rest.get("citations").filter(|citations| citations.get("enabled").is_some()));
    document.end();
    block.end();
}

fn write_source(media: &Media, object: &mut Object<'_>) {
    let mut source = object.object("source");
    match media {
        Media::Base64 { data, .. } => {
            source.put("bytes", data);
        }
        // Every model that takes documents takes their bytes; not every one takes them as text.
        Media::Text { text } => {
            source.put("bytes", &STANDARD.encode(text));
        }
        Media::Url { url: place, .. } | Media::FileId { id: place } => {
            let mut location = source.object("s3Location");
            location.put("uri", place);
            location.end();
        }
    }
    source.end();
}

/// A name in the letters that Converse takes; where there is none, one that is the same for the same document.
fn document_name<'a>(name: Option<&'a str>, media: &Media) -> Cow<'a, str> {
    let fits = |at: char| at.is_ascii_alphanumeric() || matches!(at, ' ' | '-' | '(' | ')' | '[' | ']');
    match name.filter(|name| !name.trim().is_empty()) {
        Some(name) if name.len() <= 200 && name.chars().all(fits) && !name.contains("  ") => {
            Cow::Borrowed(name)
        }
        Some(name) => {
            let plain: String = name.chars().map(|at| if fits(at) { at } else { '-' }).take(200).collect();
            Cow::Owned(plain.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        None => {
            let text = match media {
                Media::Base64 { data: text, .. } | Media::Text { text } => text,
                Media::Url { url: text, .. } | Media::FileId { id: text } => text,
            };
            Cow::Owned(format!("document-{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())))
        }
    }
}

/// The format of a document's media type.
pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    match bare {
        "application/json" | "application/xml" | "text/xml" => Some("txt"),
        _ => DOCUMENTS.iter().find(|(_, known)| *known == bare).map(|(format, _)| *format),
    }
}

/// The media type of a document's format.
pub(super) fn document_type(format: &str) -> &'static str {
    let known = DOCUMENTS.iter().find(|(name, _)| *name == format);
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// What stands behind the slash of a format's media type.
pub(super) fn media_subtype(format: &str) -> &str {
    RENAMED.iter().find(|(name, _)| *name == format && *name != "mp3").map_or(format, |(_, subtype)| subtype)
}

/// Whether it is in the request itself.
pub(super) fn is_bytes(media: &Media) -> bool {
    matches!(media, Media::Base64 { .. })
}
