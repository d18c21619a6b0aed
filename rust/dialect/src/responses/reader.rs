//! Reads a provider's stream.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{finish, item_parts, reason};
use super::{Carrier, PARAGRAPH, carrier, errors};
use crate::chat::Part;
use crate::json::Path;
use crate::sse::{Splitter, Sse};
use crate::{Event, Fault, PartKind, Source};

/// Parts that a stream may hold open at once. Calls lie side by side, but not by the thousand.
const OPEN_PARTS: usize = 1024;

/// Bytes of one event: the last one carries the whole response, pictures too.
const EVENT_BYTES: usize = 64 << 20;

const TEXT_DELTA: &str = "response.output_text.delta";
const ARGUMENTS_DELTA: &str = "response.function_call_arguments.delta";

/// The events that most of a stream is made of, read without a tree. What does not fit goes the long way.
#[derive(Deserialize)]
struct Piece<'d> {
    #[serde(rename = "type")]
    kind: &'d str,
    output_index: u64,
    #[serde(default)]
    content_index: u64,
    delta: String,
    #[serde(default)]
    logprobs: Option<Value>,
}

/// Turns the provider's stream into events.
#[derive(Debug)]
pub struct Reader {
    splitter: Splitter,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    ended: bool,
    next_part: u32,
    /// Calls so far: id and part.
    calls: Vec<(String, u32)>,
    open: Vec<Open>,
    /// Items of which something was told.
    told: BTreeSet<u64>,
}

/// An open part.
#[derive(Debug)]
struct Open {
    /// Index of the item.
    output: u64,
    /// Index of the content in a message; 0 for an item that is a part itself.
    content: u64,
    part: u32,
    /// Whether any of it has come.
    seen: bool,
    thought: Option<Thought>,
}

/// Where a thought's words come from: the other source would repeat them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thought {
    Summary,
    Content,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self { splitter: Splitter::with_limit(EVENT_BYTES), state: State::default() }
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let Self { splitter, state } = self;
        splitter.feed(bytes, |sse| state.take(sse, events))
    }

    /// The provider's connection ended.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Self { splitter, state } = self;
        splitter.finish(|sse| state.take(sse, events))?;
        if state.ended {
            Ok(())
        } else {
            Err(Fault::syntax("The stream ended before the response was whole."))
        }
    }
}

impl State {
    fn take(&mut self, sse: Sse<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Sse::Event { name, data } = sse else {
            if !self.ended {
                events.push(Event::Ping);
            }
            return Ok(());
        };
        if self.ended || data == b"[DONE]" {
            return Ok(());
        }
        if matches!(name, TEXT_DELTA | ARGUMENTS_DELTA)
            && let Ok(piece) = serde_json::from_slice::<Piece<'_>>(data)
            && piece.kind == name
        {
            return self.piece(piece, events);
        }
        let mut value = crate::json::parse_object(data)?;
        let kind = match value.get("type").and_then(Value::as_str) {
            Some(kind) => kind.to_owned(),
            None => name.to_owned(),
        };
        self.event(&kind, &mut value, events)
    }

