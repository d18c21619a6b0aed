//! Byte streams: the only place that knows what a connection is made of.
//!
//! Kept small so that another way of doing I/O can stand behind it.

pub mod h2;
pub mod listen;
#[cfg(feature = "memory")]
pub mod memory;
mod stream;
pub mod tls;

pub use listen::Acceptor;
pub use stream::{ConnectFault, Stream, Target, connect_outside, connect_secure};
