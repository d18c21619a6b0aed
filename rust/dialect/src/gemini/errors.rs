//! Errors in the form of Google's APIs (`google.rpc.Status` as JSON), both ways.

use serde_json::{Map, Value, json};

use crate::json::{Object, parse};
use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal; what can't be read becomes an error of the kind that the status says.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    match parse(body) {
        // A stream that was not asked for as events answers with an array.
        Ok(Value::Array(mut list)) if !list.is_empty() => of_value(status, list.swap_remove(0)),
        Ok(value) => of_value(status, value),
        Err(_) => ApiError::new(status, by_status(status), plain(status)),
    }
}

/// Reads it out of the object that holds `error`.
pub(super) fn of_value(status: u16, value: Value) -> ApiError {
    let Some(error) = value.get("error").and_then(Value::as_object) else {
        return ApiError { native: Some(value), ..ApiError::new(status, by_status(status), plain(status)) };
    };
    let said = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = if status == 0 { said.unwrap_or(0) } else { status };
    let word = error.get("status").and_then(Value::as_str);
    let message = error.get("message").and_then(Value::as_str).unwrap_or_else(|| plain(status));
    let details = Details::of(error.get("details"));
    let kind = kind(status, word, message, &details);
    ApiError {
        code: word.map(str::to_owned),
        param: details.field,
        request_id: details.request_id,
        retry_after_ms: details.retry_after_ms,
        native: error_value(&value),
        ..ApiError::new(status, kind, message)
    }
}

fn error_value(value: &Value) -> Option<Value> {
    value.get("error").cloned()
}

#[derive(Default)]
struct Details {
    reason: Option<String>,
    field: Option<String>,
    request_id: Option<String>,
    retry_after_ms: Option<u64>,
    per_day: bool,
}

impl Details {
    fn of(details: Option<&Value>) -> Self {
        let mut out = Self::default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        for detail in details.and_then(Value::as_array).into_iter().flatten() {
            let sort = detail.get("@type").and_then(Value::as_str).unwrap_or_default();
            match sort.rsplit('.').next().unwrap_or_default() {
                "ErrorInfo" => out.reason = text(detail, "reason"),
                "RetryInfo" => {
                    out.retry_after_ms = text(detail, "retryDelay").as_deref().and_then(milliseconds)
                }
                "RequestInfo" => out.request_id = text(detail, "requestId"),
                "BadRequest" => {
                    out.field = detail.get("fieldViolations").and_then(|list| text(list.get(0)?, "field"));
                }
                "QuotaFailure" => {
                    let violations = detail.get("violations").and_then(Value::as_array);
                    out.per_day = violations
                        .into_iter()
                        .flatten()
                        .any(|one| text(one, "quotaId").is_some_and(|id| id.contains("PerDay")));
                }
                _ => {}
            }
        }
        out
    }
}

/// A `Duration` of Google's JSON, `"34.07s"`, in milliseconds, rounded up so that nobody comes too early.
fn milliseconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1000.0).ceil() as u64)
}

fn kind(status: u16, word: Option<&str>, message: &str, details: &Details) -> ErrorKind {
    match (word.unwrap_or_default(), details.reason.as_deref().unwrap_or_default()) {
        (_, "API_KEY_INVALID" | "API_KEY_EXPIRED" | "ACCESS_TOKEN_EXPIRED") | ("UNAUTHENTICATED", _) => {
            ErrorKind::Authentication
        }
        (_, "BILLING_DISABLED") => ErrorKind::Quota,
        // These say more than the words that they come with.
        _ if matches!(status, 402 | 413) => by_status(status),
        ("INVALID_ARGUMENT" | "OUT_OF_RANGE" | "FAILED_PRECONDITION", _) if too_long(message) => {
            ErrorKind::ContextTooLong
        }
        ("INVALID_ARGUMENT" | "OUT_OF_RANGE" | "FAILED_PRECONDITION", _) => ErrorKind::InvalidRequest,
        ("PERMISSION_DENIED", _) => ErrorKind::Permission,
        ("NOT_FOUND", _) => ErrorKind::NotFound,
        // A day's quota does not come back while a call waits; that of a minute does.
        ("RESOURCE_EXHAUSTED", _) if details.per_day => ErrorKind::Quota,
        ("RESOURCE_EXHAUSTED", _) => ErrorKind::RateLimited,
        ("UNAVAILABLE", _) => ErrorKind::Overloaded,
        ("DEADLINE_EXCEEDED", _) => ErrorKind::Timeout,
        ("INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "ABORTED", _) => ErrorKind::Server,
        ("UNIMPLEMENTED", _) => ErrorKind::Unsupported,
        _ => by_status(status),
    }
}

/// "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
fn too_long(message: &str) -> bool {
    message.contains("token count") && message.contains("exceeds")
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Quota,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}

fn plain(status: u16) -> &'static str {
    match status {
        0 => "The provider ended its answer with an error.",
        _ => "The provider answered with an error that it did not explain.",
    }
}

