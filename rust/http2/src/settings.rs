//! What one side of a connection allows the other.

use crate::Limits;

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Streams are opened by the peer.
    Server,
    /// Streams are opened here.
    Client,
}

/// The sizes of a connection. What the peer is told of them stands in the first SETTINGS frame.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Streams that may be open at once; for a client the most it opens whatever the peer allows.
    pub max_streams: u32,
    /// Bytes of a message's body that may wait here, per stream (RFC 9113 §6.9.2). Up to 2^31 - 1.
    pub stream_window: u32,
    /// Bytes of all bodies together; never less than the 65,535 that a connection starts with.
    pub connection_window: u32,
    /// The largest frame payload that is taken, 16,384 to 2^24 - 1.
    pub max_frame: u32,
    /// The largest field section, counted as RFC 9113 §6.5.2 does: 32 bytes for each field beside name and value.
    pub header_list_bytes: u32,
    /// Bytes of the peer's dynamic table that are kept (RFC 7541 §4.2).
    pub header_table: u32,
    /// While more than this waits in the output, no message is written.
    pub output_bytes: usize,
    /// For a client: whether `:scheme` is `https`.
    pub scheme_https: bool,
    /// What the peer may do beside sending messages.
    pub limits: Limits,
}

impl Default for Settings {
    /// A profile for the open Internet: 128 streams are what browsers and proxies have at most, 64 KiB of each and
    /// 1 MiB of all bound what waits here, and 32 KiB hold the same heads as over HTTP/1.1.
    fn default() -> Self {
        Self {
            max_streams: 128,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            max_frame: 16 * 1024,
            header_list_bytes: 32 * 1024,
            header_table: 4096,
            output_bytes: 64 * 1024,
            scheme_https: false,
            limits: Limits::default(),
        }
    }
}
