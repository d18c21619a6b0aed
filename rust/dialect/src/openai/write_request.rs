//! Writes a chat request to a provider.

use serde_json::{Value, json};

use super::content::write_part;
use super::{Flavour, in_family, is_newer, is_own};
use crate::carry::Home;
use crate::json::{Array, Object, append};
use crate::{
    ChatRequest, Dialect, Fault, Media, Message, Part, Reasoning, ResponseFormat, Role, Target, Tool,
    ToolChoice, Written,
};

/// Top-level fields of other dialects. They reach a request's `rest` from clients of those, and nobody of this family
/// knows them; what else is in `rest` may be a compatible's own word and is passed on.
const FOREIGN: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "cachedContent",
    "citation_options",
    "container",
    "context_management",
    "documents",
    "guardrailConfig",
    "inference_geo",
    "keep_alive",
    "labels",
    "mcp_servers",
    "options",
    "outputConfig",
    "output_config",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "safetySettings",
    "safety_mode",
    "safety_settings",
    "speed",
    "strict_tools",
    "toolConfig",
];

/// Mistral's own top-level fields that the chat form has no word for.
const MISTRAL: &[&str] = &[
    "guardrails",
    "min_tokens",
    "prediction",
    "prompt_cache_key",
    "prompt_logprobs",
    "prompt_mode",
    "repetition_penalty",
    "safe_prompt",
    "top_prompt_logprobs",
];

pub(crate) fn write_request_as(
    flavour: Flavour,
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    let mistral = flavour == Flavour::Mistral;
    let own = !mistral && is_own(target.model);
    let mut body = Object::begin(out);
    body.put("model", target.model);
    let messages = Messages { flavour, target, own, ids: ids_of(flavour, request) };
    messages.write(&request.messages, body.array("messages"), &mut written)?;
    write_tools(flavour, request, target, &mut body, &mut written)?;
    let most = if !mistral && is_newer(target.model) { "max_completion_tokens" } else { "max_tokens" };
    body.maybe(most, request.max_tokens.as_ref());
    body.maybe("temperature", request.temperature.as_ref()).maybe("top_p", request.top_p.as_ref());
    match &request.top_k {
        Some(_) if own => written.drop(target, "top_k")?,
        top_k => _ = body.maybe("top_k", top_k.as_ref()),
    }
    body.maybe("frequency_penalty", request.frequency_penalty.as_ref());
    body.maybe("presence_penalty", request.presence_penalty.as_ref());
    if !request.stop.is_empty() {
        body.put("stop", &request.stop);
    }
    body.maybe("n", request.n.as_ref());
    body.maybe(if mistral { "random_seed" } else { "seed" }, request.seed.as_ref());
    body.maybe("logprobs", request.logprobs.as_ref()).maybe("top_logprobs", request.top_logprobs.as_ref());
    match &request.logit_bias {
        Some(_) if mistral => written.drop(target, "logit_bias")?,
        bias => _ = body.maybe("logit_bias", bias.as_ref()),
    }
    if let Some(format) = &request.response_format {
        body.put("response_format", &format_of(format));
    }
    if let Some(reasoning) = &request.reasoning {
        write_reasoning(flavour, reasoning, &mut body);
    }
    if !mistral {
        body.maybe("user", request.user.as_ref());
    }
    body.maybe("metadata", request.metadata.as_ref());
    match (request.service_tier.as_deref(), mistral) {
        (Some("default" | "standard" | "standard_only"), true) => {
            _ = body.put("service_tier", "standard_only")
        }
        (Some("auto") | None, true) => {}
        (Some(_), true) => written.drop(target, "service_tier")?,
        (other, false) => _ = body.maybe("service_tier", other.and_then(tier)),
    }
    let mut options = request.rest.get("stream_options").cloned();
    if target.stream {
        body.put("stream", &true);
        if !mistral {
            // Usage is always asked for: the gateway accounts for it, and the writer hides it from who did not.
            let options = options.get_or_insert_with(|| json!({}));
            if let Value::Object(options) = options {
                options.insert("include_usage".to_owned(), Value::Bool(true));
            }
            body.put("stream_options", options);
        }
    }
    let strange = mistral && request.dialect != Some(Dialect::Mistral);
    for (name, value) in &request.rest {
        if strange && !MISTRAL.contains(&name.as_str()) {
            // Mistral's API refuses what it does not know; other fields of the family it can't know.
            if name != "stream_options" {
                written.drop(target, name)?;
            }
        } else if FOREIGN.contains(&name.as_str()) || crate::responses::OWN_FIELDS.contains(&name.as_str()) {
            written.drop(target, name)?;
        } else if name != "stream_options" {
            body.put(name, value);
        }
    }
    body.end();
    Ok(written)
}

