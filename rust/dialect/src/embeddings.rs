//! Vectors of texts: one form of requests and answers for all dialects.

/// Whose words an embeddings body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// OpenAI's, and those of all who are compatible.
    OpenAi,
    /// Gemini's `embedContent`.
    GeminiOne,
    /// Gemini's `batchEmbedContents`.
    GeminiMany,
    /// Cohere's v2.
    Cohere,
    /// Ollama's `/api/embed`.
    Ollama,
    /// Ollama's older `/api/embeddings`.
    OllamaOne,
    /// Mistral's: OpenAI's but for the names of dimension and type.
    Mistral,
}
