//! Turns the frames of an HTTP/2 connection into HTTP/1.1 messages, one byte stream each way per stream, and back.
//!
//! Knows: frames, HPACK, flow control, which messages are malformed, what a peer may cost.
//! Never: sockets, clocks, tasks, routing.
//!
//! Inside Tidegate HTTP/1.1 text is the neutral form of a message, so that one journey serves all versions. A
//! [`Connection`] takes the peer's bytes and the time, and gives the bytes to send. What is malformed (RFC 9113 §8.1.1)
//! never becomes text.

mod budget;
mod chunks;
mod connection;
mod debt;
mod field;
mod frame;
mod heads;
mod hpack;
mod inbound;
mod outbound;
mod output;
mod reason;
mod receive;
mod request;
mod response;
mod settings;
mod stream;
mod streams;
mod text;
mod write;

pub use budget::{Allowance, Limits};
pub use connection::Connection;
pub use debt::Debt;
pub use hpack::{Broken, Decoder, Encoder, Line};
pub use reason::{ErrorCode, Fault, Over, Reason};
pub use settings::{Role, Settings};

/// What [`Connection::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes of the message stand in the buffer.
    Bytes(usize),
    /// Nothing now; [`Connection::woken`] names the stream when there is more.
    Pending,
    /// The message has been read to its end.
    End,
    /// The stream was reset, by either side.
    Reset(ErrorCode),
}

/// What became of what [`Connection::write`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// So many bytes were taken; the rest must be given again.
    Taken(usize),
    /// Windows or the output are full; [`Connection::woken`] names the stream when it may go on.
    Blocked,
    /// The stream was reset, by either side.
    Reset(ErrorCode),
    /// The text is no message that HTTP/2 can carry; nothing more can be written on this stream.
    Malformed,
}
