//! Turns a provider's `streamGenerateContent` into events: server-sent events, or the JSON array of who wasn't asked for
//! them.

use serde_json::{Map, Value};

use super::count::created;
use super::parts::{camel_keys, list, message, read};
use super::{answer, errors, finish, logprobs, usage};
use crate::ids::Calls;
use crate::json::{Fields, Path, parse};
use crate::sse::{Splitter, Sse};
use crate::{Event, Fault, Part, PartKind};

/// Bytes of one event: a picture in an answer is one, of some megabytes.
const EVENT_BYTES: usize = 32 << 20;

/// Turns the provider's stream into events. Nothing marks its end: reasons of finish are told when the connection ends,
/// and an end without any is a fault.
#[derive(Debug)]
pub struct Reader {
    form: Form,
    state: State,
}

#[derive(Debug)]
enum Form {
    /// No byte that tells the form has come.
    Unknown,
    Events(Splitter),
    Json(Elements),
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self { form: Form::Unknown, state: State::default() }
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let mut bytes = bytes;
        if matches!(self.form, Form::Unknown) {
            bytes = bytes.trim_ascii_start();
            self.form = match bytes.first() {
                None => return Ok(()),
                Some(b'[' | b'{') => Form::Json(Elements::default()),
                Some(_) => Form::Events(Splitter::with_limit(EVENT_BYTES)),
            };
        }
        let state = &mut self.state;
        match &mut self.form {
            Form::Events(splitter) => splitter.feed(bytes, |sse| state.sse(sse, events)),
            Form::Json(elements) => elements.feed(bytes, |element| state.chunk(element, events)),
            Form::Unknown => Ok(()),
        }
    }

    /// The provider's connection ended.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        match &mut self.form {
            Form::Events(splitter) => splitter.finish(|sse| state.sse(sse, events))?,
            Form::Json(elements) => elements.finish()?,
            Form::Unknown => {}
        }
        state.finish(events)
    }
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    /// An error came; the rest is not looked at.
    failed: bool,
    id: String,
    choices: Vec<Choice>,
    feedback: Option<Value>,
}

#[derive(Debug)]
struct Choice {
    index: u32,
    calls: Calls,
    /// Parts so far.
    parts: u32,
    open: Option<Open>,
    has_call: bool,
    finish: Option<String>,
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Open {
    Text,
    Thinking,
}

impl State {
    fn sse(&mut self, sse: Sse<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        match sse {
            Sse::Comment(_) => {
                events.push(Event::Ping);
                Ok(())
            }
            Sse::Event { data, .. } if data.trim_ascii().is_empty() || data == b"[DONE]" => Ok(()),
            Sse::Event { data, .. } => self.chunk(data, events),
        }
    }

    fn chunk(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.failed {
            return Ok(());
        }
        let Value::Object(map) = parse(data)? else {
            return Err(Fault::syntax("An event of the stream must be a JSON object."));
        };
        let mut fields = Fields::from_map(camel_keys(map), Path::Root);
        if fields.has("error") {
            self.failed = true;
            events.push(Event::Error(errors::of_value(0, Value::Object(fields.rest()))));
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            self.id = fields.string("responseId")?.unwrap_or_default();
            events.push(Event::Start {
                id: self.id.clone(),
                model: fields.string("modelVersion")?.unwrap_or_default(),
                created: created(fields.take("createTime")),
            });
        }
        if let Some(feedback) = fields.take("promptFeedback") {
            self.feedback = Some(feedback);
        }
        let candidates = list(&mut fields, "candidates")?;
        let path = fields.path().key("candidates");
        for (place, value) in candidates.into_iter().enumerate() {
            self.candidate(value, path.index(place), place, events)?;
        }
        if let Some(value) = fields.take("usageMetadata")
            && let Ok(usage) = usage::read(value, Path::Root)
        {
            events.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        value: Value,
        path: Path<'_>,
        place: usize,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let mut fields = message(value, path)?;
        let index = fields.unsigned("index")?.unwrap_or(place as u64);
        let index = u32::try_from(index).map_err(|_| fields.wrong("index", "a small number"))?;
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice::new(index, &self.id));
                self.choices.len() - 1
            }
        };
        let Some(choice) = self.choices.get_mut(at) else { return Ok(()) };
        if let Some(content) = fields.take("content") {
            let mut content = message(content, fields.path().key("content"))?;
            let values = list(&mut content, "parts")?;
            let path = content.path().key("parts");
            let mut parts = Vec::new();
            for (place, value) in values.into_iter().enumerate() {
                let thought = value.get("thought") == Some(&Value::Bool(true));
                read(value, path.index(place), &mut choice.calls, &mut parts)?;
                for part in parts.drain(..) {
                    choice.part(part, thought, events);
                }
            }
        }
        if let Some(value) = fields.take("logprobsResult").and_then(logprobs::read) {
            events.push(Event::Logprobs { choice: index, value });
        }
        if let Some(word) = fields.string("finishReason")? {
            choice.finish = Some(word);
        }
        for (key, value) in fields.rest() {
            choice.rest.insert(key, value);
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.failed {
            return Ok(());
        }
        if !self.started {
            return Err(Fault::syntax("The stream ends before it has begun."));
        }
        if self.choices.is_empty() {
            let blocked = self.feedback.as_ref().and_then(answer::block_reason);
            let mut choice = Choice::new(0, &self.id);
            choice.finish = blocked;
            self.choices.push(choice);
        }
        if self.choices.iter().any(|choice| choice.finish.is_none()) {
            return Err(Fault::syntax("The stream ends without a reason of finish."));
        }
        for choice in &mut self.choices {
            choice.close(events);
            let blocked =
                self.feedback.as_ref().and_then(answer::block_reason).is_some() && choice.parts == 0;
            if blocked && let Some(feedback) = self.feedback.clone() {
                choice.rest.insert("promptFeedback".into(), feedback);
            }
            let native = choice.finish.take();
            let meaning = finish::read(native.as_deref().unwrap_or_default(), choice.has_call);
            events.push(Event::Finish {
                choice: choice.index,
                finish: if blocked { crate::Finish::ContentFilter } else { meaning },
                native,
                stop_text: None,
                rest: std::mem::take(&mut choice.rest),
            });
        }
        events.push(Event::End);
        Ok(())
    }
}

