//! Errors of Anthropic's API, read and written.

use serde_json::Value;

use crate::json::Object;
use crate::{ApiError, ErrorKind};

/// Codes of `error.details.error_code` that mean that no money is left, whatever their type and status.
const MONEY: [&str; 4] = [
    "contract_spend_limit_reached",
    "enforced_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
];

/// Reads a provider's refusal: `{"type":"error","error":{"type","message","details"},"request_id"}`.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => read(status, &value),
        Err(_) => unreadable(status),
    }
}

/// Reads it out of a body or an `error` event.
pub(super) fn read(status: u16, value: &Value) -> ApiError {
    let Some(object) = value.get("error").filter(|error| error.is_object()) else {
        return unreadable(status);
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let sort = text(object.get("type"));
    let code = text(object.pointer("/details/error_code"));
    let message = text(object.get("message")).unwrap_or_default();
    let kind = match sort.as_deref() {
        _ if code.as_deref().is_some_and(|code| MONEY.contains(&code)) => ErrorKind::Quota,
        Some("invalid_request_error") => kind_of_message(&message).unwrap_or(ErrorKind::InvalidRequest),
        Some("authentication_error") => ErrorKind::Authentication,
        Some("billing_error") => ErrorKind::Quota,
        Some("permission_error") => ErrorKind::Permission,
        Some("not_found_error") => ErrorKind::NotFound,
        Some("request_too_large") => ErrorKind::TooLarge,
        Some("rate_limit_error") => ErrorKind::RateLimited,
        Some("timeout_error") => ErrorKind::Timeout,
        Some("api_error") => ErrorKind::Server,
        Some("overloaded_error") => ErrorKind::Overloaded,
        _ => kind_of_status(status),
    };
    ApiError {
        code: code.or(sort),
        request_id: text(value.get("request_id")),
        native: Some(object.clone()),
        ..ApiError::new(status, kind, message)
    }
}

/// What a message of a refused request says beyond its type. (Anthropic and, for its models, Bedrock have no types for
/// these.)
pub(crate) fn kind_of_message(message: &str) -> Option<ErrorKind> {
    let message = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if has(&["prompt is too long", "exceed context limit", "input is too long", "context window"]) {
        Some(ErrorKind::ContextTooLong)
    } else if has(&["credit balance is too low"]) {
        Some(ErrorKind::Quota)
    } else if has(&["content filtering policy"]) {
        Some(ErrorKind::ContentFilter)
    } else {
        None
    }
}

/// Appends the body that tells a client of an error.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let sort = match error.kind {
        ErrorKind::InvalidRequest
        | ErrorKind::ContextTooLong
        | ErrorKind::ContentFilter
        | ErrorKind::Unsupported => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Quota => "billing_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Server => "api_error",
    };
    let mut body = Object::begin(out);
    body.put("type", "error");
    let mut object = body.object("error");
    object.put("type", sort);
    // Agents shorten their conversation when they find these words, and know no other sign.
    let known = kind_of_message(&error.message) == Some(ErrorKind::ContextTooLong);
    if error.kind == ErrorKind::ContextTooLong && !known {
        object.put("message", &format!("prompt is too long: {}", error.message));
    } else {
        object.put("message", &error.message);
    }
    if let Some(code) = error.code.as_deref().filter(|code| *code != sort) {
        let mut details = object.object("details");
        details.put("error_code", code).maybe("param", error.param.as_deref());
        details.end();
    }
    object.end();
    body.put("request_id", &error.request_id);
    body.end();
}

fn unreadable(status: u16) -> ApiError {
    ApiError::new(
        status,
        kind_of_status(status),
        format!("The provider answered {status} and gave no reason."),
    )
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        400..=499 => match status {
            401 => ErrorKind::Authentication,
            402 => ErrorKind::Quota,
            403 => ErrorKind::Permission,
            404 => ErrorKind::NotFound,
            408 => ErrorKind::Timeout,
            413 => ErrorKind::TooLarge,
            429 => ErrorKind::RateLimited,
            _ => ErrorKind::InvalidRequest,
        },
        503 | 529 => ErrorKind::Overloaded,
        504 => ErrorKind::Timeout,
        _ => ErrorKind::Server,
    }
}
