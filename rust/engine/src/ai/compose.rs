//! What a provider is sent: address, credential, fields, body.

use std::{borrow::Cow, fmt::Write as _};

use tidegate_dialect::{
    ChatRequest, Dialect, Fault, Surface, Target, embeddings::Form, scan::Scan, sigv4, splice::Edits,
};
use tidegate_message::Known;
use tidegate_plan::{CredentialScheme, Model, Provider, ProviderDialect};

use super::call::Call;
use crate::{
    answer::{push_field, push_number_field},
    exchange::Exchange,
    loop_guard::LoopGuard,
};

/// Fields of a client that a provider of the same dialect gets: they change what the answer is.
const PASSED: [&[u8]; 6] = [
    b"anthropic-version",
    b"anthropic-beta",
    b"openai-beta",
    b"x-goog-user-project",
    b"http-referer",
    b"x-title",
];

/// A request for a provider.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Who is asked.
    pub provider: &'a Provider,
    /// Index of the credential.
    pub credential: usize,
    /// The provider's name of the model.
    pub model: &'a str,
    /// What is asked for.
    pub surface: Surface,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// The client's own words go on as they are.
    pub same: bool,
    /// The Host field.
    pub authority: &'a str,
    /// The media type of the body.
    pub content_type: &'a str,
    /// Bears this gateway's name, where that is wanted.
    pub loop_guard: Option<&'a LoopGuard>,
}

