//! The access log and the error log: lines that workers put together and that a thread of its own writes.
//!
//! A worker formats a line into a buffer of its own ([`Lines`]), hands the buffer over when it is full or old enough,
//! and gets an emptied one back. Nothing here makes a worker wait: where the writer can't keep up, lines are dropped
//! and counted.

mod calendar;
mod combined;
pub(crate) mod escape;
mod format;
mod json;
mod lines;
pub(crate) mod number;
mod queue;
mod record;
mod sink;
mod syslog;
mod tell;
mod template;
mod writer;
mod zone;

pub use format::Format;
pub use lines::Lines;
pub use record::Record;
pub use tell::{flush_told, tell};
pub use writer::Log;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
