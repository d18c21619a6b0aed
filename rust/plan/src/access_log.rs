//! One line a request.

use serde::Deserialize;

use crate::{Address, Template};

/// What is written, and where.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// What a line looks like.
    pub format: LogFormat,
    /// Where lines go.
    pub sink: LogSink,
    /// Bytes that may wait to be written; lines beyond it are dropped and counted.
    pub buffer_bytes: u32,
    /// The longest that a line waits.
    pub flush_ms: u32,
}

/// What a line looks like.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogFormat {
    /// nginx's `combined`.
    Combined,
    /// One JSON object a line.
    Json,
    /// A template; variables are escaped so that a line stays a line.
    Template {
        /// Without the line's end.
        template: Template,
    },
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogSink {
    /// A file, appended to, opened anew on USR1.
    File {
        /// Absolute.
        path: String,
    },
    /// Standard output.
    Stdout,
    /// RFC 5424 over UDP or a Unix datagram socket.
    Syslog {
        /// A literal address or a Unix socket.
        address: Address,
        /// The facility's number, 0 to 23.
        facility: u8,
        /// The application's name.
        tag: String,
    },
}