/// Anthropic's only tier that OpenAI's APIs know by another word, and the others as they are.
fn tier(tier: &str) -> Option<&str> {
    match tier {
        "standard_only" => Some("default"),
        other => Some(other),
    }
}

fn format_of(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::Json => json!({"type": "json_object"}),
        ResponseFormat::Schema { name, description, schema, strict } => {
            let mut inner = json!({"name": name, "schema": schema});
            if let Some(description) = description {
                inner["description"] = json!(description);
            }
            if let Some(strict) = strict {
                inner["strict"] = json!(strict);
            }
            json!({"type": "json_schema", "json_schema": inner})
        }
    }
}

fn write_reasoning(flavour: Flavour, reasoning: &Reasoning, body: &mut Object<'_>) {
    // Off is the absence of the wish: models that can't think refuse the word for it.
    let budget = reasoning.budget.filter(|budget| *budget > 0);
    let effort = match (&reasoning.effort, budget) {
        (Some(effort), _) => Some(effort.as_str()),
        (None, _) if reasoning.enabled == Some(false) => None,
        // The family has words for it, no numbers: a quarter and a full 8,192 tokens are about what they stand for.
        (None, Some(..2048)) => Some("low"),
        (None, Some(..8192)) => Some("medium"),
        (None, Some(_)) => Some("high"),
        (None, None) => None,
    };
    match (flavour, effort) {
        (Flavour::Mistral, None) if reasoning.enabled == Some(true) => {
            _ = body.put("prompt_mode", "reasoning")
        }
        (_, effort) => _ = body.maybe("reasoning_effort", effort),
    }
}

fn write_tools(
    flavour: Flavour,
    request: &ChatRequest,
    target: &Target<'_>,
    body: &mut Object<'_>,
    written: &mut Written,
) -> Result<(), Fault> {
    let mut values = Vec::new();
    for (at, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function { name, description, parameters, strict, .. } => {
                let mut function = json!({"name": name});
                if let Some(description) = description {
                    function["description"] = json!(description);
                }
                if let Some(parameters) = parameters {
                    function["parameters"] = parameters.clone();
                } else if flavour == Flavour::Mistral {
                    function["parameters"] = json!({"type": "object", "properties": {}});
                }
                if let Some(strict) = strict {
                    function["strict"] = json!(strict);
                }
                values.push(json!({"type": "function", "function": function}));
            }
            Tool::Native { dialect, value } if in_family(*dialect) => values.push(value.clone()),
            Tool::Native { .. } => written.drop(target, &format!("tools[{at}]"))?,
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    body.put("tools", &values);
    let required = if flavour == Flavour::Mistral { "any" } else { "required" };
    let choice = match &request.tool_choice {
        None => None,
        Some(ToolChoice::Auto) => Some(json!("auto")),
        Some(ToolChoice::None) => Some(json!("none")),
        Some(ToolChoice::Required) => Some(json!(required)),
        Some(ToolChoice::Named(name)) => Some(json!({"type": "function", "function": {"name": name}})),
        Some(ToolChoice::Allowed { names, required: must }) => match (flavour, names.as_slice()) {
            (_, [name]) if *must => Some(json!({"type": "function", "function": {"name": name}})),
            (Flavour::Mistral, _) => {
                written.drop(target, "tool_choice.allowed_tools")?;
                Some(json!(if *must { required } else { "auto" }))
            }
            (Flavour::OpenAi, names) => {
                let tools: Vec<Value> = names
                    .iter()
                    .map(|name| json!({"type": "function", "function": {"name": name}}))
                    .collect();
                let mode = if *must { "required" } else { "auto" };
                Some(json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}))
            }
        },
    };
    body.maybe("tool_choice", choice.as_ref());
    body.maybe("parallel_tool_calls", request.parallel_tool_calls.as_ref());
    Ok(())
}

