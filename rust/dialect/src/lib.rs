//! LLM dialects to and from one chat form: requests, answers, streams, errors, usage, prices.
//!
//! Knows: JSON, server-sent events, what each provider's words mean.
//! Never: sockets, clocks, keys, which model is asked.
//!
//! Each dialect has one module with the same functions (`parse_request`, `write_request`, `parse_answer`,
//! `write_answer`, `parse_error`, `write_error`, a `Reader` and a `Writer` of stream events), and [`Dialect`] chooses among
//! them; so N dialects cost N, and nothing knows of pairs. Where both sides speak one dialect nothing is
//! translated: `splice` edits the bytes.

pub mod anthropic;
pub mod bedrock;
pub mod canonical;
mod carry;
pub mod chat;
pub mod cohere;
pub mod convert;
mod dialect;
mod effort;
pub mod embeddings;
pub mod error;
pub mod estimate;
pub mod event;
pub mod gemini;
pub mod headers;
mod ids;
pub mod json;
pub mod load;
mod media;
pub mod mistral;
pub mod ollama;
pub mod openai;
pub mod prefix;
pub mod price;
mod reach;
pub mod responses;
pub mod scan;
mod sequence;
pub mod sigv4;
pub mod splice;
pub mod sse;
pub mod surface;
pub mod texts;
mod turns;
pub mod usage;
pub mod usage_scan;
mod when;

pub use chat::{
    Answer, CacheControl, ChatRequest, Choice, Finish, Media, Message, Part, Reasoning, ResponseFormat, Role,
    Tool, ToolChoice,
};
pub use convert::{Gather, replay};
pub use dialect::{Dialect, EventReader, EventWriter};
pub use error::{ApiError, ErrorKind, Fault};
pub use event::{Event, PartKind};
pub use surface::Surface;
pub use usage::{Source, Usage};

/// What a request for a provider is written with, beside the conversation itself.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
    /// Whether the answer is to be a stream. (Gemini and Converse say it by the path; then it is not written.)
    pub stream: bool,
    /// Tokens to ask for where the client named no bound and the dialect needs one (Anthropic).
    pub max_tokens: u64,
    /// What the target can't do is left out and named in [`Written`], instead of being refused.
    pub drop_unsupported: bool,
}

/// What came of writing a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Names of the chat form's fields that the target can't take and that were left out: `logit_bias`, `seed`.
    pub dropped: Vec<String>,
}

impl Written {
    /// Names who asks and why as left out: they change no answer, so nobody is refused for them.
    pub(crate) fn leave_out_labels(&mut self, request: &ChatRequest) {
        for (field, there) in [("user", request.user.is_some()), ("metadata", request.metadata.is_some())] {
            if there {
                self.dropped.push(field.to_owned());
            }
        }
    }

    /// A field that the target can't take: left out and named, or a fault of kind `Unsupported`. What changes no answer
    /// is left out without a word; what stands for a part of the conversation is never left out.
    pub fn drop(&mut self, target: &Target<'_>, field: &str) -> Result<(), Fault> {
        if HINTS.contains(&field) {
            Ok(())
        } else if STATE.contains(&field) {
            Err(Fault::stateful(field))
        } else if target.drop_unsupported {
            self.dropped.push(field.to_owned());
            Ok(())
        } else {
            Err(Fault::unsupported(field))
        }
    }
}

/// Top-level fields that change what a provider keeps, counts or charges, never what it answers.
pub(crate) const HINTS: &[&str] = &[
    "store",
    "include",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
];

/// Top-level fields that build on what OpenAI keeps between calls. Without them it would be another conversation.
pub(crate) const STATE: &[&str] = &["previous_response_id", "conversation", "prompt", "background"];

/// What an answer for a client is written with, beside the answer itself.
#[derive(Debug, Clone)]
pub struct Reply<'a> {
    /// The name by which the client asked for the model.
    pub model: &'a str,
    /// The request's id, for dialects whose answers carry one where the provider gave none.
    pub id: &'a str,
    /// Seconds since 1970, where the provider gave no time.
    pub created: u64,
    /// Whether a stream is to carry usage (OpenAI's `stream_options.include_usage`).
    pub include_usage: bool,
}
