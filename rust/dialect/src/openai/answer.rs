//! Reads a provider's answer and writes a client's.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::Flavour;
use super::content::{arguments_of, parse_call, parse_content, parse_part, parse_thoughts, url_of_media};
use super::usage::{parse_usage, write_usage};
use crate::carry::{Home, signed_id};
use crate::json::{Array, Fields, Object, Path, append};
use crate::{Answer, Choice, Fault, Finish, Part, Reply};

/// Reads a provider's answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    let mut fields = Fields::parse(body)?;
    if !fields.has("choices") {
        // Some compatibles tell errors with status 200.
        return Err(fields.missing("choices"));
    }
    let list = Path::Key(&Path::Root, "choices");
    let mut choices = Vec::new();
    for (at, value) in fields.array("choices")?.into_iter().enumerate() {
        choices.push(parse_choice(value, list.index(at), at)?);
    }
    fields.take("object");
    let mut answer = Answer {
        id: fields.string("id").ok().flatten().unwrap_or_default(),
        model: fields.string("model").ok().flatten().unwrap_or_default(),
        created: fields.unsigned("created").ok().flatten(),
        choices,
        usage: fields.take("usage").as_ref().map(parse_usage).unwrap_or_default(),
        rest: fields.rest(),
    };
    answer.rest.retain(|_, value| !value.is_null());
    Ok(answer)
}

fn parse_choice(value: Value, path: Path<'_>, at: usize) -> Result<Choice, Fault> {
    let mut fields = Fields::of(value, path)?;
    let index = fields.unsigned("index").ok().flatten().and_then(|index| u32::try_from(index).ok());
    let Some(message) = fields.object("message")? else { return Err(fields.missing("message")) };
    let mut message = Fields::from_map(message, path.key("message"));
    let mut parts = Vec::new();
    parse_thoughts(&mut message, &mut parts);
    let content = message.take("content").filter(|content| content.as_str() != Some(""));
    parse_content(Flavour::OpenAi, content, message.path().key("content"), &mut parts)?;
    if let Some(Value::Array(notes)) =
        message.take("annotations").filter(|notes| notes.as_array().is_some_and(|n| !n.is_empty()))
        && let Some(Part::Text { citations, .. }) =
            parts.iter_mut().rfind(|part| matches!(part, Part::Text { .. }))
    {
        *citations = Some(Value::Array(notes));
    }
    if let Some(text) = message.string("refusal")?.filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal { text });
    }
    for (at, value) in message.array("images")?.into_iter().enumerate() {
        parts.push(parse_part(Flavour::OpenAi, value, message.path().key("images").index(at))?);
    }
    if let Some(audio) = message.take("audio") {
        parts.push(Part::Other {
            dialect: crate::Dialect::OpenAi,
            value: json!({"type": "audio", "audio": audio}),
        });
    }
    for (number, value) in message.array("tool_calls")?.into_iter().enumerate() {
        let at = message.path().key("tool_calls");
        parts.push(parse_call(Flavour::OpenAi, value, at.index(number), || format!("call_{number}"))?);
    }
    if let Some(function) = message.object("function_call")? {
        let mut function = Fields::from_map(function, message.path().key("function_call"));
        let name = function.required_string("name")?;
        let arguments = arguments_of(function.take("arguments"));
        let id = super::read_request::legacy_id(&name);
        parts.push(Part::ToolCall { id, name, arguments, signature: None, cache: None });
    }
    message.take("role");
    let word = fields.string("finish_reason").ok().flatten();
    let native = fields.string("native_finish_reason").ok().flatten().or_else(|| word.clone());
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let logprobs = fields.take("logprobs");
    fields.take("index");
    let mut rest = fields.rest();
    let mut others = message.rest();
    others.retain(|_, value| !value.is_null());
    if !others.is_empty() {
        rest.insert("message".to_owned(), Value::Object(others));
    }
    rest.retain(|_, value| !value.is_null());
    Ok(Choice {
        index: index.unwrap_or_else(|| u32::try_from(at).unwrap_or(u32::MAX)),
        parts,
        finish: finish_of(word.as_deref(), calls),
        native_finish: native,
        stop_text: None,
        logprobs,
        rest,
    })
}

