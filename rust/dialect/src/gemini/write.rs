//! Writes a request for a provider that speaks `generateContent`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::parts::{self, To};
use super::schema::{takes_nothing, to_subset};
use crate::effort::{budget_of, is_none};
use crate::json::{Array, Object};
use crate::{
    ChatRequest, Dialect, Fault, Message, Part, Reasoning, ResponseFormat, Role, Target, Tool, ToolChoice,
    Written,
};

/// Google's own stand-in for calls that another model made: Gemini 3 refuses a first call of a turn without a
/// `thoughtSignature`, and takes this text for one.
const STAND_IN: &str = "skip_thought_signature_validator";

/// Fields of the chat form's rest that are Gemini's.
const OWN: [&str; 5] = ["safetySettings", "cachedContent", "labels", "store", "modelArmorConfig"];

/// Appends the request's body. Model and stream are said by the path, so they are not written.
///
/// System and developer messages become `systemInstruction`, wherever they stood: Gemini has no other place. `user` and
/// `metadata` are left out and named, never refused: they change no answer.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    refuse(request, target, &mut written)?;
    let mut object = Object::begin(out);
    system(request, target, &mut written, &mut object)?;
    contents(request, target, &mut written, &mut object)?;
    let strict = tools(request, target, &mut written, &mut object)?;
    tool_config(request, strict, &mut object);
    generation_config(request, target, &mut object);
    object.maybe("serviceTier", request.service_tier.as_deref().and_then(service_tier));
    for (key, value) in &request.rest {
        match key.as_str() {
            "generationConfig" | "toolConfig" => {}
            own if OWN.contains(&own) => {
                object.put(key, value);
            }
            _ => written.drop(target, key)?,
        }
    }
    object.end();
    Ok(written)
}

/// OpenAI's `default` and Anthropic's `standard_only` are Gemini's `standard`; `auto` is what holds where nothing is said.
fn service_tier(tier: &str) -> Option<&str> {
    match tier {
        "auto" => None,
        "default" | "standard_only" => Some("standard"),
        other => Some(other),
    }
}

fn refuse(request: &ChatRequest, target: &Target<'_>, written: &mut Written) -> Result<(), Fault> {
    if request.logit_bias.is_some() {
        written.drop(target, "logit_bias")?;
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        written.drop(target, "parallel_tool_calls")?;
    }
    written.leave_out_labels(request);
    Ok(())
}

fn system(
    request: &ChatRequest,
    target: &Target<'_>,
    written: &mut Written,
    object: &mut Object<'_>,
) -> Result<(), Fault> {
    let is_system = |message: &Message| matches!(message.role, Role::System | Role::Developer);
    if !request.messages.iter().any(is_system) {
        return Ok(());
    }
    let mut instruction = object.object("systemInstruction");
    let mut list = instruction.array("parts");
    for (index, message) in request.messages.iter().enumerate().filter(|(_, message)| is_system(message)) {
        let left = parts::write(&message.parts, &HashMap::new(), To::Provider { stand_in: None }, &mut list);
        drop_parts(index, &left, target, written)?;
    }
    list.end();
    instruction.end();
    Ok(())
}

fn drop_parts(
    message: usize,
    left: &[usize],
    target: &Target<'_>,
    written: &mut Written,
) -> Result<(), Fault> {
    left.iter().try_for_each(|part| written.drop(target, &format!("messages[{message}].content[{part}]")))
}

