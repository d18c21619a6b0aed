//! Reads a provider's stream in Anthropic's words.

use serde_json::{Map, Value};

use super::answer::{finish_of, read_usage};
use super::errors;
use crate::json::{Fields, Path, unsigned};
use crate::sse::{Splitter, Sse};
use crate::{Dialect, Event, Fault, PartKind, Usage};

/// Bytes of one event: a search result, or a file that a program made, comes whole in one. The API's own bound for what
/// goes in is 32 MB.
pub const EVENT_BYTES: usize = 32 << 20;

/// Blocks that are open at once. The API has one; a stream that opens without end is none.
const OPEN_BLOCKS: usize = 256;

/// Turns a provider's stream into events.
#[derive(Debug)]
pub struct Reader {
    splitter: Splitter,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    /// Blocks that have begun and not ended, by the provider's index.
    open: Vec<Block>,
    /// Parts told so far.
    parts: u32,
    /// All that was said so far of what it took; the stream's reports add up.
    usage: Usage,
    /// Bytes of events that blocks are gathered from which are not whole yet.
    held: usize,
    finished: bool,
    ended: bool,
}

#[derive(Debug)]
struct Block {
    index: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Told already, as that part.
    Told(u32),
    /// One that only this dialect knows: told when it is whole, with the text of its `input` so far.
    Gathered { value: Map<String, Value>, input: String },
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
        let state = &mut self.state;
        self.splitter.feed(bytes, |sse| state.take(sse, events))
    }

    /// The provider's connection ended. A stream that had said why it stops is whole, also without `message_stop`.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.finish(|sse| state.take(sse, events))?;
        if state.ended {
            return Ok(());
        }
        if !state.finished {
            return Err(Fault::syntax("The stream ends before the message is whole."));
        }
        state.end(events);
        Ok(())
    }
}

impl State {
    fn take(&mut self, sse: Sse<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let data = match sse {
            Sse::Event { data, .. } if !self.ended => data,
            Sse::Comment(_) if !self.ended => {
                events.push(Event::Ping);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let mut fields = Fields::parse(data)?;
        self.hold(data.len())?;
        match fields.peek_str("type") {
            Some("content_block_delta") => self.delta(fields, events),
            Some("content_block_start") => self.open(fields, events),
            Some("content_block_stop") => {
                let index = index_of(&mut fields)?;
                if let Some(at) = self.open.iter().position(|block| block.index == index) {
                    let block = self.open.remove(at);
                    self.close(block, events);
                }
                Ok(())
            }
            Some("message_start") => {
                let Some(message) = fields.take("message") else { return Err(fields.missing("message")) };
                let mut message = Fields::of(message, Path::Root.key("message"))?;
                let id = message.string("id")?.unwrap_or_default();
                let model = message.string("model")?.unwrap_or_default();
                self.start(id, model, events);
                if let Some(usage) = message.take("usage") {
                    read_usage(&usage, false, &mut self.usage);
                    if self.usage != Usage::default() {
                        events.push(Event::Usage(self.usage));
                    }
                }
                Ok(())
            }
            Some("message_delta") => {
                self.start(String::new(), String::new(), events);
                self.message_delta(fields, events)
            }
            Some("message_stop") => {
                self.end(events);
                Ok(())
            }
            Some("ping") => {
                events.push(Event::Ping);
                Ok(())
            }
            Some("error") => {
                self.ended = true;
                events.push(Event::Error(errors::read(0, &Value::Object(fields.rest()))));
                Ok(())
            }
            // The API may add sorts of events; clients are told to skip those they don't know.
            Some(_) => Ok(()),
            None => Err(fields.missing("type")),
        }
    }

    /// Tells that it begins, once: also where the provider did not.
    fn start(&mut self, id: String, model: String, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start { id, model, created: None });
        }
    }

