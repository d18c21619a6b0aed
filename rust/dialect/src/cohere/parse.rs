//! Reads a client's `/v2/chat` request.

use serde_json::Value;

use super::messages;
use crate::json::Fields;
use crate::{ChatRequest, Fault, Reasoning, ResponseFormat, Tool, ToolChoice};

/// Reads a client's request.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut fields = Fields::parse(body)?;
    let mut request = ChatRequest {
        model: fields.string("model")?.unwrap_or_default(),
        max_tokens: fields.unsigned("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("p")?,
        top_k: fields.unsigned("k")?,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        stop: fields.strings("stop_sequences")?,
        seed: fields.signed("seed")?,
        logprobs: fields.boolean("logprobs")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage: true,
        ..ChatRequest::default()
    };
    let values = fields.array("messages")?;
    let path = fields.path().key("messages");
    for (index, value) in values.into_iter().enumerate() {
        request.messages.push(messages::read(value, path.index(index))?);
    }
    let strict = fields.boolean("strict_tools")?;
    let values = fields.array("tools")?;
    let path = fields.path().key("tools");
    for (index, value) in values.into_iter().enumerate() {
        let mut tool = Fields::of(value, path.index(index))?;
        let Some(function) = tool.take("function") else { return Err(tool.missing("function")) };
        let mut function = Fields::of(function, tool.path().key("function"))?;
        request.tools.push(Tool::Function {
            name: function.required_string("name")?,
            description: function.string("description")?,
            parameters: function.take("parameters"),
            strict,
            cache: None,
        });
    }
    request.tool_choice = match fields.string("tool_choice")?.as_deref() {
        None => None,
        Some("REQUIRED") => Some(ToolChoice::Required),
        Some("NONE") => Some(ToolChoice::None),
        Some(_) => return Err(fields.wrong("tool_choice", "`REQUIRED` or `NONE`")),
    };
    request.response_format = response_format(&mut fields)?;
    if let Some(thinking) = fields.take("thinking") {
        let mut thinking = Fields::of(thinking, fields.path().key("thinking"))?;
        let enabled = match thinking.string("type")?.as_deref() {
            Some("disabled") => Some(false),
            Some("enabled") => Some(true),
            None => None,
            Some(_) => return Err(thinking.wrong("type", "`enabled` or `disabled`")),
        };
        let budget = thinking.unsigned("token_budget")?;
        request.reasoning = Some(Reasoning { enabled, budget, ..Reasoning::default() });
    }
    request.rest = fields.rest();
    Ok(request)
}

fn response_format(fields: &mut Fields<'_>) -> Result<Option<ResponseFormat>, Fault> {
    let Some(value) = fields.take("response_format") else { return Ok(None) };
    let mut format = Fields::of(value, fields.path().key("response_format"))?;
    match format.string("type")?.as_deref() {
        Some("text") => Ok(Some(ResponseFormat::Text)),
        Some("json_object") => Ok(Some(match format.take("json_schema").or_else(|| format.take("schema")) {
            Some(schema @ Value::Object(_)) => {
                ResponseFormat::Schema { name: "response".into(), description: None, schema, strict: None }
            }
            Some(_) => return Err(format.wrong("json_schema", "an object")),
            None => ResponseFormat::Json,
        })),
        _ => Err(format.wrong("type", "`text` or `json_object`")),
    }
}
