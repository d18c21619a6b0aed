//! OpenAI's usage object, into disjoint buckets and back.

use serde_json::{Map, Value};

use crate::json::{Object, unsigned};
use crate::{Source, Usage};

/// Reads a usage object: of chat and completions (`prompt_tokens`), and of responses, pictures and transcriptions
/// (`input_tokens`). Both count cached tokens within the input and reasoning within the output. What is absent stays
/// unsaid; what can't be (more cached tokens than tokens) is cut to what can.
pub(crate) fn parse_usage(value: &Value) -> Usage {
    let Value::Object(map) = value else { return Usage::default() };
    let number = |map: &Map<String, Value>, names: &[&str]| {
        names.iter().find_map(|name| map.get(*name).and_then(unsigned))
    };
    let part = |outer: &[&str], names: &[&str]| {
        let details = outer.iter().find_map(|name| map.get(*name)?.as_object())?;
        number(details, names)
    };
    let prompt_details = &["prompt_tokens_details", "input_tokens_details"];
    let output_details = &["completion_tokens_details", "output_tokens_details"];
    let prompt = number(map, &["prompt_tokens", "input_tokens"]);
    let completion = number(map, &["completion_tokens", "output_tokens"]);
    let total = number(map, &["total_tokens"]);
    // Beside OpenAI's place: DeepSeek's, Moonshot's and LiteLLM's.
    let cached = part(prompt_details, &["cached_tokens"])
        .or_else(|| number(map, &["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"]));
    let written = part(prompt_details, &["cache_write_tokens", "cache_creation_tokens"])
        .or_else(|| number(map, &["cache_creation_input_tokens"]));
    let audio_in = part(prompt_details, &["audio_tokens"]);
    let audio_out = part(output_details, &["audio_tokens"]);
    let mut reasoning =
        part(output_details, &["reasoning_tokens"]).or_else(|| number(map, &["reasoning_tokens"]));
    if prompt.is_none() && completion.is_none() {
        return Usage::default();
    }

    let mut left = prompt;
    let cache_read = take(&mut left, cached);
    let cache_write_5m = take(&mut left, written);
    // Audio that was read from the cache counts as such: it has been taken already.
    let audio_in = take(&mut left, audio_in);

    let mut output = completion;
    if let (Some(prompt), Some(completion), Some(total)) = (prompt, completion, total) {
        let beside = total.saturating_sub(prompt.saturating_add(completion));
        match reasoning {
            // xAI and Gemini's compatible API count thought beside the completion: the total tells.
            Some(thought) if thought > 0 && beside == thought => {
                output = completion.checked_add(thought);
            }
            None if beside > 0 => {
                reasoning = Some(beside);
                output = completion.checked_add(beside);
            }
            _ => {}
        }
    }
    let reasoning = take(&mut output, reasoning);
    let audio_out = take(&mut output, audio_out);
    Usage {
        source: Source::Reported,
        input: left,
        cache_read,
        cache_write_5m,
        cache_write_1h: None,
        output,
        reasoning,
        audio_in,
        audio_out,
        images: None,
    }
}

/// Takes a part out of a whole: never more than is left.
fn take(left: &mut Option<u64>, part: Option<u64>) -> Option<u64> {
    let part = match *left {
        Some(whole) => part?.min(whole),
        None => part?,
    };
    *left = left.map(|whole| whole.saturating_sub(part));
    Some(part)
}

/// Appends a usage object as chat completions have it; nothing and `false` where nothing is known.
pub(crate) fn write_usage(usage: &Usage, out: &mut Vec<u8>) -> bool {
    let (input, output) = (usage.input_total(), usage.output_total());
    if input.is_none() && output.is_none() {
        return false;
    }
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let mut object = Object::begin(out);
    object.put("prompt_tokens", &input).put("completion_tokens", &output);
    object.put("total_tokens", &input.saturating_add(output));
    let written = match (usage.cache_write_5m, usage.cache_write_1h) {
        (None, None) => None,
        (short, long) => Some(short.unwrap_or(0).saturating_add(long.unwrap_or(0))),
    };
    if usage.cache_read.is_some() || written.is_some() || usage.audio_in.is_some() {
        let mut details = object.object("prompt_tokens_details");
        details.maybe("cached_tokens", usage.cache_read.as_ref());
        details.maybe("cache_write_tokens", written.as_ref());
        details.maybe("audio_tokens", usage.audio_in.as_ref());
        details.end();
    }
    if usage.reasoning.is_some() || usage.audio_out.is_some() {
        let mut details = object.object("completion_tokens_details");
        details.maybe("reasoning_tokens", usage.reasoning.as_ref());
        details.maybe("audio_tokens", usage.audio_out.as_ref());
        details.end();
    }
    object.end();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn buckets_are_disjoint_and_sum_up_to_what_was_said() {
        let usage = parse_usage(&json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 2}
        }));
        assert_eq!((usage.input, usage.cache_read, usage.cache_write_5m), (Some(25), Some(60), Some(10)));
        assert_eq!((usage.output, usage.reasoning), (Some(18), Some(30)));
        assert_eq!((usage.audio_in, usage.audio_out), (Some(5), Some(2)));
        assert_eq!((usage.input_total(), usage.output_total()), (Some(100), Some(50)));
        let mut out = Vec::new();
        assert!(write_usage(&usage, &mut out));
        assert_eq!(parse_usage(&serde_json::from_slice(&out).unwrap()), usage);
    }

    #[test]
    fn absent_is_not_zero() {
        let usage = parse_usage(&json!({"prompt_tokens": 7, "total_tokens": 7}));
        assert_eq!((usage.input, usage.output, usage.cache_read), (Some(7), None, None));
        assert_eq!(parse_usage(&json!({})), Usage::default());
        assert_eq!(parse_usage(&json!(null)).source, Source::Unknown);
        assert!(!write_usage(&Usage::default(), &mut Vec::new()));
    }

    #[test]
    fn absurd_numbers_are_cut() {
        let usage = parse_usage(&json!({
            "prompt_tokens": 10, "completion_tokens": u64::MAX, "total_tokens": u64::MAX,
            "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": -4}
        }));
        assert_eq!((usage.input, usage.cache_read, usage.audio_in), (Some(0), Some(10), None));
        assert_eq!(usage.output, Some(u64::MAX));
    }

    #[test]
    fn thought_that_is_counted_beside_the_completion_is_not_taken_from_it() {
        let xai = parse_usage(&json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100}}));
        assert_eq!((xai.output, xai.reasoning), (Some(5), Some(100)));
        let gemini = parse_usage(&json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}));
        assert_eq!((gemini.output, gemini.reasoning), (Some(5), Some(25)));
    }

    #[test]
    fn other_places_of_cached_tokens_are_read() {
        let deepseek =
            parse_usage(&json!({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}));
        assert_eq!((deepseek.input, deepseek.cache_read), (Some(6), Some(4)));
        let responses =
            parse_usage(&json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}));
        assert_eq!((responses.input, responses.cache_read, responses.output), (Some(7), Some(3), Some(1)));
    }
}
