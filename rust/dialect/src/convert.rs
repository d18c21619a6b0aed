//! Between an answer and its stream: a stored answer replayed as events, and events gathered into an answer.

use serde_json::{Map, Value};

use crate::{Answer, ApiError, Choice, Event, Finish, Part, PartKind, Usage};

/// Appends the events of a stream that says what the answer says. What has no event (the answer's `rest`) is left out.
pub fn replay(answer: &Answer, events: &mut Vec<Event>) {
    events.push(Event::Start { id: answer.id.clone(), model: answer.model.clone(), created: answer.created });
    for choice in &answer.choices {
        let index = choice.index;
        for (number, part) in choice.parts.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            replay_part(index, number, part, events);
        }
        if let Some(value) = &choice.logprobs {
            events.push(Event::Logprobs { choice: index, value: value.clone() });
        }
        events.push(Event::Finish {
            choice: index,
            finish: choice.finish,
            native: choice.native_finish.clone(),
            stop_text: choice.stop_text.clone(),
            rest: choice.rest.clone(),
        });
    }
    if answer.usage != Usage::default() {
        events.push(Event::Usage(answer.usage));
    }
    events.push(Event::End);
}

fn replay_part(choice: u32, part: u32, said: &Part, events: &mut Vec<Event>) {
    let empty = String::new();
    let (kind, text, signature) = match said {
        Part::Text { text, .. } => (PartKind::Text, text, &None),
        Part::Refusal { text } => (PartKind::Refusal, text, &None),
        Part::Thinking { text, signature, id } => (PartKind::Thinking { id: id.clone() }, text, signature),
        Part::ToolCall { id, name, arguments, signature, .. } => {
            (PartKind::ToolCall { id: id.clone(), name: name.clone() }, arguments, signature)
        }
        Part::RedactedThinking { data } => (PartKind::RedactedThinking { data: data.clone() }, &empty, &None),
        Part::Other { dialect, value } => {
            (PartKind::Other { dialect: *dialect, value: value.clone() }, &empty, &None)
        }
        whole => (PartKind::Media { part: whole.clone() }, &empty, &None),
    };
    events.push(Event::Open { choice, part, kind });
    let delta = (!text.is_empty()).then(|| Event::Delta { choice, part, text: text.clone() });
    let signed = signature.as_ref().map(|one| Event::Signature { choice, part, signature: one.clone() });
    // The ids of some dialects carry a call's signature, so it goes before the arguments; a thought's ends it.
    match said {
        Part::ToolCall { .. } => events.extend(signed.into_iter().chain(delta)),
        _ => events.extend(delta.into_iter().chain(signed)),
    }
    if let Part::Text { citations: Some(citations), .. } = said {
        match citations {
            Value::Array(list) => {
                events.extend(list.iter().map(|value| Event::Citation { choice, part, value: value.clone() }))
            }
            one => events.push(Event::Citation { choice, part, value: one.clone() }),
        }
    }
    events.push(Event::Close { choice, part });
}

/// Gathers the events of one stream into an answer. It holds all that the stream said: who feeds it bounds that.
#[derive(Debug, Default)]
pub struct Gather {
    answer: Answer,
    choices: Vec<Gathering>,
    error: Option<ApiError>,
    ended: bool,
}

#[derive(Debug)]
struct Gathering {
    choice: Choice,
    /// Parts by their number.
    parts: Vec<(u32, Part)>,
}

