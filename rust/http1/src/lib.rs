//! Turns bytes into HTTP/1.1 heads and bodies and back, and names why it refuses the rest.
//!
//! Knows: bytes, heads, framing, named refusals.
//! Never: sockets, clocks, routing.
//!
//! The tokens are split by `httparse`; what decides (framing, limits, forms of the target, what is
//! forwarded) is here. Where two readings of a message are possible it is refused, never repaired.

mod authority;
mod cause;
mod chunk;
mod copy;
mod diagnose;
mod fault;
mod framing;
pub mod proxy_header;
pub mod proxy_protocol;
mod refusal;
mod request;
mod response;
mod split;
mod target;
mod trailer;

pub use chunk::{ChunkDecoder, ChunkLimits, ChunkStep, LAST_CHUNK, chunk_size_line};
pub use copy::{copy_request_fields, copy_response_fields};
pub use fault::{ChunkFault, ResponseFault};
pub use framing::{BodyLength, RequestFacts, ResponseFacts, request_facts, response_facts};
pub use refusal::Refusal;
pub use request::{parse_request, parse_request_after};
pub use response::{parse_response, parse_response_after};

/// How much of a head is taken before the message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head, with the start line and the empty line at its end.
    pub head_bytes: usize,
    /// Field lines.
    pub head_fields: usize,
}

impl Default for Limits {
    /// 32 KiB holds the largest cookies that browsers send with room to spare (RFC 9110 §5.4 leaves the
    /// bound to the server); 128 lines are about four times what a browser behind two proxies sends.
    fn default() -> Self {
        Self { head_bytes: 32 * 1024, head_fields: 128 }
    }
}
