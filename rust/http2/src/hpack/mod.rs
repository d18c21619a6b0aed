//! HPACK (RFC 7541): field lines, compressed.
//!
//! A field line is kept and handed over as HTTP/1.1 writes it, `name: value` and CRLF, so that a line which comes out of a
//! table is one copy.

mod decode;
mod encode;
mod huffman;
mod integer;
mod statics;
mod table;

pub use decode::{Broken, Decoder, Line};
pub use encode::Encoder;
