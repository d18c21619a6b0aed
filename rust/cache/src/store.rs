//! The store in memory: sharded, bounded in bytes with what its entries take, S3-FIFO.

use std::{
    collections::VecDeque,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache as Memory, DefaultLifecycle},
};
use tidegate_plan::CacheVary;

use crate::{
    fields::Fields,
    key,
    object::{OVERHEAD, Object},
    purge::{Purge, Purges, Standing},
    reason::Reason,
    vary::Spec,
};

/// What an object takes about: the store's tables are sized by it.
const TYPICAL: u64 = 4096;
/// A shard holds at least so many of the largest objects.
const LARGEST_PER_SHARD: u64 = 4;
/// `Vary` fields that one key may have had; older ones are forgotten, and with them their variants.
const SPECS_MOST: usize = 4;

/// What is kept.
pub struct Store {
    memory: Memory<u128, Entry, Weigh, Spread>,
    purges: Purges,
    variants: AtomicU64,
    bytes: u64,
}

#[derive(Debug, Clone)]
enum Entry {
    Object(Arc<Object>),
    Variants(Arc<Variants>),
    Pass(Arc<Pass>),
}

/// What a key has that varies: where its variants are found.
#[derive(Debug)]
struct Variants {
    key: Box<[u8]>,
    /// Part of the variants' keys: another number, and all of them are gone.
    number: u64,
    /// The last first.
    specs: Box<[Arc<Spec>]>,
    /// The oldest first.
    kept: Mutex<VecDeque<u128>>,
}

/// An answer that was seen not to be one that can be kept.
#[derive(Debug)]
struct Pass {
    key: Box<[u8]>,
    until_ms: u64,
    reason: Reason,
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<u128, Entry> for Weigh {
    fn weight(&self, _: &u128, entry: &Entry) -> u64 {
        match entry {
            Entry::Object(object) => object.weight(),
            Entry::Variants(variants) => {
                let specs: usize = variants.specs.iter().map(|spec| spec.weight()).sum();
                // Its list of variants is counted as large as it may become.
                OVERHEAD + (variants.key.len() + specs) as u64 + 16 * 64
            }
            Entry::Pass(pass) => OVERHEAD + pass.key.len() as u64,
        }
    }
}

/// Keys are hashes already: half of one is as good as any other hash of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64 ^ (number >> 64) as u64;
    }
}

type Spread = BuildHasherDefault<Half>;

/// What there is for a request.
#[derive(Debug)]
pub enum Found {
    /// An answer; whether it may be given is a matter of its freshness.
    Object {
        /// The answer.
        object: Arc<Object>,
        /// Whether a soft purge makes it count as stale.
        softly: bool,
        /// Where it is kept.
        slot: u128,
    },
    /// The origin's answers can't be kept, as was seen a short while ago.
    Pass(Reason),
    /// Nothing.
    Miss {
        /// Why.
        reason: Reason,
        /// Where it would be kept, as far as that is known before it comes.
        slot: u128,
    },
}

/// What the store holds, for whoever asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Entries.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that there may be.
    pub capacity: u64,
}

impl Store {
    /// Of so many bytes; objects take at most `largest` of them.
    pub fn new(bytes: u64, largest: u64) -> Self {
        let entries = (bytes / TYPICAL).clamp(16, 1 << 24) as usize;
        let shards = (bytes / (largest.max(1) * LARGEST_PER_SHARD)).clamp(1, 64);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .shards(1 << shards.ilog2())
            .build()
            .expect("all that has no default is given");
        Self {
            memory: Memory::with_options(options, Weigh, Spread::default(), DefaultLifecycle::default()),
            purges: Purges::default(),
            variants: AtomicU64::new(1),
            bytes,
        }
    }

    /// Looks for an answer to a request whose key is `text`, which hashes to `hash`. `room` is for putting keys of
    /// variants together.
    pub fn find(
        &self,
        text: &[u8],
        hash: u128,
        request: &impl Fields,
        vary: &CacheVary,
        now_ms: u64,
        room: &mut Vec<u8>,
    ) -> Found {
        let miss = |reason, slot| Found::Miss { reason, slot };
        match self.memory.get(&hash) {
            None => miss(Reason::UriMiss, hash),
            Some(Entry::Object(object)) if object.key() == text => {
                self.standing(object, hash).unwrap_or(miss(Reason::UriMiss, hash))
            }
            Some(Entry::Pass(pass)) if *pass.key == *text => {
                if now_ms < pass.until_ms {
                    Found::Pass(pass.reason)
                } else {
                    miss(Reason::UriMiss, hash)
                }
            }
            Some(Entry::Variants(variants)) if *variants.key == *text => {
                let mut slot = None;
                for spec in &variants.specs {
                    let place = variants.place(spec, request, vary, room);
                    slot.get_or_insert(place);
                    let Some(Entry::Object(object)) = self.memory.get(&place) else { continue };
                    if object.key() == &room[..]
                        && let Some(found) = self.standing(object, place)
                    {
                        return found;
                    }
                }
                miss(Reason::VaryMiss, slot.unwrap_or(hash))
            }
            Some(_) => Found::Pass(Reason::KeyCollision),
        }
    }

