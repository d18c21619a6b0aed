//! Turns Ollama's stream of JSON lines into events.

use memchr::memchr;
use serde_json::{Map, Value, json};

use super::answer::{finish, usage};
use super::errors::kind;
use super::messages::said;
use crate::ids::Calls;
use crate::json::{Fields, Path, parse_object};
use crate::usage::Source;
use crate::{ApiError, Event, Fault, Part, PartKind, when};

/// Bytes of one line: a call with long arguments is one.
const LINE_BYTES: usize = 8 << 20;

/// Turns the provider's stream into events. A line with `done` marks its end.
#[derive(Debug, Default)]
pub struct Reader {
    /// A line whose end has not come yet.
    line: Vec<u8>,
    state: State,
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let mut bytes = bytes;
        while let Some(at) = memchr(b'\n', bytes) {
            let (piece, rest) = bytes.split_at(at);
            bytes = rest.get(1..).unwrap_or_default();
            self.bound(piece)?;
            if self.line.is_empty() {
                self.state.line(piece, events)?;
            } else {
                self.line.extend_from_slice(piece);
                let line = std::mem::take(&mut self.line);
                self.state.line(&line, events)?;
            }
        }
        self.bound(bytes)?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The provider's connection ended.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let line = std::mem::take(&mut self.line);
        self.state.line(&line, events)?;
        if self.state.ended {
            Ok(())
        } else {
            Err(Fault::syntax("The stream ends without a line that is `done`."))
        }
    }

    fn bound(&self, more: &[u8]) -> Result<(), Fault> {
        if self.line.len().saturating_add(more.len()) > LINE_BYTES {
            return Err(Fault::syntax(format!("A line of the stream is longer than {LINE_BYTES} bytes.")));
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    ended: bool,
    has_call: bool,
    calls: Calls,
    /// Parts so far.
    parts: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Open {
    Text,
    Thinking,
}

impl State {
    fn line(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.ended || line.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut fields = Fields::from_map(parse_object(line)?, Path::Root);
        if let Some(message) = fields.string("error")? {
            self.ended = true;
            events.push(Event::Error(ApiError::new(0, kind(0, &message), message)));
            return Ok(());
        }
        let model = fields.string("model")?.unwrap_or_default();
        let made = fields.string("created_at")?.unwrap_or_default();
        if !std::mem::replace(&mut self.started, true) {
            self.calls = Calls::of_answer(&[&model, &made]);
            events.push(Event::Start { id: String::new(), model, created: when::seconds(&made) });
        }
        let parts = match fields.take("message") {
            Some(message) => said(&mut Fields::of(message, Path::Root.key("message"))?, &mut self.calls)?,
            None => self.generated(&mut fields)?,
        };
        for part in parts {
            self.part(part, events);
        }
        if let Some(content) = fields.take("logprobs").filter(Value::is_array) {
            events.push(Event::Logprobs { choice: 0, value: json!({"content": content}) });
        }
        if fields.boolean("done")?.unwrap_or(false) {
            self.ended = true;
            self.close(events);
            let native = fields.string("done_reason")?;
            let usage = usage(&mut fields);
            let finish = finish(native.as_deref(), self.has_call);
            events.push(Event::Finish { choice: 0, finish, native, stop_text: None, rest: fields.rest() });
            if usage.source != Source::Unknown {
                events.push(Event::Usage(usage));
            }
            events.push(Event::End);
        }
        Ok(())
    }

    /// A line of `generate` says at the top what a chat's says in its message.
    fn generated(&mut self, fields: &mut Fields<'_>) -> Result<Vec<Part>, Fault> {
        let mut map = Map::new();
        for (key, inner) in [("response", "content"), ("thinking", "thinking"), ("tool_calls", "tool_calls")]
        {
            if let Some(value) = fields.take(key) {
                map.insert(inner.to_owned(), value);
            }
        }
        said(&mut Fields::from_map(map, Path::Root), &mut self.calls)
    }

    fn part(&mut self, part: Part, events: &mut Vec<Event>) {
        match part {
            Part::Text { text, .. } => self.words(Open::Text, PartKind::Text, text, events),
            Part::Thinking { text, .. } => {
                self.words(Open::Thinking, PartKind::Thinking { id: None }, text, events);
            }
            Part::ToolCall { id, name, arguments, .. } => {
                self.has_call = true;
                let part = self.begin(PartKind::ToolCall { id, name }, events);
                events.push(Event::Delta { choice: 0, part, text: arguments });
                events.push(Event::Close { choice: 0, part });
            }
            part => {
                let part = self.begin(PartKind::Media { part }, events);
                events.push(Event::Close { choice: 0, part });
            }
        }
    }

    fn words(&mut self, open: Open, kind: PartKind, text: String, events: &mut Vec<Event>) {
        if self.open != Some(open) {
            self.begin(kind, events);
            self.open = Some(open);
        }
        events.push(Event::Delta { choice: 0, part: self.parts.saturating_sub(1), text });
    }

    fn begin(&mut self, kind: PartKind, events: &mut Vec<Event>) -> u32 {
        self.close(events);
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        events.push(Event::Open { choice: 0, part, kind });
        part
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::Close { choice: 0, part: self.parts.saturating_sub(1) });
        }
    }
}
