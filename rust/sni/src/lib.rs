//! Reads which name a TLS client asks for, and says what belongs to that name.
//!
//! Knows: records, the ClientHello and two of its extensions, host patterns.
//! Never: keys, certificates, sockets, what an upstream is.

mod hello;
mod names;

pub use hello::{Hello, HelloFault, UNRECOGNIZED_NAME, read};
pub use names::Names;
