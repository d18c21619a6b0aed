//! Writes a stream of chat completion chunks.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Flavour;
use super::answer::{annotation, answer_id, image_of, thinking_block, word_of, write_native, write_rest};
use super::errors::write_into;
use super::usage::write_usage;
use crate::carry::{Home, signed_id};
use crate::json::{Object, append_string};
use crate::sse::{sse_comment, sse_data};
use crate::{Event, Part, PartKind, Reply, Usage};

/// Turns events into the stream that a client reads: a chunk with the role, chunks with what is said, one with the reason of
/// the end for each choice, one with usage and no choices where the client asked for it, `[DONE]`.
#[derive(Debug)]
pub struct Writer {
    flavour: Flavour,
    reply: Names,
    include_usage: bool,
    /// What all chunks begin with, up to `"choices":[`.
    head: Vec<u8>,
    usage: Usage,
    choices: Vec<Choice>,
    /// Mistral's last chunks, which carry the usage that may come behind them.
    ends: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Names {
    model: String,
    id: String,
    created: u64,
}

#[derive(Debug, Default)]
struct Choice {
    index: u32,
    /// Open parts.
    parts: Vec<(u32, Open)>,
    calls: u32,
}

#[derive(Debug)]
enum Open {
    Text,
    Refusal,
    /// What was thought, and its signature: a signed thought is told a second time, whole, so that clients can send it back.
    Thinking {
        text: String,
        signature: Option<String>,
    },
    Call(Call),
    Other,
}

#[derive(Debug)]
struct Call {
    number: u32,
    /// Id and name, before they are told: Mistral's ids carry the signature, which comes before the arguments.
    waiting: Option<(String, String)>,
    signature: Option<String>,
    /// Whether there were arguments.
    said: bool,
    /// Mistral's clients take calls whole: what they are called with so far.
    arguments: String,
}

impl Writer {
    /// For one client.
    pub fn new(reply: &Reply<'_>) -> Self {
        Self::of(Flavour::OpenAi, reply)
    }

