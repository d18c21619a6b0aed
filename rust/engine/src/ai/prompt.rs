//! Prompts as APIs: inputs in, the conversation that they make, and what was promised out.

use tidegate_dialect::{Answer, ApiError, ErrorKind, Part, json};
use tidegate_prompt::{PIN_HEADER, Role, Version};

use super::{Desk, call::Call, prepare::PreparedAi};
use crate::exchange::Exchange;

/// Renders the prompt that the path names into a chat request in OpenAI's words.
pub fn render(
    desk: &Desk<'_>,
    exchange: &Exchange,
    call: &mut Call,
    body: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let ai = desk.ai;
    let name = call.place.item.clone().unwrap_or_default();
    let Some(prompt) = ai.prompts.find(&name) else {
        return Err(not_found("There is no such prompt.", "prompt_not_found"));
    };
    let pinned = exchange.head.field(PIN_HEADER.as_bytes()).and_then(|told| std::str::from_utf8(told).ok());
    // Without a pin the same key always gets the same side of a test.
    let spread = call
        .key
        .map_or_else(|| fastrand::u64(..), |key| prompt.spread(ai.plan.keys[key as usize].name.as_bytes()));
    let version = prompt
        .choose(pinned, spread)
        .map_err(|_| not_found("This prompt has no such version.", "prompt_version_not_found"))?;
    let bad = |path: String, message: String| {
        let mut error = ApiError::new(400, ErrorKind::InvalidRequest, message);
        error.param = (!path.is_empty()).then_some(path);
        error.code = Some("bad_input".into());
        error
    };
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let inputs = json::parse(body).map_err(|fault| bad(fault.path, fault.message))?;
    let messages = version.render(&inputs).map_err(|fault| bad(fault.path, fault.message))?;
    call.prompt = format!("{name}@{}", version.name);
    let model = ai.plan.models.get(version.model as usize).map_or("", |model| &model.name);
    Ok(request(version, model, &messages))
}

/// The chat request, in OpenAI's words.
fn request(version: &Version, model: &str, messages: &[(Role, String)]) -> Vec<u8> {
    /// Ours to say. Of `stream`: what was promised is checked when it is whole.
    const OURS: [&str; 3] = ["model", "messages", "stream"];
    let mut out = Vec::with_capacity(1024);
    let mut request = json::Object::begin(&mut out);
    request.put("model", model);
    let mut said = request.array("messages");
    for (role, text) in messages {
        let mut message = said.object();
        message.put("role", role.as_str());
        message.put_and_end("content", text);
    }
    said.end();
    for (name, value) in version.parameters.iter().filter(|(name, _)| !OURS.contains(&name.as_str())) {
        request.put(name, value);
    }
    if let Some(schema) = version.output_schema()
        && !version.parameters.contains_key("response_format")
    {
        let mut format = request.object("response_format");
        format.put("type", "json_schema");
        let mut wanted = format.object("json_schema");
        wanted.put("name", "output").put("schema", schema);
        wanted.put_and_end("strict", &true);
        format.end();
    }
    request.end();
    out
}

/// Writes what the caller of a prompt gets for the model's answer.
pub fn answer(ai: &PreparedAi, prompt: &str, answer: &Answer, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let (name, version) = prompt.rsplit_once('@').unwrap_or((prompt, ""));
    let said: String = (answer.choices.first().into_iter())
        .flat_map(|choice| &choice.parts)
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let version = ai.prompts.find(name).and_then(|prompt| prompt.choose(Some(version), 0).ok());
    let Some(version) = version else {
        return Err(not_found("The prompt is gone.", "prompt_not_found"));
    };
    match version.answer(&said) {
        Ok(value) => {
            json::append(&value, out);
            Ok(())
        }
        Err(fault) => {
            let text = format!("The model did not answer as the prompt's output schema asks: {fault}");
            let mut error = ApiError::new(502, ErrorKind::Server, text);
            error.code = Some("bad_output".into());
            Err(error)
        }
    }
}

fn not_found(text: &str, code: &str) -> ApiError {
    let mut error = ApiError::new(404, ErrorKind::NotFound, text);
    error.code = Some(code.into());
    error
}
