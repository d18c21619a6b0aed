//! Reads a stream of chat completion chunks.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::finish_of;
use super::content::{arguments_of, media_of_url, signature_of_extra, thought_of_detail};
use super::errors;
use super::usage::parse_usage;
use crate::carry::Home;
use crate::sse::{Splitter, Sse};
use crate::{Dialect, Event, Fault, Media, Part, PartKind};

/// Choices, and calls of a choice, that one stream may have: what providers allow is far less, and each costs memory.
const MANY: usize = 1024;

/// Bytes of one event. Pictures come whole in one.
const EVENT_BYTES: usize = 32 << 20;

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
    choices: Vec<Choice>,
}

/// What a choice has said so far.
#[derive(Debug)]
struct Choice {
    index: u32,
    next_part: u32,
    /// The part that text goes to.
    open: Option<(u32, Kind)>,
    /// Whether the open thinking part has text, or is known by its signature alone.
    has_thought: bool,
    calls: Vec<Call>,
    finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Refusal,
}

#[derive(Debug)]
struct Call {
    /// The provider's index; several calls may share one at careless providers.
    index: u64,
    id: String,
    name: String,
    /// Arguments and a signature that came before the name.
    waiting: String,
    signature: Option<String>,
    /// The part, once it is open.
    part: Option<u32>,
    closed: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    model: Option<Value>,
    #[serde(default)]
    created: Option<Value>,
    #[serde(default)]
    choices: Option<Vec<ChunkChoice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    delta: Option<Map<String, Value>>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    native_finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
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

    /// The provider's connection ended. Some compatibles leave out `[DONE]`: the stream is whole if all choices are.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Self { splitter, state } = self;
        splitter.finish(|sse| state.take(sse, events))?;
        if state.ended {
            return Ok(());
        }
        let whole = !state.choices.is_empty() && state.choices.iter().all(|choice| choice.finished);
        if !whole {
            return Err(Fault::syntax("The provider's stream ended before it was whole."));
        }
        state.ended = true;
        events.push(Event::End);
        Ok(())
    }
}

impl State {
    fn take(&mut self, sse: Sse<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let data = match sse {
            _ if self.ended => return Ok(()),
            Sse::Comment(_) => {
                events.push(Event::Ping);
                return Ok(());
            }
            Sse::Event { data, .. } => data.trim_ascii(),
        };
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            if !std::mem::replace(&mut self.started, true) {
                events.push(Event::Start { id: String::new(), model: String::new(), created: None });
            }
            if self.choices.is_empty() {
                self.choices.push(Choice::new(0));
            }
            // Some compatibles leave out why it ended.
            for choice in self.choices.iter_mut().filter(|choice| !choice.finished) {
                choice.end(None, None, Map::new(), events);
            }
            self.ended = true;
            events.push(Event::End);
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_slice(data)
            .map_err(|_| Fault::syntax("An event of the provider's stream is no chat completion chunk."))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let mut body = Map::new();
            body.insert("error".to_owned(), error);
            events.push(Event::Error(errors::read(0, Value::Object(body))));
            self.ended = true;
            return Ok(());
        }
        let usage = chunk.usage.filter(Value::is_object);
        let choices = chunk.choices.unwrap_or_default();
        // Azure's first chunk has no choices and neither id nor model.
        if !self.started && (!choices.is_empty() || usage.is_some()) {
            self.started = true;
            let text = |value: Option<Value>| match value {
                Some(Value::String(text)) => text,
                _ => String::new(),
            };
            events.push(Event::Start {
                id: text(chunk.id),
                model: text(chunk.model),
                created: chunk.created.as_ref().and_then(crate::json::unsigned),
            });
        }
        for said in choices {
            let index = said.index.unwrap_or(0);
            let at = match self.choices.iter().position(|choice| choice.index == index) {
                Some(at) => at,
                None if self.choices.len() >= MANY => {
                    return Err(Fault::syntax(format!(
                        "The provider's stream has more than {MANY} choices."
                    )));
                }
                None => {
                    self.choices.push(Choice::new(index));
                    self.choices.len() - 1
                }
            };
            if let Some(choice) = self.choices.get_mut(at) {
                choice.take(said, events)?;
            }
        }
        if let Some(usage) = usage {
            events.push(Event::Usage(parse_usage(&usage)));
        }
        Ok(())
    }
}

impl Choice {
    fn new(index: u32) -> Self {
        Self { index, next_part: 0, open: None, has_thought: false, calls: Vec::new(), finished: false }
    }

    fn take(&mut self, said: ChunkChoice, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.finished {
            return Ok(());
        }
        if let Some(delta) = said.delta {
            self.delta(delta, events)?;
        }
        if let Some(value) = said.logprobs.filter(|value| !value.is_null()) {
            events.push(Event::Logprobs { choice: self.index, value });
        }
        if let Some(word) = said.finish_reason.filter(|word| !word.is_empty()) {
            let mut rest = said.rest;
            rest.retain(|_, value| !value.is_null());
            let native = said.native_finish_reason.unwrap_or_else(|| word.clone());
            self.end(Some(&word), Some(native), rest, events);
        }
        Ok(())
    }

