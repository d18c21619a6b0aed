//! The chat form of a stream: what comes, in order, whatever the provider's words for it.

use serde_json::{Map, Value};

use crate::{ApiError, Finish, Usage};

/// What happens in a stream. The order that readers guarantee and writers rely on: `Start`, then for each part
/// `Open`, its deltas, `Close` (parts of one choice one after the other in order of `part`, except that calls may be open
/// side by side), then `Finish` for each choice, `Usage` at any place (the last one holds), and `End` once. `Error` ends a
/// stream without `End`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The first.
    Start {
        /// The provider's id; empty where it gave none.
        id: String,
        /// The model that answers, in the provider's word.
        model: String,
        /// Seconds since 1970, where the provider said.
        created: Option<u64>,
    },
    /// A part begins.
    Open {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice, from 0, counting up.
        part: u32,
        /// What it is.
        kind: PartKind,
    },
    /// More of an open part: text, thinking, a refusal, or the JSON text of arguments.
    Delta {
        /// Index of the choice.
        choice: u32,
        /// Index of the part.
        part: u32,
        /// May be any piece of it.
        text: String,
    },
    /// The signature of an open thinking part, or of a call.
    Signature {
        /// Index of the choice.
        choice: u32,
        /// Index of the part.
        part: u32,
        /// Opaque, and whole.
        signature: String,
    },
    /// A citation or annotation to an open text part, in the provider's form.
    Citation {
        /// Index of the choice.
        choice: u32,
        /// Index of the part.
        part: u32,
        /// The provider's object.
        value: Value,
    },
    /// Token probabilities (OpenAI's `logprobs` object of a chunk).
    Logprobs {
        /// Index of the choice.
        choice: u32,
        /// The object.
        value: Value,
    },
    /// A part is whole.
    Close {
        /// Index of the choice.
        choice: u32,
        /// Index of the part.
        part: u32,
    },
    /// A choice is whole.
    Finish {
        /// Index of the choice.
        choice: u32,
        /// Why.
        finish: Finish,
        /// In the provider's word.
        native: Option<String>,
        /// The stop text that ended it.
        stop_text: Option<String>,
        /// Safety ratings and the like.
        rest: Map<String, Value>,
    },
    /// What it took so far; the last one holds.
    Usage(Usage),
    /// Nothing, to keep the connection alive.
    Ping,
    /// The provider failed after it had begun.
    Error(ApiError),
    /// The stream is whole.
    End,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartKind {
    /// Words.
    Text,
    /// Thought.
    Thinking {
        /// The item's id (OpenAI responses).
        id: Option<String>,
    },
    /// Hidden thought, whole.
    RedactedThinking {
        /// Opaque.
        data: String,
    },
    /// The model declines.
    Refusal,
    /// A call; its arguments come as deltas.
    ToolCall {
        /// Ties the result to it.
        id: String,
        /// The tool.
        name: String,
    },
    /// Sound or a picture in the answer, whole.
    Media {
        /// As a part of an answer.
        part: crate::Part,
    },
    /// A block that only its own dialect knows, whole.
    Other {
        /// Whose.
        dialect: crate::Dialect,
        /// The block.
        value: Value,
    },
}
