//! `usageMetadata`, both ways.

use serde_json::Value;

use super::parts::message;
use crate::json::{Fields, Object, Path, unsigned};
use crate::usage::Source;
use crate::{Fault, Usage};

/// Reads it. `promptTokenCount` includes what the cache held, `candidatesTokenCount` leaves thoughts out, and results of
/// the provider's own tools come beside the prompt. Audio is told by modality; audio that the cache held counts as
/// `cache_read`, as it is priced.
pub(super) fn read(value: Value, path: Path<'_>) -> Result<Usage, Fault> {
    let mut fields = message(value, path)?;
    let prompt = fields.unsigned("promptTokenCount")?;
    let cached = fields.unsigned("cachedContentTokenCount")?;
    let tools = fields.unsigned("toolUsePromptTokenCount")?;
    let said = fields.unsigned("candidatesTokenCount")?;
    let thoughts = fields.unsigned("thoughtsTokenCount")?;
    let total = fields.unsigned("totalTokenCount")?;
    let audio_cached = audio(&mut fields, "cacheTokensDetails")?.unwrap_or(0);
    let audio_in = audio(&mut fields, "promptTokensDetails")?.map(|all| all.saturating_sub(audio_cached));
    let audio_out = audio(&mut fields, "candidatesTokensDetails")?;
    let input = prompt.map(|prompt| {
        prompt
            .saturating_sub(cached.unwrap_or(0))
            .saturating_sub(audio_in.unwrap_or(0))
            .saturating_add(tools.unwrap_or(0))
    });
    // A count of 0 is not written; the total tells it apart from one that was not said.
    let said = said.or_else(|| {
        let others = prompt?.saturating_add(tools.unwrap_or(0)).saturating_add(thoughts.unwrap_or(0));
        Some(total?.saturating_sub(others))
    });
    let output = said.map(|said| said.saturating_sub(audio_out.unwrap_or(0)));
    let any = [input, cached, output, thoughts].iter().any(Option::is_some);
    Ok(Usage {
        source: if any { Source::Reported } else { Source::Unknown },
        input,
        cache_read: cached,
        output,
        reasoning: thoughts,
        audio_in,
        audio_out,
        ..Usage::default()
    })
}

fn audio(fields: &mut Fields<'_>, key: &str) -> Result<Option<u64>, Fault> {
    let mut sum: Option<u64> = None;
    for value in fields.array(key)? {
        let is_audio = value.get("modality").and_then(Value::as_str) == Some("AUDIO");
        if let (true, Some(count)) = (is_audio, value.get("tokenCount").and_then(unsigned)) {
            sum = Some(sum.unwrap_or(0).saturating_add(count));
        }
    }
    Ok(sum)
}

/// Writes what was said; nothing where nothing was.
pub(super) fn write(usage: &Usage, object: &mut Object<'_>) {
    let (input, said) = (usage.input_total(), sum(usage.output, usage.audio_out));
    let output = usage.output_total();
    if input.is_none() && output.is_none() {
        return;
    }
    let mut out = object.object("usageMetadata");
    out.maybe("promptTokenCount", input.as_ref()).maybe("candidatesTokenCount", said.as_ref());
    out.maybe("totalTokenCount", sum(input, output).as_ref());
    out.maybe("cachedContentTokenCount", usage.cache_read.as_ref());
    out.maybe("thoughtsTokenCount", usage.reasoning.as_ref());
    details("promptTokensDetails", input, usage.audio_in, &mut out);
    details("candidatesTokensDetails", said, usage.audio_out, &mut out);
    out.end();
}

fn details(key: &str, all: Option<u64>, audio: Option<u64>, out: &mut Object<'_>) {
    let (Some(all), Some(audio)) = (all, audio) else { return };
    let mut list = out.array(key);
    for (modality, count) in [("TEXT", all.saturating_sub(audio)), ("AUDIO", audio)] {
        let mut item = list.object();
        item.put("modality", modality).put("tokenCount", &count);
        item.end();
    }
    list.end();
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn buckets_are_disjoint_and_their_sums_are_what_was_told() {
        let usage = read(
            json!({
                "promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 7,
                "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 157,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 70}, {"modality": "AUDIO", "tokenCount": 30}],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
            }),
            Path::Root,
        )
        .unwrap();
        assert_eq!(usage.input, Some(47));
        assert_eq!((usage.cache_read, usage.audio_in), (Some(40), Some(20)));
        assert_eq!((usage.output, usage.audio_out, usage.reasoning), (Some(15), Some(5), Some(30)));
        assert_eq!(usage.input_total(), Some(107));
        assert_eq!(usage.output_total(), Some(50));
    }

    #[test]
    fn what_is_not_said_is_not_zero_unless_the_total_says_so() {
        let read = |value| read(value, Path::Root).unwrap();
        assert_eq!(read(json!({})), Usage::default());
        let early = read(json!({"promptTokenCount": 8, "totalTokenCount": 8}));
        assert_eq!((early.output, early.reasoning), (Some(0), None));
        assert_eq!(read(json!({"promptTokenCount": 8})).output, None);
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let most = u64::MAX;
        let usage = read(json!({"promptTokenCount": most, "toolUsePromptTokenCount": most, "thoughtsTokenCount": most, "totalTokenCount": 1}), Path::Root).unwrap();
        assert_eq!(usage.input, Some(most));
        assert!(super::read(json!({"promptTokenCount": "many"}), Path::Root).is_err());
    }
}
