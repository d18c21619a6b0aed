//! Which of the APIs a path asks for, in whose words, and for which model where the path says it.

use crate::Dialect;
use crate::embeddings::Form;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// A conversation, whatever the dialect.
    Chat,
    /// OpenAI's older text completion, and Mistral's fill-in-the-middle.
    Completions,
    /// Vectors.
    Embeddings,
    /// OpenAI responses: a conversation, or what is kept of one.
    Responses,
    /// The models there are, or one of them.
    Models,
    /// Pictures made, edited, varied.
    Images,
    /// Text to sound.
    Speech,
    /// Sound to text.
    Transcription,
    /// Sound to English text.
    Translation,
    /// Whether a text is harmful.
    Moderations,
    /// Documents in order of relevance.
    Rerank,
    /// Files kept at the provider.
    Files,
    /// Many calls in one job.
    Batches,
    /// How many tokens a conversation has.
    CountTokens,
    /// A prompt as an API.
    Prompts,
    /// Ollama's text completion.
    Generate,
    /// What a model is (Ollama's `/api/show`; the model is in the body).
    Show,
    /// The server's version (Ollama's `/api/version`).
    Version,
    /// What there is, as an OpenAPI document.
    OpenApi,
}

impl Surface {
    /// As keys, records and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Models => "models",
            Self::Images => "images",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::Translation => "translation",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::Files => "files",
            Self::Batches => "batches",
            Self::CountTokens => "count_tokens",
            Self::Prompts => "prompts",
            Self::Generate => "generate",
            Self::Show => "show",
            Self::Version => "version",
            Self::OpenApi => "openapi",
        }
    }

    /// Whether it is a conversation, in whatever form.
    pub fn is_chat(self) -> bool {
        matches!(self, Self::Chat | Self::Responses | Self::Generate | Self::Prompts)
    }

    /// Whether tokens go in and come out.
    pub fn makes_tokens(self) -> bool {
        self.is_chat() || self == Self::Completions
    }

    /// Whether answers are JSON, and not sounds or whatever a file holds.
    pub fn is_json(self) -> bool {
        !matches!(self, Self::Speech | Self::Transcription | Self::Translation | Self::Files | Self::Batches)
    }

    /// Whether requests may be forms (`multipart/form-data`).
    pub fn has_form(self) -> bool {
        matches!(self, Self::Transcription | Self::Translation | Self::Files | Self::Images)
    }

    /// Whether requests need not name a model.
    pub fn is_modelless(self) -> bool {
        matches!(self, Self::Files | Self::Batches | Self::Moderations | Self::Responses | Self::Images)
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which API.
    pub surface: Surface,
    /// The client's words, also for errors. `/v1/models` and `/v1/files` are OpenAI's and Anthropic's alike: a request
    /// with `anthropic-version` is Anthropic's, which is the caller's to see.
    pub dialect: Dialect,
    /// The model, where the path says it (Gemini, Converse, Azure's deployments).
    pub model: Option<String>,
    /// The thing that the rest of the path names: a model to show, a prompt, a response, a file.
    pub item: Option<String>,
    /// Whether the answer is to be a stream, where the path says it (Gemini, Converse); else the body does.
    pub stream: Option<bool>,
    /// The form of the body, for embeddings.
    pub embeddings: Option<Form>,
}

/// Why a request is for no surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotServed {
    /// 404, or 405 where other methods are.
    pub status: u16,
    /// The value of `Allow` for a 405; else empty.
    pub allow: &'static str,
    /// In whose words to say so.
    pub dialect: Dialect,
}

/// Recognises a request by its method and its path behind the route's prefix (beginning with `/`, percent-encoded).
pub fn recognise(method: &[u8], path: &str) -> Result<Asked, NotServed> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let found = place(path);
    let Some((asked, methods)) = found else {
        return Err(NotServed { status: 404, allow: "", dialect: dialect_of(path) });
    };
    if methods.allow(method) {
        Ok(asked)
    } else {
        Err(NotServed { status: 405, allow: methods.as_str(), dialect: asked.dialect })
    }
}