    fn standing(&self, object: Arc<Object>, slot: u128) -> Option<Found> {
        match self.purges.standing(&object) {
            Standing::Gone => {
                self.memory.remove(&slot);
                None
            }
            standing => Some(Found::Object { object, softly: standing == Standing::Soft, slot }),
        }
    }

    /// The text that the key of an answer has which varies with `spec`, and where it is kept. The key then is one of
    /// variants.
    pub fn place(
        &self,
        text: &[u8],
        hash: u128,
        spec: Spec,
        request: &impl Fields,
        vary: &CacheVary,
    ) -> (Vec<u8>, u128) {
        if spec.is_empty() {
            return (text.to_vec(), hash);
        }
        let variants = match self.memory.get(&hash) {
            Some(Entry::Variants(variants)) if *variants.key == *text => {
                if variants.specs.first().is_some_and(|first| **first == spec) {
                    variants
                } else {
                    self.widen(&variants, hash, spec)
                }
            }
            _ => {
                let made = Variants {
                    key: text.into(),
                    number: self.variants.fetch_add(1, Ordering::Relaxed),
                    specs: [Arc::new(spec)].into(),
                    kept: Mutex::default(),
                };
                self.insert_variants(hash, made)
            }
        };
        let mut room = Vec::new();
        let place = match variants.specs.first() {
            Some(spec) => variants.place(spec, request, vary, &mut room),
            None => hash,
        };
        let dropped = {
            let mut kept = variants.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if !kept.contains(&place) {
                kept.push_back(place);
            }
            if kept.len() > (vary.most as usize).clamp(1, 64) { kept.pop_front() } else { None }
        };
        if let Some(dropped) = dropped {
            self.memory.remove(&dropped);
        }
        (room, place)
    }

    /// The origin now varies with something else: that is looked at first.
    fn widen(&self, variants: &Variants, hash: u128, spec: Spec) -> Arc<Variants> {
        let mut specs: Vec<_> = variants.specs.iter().filter(|kept| ***kept != spec).cloned().collect();
        specs.insert(0, Arc::new(spec));
        specs.truncate(SPECS_MOST);
        let kept = variants.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let made = Variants {
            key: variants.key.clone(),
            number: variants.number,
            specs: specs.into(),
            kept: Mutex::new(kept),
        };
        self.insert_variants(hash, made)
    }

    fn insert_variants(&self, hash: u128, made: Variants) -> Arc<Variants> {
        let made = Arc::new(made);
        self.memory.insert(hash, Entry::Variants(made.clone()));
        made
    }

    /// Keeps an answer.
    pub fn keep(&self, slot: u128, object: Arc<Object>) {
        self.memory.insert(slot, Entry::Object(object));
    }

    /// Puts another answer in the place of one, unless that has gone meanwhile.
    pub fn replace(&self, slot: u128, object: Arc<Object>) {
        let _ = self.memory.replace(slot, Entry::Object(object), false);
    }

    /// Notes that the answers to this can't be kept.
    pub fn pass(&self, text: &[u8], hash: u128, reason: Reason, until_ms: u64) {
        // What varies goes on varying: one of its variants says nothing of the others.
        if !matches!(self.memory.get(&hash), Some(Entry::Variants(_))) {
            self.memory.insert(hash, Entry::Pass(Arc::new(Pass { key: text.into(), until_ms, reason })));
        }
    }

    /// Makes what is kept under a key invalid, with all its variants; `softly` only stale. Whether there was any.
    pub fn forget(&self, hash: u128, softly: bool) -> bool {
        match self.memory.peek(&hash) {
            Some(Entry::Object(object)) if softly => {
                object.soften();
                true
            }
            Some(Entry::Variants(variants)) if softly => {
                let kept = variants.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for place in kept {
                    if let Some(Entry::Object(object)) = self.memory.peek(&place) {
                        object.soften();
                    }
                }
                true
            }
            Some(_) => self.memory.remove(&hash).is_some(),
            None => false,
        }
    }

    /// Removes one answer.
    pub fn remove(&self, slot: u128) {
        self.memory.remove(&slot);
    }

    /// Makes answers invalid.
    pub fn purge(&self, what: Purge<'_>, softly: bool) {
        self.purges.purge(what, softly);
    }

    /// The turn of purges that an answer is fetched in.
    pub fn turn(&self) -> u64 {
        self.purges.turn()
    }

    /// What it holds.
    pub fn figures(&self) -> Figures {
        Figures { entries: self.memory.len() as u64, bytes: self.memory.weight(), capacity: self.bytes }
    }
}

impl Variants {
    /// Writes the text of a variant's key to `room`; where it is kept.
    fn place(&self, spec: &Spec, request: &impl Fields, vary: &CacheVary, room: &mut Vec<u8>) -> u128 {
        room.clear();
        room.extend_from_slice(&self.key);
        room.extend_from_slice(b"\nvariant ");
        room.extend_from_slice(self.number.to_string().as_bytes());
        spec.write_selection(request, vary, room);
        key::hash(room)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("figures", &self.figures()).finish_non_exhaustive()
    }
}
