//! A model without an account: it says back what it was told, so that a first call works before anything is configured.

use tidegate_dialect::{Answer, ChatRequest, Choice, Finish, Part, Role, Source, Usage};
use tidegate_plan::FallbackCause;

use super::{
    call::Call,
    errors::{self, Lost, LostCause},
    tap::Tap,
};

/// Answers a call. Streams come word by word, all at once.
pub fn answer(call: &Call, request_id: &str) -> Result<Tap, Lost> {
    let Some(chat) = call.chat.as_ref().filter(|_| call.surface.is_chat()) else {
        let fault = tidegate_dialect::Fault::unsupported(call.surface.as_str());
        let error = errors::from_fault(&fault, request_id);
        let cause = LostCause::Other(FallbackCause::Down);
        return Err(Lost { cause, error, reason: "unsupported", retry_after_ms: None, stale: false });
    };
    let text = last_words(chat);
    let usage = Usage {
        source: Source::Estimated,
        input: Some(call.input_estimate),
        output: Some(text.len().div_ceil(4) as u64),
        ..Usage::default()
    };
    let choice = Choice {
        index: 0,
        parts: vec![Part::text(text)],
        finish: Finish::Stop,
        native_finish: None,
        stop_text: None,
        logprobs: None,
        rest: Default::default(),
    };
    let answer = Answer {
        id: format!("chatcmpl-{request_id}"),
        model: "echo".into(),
        created: Some(call.started_ms / 1000),
        choices: vec![choice],
        usage,
        rest: Default::default(),
    };
    let mut tap = Tap::new(call, tidegate_dialect::Dialect::OpenAi, false, request_id, false);
    tap.answer(&answer);
    Ok(tap)
}

/// What the person said last.
fn last_words(chat: &ChatRequest) -> String {
    let said = chat.messages.iter().rev().find(|message| message.role == Role::User);
    let texts = said.into_iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let said = texts.collect::<Vec<_>>().join("\n");
    if said.is_empty() { "You said nothing.".to_owned() } else { said }
}
