//! Mistral chat completions: OpenAI's words but for `random_seed`, `any`, ids of nine characters, thoughts within the content.

use crate::openai::{self, Flavour};
use crate::{Answer, ApiError, ChatRequest, Event, Fault, Reply, Target, Written};

pub use crate::openai::{Reader, parse_answer, parse_error};

/// Characters of a tool call's id: letters and digits, no more and no fewer (Mistral's API refuses others).
const ID_CHARACTERS: usize = 9;

/// Reads a client's request.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    openai::parse_request_as(Flavour::Mistral, body)
}

/// Appends the body of a request to a provider. Ids of calls that Mistral refuses are replaced, the same by the same.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    openai::write_request_as(Flavour::Mistral, request, target, out)
}

/// Appends the body of an answer to a client.
pub fn write_answer(answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    openai::write_answer_as(Flavour::Mistral, answer, reply, out);
}

/// Appends the body that tells a client of an error: flat, as Mistral's are.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let mut nested = Vec::new();
    openai::write_error(error, &mut nested);
    let mut value = serde_json::from_slice::<serde_json::Value>(&nested).unwrap_or_default();
    let mut body = crate::json::Object::begin(out);
    body.put("object", "error");
    if let Some(inner) = value.get_mut("error").and_then(serde_json::Value::as_object_mut) {
        body.all(inner);
    }
    body.end();
}

/// Turns events into the stream that a client reads.
#[derive(Debug)]
pub struct Writer(openai::Writer);

impl Writer {
    /// For one client.
    pub fn new(reply: &Reply<'_>) -> Self {
        Self(openai::Writer::of(Flavour::Mistral, reply))
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.0.write(event, out);
    }
}

/// Whether Mistral takes an id as it is.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == ID_CHARACTERS && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// An id for one that Mistral refuses: nine characters of its hash (53 bits), so that each turn of a conversation gives the same.
pub(crate) fn id_for(id: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut hash = xxhash_rust::xxh3::xxh3_64(id.as_bytes());
    let mut text = String::with_capacity(ID_CHARACTERS);
    for _ in 0..ID_CHARACTERS {
        let digit = usize::try_from(hash % 62).unwrap_or_default();
        text.push(ALPHABET.get(digit).copied().map_or('0', char::from));
        hash /= 62;
    }
    text
}
