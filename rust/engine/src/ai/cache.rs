//! Answers that are kept, in the words of the provider that gave them: any client's dialect can be made of them.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use tidegate_dialect::Dialect;

/// An answer as the provider gave it.
#[derive(Debug)]
pub struct Kept {
    /// Whose words.
    pub provider: Dialect,
    /// Whether it is a stream's bytes.
    pub is_stream: bool,
    /// The bytes.
    pub bytes: Box<[u8]>,
    /// Until when it is given, in nanoseconds since the engine started.
    pub until: u64,
}

/// What one entry takes beside its bytes.
const ENTRY_BYTES: u64 = 160;

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<u128, Arc<Kept>> for Bytes {
    fn weight(&self, _: &u128, kept: &Arc<Kept>) -> u64 {
        kept.bytes.len() as u64 + ENTRY_BYTES
    }
}

/// A bounded store (S3-FIFO), shared by all workers.
pub struct AnswerCache(Option<Cache<u128, Arc<Kept>, Bytes>>);

impl AnswerCache {
    /// Of so many bytes, those of the entries themselves included; 0 keeps nothing.
    pub fn new(bytes: u64) -> Self {
        /// What an answer takes, about: the store is sized by it.
        const TYPICAL: u64 = 4096;
        let entries = (bytes / TYPICAL).clamp(16, 1 << 22) as usize;
        Self((bytes > 0).then(|| Cache::with_weighter(entries, bytes, Bytes)))
    }

    /// The answer, where it is kept and still good at `now`.
    pub fn find(&self, key: u128, now: u64) -> Option<Arc<Kept>> {
        let cache = self.0.as_ref()?;
        let kept = cache.get(&key)?;
        if kept.until <= now {
            cache.remove(&key);
            return None;
        }
        Some(kept)
    }

    /// Keeps an answer. One that is larger than a quarter of the store is not worth what it would push out.
    pub fn keep(&self, key: u128, kept: Kept) {
        if let Some(cache) = &self.0
            && (kept.bytes.len() as u64) < cache.capacity() / 4
        {
            cache.insert(key, Arc::new(kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: usize, until: u64) -> Kept {
        Kept { provider: Dialect::OpenAi, is_stream: false, bytes: vec![0; bytes].into(), until }
    }

    #[test]
    fn an_answer_is_given_until_its_time_is_over() {
        let cache = AnswerCache::new(1 << 20);
        cache.keep(1, kept(100, 50));
        assert!(cache.find(1, 49).is_some());
        assert!(cache.find(1, 50).is_none());
        assert!(cache.find(1, 0).is_none(), "what was seen to be over is gone");
    }

    #[test]
    fn a_store_of_no_bytes_keeps_nothing() {
        let cache = AnswerCache::new(0);
        cache.keep(1, kept(1, u64::MAX));
        assert!(cache.find(1, 0).is_none());
    }

    #[test]
    fn an_answer_that_would_push_out_most_others_is_not_kept() {
        let cache = AnswerCache::new(4096);
        cache.keep(1, kept(2000, u64::MAX));
        assert!(cache.find(1, 0).is_none());
    }
}