impl Choice {
    fn new(index: u32, id: &str) -> Self {
        Self {
            index,
            calls: Calls::of_answer(&[id, &index.to_string()]),
            parts: 0,
            open: None,
            has_call: false,
            finish: None,
            rest: Map::new(),
        }
    }

    /// `thought` tells the signature of the thought that is open from that of a part without words.
    fn part(&mut self, part: Part, thought: bool, events: &mut Vec<Event>) {
        match part {
            Part::Text { text, .. } => {
                if !text.is_empty() {
                    self.ensure(Open::Text, events);
                    self.delta(text, events);
                }
            }
            Part::Thinking { text, signature, .. } => {
                if !thought {
                    self.close(events);
                }
                self.ensure(Open::Thinking, events);
                if !text.is_empty() {
                    self.delta(text, events);
                }
                if let Some(signature) = signature {
                    let part = self.parts.saturating_sub(1);
                    events.push(Event::Signature { choice: self.index, part, signature });
                    self.close(events);
                }
            }
            Part::ToolCall { id, name, arguments, signature, .. } => {
                self.has_call = true;
                self.begin(PartKind::ToolCall { id, name }, events);
                let (choice, part) = (self.index, self.parts.saturating_sub(1));
                // Before the arguments, for writers that carry it in the call's id.
                if let Some(signature) = signature {
                    events.push(Event::Signature { choice, part, signature });
                }
                events.push(Event::Delta { choice, part, text: arguments });
                events.push(Event::Close { choice, part });
            }
            Part::Other { dialect, value } => self.whole(PartKind::Other { dialect, value }, events),
            // A model answers no calls.
            Part::ToolResult { .. } => {}
            part => self.whole(PartKind::Media { part }, events),
        }
    }

    fn whole(&mut self, kind: PartKind, events: &mut Vec<Event>) {
        self.begin(kind, events);
        events.push(Event::Close { choice: self.index, part: self.parts.saturating_sub(1) });
    }

    fn ensure(&mut self, open: Open, events: &mut Vec<Event>) {
        if self.open != Some(open) {
            let kind = match open {
                Open::Text => PartKind::Text,
                Open::Thinking => PartKind::Thinking { id: None },
            };
            self.begin(kind, events);
            self.open = Some(open);
        }
    }

    fn begin(&mut self, kind: PartKind, events: &mut Vec<Event>) {
        self.close(events);
        events.push(Event::Open { choice: self.index, part: self.parts, kind });
        self.parts = self.parts.saturating_add(1);
    }

    fn delta(&mut self, text: String, events: &mut Vec<Event>) {
        events.push(Event::Delta { choice: self.index, part: self.parts.saturating_sub(1), text });
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::Close { choice: self.index, part: self.parts.saturating_sub(1) });
        }
    }
}

/// Splits a JSON array, or a lone object, into its objects. It holds at most one.
#[derive(Debug, Default)]
struct Elements {
    element: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Elements {
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        for &byte in bytes {
            if self.depth == 0 {
                match byte {
                    b'{' => {
                        self.depth = 1;
                        self.element.push(byte);
                    }
                    b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
                    _ => return Err(Fault::syntax("The stream is no array of JSON objects.")),
                }
                continue;
            }
            if self.element.len() >= EVENT_BYTES {
                return Err(Fault::syntax(format!(
                    "An element of the stream is longer than {EVENT_BYTES} bytes."
                )));
            }
            self.element.push(byte);
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                each(&self.element)?;
                self.element.clear();
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Fault> {
        if self.depth == 0 { Ok(()) } else { Err(Fault::syntax("The stream ends within an object.")) }
    }
}
