//! Writes the stream that a client reads, and gathers what it says: the last event repeats it whole.

use serde_json::{Map, Value, json};

use super::errors;
use super::items::{self, Envelope, Outcome};
use crate::json::Object;
use crate::{ApiError, Event, Finish, PartKind, Reply, Usage, sse};

/// Turns events into the stream that a client reads. The dialect has one choice; others are left out.
#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    created: u64,
    envelope: Option<Envelope>,
    ended: bool,
    sequence: u64,
    /// Items by their index; `null` until they are whole.
    items: Vec<Value>,
    message: Option<Message>,
    open: Vec<Open>,
    /// Probabilities that came with no delta yet.
    logprobs: Vec<Value>,
    outcome: Option<Outcome>,
    usage: Usage,
}

/// The open message item.
#[derive(Debug)]
struct Message {
    output: usize,
    id: String,
    /// Its contents; `null` until they are whole.
    contents: Vec<Value>,
}

/// An open part.
#[derive(Debug)]
struct Open {
    part: u32,
    /// Index of its item.
    output: usize,
    /// The item's id.
    id: String,
    text: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text { content: usize, annotations: Vec<Value>, logprobs: Vec<Value> },
    Refusal { content: usize },
    Thinking { encrypted: Option<String> },
    Call { call_id: String, name: String, signature: Option<String> },
}

