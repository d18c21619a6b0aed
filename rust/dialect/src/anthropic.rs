//! The dialect of Anthropic's messages, for clients and for providers.
//!
//! What is translated with a choice in it:
//! - Instructions that stand in the middle of a conversation go to the end of `system`, in their order, unless the client
//!   itself speaks this dialect (whose newer models take `system` turns where they stand).
//! - Turns of one role that follow each other become one; results of calls stand first in theirs.
//! - Thinking without a signature, empty texts and the white space behind a last assistant turn are left out: the API
//!   refuses them. An image's `detail` and a message's author in a tool's turn have no counterpart and change no meaning.
//! - A JSON Schema for the answer becomes `output_config.format`; any JSON object is asked for in words, in `system`.
//! - Reasoning: see `reasoning`. Call ids carry foreign signatures: see `carry`.
//! - A temperature above 1 (OpenAI's scale ends at 2) is refused, or becomes 1 where dropping is allowed.

mod answer;
mod blocks;
mod errors;
mod parse;
mod reader;
pub(crate) mod reasoning;
mod write;
mod writer;

pub use answer::{parse_answer, parse_count, write_answer, write_count};
pub use errors::{parse_error, write_error};
pub use parse::parse_request;
pub use reader::Reader;
pub use write::{write_count_request, write_request};
pub use writer::Writer;

pub(crate) use blocks::{arguments_or_empty, media_type_of, object_text};
pub(crate) use errors::kind_of_message;
pub(crate) use write::{JSON_ONLY, object_schema};

#[cfg(test)]
mod tests;
