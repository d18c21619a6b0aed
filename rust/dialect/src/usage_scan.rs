//! What the gateway must know of answers that pass untouched: usage, the reason of the end, errors; without a tree.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::{memchr2_iter, memmem};
use serde::de::IgnoredAny;

use crate::openai::errors;
use crate::openai::finish_of;
use crate::openai::usage::scan_usage;
use crate::scan::cursor::{Cursor, Tally};
use crate::sse::{Splitter, Sse};
use crate::{ApiError, Dialect, Event, EventReader, Fault, Finish, PartKind, Usage};

/// Bytes of one event that are held until it is whole; longer ones pass unseen. Pictures come whole in one.
const EVENT_BYTES: usize = 32 << 20;

/// What a passed answer said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PassedFacts {
    /// All buckets `None` where nothing was said.
    pub usage: Usage,
    /// Why it ended (the first choice's reason); `None` where it was not said, or there is no such thing (embeddings).
    pub finish: Option<Finish>,
    /// The model that answered, in the provider's word.
    pub model: Option<String>,
}

/// Reads the facts of a whole answer. What can't be read (sound, a page) has none.
pub fn pass_through_usage(dialect: Dialect, body: &[u8]) -> PassedFacts {
    if matches!(dialect, Dialect::OpenAi | Dialect::Mistral) {
        return shaped(body);
    }
    match dialect.parse_answer(body) {
        Ok(answer) => PassedFacts {
            usage: answer.usage,
            finish: answer.choices.first().map(|choice| choice.finish),
            model: Some(answer.model).filter(|model| !model.is_empty()),
        },
        // Other surfaces of the same provider (embeddings, pictures) are mostly of OpenAI's shape.
        Err(_) => shaped(body),
    }
}

/// Of an answer in OpenAI's shape, on whichever surface. What stands before a place that is broken counts.
fn shaped(body: &[u8]) -> PassedFacts {
    let mut facts = PassedFacts::default();
    let mut cursor = Cursor::new(body);
    let _ = cursor.members(0, |cursor, key| {
        let key = body.get(key).unwrap_or_default();
        if key == b"choices" && cursor.byte() == Some(b'[') {
            let start = cursor.position();
            let at = cursor.value(1, &mut Tally::default())?;
            facts.finish = first_finish(body.get(start..at.end).unwrap_or_default());
            return Ok(());
        }
        let at = cursor.value(1, &mut Tally::default())?;
        let said = body.get(at).unwrap_or_default();
        match key {
            b"usage" => facts.usage = scan_usage(said).unwrap_or_default(),
            b"model" => facts.model = string(said).map(Cow::into_owned),
            _ => {}
        }
        Ok(())
    });
    facts
}

fn first_finish(choices: &[u8]) -> Option<Finish> {
    let word = FINDERS.finish.find_iter(choices).find_map(|at| string_behind(choices, at + 15))?;
    Some(finish_of(Some(&word), false))
}

/// The string that is the value of a member whose name ends at `at`. (Within a JSON string no name stands between bare
/// quotes, so a search for the quoted name finds members, or whole strings, which have no colon behind them.)
fn string_behind(text: &[u8], at: usize) -> Option<Cow<'_, str>> {
    let mut cursor = value_behind(text, at)?;
    let start = cursor.position();
    let inner = cursor.string().ok()?;
    string(text.get(start..inner.end.saturating_add(1))?)
}

/// A JSON string with its quotes; nearly all are free of escapes, and stand for themselves.
fn string(said: &[u8]) -> Option<Cow<'_, str>> {
    let inner = said.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""))?;
    if memchr::memchr(b'\\', inner).is_some() {
        return serde_json::from_slice(said).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

fn value_behind(text: &[u8], at: usize) -> Option<Cursor<'_>> {
    let mut cursor = Cursor::at(text, at);
    cursor.space();
    cursor.eat(b':').then(|| cursor.space()).map(|()| cursor)
}

