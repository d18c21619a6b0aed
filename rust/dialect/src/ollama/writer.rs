//! Turns events into the JSON lines that an Ollama client reads.

use serde_json::{Map, Value};

use super::answer::write_end;
use super::errors::write_error;
use super::messages::write_call;
use crate::json::{Array, Object, append, append_string};
use crate::{Event, Finish, Media, Part, PartKind, Reply, Usage, when};

/// Turns events into the stream that a client reads: the first choice, since Ollama's clients know one. Words go out as
/// they come; calls when they are whole, as Ollama's do; reason of finish and usage in the last line.
#[derive(Debug)]
pub struct Writer {
    /// In the words of `/api/generate`.
    generate: bool,
    model: String,
    created: u64,
    /// The beginning of every line: model and time.
    head: Vec<u8>,
    open: Vec<(u32, Sort)>,
    calls: u64,
    ended: Option<(Finish, Option<String>, Map<String, Value>)>,
    usage: Usage,
}

#[derive(Debug)]
enum Sort {
    Text,
    Thinking,
    Call {
        id: String,
        name: String,
        arguments: String,
    },
    /// Written already, or nothing that Ollama's clients are told.
    Silent,
}

impl Writer {
    /// For a client of `/api/chat`.
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            generate: false,
            model: reply.model.to_owned(),
            created: reply.created,
            head: Vec::new(),
            open: Vec::new(),
            calls: 0,
            ended: None,
            usage: Usage::default(),
        }
    }

    /// For a client of `/api/generate`.
    pub fn generate(reply: &Reply<'_>) -> Self {
        Self { generate: true, ..Self::new(reply) }
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { created, .. } => self.created = created.unwrap_or(self.created),
            Event::Open { choice: 0, part, kind } => self.open(*part, kind, out),
            Event::Delta { choice: 0, part, text } => self.delta(*part, text, out),
            Event::Close { choice: 0, part } => self.close(*part, out),
            Event::Logprobs { choice: 0, value } => {
                if let Some(content) = value.get("content").filter(|content| content.is_array()) {
                    self.line(None, "", out, |out| {
                        out.extend_from_slice(b",\"logprobs\":");
                        append(content, out);
                    });
                }
            }
            Event::Finish { choice: 0, finish, native, rest, .. } => {
                self.ended = Some((*finish, native.clone(), rest.clone()));
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Error(error) => {
                write_error(error, out);
                out.push(b'\n');
            }
            Event::End => self.last(out),
            // Other choices; and signatures, citations and pings, for which there is no place.
            _ => {}
        }
    }

    fn open(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        let sort = match kind {
            PartKind::Text | PartKind::Refusal => Sort::Text,
            PartKind::Thinking { .. } => Sort::Thinking,
            PartKind::ToolCall { id, name } => {
                Sort::Call { id: id.clone(), name: name.clone(), arguments: String::new() }
            }
            PartKind::Media { part: Part::Image { media: Media::Base64 { data, .. }, .. } } => {
                let mut images = Vec::new();
                append(&[data], &mut images);
                self.line(Some(("images", &images)), "", out, |_| {});
                Sort::Silent
            }
            _ => Sort::Silent,
        };
        self.open.push((part, sort));
    }

    fn delta(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let Some((_, sort)) = self.open.iter_mut().find(|(open, _)| *open == part) else { return };
        match sort {
            Sort::Call { arguments, .. } => arguments.push_str(text),
            Sort::Text => self.line(None, text, out, |_| {}),
            Sort::Thinking => {
                let mut thinking = Vec::new();
                append_string(text, &mut thinking);
                self.line(Some(("thinking", &thinking)), "", out, |_| {});
            }
            Sort::Silent => {}
        }
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|(open, _)| *open == part) else { return };
        if let (_, Sort::Call { id, name, arguments }) = self.open.remove(at) {
            let mut calls = Vec::new();
            let mut list = Array::begin(&mut calls);
            write_call(&id, &name, &arguments, self.calls, &mut list);
            list.end();
            self.calls = self.calls.saturating_add(1);
            self.line(Some(("tool_calls", &calls)), "", out, |_| {});
        }
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        self.head(out);
        let (finish, native, rest) = self.ended.take().unwrap_or_default();
        out.extend_from_slice(if self.generate {
            b"\"response\":\"\",".as_slice()
        } else {
            b"\"message\":{\"role\":\"assistant\",\"content\":\"\"},"
        });
        let mut tail = Vec::new();
        let mut object = Object::begin(&mut tail);
        write_end(finish, native.as_deref(), &self.usage, &rest, &mut object);
        object.end();
        out.extend_from_slice(tail.get(1..).unwrap_or_default());
        out.push(b'\n');
    }

    /// A line with words, and one more member of the message (JSON already), and members behind it.
    fn line(
        &mut self,
        more: Option<(&str, &[u8])>,
        text: &str,
        out: &mut Vec<u8>,
        behind: impl FnOnce(&mut Vec<u8>),
    ) {
        self.head(out);
        out.extend_from_slice(if self.generate {
            b"\"response\":".as_slice()
        } else {
            b"\"message\":{\"role\":\"assistant\",\"content\":"
        });
        append_string(text, out);
        if let Some((key, value)) = more {
            out.push(b',');
            append_string(key, out);
            out.push(b':');
            out.extend_from_slice(value);
        }
        if !self.generate {
            out.push(b'}');
        }
        out.extend_from_slice(b",\"done\":false");
        behind(out);
        out.extend_from_slice(b"}\n");
    }

    fn head(&mut self, out: &mut Vec<u8>) {
        if self.head.is_empty() {
            self.head.extend_from_slice(b"{\"model\":");
            append_string(&self.model, &mut self.head);
            self.head.extend_from_slice(b",\"created_at\":");
            append_string(&when::rfc3339(self.created), &mut self.head);
            self.head.push(b',');
        }
        out.extend_from_slice(&self.head);
    }
}
