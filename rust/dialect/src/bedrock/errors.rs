//! Errors of Bedrock's runtime, read and written, in bodies and in frames.

use serde_json::Value;

use super::frames::{Frame, write_exception};
use crate::anthropic::kind_of_message;
use crate::json::Object;
use crate::{ApiError, ErrorKind};

/// Reads a provider's refusal: `{"message"}`. Its type is in the field `x-amzn-ErrorType`; where the caller puts that into
/// the body as `__type`, as older services do, it counts.
pub fn parse_error(status: u16, body: &[u8]) -> ApiError {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    let message = word("message").or_else(|| word("Message"));
    // `ThrottlingException:http://internal.amazon.com/coral/…`, `com.amazon#ThrottlingException`.
    let name = word("__type").or_else(|| word("code")).unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    let mut error = named(name, message.unwrap_or_default(), status);
    if message.is_none() {
        error.message = format!("The provider answered {status} and gave no reason.");
    }
    error.native = value.is_object().then_some(value);
    error
}

/// Reads an exception out of a stream.
pub(super) fn read_frame(frame: &Frame<'_>) -> ApiError {
    let value: Value = serde_json::from_slice(frame.payload).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let message = text("message").or_else(|| text("Message")).unwrap_or(frame.message).to_owned();
    let mut error = named(frame.name, &message, 0);
    error.native = value.is_object().then_some(value);
    error
}

fn named(name: &str, message: &str, status: u16) -> ApiError {
    let lower = name.to_ascii_lowercase();
    let kind = match lower.strip_suffix("exception").unwrap_or(&lower) {
        "throttling" => ErrorKind::RateLimited,
        "servicequotaexceeded" => ErrorKind::Quota,
        "validation" if status == 413 => ErrorKind::TooLarge,
        "validation" => kind_of_message(message).unwrap_or(ErrorKind::InvalidRequest),
        "accessdenied" => ErrorKind::Permission,
        "unrecognizedclient" | "expiredtoken" | "invalidsignature" | "missingauthenticationtoken" => {
            ErrorKind::Authentication
        }
        "resourcenotfound" => ErrorKind::NotFound,
        "modeltimeout" => ErrorKind::Timeout,
        "modelnotready" | "serviceunavailable" => ErrorKind::Overloaded,
        "internalserver" | "modelerror" | "modelstreamerror" | "internalfailure" => ErrorKind::Server,
        _ => match status {
            400 => kind_of_message(message).unwrap_or(ErrorKind::InvalidRequest),
            401 => ErrorKind::Authentication,
            402 => ErrorKind::Quota,
            403 => ErrorKind::Permission,
            404 => ErrorKind::NotFound,
            408 | 504 => ErrorKind::Timeout,
            413 => ErrorKind::TooLarge,
            424 => ErrorKind::Server,
            429 => ErrorKind::RateLimited,
            503 => ErrorKind::Overloaded,
            status if (400..500).contains(&status) => ErrorKind::InvalidRequest,
            _ => ErrorKind::Server,
        },
    };
    let mut error = ApiError::new(status, kind, message);
    error.code = (!name.is_empty()).then(|| name.to_owned());
    error
}

/// Appends the body that tells a client of an error. The answer also wants the field `x-amzn-ErrorType`: see
/// [`error_type`].
pub fn write_error(error: &ApiError, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    body.put("message", &error.message).put("__type", error_type(error.kind));
    body.end();
}

/// The name of an error: the value of `x-amzn-ErrorType`, by which SDKs choose their exception.
pub fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::ContextTooLong
        | ErrorKind::ContentFilter
        | ErrorKind::Unsupported
        | ErrorKind::TooLarge => "ValidationException",
        ErrorKind::Authentication => "UnrecognizedClientException",
        ErrorKind::Quota => "ServiceQuotaExceededException",
        ErrorKind::Permission => "AccessDeniedException",
        ErrorKind::NotFound => "ResourceNotFoundException",
        ErrorKind::RateLimited => "ThrottlingException",
        ErrorKind::Overloaded => "ServiceUnavailableException",
        ErrorKind::Timeout => "ModelTimeoutException",
        ErrorKind::Server => "InternalServerException",
    }
}

/// Appends the frame that tells a client of an error. A stream has five exceptions only.
pub(super) fn write_frame(error: &ApiError, out: &mut Vec<u8>) {
    let name = match error.kind {
        ErrorKind::RateLimited | ErrorKind::Quota => "throttlingException",
        ErrorKind::Overloaded => "serviceUnavailableException",
        ErrorKind::Timeout => "modelStreamErrorException",
        ErrorKind::Server => "internalServerException",
        _ => "validationException",
    };
    write_exception(name, out, |out| {
        let mut body = Object::begin(out);
        body.put("message", &error.message);
        body.end();
    });
}
