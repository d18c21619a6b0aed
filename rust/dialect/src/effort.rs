//! Words for how much a model is to think, in tokens.

/// Whether it says "not at all".
pub(crate) fn is_none(effort: &str) -> bool {
    effort == "none"
}

/// Tokens for a word, by the table that Google publishes for its OpenAI-compatible surface; `None` for other words.
pub(crate) fn budget_of(effort: &str) -> Option<u64> {
    match effort {
        "minimal" | "low" => Some(1024),
        "medium" => Some(8192),
        "high" | "xhigh" => Some(24_576),
        _ => None,
    }
}
