//! Cohere v2 chat, for clients and for providers.
//!
//! An assistant's words beside calls are Cohere's `tool_plan`. A named tool, or a list of allowed ones, is asked for by
//! telling Cohere of no others. Signatures of calls travel in the ids of clients' calls; those of
//! thoughts have no place and are left out.

mod answer;
mod errors;
mod messages;
mod parse;
mod reader;
mod write;
mod writer;

pub use answer::{parse_answer, write_answer};
pub use errors::{parse_error, write_error};
pub use parse::parse_request;
pub use reader::Reader;
pub use write::write_request;
pub use writer::Writer;

#[cfg(test)]
mod tests;
