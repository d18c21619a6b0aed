//! Turns events into the stream that a Cohere client reads.

use serde_json::{Map, Value};

use super::answer::{pieces, word, write_usage};
use super::messages::{id_of, is_citation};
use crate::json::{Object, append, append_string};
use crate::{Event, Finish, PartKind, Reply, Usage};

/// Turns events into the stream that a client reads: the first choice, since Cohere's clients know one. Reason of finish
/// and usage go out together in `message-end`.
#[derive(Debug)]
pub struct Writer {
    id: String,
    open: Vec<Open>,
    /// Blocks of content so far, and calls: each counted for itself.
    contents: u32,
    calls: u32,
    citations: u32,
    /// Calls of which nothing was told yet.
    waiting: Vec<Waiting>,
    ended: Ended,
    usage: Usage,
}

#[derive(Debug, Default)]
struct Ended {
    finish: Finish,
    native: Option<String>,
    stop_text: Option<String>,
    rest: Map<String, Value>,
}

#[derive(Debug)]
struct Waiting {
    part: u32,
    id: String,
    name: String,
    signature: Option<String>,
}

#[derive(Debug)]
struct Open {
    part: u32,
    index: u32,
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Text,
    /// A thought of which nothing was said yet.
    Unsaid,
    Thinking,
    Call,
    Silent,
}

