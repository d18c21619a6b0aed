//! OpenAI chat completions, and all who are compatible: requests, answers, streams, errors.
//!
//! Fields follow the official SDK's types (`openai` on PyPI). Words of compatibles that are read too: `reasoning_content`
//! (DeepSeek, vLLM), `reasoning` and `reasoning_details` (OpenRouter), `thinking_blocks` (signed thoughts of Anthropic,
//! kept through OpenAI-speaking clients), `extra_content.google.thought_signature` (the same of Gemini, on a call).

mod answer;
mod content;
pub(crate) mod errors;
mod read_request;
mod stream_read;
mod stream_write;
pub(crate) mod usage;
mod write_request;

pub use answer::{parse_answer, write_answer};
pub use errors::{parse_error, write_error};
pub use stream_read::Reader;
pub use stream_write::Writer;

pub(crate) use answer::{finish_of, write_answer_as};
pub(crate) use read_request::parse_request_as;
pub(crate) use write_request::write_request_as;

use crate::{ChatRequest, Dialect, Fault, Target, Written};

/// Who of the family: Mistral's words are OpenAI's but for a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// OpenAI and the compatibles.
    OpenAi,
    /// Mistral.
    Mistral,
}

impl Flavour {
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi => Dialect::OpenAi,
            Self::Mistral => Dialect::Mistral,
        }
    }
}

/// Whether blocks and tools of that dialect are this family's words.
pub(crate) fn in_family(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAi | Dialect::Mistral)
}

/// Reads a client's request.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    parse_request_as(Flavour::OpenAi, body)
}

/// Appends the body of a request to a provider.
pub fn write_request(
    request: &ChatRequest,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write_request_as(Flavour::OpenAi, request, target, out)
}

/// Whether a name is one of OpenAI's own reasoning models (`o3-mini`, `gpt-5`), which know only the newer words:
/// `max_completion_tokens`, the developer role. Compatibles know only the older ones, and both are told apart by nothing
/// else in a request.
pub(crate) fn is_newer(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let number = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        text.get(..digits).and_then(|digits| digits.parse::<u32>().ok())
    };
    match (name.strip_prefix("gpt-"), name.strip_prefix('o')) {
        (Some(rest), _) => number(rest).is_some_and(|generation| generation >= 5),
        (_, Some(rest)) => number(rest).is_some(),
        _ => false,
    }
}

/// Whether a name is one of OpenAI's own models, which refuse what they don't know; compatibles ignore it, or take it.
pub(crate) fn is_own(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let family = name.strip_prefix("gpt-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    family || name.starts_with("chatgpt-") || is_newer(model)
}

#[cfg(test)]
mod tests;
