//! What the targets of dialects share.

use tidegate_dialect::{Dialect, Reply};

/// All of them; an input's first byte picks one.
pub const DIALECTS: [Dialect; 8] = [
    Dialect::OpenAi,
    Dialect::Responses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Mistral,
    Dialect::Ollama,
];

/// Their names in the files of `tests/golden/dialect`, in the same order.
pub const NAMES: [&str; 8] =
    ["openai", "responses", "anthropic", "gemini", "bedrock", "cohere", "mistral", "ollama"];

/// What answers for clients are written with.
pub const REPLY: Reply<'static> = Reply { model: "m", id: "r", created: 1, include_usage: true };

/// The dialect that the first byte picks, and what is behind it.
pub fn picked(data: &[u8]) -> Option<(Dialect, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((DIALECTS[usize::from(*first) % DIALECTS.len()], rest))
}
