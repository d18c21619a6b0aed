//! The bedrock dialect.

use crate::{Answer, ApiError, ChatRequest, ErrorKind, Event, Fault, Reply, Target, Written};

/// Reads a client's request.
pub fn parse_request(_body: &[u8]) -> Result<ChatRequest, Fault> {
    Err(Fault::unsupported(""))
}

/// Appends the body of a request to a provider.
pub fn write_request(
    _request: &ChatRequest,
    _target: &Target<'_>,
    _out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    Err(Fault::unsupported(""))
}

/// Reads a provider's answer.
pub fn parse_answer(_body: &[u8]) -> Result<Answer, Fault> {
    Err(Fault::unsupported(""))
}

/// Appends the body of an answer to a client.
pub fn write_answer(_answer: &Answer, _reply: &Reply<'_>, _out: &mut Vec<u8>) {}

/// Reads a provider's refusal.
pub fn parse_error(status: u16, _body: &[u8]) -> ApiError {
    ApiError::new(status, ErrorKind::Server, "")
}

/// Appends the body that tells a client of an error.
pub fn write_error(_error: &ApiError, _out: &mut Vec<u8>) {}

/// Turns the provider's stream into events.
#[derive(Debug, Default)]
pub struct Reader;

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, _bytes: &[u8], _events: &mut Vec<Event>) -> Result<(), Fault> {
        Ok(())
    }

    /// The provider's connection ended.
    pub fn finish(&mut self, _events: &mut Vec<Event>) -> Result<(), Fault> {
        Ok(())
    }
}

/// Turns events into the stream that a client reads.
#[derive(Debug)]
pub struct Writer;

impl Writer {
    /// For one client.
    pub fn new(_reply: &Reply<'_>) -> Self {
        Self
    }

    /// Appends what the event is in this dialect.
    pub fn write(&mut self, _event: &Event, _out: &mut Vec<u8>) {}
}
