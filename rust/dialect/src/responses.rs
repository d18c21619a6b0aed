//! OpenAI's responses: a request is a list of items, an answer too, and a stream tells of items and their contents.
//!
//! The API is stateful where its clients wish so; the chat form is not. A request that builds on what the provider
//! keeps (`previous_response_id`, `conversation`, `prompt`, `background`) goes to providers of this dialect only. Facts are those of
//! OpenAI's API reference and of the types of its Python SDK, 3.52.

mod answer;
mod compose;
mod errors;
mod items;
mod reader;
mod request;
mod usage;
mod writer;

use serde_json::{Value, json};

pub use reader::Reader;
pub use writer::Writer;

use crate::carry::Home;
use crate::chat::{Media, Part};
use crate::{Answer, ApiError, ChatRequest, Fault, Reply, Target, Written};

/// Reads a client's request.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    request::parse(body)
}

/// Appends the body of a request to a provider.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    compose::write(request, target, out)
}

/// Reads a provider's answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, Fault> {
    answer::parse(body)
}

/// Appends the body of an answer to a client. The dialect has one choice; others are left out.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    answer::write(answer, reply, out);
}

/// Reads a provider's refusal.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    errors::parse(status, body)
}

/// Appends the body that tells a client of an error.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    errors::write(error, out);
}

/// Top-level fields that only this dialect has. Writers for dialects that let through what they don't know must not let these.
pub const OWN_FIELDS: &[&str] = &[
    "background",
    "conversation",
    "include",
    "max_tool_calls",
    "previous_response_id",
    "text",
    "truncation",
];

/// The field by which a request builds on what the provider keeps, if it does: such a request goes to a provider of this dialect
/// or to none, even where what a target can't do may be left out.
pub fn stateful_field(request: &ChatRequest) -> Option<&'static str> {
    let there = |field: &str| match (field, request.rest.get(field)) {
        (_, None | Some(Value::Null | Value::Bool(false))) => false,
        // Elsewhere a prompt is a text.
        ("prompt", Some(value)) => value.is_object(),
        _ => true,
    };
    crate::STATE.iter().copied().find(|field| there(field))
}

/// Asks for reasoning items that carry their token.
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Asks for token probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";

/// Begins the token of a reasoning item that stands for another provider's hidden thought.
const REDACTED: &str = "tidegate.redacted:";

/// Begins the token of a reasoning item that carries the signature of a call (Gemini's), which calls have no field for:
/// behind it the call's id, a colon, the signature. Clients give reasoning items back with the calls that they stand by.
const CALL: &str = "tidegate.call:";

/// What a reasoning item stands for.
enum Carrier {
    /// A thought.
    Part(Part),
    /// The signature of a call.
    Call { id: String, signature: String },
}

/// What a reasoning item stands for. Models that tell their thoughts themselves put them into `content`, others a
/// summary; where both are there, the summary is what clients show.
fn carrier(id: Option<String>, encrypted: Option<String>, summary: &[Value], content: &[Value]) -> Carrier {
    if let Some(encrypted) = &encrypted {
        if let Some(data) = encrypted.strip_prefix(REDACTED) {
            return Carrier::Part(Part::RedactedThinking { data: data.to_owned() });
        }
        // Signatures are base64, so the last colon is ours.
        if let Some((call, signature)) = encrypted.strip_prefix(CALL).and_then(|rest| rest.rsplit_once(':')) {
            return Carrier::Call { id: call.to_owned(), signature: signature.to_owned() };
        }
    }
    let source = if summary.is_empty() { content } else { summary };
    let texts: Vec<&str> = source.iter().filter_map(|piece| piece.get("text")?.as_str()).collect();
    let signature = encrypted.map(|encrypted| Home::OpenAi.read(encrypted));
    Carrier::Part(Part::Thinking { text: texts.join(PARAGRAPH), signature, id })
}

/// Between the parts of a summary, where they become one text.
const PARAGRAPH: &str = "\n\n";

/// A thought as a summary.
fn summary(text: &str) -> Value {
    if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) }
}

/// A picture that was made, where it is in the item itself.
fn image_part(item: &Value) -> Option<Part> {
    let data = item.get("result")?.as_str()?;
    let format = item.get("output_format").and_then(Value::as_str).unwrap_or("png");
    let media = Media::Base64 { media_type: format!("image/{format}"), data: data.to_owned() };
    Some(Part::Image { media, detail: None, cache: None })
}

/// Citations as this dialect's list of annotations.
fn annotations(citations: Option<&Value>) -> Vec<Value> {
    match citations {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().filter_map(annotation).collect(),
        Some(one) => annotation(one).into_iter().collect(),
    }
}

/// One citation as an annotation. Those of chat completions lie one level deeper there, Anthropic's have other names; what
/// is none of this dialect's is `None`: clients tell annotations apart by their types.
fn annotation(citation: &Value) -> Option<Value> {
    let text = |key: &str| citation.get(key).and_then(Value::as_str);
    let kind = text("type").unwrap_or("");
    if let Some(Value::Object(inner)) = citation.get(kind) {
        let mut flat = inner.clone();
        flat.insert("type".to_owned(), kind.into());
        return Some(Value::Object(flat));
    }
    Some(match kind {
        "web_search_result_location" | "search_result_location" => json!({
            "type": "url_citation",
            "url": text("url").or(text("source")).unwrap_or(""),
            "title": text("title").unwrap_or(""),
            "start_index": 0,
            "end_index": 0,
        }),
        "char_location" | "page_location" | "content_block_location" => json!({
            "type": "file_citation",
            "file_id": text("file_id").unwrap_or(""),
            "filename": text("document_title").unwrap_or(""),
            "index": citation.get("document_index").and_then(Value::as_u64).unwrap_or(0),
        }),
        "url_citation" | "file_citation" | "container_file_citation" | "file_path" => citation.clone(),
        _ => return None,
    })
}