/// Appends the head and the body.
pub fn request(wanted: &Wanted<'_>, call: &Call, exchange: &Exchange, body: &[u8], out: &mut Vec<u8>) {
    let provider = wanted.provider;
    let mut target = String::with_capacity(128);
    push_path(wanted, &call.rest_path, &mut target);
    let credential = &provider.credentials[wanted.credential].scheme;
    let method = call.method.as_str();
    if let CredentialScheme::Query { name, value } = credential {
        let sign = if target.contains('?') { '&' } else { '?' };
        let _ = write!(target, "{sign}{name}={}", value.expose());
    }
    for part in [method, " ", &target, " HTTP/1.1\r\nHost: ", wanted.authority, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let has_body = method != "GET" && method != "DELETE" || !body.is_empty();
    if has_body {
        push_field(out, b"Content-Type", wanted.content_type.as_bytes());
        push_number_field(out, b"Content-Length", body.len() as u64);
    }
    let accept = match (wanted.stream, provider.dialect) {
        (true, ProviderDialect::Bedrock) => "application/vnd.amazon.eventstream",
        (true, ProviderDialect::Ollama) => "application/x-ndjson",
        (true, _) => "text/event-stream",
        (false, _) if wanted.surface.is_json() => "application/json",
        (false, _) => "*/*",
    };
    push_field(out, b"Accept", accept.as_bytes());
    // Answers are read on their way; a compressed one could not be.
    push_field(out, b"Accept-Encoding", b"identity");
    push_field(out, b"User-Agent", b"tidegate");
    let head = &exchange.head;
    if wanted.same {
        for name in PASSED {
            let own = provider.headers.iter().any(|(field, _)| field.as_bytes().eq_ignore_ascii_case(name));
            if let Some(value) = head.field(name)
                && (!own || name == b"anthropic-version")
            {
                push_field(out, name, value);
            }
        }
    }
    for (name, value) in &provider.headers {
        let passed = wanted.same
            && name.eq_ignore_ascii_case("anthropic-version")
            && head.field(name.as_bytes()).is_some();
        if !passed {
            push_field(out, name.as_bytes(), value.as_bytes());
        }
    }
    for value in head.all(Known::CdnLoop) {
        push_field(out, b"CDN-Loop", value);
    }
    if let Some(guard) = wanted.loop_guard {
        guard.write(head.version, out);
    }
    let traceparent = head.known(Known::Traceparent).unwrap_or(exchange.traceparent.as_bytes());
    if !traceparent.is_empty() {
        push_field(out, b"traceparent", traceparent);
    }
    if !exchange.request_id().is_empty() {
        push_field(out, b"X-Request-Id", exchange.request_id().as_bytes());
    }
    match credential {
        CredentialScheme::None | CredentialScheme::Query { .. } => {}
        CredentialScheme::Client => {
            for name in [&b"authorization"[..], b"x-api-key", b"x-goog-api-key", b"api-key"] {
                if let Some(value) = head.field(name) {
                    push_field(out, name, value);
                }
            }
        }
        CredentialScheme::Header { name, value } => {
            push_field(out, name.as_bytes(), value.expose().as_bytes())
        }
        CredentialScheme::Aws { access_key, secret_key, session_token } => {
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let now = crate::unix_milliseconds() / 1000;
            let credentials = sigv4::Credentials {
                access_key,
                secret_key: secret_key.expose(),
                session_token: session_token.expose(),
            };
            let fields = [("host", wanted.authority), ("content-type", wanted.content_type)];
            let signable = sigv4::Signable {
                method,
                path,
                query,
                fields: if has_body { &fields } else { &fields[..1] },
                body,
            };
            let scope = sigv4::Scope { region: &provider.region, service: "bedrock", now };
            let signed = sigv4::sign(&signable, &credentials, &scope);
            push_field(out, b"Authorization", signed.authorization.as_bytes());
            push_field(out, b"X-Amz-Date", signed.date.as_bytes());
            if let Some(token) = &signed.security_token {
                push_field(out, b"X-Amz-Security-Token", token.as_bytes());
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// The path and query at the provider.
fn push_path(wanted: &Wanted<'_>, rest: &str, out: &mut String) {
    let Wanted { provider, model, surface, stream, .. } = wanted;
    out.push_str(&provider.base_path);
    if let Some((_, path)) = provider.paths.iter().find(|(name, _)| name == surface.as_str()) {
        out.push_str(&path.replace("{model}", &encoded(model)));
        return;
    }
    let verb = match (surface, stream) {
        (Surface::CountTokens, _) => "countTokens",
        (Surface::Embeddings, _) => "batchEmbedContents",
        (_, true) => "streamGenerateContent?alt=sse",
        (_, false) => "generateContent",
    };
    let chat = matches!(surface, Surface::Chat | Surface::Generate | Surface::Responses | Surface::Prompts);
    match provider.dialect {
        ProviderDialect::Openai | ProviderDialect::Mistral if chat => {
            if provider.dialect == ProviderDialect::Mistral && provider.base_path.is_empty() {
                out.push_str("/v1");
            }
            out.push_str("/chat/completions");
        }
        ProviderDialect::Responses if chat => out.push_str("/responses"),
        ProviderDialect::Openai
        | ProviderDialect::Responses
        | ProviderDialect::Mistral
        | ProviderDialect::Echo => {
            if provider.dialect == ProviderDialect::Mistral && provider.base_path.is_empty() {
                out.push_str("/v1");
            }
            out.push_str(open_ai_path(*surface, rest));
        }
        ProviderDialect::Azure => {
            let rest = if chat { "/chat/completions" } else { open_ai_path(*surface, rest) };
            if provider.api_version.is_empty() {
                let _ = write!(out, "/openai/v1{rest}");
            } else {
                let _ = write!(
                    out,
                    "/openai/deployments/{}{rest}?api-version={}",
                    encoded(model),
                    provider.api_version
                );
            }
        }
        ProviderDialect::Anthropic if *surface == Surface::CountTokens => {
            out.push_str("/v1/messages/count_tokens")
        }
        ProviderDialect::Anthropic if *surface == Surface::Batches => {
            let _ = write!(out, "/v1{rest}");
        }
        ProviderDialect::Anthropic => out.push_str("/v1/messages"),
        ProviderDialect::Gemini => {
            let _ = write!(out, "/v1beta/models/{}:{verb}", encoded(model));
        }
        ProviderDialect::Vertex => {
            let Provider { project, region, .. } = provider;
            let _ = write!(
                out,
                "/v1/projects/{project}/locations/{region}/publishers/google/models/{}:{verb}",
                encoded(model)
            );
        }
        ProviderDialect::Bedrock => {
            let verb = if *stream { "converse-stream" } else { "converse" };
            let _ = write!(out, "/model/{}/{verb}", encoded(model));
        }
        ProviderDialect::Cohere => out.push_str(match surface {
            Surface::Embeddings => "/v2/embed",
            Surface::Rerank => "/v2/rerank",
            _ => "/v2/chat",
        }),
        ProviderDialect::Ollama => out.push_str(match surface {
            Surface::Embeddings => "/api/embed",
            Surface::Show => "/api/show",
            _ => "/api/chat",
        }),
    }
}

/// The path behind an OpenAI base: the surface's own, or for those with many the client's behind its version.
fn open_ai_path(surface: Surface, rest: &str) -> &str {
    match surface {
        Surface::Completions => "/completions",
        Surface::Embeddings => "/embeddings",
        Surface::Moderations => "/moderations",
        Surface::Rerank => "/rerank",
        Surface::Speech => "/audio/speech",
        Surface::Transcription => "/audio/transcriptions",
        Surface::Translation => "/audio/translations",
        _ => rest,
    }
}

/// Percent-encoded as one segment of a path (RFC 3986 §3.3), with `:` too, as Bedrock's signatures have it.
fn encoded(model: &str) -> std::borrow::Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if model.bytes().all(plain) {
        return model.into();
    }
    let mut out = String::with_capacity(model.len() + 8);
    for byte in model.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out.into()
}

/// Whether a provider takes a call in the client's own words.
pub fn is_same(client: Dialect, surface: Surface, provider: ProviderDialect) -> bool {
    let chat = super::prepare::chat_dialect(provider);
    match surface {
        Surface::Chat | Surface::Responses | Surface::CountTokens => client == chat,
        Surface::Generate | Surface::Prompts => false,
        Surface::Embeddings => {
            matches!(
                (client, chat),
                (Dialect::OpenAi, Dialect::OpenAi | Dialect::Responses)
                    | (Dialect::Mistral, Dialect::Mistral)
            )
        }
        // Cohere's words for it are everybody's.
        Surface::Rerank => matches!(chat, Dialect::Cohere | Dialect::OpenAi),
        // OpenAI's other surfaces are spoken by all who are compatible.
        _ => {
            client == chat
                || (client == Dialect::OpenAi && matches!(chat, Dialect::Responses | Dialect::Mistral))
        }
    }
}

/// Whether a surface is put into another dialect's words.
fn is_translated(surface: Surface, provider: Dialect) -> bool {
    match surface {
        // Who makes vectors at all.
        Surface::Embeddings => !matches!(provider, Dialect::Anthropic | Dialect::Bedrock),
        _ => surface.is_chat(),
    }
}

/// The body for a target: the client's own with what has to be another edited, or written anew in the provider's words.
pub fn body<'b>(
    call: &Call,
    body: &'b [u8],
    name: &str,
    model: &Model,
    provider: &Provider,
    same: bool,
) -> Result<Cow<'b, [u8]>, Fault> {
    let chat = super::prepare::chat_dialect(provider.dialect);
    if same && call.surface.has_form() && call.scan.is_none() {
        return Ok(with_form_model(body, &call.asked, name));
    }
    if same && !call.is_edited {
        let Some(scan) = &call.scan else { return Ok(body.into()) };
        return splice(call, body, scan, name, model, provider, chat);
    }
    if !same && !is_translated(call.surface, chat) {
        return Err(Fault::unsupported(call.surface.as_str()));
    }
    if call.surface == Surface::Embeddings {
        let Some(request) = &call.embed else { return Err(Fault::missing("input")) };
        let target = target(call, name, model);
        let mut out = Vec::with_capacity(body.len() + 256);
        tidegate_dialect::embeddings::write_request(embed_form(chat), request, &target, &mut out)?;
        return Ok(out.into());
    }
    if !call.surface.is_chat() && call.surface != Surface::CountTokens {
        return Err(Fault::unsupported(call.surface.as_str()));
    }
    let Some(request) = &call.chat else { return Err(Fault::unsupported("messages")) };
    let target = target(call, name, model);
    let mut out = Vec::with_capacity(body.len() + 512);
    let capped = (model.max_output > 0 && request.max_tokens.is_none_or(|asked| asked > model.max_output))
        .then(|| ChatRequest { max_tokens: Some(model.max_output), ..request.clone() });
    chat.write_request(capped.as_ref().unwrap_or(request), &target, &mut out)?;
    if chat == Dialect::OpenAi {
        let scan = tidegate_dialect::scan::scan(&out)?;
        let mut edits = Edits::new(&out, &scan);
        unsupported(&mut edits, &scan, &out, provider, model)?;
        if call.stream {
            edits.ask_for_usage()?;
        }
        let mut edited = Vec::with_capacity(out.len() + 64);
        edits.write(&mut edited);
        return Ok(edited.into());
    }
    Ok(out.into())
}

fn target<'a>(call: &Call, name: &'a str, model: &Model) -> Target<'a> {
    Target {
        model: name,
        stream: call.stream,
        max_tokens: model.expected_output.max(1),
        drop_unsupported: model.drop_unsupported,
    }
}

