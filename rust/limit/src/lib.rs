//! Decides how much a key may have: token buckets, caps on what is in flight, least rates, and accounts that pay for calls.
//!
//! Knows: 64-bit keys, nanoseconds handed in, quotas; for accounts, amounts and UTC milliseconds handed in.
//! Never: clocks, requests, configuration files, waiting.
//!
//! Every worker shares one [`Table`] and one [`Concurrency`]. Both are set-associative arrays of atomic words,
//! made once and never grown; a key that is there is charged by one compare-and-swap, without a lock.
//! Every plan has its [`Accounts`], whose state outlives it.

mod account;
mod concurrency;
mod headers;
mod pace;
mod quota;
mod slots;
mod table;

pub use account::{AccountSpec, Accounts, Amounts, Exhausted, Metric, Reservation, View, Window};
pub use concurrency::{Concurrency, Full};
pub use headers::{retry_after_seconds, write_limit, write_policy};
pub use pace::{LeastRate, Pace};
pub use quota::{Decision, Quota};
pub use table::Table;
