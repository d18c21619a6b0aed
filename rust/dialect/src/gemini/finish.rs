//! Why an answer ended, in Gemini's words.

use crate::Finish;

/// What a `finishReason` or `blockReason` means. A recitation is the provider's refusal to go on; `OTHER`, and calls or
/// answers that it calls malformed, are failures: what was said is not whole, and no client must take it for an end.
pub(super) fn read(word: &str, has_call: bool) -> Finish {
    match word {
        "MAX_TOKENS" | "CONTINUATION" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED"
        | "MODEL_ARMOR"
        | "JAILBREAK" => Finish::ContentFilter,
        "OTHER"
        | "IMAGE_OTHER"
        | "NO_IMAGE"
        | "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE" => Finish::Error,
        // `STOP`, `FINISH_REASON_UNSPECIFIED`, and words of tomorrow. A call is told by being there, not by a word.
        _ if has_call => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// The word for it: the native one where that is Gemini's and means the same.
pub(super) fn word(finish: Finish, native: Option<&str>) -> &str {
    if let Some(word) = native
        && KNOWN.contains(&word)
        && read(word, finish == Finish::ToolCalls) == finish
    {
        return word;
    }
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Error => "OTHER",
    }
}

/// The words of google-genai's `FinishReason`.
const KNOWN: [&str; 24] = [
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
    "ESCALATION",
    "PUP_LIMITED_DISABLED",
    "CONTINUATION",
    "MODEL_ARMOR",
];
