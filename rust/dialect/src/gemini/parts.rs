//! Parts of a turn in Gemini's form, both ways.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::carry::{self, Home};
use crate::ids::Calls;
use crate::json::{Array, Fields, Object, Path, append, parse_object};
use crate::{Dialect, Fault, Media, Part, media};

/// An object whose fields are told in camel case, whichever the text had.
pub(super) fn message<'p>(value: Value, path: Path<'p>) -> Result<Fields<'p>, Fault> {
    let Value::Object(map) = value else {
        return Err(Fault::wrong(path.to_string(), "an object"));
    };
    Ok(Fields::from_map(camel_keys(map), path))
}

/// The same for a map.
pub(super) fn camel_keys(map: Map<String, Value>) -> Map<String, Value> {
    if map.keys().any(|key| key.contains('_')) {
        map.into_iter().map(|(key, value)| (camel(&key), value)).collect()
    } else {
        map
    }
}

fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut up = false;
    for letter in key.chars() {
        if letter == '_' && !out.is_empty() {
            up = true;
        } else if std::mem::take(&mut up) {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}

/// A repeated field: Google's JSON takes a lone element for a list of one.
pub(super) fn list(fields: &mut Fields<'_>, key: &str) -> Result<Vec<Value>, Fault> {
    match fields.take(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => Ok(values),
        Some(one @ Value::Object(_)) => Ok(vec![one]),
        Some(_) => Err(fields.wrong(key, "an array")),
    }
}

/// Reads the part and appends what it says: a signature that is not a call's goes before it as a thought without words.
pub(super) fn read(
    value: Value,
    path: Path<'_>,
    calls: &mut Calls,
    parts: &mut Vec<Part>,
) -> Result<(), Fault> {
    let mut fields = message(value, path)?;
    fields.take("partMetadata");
    let thought = matches!(fields.peek("thought"), Some(Value::Bool(true)));
    if fields.has("functionCall") {
        let signature = fields.string("thoughtSignature")?;
        parts.push(call(&mut fields, calls, signature)?);
    } else if fields.has("functionResponse") {
        result(fields, calls, parts)?;
    } else if fields.has("text") {
        let text = fields.string("text")?.unwrap_or_default();
        let signature = fields.string("thoughtSignature")?.map(carry::read_gemini);
        if thought {
            parts.push(Part::Thinking { text, signature, id: None });
        } else {
            let signed = signature.is_some();
            before(signature, parts);
            if !signed || !text.is_empty() {
                parts.push(Part::text(text));
            }
        }
    } else {
        let path = *fields.path();
        let mut map = fields.rest();
        map.retain(|key, value| !value.is_null() && (key != "thought" || thought));
        const PLAIN: [&str; 3] = ["inlineData", "fileData", "thoughtSignature"];
        if !map.keys().all(|key| PLAIN.contains(&key.as_str())) {
            // What only Gemini has, and media with more to say of them (cuts, resolution): never half of it.
            parts.push(Part::Other { dialect: Dialect::Gemini, value: Value::Object(map) });
            return Ok(());
        }
        let mut fields = Fields::from_map(map, path);
        before(fields.string("thoughtSignature")?.map(carry::read_gemini), parts);
        parts.extend(media_of(&mut fields)?);
    }
    Ok(())
}

fn before(signature: Option<String>, parts: &mut Vec<Part>) {
    if signature.is_some() {
        parts.push(Part::Thinking { text: String::new(), signature, id: None });
    }
}

fn call(fields: &mut Fields<'_>, calls: &mut Calls, signature: Option<String>) -> Result<Part, Fault> {
    let value = fields.take("functionCall").unwrap_or_default();
    let path = fields.path().key("functionCall");
    let mut call = message(value, path)?;
    let id = call.string("id")?;
    let name = call.required_string("name")?;
    let arguments = Value::Object(call.object("args")?.unwrap_or_default()).to_string();
    Ok(Part::ToolCall { id: calls.call(id, &name), name, arguments, signature, cache: None })
}

fn result(mut fields: Fields<'_>, calls: &mut Calls, parts: &mut Vec<Part>) -> Result<(), Fault> {
    let value = fields.take("functionResponse").unwrap_or_default();
    let parent = *fields.path();
    let path = parent.key("functionResponse");
    let mut result = message(value, path)?;
    if result.has("willContinue") || result.has("scheduling") {
        // Answers of calls that run on: only Gemini knows them.
        let mut map = fields.rest();
        map.insert("functionResponse".into(), Value::Object(result.rest()));
        parts.push(Part::Other { dialect: Dialect::Gemini, value: Value::Object(map) });
        return Ok(());
    }
    let id = result.string("id")?;
    let name = result.required_string("name")?;
    let (said, is_error) = said(result.object("response")?.unwrap_or_default());
    let mut inner = vec![Part::text(said)];
    let values = list(&mut result, "parts")?;
    let list_path = result.path().key("parts");
    for (index, value) in values.into_iter().enumerate() {
        let mut item = message(value, list_path.index(index))?;
        match media_of(&mut item)? {
            Some(part) => inner.push(part),
            None => return Err(item.missing("inlineData")),
        }
    }
    let (id, name) = calls.result(id, Some(name));
    parts.push(Part::ToolResult { id, name, parts: inner, is_error, cache: None });
    Ok(())
}

/// What a tool said, in words: the text under `output` or `error` where there is nothing else, else the whole object as
/// JSON. A text that is itself a JSON object stays wrapped, so that [`response`] gives back what was read.
fn said(response: Map<String, Value>) -> (String, bool) {
    let lone = (response.len() == 1).then(|| response.iter().next()).flatten();
    match lone {
        Some((key, Value::String(text))) if key == "output" && parse_object(text.as_bytes()).is_err() => {
            (text.clone(), false)
        }
        Some((key, Value::String(text))) if key == "error" && parse_object(text.as_bytes()).is_err() => {
            (text.clone(), true)
        }
        Some((key, _)) if key == "error" => (Value::Object(response).to_string(), true),
        _ => (Value::Object(response).to_string(), false),
    }
}

/// The object that says it: the text itself where it is a JSON object, else under `output` or `error`.
fn response(text: &str, is_error: bool, out: &mut Vec<u8>) {
    match parse_object(text.as_bytes()) {
        Ok(map) if !is_error || map.contains_key("error") => append(&map, out),
        _ => {
            let mut object = Object::begin(out);
            object.put(if is_error { "error" } else { "output" }, text);
            object.end();
        }
    }
}

/// Takes `inlineData` or `fileData`.
fn media_of(fields: &mut Fields<'_>) -> Result<Option<Part>, Fault> {
    if let Some(value) = fields.take("inlineData") {
        let path = fields.path().key("inlineData");
        let mut blob = message(value, path)?;
        let media_type = blob.string("mimeType")?.unwrap_or_default();
        let data = media::standard_base64(blob.required_string("data")?);
        let name = blob.string("displayName")?;
        let sort = media_type.clone();
        return Ok(Some(media::part(Media::Base64 { media_type, data }, &sort, name)));
    }
    if let Some(value) = fields.take("fileData") {
        let path = fields.path().key("fileData");
        let mut file = message(value, path)?;
        let url = file.required_string("fileUri")?;
        let media_type = file.string("mimeType")?;
        let name = file.string("displayName")?;
        let sort = media_type.as_deref().or(media::by_extension(&url)).unwrap_or_default().to_owned();
        return Ok(Some(media::part(Media::Url { url, media_type }, &sort, name)));
    }
    Ok(None)
}

/// Who reads what is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'a> {
    /// A client, who is told an answer.
    Client,
    /// A provider, who is told a conversation.
    Provider {
        /// Signs a first call that has no signature.
        stand_in: Option<&'a str>,
    },
}