/// The form in which a provider takes requests for vectors.
pub fn embed_form(provider: Dialect) -> Form {
    match provider {
        Dialect::Gemini => Form::GeminiMany,
        Dialect::Cohere => Form::Cohere,
        Dialect::Ollama => Form::Ollama,
        Dialect::Mistral => Form::Mistral,
        _ => Form::OpenAi,
    }
}

fn splice<'b>(
    call: &Call,
    body: &'b [u8],
    scan: &Scan,
    name: &str,
    model: &Model,
    provider: &Provider,
    chat: Dialect,
) -> Result<Cow<'b, [u8]>, Fault> {
    let mut edits = Edits::new(body, scan);
    // Gemini and Converse name the model in the path; a deployment of Azure's too, and does not mind it in the body.
    if !matches!(chat, Dialect::Gemini | Dialect::Bedrock) {
        edits.set_model(name);
    }
    if call.stream && chat == Dialect::OpenAi && call.surface.makes_tokens() && !scan.include_usage {
        edits.ask_for_usage()?;
    }
    if model.max_output > 0 && call.surface.makes_tokens() {
        edits.cap_output(chat, model.max_output)?;
    }
    unsupported(&mut edits, scan, body, provider, model)?;
    if edits.is_empty() {
        return Ok(body.into());
    }
    let mut out = Vec::with_capacity(body.len() + 128);
    edits.write(&mut out);
    Ok(out.into())
}