/// New ids of calls by the old ones, where the target can't take them as they are.
type Ids = std::collections::HashMap<String, String>;

fn ids_of(flavour: Flavour, request: &ChatRequest) -> Ids {
    let mut ids = Ids::new();
    if flavour == Flavour::Mistral {
        for part in request.messages.iter().flat_map(|message| &message.parts) {
            if let Part::ToolCall { id, .. } | Part::ToolResult { id, .. } = part
                && !crate::mistral::is_id(id)
            {
                ids.entry(id.clone()).or_insert_with(|| crate::mistral::id_for(id));
            }
        }
    }
    ids
}

struct Messages<'a> {
    flavour: Flavour,
    target: &'a Target<'a>,
    own: bool,
    ids: Ids,
}

impl Messages<'_> {
    fn write(&self, messages: &[Message], mut list: Array<'_>, written: &mut Written) -> Result<(), Fault> {
        // Pictures and files that tools gave: a tool's message takes text alone, and a user's may not stand between the
        // results of one turn, so it comes behind them.
        let mut shown: Vec<&Part> = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            let results = message.parts.iter().filter(|part| matches!(part, Part::ToolResult { .. }));
            let mut others =
                message.parts.iter().filter(|part| !matches!(part, Part::ToolResult { .. })).peekable();
            for result in results {
                self.write_result(result, message, &mut list, &mut shown);
            }
            if message.role == Role::Tool && others.peek().is_none() {
                continue;
            }
            self.show(&mut shown, &mut list, written)?;
            match message.role {
                Role::Assistant => self.write_assistant(message, &mut list, at, written)?,
                role => {
                    let parts: Vec<&Part> = others.collect();
                    if parts.is_empty() && !message.parts.is_empty() {
                        continue;
                    }
                    self.refuse_name(message, at, written)?;
                    let role = match role {
                        Role::System => "system",
                        Role::Developer if self.own && is_newer(self.target.model) => "developer",
                        Role::Developer => "system",
                        _ => "user",
                    };
                    let mut object = list.object();
                    object.put("role", role);
                    self.write_content(&parts, &mut object, &format!("messages[{at}]"), written)?;
                    object.maybe("name", self.name(message)).all(&message.rest);
                    object.end();
                }
            }
        }
        self.show(&mut shown, &mut list, written)?;
        list.end();
        Ok(())
    }

    fn write_result<'m>(
        &self,
        part: &'m Part,
        message: &Message,
        list: &mut Array<'_>,
        shown: &mut Vec<&'m Part>,
    ) {
        let Part::ToolResult { id, name, parts, .. } = part else { return };
        let mut texts = Vec::new();
        for part in parts {
            match part {
                Part::Text { text, .. } | Part::File { media: Media::Text { text }, .. } => {
                    texts.push(text.as_str());
                }
                other => shown.push(other),
            }
        }
        let mut object = list.object();
        object.put("role", "tool").put("tool_call_id", self.id(id));
        if self.flavour == Flavour::Mistral {
            object.maybe("name", name.as_ref());
        }
        match texts.as_slice() {
            [] => object.put("content", ""),
            [text] => object.put("content", text),
            texts => {
                let parts: Vec<Value> =
                    texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
                object.put("content", &parts)
            }
        };
        if message.role == Role::Tool && message.parts.len() == 1 {
            object.all(&message.rest);
        }
        object.end();
    }

    fn show(&self, shown: &mut Vec<&Part>, list: &mut Array<'_>, written: &mut Written) -> Result<(), Fault> {
        if !shown.is_empty() {
            let mut object = list.object();
            object.put("role", "user");
            self.write_content(shown, &mut object, "messages", written)?;
            object.end();
            shown.clear();
        }
        Ok(())
    }

    fn write_content(
        &self,
        parts: &[&Part],
        object: &mut Object<'_>,
        at: &str,
        written: &mut Written,
    ) -> Result<(), Fault> {
        if let [Part::Text { text, .. }] = parts {
            object.put("content", text);
            return Ok(());
        }
        let mut list = object.array("content");
        let mut buffer = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            buffer.clear();
            if write_part(self.flavour, part, &mut buffer) {
                list.element().extend_from_slice(&buffer);
            } else {
                written.drop(self.target, &format!("{at}.content[{number}]"))?;
            }
        }
        list.end();
        Ok(())
    }

    fn write_assistant(
        &self,
        message: &Message,
        list: &mut Array<'_>,
        at: usize,
        written: &mut Written,
    ) -> Result<(), Fault> {
        let (mut content, mut calls, mut thoughts, mut refusal) =
            (Vec::new(), Vec::new(), String::new(), None);
        for (number, part) in message.parts.iter().enumerate() {
            match part {
                Part::ToolCall { id, name, arguments, signature, .. } => {
                    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
                    let mut call = json!({"id": self.id(id), "type": "function",
                        "function": {"name": name, "arguments": arguments}});
                    if let Some(signature) =
                        signature.as_ref().filter(|_| !self.own && self.flavour == Flavour::OpenAi)
                    {
                        call["extra_content"] = json!({"google": {"thought_signature": signature}});
                    }
                    calls.push(call);
                }
                Part::Thinking { text, .. } if self.flavour == Flavour::OpenAi => thoughts.push_str(text),
                Part::Thinking { text, signature, .. }
                    if text.is_empty()
                        && signature
                            .as_deref()
                            .and_then(|signature| Home::Mistral.own(signature))
                            .is_none() => {}
                Part::Thinking { text, signature, .. } => {
                    let mut block = json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]});
                    let own = signature.as_deref().and_then(|signature| Home::Mistral.own(signature));
                    if let Some(signature) = own {
                        block["signature"] = json!(signature);
                    }
                    content.push(block);
                }
                Part::RedactedThinking { .. } | Part::ToolResult { .. } => {}
                Part::Refusal { text } if self.flavour == Flavour::Mistral => {
                    content.push(json!({"type": "text", "text": text}));
                }
                Part::Refusal { text } => refusal = Some(text),
                Part::Other { dialect, value } if in_family(*dialect) && value.get("custom").is_some() => {
                    calls.push(value.clone());
                }
                part => {
                    let mut buffer = Vec::new();
                    if !write_part(self.flavour, part, &mut buffer) {
                        written.drop(self.target, &format!("messages[{at}].content[{number}]"))?;
                    } else if let Ok(value) = serde_json::from_slice(&buffer) {
                        content.push(value);
                    }
                }
            }
        }
        let mut object = list.object();
        object.put("role", "assistant");
        let lone = match content.as_slice() {
            [value] => value.get("text").and_then(Value::as_str),
            _ => None,
        };
        match (content.is_empty(), lone) {
            (true, _) if calls.is_empty() && refusal.is_none() => object.put("content", ""),
            (true, _) => object.put("content", &Value::Null),
            (false, Some(text)) => object.put("content", text),
            (false, None) => object.put("content", &content),
        };
        object.maybe("refusal", refusal);
        // Compatibles that think between calls want their thoughts back (DeepSeek); OpenAI's own models take none.
        if !thoughts.is_empty() && !self.own {
            object.put("reasoning_content", &thoughts);
        }
        if !calls.is_empty() {
            append(&calls, object.key("tool_calls"));
        }
        self.refuse_name(message, at, written)?;
        object.maybe("name", self.name(message)).all(&message.rest);
        object.end();
        Ok(())
    }

    /// A speaker's name, which Mistral has no field for.
    fn name<'m>(&self, message: &'m Message) -> Option<&'m String> {
        message.name.as_ref().filter(|_| self.flavour == Flavour::OpenAi)
    }

    fn refuse_name(&self, message: &Message, at: usize, written: &mut Written) -> Result<(), Fault> {
        match (self.flavour, &message.name) {
            (Flavour::Mistral, Some(_)) => written.drop(self.target, &format!("messages[{at}].name")),
            _ => Ok(()),
        }
    }

    fn id<'i>(&'i self, id: &'i str) -> &'i str {
        self.ids.get(id).map_or(id, String::as_str)
    }
}
