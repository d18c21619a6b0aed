//! Writes a stream for a client in Anthropic's words.
//!
//! `message_start` waits for the first event that is no report of usage, so that it can tell the input where the provider
//! says it at the start; where not, its numbers are 0 (SDKs need them to be there) and `message_delta` tells all of
//! them. Blocks never overlap: see `sequence`.

use serde_json::{Map, Value};

use super::answer::{stop_reason, write_delta_usage, write_stop, write_usage, write_whole};
use super::blocks::parse_citation;
use super::errors::write_error;
use crate::json::{Object, append, append_string};
use crate::sequence::{Blocks, Sequence};
use crate::{Dialect, Event, Finish, PartKind, Reply, Usage, carry};

/// Turns events into the stream that a client reads.
#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    /// `message_start` is still to be written.
    waiting: bool,
    usage: Usage,
    sequence: Sequence<Messages>,
    declined: bool,
    stop: Option<Stop>,
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
            sequence: Sequence::new(),
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
            // Token probabilities, and choices that no client of this dialect can have asked for, are nothing here.
            event => {
                self.declined |= matches!(event, Event::Open { choice: 0, kind: PartKind::Refusal, .. });
                self.sequence.write(event, out);
            }
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

    fn end(&mut self, out: &mut Vec<u8>) {
        self.sequence.end(out);
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

/// The blocks of Anthropic's messages.
#[derive(Debug)]
struct Messages;

impl Blocks for Messages {
    fn begin(index: u32, kind: &PartKind, signature: Option<&str>, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(
            b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":",
        );
        append(&index, out);
        out.extend_from_slice(b",\"content_block\":");
        match kind {
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
                block.put("type", "tool_use").put("id", &*carry::signed_id(id, signature)).put("name", name);
                block.object("input").end();
                block.end();
            }
            PartKind::Media { part } if write_whole(part, out) => {}
            PartKind::Other { dialect: Dialect::Anthropic, value } => append(value, out),
            PartKind::Media { .. } | PartKind::Other { .. } => return false,
        }
        out.extend_from_slice(b"}\n\n");
        if matches!(kind, PartKind::ToolCall { .. }) {
            // The API's own first piece of arguments is empty, and some clients wait for one.
            Self::text(index, kind, "", out);
        }
        true
    }

    fn text(index: u32, kind: &PartKind, text: &str, out: &mut Vec<u8>) {
        let head: &[u8] = match kind {
            PartKind::Text | PartKind::Refusal => b"{\"type\":\"text_delta\",\"text\":",
            PartKind::Thinking { .. } => b"{\"type\":\"thinking_delta\",\"thinking\":",
            PartKind::ToolCall { .. } => b"{\"type\":\"input_json_delta\",\"partial_json\":",
            PartKind::RedactedThinking { .. } | PartKind::Media { .. } | PartKind::Other { .. } => return,
        };
        begin_delta(index, head, out);
        append_string(text, out);
        out.extend_from_slice(b"}}\n\n");
    }

    fn signature(index: u32, id: Option<&str>, signature: &str, out: &mut Vec<u8>) {
        begin_delta(index, b"{\"type\":\"signature_delta\",\"signature\":", out);
        append_string(&carry::signed_thought(id, Some(signature)), out);
        out.extend_from_slice(b"}}\n\n");
    }

    fn citation(index: u32, value: &Value, out: &mut Vec<u8>) {
        let Some(citation) = parse_citation(value, None) else { return };
        begin_delta(index, b"{\"type\":\"citations_delta\",\"citation\":", out);
        append(&citation, out);
        out.extend_from_slice(b"}}\n\n");
    }

    fn end(index: u32, _kind: &PartKind, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":",
        );
        append(&index, out);
        out.extend_from_slice(b"}\n\n");
    }
}

/// Appends a delta up to its one value.
fn begin_delta(index: u32, head: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    append(&index, out);
    out.extend_from_slice(b",\"delta\":");
    out.extend_from_slice(head);
}
