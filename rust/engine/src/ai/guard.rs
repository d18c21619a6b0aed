//! Guards over a call: what the client sends is looked at before anything else sees it, what the model answers on its way.

use std::{collections::HashMap, fmt, sync::Arc};

use tidegate_dialect::{
    Answer, ApiError, ChatRequest, ErrorKind, Event, Fault, Part, PartKind, Surface, texts::Texts,
};
use tidegate_guard::{Blocked, Direction, Guards, Restorer, StreamScan, Vault, Verdict, Written};

use super::{Desk, call::Call, errors};

/// The guards of one call, and what they took out of it.
#[derive(Clone)]
pub struct Guarding {
    guards: Arc<Guards>,
    chosen: Vec<u32>,
    vault: Vault,
}

impl fmt::Debug for Guarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarding").field("chosen", &self.chosen).finish_non_exhaustive()
    }
}

/// Looks at what the client sent. `Some`: another body takes its place, for surfaces without a chat form; chats are
/// edited where they stand in the call.
pub fn request(
    desk: &Desk<'_>,
    call: &mut Call,
    body: &[u8],
    request_id: &str,
) -> Result<Option<Vec<u8>>, ApiError> {
    let ai = desk.ai;
    let mut chosen = desk.on.guards.clone();
    if let Some(index) = call.key {
        chosen.extend(&ai.plan.keys[index as usize].guards);
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let mut guarding = Guarding { guards: ai.guards.clone(), chosen, vault: Vault::default() };
    let mut edited = None;
    if guarding.guards.look_at(&guarding.chosen, Direction::Request) {
        let bad = |fault: &Fault| errors::from_fault(fault, request_id);
        let masked = if call.surface.is_chat() || call.surface == Surface::CountTokens {
            let chat = call.chat(body).map_err(|fault| bad(&fault))?;
            guarding.chat(chat)
        } else if call.scan.is_some() {
            let mut texts = Texts::parse(body).map_err(|fault| bad(&fault))?;
            let masked = guarding.texts(&mut texts);
            if matches!(masked, Ok(1..)) {
                let mut out = Vec::with_capacity(body.len());
                texts.write(&mut out);
                call.scan = Some(tidegate_dialect::scan::scan(&out).map_err(|fault| bad(&fault))?);
                edited = Some(out);
            }
            masked
        } else {
            Ok(0)
        };
        match masked {
            Ok(0) => {}
            Ok(_) => {
                call.is_edited = edited.is_none();
                call.facts.guard = guarding.names();
                count(desk, call);
            }
            Err(blocked) => {
                let name = guarding.guards.name(blocked.guard).to_owned();
                let text = format!("The request was refused by the guard `{name}` ({}).", blocked.kind);
                call.facts.guard = name;
                call.facts.reason = "guard_blocked";
                count(desk, call);
                let mut error = ApiError::new(400, ErrorKind::ContentFilter, text);
                error.code = Some("guard_blocked".into());
                return Err(error);
            }
        }
    }
    if !guarding.vault.is_empty() || guarding.guards.look_at(&guarding.chosen, Direction::Response) {
        call.guarding = Some(guarding);
    }
    Ok(edited)
}

fn count(desk: &Desk<'_>, call: &Call) {
    let slots = &desk.ai.models[call.model as usize].slots;
    desk.worker.metrics.ai_guarded(slots.first().copied().unwrap_or(0));
}

impl Guarding {
    fn names(&self) -> String {
        let names: Vec<&str> = self.chosen.iter().map(|guard| self.guards.name(*guard)).collect();
        names.join(",")
    }

    fn text(&mut self, text: &mut String) -> Result<u32, Blocked> {
        match self.guards.scan(&self.chosen, Direction::Request, text, &mut self.vault) {
            Verdict::Pass => Ok(0),
            Verdict::Masked(places) => Ok(places),
            Verdict::Blocked(blocked) => Err(blocked),
        }
    }

    fn chat(&mut self, chat: &mut ChatRequest) -> Result<u32, Blocked> {
        let mut masked = 0;
        for message in &mut chat.messages {
            masked += self.parts(&mut message.parts)?;
        }
        Ok(masked)
    }

    fn parts(&mut self, parts: &mut [Part]) -> Result<u32, Blocked> {
        let mut masked = 0;
        for part in parts {
            masked += match part {
                Part::Text { text, .. } | Part::Refusal { text } => self.text(text)?,
                Part::ToolCall { arguments, .. } => self.text(arguments)?,
                Part::ToolResult { parts, .. } => self.parts(parts)?,
                Part::File { media: tidegate_dialect::Media::Text { text }, .. } => self.text(text)?,
                // Signed thoughts may not be changed; pictures and sounds are not read.
                _ => 0,
            };
        }
        Ok(masked)
    }

    fn texts(&mut self, texts: &mut Texts) -> Result<u32, Blocked> {
        let mut masked = 0;
        texts.each(|text| {
            masked += self.text(text)?;
            Ok(())
        })?;
        Ok(masked)
    }

    /// What looks at the answer.
    pub fn answers(&self) -> AnswerGuard {
        AnswerGuard { guarding: self.clone(), open: HashMap::new() }
    }
}

/// Looks at one answer, whole or in events.
#[derive(Debug)]
pub struct AnswerGuard {
    guarding: Guarding,
    open: HashMap<(u32, u32), Watch>,
}

#[derive(Debug)]
struct Watch {
    scan: Option<StreamScan>,
    restorer: Restorer,
}

impl AnswerGuard {
    /// Looks at a whole answer and edits it. `Err`: it must not pass.
    pub fn answer(&mut self, answer: &mut Answer) -> Result<(), ApiError> {
        for choice in &mut answer.choices {
            for part in &mut choice.parts {
                match part {
                    Part::Text { text, .. } | Part::Thinking { text, .. } | Part::Refusal { text } => {
                        self.whole(text, Written::Plain)?;
                    }
                    Part::ToolCall { arguments, .. } => self.whole(arguments, Written::Json)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn whole(&mut self, text: &mut String, written: Written) -> Result<(), ApiError> {
        let Guarding { guards, chosen, vault } = &mut self.guarding;
        if let Verdict::Blocked(blocked) =
            guards.scan(chosen, Direction::Response, text, &mut Vault::default())
        {
            return Err(refusal(guards, blocked));
        }
        vault.restore(text, written);
        Ok(())
    }

    /// Looks at an event and puts what becomes of it into `out`. `Err`: the answer must not go on.
    pub fn event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), ApiError> {
        match event {
            Event::Open { choice, part, kind } => {
                let written =
                    if matches!(kind, PartKind::ToolCall { .. }) { Written::Json } else { Written::Plain };
                let scan = StreamScan::new(&self.guarding.guards, &self.guarding.chosen);
                let restorer = self.guarding.vault.restorer(written);
                self.open.insert((choice, part), Watch { scan, restorer });
                out.push(Event::Open { choice, part, kind });
            }
            Event::Delta { choice, part, text } => {
                let text = match self.open.get_mut(&(choice, part)) {
                    None => text,
                    Some(watch) => {
                        watch.push(&text).map_err(|blocked| refusal(&self.guarding.guards, blocked))?
                    }
                };
                if !text.is_empty() {
                    out.push(Event::Delta { choice, part, text });
                }
            }
            Event::Close { choice, part } => {
                self.close(choice, part, out)?;
                out.push(Event::Close { choice, part });
            }
            Event::Finish { .. } | Event::End => {
                let open: Vec<_> = self.open.keys().copied().collect();
                for (choice, part) in open {
                    self.close(choice, part, out)?;
                }
                out.push(event);
            }
            event => out.push(event),
        }
        Ok(())
    }

    fn close(&mut self, choice: u32, part: u32, out: &mut Vec<Event>) -> Result<(), ApiError> {
        let Some(mut watch) = self.open.remove(&(choice, part)) else { return Ok(()) };
        let text = watch.finish().map_err(|blocked| refusal(&self.guarding.guards, blocked))?;
        if !text.is_empty() {
            out.push(Event::Delta { choice, part, text });
        }
        Ok(())
    }
}

impl Watch {
    fn push(&mut self, delta: &str) -> Result<String, Blocked> {
        let mut passed = String::with_capacity(delta.len());
        match &mut self.scan {
            None => passed.push_str(delta),
            Some(scan) => drop(scan.push(delta, &mut passed)?),
        }
        let mut out = String::with_capacity(passed.len());
        self.restorer.push(&passed, &mut out);
        Ok(out)
    }

    fn finish(&mut self) -> Result<String, Blocked> {
        let mut passed = String::new();
        if let Some(scan) = &mut self.scan {
            scan.finish(&mut passed)?;
        }
        let mut out = String::new();
        self.restorer.push(&passed, &mut out);
        self.restorer.finish(&mut out);
        Ok(out)
    }
}

fn refusal(guards: &Guards, blocked: Blocked) -> ApiError {
    let name = guards.name(blocked.guard);
    let text = format!("The answer was stopped by the guard `{name}` ({}).", blocked.kind);
    let mut error = ApiError::new(400, ErrorKind::ContentFilter, text);
    error.code = Some("guard_blocked".into());
    error
}