/// Methods that a place takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Methods {
    Post,
    Get,
    GetDelete,
    GetPost,
    Any,
}

impl Methods {
    fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET, HEAD",
            Self::GetDelete => "GET, HEAD, DELETE",
            Self::GetPost => "GET, HEAD, POST",
            Self::Any => "GET, HEAD, POST, DELETE",
        }
    }

    fn allow(self, method: &[u8]) -> bool {
        match method {
            b"GET" | b"HEAD" => self != Self::Post,
            b"POST" => matches!(self, Self::Post | Self::GetPost | Self::Any),
            b"DELETE" => matches!(self, Self::GetDelete | Self::Any),
            _ => false,
        }
    }
}

type Place = Option<(Asked, Methods)>;

fn place(path: &str) -> Place {
    if let Some(rest) = path.strip_prefix("/api/") {
        return ollama(rest);
    }
    if let Some(rest) = path.strip_prefix("/model/") {
        return bedrock(rest);
    }
    if let Some(name) = path.strip_prefix("/prompts/") {
        return plain(name).and_then(|name| named(Surface::Prompts, name, Methods::Post));
    }
    if path == "/openapi.json" {
        return put(Surface::OpenApi, Dialect::OpenAi, Methods::Get);
    }
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        let (model, rest) = rest.split_once('/')?;
        let (mut asked, methods) = openai(rest)?;
        asked.model = Some(plain(model)?);
        return Some((asked, methods));
    }
    if let Some(rest) = path.strip_prefix("/v2/") {
        return cohere(rest);
    }
    for version in ["/v1beta1/", "/v1beta/", "/v1alpha/"] {
        if let Some(rest) = path.strip_prefix(version) {
            return match rest.strip_prefix("openai/") {
                Some(rest) => openai(rest),
                None => google(rest),
            };
        }
    }
    let rest = path.strip_prefix("/openai/").or_else(|| path.strip_prefix('/'))?;
    let rest = rest.strip_prefix("v1/").unwrap_or(rest);
    if rest.starts_with("projects/") || verb_of(rest).is_some() {
        return google(rest);
    }
    match rest.strip_prefix("messages") {
        Some(rest) => anthropic(rest),
        None => openai(rest),
    }
}

/// Behind `/v1/`, and in the same words at Azure and Mistral.
fn openai(rest: &str) -> Place {
    let (surface, methods) = match rest {
        "chat/completions" => (Surface::Chat, Methods::Post),
        "completions" | "fim/completions" => (Surface::Completions, Methods::Post),
        "embeddings" => {
            return embedding(Form::OpenAi, Dialect::OpenAi, None);
        }
        "responses" => (Surface::Responses, Methods::Post),
        "models" => (Surface::Models, Methods::Get),
        "images/generations" | "images/edits" | "images/variations" => (Surface::Images, Methods::Post),
        "audio/speech" => (Surface::Speech, Methods::Post),
        "audio/transcriptions" => (Surface::Transcription, Methods::Post),
        "audio/translations" => (Surface::Translation, Methods::Post),
        "moderations" => (Surface::Moderations, Methods::Post),
        "rerank" => return put(Surface::Rerank, Dialect::Cohere, Methods::Post),
        "files" => (Surface::Files, Methods::GetPost),
        "batches" => (Surface::Batches, Methods::GetPost),
        _ => {
            let (first, item) = rest.split_once('/')?;
            // What names may hold slashes (models), and what has places of its own behind the name.
            let (surface, methods) = match first {
                "models" => (Surface::Models, Methods::GetDelete),
                "responses" => (Surface::Responses, Methods::Any),
                "files" => (Surface::Files, Methods::Any),
                "batches" => (Surface::Batches, Methods::Any),
                _ => return None,
            };
            return named(surface, plain(item)?, methods);
        }
    };
    let dialect = if surface == Surface::Responses { Dialect::Responses } else { Dialect::OpenAi };
    put(surface, dialect, methods)
}