/// Watches a stream that passes untouched, and can hide the usage that the gateway asked for and the client did not.
#[derive(Debug)]
pub struct PassedStream {
    facts: PassedFacts,
    first_content: bool,
    content_events: u64,
    text_bytes: u64,
    ended: bool,
    error: Option<ApiError>,
    fault: Option<Fault>,
    hide_usage: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Chunks in OpenAI's shape: looked at as bytes.
    Chunks {
        /// An event that is not whole.
        held: Vec<u8>,
        /// How much of it was searched for its end.
        searched: usize,
    },
    /// Others are read as they would be for translation.
    Events {
        reader: Box<EventReader>,
        events: Vec<Event>,
        /// An event that is not whole.
        held: Vec<u8>,
        border: Border,
    },
}

/// Where an event of a stream ends.
#[derive(Debug, Clone, Copy)]
enum Border {
    /// Behind an empty line.
    EmptyLine,
    /// Behind its line.
    Line,
    /// Where its length says, which stands in its first four bytes.
    Length,
}

impl Border {
    /// The end of the last whole event in `text`, which begins with the beginning of one; before `from` none ends.
    fn last(self, text: &[u8], from: usize) -> usize {
        match self {
            Self::Line => memchr::memrchr(b'\n', text).map_or(0, |at| at + 1),
            Self::EmptyLine => {
                let rest = text.get(from..).unwrap_or_default();
                let ends: [&[u8]; 3] = [b"\n\n", b"\n\r\n", b"\r\r"];
                ends.iter()
                    .filter_map(|end| Some(from + memmem::rfind(rest, end)? + end.len()))
                    .max()
                    .unwrap_or(0)
            }
            Self::Length => {
                let mut at = 0usize;
                while let Some(told) = text.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
                    let length = u32::from_be_bytes(*told) as usize;
                    // What is no frame is not waited for.
                    let end = if length < 16 { text.len() } else { at.saturating_add(length) };
                    if end > text.len() {
                        break;
                    }
                    at = end;
                }
                at
            }
        }
    }
}

/// What chunks are searched for.
struct Finders {
    usage: memmem::Finder<'static>,
    finish: memmem::Finder<'static>,
    delta: memmem::Finder<'static>,
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    usage: memmem::Finder::new(b"\"usage\""),
    finish: memmem::Finder::new(b"\"finish_reason\""),
    delta: memmem::Finder::new(b"\"delta\""),
});

impl PassedStream {
    /// For a stream of that dialect. `hide_usage`: OpenAI's chunk with usage alone is left out by [`PassedStream::filter`].
    pub fn new(dialect: Dialect, hide_usage: bool) -> Self {
        let kind = match dialect {
            Dialect::OpenAi | Dialect::Mistral => Kind::Chunks { held: Vec::new(), searched: 0 },
            other => Kind::Events {
                reader: Box::new(EventReader::new(other)),
                events: Vec::new(),
                held: Vec::new(),
                border: match other {
                    Dialect::Ollama => Border::Line,
                    Dialect::Bedrock => Border::Length,
                    _ => Border::EmptyLine,
                },
            },
        };
        Self {
            facts: PassedFacts::default(),
            first_content: false,
            content_events: 0,
            text_bytes: 0,
            ended: false,
            error: None,
            fault: None,
            hide_usage: hide_usage && matches!(dialect, Dialect::OpenAi),
            kind,
        }
    }

    /// Appends what is to be forwarded of these bytes: whole events, without the hidden one. So what comes next (an error, when the
    /// rest never comes) stands behind an event and not within one.
    pub fn filter(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Kind::Events { held, border, .. } = &mut self.kind {
            let whole = |text: &[u8], from| {
                if text.len() > EVENT_BYTES { text.len() } else { border.last(text, from).min(text.len()) }
            };
            if held.is_empty() {
                let (events, rest) = bytes.split_at(whole(bytes, 0));
                out.extend_from_slice(events);
                held.extend_from_slice(rest);
            } else {
                let from = held.len().saturating_sub(3);
                held.extend_from_slice(bytes);
                let whole = whole(held, from);
                out.extend(held.drain(..whole));
            }
        }
        self.take(bytes, out);
    }

