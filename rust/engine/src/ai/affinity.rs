//! A prompt goes where its beginning was served last, unless that endpoint has clearly more to do than the others.

use std::sync::{Mutex, PoisonError};

use tidegate_dialect::prefix::{Match, PrefixIndex, blocks_of_body};

/// Bytes of the index, for all models together.
const INDEX_BYTES: usize = 32 << 20;

/// Shares of the index, so that workers seldom wait for each other; a conversation's first block chooses.
const SHARDS: usize = 32;

/// A beginning that is shorter than this many blocks (of 256 bytes) is no reason to go anywhere.
const BLOCKS_LEAST: usize = 2;

/// Who served which beginnings, shared by all workers and kept from plan to plan.
#[derive(Debug)]
pub struct Affinity(Vec<Mutex<PrefixIndex>>);

/// The blocks of one call, and where they are looked for.
#[derive(Debug, Clone, Default)]
pub struct Beginning(Vec<u64>);

/// Where a beginning was served last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warm {
    /// Index of the model's target.
    pub target: usize,
    /// The low half of the endpoint's key.
    pub endpoint: u32,
}

impl Default for Affinity {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(PrefixIndex::new(INDEX_BYTES / SHARDS))).collect())
    }
}

impl Beginning {
    /// Of a request's body; `owner` keeps apart whose caches must not be probed by others.
    pub fn of(body: &[u8], model: &str, owner: &str) -> Self {
        let mut blocks = Vec::new();
        blocks_of_body(body, model, xxhash_rust::xxh3::xxh3_64(owner.as_bytes()), &mut blocks);
        Self(blocks)
    }
}

impl Affinity {
    /// Where the longest part of the beginning was served, those that share it in order of nothing.
    pub fn find(&self, beginning: &Beginning) -> Option<Warm> {
        let mut matches: Vec<Match> = Vec::new();
        self.shard(beginning)?.find(&beginning.0, &mut matches);
        let longest = matches.iter().max_by_key(|found| found.blocks)?;
        let enough = longest.blocks >= BLOCKS_LEAST.min(beginning.0.len());
        enough.then_some(Warm { target: longest.target as usize, endpoint: longest.endpoint })
    }

    /// Takes note of who serves it now.
    pub fn serve(&self, beginning: &Beginning, warm: Warm) {
        if let Some(mut shard) = self.shard(beginning) {
            shard.insert(&beginning.0, warm.target as u32, warm.endpoint);
        }
    }

    fn shard(&self, beginning: &Beginning) -> Option<std::sync::MutexGuard<'_, PrefixIndex>> {
        let first = beginning.0.first()?;
        let shard = &self.0[*first as usize % SHARDS];
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> String {
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}")
    }

    #[test]
    fn a_longer_conversation_goes_where_its_beginning_was_served() {
        let affinity = Affinity::default();
        let begun = "once upon a time ".repeat(100);
        let first = Beginning::of(body(&begun).as_bytes(), "m", "acme");
        assert_eq!(affinity.find(&first), None);
        affinity.serve(&first, Warm { target: 1, endpoint: 7 });
        let longer = Beginning::of(body(&format!("{begun}, and so on")).as_bytes(), "m", "acme");
        assert_eq!(affinity.find(&longer), Some(Warm { target: 1, endpoint: 7 }));
        let other = Beginning::of(body(&begun).as_bytes(), "m", "other");
        assert_eq!(affinity.find(&other), None, "tenants do not see each other's");
    }
}