/// What a `finish_reason` means; `calls` decides where it says nothing.
pub(crate) fn finish_of(word: Option<&str>, calls: bool) -> Finish {
    match word {
        Some("length" | "max_tokens" | "model_length") => Finish::Length,
        Some("tool_calls" | "function_call") => Finish::ToolCalls,
        Some("content_filter") => Finish::ContentFilter,
        Some("error" | "insufficient_system_resource") => Finish::Error,
        // Several compatibles say `stop` (or `eos`, or nothing) though they call.
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// The `finish_reason` for a client. An error of the provider's has no word of OpenAI's.
pub(super) fn word_of(flavour: Flavour, finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter if flavour == Flavour::Mistral => "stop",
        Finish::ContentFilter => "content_filter",
        Finish::Error if flavour == Flavour::Mistral => "error",
        Finish::Error => "stop",
    }
}

/// Appends the provider's own word, where it is none of OpenAI's, in the field that OpenRouter uses for it.
pub(super) fn write_native(native: Option<&str>, object: &mut Object<'_>) {
    let known = ["stop", "length", "tool_calls", "content_filter", "function_call"];
    object.maybe("native_finish_reason", native.filter(|native| !known.contains(native)));
}

/// Appends the body of an answer to a client.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    write_answer_as(Flavour::OpenAi, answer, reply, out);
}

pub(crate) fn write_answer_as(flavour: Flavour, answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    body.put("id", &answer_id(&answer.id, reply)).put("object", "chat.completion");
    body.put("created", &answer.created.unwrap_or(reply.created)).put("model", reply.model);
    let mut list = body.array("choices");
    for choice in &answer.choices {
        write_choice(flavour, choice, &mut list);
    }
    list.end();
    let mut usage = Vec::new();
    if write_usage(&answer.usage, &mut usage) {
        body.key("usage").extend_from_slice(&usage);
    }
    // What other dialects keep here has other names, and the SDKs ignore what they don't know.
    const OWN: [&str; 6] = ["id", "object", "created", "model", "choices", "usage"];
    for (name, value) in answer.rest.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        body.put(name, value);
    }
    body.end();
}

/// The provider's id, or the request's in OpenAI's form.
pub(super) fn answer_id(id: &str, reply: &Reply<'_>) -> String {
    if id.is_empty() { format!("chatcmpl-{}", reply.id) } else { id.to_owned() }
}

fn write_choice(flavour: Flavour, choice: &Choice, list: &mut Array<'_>) {
    let mut object = list.object();
    object.put("index", &choice.index);
    let mut message = object.object("message");
    message.put("role", "assistant");
    write_message(flavour, choice, &mut message);
    message.end();
    object.put("logprobs", &choice.logprobs).put("finish_reason", word_of(flavour, choice.finish));
    write_native(choice.native_finish.as_deref(), &mut object);
    write_rest(&choice.rest, &mut object);
    object.end();
}

/// Appends what else the provider said of a choice, but for what has its own place (another dialect's field of the name).
pub(super) fn write_rest(rest: &Map<String, Value>, object: &mut Object<'_>) {
    const OWN: [&str; 6] = ["index", "message", "delta", "logprobs", "finish_reason", "native_finish_reason"];
    for (name, value) in rest.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        object.put(name, value);
    }
}