    pub(crate) fn of(flavour: Flavour, reply: &Reply<'_>) -> Self {
        Self {
            flavour,
            reply: Names { model: reply.model.to_owned(), id: reply.id.to_owned(), created: reply.created },
            include_usage: reply.include_usage && flavour == Flavour::OpenAi,
            head: Vec::new(),
            usage: Usage::default(),
            choices: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, created, .. } => {
                self.begin(id, *created);
                self.choice(0, out);
            }
            Event::Open { choice, part, kind } => self.open(*choice, *part, kind, out),
            Event::Delta { choice, part, text } => self.delta(*choice, *part, text, out),
            Event::Signature { choice, part, signature } => self.signature(*choice, *part, signature, out),
            Event::Citation { choice, value, .. } => {
                if let (Flavour::OpenAi, Some(value)) = (self.flavour, annotation(value)) {
                    self.chunk(*choice, &json!({"annotations": [value]}), out);
                }
            }
            Event::Logprobs { choice, value } => {
                self.choice(*choice, out);
                self.raw(
                    *choice,
                    out,
                    |delta| delta.extend_from_slice(b"{}"),
                    |object| _ = object.put("logprobs", value),
                );
            }
            Event::Close { choice, part } => self.close(*choice, *part, out),
            Event::Finish { choice, finish, native, rest, .. } => {
                self.choice(*choice, out);
                let word = word_of(self.flavour, *finish);
                let mut chunk = Vec::new();
                self.raw(
                    *choice,
                    &mut chunk,
                    |delta| delta.extend_from_slice(b"{}"),
                    |object| {
                        object.put("logprobs", &Value::Null).put("finish_reason", word);
                        write_native(native.as_deref(), object);
                        write_rest(rest, object);
                    },
                );
                if self.flavour == Flavour::Mistral {
                    self.ends.push(chunk);
                } else {
                    out.extend_from_slice(&chunk);
                }
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Ping => sse_comment("ping", out),
            Event::Error(error) => {
                let mut body = Vec::new();
                let mut object = Object::begin(&mut body);
                write_into(error, &mut object);
                object.end();
                sse_data(&body, out);
            }
            Event::End => self.end(out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut usage = Vec::new();
        let known = write_usage(&self.usage, &mut usage);
        let last = self.ends.len().saturating_sub(1);
        for (at, chunk) in std::mem::take(&mut self.ends).iter().enumerate() {
            if at == last && known {
                // Into the object, before its brace and the event's end.
                out.extend_from_slice(chunk.strip_suffix(b"}\n\n").unwrap_or(chunk));
                out.extend_from_slice(b",\"usage\":");
                out.extend_from_slice(&usage);
                out.extend_from_slice(b"}\n\n");
            } else {
                out.extend_from_slice(chunk);
            }
        }
        if self.include_usage && known {
            self.begin("", None);
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            out.extend_from_slice(&usage);
            out.extend_from_slice(b"}\n\n");
        }
        sse_data(b"[DONE]", out);
    }

    /// Fixes what all chunks begin with, once.
    fn begin(&mut self, id: &str, created: Option<u64>) {
        if !self.head.is_empty() {
            return;
        }
        let Names { model, id: request, created: now } = &self.reply;
        let reply = Reply { model, id: request, created: *now, include_usage: false };
        let mut head = b"data: {\"id\":".to_vec();
        append_string(&answer_id(id, &reply), &mut head);
        head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        head.extend_from_slice(created.unwrap_or(*now).to_string().as_bytes());
        head.extend_from_slice(b",\"model\":");
        append_string(model, &mut head);
        head.extend_from_slice(b",\"choices\":[");
        self.head = head;
    }

    /// The state of a choice; its first mention tells its role.
    fn choice(&mut self, index: u32, out: &mut Vec<u8>) -> usize {
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        self.begin("", None);
        self.choices.push(Choice { index, ..Choice::default() });
        let role: &[u8] = br#"{"role":"assistant","content":""}"#;
        self.raw(
            index,
            out,
            |delta| delta.extend_from_slice(role),
            |object| {
                object.put("logprobs", &Value::Null).put("finish_reason", &Value::Null);
            },
        );
        self.choices.len() - 1
    }

    fn find(&mut self, choice: u32, part: u32) -> Option<&mut Open> {
        let choice = self.choices.iter_mut().find(|known| known.index == choice)?;
        choice.parts.iter_mut().find(|(known, _)| *known == part).map(|(_, open)| open)
    }

    fn open(&mut self, choice: u32, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        let at = self.choice(choice, out);
        let own = self.flavour == Flavour::OpenAi;
        let open = match kind {
            PartKind::Text => Open::Text,
            PartKind::Refusal => Open::Refusal,
            PartKind::Thinking { .. } => Open::Thinking { text: String::new(), signature: None },
            PartKind::ToolCall { id, name } => {
                let Some(state) = self.choices.get_mut(at) else { return };
                let number = state.calls;
                state.calls = number.saturating_add(1);
                let waiting = if own {
                    self.chunk(choice, &call_delta(number, id, name, ""), out);
                    None
                } else {
                    Some((id.clone(), name.clone()))
                };
                Open::Call(Call { number, waiting, signature: None, said: false, arguments: String::new() })
            }
            PartKind::RedactedThinking { data } => {
                if own {
                    let block = json!({"type": "redacted_thinking", "data": data});
                    self.chunk(choice, &json!({"thinking_blocks": [block]}), out);
                }
                Open::Other
            }
            PartKind::Media { part: Part::Image { media, .. } } => {
                if let Some(image) = image_of(media).filter(|_| own) {
                    self.chunk(choice, &json!({"images": [image]}), out);
                }
                Open::Other
            }
            PartKind::Other { dialect: crate::Dialect::OpenAi, value } => {
                if let Some(audio) = value.get("audio").filter(|_| own) {
                    self.chunk(choice, &json!({"audio": audio}), out);
                }
                Open::Other
            }
            PartKind::Other { dialect: crate::Dialect::Mistral, value } if !own => {
                self.chunk(choice, &json!({"content": [value]}), out);
                Open::Other
            }
            PartKind::Media { .. } | PartKind::Other { .. } => Open::Other,
        };
        if let Some(state) = self.choices.get_mut(at) {
            state.parts.push((part, open));
        }
    }

    fn delta(&mut self, choice: u32, part: u32, text: &str, out: &mut Vec<u8>) {
        let mistral = self.flavour == Flavour::Mistral;
        let (before, behind): (&[u8], &[u8]) = match self.find(choice, part) {
            Some(Open::Text) => (b"{\"content\":", b"}"),
            Some(Open::Refusal) if mistral => (b"{\"content\":", b"}"),
            Some(Open::Refusal) => (b"{\"refusal\":", b"}"),
            Some(Open::Thinking { text: whole, .. }) => {
                whole.push_str(text);
                if mistral {
                    (
                        b"{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":",
                        b"}]}]}",
                    )
                } else {
                    (b"{\"reasoning_content\":", b"}")
                }
            }
            Some(Open::Call(call)) => {
                call.said |= !text.trim().is_empty();
                let number = call.number;
                if mistral {
                    call.arguments.push_str(text);
                } else {
                    self.arguments(choice, number, text, out);
                }
                return;
            }
            Some(Open::Other) | None => return,
        };
        self.told(choice, before, text, behind, out);
    }

    fn signature(&mut self, choice: u32, part: u32, signature: &str, out: &mut Vec<u8>) {
        match self.find(choice, part) {
            Some(Open::Thinking { signature: known, .. }) => *known = Some(signature.to_owned()),
            Some(Open::Call(call)) => {
                call.signature = Some(signature.to_owned());
                let number = call.number;
                if self.flavour == Flavour::OpenAi {
                    let extra = json!({"google": {"thought_signature": signature}});
                    self.chunk(
                        choice,
                        &json!({"tool_calls": [{"index": number, "extra_content": extra}]}),
                        out,
                    );
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        let Some(state) = self.choices.iter_mut().find(|known| known.index == choice) else { return };
        let Some(at) = state.parts.iter().position(|(known, _)| *known == part) else { return };
        match state.parts.swap_remove(at).1 {
            Open::Thinking { text, signature: Some(signature) } => {
                let delta = if self.flavour == Flavour::OpenAi {
                    json!({"thinking_blocks": [thinking_block(&text, Some(&signature))]})
                } else {
                    let signature = Home::Mistral.tell(&signature);
                    json!({"content": [{"type": "thinking", "thinking": [], "signature": signature, "closed": true}]})
                };
                self.chunk(choice, &delta, out);
            }
            // A call without arguments is one with an empty object: programs read them as JSON.
            Open::Call(call) if call.waiting.is_some() => {
                if let Some(whole) = call.whole() {
                    self.chunk(choice, &whole, out);
                }
            }
            Open::Call(call) if !call.said => self.arguments(choice, call.number, "{}", out),
            _ => {}
        }
    }

    fn arguments(&self, choice: u32, number: u32, text: &str, out: &mut Vec<u8>) {
        let before = format!("{{\"tool_calls\":[{{\"index\":{number},\"function\":{{\"arguments\":");
        self.told(choice, before.as_bytes(), text, b"}}]}", out);
    }

    fn chunk(&mut self, choice: u32, delta: &Value, out: &mut Vec<u8>) {
        self.choice(choice, out);
        self.chunk_of(choice, delta, out);
    }

    /// A chunk of a choice that has begun.
    fn chunk_of(&self, choice: u32, delta: &Value, out: &mut Vec<u8>) {
        self.raw(
            choice,
            out,
            |buffer| crate::json::append(delta, buffer),
            |object| {
                object.put("logprobs", &Value::Null).put("finish_reason", &Value::Null);
            },
        );
    }

    /// A chunk whose delta holds one text: the most frequent of all.
    fn told(&self, choice: u32, before: &[u8], text: &str, behind: &[u8], out: &mut Vec<u8>) {
        self.raw(
            choice,
            out,
            |delta| {
                delta.extend_from_slice(before);
                append_string(text, delta);
                delta.extend_from_slice(behind);
            },
            |object| _ = object.put("logprobs", &Value::Null).put("finish_reason", &Value::Null),
        );
    }

    fn raw(
        &self,
        choice: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Vec<u8>),
        more: impl FnOnce(&mut Object<'_>),
    ) {
        out.extend_from_slice(&self.head);
        let mut object = Object::begin(out);
        object.put("index", &choice);
        delta(object.key("delta"));
        more(&mut object);
        object.end();
        // OpenAI's way where usage was asked for: each chunk but the last says that it has none.
        out.extend_from_slice(if self.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" });
    }
}

impl Call {
    /// The delta that tells all of it at once.
    fn whole(self) -> Option<Value> {
        let (id, name) = self.waiting?;
        let id = match &self.signature {
            Some(carried) => signed_id(&id, Some(carried)),
            None => Cow::Borrowed(id.as_str()),
        };
        let arguments = if self.said { self.arguments.as_str() } else { "{}" };
        Some(call_delta(self.number, &id, &name, arguments))
    }
}

/// A delta that begins a call, or is all of it.
fn call_delta(number: u32, id: &str, name: &str, arguments: &str) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"tool_calls": [{"index": number, "id": id, "type": "function", "function": function}]})
}