    fn event(
        &mut self,
        kind: &str,
        value: &mut Map<String, Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let number = |key: &str| value.get(key).and_then(crate::json::unsigned).unwrap_or(0);
        let (output, content) = (number("output_index"), number("content_index"));
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(value.get("response"), events);
            }
            "response.output_item.added" => self.item_added(output, value.get("item"), events)?,
            "response.content_part.added" => {
                match value.get("part").and_then(|part| part.get("type")).and_then(Value::as_str) {
                    Some("output_text") => self.open(output, content, PartKind::Text, events)?,
                    Some("refusal") => self.open(output, content, PartKind::Refusal, events)?,
                    _ => return Ok(()),
                };
            }
            TEXT_DELTA => {
                let logprobs = value.get_mut("logprobs").map(Value::take);
                self.delta(output, content, PartKind::Text, text(value, "delta"), events)?;
                probabilities(logprobs, events);
            }
            "response.output_text.done" => {
                self.done(output, content, PartKind::Text, text(value, "text"), events)?;
            }
            "response.refusal.delta" => {
                self.delta(output, content, PartKind::Refusal, text(value, "delta"), events)?;
            }
            "response.refusal.done" => {
                self.done(output, content, PartKind::Refusal, text(value, "refusal"), events)?;
            }
            "response.output_text.annotation.added" => {
                let index = self.open(output, content, PartKind::Text, events)?;
                if let (Some(part), Some(annotation)) = (self.open.get(index), value.get_mut("annotation")) {
                    events.push(Event::Citation { choice: 0, part: part.part, value: annotation.take() });
                }
            }
            "response.content_part.done" => self.close(output, Some(content), events),
            "response.reasoning_summary_part.added" if number("summary_index") > 0 => {
                self.thought(output, Thought::Summary, PARAGRAPH.to_owned(), value, events)?;
            }
            "response.reasoning_summary_text.delta" => {
                self.thought(output, Thought::Summary, text(value, "delta"), value, events)?;
            }
            "response.reasoning_text.delta" => {
                self.thought(output, Thought::Content, text(value, "delta"), value, events)?;
            }
            ARGUMENTS_DELTA => self.arguments(output, text(value, "delta"), false, events),
            "response.function_call_arguments.done" => {
                self.arguments(output, text(value, "arguments"), true, events);
            }
            "response.output_item.done" => {
                if let Some(item) = value.remove("item") {
                    self.item_done(output, item, events)?;
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.end(value.remove("response"), events)?;
            }
            "error" => {
                // OpenAI's object is flat here; some compatible servers put it into an envelope.
                let object = value.remove("error").unwrap_or_else(|| Value::Object(std::mem::take(value)));
                self.ended = true;
                events.push(Event::Error(errors::of_object(object)));
            }
            // Progress of built-in tools: the item comes whole when it is done.
            _ => {}
        }
        Ok(())
    }

    /// One of the events that most of a stream is made of.
    fn piece(&mut self, piece: Piece<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if piece.kind == TEXT_DELTA {
            self.delta(piece.output_index, piece.content_index, PartKind::Text, piece.delta, events)?;
            probabilities(piece.logprobs, events);
        } else {
            self.arguments(piece.output_index, piece.delta, false, events);
        }
        Ok(())
    }

    fn start(&mut self, response: Option<&Value>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let text =
            |key: &str| response.and_then(|r| r.get(key)).and_then(Value::as_str).unwrap_or("").to_owned();
        let created = response.and_then(|r| r.get("created_at")).and_then(Value::as_f64);
        let created = created.map(|seconds| seconds.max(0.0) as u64);
        events.push(Event::Start { id: text("id"), model: text("model"), created });
    }

    fn item_added(
        &mut self,
        output: u64,
        item: Option<&Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let Some(item) = item else { return Ok(()) };
        if item.get("type").and_then(Value::as_str) == Some("function_call") {
            self.open_call(output, item, events)?;
            let arguments = item.get("arguments").and_then(Value::as_str).unwrap_or("");
            self.arguments(output, arguments.to_owned(), false, events);
        }
        Ok(())
    }

    fn open_call(&mut self, output: u64, item: &Value, events: &mut Vec<Event>) -> Result<usize, Fault> {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        let id = text("call_id").or(text("id")).unwrap_or("").to_owned();
        let name = text("name").unwrap_or("").to_owned();
        let known = self.find(output, 0).is_some();
        let index = self.open(output, 0, PartKind::ToolCall { id: id.clone(), name }, events)?;
        if let Some(open) = self.open.get(index).filter(|_| !known) {
            self.calls.push((id, open.part));
        }
        Ok(index)
    }

    /// The open part of that place, in `open`; opened where it is not there yet.
    fn open(
        &mut self,
        output: u64,
        content: u64,
        kind: PartKind,
        events: &mut Vec<Event>,
    ) -> Result<usize, Fault> {
        if let Some(index) = self.find(output, content) {
            return Ok(index);
        }
        if self.open.len() >= OPEN_PARTS {
            return Err(Fault::syntax(format!("The stream holds more than {OPEN_PARTS} parts open.")));
        }
        self.start(None, events);
        self.told.insert(output);
        let part = self.number();
        events.push(Event::Open { choice: 0, part, kind });
        self.open.push(Open { output, content, part, seen: false, thought: None });
        Ok(self.open.len() - 1)
    }

    fn number(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part = part.saturating_add(1);
        part
    }

    fn find(&self, output: u64, content: u64) -> Option<usize> {
        self.open.iter().rposition(|open| (open.output, open.content) == (output, content))
    }

    fn delta(
        &mut self,
        output: u64,
        content: u64,
        kind: PartKind,
        text: String,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let index = self.open(output, content, kind, events)?;
        self.push(index, text, events);
        Ok(())
    }

    fn push(&mut self, index: usize, text: String, events: &mut Vec<Event>) {
        if let Some(open) = self.open.get_mut(index).filter(|_| !text.is_empty()) {
            open.seen = true;
            events.push(Event::Delta { choice: 0, part: open.part, text });
        }
    }

    /// The whole of a part: told where none of it came before.
    fn done(
        &mut self,
        output: u64,
        content: u64,
        kind: PartKind,
        text: String,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let index = self.open(output, content, kind, events)?;
        if self.open.get(index).is_some_and(|open| !open.seen) {
            self.push(index, text, events);
        }
        Ok(())
    }

    fn arguments(&mut self, output: u64, text: String, whole: bool, events: &mut Vec<Event>) {
        // Without the item there is no name to call; the item comes whole when it is done.
        if let Some(index) = self.find(output, 0)
            && self.open.get(index).is_some_and(|open| !(whole && open.seen))
        {
            self.push(index, text, events);
        }
    }

    fn thought(
        &mut self,
        output: u64,
        source: Thought,
        text: String,
        value: &Map<String, Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let id = value.get("item_id").and_then(Value::as_str).map(str::to_owned);
        let index = self.open(output, 0, PartKind::Thinking { id }, events)?;
        if let Some(open) = self.open.get_mut(index)
            && *open.thought.get_or_insert(source) == source
        {
            self.push(index, text, events);
        }
        Ok(())
    }

    fn item_done(&mut self, output: u64, item: Value, events: &mut Vec<Event>) -> Result<(), Fault> {
        match item.get("type").and_then(Value::as_str).unwrap_or("") {
            "message" => {
                if self.told.contains(&output) {
                    self.close(output, None, events);
                } else {
                    self.whole(item, events)?;
                }
            }
            "function_call" => {
                let index = self.open_call(output, &item, events)?;
                if self.open.get(index).is_some_and(|open| !open.seen) {
                    let arguments = item.get("arguments").and_then(Value::as_str).unwrap_or("");
                    self.push(index, arguments.to_owned(), events);
                }
                self.close(output, None, events);
            }
            "reasoning" => self.thought_done(output, &item, events)?,
            _ => self.whole(item, events)?,
        }
        self.told.insert(output);
        Ok(())
    }

    fn thought_done(&mut self, output: u64, item: &Value, events: &mut Vec<Event>) -> Result<(), Fault> {
        let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
        let list = |key: &str| item.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        match carrier(text("id"), text("encrypted_content"), list("summary"), list("content")) {
            Carrier::Part(Part::Thinking { text, signature, id }) => {
                let index = self.open(output, 0, PartKind::Thinking { id }, events)?;
                if self.open.get(index).is_some_and(|open| !open.seen) {
                    self.push(index, text, events);
                }
                if let (Some(signature), Some(open)) = (signature, self.open.get(index)) {
                    events.push(Event::Signature { choice: 0, part: open.part, signature });
                }
            }
            Carrier::Part(Part::RedactedThinking { data }) => {
                self.open(output, 0, PartKind::RedactedThinking { data }, events)?;
            }
            Carrier::Call { id, signature } => self.call_signature(&id, signature, events),
            Carrier::Part(_) => {}
        }
        self.close(output, None, events);
        Ok(())
    }

    /// Tells an item that comes whole.
    fn whole(&mut self, item: Value, events: &mut Vec<Event>) -> Result<(), Fault> {
        let mut parts = Vec::new();
        let mut logprobs = Vec::new();
        item_parts(item, Path::Root, &mut parts, &mut logprobs)?;
        self.start(None, events);
        for part in parts {
            let index = self.number();
            let (kind, text, mark) = match part {
                Part::Text { text, citations, .. } => (PartKind::Text, text, citations),
                Part::Refusal { text } => (PartKind::Refusal, text, None),
                Part::Thinking { text, signature, id } => {
                    (PartKind::Thinking { id }, text, signature.map(Value::String))
                }
                Part::RedactedThinking { data } => (PartKind::RedactedThinking { data }, String::new(), None),
                Part::ToolCall { id, name, arguments, .. } => {
                    self.calls.push((id.clone(), index));
                    (PartKind::ToolCall { id, name }, arguments, None)
                }
                Part::Other { dialect, value } => (PartKind::Other { dialect, value }, String::new(), None),
                part => (PartKind::Media { part }, String::new(), None),
            };
            events.push(Event::Open { choice: 0, part: index, kind });
            if !text.is_empty() {
                events.push(Event::Delta { choice: 0, part: index, text });
            }
            match mark {
                Some(Value::String(signature)) => {
                    events.push(Event::Signature { choice: 0, part: index, signature });
                }
                Some(Value::Array(list)) => {
                    events.extend(list.into_iter().map(|value| Event::Citation {
                        choice: 0,
                        part: index,
                        value,
                    }));
                }
                _ => {}
            }
            events.push(Event::Close { choice: 0, part: index });
        }
        probabilities(Some(Value::Array(logprobs)), events);
        Ok(())
    }

    /// The signature of a call that came in an item of its own. The call is closed by then.
    fn call_signature(&self, call: &str, signature: String, events: &mut Vec<Event>) {
        if let Some((_, part)) = self.calls.iter().rev().find(|(id, _)| id == call) {
            events.push(Event::Signature { choice: 0, part: *part, signature });
        }
    }

    /// Closes the parts of an item, or one of them.
    fn close(&mut self, output: u64, content: Option<u64>, events: &mut Vec<Event>) {
        self.open.retain(|open| {
            let meant = open.output == output && content.is_none_or(|content| content == open.content);
            if meant {
                events.push(Event::Close { choice: 0, part: open.part });
            }
            !meant
        });
    }

    fn end(&mut self, response: Option<Value>, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.start(response.as_ref(), events);
        let Some(Value::Object(mut response)) = response else {
            return Err(Fault::syntax("The stream's last event has no response."));
        };
        if let Some(error) = response.remove("error").filter(|error| !error.is_null()) {
            self.ended = true;
            events.push(Event::Error(errors::of_object(error)));
            return Ok(());
        }
        for open in self.open.drain(..) {
            events.push(Event::Close { choice: 0, part: open.part });
        }
        if self.told.is_empty()
            && let Some(Value::Array(items)) = response.remove("output")
        {
            for item in items {
                self.whole(item, events)?;
            }
        }
        self.ended = true;
        let status = response.get("status").and_then(Value::as_str);
        let why = reason(response.get("incomplete_details"));
        let finish = finish(status, why, !self.calls.is_empty());
        let native = why.or(status).map(str::to_owned);
        events.push(Event::Finish { choice: 0, finish, native, stop_text: None, rest: Map::new() });
        let usage = super::usage::parse(response.get("usage"));
        if usage.source == Source::Reported {
            events.push(Event::Usage(usage));
        }
        events.push(Event::End);
        Ok(())
    }
}

/// Takes the text of a field.
fn text(value: &mut Map<String, Value>, key: &str) -> String {
    match value.get_mut(key).map(Value::take) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Tells probabilities in chat completions' form, where there are any.
fn probabilities(list: Option<Value>, events: &mut Vec<Event>) {
    if let Some(Value::Array(list)) = list.filter(|list| list.as_array().is_some_and(|list| !list.is_empty()))
    {
        events.push(Event::Logprobs { choice: 0, value: json!({"content": list}) });
    }
}
