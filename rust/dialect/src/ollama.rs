//! Ollama's own `/api/chat` and `/api/generate`, for clients and for providers.
//!
//! A `generate` request is read as one message of the user, and its answers are written with [`write_generate`] and
//! [`Writer::generate`]; providers are always asked with `chat`. Streams are the default. Calls and results carry ids
//! always (newer servers know them, older ones skip them): those that the text had, else made ones.

mod answer;
mod errors;
mod lists;
mod messages;
mod parse;
mod reader;
mod write;
mod writer;

pub use answer::{parse_answer, write_answer, write_generate};
pub use errors::{parse_error, write_error};
pub use lists::{write_tags, write_version};
pub use parse::parse_request;
pub use reader::Reader;
pub use write::write_request;
pub use writer::Writer;

#[cfg(test)]
mod tests;