fn write_message(flavour: Flavour, choice: &Choice, message: &mut Object<'_>) {
    let (mut text, mut refusal, mut thoughts) = (None::<String>, None::<String>, String::new());
    let (mut blocks, mut chunks, mut calls, mut notes, mut images) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut signed, mut audio) = (false, None);
    for part in &choice.parts {
        match part {
            Part::Text { text: more, citations, .. } => {
                text.get_or_insert_default().push_str(more);
                chunks.push(json!({"type": "text", "text": more}));
                match citations {
                    Some(Value::Array(list)) => notes.extend(list.iter().filter_map(annotation)),
                    Some(one) => notes.extend(annotation(one)),
                    None => {}
                }
            }
            Part::Thinking { text: more, signature, .. } => {
                signed |= signature.is_some();
                thoughts.push_str(more);
                blocks.push(thinking_block(more, signature.as_deref()));
                let mut chunk = json!({"type": "thinking", "thinking": [{"type": "text", "text": more}]});
                if let Some(signature) = signature {
                    chunk["signature"] = json!(Home::Mistral.tell(signature));
                }
                chunks.push(chunk);
            }
            Part::RedactedThinking { data } => {
                signed = true;
                blocks.push(json!({"type": "redacted_thinking", "data": data}));
            }
            // Mistral's clients know no refusals.
            Part::Refusal { text: more } if flavour == Flavour::Mistral => {
                text.get_or_insert_default().push_str(more);
                chunks.push(json!({"type": "text", "text": more}));
            }
            Part::Refusal { text: more } => refusal.get_or_insert_default().push_str(more),
            Part::ToolCall { id, name, arguments, signature, .. } => {
                let own = flavour == Flavour::OpenAi;
                let carried = signature.as_deref().filter(|_| !own);
                let id = carried.map_or(Cow::Borrowed(id.as_str()), |carried| signed_id(id, Some(carried)));
                let arguments = arguments_or_none(arguments);
                let mut call =
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
                if let Some(signature) = signature.as_ref().filter(|_| own) {
                    call["extra_content"] = json!({"google": {"thought_signature": signature}});
                }
                calls.push(call);
            }
            Part::Image { media, .. } => images.extend(image_of(media)),
            Part::Other { dialect: crate::Dialect::OpenAi, value } if value.get("custom").is_some() => {
                calls.push(value.clone());
            }
            Part::Other { dialect: crate::Dialect::OpenAi, value } => audio = value.get("audio").or(audio),
            _ => {}
        }
    }
    let thinks = chunks.iter().any(|chunk| chunk.get("thinking").is_some());
    if flavour == Flavour::Mistral && thinks {
        message.put("content", &chunks);
    } else {
        message.put("content", &text);
    }
    if flavour == Flavour::OpenAi {
        message.put("refusal", &refusal);
        if !thoughts.is_empty() {
            message.put("reasoning_content", &thoughts);
        }
        // Only what is signed needs the second form: clients that send the message back as it was keep it.
        if signed {
            message.put("thinking_blocks", &blocks);
        }
        if !notes.is_empty() {
            message.put("annotations", &notes);
        }
        if !images.is_empty() {
            message.put("images", &images);
        }
        message.maybe("audio", audio);
    }
    if !calls.is_empty() {
        append(&calls, message.key("tool_calls"));
    }
    if let Some(Value::Object(rest)) = choice.rest.get("message") {
        message.all(rest);
    }
}

/// Arguments of a call for a client: programs read them as JSON, and a call without any is one with an empty object.
fn arguments_or_none(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

/// A citation as an annotation, which is one of an address on the web; `None` for what is none.
pub(super) fn annotation(citation: &Value) -> Option<Value> {
    let text = |key: &str| citation.get(key).and_then(Value::as_str);
    match text("type")? {
        "url_citation" if citation.get("url_citation").is_some() => Some(citation.clone()),
        // Responses' lies one level higher.
        "url_citation" => {
            let mut inner = citation.as_object()?.clone();
            inner.shift_remove("type");
            Some(json!({"type": "url_citation", "url_citation": inner}))
        }
        "web_search_result_location" | "search_result_location" => {
            let (url, title) = (text("url").or(text("source"))?, text("title").unwrap_or(""));
            let inner = json!({"start_index": 0, "end_index": 0, "url": url, "title": title});
            Some(json!({"type": "url_citation", "url_citation": inner}))
        }
        _ => None,
    }
}

/// A thought in Anthropic's form, whole.
pub(super) fn thinking_block(text: &str, signature: Option<&str>) -> Value {
    let mut block = Map::new();
    block.insert("type".to_owned(), json!("thinking"));
    block.insert("thinking".to_owned(), json!(text));
    if let Some(signature) = signature {
        block.insert("signature".to_owned(), json!(signature));
    }
    Value::Object(block)
}

/// A picture in an answer, in OpenRouter's form.
pub(super) fn image_of(media: &crate::Media) -> Option<Value> {
    let url = url_of_media(media, "image/png")?;
    Some(json!({"type": "image_url", "image_url": {"url": url}}))
}