/// Appends the body that tells a client of an error.
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let status = if error.status == 0 { error.kind.status() } else { error.status };
    let own = error.code.as_deref().filter(|code| WORDS.contains(code));
    let mut object = Object::begin(out);
    let mut inner = object.object("error");
    inner.put("code", &status).put("message", &error.message).put("status", own.unwrap_or(word(error.kind)));
    let details = details(error, own.is_some());
    if !details.is_empty() {
        inner.put("details", &details);
    }
    inner.end();
    object.end();
}

fn details(error: &ApiError, own: bool) -> Vec<Value> {
    // A provider of the same dialect has told them already.
    if let (true, Some(Value::Array(details))) =
        (own, error.native.as_ref().and_then(|native| native.get("details")))
    {
        return details.clone();
    }
    let mut out = Vec::new();
    let mut add = |sort: &str, fields: Value| {
        let mut map = Map::new();
        map.insert("@type".into(), format!("type.googleapis.com/google.rpc.{sort}").into());
        if let Value::Object(fields) = fields {
            map.extend(fields);
        }
        out.push(Value::Object(map));
    };
    if let (false, Some(code)) = (own, &error.code) {
        add("ErrorInfo", json!({"reason": code}));
    }
    if let Some(field) = &error.param {
        add("BadRequest", json!({"fieldViolations": [{"field": field, "description": error.message}]}));
    }
    if let Some(wait) = error.retry_after_ms {
        add("RetryInfo", json!({"retryDelay": format!("{}.{:03}s", wait / 1000, wait % 1000)}));
    }
    if let Some(id) = &error.request_id {
        add("RequestInfo", json!({"requestId": id}));
    }
    out
}

fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::TooLarge
        | ErrorKind::ContextTooLong
        | ErrorKind::ContentFilter
        | ErrorKind::Unsupported => "INVALID_ARGUMENT",
        ErrorKind::Authentication => "UNAUTHENTICATED",
        ErrorKind::Permission => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::Quota | ErrorKind::RateLimited => "RESOURCE_EXHAUSTED",
        ErrorKind::Overloaded => "UNAVAILABLE",
        ErrorKind::Timeout => "DEADLINE_EXCEEDED",
        ErrorKind::Server => "INTERNAL",
    }
}

/// The words of `google.rpc.Code`.
const WORDS: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_says_when_to_come_again_and_a_days_quota_is_none() {
        let body = |quota: &str| {
            json!({"error": {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED", "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"},
            ]}})
            .to_string()
        };
        let minute = parse_error(429, body("GenerateRequestsPerMinutePerProjectPerModel").as_bytes());
        assert_eq!((minute.kind, minute.retry_after_ms), (ErrorKind::RateLimited, Some(34_075)));
        let day = parse_error(429, body("GenerateRequestsPerDayPerProjectPerModel-FreeTier").as_bytes());
        assert_eq!((day.kind, day.status), (ErrorKind::Quota, 429));
    }

    #[test]
    fn refusals_are_sorted_by_their_words_and_html_by_its_status() {
        let read = |status, word: &str, message: &str, reason: &str| {
            let body = json!([{"error": {"code": status, "message": message, "status": word, "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]}}]);
            parse_error(status, body.to_string().as_bytes()).kind
        };
        assert_eq!(
            read(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"),
            ErrorKind::Authentication
        );
        assert_eq!(
            read(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8).", ""),
            ErrorKind::ContextTooLong
        );
        assert_eq!(read(503, "UNAVAILABLE", "The model is overloaded.", ""), ErrorKind::Overloaded);
        assert_eq!(parse_error(502, b"<html>bad gateway").kind, ErrorKind::Server);
        assert_eq!(parse_error(404, b"[]").kind, ErrorKind::NotFound);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for kind in
            [ErrorKind::Authentication, ErrorKind::RateLimited, ErrorKind::Overloaded, ErrorKind::Server]
        {
            let error = ApiError {
                code: Some("limit_reached".into()),
                param: Some("contents".into()),
                request_id: Some("r1".into()),
                retry_after_ms: Some(1500),
                ..ApiError::new(kind.status(), kind, "no")
            };
            let mut out = Vec::new();
            write_error(&error, &mut out);
            let read = parse_error(kind.status(), &out);
            assert_eq!((read.kind, read.status, read.message), (kind, kind.status(), "no".to_owned()));
            assert_eq!((read.param, read.retry_after_ms), (Some("contents".to_owned()), Some(1500)));
            assert_eq!(read.request_id.as_deref(), Some("r1"));
        }
    }
}
