//! The dialect of Bedrock's Converse, for clients and for providers.
//!
//! The model and whether the answer is a stream are in the path, not in the body. What is translated with a choice in it:
//! - A cache's breakpoint is a block of its own here, and a mark on the block before it in the chat form.
//! - There is no choice of tools `none`: the tools are left out, unless the conversation has calls already (then Converse
//!   wants them declared, and the choice is refused or dropped). Calls in a conversation without tools are declared
//!   from their names.
//! - Pictures by URL can't be said, but for `s3://`.
//! - Claude's thinking and `top_k` go into `additionalModelRequestFields`, effort into `outputConfig`; see
//!   `anthropic::reasoning` for budgets. Other models take effort alone.
//! - The end user becomes the label `user` of `requestMetadata`.

mod answer;
mod blocks;
mod errors;
pub mod frames;
mod media;
mod parse;
mod reader;
mod write;
mod writer;

pub use answer::{parse_answer, parse_count, write_answer, write_count};
pub use errors::{error_type, parse_error, write_error};
pub use parse::{parse_count_request, parse_request};
pub use reader::Reader;
pub use write::{write_count_request, write_request};
pub use writer::Writer;

#[cfg(test)]
mod tests;
