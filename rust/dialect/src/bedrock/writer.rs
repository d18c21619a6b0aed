//! Writes a stream for a client in Converse's words.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::answer::{stop_fields, stop_reason, write_usage};
use super::blocks::is_own_citation;
use super::errors::write_frame;
use super::frames::write_event;
use super::media::image_format;
use crate::json::{Object, append, append_string};
use crate::sequence::{Blocks, Sequence};
use crate::{Dialect, Event, Finish, Media, Part, PartKind, Reply, Usage, carry};

/// Turns events into the stream that a client reads.
#[derive(Debug)]
pub struct Writer {
    usage: Usage,
    sequence: Sequence<Converse>,
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
    pub fn new(_reply: &Reply<'_>) -> Self {
        Self { usage: Usage::default(), sequence: Sequence::new(), stop: None }
    }

    /// Appends what the event is in this dialect. It has no pings: a client's patience is its own.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => {
                write_event("messageStart", out, |out| out.extend_from_slice(b"{\"role\":\"assistant\"}"));
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
            Event::Error(error) => write_frame(error, out),
            Event::End => self.end(out),
            event => self.sequence.write(event, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.sequence.end(out);
        let stop = self.stop.take();
        write_event("messageStop", out, |out| {
            let mut body = Object::begin(out);
            match &stop {
                Some(stop) => {
                    let native = stop.native.as_deref();
                    body.put("stopReason", stop_reason(stop.finish, native, stop.text.is_some()));
                    let own = stop_fields(stop.text.as_deref());
                    let more = stop.rest.get("additionalModelResponseFields").or(own.as_ref());
                    body.maybe("additionalModelResponseFields", more);
                }
                None => {
                    body.put("stopReason", "end_turn");
                }
            }
            body.end();
        });
        write_event("metadata", out, |out| {
            let mut body = Object::begin(out);
            write_usage(&self.usage, body.key("usage"));
            let mut metrics = body.object("metrics");
            metrics.put("latencyMs", &0);
            metrics.end();
            body.end();
        });
    }
}

/// The blocks of Converse.
#[derive(Debug)]
struct Converse;

impl Blocks for Converse {
    fn begin(index: u32, kind: &PartKind, signature: Option<&str>, out: &mut Vec<u8>) -> bool {
        match kind {
            // These begin with their first delta.
            PartKind::Text | PartKind::Refusal | PartKind::Thinking { .. } => {}
            PartKind::ToolCall { id, name } => {
                let id = carry::signed_id(id, signature);
                write_start(index, &json!({"toolUse": {"toolUseId": id, "name": name}}), out);
            }
            PartKind::RedactedThinking { data } => {
                if STANDARD.decode(data).is_err() {
                    return false;
                }
                write_delta(index, out, |out| {
                    append(&json!({"reasoningContent": {"redactedContent": data}}), out);
                });
            }
            PartKind::Media { part: Part::Image { media, .. } } => {
                let (Some(format), Media::Base64 { data, .. }) = (image_format(media), media) else {
                    return false;
                };
                write_start(index, &json!({"image": {"format": format}}), out);
                write_delta(index, out, |out| append(&json!({"image": {"source": {"bytes": data}}}), out));
            }
            PartKind::Other { dialect: Dialect::Bedrock, value } => {
                if let Some(start) = value.get("start").filter(|start| !start.is_null()) {
                    write_start(index, start, out);
                }
                for delta in value.get("deltas").and_then(Value::as_array).into_iter().flatten() {
                    write_delta(index, out, |out| append(delta, out));
                }
            }
            PartKind::Media { .. } | PartKind::Other { .. } => return false,
        }
        true
    }

    fn text(index: u32, kind: &PartKind, text: &str, out: &mut Vec<u8>) {
        let (head, tail): (&[u8], &[u8]) = match kind {
            PartKind::Text | PartKind::Refusal => (b"{\"text\":", b"}"),
            PartKind::Thinking { .. } => (b"{\"reasoningContent\":{\"text\":", b"}}"),
            PartKind::ToolCall { .. } => (b"{\"toolUse\":{\"input\":", b"}}"),
            PartKind::RedactedThinking { .. } | PartKind::Media { .. } | PartKind::Other { .. } => return,
        };
        write_delta(index, out, |out| {
            out.extend_from_slice(head);
            append_string(text, out);
            out.extend_from_slice(tail);
        });
    }

    fn signature(index: u32, id: Option<&str>, signature: &str, out: &mut Vec<u8>) {
        write_delta(index, out, |out| {
            out.extend_from_slice(b"{\"reasoningContent\":{\"signature\":");
            append_string(&carry::signed_thought(id, Some(signature)), out);
            out.extend_from_slice(b"}}");
        });
    }

    fn citation(index: u32, value: &Value, out: &mut Vec<u8>) {
        if is_own_citation(value) {
            write_delta(index, out, |out| {
                out.extend_from_slice(b"{\"citation\":");
                append(value, out);
                out.push(b'}');
            });
        }
    }

    fn end(index: u32, _kind: &PartKind, out: &mut Vec<u8>) {
        write_event("contentBlockStop", out, |out| {
            out.extend_from_slice(b"{\"contentBlockIndex\":");
            append(&index, out);
            out.push(b'}');
        });
    }
}

fn write_start(index: u32, start: &Value, out: &mut Vec<u8>) {
    write_event("contentBlockStart", out, |out| {
        let mut body = Object::begin(out);
        body.put("start", start).put("contentBlockIndex", &index);
        body.end();
    });
}

fn write_delta(index: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
    write_event("contentBlockDelta", out, |out| {
        out.extend_from_slice(b"{\"delta\":");
        delta(out);
        out.extend_from_slice(b",\"contentBlockIndex\":");
        append(&index, out);
        out.push(b'}');
    });
}
