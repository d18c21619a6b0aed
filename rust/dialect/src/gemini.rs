//! Gemini `generateContent`, its stream and its neighbours, for clients and for providers (Vertex speaks the same).
//!
//! Requests may spell fields in camel or in snake case, as the API lets them; what is written is camel case. Calls and
//! their results carry ids always: those that the text had, else made ones. A `thoughtSignature` stays where it was: a
//! call keeps its own, that of any other part stands before it as a thought without words.
//!
//! Left out where it is read, since no other dialect could use it: `partMetadata`, the `response` schemas of
//! function declarations, and function arguments streamed in pieces (which clients have to ask for).

mod answer;
mod count;
mod errors;
mod finish;
mod logprobs;
mod parse;
mod parts;
mod reader;
mod schema;
mod usage;
mod write;
mod writer;

pub use answer::{parse_answer, write_answer};
pub use count::{parse_count, write_count, write_models};
pub use errors::{parse_error, write_error};
pub use parse::parse_request;
pub use reader::Reader;
pub use write::write_request;
pub use writer::Writer;

#[cfg(test)]
mod tests;
