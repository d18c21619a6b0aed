//! Decides how much a key may have: token buckets, and caps on what is in flight.
//!
//! Knows: 64-bit keys, nanoseconds handed in, quotas.
//! Never: clocks, requests, configuration files, waiting.
//!
//! Every worker shares one [`Table`] and one [`Concurrency`]. Both are set-associative arrays of atomic words,
//! made once and never grown; a key that is there is charged by one compare-and-swap, without a lock.

mod concurrency;
mod headers;
mod quota;
mod slots;
mod table;

pub use concurrency::{Concurrency, Full};
pub use headers::{retry_after_seconds, write_limit, write_policy};
pub use quota::{Decision, Quota};
pub use table::Table;
