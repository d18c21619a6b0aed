//! How many tokens a request has, before anybody counts them: for limits, reservations and routing by size.
//!
//! A weight for each sort of byte, no vocabulary: the real count differs by model anyway, and what is reserved here is
//! settled on what the provider reports. Estimate ÷ count, measured with the vocabularies of o200k, cl100k and Qwen 3.5:
//!
//! | text | o200k | cl100k | Qwen |
//! | --- | --- | --- | --- |
//! | Markdown prose, English | 0.86 | 0.87 | 0.81 |
//! | Rust, Python | 0.99–1.14 | 0.98–1.15 | 0.89–1.06 |
//! | JSON of tools | 0.82 | 0.82 | 0.81 |
//! | Chinese, Japanese | 1.0–1.1 | 0.7–0.8 | 1.5–1.6 |
//! | German | 1.3 | 1.0 | 1.4 |
//! | Russian, Arabic | 1.5–2.4 | 0.7–1.1 | 1.8–2.3 |
//! | lists of numbers | 0.5 | 0.5 | 0.25 |

use crate::scan::Scan;
use crate::{ChatRequest, Part, Tool};

/// Tokens of a picture, sound or file: what a picture of 1024 × 1024 takes at most providers, within a factor of two.
pub const MEDIA_TOKENS: u64 = 1_000;

/// Tokens that a message takes beside its words: its role and its borders.
pub const MESSAGE_TOKENS: u64 = 4;

/// Tokens of a text by its bytes: four bytes a token, of ASCII (four letters) and of what is beyond it (a Chinese
/// character and a third, two Cyrillic letters) alike; never less than one for a text of either sort.
pub fn tokens_of_bytes(ascii: u64, other: u64) -> u64 {
    ascii.div_ceil(4).saturating_add(other.div_ceil(4))
}

/// Tokens of a text.
pub fn tokens_of_text(text: &str) -> u64 {
    let other: u64 = text.bytes().map(|byte| u64::from(byte >> 7)).sum();
    tokens_of_bytes((text.len() as u64).saturating_sub(other), other)
}

/// Input tokens of a body that was scanned. Escapes count as written, and texts outside of what the model reads are left
/// out; characters beyond ASCII are taken as words.
pub fn input_of_scan(scan: &Scan) -> u64 {
    let text = scan.text_bytes as u64;
    let other = (scan.non_ascii_bytes as u64).min(text);
    tokens_of_bytes(text - other, other).saturating_add((scan.media as u64).saturating_mul(MEDIA_TOKENS))
}

/// Input tokens of a conversation.
pub fn input_of_request(request: &ChatRequest) -> u64 {
    let mut tokens = 0u64;
    for message in &request.messages {
        tokens = tokens.saturating_add(MESSAGE_TOKENS).saturating_add(input_of_parts(&message.parts));
    }
    for tool in &request.tools {
        tokens = tokens.saturating_add(match tool {
            Tool::Function { name, description, parameters, .. } => {
                let description = description.as_deref().map_or(0, tokens_of_text);
                let schema = parameters.as_ref().map_or(0, tokens_of_json);
                tokens_of_text(name) + description + schema
            }
            Tool::Native { value, .. } => tokens_of_json(value),
        });
    }
    tokens
}

fn input_of_parts(parts: &[Part]) -> u64 {
    parts.iter().map(input_of_part).fold(0, u64::saturating_add)
}

fn input_of_part(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Thinking { text, .. } | Part::Refusal { text } => {
            tokens_of_text(text)
        }
        Part::ToolCall { name, arguments, .. } => tokens_of_text(name) + tokens_of_text(arguments),
        Part::ToolResult { parts, .. } => MESSAGE_TOKENS.saturating_add(input_of_parts(parts)),
        Part::File { media: crate::Media::Text { text }, .. } => tokens_of_text(text),
        Part::Image { .. } | Part::Audio { .. } | Part::Video { .. } | Part::File { .. } => MEDIA_TOKENS,
        Part::RedactedThinking { data } => tokens_of_text(data),
        Part::Other { value, .. } => tokens_of_json(value),
    }
}

/// Tokens of names and texts in a value, as if it were written as JSON.
fn tokens_of_json(value: &serde_json::Value) -> u64 {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + tokens_of_text(text),
        Value::Array(values) => values.iter().map(tokens_of_json).fold(1, u64::saturating_add),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| 1 + tokens_of_text(name) + tokens_of_json(value))
            .fold(1, u64::saturating_add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;
    use serde_json::json;

    #[test]
    fn both_ways_of_estimating_agree_about() {
        for text in [
            "The quick brown fox jumps over the lazy dog. ".repeat(50),
            "敏捷的棕色狐狸跳过了懒狗。".repeat(50),
        ] {
            let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string();
            let scanned = input_of_scan(&scan(body.as_bytes()).unwrap());
            let request = input_of_request(&crate::openai::parse_request(body.as_bytes()).unwrap());
            assert!(scanned.abs_diff(request) < 10, "{scanned} {request}");
        }
    }

    #[test]
    fn pictures_count_as_pictures() {
        let url = format!("data:image/png;base64,{}", "A".repeat(400_000));
        let body = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]});
        let tokens = input_of_scan(&scan(body.to_string().as_bytes()).unwrap());
        assert!((MEDIA_TOKENS..MEDIA_TOKENS + 20).contains(&tokens), "{tokens}");
    }

    #[test]
    fn any_text_is_at_least_a_token_and_none_is_none() {
        assert_eq!((tokens_of_text(""), tokens_of_text("a"), tokens_of_text("中")), (0, 1, 1));
    }
}
