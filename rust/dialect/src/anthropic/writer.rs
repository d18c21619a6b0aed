//! Writes a stream for a client in Anthropic's words.
//!
//! `message_start` waits for the first event that is no report of usage, so that it can tell the input where the provider
//! says it at the start; where not, its numbers are 0 (SDKs need them to be there) and `message_delta` tells all of
//! them. Blocks never overlap for the client: parts that a provider sends side by side wait for the one before.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::answer::{stop_reason, write_delta_usage, write_stop, write_usage, write_whole};
use super::blocks::parse_citation;
use super::errors::write_error;
use crate::json::{Object, append, append_string};
use crate::{Dialect, Event, Finish, PartKind, Reply, Usage, carry};

/// Turns events into the stream that a client reads.
#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    /// `message_start` is still to be written.
    waiting: bool,
    usage: Usage,
    /// Parts that are not whole, in order. The first is the one that the client gets now.
    parts: VecDeque<Open>,
    /// Index of the next block.
    next: u32,
    declined: bool,
    stop: Option<Stop>,
}

#[derive(Debug)]
struct Open {
    part: u32,
    kind: PartKind,
    /// A call's signature, which goes into its id; of a thinking part, that it was written.
    signature: Option<String>,
    stage: Stage,
    /// What came for it before it was its turn.
    held: Vec<Piece>,
    whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Begun(u32),
    /// The dialect has no such block.
    Skipped,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Signature(String),
    Citation(Value),
}

#[derive(Debug)]
struct Stop {
    finish: Finish,
    native: Option<String>,
    text: Option<String>,
    rest: Map<String, Value>,
}

impl Writer {
    /// For one client.
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            id: reply.id.to_owned(),
            model: reply.model.to_owned(),
            waiting: false,
            usage: Usage::default(),
            parts: VecDeque::new(),
            next: 0,
            declined: false,
            stop: None,
        }
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.waiting && !matches!(event, Event::Usage(_) | Event::Start { .. } | Event::Error(_)) {
            self.begin(out);
        }
        match event {
            Event::Start { id, .. } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                self.waiting = true;
            }
            Event::Delta { choice: 0, part, text } => match self.parts.front_mut() {
                Some(front) if front.part == *part => front.text(text, &mut self.next, out),
                _ => self.hold(*part, || Piece::Text(text.clone())),
            },
            Event::Open { choice: 0, part, kind } => {
                self.declined |= matches!(kind, PartKind::Refusal);
                let first = self.parts.is_empty();
                let mut open = Open::new(*part, kind.clone());
                // A call waits for its next event: it may be the signature that its id must carry.
                if first && !matches!(kind, PartKind::ToolCall { .. }) {
                    open.begin(&mut self.next, out);
                }
                self.parts.push_back(open);
            }
            Event::Signature { choice: 0, part, signature } => match self.parts.front_mut() {
                Some(front) if front.part == *part => front.signature(signature, &mut self.next, out),
                _ => self.hold(*part, || Piece::Signature(signature.clone())),
            },
            Event::Citation { choice: 0, part, value } => match self.parts.front_mut() {
                Some(front) if front.part == *part => front.citation(value, &mut self.next, out),
                _ => self.hold(*part, || Piece::Citation(value.clone())),
            },
            Event::Close { choice: 0, part } => {
                if let Some(open) = self.parts.iter_mut().find(|open| open.part == *part) {
                    open.whole = true;
                }
                self.advance(out);
            }
            Event::Finish { choice: 0, finish, native, stop_text, rest } => {
                self.stop = Some(Stop {
                    finish: *finish,
                    native: native.clone(),
                    text: stop_text.clone(),
                    rest: rest.clone(),
                });
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Ping => out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n"),
            Event::Error(error) => {
                self.waiting = false;
                out.extend_from_slice(b"event: error\ndata: ");
                write_error(error, out);
                out.extend_from_slice(b"\n\n");
            }
            Event::End => self.end(out),
            // Other choices, which no client of this dialect can have asked for, and token probabilities.
            Event::Delta { .. }
            | Event::Open { .. }
            | Event::Signature { .. }
            | Event::Citation { .. }
            | Event::Close { .. }
            | Event::Finish { .. }
            | Event::Logprobs { .. } => {}
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        self.waiting = false;
        out.extend_from_slice(b"event: message_start\ndata: ");
        let mut event = Object::begin(out);
        event.put("type", "message_start");
        let mut message = event.object("message");
        message.put("id", &self.id).put("type", "message").put("role", "assistant").put("model", &self.model);
        message.array("content").end();
        message.put("stop_reason", &()).put("stop_sequence", &());
        write_usage(&self.usage, message.key("usage"));
        message.end();
        event.end();
        out.extend_from_slice(b"\n\n");
    }

    fn hold(&mut self, part: u32, piece: impl FnOnce() -> Piece) {
        if let Some(open) = self.parts.iter_mut().find(|open| open.part == part) {
            open.held.push(piece());
        }
    }

    /// Ends blocks that are whole and begins the ones behind them.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while let Some(front) = self.parts.front_mut() {
            front.catch_up(&mut self.next, out);
            if !front.whole {
                return;
            }
            front.end(&mut self.next, out);
            self.parts.pop_front();
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        for open in &mut self.parts {
            open.whole = true;
        }
        self.advance(out);
        let stop = self.stop.take();
        let (reason, text, details) = match &stop {
            Some(stop) => (
                stop_reason(stop.finish, stop.native.as_deref(), stop.text.is_some(), self.declined),
                stop.text.as_deref(),
                stop.rest.get("stop_details"),
            ),
            None => ("end_turn", None, None),
        };
        out.extend_from_slice(b"event: message_delta\ndata: ");
        let mut event = Object::begin(out);
        event.put("type", "message_delta");
        write_stop(reason, text, details, event.key("delta"));
        write_delta_usage(&self.usage, event.key("usage"));
        event.end();
        out.extend_from_slice(b"\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }
}

