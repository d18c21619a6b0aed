//! Vectors of texts: one form of requests and answers for all dialects, and small calls joined into one.

mod answer;
mod batch;
mod request;

pub use answer::{parse_answer, write_answer};
pub use batch::{can_merge, merge, split};
pub use request::{parse_request, write_request};

use serde_json::{Map, Value};

use crate::Usage;

/// Whose words an embeddings body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// OpenAI's, and those of all who are compatible.
    OpenAi,
    /// Gemini's `embedContent`: one input.
    GeminiOne,
    /// Gemini's `batchEmbedContents`.
    GeminiMany,
    /// Cohere's v2.
    Cohere,
    /// Ollama's `/api/embed`.
    Ollama,
    /// Ollama's older `/api/embeddings`: one input.
    OllamaOne,
    /// Mistral's: OpenAI's but for the name of the dimension.
    Mistral,
}

/// What is to become a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Words.
    Text(String),
    /// Tokens of the model's own vocabulary (OpenAI).
    Tokens(Vec<u64>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Lists of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64 (OpenAI).
    Base64,
}

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbedRequest {
    /// The model as the client named it.
    pub model: String,
    /// At least one.
    pub inputs: Vec<Input>,
    /// Numbers in a vector, where not the model's own.
    pub dimensions: Option<u64>,
    /// How the client wants them written. Providers are always asked for lists.
    pub encoding: Encoding,
    /// What the vectors are for: `query`, `document`, `similarity`, `classification`, `clustering`; other words pass.
    pub task: Option<String>,
    /// A title of the document (Gemini).
    pub title: Option<String>,
    /// The end user.
    pub user: Option<String>,
    /// Other fields; they survive towards a provider of the same words.
    pub rest: Map<String, Value>,
}

/// What comes back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbedAnswer {
    /// The model in the provider's word; empty where it did not say.
    pub model: String,
    /// One for each input, in order.
    pub vectors: Vec<Vec<f32>>,
    /// What it took.
    pub usage: Usage,
}

impl EmbedRequest {
    /// Estimated tokens of all inputs.
    pub fn estimate(&self) -> u64 {
        self.inputs
            .iter()
            .map(|input| match input {
                Input::Text(text) => crate::estimate::tokens_of_text(text),
                Input::Tokens(tokens) => tokens.len() as u64,
            })
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests;
