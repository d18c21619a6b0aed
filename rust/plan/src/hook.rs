//! Python functions that have a word on a request.

use serde::Deserialize;

/// One function; many routes may share it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// `module:function`.
    pub name: String,
    /// Past it the route's `on_failure` decides.
    pub timeout_ms: u32,
    /// Whether the request's body is read first and handed over.
    pub body: bool,
    /// A body larger than this is refused with 413 where `body` is set.
    pub body_bytes: u32,
    /// What happens when the function raises, is late, or the queue is full.
    pub on_failure: OnFailure,
}

/// What happens when a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The request goes on as if the hook had nothing to say.
    Allow,
    /// 503.
    Refuse,
}
