//! Turns events into the stream that a Gemini client reads.

use std::collections::HashMap;

use serde_json::Value;

use super::answer::{OWN_OF_CHOICE, block_reason};
use super::parts::{self, To};
use super::{errors, finish, logprobs, usage};
use crate::carry::tell_gemini;
use crate::json::{Array, Object};
use crate::{Dialect, Event, Finish, Part, PartKind, Reply, Usage};

/// Turns events into the stream that a client reads. Words go out as they come; calls when they are whole, as Gemini's
/// do; reasons of finish and usage in one last chunk.
#[derive(Debug)]
pub struct Writer {
    /// A JSON array instead of server-sent events.
    array: bool,
    /// Something was written.
    begun: bool,
    /// Members of every chunk behind its candidates.
    tail: Vec<u8>,
    model: String,
    id: String,
    open: Vec<Open>,
    /// Signatures without words that wait for the part behind them, by choice.
    pending: Vec<(u32, String)>,
    finishes: Vec<Ended>,
    usage: Usage,
}

#[derive(Debug)]
struct Open {
    choice: u32,
    part: u32,
    sort: Sort,
}

#[derive(Debug)]
enum Sort {
    Text,
    Thinking {
        said: bool,
    },
    Call {
        id: String,
        name: String,
        arguments: String,
        signature: Option<String>,
    },
    /// Written already, or nothing that Gemini's clients are told.
    Silent,
}

#[derive(Debug)]
struct Ended {
    choice: u32,
    finish: Finish,
    native: Option<String>,
    rest: serde_json::Map<String, Value>,
}

