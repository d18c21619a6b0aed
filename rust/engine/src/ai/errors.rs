//! What a client is told in the words of its dialect, and what a provider's refusal means for the call.

use tidegate_dialect::{ApiError, Dialect, ErrorKind, Fault};
use tidegate_plan::FallbackCause;

use crate::failure::{Cause, Failure};

/// The error that stands for a failure of the journey.
pub fn from_failure(failure: Failure, request_id: &str) -> ApiError {
    let cause = failure.cause;
    let kind = match cause.status() {
        401 => ErrorKind::Authentication,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 => ErrorKind::Overloaded,
        408 | 504 => ErrorKind::Timeout,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::InvalidRequest,
    };
    let mut error = ApiError::new(cause.status(), kind, cause.detail());
    error.code = Some(cause.as_str().to_owned());
    error.request_id = Some(request_id.to_owned());
    error
}

/// The error that stands for a request that can't be read or served as it is.
pub fn from_fault(fault: &Fault, request_id: &str) -> ApiError {
    let mut error = ApiError::from_fault(fault);
    error.request_id = Some(request_id.to_owned());
    error
}

/// Why an attempt at a target came to nothing.
#[derive(Debug)]
pub struct Lost {
    /// What is done about it.
    pub cause: LostCause,
    /// What the client is told if nothing else helps.
    pub error: ApiError,
    /// As records and metrics name it.
    pub reason: &'static str,
    /// The provider asks to wait that long, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The connection was an old one that had ended: a new one is tried at once, and nobody is to blame.
    pub stale: bool,
}

/// What is done about a lost attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostCause {
    /// Another target, then a fallback for that cause.
    Other(FallbackCause),
    /// The client is to blame: it is told.
    Final,
    /// The client has gone.
    ClientGone,
}

impl Lost {
    /// The gateway could not get an answer.
    pub fn failed(failure: Failure, request_id: &str) -> Self {
        let cause = match failure.cause {
            Cause::ClientGone => LostCause::ClientGone,
            Cause::UpstreamTimeout | Cause::TotalTimeout | Cause::ConnectTimeout => {
                LostCause::Other(FallbackCause::TooSlow)
            }
            _ => LostCause::Other(FallbackCause::Down),
        };
        Self {
            cause,
            error: from_failure(failure, request_id),
            reason: failure.cause.as_str(),
            retry_after_ms: None,
            stale: false,
        }
    }

    /// The provider answered with an error. `own`: with the gateway's credential, so that what is wrong with it is not the
    /// client's to hear.
    pub fn refused(mut error: ApiError, own: bool, retry_after_ms: Option<u64>, request_id: &str) -> Self {
        let (cause, reason) = match error.kind {
            ErrorKind::RateLimited => (LostCause::Other(FallbackCause::RateLimited), "provider_rate_limited"),
            ErrorKind::Quota => (LostCause::Other(FallbackCause::RateLimited), "provider_quota"),
            ErrorKind::ContextTooLong => {
                (LostCause::Other(FallbackCause::ContextTooLong), "context_too_long")
            }
            ErrorKind::ContentFilter => (LostCause::Other(FallbackCause::ContentFilter), "content_filter"),
            ErrorKind::Overloaded => (LostCause::Other(FallbackCause::Down), "provider_overloaded"),
            ErrorKind::Timeout => (LostCause::Other(FallbackCause::TooSlow), "provider_timeout"),
            ErrorKind::Server => (LostCause::Other(FallbackCause::Down), "provider_error"),
            ErrorKind::Authentication | ErrorKind::Permission if own => {
                error = ApiError::new(
                    502,
                    ErrorKind::Server,
                    "The provider does not accept the gateway's credential.",
                );
                error.code = Some("provider_credential".into());
                (LostCause::Other(FallbackCause::Down), "provider_credential")
            }
            ErrorKind::NotFound if own => {
                error = ApiError::new(
                    502,
                    ErrorKind::Server,
                    "The provider does not know the model or the path that it was asked for.",
                );
                error.code = Some("provider_not_found".into());
                (LostCause::Other(FallbackCause::Down), "provider_not_found")
            }
            _ => (LostCause::Final, "provider_refused"),
        };
        if error.status < 400 {
            error.status = error.kind.status();
        }
        error.request_id = Some(request_id.to_owned());
        let retry_after_ms = retry_after_ms.or(error.retry_after_ms);
        Self { cause, error, reason, retry_after_ms, stale: false }
    }
}

/// The body of an error, and its media type.
pub fn body(dialect: Dialect, error: &ApiError) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    dialect.write_error(error, &mut out);
    out
}