/// Turns of the model that follow each other become one, and so do results: Gemini wants all results of one turn's
/// calls together, right behind it.
fn contents(
    request: &ChatRequest,
    target: &Target<'_>,
    written: &mut Written,
    object: &mut Object<'_>,
) -> Result<(), Fault> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let signs = wants_signatures(target.model);
    let mut list = object.array("contents");
    let mut before: Option<Role> = None;
    let mut buffer = Vec::new();
    let mut open = false;
    for (index, message) in request.messages.iter().enumerate() {
        let role = match message.role {
            Role::System | Role::Developer => continue,
            role => role,
        };
        for part in &message.parts {
            if let Part::ToolCall { id, name, .. } = part {
                names.insert(id, name);
            }
        }
        let joins = before == Some(role) && role != Role::User;
        if !joins {
            close(&mut open, before, &mut buffer, &mut list);
        }
        let mut inner = Vec::new();
        let mut array = Array::begin(&mut inner);
        let stand_in = (signs && role == Role::Assistant).then_some(STAND_IN);
        let left = parts::write(&message.parts, &names, To::Provider { stand_in }, &mut array);
        array.end();
        drop_parts(index, &left, target, written)?;
        if let Some(elements) = inner.get(1..inner.len().saturating_sub(1)).filter(|text| !text.is_empty()) {
            if !buffer.is_empty() {
                buffer.push(b',');
            }
            buffer.extend_from_slice(elements);
        }
        open = true;
        before = Some(role);
    }
    close(&mut open, before, &mut buffer, &mut list);
    list.end();
    Ok(())
}

/// Writes the turn so far; one without parts is none.
fn close(open: &mut bool, role: Option<Role>, parts: &mut Vec<u8>, list: &mut Array<'_>) {
    if std::mem::take(open) && !parts.is_empty() {
        let mut turn = list.object();
        turn.put("role", if role == Some(Role::Assistant) { "model" } else { "user" });
        let out = turn.key("parts");
        out.push(b'[');
        out.append(parts);
        out.push(b']');
        turn.end();
    }
    parts.clear();
}

/// Models of the third generation on: calls need signatures, and thinking goes by level.
fn wants_signatures(model: &str) -> bool {
    generation(model).is_some_and(|number| number >= 3)
}

fn generation(model: &str) -> Option<u32> {
    let (_, behind) = model.split_once("gemini-")?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Writes the tools; whether one of them is strict.
fn tools(
    request: &ChatRequest,
    target: &Target<'_>,
    written: &mut Written,
    object: &mut Object<'_>,
) -> Result<bool, Fault> {
    let mut functions = Vec::new();
    let mut natives = Vec::new();
    let mut strict = false;
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function { .. } => functions.push(tool),
            Tool::Native { dialect: Dialect::Gemini, value } => natives.push(value),
            Tool::Native { .. } => written.drop(target, &format!("tools[{index}]"))?,
        }
    }
    if functions.is_empty() && natives.is_empty() {
        return Ok(false);
    }
    let mut list = object.array("tools");
    if !functions.is_empty() {
        let mut group = list.object();
        let mut declarations = group.array("functionDeclarations");
        for tool in functions {
            if let Tool::Function { name, description, parameters, strict: wanted, .. } = tool {
                strict |= *wanted == Some(true);
                let mut function = declarations.object();
                function.put("name", name).maybe("description", description.as_ref());
                if let Some(schema) = parameters.as_ref().filter(|schema| !takes_nothing(schema)) {
                    match to_subset(schema) {
                        Some(subset) => function.put("parameters", &subset),
                        None => function.put("parametersJsonSchema", schema),
                    };
                }
                function.end();
            }
        }
        declarations.end();
        group.end();
    }
    for value in natives {
        list.put(value);
    }
    list.end();
    Ok(strict)
}

/// `VALIDATED` is `AUTO` with schemas held to the letter: what `strict` asks for.
fn tool_config(request: &ChatRequest, strict: bool, object: &mut Object<'_>) {
    let auto = if strict { "VALIDATED" } else { "AUTO" };
    let none: &[String] = &[];
    let calling = match &request.tool_choice {
        None if strict => Some((auto, none)),
        None => None,
        Some(ToolChoice::Auto) => Some((auto, none)),
        Some(ToolChoice::None) => Some(("NONE", none)),
        Some(ToolChoice::Required) => Some(("ANY", none)),
        Some(ToolChoice::Named(name)) => Some(("ANY", std::slice::from_ref(name))),
        Some(ToolChoice::Allowed { names, required: true }) => Some(("ANY", names.as_slice())),
        Some(ToolChoice::Allowed { names, required: false }) => Some(("VALIDATED", names.as_slice())),
    };
    let rest = request.rest.get("toolConfig").and_then(Value::as_object);
    if calling.is_none() && rest.is_none() {
        return;
    }
    let mut config = object.object("toolConfig");
    let inner = rest.and_then(|rest| rest.get("functionCallingConfig")).and_then(Value::as_object);
    if calling.is_some() || inner.is_some() {
        let mut function = config.object("functionCallingConfig");
        if let Some((mode, names)) = calling {
            function.put("mode", mode);
            if !names.is_empty() {
                function.put("allowedFunctionNames", names);
            }
        }
        if let Some(inner) = inner {
            function.all(inner);
        }
        function.end();
    }
    for (key, value) in rest.into_iter().flatten().filter(|(key, _)| *key != "functionCallingConfig") {
        config.put(key, value);
    }
    config.end();
}