impl Writer {
    /// For one client.
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            id: reply.id.to_owned(),
            open: Vec::new(),
            contents: 0,
            calls: 0,
            citations: 0,
            waiting: Vec::new(),
            ended: Ended::default(),
            usage: Usage::default(),
        }
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                begin("message-start", out);
                out.extend_from_slice(b",\"id\":");
                append_string(&self.id, out);
                out.extend_from_slice(
                    b",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],\"citations\":[]}}}\n\n",
                );
            }
            Event::Open { choice: 0, part, kind } => self.open(*part, kind, out),
            Event::Signature { choice: 0, part, signature } => {
                if let Some(call) = self.waiting.iter_mut().find(|call| call.part == *part) {
                    call.signature = Some(signature.clone());
                }
            }
            Event::Delta { choice: 0, part, text } => self.delta(*part, text, out),
            Event::Citation { choice: 0, part, value } => self.citation(*part, value, out),
            Event::Logprobs { choice: 0, value } => self.logprobs(value, out),
            Event::Close { choice: 0, part } => self.close(*part, out),
            Event::Finish { choice: 0, finish, native, stop_text, rest } => {
                self.ended = Ended {
                    finish: *finish,
                    native: native.clone(),
                    stop_text: stop_text.clone(),
                    rest: rest.clone(),
                };
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Ping => crate::sse::sse_comment("ping", out),
            Event::Error(error) => {
                begin("message-end", out);
                out.extend_from_slice(b",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":");
                append_string(&error.message, out);
                out.extend_from_slice(b"}}\n\n");
            }
            Event::End => self.last(out),
            // Other choices, for which there is no place.
            _ => {}
        }
    }

    fn open(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        let (index, sort) = match kind {
            PartKind::Text | PartKind::Refusal => (self.block(Sort::Text, out), Sort::Text),
            // A thought may be a signature alone, of which Cohere's clients are told nothing.
            PartKind::Thinking { .. } => (0, Sort::Unsaid),
            // Its id may have a signature to carry, which comes before the arguments.
            PartKind::ToolCall { id, name } => {
                self.waiting.push(Waiting { part, id: id.clone(), name: name.clone(), signature: None });
                (0, Sort::Call)
            }
            _ => (0, Sort::Silent),
        };
        self.open.push(Open { part, index, sort });
    }

    fn block(&mut self, sort: Sort, out: &mut Vec<u8>) -> u32 {
        let index = self.contents;
        self.contents = self.contents.saturating_add(1);
        begin("content-start", out);
        at(index, out);
        out.extend_from_slice(match sort {
            Sort::Thinking => b"\"content\":{\"type\":\"thinking\",\"thinking\":\"\"}}}}\n\n".as_slice(),
            _ => b"\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n",
        });
        index
    }

    /// Tells of the call, if nothing was told of it yet.
    fn call(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(place) = self.waiting.iter().position(|call| call.part == part) else { return };
        let call = self.waiting.remove(place);
        let index = self.calls;
        if let Some(open) = self.open.iter_mut().find(|open| open.part == part) {
            open.index = index;
        }
        self.calls = self.calls.saturating_add(1);
        begin("tool-call-start", out);
        at(index, out);
        out.extend_from_slice(b"\"tool_calls\":{\"id\":");
        append_string(&id_of(&call.id, call.signature.as_deref()), out);
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        append_string(&call.name, out);
        out.extend_from_slice(b",\"arguments\":\"\"}}}}}\n\n");
    }

    fn find(&self, part: u32) -> Option<(Sort, u32)> {
        self.open.iter().find(|open| open.part == part).map(|open| (open.sort, open.index))
    }

    fn delta(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        self.call(part, out);
        let Some((mut sort, mut index)) = self.find(part) else { return };
        if text.is_empty() || sort == Sort::Silent {
            return;
        }
        if sort == Sort::Unsaid {
            (sort, index) = (Sort::Thinking, self.block(Sort::Thinking, out));
            if let Some(open) = self.open.iter_mut().find(|open| open.part == part) {
                (open.sort, open.index) = (sort, index);
            }
        }
        begin(if sort == Sort::Call { "tool-call-delta" } else { "content-delta" }, out);
        at(index, out);
        out.extend_from_slice(match sort {
            Sort::Call => b"\"tool_calls\":{\"function\":{\"arguments\":".as_slice(),
            Sort::Thinking => b"\"content\":{\"thinking\":",
            _ => b"\"content\":{\"text\":",
        });
        append_string(text, out);
        out.extend_from_slice(if sort == Sort::Call { b"}}}}" } else { b"}}}" });
        out.extend_from_slice(b"}\n\n");
    }

    /// Probabilities come beside the words of a text, one piece at a time.
    fn logprobs(&self, value: &Value, out: &mut Vec<u8>) {
        let Some(index) = self.open.iter().rev().find(|open| open.sort == Sort::Text).map(|open| open.index)
        else {
            return;
        };
        for piece in pieces(value) {
            begin("content-delta", out);
            at(index, out);
            out.extend_from_slice(b"\"content\":{\"text\":\"\"}}},\"logprobs\":");
            append(&piece, out);
            out.extend_from_slice(b"}\n\n");
        }
    }

    fn citation(&mut self, part: u32, value: &Value, out: &mut Vec<u8>) {
        if self.find(part).is_none() || !is_citation(value) {
            return;
        }
        let index = self.citations;
        self.citations = self.citations.saturating_add(1);
        begin("citation-start", out);
        at(index, out);
        out.extend_from_slice(b"\"citations\":");
        append(value, out);
        out.extend_from_slice(b"}}}\n\n");
        end_of("citation-end", index, out);
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        if self.waiting.iter().any(|call| call.part == part) {
            // No arguments came: clients read them as JSON.
            self.delta(part, "{}", out);
        }
        let Some(at) = self.open.iter().position(|open| open.part == part) else { return };
        let open = self.open.remove(at);
        match open.sort {
            Sort::Silent | Sort::Unsaid => {}
            Sort::Call => end_of("tool-call-end", open.index, out),
            _ => end_of("content-end", open.index, out),
        }
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        let Ended { finish, native, stop_text, rest } = std::mem::take(&mut self.ended);
        out.extend_from_slice(b"event: message-end\ndata: ");
        let mut object = Object::begin(out);
        object.put("type", "message-end").put("id", &self.id);
        let mut delta = object.object("delta");
        delta.put("finish_reason", word(finish, native.as_deref(), stop_text.as_deref()));
        write_usage(&self.usage, rest.get("billed_units"), &mut delta);
        delta.end();
        object.end();
        out.extend_from_slice(b"\n\n");
    }
}

/// An event's name, and the beginning of its data.
fn begin(name: &str, out: &mut Vec<u8>) {
    for piece in ["event: ", name, "\ndata: {\"type\":\"", name, "\""] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Its index, and the beginning of its message.
fn at(index: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"index\":");
    append(&index, out);
    out.extend_from_slice(b",\"delta\":{\"message\":{");
}

fn end_of(name: &str, index: u32, out: &mut Vec<u8>) {
    begin(name, out);
    out.extend_from_slice(b",\"index\":");
    append(&index, out);
    out.extend_from_slice(b"}\n\n");
}