impl Writer {
    /// For one client.
    pub fn new(reply: &Reply<'_>) -> Self {
        Self {
            id: reply.id.to_owned(),
            model: reply.model.to_owned(),
            created: reply.created,
            envelope: None,
            ended: false,
            sequence: 0,
            items: Vec::new(),
            message: None,
            open: Vec::new(),
            logprobs: Vec::new(),
            outcome: None,
            usage: Usage::default(),
        }
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { id, created, .. } => self.start(id, *created, out),
            Event::Open { choice: 0, part, kind } => self.open(*part, kind, out),
            Event::Delta { choice: 0, part, text } => self.delta(*part, text, out),
            Event::Signature { choice: 0, part, signature: token } => self.signature(*part, token),
            Event::Citation { choice: 0, part, value } => self.citation(*part, value, out),
            Event::Logprobs { choice: 0, value } => self.logprobs.extend(items::logprobs(Some(value))),
            Event::Close { choice: 0, part } => self.close(*part, out),
            Event::Finish { choice: 0, finish, .. } => self.outcome = Some(Outcome::of(*finish)),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Ping => sse::sse_comment("ping", out),
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(out),
            // Of other choices.
            _ => {}
        }
    }

    fn envelope(&self) -> Envelope {
        self.envelope.clone().unwrap_or_else(|| {
            let reply =
                Reply { model: &self.model, id: &self.id, created: self.created, include_usage: true };
            Envelope::new("", None, &reply)
        })
    }

    fn start(&mut self, id: &str, created: Option<u64>, out: &mut Vec<u8>) {
        if self.envelope.is_some() {
            return;
        }
        let reply = Reply { model: &self.model, id: &self.id, created: self.created, include_usage: true };
        let envelope = Envelope::new(id, created, &reply);
        let response = envelope.response(&Outcome::RUNNING, json!([]), &Usage::default(), &Map::new());
        self.envelope = Some(envelope);
        for name in ["response.created", "response.in_progress"] {
            event(&mut self.sequence, name, out, |event| {
                event.put("response", &response);
            });
        }
    }

    /// An item begins: it gets its index.
    fn add(&mut self, item: &Value, out: &mut Vec<u8>) {
        let output = self.items.len();
        self.items.push(Value::Null);
        event(&mut self.sequence, "response.output_item.added", out, |event| {
            event.put("output_index", &output).put("item", item);
        });
    }

    /// An item is whole.
    fn add_done(&mut self, output: usize, item: Value, out: &mut Vec<u8>) {
        event(&mut self.sequence, "response.output_item.done", out, |event| {
            event.put("output_index", &output).put("item", &item);
        });
        if let Some(place) = self.items.get_mut(output) {
            *place = item;
        }
    }

    /// An item that comes whole.
    fn add_whole(&mut self, item: Value, out: &mut Vec<u8>) {
        let output = self.items.len();
        self.add(&item, out);
        self.add_done(output, item, out);
    }

    fn open(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        if self.envelope.is_none() {
            self.start("", None, out);
        }
        match kind {
            PartKind::Text => {
                let text = items::output_text("", Vec::new(), Vec::new());
                let kind = |content| Kind::Text { content, annotations: Vec::new(), logprobs: Vec::new() };
                self.open_content(part, &text, kind, out);
            }
            PartKind::Refusal => {
                self.open_content(part, &items::refusal(""), |content| Kind::Refusal { content }, out);
            }
            PartKind::Thinking { id } => {
                self.close_message("completed", out);
                let output = self.items.len();
                let id = self.thought_id(id.as_deref(), output);
                self.add(&items::reasoning(&id, "", None), out);
                self.open.push(Open {
                    part,
                    output,
                    id,
                    text: String::new(),
                    kind: Kind::Thinking { encrypted: None },
                });
            }
            PartKind::ToolCall { id: call_id, name } => {
                self.close_message("completed", out);
                let output = self.items.len();
                let id = self.envelope().item_id("fc", output);
                self.add(&items::call(&id, "in_progress", call_id, name, ""), out);
                let kind = Kind::Call { call_id: call_id.clone(), name: name.clone(), signature: None };
                self.open.push(Open { part, output, id, text: String::new(), kind });
            }
            PartKind::RedactedThinking { data } => {
                self.close_message("completed", out);
                let id = self.envelope().item_id("rs", self.items.len());
                self.add_whole(items::reasoning(&id, "", Some(&format!("{}{data}", super::REDACTED))), out);
            }
            PartKind::Media { part } => {
                self.close_message("completed", out);
                let id = self.envelope().item_id("ig", self.items.len());
                if let Some(item) = items::other(&id, part) {
                    self.add_whole(item, out);
                }
            }
            PartKind::Other { dialect: crate::Dialect::Responses, value } => {
                self.close_message("completed", out);
                self.add_whole(value.clone(), out);
            }
            PartKind::Other { .. } => {}
        }
    }

    fn thought_id(&self, id: Option<&str>, output: usize) -> String {
        let taken = self.open.iter().any(|open| Some(open.id.as_str()) == id);
        items::thought_id(id.filter(|_| !taken), output, &self.items, &self.envelope())
    }

    /// Opens a content in the open message, and the message where none is open.
    fn open_content(
        &mut self,
        part: u32,
        value: &Value,
        kind: impl FnOnce(usize) -> Kind,
        out: &mut Vec<u8>,
    ) {
        let mut message = self.message.take().unwrap_or_else(|| {
            let output = self.items.len();
            let id = self.envelope().item_id("msg", output);
            self.add(&items::message(&id, "in_progress", Vec::new()), out);
            Message { output, id, contents: Vec::new() }
        });
        let (content, output, id) = (message.contents.len(), message.output, message.id.clone());
        message.contents.push(Value::Null);
        self.message = Some(message);
        event(&mut self.sequence, "response.content_part.added", out, |event| {
            event.put("item_id", &id).put("output_index", &output).put("content_index", &content);
            event.put("part", value);
        });
        self.open.push(Open { part, output, id, text: String::new(), kind: kind(content) });
    }

    fn delta(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        let Self { open, sequence, logprobs, .. } = self;
        let Some(open) = find(open, part).filter(|_| !text.is_empty()) else { return };
        let Open { output, id, text: whole, kind, .. } = open;
        match kind {
            Kind::Text { content, logprobs: all, .. } => {
                event(sequence, "response.output_text.delta", out, |event| {
                    event.put("item_id", id).put("output_index", output).put("content_index", content);
                    event.put("delta", text).put("logprobs", logprobs);
                });
                all.append(logprobs);
            }
            Kind::Refusal { content } => event(sequence, "response.refusal.delta", out, |event| {
                event.put("item_id", id).put("output_index", output).put("content_index", content);
                event.put("delta", text);
            }),
            Kind::Thinking { .. } => {
                if whole.is_empty() {
                    event(sequence, "response.reasoning_summary_part.added", out, |event| {
                        event.put("item_id", id).put("output_index", output).put("summary_index", &0);
                        event.put("part", &json!({"type": "summary_text", "text": ""}));
                    });
                }
                event(sequence, "response.reasoning_summary_text.delta", out, |event| {
                    event.put("item_id", id).put("output_index", output).put("summary_index", &0);
                    event.put("delta", text);
                });
            }
            Kind::Call { .. } => event(sequence, "response.function_call_arguments.delta", out, |event| {
                event.put("item_id", id).put("output_index", output).put("delta", text);
            }),
        }
        whole.push_str(text);
    }

    fn signature(&mut self, part: u32, token: &str) {
        let kind = find(&mut self.open, part).map(|open| &mut open.kind);
        if let Some(Kind::Thinking { encrypted: mark } | Kind::Call { signature: mark, .. }) = kind {
            *mark = Some(token.to_owned());
        }
    }

    fn citation(&mut self, part: u32, value: &Value, out: &mut Vec<u8>) {
        let Self { open, sequence, .. } = self;
        let Some(Open { output, id, kind: Kind::Text { content, annotations, .. }, .. }) = find(open, part)
        else {
            return;
        };
        for annotation in super::annotations(Some(value)) {
            event(sequence, "response.output_text.annotation.added", out, |event| {
                event.put("item_id", id).put("output_index", output).put("content_index", content);
                event.put("annotation_index", &annotations.len()).put("annotation", &annotation);
            });
            annotations.push(annotation);
        }
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(index) = self.open.iter().rposition(|open| open.part == part) else { return };
        let Open { output, id, text, kind, .. } = self.open.remove(index);
        let sequence = &mut self.sequence;
        match kind {
            Kind::Text { content, annotations, mut logprobs } => {
                logprobs.append(&mut self.logprobs);
                event(sequence, "response.output_text.done", out, |event| {
                    event.put("item_id", &id).put("output_index", &output).put("content_index", &content);
                    event.put("text", &text).put("logprobs", &logprobs);
                });
                self.close_content(
                    &id,
                    output,
                    content,
                    items::output_text(&text, annotations, logprobs),
                    out,
                );
            }
            Kind::Refusal { content } => {
                event(sequence, "response.refusal.done", out, |event| {
                    event.put("item_id", &id).put("output_index", &output).put("content_index", &content);
                    event.put("refusal", &text);
                });
                self.close_content(&id, output, content, items::refusal(&text), out);
            }
            Kind::Thinking { encrypted } => {
                if !text.is_empty() {
                    event(sequence, "response.reasoning_summary_text.done", out, |event| {
                        event.put("item_id", &id).put("output_index", &output).put("summary_index", &0);
                        event.put("text", &text);
                    });
                    event(sequence, "response.reasoning_summary_part.done", out, |event| {
                        event.put("item_id", &id).put("output_index", &output).put("summary_index", &0);
                        event.put("part", &json!({"type": "summary_text", "text": text}));
                    });
                }
                self.add_done(output, items::thought(&id, &text, encrypted.as_deref()), out);
            }
            Kind::Call { call_id, name, signature } => {
                // Programs read them as JSON.
                let text = if text.trim().is_empty() { "{}".to_owned() } else { text };
                event(sequence, "response.function_call_arguments.done", out, |event| {
                    event.put("item_id", &id).put("output_index", &output);
                    event.put("name", &name).put("arguments", &text);
                });
                self.add_done(output, items::call(&id, "completed", &call_id, &name, &text), out);
                if let Some(signature) = signature {
                    let id = self.envelope().item_id("rs", self.items.len());
                    self.add_whole(items::call_signature(&id, &call_id, &signature), out);
                }
            }
        }
    }

    fn close_content(&mut self, id: &str, output: usize, content: usize, value: Value, out: &mut Vec<u8>) {
        event(&mut self.sequence, "response.content_part.done", out, |event| {
            event.put("item_id", id).put("output_index", &output).put("content_index", &content);
            event.put("part", &value);
        });
        let message = self.message.as_mut().filter(|message| message.output == output);
        if let Some(place) = message.and_then(|message| message.contents.get_mut(content)) {
            *place = value;
        }
    }

    fn close_message(&mut self, status: &str, out: &mut Vec<u8>) {
        // A content that nobody closed belongs to it all the same.
        let output = self.message.as_ref().map(|message| message.output);
        while let Some(part) = self.open.iter().find(|open| Some(open.output) == output).map(|open| open.part)
        {
            self.close(part, out);
        }
        if let Some(Message { output, id, contents }) = self.message.take() {
            self.add_done(output, items::message(&id, status, contents), out);
        }
    }

    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.start("", None, out);
        event(&mut self.sequence, "error", out, |event| {
            event
                .put("code", errors::stream_code(error))
                .put("message", &error.message)
                .put("param", &error.param);
        });
        let failed = Outcome { status: "failed", incomplete: None, error: Some(errors::in_response(error)) };
        self.last(&failed, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start("", None, out);
        let outcome = self.outcome.take().unwrap_or_else(|| Outcome::of(Finish::Stop));
        for part in self.open.iter().map(|open| open.part).collect::<Vec<_>>() {
            self.close(part, out);
        }
        self.close_message(outcome.item_status(), out);
        self.last(&outcome, out);
    }

    /// The last event, with the whole response in it.
    fn last(&mut self, outcome: &Outcome, out: &mut Vec<u8>) {
        self.ended = true;
        let mut output = std::mem::take(&mut self.items);
        output.retain(|item| !item.is_null());
        let response = self.envelope().response(outcome, Value::Array(output), &self.usage, &Map::new());
        let name = match outcome.status {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        event(&mut self.sequence, name, out, |event| {
            event.put("response", &response);
        });
    }
}

/// Appends one event; `fill` writes what is its own.
fn event(sequence: &mut u64, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    for piece in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(piece.as_bytes());
    }
    let mut object = Object::begin(out);
    object.put("type", name).put("sequence_number", sequence);
    *sequence = sequence.saturating_add(1);
    fill(&mut object);
    object.end();
    out.extend_from_slice(b"\n\n");
}

fn find(open: &mut [Open], part: u32) -> Option<&mut Open> {
    open.iter_mut().rev().find(|open| open.part == part)
}