    /// The provider's connection ended: appends what was held back, unless it is half an event.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.kind {
            Kind::Chunks { held, .. } => {
                let last = std::mem::take(held);
                let data = last.trim_ascii().strip_prefix(b"data:").unwrap_or_default().trim_ascii();
                let whole = data == b"[DONE]" || serde_json::from_slice::<IgnoredAny>(data).is_ok();
                let hidden = !last.is_empty() && self.event(&last) && self.hide_usage;
                if whole && !hidden {
                    out.extend_from_slice(&last);
                }
            }
            Kind::Events { reader, events, held, .. } => {
                let last = std::mem::take(held);
                // What a broken stream still holds is nothing that it said.
                if self.fault.is_none() {
                    self.fault = reader.finish(events).err();
                }
                self.drain();
                if self.fault.is_none() && self.is_whole() {
                    out.extend_from_slice(&last);
                }
            }
        }
    }

    /// Usage, the reason of the end, the model, as far as they were said.
    pub fn facts(&self) -> &PassedFacts {
        &self.facts
    }

    /// Whether anything that the model said has passed.
    pub fn has_content(&self) -> bool {
        self.first_content
    }

    /// Events with something that the model said: most providers send one for a token or a few.
    pub fn content_events(&self) -> u64 {
        self.content_events
    }

    /// Bytes of what the model said, escapes as written.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Whether the stream came to its end: the terminator, or at least the reason of the end.
    pub fn is_whole(&self) -> bool {
        self.error.is_none() && (self.ended || self.facts.finish.is_some())
    }

    /// The error that the provider told within the stream.
    pub fn error(&self) -> Option<&ApiError> {
        self.error.as_ref()
    }

    /// Why the stream can't be read; it passes all the same.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let (mut buffer, mut searched) = match &mut self.kind {
            Kind::Events { reader, events, .. } => {
                if self.fault.is_none() {
                    self.fault = reader.feed(bytes, events).err();
                }
                self.drain();
                return;
            }
            Kind::Chunks { held, searched } => (std::mem::take(held), std::mem::take(searched)),
        };
        let lone = buffer.is_empty();
        if !lone {
            buffer.extend_from_slice(bytes);
        }
        let text: &[u8] = if lone { bytes } else { &buffer };
        let mut start = 0;
        while let Some(end) = event_end(text, start.max(searched)) {
            let event = text.get(start..end).unwrap_or_default();
            let hidden = self.event(event) && self.hide_usage;
            if !hidden {
                out.extend_from_slice(event);
            }
            start = end;
        }
        let mut left = text.get(start..).unwrap_or_default();
        if left.len() > EVENT_BYTES {
            self.fault =
                Some(Fault::syntax(format!("An event of the stream is longer than {EVENT_BYTES} bytes.")));
            out.extend_from_slice(left);
            left = &[];
        }
        // An end of up to four bytes may be cut in two.
        searched = left.len().saturating_sub(3);
        let left = if lone {
            left.to_vec()
        } else {
            buffer.drain(..buffer.len() - left.len());
            buffer
        };
        if let Kind::Chunks { held, searched: known } = &mut self.kind {
            (*held, *known) = (left, searched);
        }
    }

    /// Looks at one event, as it came; whether it is the chunk that has usage and nothing else.
    fn event(&mut self, event: &[u8]) -> bool {
        let trimmed = event.trim_ascii();
        match trimmed.strip_prefix(b"data:") {
            Some(data) if memchr::memchr2(b'\n', b'\r', data).is_none() => self.data(data.trim_ascii()),
            _ if trimmed.is_empty()
                || trimmed.first() == Some(&b':') && memchr::memchr(b'\n', trimmed).is_none() =>
            {
                false
            }
            _ => {
                // Names, comments beside the data, data on several lines.
                let mut joined = Vec::new();
                let mut splitter = Splitter::with_limit(EVENT_BYTES);
                let mut each = |sse: Sse<'_>| {
                    if let Sse::Event { data, .. } = sse {
                        joined.extend_from_slice(data);
                    }
                    Ok(())
                };
                let _ = splitter.feed(event, &mut each).and_then(|()| splitter.finish(&mut each));
                self.data(&joined)
            }
        }
    }

    fn data(&mut self, data: &[u8]) -> bool {
        let Finders { usage, finish, delta } = &*FINDERS;
        if data == b"[DONE]" {
            self.ended = true;
            return false;
        }
        if data.is_empty() {
            return false;
        }
        let mut has_usage = false;
        for at in usage.find_iter(data) {
            if let Some(mut cursor) = value_behind(data, at + 7)
                && cursor.byte() == Some(b'{')
                && let Ok(place) = cursor.value(1, &mut Tally::default())
                && let Some(usage) = scan_usage(data.get(place).unwrap_or_default())
            {
                self.facts.usage.update(&usage);
                has_usage = true;
            }
        }
        if self.facts.finish.is_none() {
            let word = finish.find_iter(data).find_map(|at| string_behind(data, at + 15));
            self.facts.finish = word.map(|word| finish_of(Some(&word), false));
        }
        if self.facts.model.is_none() {
            self.facts.model = memmem::find(data, b"\"model\"")
                .and_then(|at| string_behind(data, at + 7))
                .filter(|model| !model.is_empty())
                .map(Cow::into_owned);
        }
        let mut said = 0;
        for at in delta.find_iter(data) {
            said += value_behind(data, at + 7).map_or(0, |cursor| words_of(data, cursor));
        }
        if said == 0 {
            // Legacy completions.
            let text = memmem::find(data, b"\"text\"").and_then(|at| value_behind(data, at + 6));
            said = text.and_then(|mut cursor| cursor.string().ok()).map_or(0, |inner| inner.len());
        }
        if said > 0 {
            self.first_content = true;
            self.content_events += 1;
            self.text_bytes = self.text_bytes.saturating_add(said as u64);
            return false;
        }
        let choices = memmem::find(data, b"\"choices\"").and_then(|at| value_behind(data, at + 9));
        match choices {
            None => {
                if memmem::find(data, b"\"error\"").is_some()
                    && let Ok(value @ serde_json::Value::Object(_)) = serde_json::from_slice(data)
                {
                    self.error = Some(errors::read(0, value));
                }
                false
            }
            Some(mut cursor) => {
                let empty = cursor.eat(b'[') && {
                    cursor.space();
                    cursor.eat(b']')
                };
                has_usage && empty
            }
        }
    }

    fn drain(&mut self) {
        let Kind::Events { events, .. } = &mut self.kind else { return };
        for event in events.drain(..) {
            match event {
                Event::Start { model, .. } => {
                    self.facts.model = Some(model).filter(|model| !model.is_empty())
                }
                Event::Delta { text, .. } => {
                    self.first_content = true;
                    self.content_events += 1;
                    self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
                }
                Event::Open { kind, .. } => {
                    self.first_content |=
                        !matches!(kind, PartKind::Text | PartKind::Refusal | PartKind::Thinking { .. });
                }
                Event::Finish { finish, .. } => _ = self.facts.finish.get_or_insert(finish),
                Event::Usage(usage) => self.facts.usage.update(&usage),
                Event::Error(error) => self.error = Some(error),
                Event::End => self.ended = true,
                _ => {}
            }
        }
    }
}

/// Bytes of the strings of a delta, without its role.
fn words_of(data: &[u8], mut cursor: Cursor<'_>) -> usize {
    let mut tally = Tally::default();
    let mut role = 0;
    let read = cursor.members(2, |cursor, key| {
        let before = tally.text;
        cursor.value(3, &mut tally)?;
        if data.get(key) == Some(b"role") {
            role = tally.text - before;
        }
        Ok(())
    });
    if read.is_ok() { tally.text - role + tally.media } else { 0 }
}

/// Where the event that is not over before `from` ends: behind its empty line.
fn event_end(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    for at in memchr2_iter(b'\n', b'\r', rest) {
        let end = match rest.get(at..)? {
            [b'\n', b'\n', ..] | [b'\r', b'\r', ..] => at + 2,
            [b'\n', b'\r', b'\n', ..] => at + 3,
            _ => continue,
        };
        return Some(from + end);
    }
    None
}

#[cfg(test)]
mod tests;