/// Writes the parts of one turn. `names` gives the tool of a call's id. Returns the places of those that Gemini has no
/// form for; they are left out.
pub(super) fn write(
    parts: &[Part],
    names: &HashMap<&str, &str>,
    to: To<'_>,
    out: &mut Array<'_>,
) -> Vec<usize> {
    let (stand_in, to_client) = match to {
        To::Client => (None, true),
        To::Provider { stand_in } => (stand_in, false),
    };
    let mut unsupported = Vec::new();
    let mut pending: Option<Cow<'_, str>> = None;
    let mut stand_in = stand_in;
    for (index, part) in parts.iter().enumerate() {
        let carries = !matches!(
            part,
            Part::Thinking { .. }
                | Part::ToolCall { .. }
                | Part::RedactedThinking { .. }
                | Part::Other { .. }
        );
        if !carries && let Some(signature) = pending.take() {
            text("", Some(&signature), false, out);
        }
        let signature = if carries { pending.take() } else { None };
        match part {
            Part::Thinking { text: said, signature: sign, .. } => {
                // A provider refuses another's signature; a client keeps it for us.
                let sign = sign.as_deref().and_then(|sign| match to_client {
                    true => Some(carry::tell_gemini(sign)),
                    false => Home::Gemini.own(sign).map(Cow::Borrowed),
                });
                if said.is_empty() {
                    pending = sign;
                } else {
                    text(said, sign.as_deref(), true, out);
                }
            }
            Part::ToolCall { id, name, arguments, signature: sign, .. } => {
                let sign = sign.as_deref().or(stand_in);
                stand_in = None;
                write_call(id, name, arguments, sign, out);
            }
            // Another provider's hidden thought says nothing to Gemini.
            Part::RedactedThinking { .. } => {}
            Part::Other { dialect: Dialect::Gemini, value } => {
                out.put(value);
            }
            _ => {
                if !write_plain(part, names, signature.as_deref(), out) {
                    unsupported.push(index);
                    pending = signature;
                }
            }
        }
    }
    if let Some(signature) = pending {
        text("", Some(&signature), false, out);
    }
    unsupported
}

