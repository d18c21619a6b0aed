//! Turns Cohere's stream into events.

use serde_json::{Map, Value};

use super::answer::{finish, logprobs, usage};
use super::errors::kind;
use crate::json::{Fields, parse_object};
use crate::sse::{Splitter, Sse};
use crate::{ApiError, Event, Fault, Finish, PartKind, carry};

/// Turns the provider's stream into events. `message-end` marks its end.
#[derive(Debug, Default)]
pub struct Reader {
    splitter: Splitter,
    state: State,
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |sse| state.sse(sse, events))
    }

    /// The provider's connection ended.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.finish(|sse| state.sse(sse, events))?;
        if self.state.ended { Ok(()) } else { Err(Fault::syntax("The stream ends without `message-end`.")) }
    }
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    ended: bool,
    has_call: bool,
    /// Parts so far.
    parts: u32,
    /// The text or thought that is open. It stays so until the next part, since citations come behind its end.
    open: Option<Open>,
    /// Open calls: Cohere's index and the part.
    calls: Vec<(u64, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Open {
    sort: Sort,
    /// Its last piece was told; a piece of the same sort begins another part.
    whole: bool,
    part: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Text,
    Plan,
    Thinking,
}

impl State {
    fn sse(&mut self, sse: Sse<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Sse::Event { name, data } = sse else {
            events.push(Event::Ping);
            return Ok(());
        };
        if self.ended || data.trim_ascii().is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let mut fields = Fields::from_map(parse_object(data)?, crate::json::Path::Root);
        let sort = fields.string("type")?.unwrap_or_else(|| name.to_owned());
        let delta = fields.take("delta").unwrap_or_default();
        let message = delta.get("message").unwrap_or(&Value::Null);
        let index = fields.unsigned("index")?.unwrap_or(0);
        if !std::mem::replace(&mut self.started, true) {
            let id = fields.string("id")?.unwrap_or_default();
            events.push(Event::Start { id, model: String::new(), created: None });
        }
        match sort.as_str() {
            "content-start" => {
                let content = message.get("content").unwrap_or(&Value::Null);
                self.content(content, true, events);
            }
            "content-delta" => {
                let content = message.get("content").unwrap_or(&Value::Null);
                self.content(content, false, events);
                if let Some(value) = fields.take("logprobs").as_ref().and_then(logprobs) {
                    events.push(Event::Logprobs { choice: 0, value });
                }
            }
            "content-end" => self.whole(),
            "tool-plan-delta" => {
                if let Some(text) = text(message, "tool_plan") {
                    self.words(Sort::Plan, text, events);
                }
            }
            "tool-call-start" => {
                self.whole();
                self.call(message.get("tool_calls").unwrap_or(&Value::Null), index, events);
            }
            "tool-call-delta" => {
                let function = message.get("tool_calls").and_then(|call| call.get("function"));
                let arguments = function.and_then(|function| text(function, "arguments"));
                let part = self.calls.iter().find(|(call, _)| *call == index).map(|(_, part)| *part);
                if let (Some(part), Some(text)) = (part, arguments) {
                    events.push(Event::Delta { choice: 0, part, text });
                }
            }
            "tool-call-end" => {
                if let Some(at) = self.calls.iter().position(|(call, _)| *call == index) {
                    let (_, part) = self.calls.remove(at);
                    events.push(Event::Close { choice: 0, part });
                }
            }
            "citation-start" => {
                if let (Some(open), Some(value)) = (self.open, message.get("citations")) {
                    events.push(Event::Citation { choice: 0, part: open.part, value: value.clone() });
                }
            }
            "message-end" => self.end(delta, events),
            // `message-start`, `citation-end`, `debug`, and words of tomorrow.
            _ => {}
        }
        Ok(())
    }

    /// The beginning of a block may carry words already.
    fn content(&mut self, content: &Value, begins: bool, events: &mut Vec<Event>) {
        let thinking = content.get("thinking").is_some_and(|text| !text.is_null())
            || content.get("type").and_then(Value::as_str) == Some("thinking");
        let (sort, key) = if thinking { (Sort::Thinking, "thinking") } else { (Sort::Text, "text") };
        if begins {
            self.open(sort, events);
        }
        if let Some(text) = text(content, key) {
            self.words(sort, text, events);
        }
    }

    fn words(&mut self, sort: Sort, text: String, events: &mut Vec<Event>) {
        let part = match self.open {
            Some(open) if open.sort == sort && !open.whole => open.part,
            _ => self.open(sort, events),
        };
        events.push(Event::Delta { choice: 0, part, text });
    }

    fn open(&mut self, sort: Sort, events: &mut Vec<Event>) -> u32 {
        let kind = match sort {
            Sort::Text | Sort::Plan => PartKind::Text,
            Sort::Thinking => PartKind::Thinking { id: None },
        };
        let part = self.begin(kind, events);
        self.open = Some(Open { sort, whole: false, part });
        part
    }

    fn begin(&mut self, kind: PartKind, events: &mut Vec<Event>) -> u32 {
        self.close(events);
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        events.push(Event::Open { choice: 0, part, kind });
        part
    }

    fn whole(&mut self) {
        if let Some(open) = &mut self.open {
            open.whole = true;
        }
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some(open) = self.open.take() {
            events.push(Event::Close { choice: 0, part: open.part });
        }
    }

    fn call(&mut self, call: &Value, index: u64, events: &mut Vec<Event>) {
        self.has_call = true;
        let function = call.get("function").unwrap_or(&Value::Null);
        let id = text(call, "id").unwrap_or_default();
        let name = text(function, "name").unwrap_or_default();
        let (id, signature) = carry::split_id(id);
        let part = self.begin(PartKind::ToolCall { id, name }, events);
        events.extend(signature.map(|signature| Event::Signature { choice: 0, part, signature }));
        self.calls.push((index, part));
        if let Some(text) = text(function, "arguments") {
            events.push(Event::Delta { choice: 0, part, text });
        }
    }

    fn end(&mut self, mut delta: Value, events: &mut Vec<Event>) {
        self.ended = true;
        if let Some(message) = text(&delta, "error") {
            events.push(Event::Error(ApiError::new(0, kind(500, &message), message)));
            return;
        }
        self.close(events);
        for (_, part) in self.calls.drain(..) {
            events.push(Event::Close { choice: 0, part });
        }
        let native = text(&delta, "finish_reason");
        let mut rest = Map::new();
        let told = delta.get_mut("usage").map(Value::take).filter(Value::is_object);
        let usage = told.map(|value| usage(value, &mut rest));
        let meaning = finish(native.as_deref().unwrap_or_default(), self.has_call);
        let finish = if native.is_some() { meaning } else { Finish::Stop };
        events.push(Event::Finish { choice: 0, finish, native, stop_text: None, rest });
        events.extend(usage.map(Event::Usage));
        events.push(Event::End);
    }
}

/// A member's text, if there is any.
fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}