/// Behind `/v1/messages`.
fn anthropic(rest: &str) -> Place {
    match rest {
        "" => put(Surface::Chat, Dialect::Anthropic, Methods::Post),
        "/count_tokens" => put(Surface::CountTokens, Dialect::Anthropic, Methods::Post),
        "/batches" => put(Surface::Batches, Dialect::Anthropic, Methods::GetPost),
        _ => {
            let (mut asked, methods) =
                named(Surface::Batches, plain(rest.strip_prefix("/batches/")?)?, Methods::Any)?;
            asked.dialect = Dialect::Anthropic;
            Some((asked, methods))
        }
    }
}

/// The model and the verb of `…models/{model}:{verb}`, where it is one of Google's that are served.
fn verb_of(rest: &str) -> Option<(&str, &str)> {
    let (name, verb) = rest.rsplit_once(':')?;
    let known = matches!(
        verb,
        "generateContent" | "streamGenerateContent" | "countTokens" | "embedContent" | "batchEmbedContents"
    );
    let model = match name.strip_prefix("projects/") {
        Some(project) => project.split_once("/models/")?.1,
        None => name.strip_prefix("models/").or_else(|| name.strip_prefix("tunedModels/"))?,
    };
    (known && !model.is_empty()).then_some((model, verb))
}

/// Behind `/v1beta/`: the Gemini API and Vertex.
fn google(rest: &str) -> Place {
    if rest == "models" {
        return put(Surface::Models, Dialect::Gemini, Methods::Get);
    }
    let Some((model, verb)) = verb_of(rest) else {
        let (mut asked, methods) =
            named(Surface::Models, plain(rest.strip_prefix("models/")?)?, Methods::Get)?;
        asked.dialect = Dialect::Gemini;
        return Some((asked, methods));
    };
    let model = Some(plain(model)?);
    match verb {
        "embedContent" => embedding(Form::GeminiOne, Dialect::Gemini, model),
        "batchEmbedContents" => embedding(Form::GeminiMany, Dialect::Gemini, model),
        "countTokens" => {
            let (mut asked, methods) = put(Surface::CountTokens, Dialect::Gemini, Methods::Post)?;
            asked.model = model;
            Some((asked, methods))
        }
        _ => {
            let (mut asked, methods) = put(Surface::Chat, Dialect::Gemini, Methods::Post)?;
            asked.model = model;
            asked.stream = Some(verb == "streamGenerateContent");
            Some((asked, methods))
        }
    }
}

/// Behind `/model/`. An id may be an ARN with slashes, so the verb is what stands behind the last one.
fn bedrock(rest: &str) -> Place {
    let (model, verb) = rest.rsplit_once('/')?;
    let stream = match verb {
        "converse" => false,
        "converse-stream" => true,
        _ => return None,
    };
    let (mut asked, methods) = put(Surface::Chat, Dialect::Bedrock, Methods::Post)?;
    asked.model = Some(plain(model)?);
    asked.stream = Some(stream);
    Some((asked, methods))
}

/// Behind `/v2/`.
fn cohere(rest: &str) -> Place {
    match rest {
        "chat" => put(Surface::Chat, Dialect::Cohere, Methods::Post),
        "embed" => embedding(Form::Cohere, Dialect::Cohere, None),
        "rerank" => put(Surface::Rerank, Dialect::Cohere, Methods::Post),
        _ => None,
    }
}