impl Gather {
    /// Before the first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event.
    pub fn feed(&mut self, event: &Event) {
        match event {
            Event::Start { id, model, created } => {
                self.answer.id.clone_from(id);
                self.answer.model.clone_from(model);
                self.answer.created = *created;
            }
            Event::Open { choice, part, kind } => {
                let said = begin(kind);
                self.choice(*choice).parts.push((*part, said));
            }
            Event::Delta { choice, part, text: more } => {
                if let Some(
                    Part::Text { text, .. }
                    | Part::Refusal { text }
                    | Part::Thinking { text, .. }
                    | Part::ToolCall { arguments: text, .. },
                ) = self.part(*choice, *part)
                {
                    text.push_str(more);
                }
            }
            Event::Signature { choice, part, signature: said } => {
                if let Some(Part::Thinking { signature, .. } | Part::ToolCall { signature, .. }) =
                    self.part(*choice, *part)
                {
                    *signature = Some(said.clone());
                }
            }
            Event::Citation { choice, part, value } => {
                if let Some(Part::Text { citations, .. }) = self.part(*choice, *part)
                    && let Value::Array(list) = citations.get_or_insert_with(|| Value::Array(Vec::new()))
                {
                    list.push(value.clone());
                }
            }
            Event::Logprobs { choice, value } => {
                let known = &mut self.choice(*choice).choice.logprobs;
                match known {
                    Some(known) => join(known, value),
                    None => *known = Some(value.clone()),
                }
            }
            Event::Close { .. } | Event::Ping => {}
            Event::Finish { choice, finish, native, stop_text, rest } => {
                let said = &mut self.choice(*choice).choice;
                said.finish = *finish;
                said.native_finish.clone_from(native);
                said.stop_text.clone_from(stop_text);
                said.rest.clone_from(rest);
            }
            Event::Usage(usage) => self.answer.usage.update(usage),
            Event::Error(error) => self.error = Some(error.clone()),
            Event::End => self.ended = true,
        }
    }

    /// Whether the stream is whole.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The error that ended it.
    pub fn error(&self) -> Option<&ApiError> {
        self.error.as_ref()
    }

    /// What it said, also where it is not whole.
    pub fn into_answer(self) -> Answer {
        let mut answer = self.answer;
        answer.choices = self
            .choices
            .into_iter()
            .map(|Gathering { mut choice, mut parts }| {
                parts.sort_by_key(|(number, _)| *number);
                choice.parts = parts.into_iter().map(|(_, part)| part).collect();
                choice
            })
            .collect();
        answer.choices.sort_by_key(|choice| choice.index);
        answer
    }

    fn choice(&mut self, index: u32) -> &mut Gathering {
        let at = self.choices.iter().position(|known| known.choice.index == index).unwrap_or_else(|| {
            self.choices.push(Gathering {
                choice: Choice {
                    index,
                    parts: Vec::new(),
                    finish: Finish::default(),
                    native_finish: None,
                    stop_text: None,
                    logprobs: None,
                    rest: Map::new(),
                },
                parts: Vec::new(),
            });
            self.choices.len() - 1
        });
        // The place was found, or made, right above.
        &mut self.choices[at]
    }

    fn part(&mut self, choice: u32, part: u32) -> Option<&mut Part> {
        let choice = self.choices.iter_mut().find(|known| known.choice.index == choice)?;
        choice.parts.iter_mut().rfind(|(number, _)| *number == part).map(|(_, part)| part)
    }
}

fn begin(kind: &PartKind) -> Part {
    match kind {
        PartKind::Text => Part::text(""),
        PartKind::Refusal => Part::Refusal { text: String::new() },
        PartKind::Thinking { id } => Part::Thinking { text: String::new(), signature: None, id: id.clone() },
        PartKind::RedactedThinking { data } => Part::RedactedThinking { data: data.clone() },
        PartKind::ToolCall { id, name } => Part::ToolCall {
            id: id.clone(),
            name: name.clone(),
            arguments: String::new(),
            signature: None,
            cache: None,
        },
        PartKind::Media { part } => part.clone(),
        PartKind::Other { dialect, value } => Part::Other { dialect: *dialect, value: value.clone() },
    }
}

/// Joins OpenAI's `logprobs` of chunks: lists grow, other members are replaced.
fn join(known: &mut Value, more: &Value) {
    let (Value::Object(known), Value::Object(more)) = (known, more) else { return };
    for (name, value) in more {
        match (known.get_mut(name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
            (Some(_), Value::Null) => {}
            _ => _ = known.insert(name.clone(), value.clone()),
        }
    }
}
