//! Reads a provider's stream in Converse's words.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::answer::{finish_of, read_usage, stop_text};
use super::errors::read_frame;
use super::frames::{FRAME_BYTES, Frame, Splitter};
use crate::json::{Fields, Path, unsigned};
use crate::{Dialect, Event, Fault, Finish, Media, Part, PartKind};

/// Blocks that are open at once. Services have one or, of calls, a few; a stream that opens without end is none.
const OPEN_BLOCKS: usize = 256;

/// Turns a provider's stream into events.
#[derive(Debug, Default)]
pub struct Reader {
    splitter: Splitter,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    open: Vec<Block>,
    /// Parts told so far.
    parts: u32,
    /// Bytes of frames that blocks are gathered from which are not whole yet.
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
    Told(u32),
    /// Hidden thought: told when it is whole.
    Redacted(Vec<u8>),
    /// A picture: told when it is whole.
    Image {
        format: String,
        data: Vec<u8>,
    },
    /// One that only this dialect knows: told when it is whole, as its beginning and its deltas.
    Gathered {
        start: Value,
        deltas: Vec<Value>,
    },
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |frame| state.take(&frame, events))
    }

    /// The provider's connection ended. A stream that had said why it stops is whole, also without `metadata`.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.state.ended {
            return Ok(());
        }
        if self.splitter.is_within() || !self.state.finished {
            return Err(Fault::syntax("The stream ends before the message is whole."));
        }
        self.state.ended = true;
        events.push(Event::End);
        Ok(())
    }
}

