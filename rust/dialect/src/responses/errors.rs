//! Errors, as bodies and inside streams: chat completions' object, with a few words more.

use serde_json::{Value, json};

use crate::openai::errors as chat;
use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal.
pub(super) fn parse(status: u16, body: &[u8]) -> ApiError {
    refine(chat::parse_error(status, body))
}

/// Reads the object alone, as streams carry it, where no status is said.
pub(super) fn of_object(object: Value) -> ApiError {
    refine(chat::read(0, object))
}

/// Codes that only this dialect has.
fn refine(error: ApiError) -> ApiError {
    let kind = match error.code.as_deref() {
        Some(
            "invalid_prompt"
            | "bio_policy"
            | "misalignment_policy_violation"
            | "image_content_policy_violation",
        ) => ErrorKind::ContentFilter,
        Some("server_is_overloaded" | "slow_down" | "overloaded") => ErrorKind::Overloaded,
        Some("too_many_requests") => ErrorKind::RateLimited,
        Some("unsupported_parameter" | "unsupported_value") => ErrorKind::Unsupported,
        _ => error.kind,
    };
    ApiError { kind, ..error }
}

/// The code: the dialect's own word where clients act on it, else what was said.
fn code(error: &ApiError) -> Option<&str> {
    match error.kind {
        ErrorKind::ContextTooLong => Some("context_length_exceeded"),
        ErrorKind::ContentFilter => Some("content_filter"),
        ErrorKind::Quota => Some("insufficient_quota"),
        ErrorKind::Unsupported => Some("unsupported_parameter"),
        _ => error.code.as_deref(),
    }
}

/// Appends the body that tells a client of an error.
pub(super) fn write(error: &ApiError, out: &mut Vec<u8>) {
    let code = code(error).map(str::to_owned);
    chat::write_error(&ApiError { code, ..error.clone() }, out);
}

/// The code inside a stream: the words that a failed response has for it.
pub(super) fn stream_code(error: &ApiError) -> &'static str {
    match error.kind {
        // The word that this place has for what the filter declines.
        ErrorKind::ContentFilter => "invalid_prompt",
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::ContextTooLong => "context_length_exceeded",
        ErrorKind::Quota => "insufficient_quota",
        ErrorKind::Overloaded => "server_is_overloaded",
        _ => "server_error",
    }
}

/// The object inside a response that failed.
pub(super) fn in_response(error: &ApiError) -> Value {
    json!({"code": stream_code(error), "message": error.message})
}
