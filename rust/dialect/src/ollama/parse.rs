//! Reads a client's `/api/chat` or `/api/generate` request.

use serde_json::{Map, Value};

use super::messages;
use crate::ids::Calls;
use crate::json::{Fields, Path};
use crate::{ChatRequest, Fault, Message, Part, Reasoning, ResponseFormat, Role, Tool};

/// Reads a client's request; one with `messages` is a chat, any other a `generate`, whose `system` and `prompt` become
/// messages. `stream` is true where nothing is said.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut fields = Fields::parse(body)?;
    let model = fields.string("model")?;
    let model = model.or(fields.string("name")?).unwrap_or_default();
    let mut request = ChatRequest {
        model,
        stream: fields.boolean("stream")?.unwrap_or(true),
        include_usage: true,
        logprobs: fields.boolean("logprobs")?,
        top_logprobs: fields.unsigned("top_logprobs")?,
        ..ChatRequest::default()
    };
    if fields.has("messages") {
        let mut calls = Calls::new();
        let values = fields.array("messages")?;
        let path = fields.path().key("messages");
        for (turn, value) in values.into_iter().enumerate() {
            calls.turn(turn);
            request.messages.push(messages::read(value, path.index(turn), &mut calls)?);
        }
    } else {
        generate(&mut fields, &mut request)?;
    }
    tools(&mut fields, &mut request)?;
    request.response_format = match fields.take("format") {
        None => None,
        Some(Value::String(word)) if word.is_empty() => None,
        Some(Value::String(word)) if word == "json" => Some(ResponseFormat::Json),
        Some(schema @ Value::Object(_)) => {
            Some(ResponseFormat::Schema { name: "response".into(), description: None, schema, strict: None })
        }
        Some(_) => return Err(fields.wrong("format", "`json` or a JSON schema")),
    };
    request.reasoning = match fields.take("think") {
        None => None,
        Some(Value::Bool(on)) => Some(Reasoning { enabled: Some(on), ..Reasoning::default() }),
        Some(Value::String(word)) if !word.is_empty() => {
            Some(Reasoning { effort: Some(word), ..Reasoning::default() })
        }
        Some(_) => return Err(fields.wrong("think", "true, false, or a level")),
    };
    if let Some(value) = fields.take("options") {
        options(Fields::of(value, fields.path().key("options"))?, &mut request)?;
    }
    let mut rest = fields.rest();
    // Some clients write fields that they don't use.
    rest.retain(|key, value| !UNUSED.contains(&key.as_str()) || !is_empty(value));
    request.rest.extend(rest);
    Ok(request)
}

const UNUSED: [&str; 4] = ["template", "suffix", "raw", "context"];

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn generate(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let mut push = |role, parts| request.messages.push(Message { role, parts, name: None, rest: Map::new() });
    if let Some(system) = fields.string("system")?.filter(|text| !text.is_empty()) {
        push(Role::System, vec![Part::text(system)]);
    }
    let prompt = fields.string("prompt")?.unwrap_or_default();
    let mut parts = vec![Part::text(prompt)];
    messages::images(fields, &mut parts)?;
    push(Role::User, parts);
    Ok(())
}

fn tools(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let values = fields.array("tools")?;
    let path: Path<'_> = fields.path().key("tools");
    for (index, value) in values.into_iter().enumerate() {
        let mut tool = Fields::of(value, path.index(index))?;
        let Some(function) = tool.take("function") else { return Err(tool.missing("function")) };
        let mut function = Fields::of(function, tool.path().key("function"))?;
        request.tools.push(Tool::Function {
            name: function.required_string("name")?,
            description: function.string("description")?,
            parameters: function.take("parameters"),
            strict: None,
            cache: None,
        });
    }
    Ok(())
}

fn options(mut options: Fields<'_>, request: &mut ChatRequest) -> Result<(), Fault> {
    request.temperature = options.number("temperature")?;
    request.top_p = options.number("top_p")?;
    request.top_k = options.unsigned("top_k")?;
    request.seed = options.signed("seed")?;
    request.presence_penalty = options.number("presence_penalty")?;
    request.frequency_penalty = options.number("frequency_penalty")?;
    request.stop = options.strings("stop")?;
    // -1 and -2 mean "no bound" and "until the context is full": neither is a number of tokens.
    if options.peek("num_predict").and_then(Value::as_i64).is_some_and(|number| number < 0) {
        options.take("num_predict");
    }
    request.max_tokens = options.unsigned("num_predict")?;
    let left = options.rest();
    if !left.is_empty() {
        request.rest.insert("options".into(), Value::Object(left));
    }
    Ok(())
}