    fn end(
        &mut self,
        word: Option<&str>,
        native: Option<String>,
        rest: Map<String, Value>,
        events: &mut Vec<Event>,
    ) {
        self.close_all(events);
        self.finished = true;
        let finish = finish_of(word, !self.calls.is_empty());
        events.push(Event::Finish { choice: self.index, finish, native, stop_text: None, rest });
    }

    fn delta(&mut self, mut delta: Map<String, Value>, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.thoughts(&mut delta, events);
        match delta.remove("content") {
            Some(Value::String(text)) => self.say(Kind::Text, text, events),
            // Mistral's.
            Some(Value::Array(chunks)) => {
                for chunk in chunks {
                    self.chunk(chunk, events);
                }
            }
            _ => {}
        }
        if let Some(Value::String(text)) = delta.remove("refusal") {
            self.say(Kind::Refusal, text, events);
        }
        if let Some(Value::Array(notes)) = delta.remove("annotations") {
            for value in notes {
                let part = self.part(Kind::Text, events);
                events.push(Event::Citation { choice: self.index, part, value });
            }
        }
        if let Some(Value::Array(images)) = delta.remove("images") {
            for image in &images {
                if let Some(url) = image.pointer("/image_url/url").and_then(Value::as_str) {
                    let media: Media = media_of_url(url.to_owned(), None);
                    let part = Part::Image { media, detail: None, cache: None };
                    self.whole(PartKind::Media { part }, events);
                }
            }
        }
        if let Some(audio @ Value::Object(_)) = delta.remove("audio") {
            let value = serde_json::json!({"type": "audio", "audio": audio});
            self.whole(PartKind::Other { dialect: Dialect::OpenAi, value }, events);
        }
        if let Some(Value::Array(calls)) = delta.remove("tool_calls") {
            for (at, call) in calls.into_iter().enumerate() {
                if let Value::Object(call) = call {
                    self.call(at as u64, call, events)?;
                }
            }
        }
        if let Some(Value::Object(function)) = delta.remove("function_call") {
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            let mut call = Map::new();
            if !name.is_empty() {
                call.insert("id".to_owned(), Value::String(super::read_request::legacy_id(name)));
            }
            call.insert("function".to_owned(), Value::Object(function));
            self.call(0, call, events)?;
        }
        Ok(())
    }

    fn chunk(&mut self, mut chunk: Value, events: &mut Vec<Event>) {
        match chunk.get("type").and_then(Value::as_str) {
            Some("text") => {
                if let Some(Value::String(text)) = chunk.get_mut("text").map(Value::take) {
                    self.say(Kind::Text, text, events);
                }
            }
            Some("thinking") => {
                if let Some(Value::Array(pieces)) = chunk.get_mut("thinking").map(Value::take) {
                    for piece in pieces {
                        if let Some(text) = piece.get("text").and_then(Value::as_str) {
                            self.say(Kind::Thinking, text.to_owned(), events);
                        }
                    }
                }
                if let Some(signature) = chunk.get("signature").and_then(Value::as_str) {
                    self.sign(Home::Mistral.read(signature.to_owned()), events);
                }
            }
            _ => self.whole(PartKind::Other { dialect: Dialect::Mistral, value: chunk }, events),
        }
    }

    /// Thoughts in all their forms. A text that is told in two of them is taken once.
    fn thoughts(&mut self, delta: &mut Map<String, Value>, events: &mut Vec<Event>) {
        let plain = [delta.remove("reasoning_content"), delta.remove("reasoning")];
        let mut told = false;
        for value in plain {
            match value {
                Some(Value::String(text)) if !told && !text.is_empty() => {
                    told = true;
                    self.say(Kind::Thinking, text, events);
                }
                _ => {}
            }
        }
        if let Some(Value::Array(details)) = delta.remove("reasoning_details") {
            for part in details.iter().filter_map(thought_of_detail) {
                self.thought(part, told, events);
            }
        }
        if let Some(Value::Array(blocks)) = delta.remove("thinking_blocks") {
            for block in &blocks {
                let text =
                    |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                if block.get("type").and_then(Value::as_str) == Some("redacted_thinking") {
                    self.whole(PartKind::RedactedThinking { data: text("data") }, events);
                } else {
                    let signature = Some(text("signature")).filter(|signature| !signature.is_empty());
                    // A signed block repeats what was thought: its text is news only where none came before.
                    let known = told || (signature.is_some() && self.has_thought);
                    self.thought(
                        Part::Thinking { text: text("thinking"), signature, id: None },
                        known,
                        events,
                    );
                }
            }
        }
    }

    fn thought(&mut self, part: Part, known: bool, events: &mut Vec<Event>) {
        match part {
            Part::Thinking { text, signature, .. } => {
                if !known {
                    self.say(Kind::Thinking, text, events);
                }
                if let Some(signature) = signature {
                    self.sign(signature, events);
                }
            }
            Part::RedactedThinking { data } => self.whole(PartKind::RedactedThinking { data }, events),
            _ => {}
        }
    }

