//! An answer on its way from a provider's words into the client's, and what it says by the way: usage, finish, errors.
//!
//! A tap is fed what the provider sends and fills `out` with what the client gets. Where both speak the same dialect the bytes
//! pass as they are, and are only looked at.

use tidegate_dialect::{
    Answer, ApiError, Dialect, ErrorKind, Event, EventReader, EventWriter, Fault, Finish, Part, Reply,
    Source, Surface, Usage,
    convert::{Gather, replay},
    embeddings::{self, EmbedAnswer, EmbedRequest, Form},
    usage_scan::{PassedStream, pass_through_usage},
};

use super::{
    call::Call,
    compose::embed_form,
    errors::{Lost, LostCause},
    guard::AnswerGuard,
    words::Words,
};
use tidegate_plan::FallbackCause;

/// See above.
#[derive(Debug)]
pub struct Tap {
    client: Dialect,
    provider: Dialect,
    surface: Surface,
    same: bool,
    guard: Option<Box<AnswerGuard>>,
    wants_stream: bool,
    reply: Names,
    embed: Option<(Form, EmbedRequest)>,
    answered: Option<EmbedAnswer>,
    said: Option<Answer>,
    words: Option<Words>,
    mode: Mode,
    /// What the client gets, and has not got yet.
    pub out: Vec<u8>,
    /// What the provider sent, where it is kept for others.
    pub raw: Option<Vec<u8>>,
    usage: Usage,
    finish: Option<Finish>,
    /// Bytes of text that the model wrote, for an estimate where usage is not told.
    written: u64,
    content: bool,
    ended: bool,
    fed: usize,
    error: Option<ApiError>,
}

/// What answers are written with, owned.
#[derive(Debug, Clone)]
struct Names {
    model: String,
    id: String,
    created: u64,
    include_usage: bool,
}

impl Names {
    fn reply(&self) -> Reply<'_> {
        Reply { model: &self.model, id: &self.id, created: self.created, include_usage: self.include_usage }
    }
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one a call; boxing would cost more than it saves
enum Mode {
    /// Nothing has come yet.
    Fresh,
    /// The provider's stream passes as it is.
    Pass(PassedStream),
    /// The provider's stream becomes the client's.
    Translate { reader: EventReader, writer: EventWriter, events: Vec<Event> },
    /// The provider's stream becomes one answer.
    Gather { reader: EventReader, gather: Gather, events: Vec<Event> },
}

impl Tap {
    /// For a call whose answer comes in `provider`'s words; `same`: they are the client's too.
    pub fn new(call: &Call, provider: Dialect, same: bool, request_id: &str, keep: bool) -> Self {
        Self {
            client: call.dialect,
            provider,
            surface: call.surface,
            same: same && call.guarding.is_none() && !(call.surface == Surface::Embeddings && call.is_edited),
            guard: call.guarding.as_ref().map(|guarding| Box::new(guarding.answers())),
            wants_stream: call.stream,
            reply: Names {
                model: call.asked.clone(),
                id: request_id.to_owned(),
                created: call.started_ms / 1000,
                include_usage: call.include_usage,
            },
            embed: call.embed.clone().map(|request| (call.form(), request)),
            answered: None,
            said: None,
            words: call.content.is_some().then(Words::default),
            mode: Mode::Fresh,
            out: Vec::new(),
            raw: keep.then(Vec::new),
            usage: Usage::default(),
            finish: None,
            written: 0,
            content: false,
            ended: false,
            fed: 0,
            error: None,
        }
    }

    /// Whose words come.
    pub fn provider(&self) -> Dialect {
        self.provider
    }

    /// Whether a content type is that of the provider's streams.
    pub fn is_stream(&self, content_type: &[u8]) -> bool {
        let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let streams: [&[u8]; 4] = [
            b"text/event-stream",
            b"application/x-ndjson",
            b"application/vnd.amazon.eventstream",
            b"application/stream+json",
        ];
        streams.iter().any(|stream| kind.eq_ignore_ascii_case(stream))
    }

    /// Takes all of an answer that was kept.
    pub fn replay(&mut self, bytes: &[u8], is_stream: bool) -> Result<(), Fault> {
        if is_stream {
            self.feed(bytes)?;
            // A stream with an end of its own is over already.
            if self.is_ended() { Ok(()) } else { self.finish() }
        } else {
            self.whole(bytes.to_vec(), b"application/json")
        }
    }

