//! Reads what the gateway must know of a request's body in one pass, without building a tree of it.

pub(crate) mod cursor;

use std::borrow::Cow;
use std::ops::Range;

use crate::{Dialect, Fault};
use cursor::{Cursor, Tally};

/// Members that a body's object may have at its top: requests have some dozens, and each costs memory that the body's own
/// size does not bound tightly.
pub const MEMBERS: usize = 4096;

/// A member of the body's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where its name is, quotes not included.
    pub key: Range<usize>,
    /// Where its value is.
    pub value: Range<usize>,
}

/// What a body says at its top. The ranges are byte positions in the body that was scanned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scan {
    /// All members in order; no two of the names that the gateway acts on are the same.
    pub members: Vec<Member>,
    /// The model, where the body names one.
    pub model: Option<String>,
    /// Whether the answer is to be a stream, where the body says it. (Ollama's default is yes.)
    pub stream: Option<bool>,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// `max_completion_tokens`, `max_tokens` or `max_output_tokens`, the first of them that is there.
    pub max_tokens: Option<u64>,
    /// `temperature`.
    pub temperature: Option<f64>,
    /// `n`.
    pub n: Option<u64>,
    /// `user`, where it is a text.
    pub user: Option<String>,
    /// Whether there are tools (or OpenAI's older functions).
    pub tools: bool,
    /// Bytes of all texts that the model reads: messages, instructions, tools, inputs. Escapes count as written, names
    /// of fields not at all.
    pub text_bytes: usize,
    /// Of the body's bytes, those that are no ASCII.
    pub non_ascii_bytes: usize,
    /// Pictures, sounds and files in the body itself.
    pub media: usize,
}

/// Scans a body. A fault for what is not one JSON object in UTF-8 with at most [`crate::json::DEPTH`] levels, and for a
/// body that says one of the things above twice: who comes behind might read the other.
pub fn scan(body: &[u8]) -> Result<Scan, Fault> {
    let mut scan = Scan::default();
    scan.read(body)?;
    Ok(scan)
}

/// Names that the gateway acts on.
#[derive(Clone, Copy)]
enum Known {
    Model,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    Temperature,
    N,
    User,
    Tools,
    Functions,
    Text,
    /// Held once, but read only by those who need it.
    Once,
    Other,
}

fn known(name: &[u8]) -> Known {
    match name {
        b"model" => Known::Model,
        b"stream" => Known::Stream,
        b"stream_options" => Known::StreamOptions,
        b"max_tokens" => Known::MaxTokens,
        b"max_completion_tokens" => Known::MaxCompletionTokens,
        b"max_output_tokens" => Known::MaxOutputTokens,
        b"temperature" => Known::Temperature,
        b"n" => Known::N,
        b"user" => Known::User,
        b"tools" | b"toolConfig" => Known::Tools,
        b"functions" => Known::Functions,
        b"messages"
        | b"input"
        | b"contents"
        | b"content"
        | b"prompt"
        | b"system"
        | b"instructions"
        | b"systemInstruction"
        | b"system_instruction"
        | b"texts"
        | b"inputs"
        | b"requests"
        | b"query"
        | b"documents" => Known::Text,
        b"generationConfig" | b"generation_config" | b"inferenceConfig" | b"options" => Known::Once,
        _ => Known::Other,
    }
}

impl Scan {
    /// Scans a body into this, whose memory is used again.
    pub fn read(&mut self, body: &[u8]) -> Result<(), Fault> {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        *self = Self { members, ..Self::default() };
        if !body.is_ascii() {
            if std::str::from_utf8(body).is_err() {
                return Err(Fault::syntax("The body is not UTF-8."));
            }
            self.non_ascii_bytes = body.iter().map(|byte| usize::from(byte >> 7)).sum();
        }
        let mut seen = 0u32;
        let mut tokens = [None; 3];
        let mut cursor = Cursor::new(body);
        cursor.space();
        if cursor.byte().is_some_and(|byte| byte != b'{') {
            return Err(Fault::syntax("The body must be a JSON object."));
        }
        cursor.members(0, |cursor, key| {
            if self.members.len() >= MEMBERS {
                return Err(Fault::syntax(format!("The body has more than {MEMBERS} fields.")));
            }
            let name = unescaped(body, &key);
            let known = known(&name);
            if !matches!(known, Known::Text | Known::Once | Known::Other) {
                let bit = 1 << known as u32;
                if seen & bit != 0 {
                    return Err(twice(&name));
                }
                seen |= bit;
            } else if !matches!(known, Known::Other)
                && self.members.iter().any(|other| unescaped(body, &other.key) == name)
            {
                return Err(twice(&name));
            }
            let mut tally = Tally::default();
            let value = cursor.value(1, &mut tally)?;
            let said = body.get(value.clone()).unwrap_or_default();
            let null = said == b"null";
            match known {
                _ if null => {}
                Known::Model => {
                    self.model = Some(text(said).ok_or_else(|| Fault::wrong("model", "a string"))?)
                }
                Known::Stream => {
                    self.stream = Some(match said {
                        b"true" => true,
                        b"false" => false,
                        _ => return Err(Fault::wrong("stream", "true or false")),
                    });
                }
                Known::StreamOptions => {
                    self.include_usage = member(body, &value, "include_usage")?
                        .is_some_and(|at| body.get(at) == Some(b"true"));
                }
                Known::MaxCompletionTokens => tokens[0] = Some(count(said, "max_completion_tokens")?),
                Known::MaxTokens => tokens[1] = Some(count(said, "max_tokens")?),
                Known::MaxOutputTokens => tokens[2] = Some(count(said, "max_output_tokens")?),
                Known::Temperature => {
                    let number =
                        serde_json::from_slice(said).map_err(|_| Fault::wrong("temperature", "a number"));
                    self.temperature = Some(number?);
                }
                Known::N => self.n = Some(count(said, "n")?),
                Known::User => self.user = text(said),
                Known::Tools | Known::Functions => {
                    self.tools |= said != b"[]" && said != b"{}";
                    self.text_bytes += tally.text;
                }
                Known::Text => {
                    self.text_bytes += tally.text;
                    self.media += tally.media;
                }
                Known::Once | Known::Other => {}
            }
            self.members.push(Member { key, value });
            Ok(())
        })?;
        cursor.space();
        if cursor.position() != body.len() {
            return Err(cursor.fault());
        }
        self.max_tokens = tokens.into_iter().flatten().next();
        Ok(())
    }

