//! One call of an AI surface: what was asked, by whom, for which model, and what became of it.

use std::fmt::Write as _;

use tidegate_dialect::{
    ChatRequest, Dialect, Fault, Part, Surface,
    embeddings::{self, EmbedRequest, Form},
    estimate,
    scan::{Scan, scan},
    surface::Asked,
};
use tidegate_limit::Reservation;

use super::{
    affinity::Beginning,
    flight::Lead,
    guard::Guarding,
    prepare::{Named, PreparedAi},
    record::Facts,
};
use crate::{exchange::Exchange, worker::Worker};

/// A call.
#[derive(Debug)]
pub struct Call {
    /// 32 hexadecimal digits: names the call in the journal.
    pub id: String,
    /// The request's method.
    pub method: String,
    /// Which API.
    pub surface: Surface,
    /// The client's words.
    pub dialect: Dialect,
    /// The whole of what the path asked for.
    pub place: Asked,
    /// The path behind the route's prefix and the API's version, with its query: `/files/file-1`.
    pub rest_path: String,
    /// Index of the route.
    pub route: usize,
    /// Index of the key; `None` where none came and none is needed.
    pub key: Option<u32>,
    /// The model as the client named it; empty for surfaces without.
    pub asked: String,
    /// Index of the model.
    pub model: u32,
    /// Whether a model was found for it.
    pub is_settled: bool,
    /// What the `*` of its name stands for.
    pub star: String,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// Whether the client asked for usage in its stream.
    pub include_usage: bool,
    /// The body's members, for bodies that are JSON.
    pub scan: Option<Scan>,
    /// The body in the chat form, once it was needed.
    pub chat: Option<ChatRequest>,
    /// What is to become vectors, once it was needed.
    pub embed: Option<EmbedRequest>,
    /// The name and version of the prompt, where one is called: `summarize@2`.
    pub prompt: String,
    /// Tags of the key, and those that the client gave.
    pub tags: Vec<String>,
    /// The most output tokens that the client asked for.
    asked_output: Option<u64>,
    /// Estimated tokens of input.
    pub input_estimate: u64,
    /// Output tokens that are reserved.
    pub expected_output: u64,
    /// What budgets hold for it.
    pub reservation: Option<Reservation>,
    /// Nanoseconds since the engine started.
    pub started: u64,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// A guard changed the chat form: it is sent, not the client's own bytes.
    pub is_edited: bool,
    /// What looks at the answer.
    pub guarding: Option<Guarding>,
    /// The conversation's beginning, where it decides who serves.
    pub beginning: Beginning,
    /// What attempts cost whose answers nobody took, in picodollars.
    pub aside_usd: u64,
    /// Where its answer is kept, and for how long in milliseconds.
    pub keep: Option<(u128, u64)>,
    /// Others may join it.
    pub lead: Option<Lead>,
    /// What became of it.
    pub facts: Facts,
    /// What is recorded of the words themselves, where the configuration wants that.
    pub content: Option<Content>,
}

/// The words of a call, for its record.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// What was asked.
    pub prompt: String,
    /// What was answered.
    pub answer: String,
}

impl Content {
    /// The most of a prompt or an answer that is recorded, in bytes.
    pub const MOST: usize = 256 * 1024;

    /// What a call asks: the texts of its chat, or the body as it is.
    pub fn of(call: &mut Call, body: &[u8]) -> Self {
        let mut prompt = String::new();
        if call.surface.is_chat()
            && let Ok(chat) = call.chat(body)
        {
            for message in &chat.messages {
                let _ = write!(prompt, "{:?}: ", message.role);
                for part in &message.parts {
                    match part {
                        Part::Text { text, .. } => prompt.push_str(text),
                        Part::ToolCall { name, arguments, .. } => drop(write!(prompt, "{name}({arguments})")),
                        Part::ToolResult { parts, .. } => {
                            for part in parts {
                                if let Part::Text { text, .. } = part {
                                    prompt.push_str(text);
                                }
                            }
                        }
                        _ => prompt.push_str("[…]"),
                    }
                }
                prompt.push('\n');
            }
        } else {
            prompt.push_str(&String::from_utf8_lossy(&body[..body.len().min(Self::MOST)]));
        }
        Self { prompt, answer: String::new() }
    }

    /// Makes it ready to be written: bounded, and with personal data masked where that is wanted.
    pub fn finish(&mut self, redact: bool) {
        for text in [&mut self.prompt, &mut self.answer] {
            let mut end = text.len().min(Self::MOST);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            if redact {
                tidegate_guard::redact(text);
            }
        }
    }
}

impl Call {
    /// A call of which only the place is known.
    pub fn new(
        worker: &Worker,
        exchange: &Exchange,
        place: Asked,
        rest_path: String,
        key: Option<u32>,
    ) -> Self {
        let mut id = String::with_capacity(32);
        crate::memory::push_hex(fastrand::u64(..), &mut id);
        crate::memory::push_hex(fastrand::u64(..), &mut id);
        let head = &exchange.head;
        // Anthropic shares paths with OpenAI (`/v1/models`), and says who it is by a field.
        let anthropic = place.surface == Surface::Models && head.field(b"anthropic-version").is_some();
        let dialect = if anthropic { Dialect::Anthropic } else { place.dialect };
        let now_ms = crate::unix_milliseconds();
        let taken_ms = worker.now().saturating_sub(exchange.started) / 1_000_000;
        Self {
            id,
            method: String::from_utf8_lossy(head.slice(head.method_name)).into_owned(),
            surface: place.surface,
            dialect,
            stream: place.stream.unwrap_or(false),
            rest_path,
            route: exchange.route.map_or(usize::MAX, |route| route as usize),
            key,
            asked: place.model.clone().unwrap_or_default(),
            model: 0,
            is_settled: false,
            star: String::new(),
            include_usage: true,
            scan: None,
            chat: None,
            embed: None,
            prompt: String::new(),
            tags: Vec::new(),
            asked_output: None,
            input_estimate: 0,
            expected_output: 0,
            reservation: None,
            started: exchange.started,
            started_ms: now_ms.saturating_sub(taken_ms),
            is_edited: false,
            guarding: None,
            beginning: Beginning::default(),
            aside_usd: 0,
            keep: None,
            lead: None,
            facts: Facts::default(),
            content: None,
            place,
        }
    }

