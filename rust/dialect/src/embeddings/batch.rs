//! Small calls joined into one, whose answer is taken apart again.

use super::{EmbedAnswer, EmbedRequest, Input};
use crate::{Fault, Usage};

/// Whether two calls can be one: the same but for their inputs, the end user, and how the client wants vectors written.
pub fn can_merge(one: &EmbedRequest, other: &EmbedRequest) -> bool {
    let text = |request: &EmbedRequest| request.inputs.iter().all(|input| matches!(input, Input::Text(_)));
    one.model == other.model
        && one.dimensions == other.dimensions
        && one.task == other.task
        && one.title == other.title
        && one.rest == other.rest
        // Texts and tokens don't mix in one call.
        && text(one) && text(other)
}

/// The one call for several that can be merged (the first one's fields hold); `None` for none at all.
pub fn merge(requests: &[&EmbedRequest]) -> Option<EmbedRequest> {
    let (first, others) = requests.split_first()?;
    let mut merged = (*first).clone();
    for other in others {
        merged.inputs.extend(other.inputs.iter().cloned());
        if merged.user != other.user {
            merged.user = None;
        }
    }
    Some(merged)
}

/// Takes the answer apart: each call gets the vectors of its own inputs, and its share of the usage by its estimated
/// tokens. In each bucket the shares sum up to the whole. A fault where the provider answered another number of vectors.
pub fn split(answer: EmbedAnswer, requests: &[&EmbedRequest]) -> Result<Vec<EmbedAnswer>, Fault> {
    let wanted: usize = requests.iter().map(|request| request.inputs.len()).sum();
    if answer.vectors.len() != wanted {
        return Err(Fault::wrong("data", &format!("{wanted} vectors, as many as inputs")));
    }
    let weights: Vec<u64> = requests.iter().map(|request| request.estimate()).collect();
    let shares = divide(&answer.usage, &weights);
    let mut vectors = answer.vectors.into_iter();
    Ok(requests
        .iter()
        .zip(shares)
        .map(|(request, usage)| EmbedAnswer {
            model: answer.model.clone(),
            vectors: vectors.by_ref().take(request.inputs.len()).collect(),
            usage,
        })
        .collect())
}

/// One of the buckets.
type Bucket = fn(&mut Usage) -> &mut Option<u64>;

/// Divides each bucket by weight; the shares of a bucket sum up to it.
fn divide(usage: &Usage, weights: &[u64]) -> Vec<Usage> {
    let mut shares = vec![Usage { source: usage.source, ..Usage::default() }; weights.len()];
    let buckets: [(Option<u64>, Bucket); 9] = [
        (usage.input, |usage| &mut usage.input),
        (usage.cache_read, |usage| &mut usage.cache_read),
        (usage.cache_write_5m, |usage| &mut usage.cache_write_5m),
        (usage.cache_write_1h, |usage| &mut usage.cache_write_1h),
        (usage.output, |usage| &mut usage.output),
        (usage.reasoning, |usage| &mut usage.reasoning),
        (usage.audio_in, |usage| &mut usage.audio_in),
        (usage.audio_out, |usage| &mut usage.audio_out),
        (usage.images, |usage| &mut usage.images),
    ];
    let all: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    for (whole, bucket) in buckets {
        let Some(whole) = whole else { continue };
        // Each share ends where the weights so far end, rounded down: so the last ends at the whole.
        let (mut so_far, mut given) = (0u128, 0u128);
        for (number, (share, weight)) in shares.iter_mut().zip(weights).enumerate() {
            so_far += u128::from(*weight);
            let end = match all {
                // Nothing to weigh by: all goes to the first.
                0 if number == 0 => u128::from(whole),
                0 => given,
                all => mul_div(whole, so_far, all),
            };
            *bucket(share) = Some(u64::try_from(end - given).unwrap_or(u64::MAX));
            given = end;
        }
    }
    shares
}

/// `whole × part ÷ all`, rounded down, for `part ≤ all`. Weights too large for exact arithmetic are made smaller first.
fn mul_div(whole: u64, part: u128, all: u128) -> u128 {
    let (mut part, mut all) = (part, all);
    if part == all {
        return u128::from(whole);
    }
    while all > u128::from(u64::MAX) {
        (part, all) = (part >> 1, all >> 1);
    }
    u128::from(whole) * part / all
}