    /// Where the value of a member is.
    pub fn find(&self, body: &[u8], name: &str) -> Option<Range<usize>> {
        self.position(body, name).and_then(|at| self.members.get(at)).map(|member| member.value.clone())
    }

    /// The number of a member.
    pub(crate) fn position(&self, body: &[u8], name: &str) -> Option<usize> {
        self.members.iter().position(|member| *unescaped(body, &member.key) == *name.as_bytes())
    }

    /// The most output tokens that the client asked for, in a dialect's words.
    pub fn max_output(&self, body: &[u8], dialect: Dialect) -> Option<u64> {
        let (parents, names) = output_bound(dialect);
        if parents.is_empty() {
            return self.max_tokens;
        }
        parents.iter().find_map(|parent| {
            let value = self.find(body, parent)?;
            names.iter().find_map(|name| {
                let at = member(body, &value, name).ok().flatten()?;
                count(body.get(at)?, name).ok()
            })
        })
    }
}

/// Where a dialect says how much output there may be: the names of the object that holds it (none: the body itself), and
/// the names of the bound.
pub(crate) fn output_bound(dialect: Dialect) -> (&'static [&'static str], &'static [&'static str]) {
    match dialect {
        Dialect::OpenAi => (&[], &["max_completion_tokens", "max_tokens"]),
        Dialect::Responses => (&[], &["max_output_tokens"]),
        Dialect::Anthropic | Dialect::Cohere | Dialect::Mistral => (&[], &["max_tokens"]),
        Dialect::Gemini => {
            (&["generationConfig", "generation_config"], &["maxOutputTokens", "max_output_tokens"])
        }
        Dialect::Bedrock => (&["inferenceConfig"], &["maxTokens"]),
        Dialect::Ollama => (&["options"], &["num_predict"]),
    }
}

/// Where a member of the object that lies at `at` is; `None` where it has none or is no object.
pub(crate) fn member(body: &[u8], at: &Range<usize>, name: &str) -> Result<Option<Range<usize>>, Fault> {
    let inner = body.get(..at.end).unwrap_or_default();
    if inner.get(at.start) != Some(&b'{') {
        return Ok(None);
    }
    let mut found = None;
    Cursor::at(inner, at.start).members(1, |cursor, key| {
        let value = cursor.value(2, &mut Tally::default())?;
        if *unescaped(body, &key) == *name.as_bytes() {
            if found.is_some() {
                return Err(twice(name.as_bytes()));
            }
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// A name as it reads: `mod\u0065l` is `model` for everyone behind.
pub(crate) fn unescaped<'b>(body: &'b [u8], key: &Range<usize>) -> Cow<'b, [u8]> {
    let raw = body.get(key.clone()).unwrap_or_default();
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let quoted = body.get(key.start.saturating_sub(1)..key.end.saturating_add(1)).unwrap_or_default();
    match text(quoted) {
        Some(name) => Cow::Owned(name.into_bytes()),
        None => Cow::Borrowed(raw),
    }
}

fn text(said: &[u8]) -> Option<String> {
    serde_json::from_slice(said).ok()
}

fn count(said: &[u8], name: &str) -> Result<u64, Fault> {
    serde_json::from_slice(said)
        .ok()
        .and_then(|value| crate::json::unsigned(&value))
        .ok_or_else(|| Fault::wrong(name, "a whole number, 0 or more"))
}

fn twice(name: &[u8]) -> Fault {
    let name = String::from_utf8_lossy(name);
    Fault::wrong(name.clone(), "said only once")
}

#[cfg(test)]
#[path = "scan/tests.rs"]
mod tests;
