//! OpenAI's usage object, into disjoint buckets and back.

use serde_json::Value;

use crate::json::{Object, unsigned};
use crate::scan::cursor::{Cursor, Tally};
use crate::{Source, Usage};

/// Reads a usage object: of chat and completions (`prompt_tokens`), and of responses, pictures and transcriptions
/// (`input_tokens`). Both count cached tokens within the input and reasoning within the output. What is absent stays
/// unsaid; what can't be (more cached tokens than tokens) is cut to what can.
pub(crate) fn parse_usage(value: &Value) -> Usage {
    let Value::Object(map) = value else { return Usage::default() };
    let mut said = Said::default();
    for (name, value) in map {
        match (said.details(name.as_bytes()), value) {
            (Some(details), Value::Object(inner)) => {
                details.there = true;
                inner.iter().for_each(|(name, value)| details.set(name.as_bytes(), unsigned(value)));
            }
            (Some(_), _) => {}
            (None, value) => said.set(name.as_bytes(), unsigned(value)),
        }
    }
    said.usage()
}

/// The same out of the object's text, without building a tree of it: every answer and stream that passes has one.
pub(crate) fn scan_usage(text: &[u8]) -> Option<Usage> {
    let mut said = Said::default();
    let read = Cursor::new(text).members(0, |cursor, name| {
        let name = text.get(name).unwrap_or_default();
        match said.details(name) {
            Some(details) if cursor.byte() == Some(b'{') => {
                details.there = true;
                cursor.members(1, |cursor, name| {
                    details.set(text.get(name).unwrap_or_default(), number(cursor, text)?);
                    Ok(())
                })
            }
            Some(_) => cursor.value(1, &mut Tally::default()).map(drop),
            None => {
                said.set(name, number(cursor, text)?);
                Ok(())
            }
        }
    });
    read.ok().map(|()| said.usage())
}

/// The value at the cursor, where it is a count.
fn number(cursor: &mut Cursor<'_>, text: &[u8]) -> Result<Option<u64>, crate::Fault> {
    let value = text.get(cursor.value(2, &mut Tally::default())?).unwrap_or_default();
    if !value.iter().all(u8::is_ascii_digit) {
        return Ok(serde_json::from_slice(value).ok().as_ref().and_then(unsigned));
    }
    Ok(std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()))
}

/// What usage objects say, by the names that it is said under; where there are several, the first that is there counts.
#[derive(Default)]
struct Said {
    prompt: [Option<u64>; 2],
    completion: [Option<u64>; 2],
    total: Option<u64>,
    of_prompt: [Details; 2],
    of_completion: [Details; 2],
    cached: [Option<u64>; 3],
    written: Option<u64>,
    reasoning: Option<u64>,
}

#[derive(Default)]
struct Details {
    there: bool,
    cached: Option<u64>,
    written: [Option<u64>; 2],
    audio: Option<u64>,
    reasoning: Option<u64>,
}

impl Said {
    fn details(&mut self, name: &[u8]) -> Option<&mut Details> {
        Some(match name {
            b"prompt_tokens_details" => &mut self.of_prompt[0],
            b"input_tokens_details" => &mut self.of_prompt[1],
            b"completion_tokens_details" => &mut self.of_completion[0],
            b"output_tokens_details" => &mut self.of_completion[1],
            _ => return None,
        })
    }

    fn set(&mut self, name: &[u8], number: Option<u64>) {
        let place = match name {
            b"prompt_tokens" => &mut self.prompt[0],
            b"input_tokens" => &mut self.prompt[1],
            b"completion_tokens" => &mut self.completion[0],
            b"output_tokens" => &mut self.completion[1],
            b"total_tokens" => &mut self.total,
            // Beside OpenAI's place: DeepSeek's, Moonshot's and LiteLLM's.
            b"prompt_cache_hit_tokens" => &mut self.cached[0],
            b"cached_tokens" => &mut self.cached[1],
            b"cache_read_input_tokens" => &mut self.cached[2],
            b"cache_creation_input_tokens" => &mut self.written,
            b"reasoning_tokens" => &mut self.reasoning,
            _ => return,
        };
        *place = number;
    }

    fn usage(&self) -> Usage {
        let first = |numbers: &[Option<u64>]| numbers.iter().find_map(|number| *number);
        let none = Details::default();
        let of_prompt = self.of_prompt.iter().find(|details| details.there).unwrap_or(&none);
        let of_completion = self.of_completion.iter().find(|details| details.there).unwrap_or(&none);
        let (prompt, completion) = (first(&self.prompt), first(&self.completion));
        let cached = of_prompt.cached.or_else(|| first(&self.cached));
        let written = first(&of_prompt.written).or(self.written);
        let mut reasoning = of_completion.reasoning.or(self.reasoning);
        if prompt.is_none() && completion.is_none() {
            return Usage::default();
        }

        let mut left = prompt;
        let cache_read = take(&mut left, cached);
        let cache_write_5m = take(&mut left, written);
        // Audio that was read from the cache counts as such: it has been taken already.
        let audio_in = take(&mut left, of_prompt.audio);

        let mut output = completion;
        if let (Some(prompt), Some(completion), Some(total)) = (prompt, completion, self.total) {
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
        let audio_out = take(&mut output, of_completion.audio);
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
}

impl Details {
    fn set(&mut self, name: &[u8], number: Option<u64>) {
        let place = match name {
            b"cached_tokens" => &mut self.cached,
            b"cache_write_tokens" => &mut self.written[0],
            b"cache_creation_tokens" => &mut self.written[1],
            b"audio_tokens" => &mut self.audio,
            b"reasoning_tokens" => &mut self.reasoning,
            _ => return,
        };
        *place = number;
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
    use proptest::prelude::*;
    use serde_json::json;

    /// Reads both ways, which must say the same.
    fn parse_usage(value: &Value) -> Usage {
        let usage = super::parse_usage(value);
        if value.is_object() {
            assert_eq!(scan_usage(value.to_string().as_bytes()), Some(usage), "{value}");
        }
        usage
    }

    proptest! {
        #[test]
        fn the_text_says_what_its_tree_says(
            members in proptest::collection::btree_map(prop_oneof![
                Just("prompt_tokens"), Just("input_tokens"), Just("completion_tokens"), Just("output_tokens"),
                Just("total_tokens"), Just("prompt_tokens_details"), Just("output_tokens_details"),
                Just("completion_tokens_details"), Just("cached_tokens"), Just("reasoning_tokens"), Just("other"),
            ], prop_oneof![
                (0u64..100).prop_map(|number| json!(number)),
                Just(json!(null)), Just(json!(-3)), Just(json!(5.0)), Just(json!(2.5)), Just(json!("7")), Just(json!([1])),
                Just(json!({"cached_tokens": 3, "audio_tokens": 1, "reasoning_tokens": 2, "more": {"a": [1]}})),
            ], 0..8)
        ) {
            parse_usage(&json!(members));
        }
    }

    #[test]
    fn text_that_is_no_object_says_nothing() {
        assert_eq!(scan_usage(b"null"), None);
        assert_eq!(scan_usage(b"{\"prompt_tokens\": 1"), None);
        assert_eq!(scan_usage(b"{\"prompt_tokens\": 99999999999999999999}"), Some(Usage::default()));
    }

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