/// Behind `/api/`.
fn ollama(rest: &str) -> Place {
    let (surface, methods) = match rest {
        "chat" => (Surface::Chat, Methods::Post),
        "generate" => (Surface::Generate, Methods::Post),
        "embed" => return embedding(Form::Ollama, Dialect::Ollama, None),
        "embeddings" => return embedding(Form::OllamaOne, Dialect::Ollama, None),
        "tags" => (Surface::Models, Methods::Get),
        "show" => (Surface::Show, Methods::Post),
        "version" => (Surface::Version, Methods::Get),
        _ => return None,
    };
    put(surface, Dialect::Ollama, methods)
}

fn put(surface: Surface, dialect: Dialect, methods: Methods) -> Place {
    Some((Asked { surface, dialect, model: None, item: None, stream: None, embeddings: None }, methods))
}

fn named(surface: Surface, item: String, methods: Methods) -> Place {
    let dialect = if surface == Surface::Responses { Dialect::Responses } else { Dialect::OpenAi };
    let (mut asked, methods) = put(surface, dialect, methods)?;
    asked.item = Some(item);
    Some((asked, methods))
}

fn embedding(form: Form, dialect: Dialect, model: Option<String>) -> Place {
    let (mut asked, methods) = put(Surface::Embeddings, dialect, Methods::Post)?;
    asked.model = model;
    asked.embeddings = Some(form);
    Some((asked, methods))
}

/// In whose words a path that is not served was most likely asked.
fn dialect_of(path: &str) -> Dialect {
    let begins = |start: &str| path.starts_with(start);
    if begins("/v1beta") || begins("/v1alpha") || begins("/v1/projects/") {
        Dialect::Gemini
    } else if begins("/v1/messages") {
        Dialect::Anthropic
    } else if begins("/api/") {
        Dialect::Ollama
    } else if begins("/model/") {
        Dialect::Bedrock
    } else if begins("/v2/") {
        Dialect::Cohere
    } else {
        Dialect::OpenAi
    }
}

