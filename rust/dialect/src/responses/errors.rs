//! Errors, as bodies and inside streams.

use serde_json::{Value, json};

use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal: `{"error": {"message", "type", "param", "code"}}`.
pub(super) fn parse(status: u16, body: &[u8]) -> ApiError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // Some compatible servers leave the envelope out.
    let object = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
    of_object(status, object)
}

/// Reads the object alone, as streams carry it. `status` 0 where none was said.
pub(super) fn of_object(status: u16, object: &Value) -> ApiError {
    let text = |key: &str| match object.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let message = text("message").or_else(|| object.as_str().map(str::to_owned));
    let (code, kind) = (text("code"), text("type"));
    let kind = kind_of(status, code.as_deref(), kind.as_deref());
    ApiError {
        code,
        param: text("param"),
        request_id: text("request_id"),
        native: (!object.is_null()).then(|| object.clone()),
        ..ApiError::new(
            status,
            kind,
            message.unwrap_or_else(|| format!("The provider answered with status {status}.")),
        )
    }
}

fn kind_of(status: u16, code: Option<&str>, kind: Option<&str>) -> ErrorKind {
    // What says most goes first: the code, then the type, then the status.
    let by_word = |word: Option<&str>| match word? {
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => Some(ErrorKind::Quota),
        "rate_limit_exceeded" | "rate_limit_error" | "too_many_requests" => Some(ErrorKind::RateLimited),
        "context_length_exceeded" => Some(ErrorKind::ContextTooLong),
        "content_filter"
        | "content_policy_violation"
        | "invalid_prompt"
        | "image_content_policy_violation"
        | "bio_policy"
        | "misalignment_policy_violation" => Some(ErrorKind::ContentFilter),
        "invalid_api_key" | "authentication_error" => Some(ErrorKind::Authentication),
        "permission_error" => Some(ErrorKind::Permission),
        "model_not_found" | "not_found_error" => Some(ErrorKind::NotFound),
        "unsupported_parameter" | "unsupported_value" | "unsupported" => Some(ErrorKind::Unsupported),
        "request_too_large" => Some(ErrorKind::TooLarge),
        "overloaded_error" | "server_is_overloaded" | "slow_down" => Some(ErrorKind::Overloaded),
        "timeout" | "timeout_error" => Some(ErrorKind::Timeout),
        _ => None,
    };
    by_word(code).or_else(|| by_word(kind)).unwrap_or_else(|| match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Quota,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ if kind == Some("invalid_request_error") => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    })
}

/// The type and the code that OpenAI gives, or would give.
fn words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::InvalidRequest => ("invalid_request_error", None),
        ErrorKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        ErrorKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::Permission => ("permission_error", None),
        ErrorKind::NotFound => ("not_found_error", None),
        ErrorKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        ErrorKind::ContextTooLong => ("invalid_request_error", Some("context_length_exceeded")),
        ErrorKind::ContentFilter => ("invalid_request_error", Some("content_filter")),
        ErrorKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Overloaded => ("overloaded_error", Some("server_is_overloaded")),
        ErrorKind::Timeout => ("timeout_error", Some("timeout")),
        ErrorKind::Server => ("server_error", Some("server_error")),
        ErrorKind::Unsupported => ("invalid_request_error", Some("unsupported_parameter")),
    }
}

/// The code: the dialect's own word where clients act on it, else what was said.
pub(super) fn code(error: &ApiError) -> Option<&str> {
    let own = words(error.kind).1;
    match error.kind {
        ErrorKind::ContextTooLong | ErrorKind::Quota | ErrorKind::ContentFilter | ErrorKind::Unsupported => {
            own
        }
        _ => error.code.as_deref().or(own),
    }
}

/// Appends the body that tells a client of an error.
pub(super) fn write(error: &ApiError, out: &mut Vec<u8>) {
    let mut object = json!({
        "message": error.message,
        "type": words(error.kind).0,
        "param": error.param,
        "code": code(error),
    });
    if let (Some(id), Some(object)) = (&error.request_id, object.as_object_mut()) {
        object.insert("request_id".to_owned(), id.as_str().into());
    }
    crate::json::append(&json!({"error": object}), out);
}

/// The object inside a response that failed.
pub(super) fn in_response(error: &ApiError) -> Value {
    let code = match error.kind {
        // The word that this place has for what the filter declines.
        ErrorKind::ContentFilter => "invalid_prompt",
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::ContextTooLong => "context_length_exceeded",
        ErrorKind::Quota => "insufficient_quota",
        ErrorKind::Overloaded => "server_is_overloaded",
        _ => "server_error",
    };
    json!({"code": code, "message": error.message})
}