    /// A signature ends a thought: the next one is another part.
    fn sign(&mut self, signature: String, events: &mut Vec<Event>) {
        let part = self.part(Kind::Thinking, events);
        events.push(Event::Signature { choice: self.index, part, signature });
        self.close_open(events);
    }

    fn say(&mut self, kind: Kind, text: String, events: &mut Vec<Event>) {
        if !text.is_empty() {
            let part = self.part(kind, events);
            self.has_thought |= kind == Kind::Thinking;
            events.push(Event::Delta { choice: self.index, part, text });
        }
    }

    /// The open part of that kind; others are closed before a new one is opened.
    fn part(&mut self, kind: Kind, events: &mut Vec<Event>) -> u32 {
        match self.open {
            Some((part, open)) if open == kind => part,
            _ => {
                self.close_all(events);
                let part = self.number();
                self.open = Some((part, kind));
                let kind = match kind {
                    Kind::Text => PartKind::Text,
                    Kind::Thinking => PartKind::Thinking { id: None },
                    Kind::Refusal => PartKind::Refusal,
                };
                events.push(Event::Open { choice: self.index, part, kind });
                part
            }
        }
    }

    fn whole(&mut self, kind: PartKind, events: &mut Vec<Event>) {
        self.close_all(events);
        let part = self.number();
        events.push(Event::Open { choice: self.index, part, kind });
        events.push(Event::Close { choice: self.index, part });
    }

    fn call(
        &mut self,
        place: u64,
        mut said: Map<String, Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let index = said.get("index").and_then(crate::json::unsigned).unwrap_or(place);
        let id = Some(text(said.remove("id"))).filter(|id| id != "null").unwrap_or_default();
        let signature = said.remove("extra_content").as_ref().and_then(signature_of_extra);
        let mut function = match said.remove("function") {
            Some(Value::Object(function)) => function,
            _ => Map::new(),
        };
        let name = text(function.remove("name"));
        let arguments = arguments_of(function.remove("arguments"));
        // The same index with another id is another call: Gemini's compatible API gives all of them index 0.
        let known = self.calls.iter().rposition(|call| {
            call.index == index && !call.closed && (id.is_empty() || call.id.is_empty() || call.id == id)
        });
        let at = match known {
            Some(at) => at,
            None if self.calls.len() >= MANY => {
                return Err(Fault::syntax(format!("The provider's stream has more than {MANY} calls.")));
            }
            None => {
                self.close_open(events);
                self.calls.push(Call {
                    index,
                    id: String::new(),
                    name: String::new(),
                    waiting: String::new(),
                    signature: None,
                    part: None,
                    closed: false,
                });
                self.calls.len() - 1
            }
        };
        let (choice, mut next) = (self.index, self.next_part);
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        if call.id.is_empty() {
            call.id = id;
        }
        match call.part {
            Some(part) => {
                if !arguments.is_empty() {
                    events.push(Event::Delta { choice, part, text: arguments });
                }
                if let Some(signature) = signature {
                    events.push(Event::Signature { choice, part, signature });
                }
            }
            None => {
                call.name.push_str(&name);
                call.waiting.push_str(&arguments);
                call.signature = signature.or(call.signature.take());
                // The name is whole once arguments come or the id is told beside it.
                if !call.name.is_empty() {
                    call.begin(choice, at, &mut next, events);
                }
            }
        }
        self.next_part = next;
        Ok(())
    }

    fn number(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part = part.saturating_add(1);
        part
    }

    fn close_open(&mut self, events: &mut Vec<Event>) {
        if let Some((part, kind)) = self.open.take() {
            self.has_thought &= kind != Kind::Thinking;
            events.push(Event::Close { choice: self.index, part });
        }
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        self.close_open(events);
        let (choice, mut next) = (self.index, self.next_part);
        for (at, call) in self.calls.iter_mut().enumerate().filter(|(_, call)| !call.closed) {
            if call.part.is_none() {
                call.begin(choice, at, &mut next, events);
            }
            call.closed = true;
            if let Some(part) = call.part {
                events.push(Event::Close { choice, part });
            }
        }
        self.next_part = next;
    }
}

impl Call {
    fn begin(&mut self, choice: u32, at: usize, next: &mut u32, events: &mut Vec<Event>) {
        let part = *next;
        *next = part.saturating_add(1);
        self.part = Some(part);
        if self.id.is_empty() {
            self.id = format!("call_{choice}_{at}");
        }
        let kind = PartKind::ToolCall { id: self.id.clone(), name: std::mem::take(&mut self.name) };
        events.push(Event::Open { choice, part, kind });
        let text = std::mem::take(&mut self.waiting);
        if !text.is_empty() {
            events.push(Event::Delta { choice, part, text });
        }
        if let Some(signature) = self.signature.take() {
            events.push(Event::Signature { choice, part, signature });
        }
    }
}