fn write_plain(
    part: &Part,
    names: &HashMap<&str, &str>,
    signature: Option<&str>,
    out: &mut Array<'_>,
) -> bool {
    match part {
        Part::Text { text: said, .. } | Part::Refusal { text: said } => text(said, signature, false, out),
        Part::ToolResult { id, name, parts, is_error, .. } => {
            let Some(name) = name.as_deref().or_else(|| names.get(id.as_str()).copied()) else {
                return false;
            };
            return write_result(id, name, parts, *is_error, out);
        }
        Part::File { media: Media::Text { text: said }, .. } => text(said, signature, false, out),
        Part::Image { media, .. }
        | Part::Audio { media }
        | Part::Video { media }
        | Part::File { media, .. } => {
            if !can(media) {
                return false;
            }
            let mut object = out.object();
            write_media(media, part, &mut object);
            object.maybe("thoughtSignature", signature);
            object.end();
        }
        _ => return false,
    }
    true
}

/// A part of words.
pub(super) fn text(text: &str, signature: Option<&str>, thought: bool, out: &mut Array<'_>) {
    let mut object = out.object();
    object.put("text", text);
    if thought {
        object.put("thought", &true);
    }
    object.maybe("thoughtSignature", signature);
    object.end();
}

/// A call. Arguments that are no JSON object go whole under `input`: Gemini takes nothing but objects.
pub(super) fn write_call(
    id: &str,
    name: &str,
    arguments: &str,
    signature: Option<&str>,
    out: &mut Array<'_>,
) {
    let mut part = out.object();
    let mut call = part.object("functionCall");
    if !id.is_empty() {
        call.put("id", id);
    }
    call.put("name", name);
    if arguments.trim().is_empty() {
        call.object("args").end();
    } else if let Ok(map) = parse_object(arguments.as_bytes()) {
        call.put("args", &map);
    } else {
        let mut args = call.object("args");
        args.put("input", arguments);
        args.end();
    }
    call.end();
    part.maybe("thoughtSignature", signature);
    part.end();
}

fn write_result(id: &str, name: &str, parts: &[Part], is_error: bool, out: &mut Array<'_>) -> bool {
    let words = |part: &Part| match part {
        Part::Text { text, .. } | Part::Refusal { text } => Some(text.clone()),
        Part::File { media: Media::Text { text }, .. } => Some(text.clone()),
        _ => None,
    };
    // What Gemini can't take of it is left out and told; the result itself must be there.
    let mut all = true;
    let mut media = Vec::new();
    for part in parts.iter().filter(|part| words(part).is_none()) {
        match media_in(part) {
            Some(inner) if can(inner) => media.push((inner, part)),
            _ => all = false,
        }
    }
    let said: Vec<String> = parts.iter().filter_map(words).collect();
    let mut object = out.object();
    let mut result = object.object("functionResponse");
    if !id.is_empty() {
        result.put("id", id);
    }
    result.put("name", name);
    response(&said.join("\n"), is_error, result.key("response"));
    if !media.is_empty() {
        let mut list = result.array("parts");
        for (inner, part) in media {
            let mut item = list.object();
            write_media(inner, part, &mut item);
            item.end();
        }
        list.end();
    }
    result.end();
    object.end();
    all
}

fn media_in(part: &Part) -> Option<&Media> {
    match part {
        Part::Image { media, .. }
        | Part::Audio { media }
        | Part::Video { media }
        | Part::File { media, .. } => Some(media),
        _ => None,
    }
}

/// Whether Gemini can fetch it: another provider's file id it can't.
fn can(media: &Media) -> bool {
    match media {
        Media::Base64 { .. } | Media::Url { .. } => true,
        Media::FileId { id } => {
            id.starts_with("https://") || id.starts_with("gs://") || id.starts_with("files/")
        }
        Media::Text { .. } => false,
    }
}

fn write_media(media: &Media, part: &Part, object: &mut Object<'_>) {
    match media {
        Media::Base64 { media_type, data } => {
            let mut blob = object.object("inlineData");
            let sort = match (media_type.as_str(), media::sniff(data), part) {
                ("", "", Part::Image { .. }) => "image/jpeg",
                ("", "", _) => "application/octet-stream",
                ("", seen, _) => seen,
                (told, _, _) => told,
            };
            blob.put("mimeType", sort).put("data", data);
            blob.end();
        }
        Media::Url { url, media_type } => {
            let mut file = object.object("fileData");
            file.maybe("mimeType", media_type.as_deref().or_else(|| media::by_extension(url)));
            file.put("fileUri", url);
            file.end();
        }
        Media::FileId { id } => {
            let mut file = object.object("fileData");
            file.put("fileUri", id);
            file.end();
        }
        Media::Text { .. } => {}
    }
}
