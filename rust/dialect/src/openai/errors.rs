//! OpenAI's errors, and those of the compatibles, which take many shapes.

use serde_json::Value;

use crate::json::Object;
use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal. Bodies that are no JSON (a proxy's HTML page) are not quoted.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    match value {
        // Gemini's compatible API wraps its errors in an array.
        Value::Array(mut values) if values.len() == 1 => read(status, values.remove(0)),
        value => read(status, value),
    }
}

/// Reads an error out of a body, or out of a chunk of a stream (then `status` is 0).
pub(crate) fn read(status: u16, value: Value) -> ApiError {
    let Value::Object(mut body) = value else { return unreadable(status) };
    let native = match body.shift_remove("error") {
        Some(Value::Object(error)) => error,
        Some(Value::String(message)) => {
            body.insert("message".to_owned(), Value::String(message));
            body
        }
        _ => body,
    };
    let word = |name: &str| match native.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let message = match (word("message"), native.get("detail").or_else(|| native.get("message"))) {
        (Some(message), _) => Some(message),
        // FastAPI's (Mistral, vLLM): a text, or a list of what is wrong with which field.
        (None, Some(detail)) => detail_of(detail),
        (None, None) => None,
    };
    let Some(message) = message else { return unreadable(status) };
    let code = word("code");
    // OpenRouter and Gemini's compatible API put HTTP's status into `code`, also inside a stream.
    let said =
        code.as_deref().and_then(|code| code.parse::<u16>().ok()).filter(|code| (400..600).contains(code));
    let status_or_said = if status == 0 { said.unwrap_or(0) } else { status };
    let kind = kind_of(status_or_said, code.as_deref(), word("type").as_deref(), &message);
    // A provider quotes the key that it refuses, which is the gateway's.
    let (message, native) = if kind == ErrorKind::Authentication {
        ("The provider refused the credentials.".to_owned(), None)
    } else {
        (message, Some(native))
    };
    ApiError {
        status,
        kind,
        message,
        code,
        param: native.as_ref().and_then(|native| Some(native.get("param")?.as_str()?.to_owned())),
        request_id: native.as_ref().and_then(|native| Some(native.get("request_id")?.as_str()?.to_owned())),
        retry_after_ms: None,
        native: native.map(Value::Object),
    }
}

fn unreadable(status: u16) -> ApiError {
    let kind = kind_of_status(status);
    ApiError::new(
        status,
        kind,
        format!("The provider answered with status {status} and no error that can be read."),
    )
}

fn detail_of(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Object(object) => object.get("detail").and_then(detail_of),
        Value::Array(entries) => {
            let entry = entries.first()?;
            let text = entry.get("msg").and_then(Value::as_str)?;
            let place: Vec<String> = entry
                .get("loc")
                .and_then(Value::as_array)
                .map(|place| place.iter().map(|step| step.to_string().trim_matches('"').to_owned()).collect())
                .unwrap_or_default();
            Some(if place.is_empty() { text.to_owned() } else { format!("{}: {text}", place.join(".")) })
        }
        _ => None,
    }
}

fn kind_of(status: u16, code: Option<&str>, sort: Option<&str>, message: &str) -> ErrorKind {
    for word in [code, sort].into_iter().flatten() {
        match word {
            "context_length_exceeded" | "exceed_context_size_error" => return ErrorKind::ContextTooLong,
            "insufficient_quota" | "billing_hard_limit_reached" | "insufficient_balance" => {
                return ErrorKind::Quota;
            }
            "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" => {
                return ErrorKind::ContentFilter;
            }
            "invalid_api_key" | "authentication_error" => return ErrorKind::Authentication,
            "permission_error" => return ErrorKind::Permission,
            "model_not_found" | "DeploymentNotFound" => return ErrorKind::NotFound,
            "rate_limit_exceeded" | "rate_limit_error" | "tokens_limit_reached" => {
                return ErrorKind::RateLimited;
            }
            "overloaded_error" | "server_overloaded" | "engine_overloaded_error" => {
                return ErrorKind::Overloaded;
            }
            "timeout_error" => return ErrorKind::Timeout,
            _ => {}
        }
    }
    // Compatibles say it only in words.
    if matches!(status, 0 | 400 | 413 | 422 | 500) {
        let lower = message.to_ascii_lowercase();
        let said = [
            "maximum context length",
            "context window",
            "context size",
            "context length",
            "maximum model length",
        ]
        .iter()
        .any(|words| lower.contains(words));
        if said {
            return ErrorKind::ContextTooLong;
        }
    }
    match (status, sort) {
        (0, Some("invalid_request_error")) => ErrorKind::InvalidRequest,
        _ => kind_of_status(status),
    }
}

/// The sort that a status alone says.
pub(crate) fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Quota,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 | 524 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        // What the server was not made for; it is not broken.
        501 => ErrorKind::Unsupported,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}

/// Appends the body that tells a client of an error.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    write_into(error, &mut body);
    body.end();
}