/// A name out of a path: percent-decoded, UTF-8, not empty, no control characters.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        });
    }
    let name = String::from_utf8(bytes).ok()?;
    (!name.is_empty() && !name.chars().any(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str) -> Asked {
        recognise(method.as_bytes(), path).unwrap_or_else(|no| panic!("{path}: {no:?}"))
    }

    fn short(method: &str, path: &str) -> (Surface, Dialect) {
        let asked = asked(method, path);
        (asked.surface, asked.dialect)
    }

    #[test]
    fn paths_of_all_dialects_are_recognised() {
        use Dialect::{Anthropic, Cohere, Gemini, Ollama, OpenAi};
        use Surface::*;
        let rows = [
            ("POST", "/v1/chat/completions", Chat, OpenAi),
            ("POST", "/chat/completions", Chat, OpenAi),
            ("POST", "/openai/v1/chat/completions", Chat, OpenAi),
            ("POST", "/v1beta/openai/chat/completions", Chat, OpenAi),
            ("POST", "/v1/completions", Completions, OpenAi),
            ("POST", "/v1/embeddings/", Embeddings, OpenAi),
            ("POST", "/v1/responses", Responses, Dialect::Responses),
            ("GET", "/v1/responses/resp_1", Responses, Dialect::Responses),
            ("POST", "/v1/responses/resp_1/cancel", Responses, Dialect::Responses),
            ("GET", "/v1/models", Models, OpenAi),
            ("GET", "/v1/models/meta-llama/Llama-3", Models, OpenAi),
            ("GET", "/v1/models/ft:gpt-4o-mini:acme::abc", Models, OpenAi),
            ("POST", "/v1/images/generations", Images, OpenAi),
            ("POST", "/v1/audio/speech", Speech, OpenAi),
            ("POST", "/v1/audio/transcriptions", Transcription, OpenAi),
            ("POST", "/v1/audio/translations", Translation, OpenAi),
            ("POST", "/v1/moderations", Moderations, OpenAi),
            ("POST", "/v1/rerank", Rerank, Cohere),
            ("POST", "/v2/rerank", Rerank, Cohere),
            ("GET", "/v1/files/file-1/content", Files, OpenAi),
            ("POST", "/v1/batches", Batches, OpenAi),
            ("POST", "/v1/messages", Chat, Anthropic),
            ("POST", "/v1/messages/count_tokens", CountTokens, Anthropic),
            ("GET", "/v1/messages/batches/b1/results", Batches, Anthropic),
            ("GET", "/v1beta/models", Models, Gemini),
            ("GET", "/v1beta/models/gemini-2.0-flash", Models, Gemini),
            ("POST", "/v2/chat", Chat, Cohere),
            ("POST", "/v2/embed", Embeddings, Cohere),
            ("POST", "/api/chat", Chat, Ollama),
            ("POST", "/api/generate", Generate, Ollama),
            ("POST", "/api/embed", Embeddings, Ollama),
            ("GET", "/api/tags", Models, Ollama),
            ("GET", "/api/version", Version, Ollama),
            ("POST", "/api/show", Show, Ollama),
            ("GET", "/openapi.json", OpenApi, OpenAi),
        ];
        for (method, path, surface, dialect) in rows {
            assert_eq!(short(method, path), (surface, dialect), "{path}");
        }
    }

    #[test]
    fn the_path_tells_model_and_stream_where_it_does() {
        for version in ["/v1beta", "/v1", "/v1beta1", ""] {
            let chat = asked("POST", &format!("{version}/models/gemini-2.0-flash:generateContent"));
            assert_eq!(chat.dialect, Dialect::Gemini);
            assert_eq!((chat.model.as_deref(), chat.stream), (Some("gemini-2.0-flash"), Some(false)));
        }
        let stream = asked("POST", "/v1beta/models/org%2Fname:streamGenerateContent?alt=sse");
        assert_eq!((stream.model.as_deref(), stream.stream), (Some("org/name"), Some(true)));
        let vertex = asked(
            "POST",
            "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.0-flash:generateContent",
        );
        assert_eq!(vertex.model.as_deref(), Some("gemini-2.0-flash"));
        let azure = asked("POST", "/openai/deployments/my%20gpt/chat/completions");
        assert_eq!(azure.model.as_deref(), Some("my gpt"));
        let converse = asked("POST", "/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse");
        assert_eq!(converse.model.as_deref(), Some("anthropic.claude-3-5-sonnet-20241022-v2:0"));
        let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y-v1:0";
        assert_eq!(asked("POST", &format!("/model/{arn}/converse-stream")).model.as_deref(), Some(arn));
        let many = asked("POST", "/v1beta/models/e:batchEmbedContents");
        assert_eq!((many.surface, many.embeddings), (Surface::Embeddings, Some(Form::GeminiMany)));
        assert_eq!(asked("POST", "/v1beta/models/e:countTokens").surface, Surface::CountTokens);
        assert_eq!(asked("POST", "/prompts/summarize").item.as_deref(), Some("summarize"));
        assert_eq!(asked("GET", "/v1/models/a/b").item.as_deref(), Some("a/b"));
    }

    #[test]
    fn what_is_not_served_says_so_in_the_likely_dialect() {
        let no = |method: &str, path: &str| recognise(method.as_bytes(), path).unwrap_err();
        assert_eq!(
            no("GET", "/v1/chat/completions"),
            NotServed { status: 405, allow: "POST", dialect: Dialect::OpenAi }
        );
        assert_eq!(no("GET", "/v1/models/x:generateContent").status, 405);
        assert_eq!(no("POST", "/api/pull").dialect, Dialect::Ollama);
        assert_eq!(no("POST", "/v1beta/nothing").dialect, Dialect::Gemini);
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v1/chat",
            "/v1/models/%",
            "/v1/models/%zz",
            "/model//converse",
            "/v1/models/%00",
            "/é",
        ] {
            assert_eq!(no("POST", path).status, 404, "{path}");
        }
    }
}
