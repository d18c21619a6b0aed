//! Cohere's errors, both ways.

use serde_json::Value;

use crate::json::{Object, parse};
use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal; what can't be read becomes an error of the kind that the status says.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    let value = parse(body).ok().filter(Value::is_object);
    let text = |key: &str| value.as_ref().and_then(|value| value.get(key)).and_then(Value::as_str);
    let message = text("message").unwrap_or("The provider answered with an error that it did not explain.");
    ApiError {
        request_id: text("id").map(str::to_owned),
        native: value.clone(),
        ..ApiError::new(status, kind(status, message), message)
    }
}

/// What sort it is. 498 is Cohere's word for a blocked or invalid token, 499 for a call that was cancelled.
pub(super) fn kind(status: u16, message: &str) -> ErrorKind {
    let small = message.to_ascii_lowercase();
    match status {
        400 | 413 | 422 if small.contains("too many tokens") || small.contains("context length") => {
            ErrorKind::ContextTooLong
        }
        401 | 498 => ErrorKind::Authentication,
        402 => ErrorKind::Quota,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        // Trial keys have so many calls a month; those don't come back while a call waits.
        429 if small.contains("month") => ErrorKind::Quota,
        429 => ErrorKind::RateLimited,
        501 => ErrorKind::Unsupported,
        503 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}

/// Appends the body that tells a client of an error.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.maybe("id", error.request_id.as_ref()).put("message", &error.message);
    object.end();
}