/// Appends the member `error`.
pub(crate) fn write_into(error: &ApiError, body: &mut Object<'_>) {
    let (sort, code) = words(error.kind);
    let mut object = body.object("error");
    object.put("message", &error.message).put("type", sort).put("param", &error.param);
    object.put("code", &error.code.as_deref().or(code));
    object.maybe("request_id", error.request_id.as_ref());
    // Azure tells there what its filter found.
    object.maybe("innererror", error.native.as_ref().and_then(|native| native.get("innererror")));
    object.end();
}

/// OpenAI's type and code.
fn words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::InvalidRequest => ("invalid_request_error", None),
        ErrorKind::Authentication => ("authentication_error", Some("invalid_api_key")),
        ErrorKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::Permission => ("permission_error", None),
        ErrorKind::NotFound => ("not_found_error", Some("not_found")),
        ErrorKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        ErrorKind::ContextTooLong => ("invalid_request_error", Some("context_length_exceeded")),
        ErrorKind::ContentFilter => ("invalid_request_error", Some("content_filter")),
        ErrorKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Overloaded => ("overloaded_error", Some("overloaded")),
        ErrorKind::Timeout => ("timeout_error", Some("timeout")),
        ErrorKind::Server => ("server_error", None),
        ErrorKind::Unsupported => ("invalid_request_error", Some("unsupported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        parse_error(status, body.as_bytes()).kind
    }

    #[test]
    fn codes_say_more_than_the_status() {
        let of =
            |code: &str| format!(r#"{{"error":{{"message":"m","type":"t","param":null,"code":"{code}"}}}}"#);
        assert_eq!(kind(400, &of("context_length_exceeded")), ErrorKind::ContextTooLong);
        assert_eq!(kind(429, &of("insufficient_quota")), ErrorKind::Quota);
        assert_eq!(kind(429, &of("rate_limit_exceeded")), ErrorKind::RateLimited);
        assert_eq!(kind(400, &of("content_filter")), ErrorKind::ContentFilter);
        assert_eq!(kind(404, &of("model_not_found")), ErrorKind::NotFound);
        assert_eq!(kind(529, &of("x")), ErrorKind::Overloaded);
        assert_eq!(kind(418, &of("x")), ErrorKind::InvalidRequest);
        assert_eq!(kind(502, &of("x")), ErrorKind::Server);
    }

    #[test]
    fn all_shapes_of_compatibles_are_read() {
        let message = |status, body: &str| parse_error(status, body.as_bytes()).message;
        assert_eq!(message(400, r#"{"error":"too bad"}"#), "too bad");
        assert_eq!(
            message(400, r#"{"object":"error","message":"no","type":"BadRequestError","code":400}"#),
            "no"
        );
        assert_eq!(
            message(422, r#"{"detail":[{"loc":["body","messages",0],"msg":"Field required"}]}"#),
            "body.messages.0: Field required"
        );
        assert_eq!(message(422, r#"{"object":"error","message":{"detail":[{"msg":"bad"}]}}"#), "bad");
        assert_eq!(message(404, r#"{"detail":"Not Found"}"#), "Not Found");
        assert_eq!(
            message(400, r#"[{"error":{"code":400,"message":"inner","status":"INVALID_ARGUMENT"}}]"#),
            "inner"
        );
        assert_eq!(
            kind(400, r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#),
            ErrorKind::ContextTooLong
        );
        assert_eq!(
            read(0, serde_json::json!({"error": {"code": 429, "message": "slow"}})).kind,
            ErrorKind::RateLimited
        );
    }

    #[test]
    fn pages_and_keys_are_not_quoted() {
        let page = parse_error(502, b"<html><body>sk-secret</body></html>");
        assert_eq!(page.kind, ErrorKind::Server);
        assert!(!page.message.contains("secret"));
        let key = parse_error(
            401,
            br#"{"error":{"message":"Incorrect API key provided: sk-abc*xyz","code":"invalid_api_key"}}"#,
        );
        assert_eq!(key.kind, ErrorKind::Authentication);
        assert!(!format!("{key:?}").contains("sk-abc"));
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same_kind() {
        for kind in [
            ErrorKind::InvalidRequest,
            ErrorKind::Authentication,
            ErrorKind::Quota,
            ErrorKind::Permission,
            ErrorKind::NotFound,
            ErrorKind::TooLarge,
            ErrorKind::ContextTooLong,
            ErrorKind::ContentFilter,
            ErrorKind::RateLimited,
            ErrorKind::Overloaded,
            ErrorKind::Timeout,
            ErrorKind::Server,
        ] {
            let mut out = Vec::new();
            let mut error = ApiError::new(kind.status(), kind, "message");
            error.request_id = Some("r1".to_owned());
            write_error(&error, &mut out);
            let read = parse_error(kind.status(), &out);
            assert_eq!(read.kind, kind);
            if kind != ErrorKind::Authentication {
                assert_eq!((read.message.as_str(), read.request_id.as_deref()), ("message", Some("r1")));
            }
        }
    }
}
