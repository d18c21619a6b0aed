//! HTTP's nouns, whatever the version: a head is bytes plus the spans of its parts.
//!
//! Knows: methods, fields, targets, which fields belong to one hop.
//! Never: sockets, framing on the wire, configuration, time.

mod field;
mod head;
mod method;

pub use field::{Field, Known, hop_by_hop, list_members};
pub use head::{RequestHead, ResponseHead, Span, Version};
pub use method::Method;
