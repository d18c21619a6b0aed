//! Usage: the dialect counts what caches held, and thought, inside the totals.

use serde_json::{Value, json};

use crate::{Source, Usage};

/// Reads the object. OpenAI's longer retention (12 hours) goes where the longer of Anthropic's goes.
pub(super) fn parse(value: Option<&Value>) -> Usage {
    let Some(value) = value.filter(|value| value.is_object()) else { return Usage::default() };
    let count = |pointer: &str| value.pointer(pointer).and_then(crate::json::unsigned);
    let cache_read = count("/input_tokens_details/cached_tokens");
    let writes = count("/input_tokens_details/cache_write_tokens");
    let long = count("/input_tokens_details/cache_write_tokens_details/ttl_12h_tokens");
    let reasoning = count("/output_tokens_details/reasoning_tokens");
    let less = |total: u64, parts: &[Option<u64>]| {
        parts.iter().flatten().fold(total, |left, part| left.saturating_sub(*part))
    };
    let input = count("/input_tokens").map(|total| less(total, &[cache_read, writes]));
    let output = count("/output_tokens").map(|total| less(total, &[reasoning]));
    let usage = Usage {
        input,
        cache_read,
        cache_write_5m: writes.map(|writes| less(writes, &[long])),
        cache_write_1h: long,
        output,
        reasoning,
        ..Usage::default()
    };
    let said = usage != Usage::default();
    Usage { source: if said { Source::Reported } else { Source::Unknown }, ..usage }
}

/// The object; `null` where nothing is known.
pub(super) fn write(usage: &Usage) -> Value {
    if usage.input_total().is_none() && usage.output_total().is_none() {
        return Value::Null;
    }
    let input = usage.input_total().unwrap_or(0);
    let output = usage.output_total().unwrap_or(0);
    let long = usage.cache_write_1h;
    let short = usage.cache_write_5m.unwrap_or(0);
    let mut details = json!({
        "cached_tokens": usage.cache_read.unwrap_or(0),
        "cache_write_tokens": short.saturating_add(long.unwrap_or(0)),
    });
    if let (Some(long), Some(details)) = (long, details.as_object_mut()) {
        let split = json!({"ttl_30m_tokens": short, "ttl_12h_tokens": long});
        details.insert("cache_write_tokens_details".to_owned(), split);
    }
    json!({
        "input_tokens": input,
        "input_tokens_details": details,
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning.unwrap_or(0)},
        "total_tokens": input.saturating_add(output),
    })
}