fn generation_config(request: &ChatRequest, target: &Target<'_>, object: &mut Object<'_>) {
    let mut inner = Vec::new();
    let mut config = Object::begin(&mut inner);
    config.maybe("temperature", request.temperature.as_ref());
    config.maybe("topP", request.top_p.as_ref());
    config.maybe("topK", request.top_k.as_ref());
    config.maybe("candidateCount", request.n.as_ref());
    config.maybe("maxOutputTokens", request.max_tokens.as_ref());
    if !request.stop.is_empty() {
        config.put("stopSequences", &request.stop);
    }
    config.maybe("seed", request.seed.as_ref());
    config.maybe("presencePenalty", request.presence_penalty.as_ref());
    config.maybe("frequencyPenalty", request.frequency_penalty.as_ref());
    config.maybe("responseLogprobs", request.logprobs.as_ref());
    config.maybe("logprobs", request.top_logprobs.as_ref());
    match &request.response_format {
        None => {}
        Some(ResponseFormat::Text) => {
            config.put("responseMimeType", "text/plain");
        }
        Some(ResponseFormat::Json) => {
            config.put("responseMimeType", "application/json");
        }
        Some(ResponseFormat::Schema { schema, .. }) => {
            config.put("responseMimeType", "application/json");
            match to_subset(schema) {
                Some(subset) => config.put("responseSchema", &subset),
                None => config.put("responseJsonSchema", schema),
            };
        }
    }
    if let Some(reasoning) = &request.reasoning {
        let thinking = thinking(reasoning, target.model);
        if !thinking.is_empty() {
            config.put("thinkingConfig", &thinking);
        }
    }
    if let Some(Value::Object(rest)) = request.rest.get("generationConfig") {
        config.all(rest);
    }
    config.end();
    if inner.len() > 2 {
        object.key("generationConfig").append(&mut inner);
    }
}

/// One of level and budget, never both: Gemini refuses the pair. Models before the third generation know budgets alone,
/// later ones both; so words become budgets for the former, by the table of Google's own OpenAI surface.
fn thinking(reasoning: &Reasoning, model: &str) -> Map<String, Value> {
    let mut out = Map::new();
    let levels = generation(model).is_none_or(|number| number >= 3);
    let effort = reasoning.effort.as_deref();
    if reasoning.enabled == Some(false) || effort.is_some_and(is_none) {
        out.insert("thinkingBudget".into(), 0.into());
        return out;
    }
    match (effort, reasoning.budget) {
        (_, Some(budget)) if effort.is_none() || !levels => {
            out.insert("thinkingBudget".into(), budget.into());
        }
        (Some(word), _) if levels => {
            out.insert("thinkingLevel".into(), word.to_ascii_uppercase().into());
        }
        (Some(word), _) => {
            out.insert("thinkingBudget".into(), budget_of(word).map_or(Value::from(-1), Value::from));
        }
        (None, _) if reasoning.enabled == Some(true) => {
            out.insert("thinkingBudget".into(), (-1).into());
        }
        (None, _) => {}
    }
    // Anthropic's clients turn thinking on to read it, those of OpenAI responses ask for a summary.
    let read = reasoning.enabled == Some(true) || reasoning.summary.is_some();
    if reasoning.include.unwrap_or(read) {
        out.insert("includeThoughts".into(), true.into());
    }
    out
}