    /// Takes an answer of the gateway's own.
    pub fn answer(&mut self, answer: &Answer) {
        if let Some(words) = &mut self.words {
            words.answer(answer);
        }
        self.content = true;
        self.ended = true;
        self.usage = answer.usage;
        self.finish = answer.choices.first().map(|choice| choice.finish);
        self.written = answer.choices.iter().flat_map(|choice| &choice.parts).map(words_of).sum();
        if self.wants_stream {
            let mut events = Vec::new();
            replay(answer, &mut events);
            let mut writer = self.writer();
            for event in &events {
                writer.write(event, &mut self.out);
            }
        } else {
            self.write_answer(answer);
        }
    }

    /// Takes the next bytes of the provider's stream, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.fed += bytes.len();
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(bytes);
        }
        if matches!(self.mode, Mode::Fresh) {
            self.mode = self.streaming();
        }
        match &mut self.mode {
            Mode::Fresh => {}
            Mode::Pass(passed) => {
                if let Some(words) = &mut self.words {
                    words.listen(self.provider, bytes);
                }
                passed.filter(bytes, &mut self.out);
                self.content |= passed.has_content();
                self.ended |= passed.is_whole();
                if self.error.is_none() {
                    self.error = passed.error().cloned();
                }
            }
            Mode::Translate { reader, events, .. } | Mode::Gather { reader, events, .. } => {
                reader.feed(bytes, events)?;
                self.events();
            }
        }
        Ok(())
    }

    /// The provider's stream is over. A fault where it broke off.
    pub fn finish(&mut self) -> Result<(), Fault> {
        match &mut self.mode {
            Mode::Fresh => return Err(Fault::syntax("The stream was empty.")),
            Mode::Pass(passed) => {
                passed.finish(&mut self.out);
                self.ended |= passed.is_whole();
            }
            Mode::Translate { reader, events, .. } | Mode::Gather { reader, events, .. } => {
                reader.finish(events)?;
                self.events();
            }
        }
        Ok(())
    }

    fn streaming(&self) -> Mode {
        if self.same && self.wants_stream {
            return Mode::Pass(PassedStream::new(self.provider, !self.reply.include_usage));
        }
        let reader = EventReader::new(self.provider);
        if self.wants_stream {
            let writer = self.writer();
            Mode::Translate { reader, writer, events: Vec::new() }
        } else {
            Mode::Gather { reader, gather: Gather::new(), events: Vec::new() }
        }
    }

    fn writer(&self) -> EventWriter {
        match self.surface {
            Surface::Generate => {
                EventWriter::Ollama(tidegate_dialect::ollama::Writer::generate(&self.reply.reply()))
            }
            _ => EventWriter::new(self.client, &self.reply.reply()),
        }
    }

    /// Takes what the reader made of the last bytes.
    fn events(&mut self) {
        let mut taken = match &mut self.mode {
            Mode::Translate { events, .. } | Mode::Gather { events, .. } => std::mem::take(events),
            _ => return,
        };
        let mut passed = Vec::new();
        for event in taken.drain(..) {
            self.note(&event);
            if self.error.is_some() && !self.content {
                // Nothing of it is out: another target may still answer.
                continue;
            }
            match &mut self.guard {
                None => self.write(&event),
                Some(guard) => match guard.event(event, &mut passed) {
                    Ok(()) => {
                        for event in passed.drain(..) {
                            self.write(&event);
                        }
                    }
                    Err(error) => {
                        self.error = Some(error);
                        self.ended = true;
                        break;
                    }
                },
            }
        }
        if self.ended && self.error.is_none() {
            self.gathered();
        }
        if let Mode::Translate { events, .. } | Mode::Gather { events, .. } = &mut self.mode {
            *events = taken;
        }
    }

    fn write(&mut self, event: &Event) {
        match &mut self.mode {
            Mode::Translate { writer, .. } => writer.write(event, &mut self.out),
            Mode::Gather { gather, .. } => gather.feed(event),
            _ => {}
        }
    }

    /// All of a stream has come for a client that wants one answer.
    fn gathered(&mut self) {
        if let Mode::Gather { gather, .. } = &mut self.mode {
            let answer = std::mem::take(gather).into_answer();
            self.write_answer(&answer);
        }
    }

    fn write_answer(&mut self, answer: &Answer) {
        let reply = self.reply.reply();
        match self.surface {
            // What was promised is made of it at the end.
            Surface::Prompts => self.said = Some(answer.clone()),
            Surface::Generate => tidegate_dialect::ollama::write_generate(answer, &reply, &mut self.out),
            _ => self.client.write_answer(answer, &reply, &mut self.out),
        }
    }

    fn note(&mut self, event: &Event) {
        if let Some(words) = &mut self.words {
            words.take(event);
        }
        match event {
            Event::Open { .. } => self.content = true,
            Event::Delta { text, .. } => {
                self.content = true;
                self.written += text.len() as u64;
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Finish { finish, .. } => {
                self.content = true;
                self.finish = Some(*finish);
            }
            Event::Error(error) => self.error = Some(error.clone()),
            Event::End => self.ended = true,
            _ => {}
        }
    }

    /// Takes a whole answer of status 200.
    pub fn whole(&mut self, body: Vec<u8>, content_type: &[u8]) -> Result<(), Fault> {
        self.content = true;
        self.ended = true;
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(&body);
        }
        if !self.surface.is_json() {
            self.out = body;
            return Ok(());
        }
        let json =
            content_type.windows(4).any(|part| part.eq_ignore_ascii_case(b"json")) || content_type.is_empty();
        if !json {
            return Err(Fault::syntax("The provider's answer is not JSON."));
        }
        if self.same && !self.wants_stream {
            // Half an answer, or a page: it passes as it is, so its ends are all that is looked at.
            let ends = (body.trim_ascii().first(), body.trim_ascii().last());
            if !matches!(ends, (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))) {
                return Err(Fault::syntax("The provider's answer is not JSON, or not whole."));
            }
            let facts = pass_through_usage(self.provider, &body);
            self.usage = facts.usage;
            self.finish = facts.finish;
            self.written = body.len() as u64 / 2;
            if let Some(words) = &mut self.words
                && let Ok(answer) = self.provider.parse_answer(&body)
            {
                words.answer(&answer);
            }
            self.out = body;
            return Ok(());
        }
        if self.surface == Surface::Embeddings {
            return self.embedded(&body);
        }
        let mut answer = self.provider.parse_answer(&body)?;
        if let Some(guard) = &mut self.guard
            && let Err(error) = guard.answer(&mut answer)
        {
            self.usage = answer.usage;
            self.error = Some(error);
            return Ok(());
        }
        self.answer(&answer);
        Ok(())
    }

    /// What the model said, where it is recorded.
    pub fn take_words(&mut self) -> Option<String> {
        self.words.take().map(|words| words.text)
    }

    /// The answer of a prompt's model.
    pub fn take_said(&mut self) -> Option<Answer> {
        self.said.take()
    }

    /// Takes vectors.
    pub fn vectors(&mut self, answer: EmbedAnswer) {
        self.content = true;
        self.ended = true;
        self.usage = answer.usage;
        if let Some((form, request)) = &self.embed {
            embeddings::write_answer(*form, &answer, request, &self.reply.reply(), &mut self.out);
        }
        self.answered = Some(answer);
    }

    /// The vectors that were taken.
    pub fn take_vectors(&mut self) -> Option<EmbedAnswer> {
        self.answered.take()
    }

    fn embedded(&mut self, body: &[u8]) -> Result<(), Fault> {
        let form = embed_form(self.provider);
        let answer = embeddings::parse_answer(form, body)?;
        self.vectors(answer);
        Ok(())
    }

    /// Reads a refusal. `kind` is Bedrock's field that names it.
    pub fn refusal(&self, status: u16, kind: Option<&[u8]>, body: &[u8]) -> ApiError {
        match (kind, body.strip_prefix(b"{")) {
            (Some(kind), Some(rest)) if self.provider == Dialect::Bedrock => {
                let mut told = b"{\"__type\":\"".to_vec();
                let name = kind.split(|byte| *byte == b':').next().unwrap_or_default();
                told.extend(name.iter().filter(|byte| byte.is_ascii_alphanumeric()));
                let rest = rest.trim_ascii_start();
                told.extend_from_slice(if rest.starts_with(b"}") { b"\"" } else { b"\"," });
                told.extend_from_slice(rest);
                self.provider.parse_error(status, &told)
            }
            _ => self.provider.parse_error(status, body),
        }
    }

    /// Takes a count of tokens of the gateway's own.
    pub fn count(&mut self, tokens: u64) {
        self.content = true;
        self.ended = true;
        match self.client {
            Dialect::Gemini => tidegate_dialect::gemini::write_count(tokens, None, &mut self.out),
            _ => tidegate_dialect::anthropic::write_count(tokens, &mut self.out),
        }
    }

    /// What came is no answer.
    pub fn nonsense(&self, fault: &Fault, request_id: &str) -> Lost {
        let text = format!("The provider's answer can't be read: {}", fault.message);
        let mut error = ApiError::new(502, ErrorKind::Server, text);
        error.code = Some("bad_answer".into());
        error.request_id = Some(request_id.to_owned());
        Lost {
            cause: LostCause::Other(FallbackCause::Down),
            error,
            reason: "bad_answer",
            retry_after_ms: None,
            stale: false,
        }
    }

    /// Tells the client, in the middle of its stream, that there will be no more.
    pub fn fail(&mut self, error: &ApiError) {
        if let Mode::Translate { writer, .. } = &mut self.mode {
            writer.write(&Event::Error(error.clone()), &mut self.out);
            return;
        }
        let mut writer = self.writer();
        writer.write(&Event::Error(error.clone()), &mut self.out);
    }

    /// The provider's error in its stream, once.
    pub fn take_error(&mut self) -> Option<ApiError> {
        self.error.take()
    }

    /// Whether the provider told an error in its stream, or a guard stopped it.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Whether a guard stopped it: that is told to the client, and nobody else is asked.
    pub fn is_guarded(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.code.as_deref() == Some("guard_blocked"))
    }

    /// Whether anything came that the client waits for.
    pub fn has_content(&self) -> bool {
        self.content
    }

    /// Whether the provider's stream passes as it is.
    pub fn is_passing(&self) -> bool {
        matches!(self.mode, Mode::Pass(_))
    }

    /// Whether a stream has begun to come, and goes on to the client as one.
    pub fn is_streaming(&self) -> bool {
        matches!(self.mode, Mode::Pass(_) | Mode::Translate { .. })
    }

    /// Whether the stream said that it is whole.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that were taken so far.
    pub fn held(&self) -> usize {
        self.fed
    }

    /// The media type that the client gets; `None`: the provider's own.
    pub fn content_type(&self) -> Option<&'static str> {
        if !self.surface.is_json() {
            return None;
        }
        Some(if self.wants_stream { self.client.stream_type() } else { "application/json" })
    }

    /// Whether the client gets a stream.
    pub fn streams(&self) -> bool {
        self.wants_stream
    }

    /// What was told of usage; where nothing was, an estimate from what passed.
    pub fn usage(&self, input_estimate: u64) -> Usage {
        let mut usage = self.usage;
        let mut written = self.written;
        if let Mode::Pass(passed) = &self.mode {
            usage.update(&passed.facts().usage);
            written = passed.text_bytes();
        }
        if usage.source == Source::Unknown && self.surface.makes_tokens() {
            usage.source = Source::Estimated;
            usage.input = Some(input_estimate);
            usage.output = Some(written / 4 + u64::from(!written.is_multiple_of(4)));
        } else if usage.source == Source::Reported && usage.output.is_none() && written > 0 {
            // A stream that broke off before it told: its output is known from what passed.
            usage.source = Source::Estimated;
            usage.output = Some(written.div_ceil(4));
        }
        usage
    }

    /// Why the model stopped.
    pub fn finished(&self) -> Option<Finish> {
        match &self.mode {
            Mode::Pass(passed) => passed.facts().finish,
            _ => self.finish,
        }
    }
}

/// Bytes of what the model wrote.
fn words_of(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } | Part::Thinking { text, .. } => text.len() as u64,
        Part::ToolCall { name, arguments, .. } => (name.len() + arguments.len()) as u64,
        _ => 0,
    }
}