    /// Counts what unfinished blocks hold, so that a stream can't make them grow without end.
    fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        let gathers = self.open.iter().any(|block| matches!(block.what, What::Gathered { .. }));
        self.held = if gathers { self.held.saturating_add(bytes) } else { 0 };
        if self.held > EVENT_BYTES {
            return Err(Fault::syntax(format!("A content block is longer than {EVENT_BYTES} bytes.")));
        }
        Ok(())
    }

    fn open(&mut self, mut fields: Fields<'static>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = index_of(&mut fields)?;
        if self.open.len() >= OPEN_BLOCKS {
            return Err(Fault::syntax("The stream has too many content blocks open."));
        }
        self.start(String::new(), String::new(), events);
        let Some(block) = fields.take("content_block") else { return Err(fields.missing("content_block")) };
        let mut block = Fields::of(block, Path::Root.key("content_block"))?;
        let kind = match block.peek_str("type") {
            Some("text") => PartKind::Text,
            Some("thinking") => {
                let signature = block.string("signature")?.filter(|signature| !signature.is_empty());
                let part = self.tell(index, PartKind::Thinking { id: None }, events);
                if let Some(text) = block.string("thinking")?.filter(|text| !text.is_empty()) {
                    events.push(Event::Delta { choice: 0, part, text });
                }
                if let Some(signature) = signature {
                    events.push(Event::Signature { choice: 0, part, signature });
                }
                return Ok(());
            }
            Some("redacted_thinking") => PartKind::RedactedThinking { data: block.required_string("data")? },
            Some("tool_use") if !block.has("toolset_name") => {
                let id = block.required_string("id")?;
                let name = block.required_string("name")?;
                let part = self.tell(index, PartKind::ToolCall { id, name }, events);
                if let Some(Value::Object(input)) = block.take("input")
                    && !input.is_empty()
                {
                    events.push(Event::Delta { choice: 0, part, text: Value::Object(input).to_string() });
                }
                return Ok(());
            }
            Some(_) => {
                let what = What::Gathered { value: block.rest(), input: String::new() };
                self.open.push(Block { index, what });
                return Ok(());
            }
            None => return Err(block.missing("type")),
        };
        let is_text = matches!(kind, PartKind::Text);
        let part = self.tell(index, kind, events);
        if is_text {
            if let Some(text) = block.string("text")?.filter(|text| !text.is_empty()) {
                events.push(Event::Delta { choice: 0, part, text });
            }
            for value in block.array("citations")? {
                events.push(Event::Citation { choice: 0, part, value });
            }
        }
        Ok(())
    }

    /// Tells of a new part, and gives its index.
    fn tell(&mut self, index: u64, kind: PartKind, events: &mut Vec<Event>) -> u32 {
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        events.push(Event::Open { choice: 0, part, kind });
        self.open.push(Block { index, what: What::Told(part) });
        part
    }

    fn delta(&mut self, mut fields: Fields<'static>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = index_of(&mut fields)?;
        let Some(delta) = fields.take("delta") else { return Err(fields.missing("delta")) };
        let mut delta = Fields::of(delta, Path::Root.key("delta"))?;
        let kind = delta.required_string("type")?;
        // The newest block is the last one, and nearly always the only one.
        let Some(block) = self.open.iter_mut().rev().find(|block| block.index == index) else {
            return Err(fields.wrong("index", "that of a content block that has begun"));
        };
        match &mut block.what {
            What::Told(part) => {
                let part = *part;
                let text = match kind.as_str() {
                    "text_delta" => delta.string("text")?,
                    "input_json_delta" => delta.string("partial_json")?,
                    "thinking_delta" => delta.string("thinking")?,
                    "signature_delta" => {
                        if let Some(signature) = delta.string("signature")?.filter(|text| !text.is_empty()) {
                            events.push(Event::Signature { choice: 0, part, signature });
                        }
                        None
                    }
                    "citations_delta" => {
                        if let Some(value) = delta.take("citation") {
                            events.push(Event::Citation { choice: 0, part, value });
                        }
                        None
                    }
                    _ => None,
                };
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    events.push(Event::Delta { choice: 0, part, text });
                }
            }
            What::Gathered { input, .. } if kind == "input_json_delta" => {
                input.push_str(&delta.string("partial_json")?.unwrap_or_default());
            }
            // Sorts that are not known yet grow by the fields of their deltas.
            What::Gathered { value, .. } => {
                for (key, more) in delta.rest() {
                    match (value.get_mut(&key), more) {
                        (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
                        (_, more) => {
                            value.insert(key, more);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, block: Block, events: &mut Vec<Event>) {
        let part = match block.what {
            What::Told(part) => part,
            What::Gathered { mut value, input } => {
                if let Ok(input @ Value::Object(_)) = serde_json::from_str(&input) {
                    value.insert("input".to_owned(), input);
                }
                let part = self.parts;
                self.parts = self.parts.saturating_add(1);
                let kind = PartKind::Other { dialect: Dialect::Anthropic, value: Value::Object(value) };
                events.push(Event::Open { choice: 0, part, kind });
                part
            }
        };
        events.push(Event::Close { choice: 0, part });
    }

    fn message_delta(&mut self, mut fields: Fields<'static>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if let Some(delta) = fields.take("delta") {
            let mut delta = Fields::of(delta, Path::Root.key("delta"))?;
            if let Some(native) = delta.string("stop_reason")?
                && !self.finished
            {
                self.finished = true;
                self.close_all(events);
                let stop_text = delta.string("stop_sequence")?;
                let mut rest = delta.rest();
                rest.retain(|_, value| !value.is_null());
                events.push(Event::Finish {
                    choice: 0,
                    finish: finish_of(&native),
                    native: Some(native),
                    stop_text,
                    rest,
                });
            }
        }
        if let Some(usage) = fields.take("usage") {
            read_usage(&usage, true, &mut self.usage);
            if self.usage != Usage::default() {
                events.push(Event::Usage(self.usage));
            }
        }
        Ok(())
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        for block in std::mem::take(&mut self.open) {
            self.close(block, events);
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.start(String::new(), String::new(), events);
        self.close_all(events);
        self.ended = true;
        if !std::mem::replace(&mut self.finished, true) {
            events.push(Event::Finish {
                choice: 0,
                finish: crate::Finish::Stop,
                native: None,
                stop_text: None,
                rest: Map::new(),
            });
        }
        events.push(Event::End);
    }
}

fn index_of(fields: &mut Fields<'static>) -> Result<u64, Fault> {
    let index = fields.take("index").as_ref().and_then(unsigned);
    index.ok_or_else(|| fields.missing("index"))
}
