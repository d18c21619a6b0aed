//! Two sorts of wrong: what a text can't be read or written as, and what an API tells its client.

use serde_json::Value;

/// Why a body can't be read or written. Who is to blame is the caller's to know: a request is the client's, an
/// answer the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What sort.
    pub kind: FaultKind,
    /// Where: `messages[2].content[0].image_url`; empty for the whole.
    pub path: String,
    /// What is wrong, and what would be right, in a sentence without secrets or prompts.
    pub message: String,
}

/// Sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Not JSON, not UTF-8, too deep.
    Syntax,
    /// A field is missing.
    Missing,
    /// A value has the wrong type or is out of bounds.
    Wrong,
    /// The target has no way to say it.
    Unsupported,
}

impl Fault {
    /// Not readable at all.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Syntax, path: String::new(), message: message.into() }
    }

    /// A field that must be there.
    pub fn missing(path: impl Into<String>) -> Self {
        let path = path.into();
        Self { kind: FaultKind::Missing, message: format!("`{path}` is required."), path }
    }

    /// A value that can't be.
    pub fn wrong(path: impl Into<String>, wanted: &str) -> Self {
        let path = path.into();
        Self { kind: FaultKind::Wrong, message: format!("`{path}` must be {wanted}."), path }
    }

    /// What the target can't take.
    pub fn unsupported(path: impl Into<String>) -> Self {
        let path = path.into();
        let message = format!("`{path}` has no counterpart at the provider that serves this model.");
        Self { kind: FaultKind::Unsupported, message, path }
    }

    /// What builds on the provider's memory, where the provider that serves the model has none.
    pub fn stateful(path: impl Into<String>) -> Self {
        let path = path.into();
        let message = format!(
            "`{path}` needs a provider that keeps responses, and the one that serves this model keeps none: send the \
             whole conversation in `input`."
        );
        Self { kind: FaultKind::Unsupported, message, path }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// What an API tells its client went wrong, in no provider's words.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP's word for it. 0 where none was said (an error inside a stream).
    pub status: u16,
    /// What sort.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
    /// For programs, in the provider's or Tidegate's word.
    pub code: Option<String>,
    /// The field that is to blame.
    pub param: Option<String>,
    /// The id to ask about.
    pub request_id: Option<String>,
    /// When to come again, in milliseconds, where the body says it (Gemini's `RetryInfo`).
    pub retry_after_ms: Option<u64>,
    /// The provider's own object.
    pub native: Option<Value>,
}

impl ApiError {
    /// One with nothing but the necessary.
    pub fn new(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            kind,
            message,
            code: None,
            param: None,
            request_id: None,
            retry_after_ms: None,
            native: None,
        }
    }

    /// What a client is told whose request can't be read or written.
    pub fn from_fault(fault: &Fault) -> Self {
        let (kind, code) = match fault.kind {
            FaultKind::Syntax => (ErrorKind::InvalidRequest, "invalid_json"),
            FaultKind::Missing => (ErrorKind::InvalidRequest, "missing_required_parameter"),
            FaultKind::Wrong => (ErrorKind::InvalidRequest, "invalid_value"),
            FaultKind::Unsupported => (ErrorKind::Unsupported, "unsupported_parameter"),
        };
        Self {
            code: Some(code.to_owned()),
            param: (!fault.path.is_empty()).then(|| fault.path.clone()),
            ..Self::new(kind.status(), kind, fault.message.clone())
        }
    }
}

/// What sort of error, with the HTTP status that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400.
    InvalidRequest,
    /// 401.
    Authentication,
    /// 402: no money left.
    Quota,
    /// 403.
    Permission,
    /// 404.
    NotFound,
    /// 413.
    TooLarge,
    /// 400: the conversation is longer than the model takes.
    ContextTooLong,
    /// 400: the provider's filter declined.
    ContentFilter,
    /// 429.
    RateLimited,
    /// 503, Anthropic's 529.
    Overloaded,
    /// 504 (408 at some).
    Timeout,
    /// 500, 502.
    Server,
    /// 400: the target can't do what is asked.
    Unsupported,
}

impl ErrorKind {
    /// The status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::ContextTooLong | Self::ContentFilter | Self::Unsupported => 400,
            Self::Authentication => 401,
            Self::Quota => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Overloaded => 503,
            Self::Timeout => 504,
            Self::Server => 500,
        }
    }
}