impl State {
    fn take(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.ended {
            return Ok(());
        }
        if frame.kind != "event" {
            self.ended = true;
            events.push(Event::Error(read_frame(frame)));
            return Ok(());
        }
        let mut fields = match frame.payload {
            [] => return Ok(()),
            payload => Fields::parse(payload)?,
        };
        self.hold(frame.payload.len())?;
        // A provider that forgets to begin, or begins twice, has begun once.
        let known = ["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata"];
        if known.contains(&frame.name) && !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start { id: String::new(), model: String::new(), created: None });
        }
        match frame.name {
            "contentBlockDelta" => self.delta(fields, events),
            "contentBlockStart" => self.start(fields, events),
            "contentBlockStop" => {
                let index = index_of(&mut fields)?;
                if let Some(at) = self.open.iter().position(|block| block.index == index) {
                    let block = self.open.remove(at);
                    self.close(block, events);
                }
                Ok(())
            }
            "messageStop" if self.finished => Ok(()),
            "messageStop" => {
                for block in std::mem::take(&mut self.open) {
                    self.close(block, events);
                }
                let native = fields.string("stopReason")?;
                let more = fields.take("additionalModelResponseFields");
                let mut rest = Map::new();
                let stop_text = more.as_ref().and_then(stop_text);
                if let Some(more) = more {
                    rest.insert("additionalModelResponseFields".to_owned(), more);
                }
                let finish = native.as_deref().map_or(Finish::Stop, finish_of);
                self.finished = true;
                events.push(Event::Finish { choice: 0, finish, native, stop_text, rest });
                Ok(())
            }
            "metadata" => {
                if let Some(usage) = fields.take("usage") {
                    events.push(Event::Usage(read_usage(&usage)));
                }
                if self.finished {
                    self.ended = true;
                    events.push(Event::End);
                }
                Ok(())
            }
            // Services may add sorts of events.
            _ => Ok(()),
        }
    }

    /// Counts what unfinished blocks hold, so that a stream can't make them grow without end.
    fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        let gathers = self.open.iter().any(|block| !matches!(block.what, What::Told(_)));
        self.held = if gathers { self.held.saturating_add(bytes) } else { 0 };
        if self.held > FRAME_BYTES {
            return Err(Fault::syntax(format!("A content block is longer than {FRAME_BYTES} bytes.")));
        }
        Ok(())
    }

    fn start(&mut self, mut fields: Fields<'static>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = index_of(&mut fields)?;
        let start = fields.take("start").unwrap_or_default();
        let call = start.get("toolUse").filter(|call| call.get("type").is_none());
        if let Some(call) = call {
            let path = Path::Root.key("start");
            let mut call = Fields::of(call.clone(), path.key("toolUse"))?;
            let id = call.required_string("toolUseId")?;
            let name = call.required_string("name")?;
            return self.tell(index, PartKind::ToolCall { id, name }, events).map(|_| ());
        }
        let image = start.get("image");
        let what = match image.and_then(|image| image.get("format")).and_then(Value::as_str) {
            Some(format) => What::Image { format: format.to_owned(), data: Vec::new() },
            // An empty beginning says nothing: the first delta tells what the block is.
            None if start.as_object().is_none_or(Map::is_empty) => return Ok(()),
            None => What::Gathered { start, deltas: Vec::new() },
        };
        self.push(index, what)
    }

    fn push(&mut self, index: u64, what: What) -> Result<(), Fault> {
        if self.open.len() >= OPEN_BLOCKS {
            return Err(Fault::syntax("The stream has too many content blocks open."));
        }
        self.open.push(Block { index, what });
        Ok(())
    }

    /// Tells of a new part, and gives its index.
    fn tell(&mut self, index: u64, kind: PartKind, events: &mut Vec<Event>) -> Result<u32, Fault> {
        let part = self.parts;
        self.push(index, What::Told(part))?;
        self.parts = self.parts.saturating_add(1);
        events.push(Event::Open { choice: 0, part, kind });
        Ok(part)
    }

    fn delta(&mut self, mut fields: Fields<'static>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = index_of(&mut fields)?;
        let Some(delta) = fields.take("delta") else { return Err(fields.missing("delta")) };
        if !self.open.iter().any(|block| block.index == index) {
            self.begin(index, &delta, events)?;
        }
        let Some(block) = self.open.iter_mut().rev().find(|block| block.index == index) else {
            return Ok(());
        };
        match &mut block.what {
            What::Told(part) => tell_delta(*part, delta, events),
            What::Redacted(data) => {
                let more = delta.pointer("/reasoningContent/redactedContent");
                decode(more, data)?;
            }
            What::Image { data, .. } => decode(delta.pointer("/image/source/bytes"), data)?,
            What::Gathered { deltas, .. } => deltas.push(delta),
        }
        Ok(())
    }

    /// Opens the block that a first delta belongs to: only calls have a beginning of their own.
    fn begin(&mut self, index: u64, delta: &Value, events: &mut Vec<Event>) -> Result<(), Fault> {
        let kind = match delta.get("reasoningContent") {
            Some(thought) if thought.get("redactedContent").is_some() => {
                return self.push(index, What::Redacted(Vec::new()));
            }
            Some(_) => PartKind::Thinking { id: None },
            None if delta.get("text").is_some() || delta.get("citation").is_some() => PartKind::Text,
            None => {
                return self.push(index, What::Gathered { start: Value::Null, deltas: Vec::new() });
            }
        };
        self.tell(index, kind, events).map(|_| ())
    }

    fn close(&mut self, block: Block, events: &mut Vec<Event>) {
        let kind = match block.what {
            What::Told(part) => {
                events.push(Event::Close { choice: 0, part });
                return;
            }
            What::Redacted(data) => PartKind::RedactedThinking { data: STANDARD.encode(data) },
            What::Image { format, data } => {
                let media =
                    Media::Base64 { media_type: format!("image/{format}"), data: STANDARD.encode(data) };
                PartKind::Media { part: Part::Image { media, detail: None, cache: None } }
            }
            What::Gathered { start, deltas } => {
                let value = json!({"start": start, "deltas": deltas});
                PartKind::Other { dialect: Dialect::Bedrock, value }
            }
        };
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        events.push(Event::Open { choice: 0, part, kind });
        events.push(Event::Close { choice: 0, part });
    }
}

fn tell_delta(part: u32, delta: Value, events: &mut Vec<Event>) {
    let Value::Object(mut delta) = delta else { return };
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    if let Some(text) = text(delta.remove("text")) {
        events.push(Event::Delta { choice: 0, part, text });
    }
    if let Some(Value::Object(mut call)) = delta.remove("toolUse")
        && let Some(text) = text(call.remove("input"))
    {
        events.push(Event::Delta { choice: 0, part, text });
    }
    if let Some(Value::Object(mut thought)) = delta.remove("reasoningContent") {
        if let Some(text) = text(thought.remove("text")) {
            events.push(Event::Delta { choice: 0, part, text });
        }
        if let Some(signature) = text(thought.remove("signature")) {
            events.push(Event::Signature { choice: 0, part, signature });
        }
    }
    if let Some(value) = delta.remove("citation") {
        events.push(Event::Citation { choice: 0, part, value });
    }
}

fn decode(value: Option<&Value>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let Some(text) = value.and_then(Value::as_str) else { return Ok(()) };
    STANDARD.decode_vec(text, data).map_err(|_| Fault::wrong("delta", "bytes in base64"))
}

fn index_of(fields: &mut Fields<'static>) -> Result<u64, Fault> {
    let index = fields.take("contentBlockIndex").as_ref().and_then(unsigned);
    index.ok_or_else(|| fields.missing("contentBlockIndex"))
}