impl Writer {
    /// For a client that asked for server-sent events (`alt=sse`).
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            array: false,
            begun: false,
            tail: Vec::new(),
            model: reply.model.to_owned(),
            id: reply.id.to_owned(),
            open: Vec::new(),
            pending: Vec::new(),
            finishes: Vec::new(),
            usage: Usage::default(),
        }
    }

    /// For a client that did not: one JSON array (`application/json`).
    pub fn array(reply: &Reply<'_>) -> Self {
        Self { array: true, ..Self::new(reply) }
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
            }
            Event::Open { choice, part, kind } => self.open(*choice, *part, kind, out),
            Event::Delta { choice, part, text } => self.delta(*choice, *part, text, out),
            Event::Signature { choice, part, signature } => self.signature(*choice, *part, signature, out),
            Event::Close { choice, part } => self.close(*choice, *part, out),
            Event::Logprobs { choice, value } => {
                if let Some(value) = logprobs::write(value) {
                    self.chunk(*choice, out, |list| parts::text("", None, false, list), Some(&value));
                }
            }
            Event::Finish { choice, finish, native, rest, .. } => self.finishes.push(Ended {
                choice: *choice,
                finish: *finish,
                native: native.clone(),
                rest: rest.clone(),
            }),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Error(error) => {
                self.begin(out);
                errors::write_error(error, out);
                self.end(out);
                if self.array {
                    out.push(b']');
                }
            }
            Event::End => self.last(out),
            // Google's clients take a comment for a broken chunk, and citations of other providers say nothing to them.
            Event::Ping | Event::Citation { .. } => {}
        }
    }

    fn open(&mut self, choice: u32, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        let sort = match kind {
            PartKind::Text | PartKind::Refusal => Sort::Text,
            PartKind::Thinking { .. } => {
                self.flush(choice, out);
                Sort::Thinking { said: false }
            }
            PartKind::ToolCall { id, name } => {
                self.flush(choice, out);
                Sort::Call { id: id.clone(), name: name.clone(), arguments: String::new(), signature: None }
            }
            PartKind::Media { part } => {
                let mut both = Vec::with_capacity(2);
                if let Some(signature) = self.take_pending(choice) {
                    both.push(Part::Thinking { text: String::new(), signature: Some(signature), id: None });
                }
                both.push(part.clone());
                self.parts(choice, &both, out);
                Sort::Silent
            }
            PartKind::Other { dialect: Dialect::Gemini, value } => {
                self.flush(choice, out);
                self.parts(choice, &[Part::Other { dialect: Dialect::Gemini, value: value.clone() }], out);
                Sort::Silent
            }
            PartKind::Other { .. } | PartKind::RedactedThinking { .. } => Sort::Silent,
        };
        self.open.push(Open { choice, part, sort });
    }

    fn parts(&mut self, choice: u32, all: &[Part], out: &mut Vec<u8>) {
        let write = |list: &mut Array<'_>| {
            parts::write(all, &HashMap::new(), To::Client, list);
        };
        self.chunk(choice, out, write, None);
    }

    fn delta(&mut self, choice: u32, part: u32, text: &str, out: &mut Vec<u8>) {
        let Some(open) = find(&mut self.open, choice, part) else { return };
        match &mut open.sort {
            Sort::Call { arguments, .. } => arguments.push_str(text),
            Sort::Silent => {}
            _ if text.is_empty() => {}
            Sort::Thinking { said } => {
                *said = true;
                self.chunk(choice, out, |list| parts::text(text, None, true, list), None);
            }
            Sort::Text => {
                let signature = self.take_pending(choice);
                let signature = signature.as_deref().map(tell_gemini);
                self.chunk(choice, out, |list| parts::text(text, signature.as_deref(), false, list), None);
            }
        }
    }

    fn signature(&mut self, choice: u32, part: u32, sign: &str, out: &mut Vec<u8>) {
        let Some(open) = find(&mut self.open, choice, part) else { return };
        match &mut open.sort {
            Sort::Call { signature, .. } => *signature = Some(sign.to_owned()),
            Sort::Thinking { said: true } => {
                self.chunk(choice, out, |list| parts::text("", Some(&tell_gemini(sign)), true, list), None);
            }
            Sort::Thinking { said: false } => self.pending.push((choice, sign.to_owned())),
            Sort::Text | Sort::Silent => {}
        }
    }

    fn close(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.choice == choice && open.part == part) else {
            return;
        };
        if let Sort::Call { id, name, arguments, signature } = self.open.remove(at).sort {
            let write =
                |list: &mut Array<'_>| parts::write_call(&id, &name, &arguments, signature.as_deref(), list);
            self.chunk(choice, out, write, None);
        }
    }

    fn take_pending(&mut self, choice: u32) -> Option<String> {
        let at = self.pending.iter().position(|(pending, _)| *pending == choice)?;
        Some(self.pending.remove(at).1)
    }

    /// A signature that no part of words follows goes out with an empty one.
    fn flush(&mut self, choice: u32, out: &mut Vec<u8>) {
        while let Some(signature) = self.take_pending(choice) {
            self.chunk(
                choice,
                out,
                |list| parts::text("", Some(&tell_gemini(&signature)), false, list),
                None,
            );
        }
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        while let Some((choice, _)) = self.pending.first() {
            self.flush(*choice, out);
        }
        self.begin(out);
        let mut object = Object::begin(out);
        let finishes = std::mem::take(&mut self.finishes);
        let feedback = finishes.iter().find_map(|ended| ended.rest.get("promptFeedback"));
        if feedback.and_then(block_reason).is_none() {
            let mut list = object.array("candidates");
            for ended in &finishes {
                let mut candidate = list.object();
                let mut content = candidate.object("content");
                let mut said = content.array("parts");
                parts::text("", None, false, &mut said);
                said.end();
                content.put("role", "model");
                content.end();
                candidate.put("finishReason", finish::word(ended.finish, ended.native.as_deref()));
                candidate.put("index", &ended.choice);
                for (key, value) in ended.rest.iter().filter(|(key, _)| OWN_OF_CHOICE.contains(&key.as_str()))
                {
                    candidate.put(key, value);
                }
                candidate.end();
            }
            list.end();
        }
        object.maybe("promptFeedback", feedback);
        usage::write(&self.usage, &mut object);
        object.put("modelVersion", &self.model).put("responseId", &self.id);
        object.end();
        self.end(out);
        if self.array {
            out.push(b']');
        }
    }

    fn chunk(
        &mut self,
        choice: u32,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Array<'_>),
        logprobs: Option<&Value>,
    ) {
        self.begin(out);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":");
        let mut list = Array::begin(out);
        write(&mut list);
        list.end();
        out.extend_from_slice(b",\"role\":\"model\"},\"index\":");
        crate::json::append(&choice, out);
        if let Some(value) = logprobs {
            out.extend_from_slice(b",\"logprobsResult\":");
            crate::json::append(value, out);
        }
        if self.tail.is_empty() {
            self.tail.extend_from_slice(b"}],\"modelVersion\":");
            crate::json::append_string(&self.model, &mut self.tail);
            self.tail.extend_from_slice(b",\"responseId\":");
            crate::json::append_string(&self.id, &mut self.tail);
            self.tail.push(b'}');
        }
        out.extend_from_slice(&self.tail);
        self.end(out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        let begun = std::mem::replace(&mut self.begun, true);
        out.extend_from_slice(match (self.array, begun) {
            (false, _) => b"data: ".as_slice(),
            (true, false) => b"[",
            (true, true) => b",\n",
        });
    }

    fn end(&self, out: &mut Vec<u8>) {
        if !self.array {
            out.extend_from_slice(b"\n\n");
        }
    }
}

fn find(open: &mut [Open], choice: u32, part: u32) -> Option<&mut Open> {
    open.iter_mut().find(|open| open.choice == choice && open.part == part)
}