    /// Reads what the body says, as far as routing and limits need it.
    pub fn read(&mut self, body: &[u8]) -> Result<(), Fault> {
        if self.surface.has_form() && !body.starts_with(b"{") {
            self.asked = form_field(body, b"model").unwrap_or_default();
            self.input_estimate = body.len() as u64 / 1000;
            return Ok(());
        }
        if body.is_empty() && self.method != "POST" {
            return Ok(());
        }
        let scan = scan(body)?;
        if self.place.model.is_none() {
            self.asked = scan.model.clone().unwrap_or_default();
        }
        if self.place.stream.is_none() {
            // Ollama streams unless it is told not to.
            self.stream = scan.stream.unwrap_or(self.dialect == Dialect::Ollama && self.surface.is_chat());
        }
        self.include_usage = self.dialect != Dialect::OpenAi || scan.include_usage;
        self.asked_output = scan.max_output(body, self.dialect);
        self.input_estimate = estimate::input_of_scan(&scan);
        self.scan = Some(scan);
        Ok(())
    }

    /// The body in the chat form.
    pub fn chat(&mut self, body: &[u8]) -> Result<&mut ChatRequest, Fault> {
        if self.chat.is_none() {
            let model = self.place.model.as_deref();
            // Ollama's two surfaces are told apart by their bodies.
            self.chat = Some(self.dialect.parse_request(body, model, self.place.stream)?);
        }
        self.chat.as_mut().ok_or_else(|| Fault::missing("messages"))
    }

    /// The body as a request for vectors.
    pub fn embed(&mut self, body: &[u8]) -> Result<&EmbedRequest, Fault> {
        if self.embed.is_none() {
            let mut request = embeddings::parse_request(self.form(), body)?;
            if request.model.is_empty() {
                request.model.clone_from(&self.asked);
            }
            self.embed = Some(request);
        }
        self.embed.as_ref().ok_or_else(|| Fault::missing("input"))
    }

    /// The form of the client's request for vectors.
    pub fn form(&self) -> Form {
        self.place.embeddings.unwrap_or(Form::OpenAi)
    }

    /// Turns to a model.
    pub fn turn_to(&mut self, ai: &PreparedAi, named: Named<'_>) {
        self.model = named.model;
        self.is_settled = true;
        self.star.clear();
        self.star.push_str(named.star);
        let model = &ai.plan.models[named.model as usize];
        let asked = self.asked_output.unwrap_or(model.expected_output);
        self.expected_output = if model.max_output > 0 { asked.min(model.max_output) } else { asked };
        if !self.surface.makes_tokens() {
            self.expected_output = 0;
        }
    }

    /// The same call with nothing reserved and nothing known of its end, for what runs beside it.
    pub fn apart(&self) -> Self {
        Self {
            id: self.id.clone(),
            method: self.method.clone(),
            surface: self.surface,
            dialect: self.dialect,
            place: self.place.clone(),
            rest_path: self.rest_path.clone(),
            route: self.route,
            key: self.key,
            asked: self.asked.clone(),
            model: self.model,
            is_settled: self.is_settled,
            star: self.star.clone(),
            stream: self.stream,
            include_usage: self.include_usage,
            scan: self.scan.clone(),
            chat: self.chat.clone(),
            embed: self.embed.clone(),
            prompt: self.prompt.clone(),
            tags: self.tags.clone(),
            asked_output: self.asked_output,
            input_estimate: self.input_estimate,
            expected_output: self.expected_output,
            reservation: None,
            started: self.started,
            started_ms: self.started_ms,
            is_edited: self.is_edited,
            guarding: None,
            beginning: Beginning::default(),
            aside_usd: 0,
            keep: None,
            lead: None,
            facts: Facts::default(),
            content: None,
        }
    }
}

/// The value of a simple field of a `multipart/form-data` body (RFC 7578), looked for without taking the body apart.
fn form_field(body: &[u8], name: &[u8]) -> Option<String> {
    /// Simple fields stand near the beginning or the end; file contents between them may be large, and are skipped fast.
    const VALUE_MOST: usize = 256;
    let mut marker = b"name=\"".to_vec();
    marker.extend_from_slice(name);
    marker.push(b'"');
    let at = memchr::memmem::find(body, &marker)? + marker.len();
    let value = at + memchr::memmem::find(body.get(at..)?, b"\r\n\r\n")? + 4;
    let rest = body.get(value..)?;
    let rest = &rest[..rest.len().min(VALUE_MOST)];
    let end = memchr::memmem::find(rest, b"\r\n")?;
    std::str::from_utf8(&rest[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_a_form_is_found_behind_a_file() {
        let body =
            b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--x\r\n\
            Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x--\r\n";
        assert_eq!(form_field(body, b"model").as_deref(), Some("whisper-1"));
        assert_eq!(form_field(b"--x--", b"model"), None);
    }
}
