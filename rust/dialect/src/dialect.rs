//! The dialects by name, and the way from a name to its module.

use std::collections::HashMap;

use crate::{
    Answer, ApiError, ChatRequest, Event, Fault, Part, Reply, Target, Written, anthropic, bedrock, cohere,
    gemini, mistral, ollama, openai, responses,
};

/// Whose words. Azure speaks OpenAI's and Vertex Gemini's, at other addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions, and all who are compatible.
    OpenAi,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// Bedrock Converse.
    Bedrock,
    /// Cohere v2 chat.
    Cohere,
    /// Mistral chat completions.
    Mistral,
    /// Ollama's own chat.
    Ollama,
}

macro_rules! choose {
    ($dialect:expr, $function:ident ( $($argument:expr),* )) => {
        match $dialect {
            Dialect::OpenAi => openai::$function($($argument),*),
            Dialect::Responses => responses::$function($($argument),*),
            Dialect::Anthropic => anthropic::$function($($argument),*),
            Dialect::Gemini => gemini::$function($($argument),*),
            Dialect::Bedrock => bedrock::$function($($argument),*),
            Dialect::Cohere => cohere::$function($($argument),*),
            Dialect::Mistral => mistral::$function($($argument),*),
            Dialect::Ollama => ollama::$function($($argument),*),
        }
    };
}

impl Dialect {
    /// Reads a client's request. `model` and `stream` are what the path says (Gemini, Converse); else the body's hold.
    pub fn parse_request(
        self,
        body: &[u8],
        model: Option<&str>,
        stream: Option<bool>,
    ) -> Result<ChatRequest, Fault> {
        let mut request = choose!(self, parse_request(body))?;
        name_results(&mut request);
        request.dialect = Some(self);
        if let Some(model) = model {
            request.model.clear();
            request.model.push_str(model);
        }
        if let Some(stream) = stream {
            request.stream = stream;
        }
        Ok(request)
    }

    /// Appends the request's body for a provider.
    pub fn write_request(
        self,
        request: &ChatRequest,
        target: &Target<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Written, Fault> {
        if self != Self::Responses
            && let Some(field) = responses::stateful_field(request)
        {
            return Err(Fault::stateful(field));
        }
        // (Responses may build on what the provider keeps, and say nothing more.)
        if request.messages.is_empty() && self != Self::Responses {
            return Err(Fault::missing("messages"));
        }
        let mut left_out = Written::default();
        let request = crate::reach::reachable(request, self, target, &mut left_out)?;
        let request = request.as_ref();
        let mut written = choose!(self, write_request(request, target, out))?;
        written.dropped.splice(..0, left_out.dropped);
        Ok(written)
    }

    /// Reads a provider's answer (one with status 200).
    pub fn parse_answer(self, body: &[u8]) -> Result<Answer, Fault> {
        choose!(self, parse_answer(body))
    }

    /// Appends the answer's body for a client.
    pub fn write_answer(self, answer: &Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
        choose!(self, write_answer(answer, reply, out))
    }

    /// Reads a provider's refusal; never fails: what can't be read becomes an error of the kind that the status says.
    pub fn parse_error(self, status: u16, body: &[u8]) -> ApiError {
        choose!(self, parse_error(status, body))
    }

    /// Appends the body that tells a client of an error.
    pub fn write_error(self, error: &ApiError, out: &mut Vec<u8>) {
        choose!(self, write_error(error, out))
    }

    /// As records and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Mistral => "mistral",
            Self::Ollama => "ollama",
        }
    }

    /// The media type of a streamed answer.
    pub fn stream_type(self) -> &'static str {
        match self {
            Self::Bedrock => "application/vnd.amazon.eventstream",
            Self::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        }
    }
}

/// Tells results the name of the tool, by the ids of calls before them: half of the dialects say it, the other half want it.
fn name_results(request: &mut ChatRequest) {
    let nameless = |part: &Part| matches!(part, Part::ToolResult { name: None, .. });
    if !request.messages.iter().flat_map(|message| &message.parts).any(nameless) {
        return;
    }
    let mut names: HashMap<String, String> = HashMap::new();
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        match part {
            Part::ToolCall { id, name, .. } => _ = names.insert(id.clone(), name.clone()),
            Part::ToolResult { id, name: name @ None, .. } => *name = names.get(id).cloned(),
            _ => {}
        }
    }
}

macro_rules! each {
    ($name:ident, $inner:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug)]
        #[allow(missing_docs, clippy::large_enum_variant)] // one a stream; boxing would cost more than it saves
        pub enum $name {
            OpenAi(openai::$inner),
            Responses(responses::$inner),
            Anthropic(anthropic::$inner),
            Gemini(gemini::$inner),
            Bedrock(bedrock::$inner),
            Cohere(cohere::$inner),
            Mistral(mistral::$inner),
            Ollama(ollama::$inner),
        }
    };
}

each!(EventReader, Reader, "Turns a provider's stream into events.");
each!(EventWriter, Writer, "Turns events into the stream that a client reads.");

macro_rules! on {
    ($value:expr, $type:ident, $inner:ident => $call:expr) => {
        match $value {
            $type::OpenAi($inner) => $call,
            $type::Responses($inner) => $call,
            $type::Anthropic($inner) => $call,
            $type::Gemini($inner) => $call,
            $type::Bedrock($inner) => $call,
            $type::Cohere($inner) => $call,
            $type::Mistral($inner) => $call,
            $type::Ollama($inner) => $call,
        }
    };
}

impl EventReader {
    /// For a stream of that dialect.
    pub fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi => Self::OpenAi(openai::Reader::new()),
            Dialect::Responses => Self::Responses(responses::Reader::new()),
            Dialect::Anthropic => Self::Anthropic(anthropic::Reader::new()),
            Dialect::Gemini => Self::Gemini(gemini::Reader::new()),
            Dialect::Bedrock => Self::Bedrock(bedrock::Reader::new()),
            Dialect::Cohere => Self::Cohere(cohere::Reader::new()),
            Dialect::Mistral => Self::Mistral(mistral::Reader::new()),
            Dialect::Ollama => Self::Ollama(ollama::Reader::new()),
        }
    }

    /// Takes the next bytes, cut anywhere, and appends what they say. A fault means that the stream is none.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        on!(self, EventReader, reader => reader.feed(bytes, events))
    }

    /// The provider's connection ended. Appends what is still to be said; a fault where the stream was not whole.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        on!(self, EventReader, reader => reader.finish(events))
    }
}

impl EventWriter {
    /// For a client of that dialect.
    pub fn new(dialect: Dialect, reply: &Reply<'_>) -> Self {
        match dialect {
            Dialect::OpenAi => Self::OpenAi(openai::Writer::new(reply)),
            Dialect::Responses => Self::Responses(responses::Writer::new(reply)),
            Dialect::Anthropic => Self::Anthropic(anthropic::Writer::new(reply)),
            Dialect::Gemini => Self::Gemini(gemini::Writer::new(reply)),
            Dialect::Bedrock => Self::Bedrock(bedrock::Writer::new(reply)),
            Dialect::Cohere => Self::Cohere(cohere::Writer::new(reply)),
            Dialect::Mistral => Self::Mistral(mistral::Writer::new(reply)),
            Dialect::Ollama => Self::Ollama(ollama::Writer::new(reply)),
        }
    }

    /// Appends what the event is in the client's words; nothing for what the dialect does not tell.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        on!(self, EventWriter, writer => writer.write(event, out))
    }
}
