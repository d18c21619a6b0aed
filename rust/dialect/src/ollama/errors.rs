//! Ollama's errors, both ways.

use serde_json::Value;

use crate::json::{Object, parse};
use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal; what can't be read becomes an error of the kind that the status says.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    let value = parse(body).ok().filter(Value::is_object);
    let message = value
        .as_ref()
        .and_then(|value| value.get("error"))
        .and_then(|error| error.as_str().or_else(|| error.get("message")?.as_str()));
    let message = message.unwrap_or("The provider answered with an error that it did not explain.");
    ApiError { native: value.clone(), ..ApiError::new(status, kind(status, message), message) }
}

/// What sort it is; 0 for one inside a stream, of which only the words tell.
pub(super) fn kind(status: u16, message: &str) -> ErrorKind {
    let small = message.to_ascii_lowercase();
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Quota,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 => ErrorKind::Overloaded,
        400 if small.contains("does not support") => ErrorKind::Unsupported,
        400 | 500 | 0
            if small.contains("context length") || small.contains("exceeds the available context") =>
        {
            ErrorKind::ContextTooLong
        }
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}

/// Appends the body that tells a client of an error.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.put("error", &error.message);
    object.end();
}
