//! Decides what is kept of answers, for whom and until when, and keeps it.
//!
//! Knows: RFC 9111 and its neighbours, heads, keys, milliseconds handed in, bytes that are kept and bytes on their way.
//! Never: sockets, clocks, files, tasks, configuration files.
//!
//! A request goes through it in this order: its key ([`key`]), what is kept under it ([`Store::find`]), whether that
//! may be given ([`Freshness::may`]), both by [`decide::decide`]; else who fetches ([`Fills::join`]), whether what comes is
//! kept ([`decide::arrived`]), and the object that it becomes ([`fill::Lead::finish`]). [`present`] says what of it a client gets.

pub mod conditional;
mod control;
pub mod date;
pub mod decide;
pub mod fields;
pub mod fill;
mod freshness;
pub mod invalidate;
pub mod key;
mod object;
pub mod present;
mod purge;
pub mod range;
mod reason;
mod request;
pub mod status;
pub mod storable;
mod store;
#[doc(hidden)]
pub mod testing;
pub mod vary;

pub use control::ResponseControl;
pub use fill::Fills;
pub use freshness::{Asked, Freshness, Times, Use, explicit, is_heuristic};
pub use object::{Draft, INLINE_MOST, OVERHEAD, Object, Part};
pub use purge::{Purge, Purges, Standing, tag_hash, tags};
pub use reason::{Outcome, Reason};
pub use request::RequestFacts;
pub use store::{Figures, Found, Store};
