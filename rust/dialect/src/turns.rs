//! A conversation in the order that Anthropic's messages and Bedrock's Converse want it: instructions apart, turns of the
//! person and of the model in alternation, results of calls first in theirs.

use serde_json::Value;

use crate::anthropic::object_text;
use crate::{ChatRequest, Dialect, Fault, Message, Part, Role, Target, Written, carry};

/// What differs between the two.
pub(crate) struct Rules {
    /// Whose.
    pub dialect: Dialect,
    /// The name of what the API can't take, if a part is such.
    pub misfit: fn(&Part) -> Option<&'static str>,
}

/// The conversation in the API's order: instructions, then turns.
pub(crate) struct Conversation<'a> {
    pub system: Vec<&'a Part>,
    pub turns: Vec<Turn<'a>>,
}

pub(crate) struct Turn<'a> {
    pub role: Role,
    pub parts: Vec<&'a Part>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn gather(
        request: &'a ChatRequest,
        rules: &Rules,
        target: &Target<'_>,
        written: &mut Written,
    ) -> Result<Self, Fault> {
        let own = request.dialect == Some(rules.dialect);
        let mut this = Self { system: Vec::new(), turns: Vec::new() };
        for (index, message) in request.messages.iter().enumerate() {
            let parts = admitted(message, index, own, rules, target, written)?;
            let role = match message.role {
                Role::System | Role::Developer if own && !this.turns.is_empty() => Role::System,
                Role::System | Role::Developer => {
                    this.system.extend(parts);
                    continue;
                }
                Role::User | Role::Tool => Role::User,
                Role::Assistant => Role::Assistant,
            };
            if parts.is_empty() {
                continue;
            }
            match this.turns.last_mut() {
                Some(last) if last.role == role && role != Role::System => last.parts.extend(parts),
                _ => this.turns.push(Turn { role, parts }),
            }
        }
        for turn in &mut this.turns {
            if turn.role == Role::User {
                // Stable: results keep their order, and so does what the user says behind them.
                turn.parts.sort_by_key(|part| !matches!(part, Part::ToolResult { .. }));
            }
        }
        while let Some(last) = this.turns.last_mut().filter(|turn| turn.role == Role::Assistant) {
            match last.parts.last() {
                Some(Part::Text { text, .. } | Part::Refusal { text }) if text.trim_end().is_empty() => {
                    last.parts.pop();
                }
                Some(_) => break,
                None => {
                    this.turns.pop();
                }
            }
        }
        if this.turns.is_empty() {
            return Err(Fault::wrong("messages", "a list with at least one message that is no instruction"));
        }
        Ok(this)
    }
}

/// The parts of a message that are written; those that the API can't take are refused or named.
fn admitted<'a>(
    message: &'a Message,
    index: usize,
    own: bool,
    rules: &Rules,
    target: &Target<'_>,
    written: &mut Written,
) -> Result<Vec<&'a Part>, Fault> {
    if message.name.is_some() && message.role != Role::Tool {
        written.drop(target, &format!("messages[{index}].name"))?;
    }
    if !own {
        for (key, value) in &message.rest {
            if !says_nothing(value) {
                written.drop(target, &format!("messages[{index}].{key}"))?;
            }
        }
    }
    let instruction = matches!(message.role, Role::System | Role::Developer);
    let mut parts = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        let wrong = match part {
            Part::Text { .. } => None,
            _ if instruction => Some("content"),
            Part::ToolCall { arguments, .. } if object_text(arguments).is_none() => {
                let path = format!("messages[{index}].tool_calls.arguments");
                return Err(Fault::wrong(path, "the text of a JSON object"));
            }
            Part::ToolResult { parts, .. } => {
                for name in parts.iter().filter_map(rules.misfit) {
                    written.drop(target, &format!("messages[{index}].{name}"))?;
                }
                None
            }
            // Signed by another provider, or by nobody: the API refuses it.
            Part::Thinking { signature, .. } if signature.as_deref().is_none_or(carry::is_marked) => continue,
            part => (rules.misfit)(part),
        };
        match wrong {
            Some(name) => written.drop(target, &format!("messages[{index}].{name}"))?,
            None if is_empty(part) => {}
            None => parts.push(part),
        }
    }
    let thinks = |part: &&Part| matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. });
    // With thinking on, a turn with calls must begin with its thoughts; Anthropic's own turns keep the order they came in.
    if message.role == Role::Assistant && !own && !parts.first().is_some_and(thinks) {
        parts.sort_by_key(|part| !thinks(part));
    }
    Ok(parts)
}

/// Whether it is a text of nothing but white space, which both APIs refuse.
pub(crate) fn is_empty(part: &Part) -> bool {
    matches!(part, Part::Text { text, .. } | Part::Refusal { text } if text.trim().is_empty())
}

/// Refuses, or names, what neither API has any way to do.
pub(crate) fn refuse_absent(
    request: &ChatRequest,
    target: &Target<'_>,
    written: &mut Written,
) -> Result<(), Fault> {
    let absent = [
        ("n", request.n.is_some_and(|n| n != 1)),
        ("seed", request.seed.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count != 0)),
        ("logit_bias", request.logit_bias.as_ref().is_some_and(|bias| !says_nothing(bias))),
    ];
    absent.into_iter().filter(|(_, asked)| *asked).try_for_each(|(name, _)| written.drop(target, name))
}

/// Whether leaving it out changes nothing.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