impl Open {
    fn new(part: u32, kind: PartKind) -> Self {
        Self { part, kind, signature: None, stage: Stage::Waiting, held: Vec::new(), whole: false }
    }

    /// Appends `content_block_start` if it is not written; the block's index, if there is such a block.
    fn begin(&mut self, next: &mut u32, out: &mut Vec<u8>) -> Option<u32> {
        match self.stage {
            Stage::Begun(index) => return Some(index),
            Stage::Skipped => return None,
            Stage::Waiting => {}
        }
        let index = *next;
        let start = out.len();
        out.extend_from_slice(
            b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":",
        );
        append(&index, out);
        out.extend_from_slice(b",\"content_block\":");
        if !self.write_start(out) {
            out.truncate(start);
            self.stage = Stage::Skipped;
            return None;
        }
        out.extend_from_slice(b"}\n\n");
        self.stage = Stage::Begun(index);
        *next = next.saturating_add(1);
        if matches!(self.kind, PartKind::ToolCall { .. }) {
            // The API's own first piece of arguments is empty, and some clients wait for one.
            delta(index, b"{\"type\":\"input_json_delta\",\"partial_json\":", "", out);
        }
        Some(index)
    }

    /// Appends the block as it is at its start; says whether there is such a block.
    fn write_start(&self, out: &mut Vec<u8>) -> bool {
        match &self.kind {
            PartKind::Text | PartKind::Refusal => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}"),
            PartKind::Thinking { .. } => {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
            }
            PartKind::RedactedThinking { data } => {
                out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                append_string(data, out);
                out.push(b'}');
            }
            PartKind::ToolCall { id, name } => {
                let mut block = Object::begin(out);
                block.put("type", "tool_use");
                block.put("id", &*carry::signed_id(id, self.signature.as_deref())).put("name", name);
                block.object("input").end();
                block.end();
            }
            PartKind::Media { part } => return write_whole(part, out),
            PartKind::Other { dialect: Dialect::Anthropic, value } => append(value, out),
            PartKind::Other { .. } => return false,
        }
        true
    }

    fn text(&mut self, text: &str, next: &mut u32, out: &mut Vec<u8>) {
        let Some(index) = self.begin(next, out) else { return };
        let head: &[u8] = match self.kind {
            PartKind::Text | PartKind::Refusal => b"{\"type\":\"text_delta\",\"text\":",
            PartKind::Thinking { .. } => b"{\"type\":\"thinking_delta\",\"thinking\":",
            PartKind::ToolCall { .. } => b"{\"type\":\"input_json_delta\",\"partial_json\":",
            PartKind::RedactedThinking { .. } | PartKind::Media { .. } | PartKind::Other { .. } => return,
        };
        delta(index, head, text, out);
    }

    fn signature(&mut self, signature: &str, next: &mut u32, out: &mut Vec<u8>) {
        match &self.kind {
            PartKind::ToolCall { .. } => self.signature = Some(signature.to_owned()),
            PartKind::Thinking { id } => {
                let id = id.clone();
                let Some(index) = self.begin(next, out) else { return };
                let carried = carry::signed_thought(id.as_deref(), Some(signature));
                delta(index, b"{\"type\":\"signature_delta\",\"signature\":", &carried, out);
                self.signature = Some(String::new());
            }
            _ => {}
        }
    }

    fn citation(&mut self, value: &Value, next: &mut u32, out: &mut Vec<u8>) {
        let Some(citation) = parse_citation(value, None) else { return };
        let Some(index) = self.begin(next, out) else { return };
        open_delta(index, out);
        out.extend_from_slice(b"{\"type\":\"citations_delta\",\"citation\":");
        append(&citation, out);
        out.extend_from_slice(b"}}\n\n");
    }

    /// Writes what came before it was its turn.
    fn catch_up(&mut self, next: &mut u32, out: &mut Vec<u8>) {
        for piece in std::mem::take(&mut self.held) {
            match piece {
                Piece::Text(text) => self.text(&text, next, out),
                Piece::Signature(signature) => self.signature(&signature, next, out),
                Piece::Citation(value) => self.citation(&value, next, out),
            }
        }
        if !matches!(self.kind, PartKind::ToolCall { .. }) {
            self.begin(next, out);
        }
    }

    fn end(&mut self, next: &mut u32, out: &mut Vec<u8>) {
        if self.signature.is_none() && matches!(self.kind, PartKind::Thinking { id: Some(_) }) {
            // Only the signature can carry the item's id.
            self.signature("", next, out);
        }
        let Some(index) = self.begin(next, out) else { return };
        out.extend_from_slice(
            b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":",
        );
        append(&index, out);
        out.extend_from_slice(b"}\n\n");
    }
}

fn open_delta(index: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    append(&index, out);
    out.extend_from_slice(b",\"delta\":");
}

/// Appends a delta: its object's beginning, up to the one text in it, and the text.
fn delta(index: u32, head: &[u8], text: &str, out: &mut Vec<u8>) {
    open_delta(index, out);
    out.extend_from_slice(head);
    append_string(text, out);
    out.extend_from_slice(b"}}\n\n");
}