/// Fields that this provider can't take, by its configuration.
fn unsupported(
    edits: &mut Edits<'_>,
    scan: &Scan,
    body: &[u8],
    provider: &Provider,
    model: &Model,
) -> Result<(), Fault> {
    for field in &provider.unsupported {
        if scan.find(body, field).is_some() {
            if !model.drop_unsupported {
                return Err(Fault::unsupported(field.as_str()));
            }
            edits.remove(field);
        }
    }
    Ok(())
}

/// A form with another model named in it.
fn with_form_model<'b>(body: &'b [u8], asked: &str, name: &str) -> Cow<'b, [u8]> {
    let marker = b"name=\"model\"";
    let Some(at) = memchr::memmem::find(body, marker) else { return body.into() };
    let value = [b"\r\n\r\n", asked.as_bytes(), b"\r\n"].concat();
    match memchr::memmem::find(&body[at..], &value) {
        Some(offset) if asked != name => {
            let start = at + offset + 4;
            [&body[..start], name.as_bytes(), &body[start + asked.len()..]].concat().into()
        }
        _ => body.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(dialect: &str, base_path: &str, api_version: &str) -> Provider {
        serde_json::from_value(json!({
            "name": "p", "dialect": dialect, "upstream": 0, "base_path": base_path,
            "credentials": [{"name": "key", "weight": 1, "scheme": {"kind": "none"}}],
            "headers": [], "paths": [["rerank", "/rank/{model}"]], "unsupported": [], "region": "us-east-1",
            "project": "proj", "api_version": api_version, "load": null, "connect_ms": 1000
        }))
        .expect("the plan's own shape")
    }

    fn path(provider: &Provider, surface: Surface, model: &str, stream: bool) -> String {
        let wanted = Wanted {
            provider,
            credential: 0,
            model,
            surface,
            stream,
            same: false,
            authority: "host",
            content_type: "application/json",
            loop_guard: None,
        };
        let mut out = String::new();
        push_path(&wanted, "/files/f-1?limit=2", &mut out);
        out
    }

    #[test]
    fn every_dialect_is_asked_at_its_own_address() {
        let cases = [
            ("openai", "/v1", "", "/v1/chat/completions", "/v1/chat/completions"),
            ("responses", "/v1", "", "/v1/responses", "/v1/responses"),
            ("mistral", "", "", "/v1/chat/completions", "/v1/chat/completions"),
            ("azure", "", "", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
            ("anthropic", "", "", "/v1/messages", "/v1/messages"),
            (
                "gemini",
                "",
                "",
                "/v1beta/models/m:generateContent",
                "/v1beta/models/m:streamGenerateContent?alt=sse",
            ),
            ("bedrock", "", "", "/model/m/converse", "/model/m/converse-stream"),
            ("cohere", "", "", "/v2/chat", "/v2/chat"),
            ("ollama", "", "", "/api/chat", "/api/chat"),
        ];
        for (dialect, base, version, whole, streamed) in cases {
            let provider = provider(dialect, base, version);
            assert_eq!(path(&provider, Surface::Chat, "m", false), whole, "{dialect}");
            assert_eq!(path(&provider, Surface::Chat, "m", true), streamed, "{dialect}");
        }
    }

    #[test]
    fn a_deployment_of_azure_is_named_in_the_path_where_a_version_is_configured() {
        let azure = provider("azure", "", "2024-10-21");
        let asked = path(&azure, Surface::Chat, "my gpt", false);
        assert_eq!(asked, "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21");
    }

    #[test]
    fn a_path_of_the_configuration_goes_before_the_dialects_own() {
        assert_eq!(path(&provider("openai", "/v1", ""), Surface::Rerank, "a/b", false), "/v1/rank/a%2Fb");
    }

    #[test]
    fn files_go_to_the_path_that_the_client_asked_for() {
        assert_eq!(path(&provider("openai", "/v1", ""), Surface::Files, "", false), "/v1/files/f-1?limit=2");
    }

    #[test]
    fn batches_of_anthropics_go_to_the_path_that_the_client_asked_for() {
        assert_eq!(
            path(&provider("anthropic", "", ""), Surface::Batches, "", false),
            "/v1/files/f-1?limit=2"
        );
    }

    #[test]
    fn ollamas_are_asked_what_a_model_is_at_the_place_for_that() {
        assert_eq!(path(&provider("ollama", "", ""), Surface::Show, "m", false), "/api/show");
    }

    #[test]
    fn rerankings_are_asked_of_all_who_speak_cohere_s_words_for_it() {
        for provider in [ProviderDialect::Cohere, ProviderDialect::Openai, ProviderDialect::Azure] {
            assert!(is_same(Dialect::Cohere, Surface::Rerank, provider), "{provider:?}");
        }
        assert!(!is_same(Dialect::Cohere, Surface::Rerank, ProviderDialect::Anthropic));
    }

    #[test]
    fn what_no_provider_of_a_dialect_does_is_not_asked_of_it() {
        assert!(is_translated(Surface::Embeddings, Dialect::Gemini));
        assert!(!is_translated(Surface::Embeddings, Dialect::Anthropic));
        assert!(!is_translated(Surface::CountTokens, Dialect::OpenAi), "counts are a provider's own");
        assert!(is_translated(Surface::Responses, Dialect::Bedrock));
    }

    #[test]
    fn a_model_in_a_path_is_one_segment() {
        assert_eq!(encoded("anthropic.claude-v2:1"), "anthropic.claude-v2%3A1");
        assert_eq!(encoded("plain-1.5"), "plain-1.5");
    }

    #[test]
    fn the_model_of_a_form_is_changed_and_nothing_else() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nmine\r\n--x\r\n\r\nmine\r\n--x--\r\n";
        let changed = with_form_model(body, "mine", "whisper-1");
        let text = String::from_utf8_lossy(&changed);
        assert!(
            text.starts_with("--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x")
        );
        assert!(text.ends_with("\r\n\r\nmine\r\n--x--\r\n"));
    }
}
