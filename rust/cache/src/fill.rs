//! Answers on their way: one request fetches, all who ask for the same read behind it.
//!
//! What has come is kept in pieces that do not move, so that readers take them without a copy. Where it becomes more
//! than is kept, only a window of it stays, and whoever fetches waits for the slowest reader.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{
    object::{Draft, Object},
    reason::Reason,
};

/// Pieces are closed when they are so large.
const PIECE: usize = 64 * 1024;
/// Content from this on becomes a piece by itself, without another copy.
const OWN_PIECE: usize = 16 * 1024;
/// How much of an answer that is not kept may wait for its slowest reader.
const WINDOW: u64 = 1 << 20;
/// Places of the table, so that workers seldom meet.
const SHARDS: usize = 64;

/// How a fill ended.
#[derive(Debug, Clone)]
pub enum End<E> {
    /// All of it came.
    Whole,
    /// What was kept already holds: it is this.
    Kept(Arc<Object>),
    /// It is nothing that can be shared: everybody asks the origin for himself.
    Released(Reason),
    /// It failed.
    Failed(E),
}

/// What a reader is told before there is any content.
#[derive(Debug, Clone)]
pub enum Begun<E> {
    /// The answer begins; its content's length, if that is known.
    Answer(Arc<Draft>, Option<u64>),
    /// It ended before it began.
    Ended(End<E>),
}

/// What there is to read.
#[derive(Debug, Clone)]
pub enum Piece<E> {
    /// From this byte of the piece on.
    Shared(Arc<[u8]>, usize),
    /// So many bytes were appended to the reader's room.
    Copied(usize),
    /// There is no more.
    Ended(End<E>),
}

type Shard<E> = Mutex<HashMap<u128, Arc<Fill<E>>>>;

/// All fills under way, of all workers.
#[derive(Debug)]
pub struct Fills<E> {
    shards: Box<[Shard<E>]>,
    /// Bytes that they hold.
    bytes: AtomicU64,
    most: u64,
}

/// One of them.
#[derive(Debug)]
pub struct Fill<E> {
    text: Box<[u8]>,
    state: Mutex<State<E>>,
}

#[derive(Debug)]
struct State<E> {
    draft: Option<Arc<Draft>>,
    length: Option<u64>,
    /// Where `pieces` begins.
    base: u64,
    pieces: Vec<Arc<[u8]>>,
    tail: Vec<u8>,
    /// Bytes so far.
    bytes: u64,
    /// Whether all of it stays.
    kept: bool,
    end: Option<End<E>>,
    waiting: Vec<Waker>,
    /// Whoever fetches, waiting for room.
    filler: Option<Waker>,
    readers: HashMap<u64, u64>,
    next_reader: u64,
}

/// What one who asks becomes.
#[derive(Debug)]
pub enum Joined<E: Clone> {
    /// It asks the origin, for all who come while it does.
    Lead(Lead<E>),
    /// It reads what another one asks for.
    Follow(Reader<E>),
    /// Another key has the same hash.
    Collision,
}

/// Whoever asks the origin. Dropped before the end, those who joined ask for themselves.
#[derive(Debug)]
pub struct Lead<E: Clone> {
    fills: Arc<Fills<E>>,
    slot: u128,
    fill: Arc<Fill<E>>,
}

/// Whoever reads.
#[derive(Debug)]
pub struct Reader<E> {
    fill: Arc<Fill<E>>,
    number: u64,
    at: u64,
}

impl<E: Clone> Fills<E> {
    /// That hold at most so many bytes together.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            bytes: AtomicU64::new(0),
            most,
        })
    }

    fn shard(&self, slot: u128) -> MutexGuard<'_, HashMap<u128, Arc<Fill<E>>>> {
        lock(&self.shards[slot as usize % SHARDS])
    }

    /// Joins the fill of a slot, or begins it. `text` is the request's key.
    pub fn join(self: &Arc<Self>, slot: u128, text: &[u8]) -> Joined<E> {
        let mut shard = self.shard(slot);
        if let Some(fill) = shard.get(&slot) {
            if *fill.text != *text {
                return Joined::Collision;
            }
            if let Some(reader) = fill.reader() {
                return Joined::Follow(reader);
            }
        }
        let fill = Arc::new(Fill { text: text.into(), state: Mutex::new(State::default()) });
        shard.insert(slot, fill.clone());
        Joined::Lead(Lead { fills: self.clone(), slot, fill })
    }

    /// Whether one is under way for a slot.
    pub fn has(&self, slot: u128) -> bool {
        self.shard(slot).contains_key(&slot)
    }

    /// Begins a fill that nobody joins.
    pub fn alone(self: &Arc<Self>, slot: u128, text: &[u8]) -> Lead<E> {
        let fill = Arc::new(Fill { text: text.into(), state: Mutex::new(State::default()) });
        Lead { fills: self.clone(), slot, fill }
    }

    /// Fills under way.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Bytes that they hold.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl<E> Default for State<E> {
    fn default() -> Self {
        Self {
            draft: None,
            length: None,
            base: 0,
            pieces: Vec::new(),
            tail: Vec::new(),
            bytes: 0,
            kept: true,
            end: None,
            waiting: Vec::new(),
            filler: None,
            readers: HashMap::new(),
            next_reader: 0,
        }
    }
}

impl<E: Clone> Fill<E> {
    /// A reader from the beginning; `None` where the beginning has gone.
    fn reader(self: &Arc<Self>) -> Option<Reader<E>> {
        let mut state = lock(&self.state);
        if state.base > 0 || !state.kept {
            return None;
        }
        let number = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(number, 0);
        Some(Reader { fill: self.clone(), number, at: 0 })
    }
}

impl<E: Clone> Lead<E> {
    /// Reads what it fetches itself, from the beginning; taken before anything comes.
    pub fn reader(&self) -> Reader<E> {
        let mut state = lock(&self.fill.state);
        let number = state.next_reader;
        state.next_reader += 1;
        let at = state.base;
        state.readers.insert(number, at);
        Reader { fill: self.fill.clone(), number, at }
    }

    /// How many read.
    pub fn readers(&self) -> usize {
        lock(&self.fill.state).readers.len()
    }

    /// The answer begins.
    pub fn begin(&self, draft: Arc<Draft>, length: Option<u64>) {
        let mut state = lock(&self.fill.state);
        state.draft = Some(draft);
        state.length = length;
        wake(state);
    }

    /// Content came; it stays as long as it is at most `most` and there is memory for it. `false`: it does not stay.
    pub fn push(&self, content: &[u8], most: u64) -> bool {
        if content.is_empty() {
            return true;
        }
        let mut state = lock(&self.fill.state);
        let length = content.len() as u64;
        let held = self.fills.bytes.fetch_add(length, Ordering::Relaxed) + length;
        state.bytes += length;
        if state.bytes > most || held > self.fills.most {
            state.kept = false;
        }
        if content.len() >= OWN_PIECE {
            state.close_piece();
            state.pieces.push(Arc::from(content));
        } else {
            state.tail.extend_from_slice(content);
            if state.tail.len() >= PIECE {
                state.close_piece();
            }
        }
        let kept = state.kept;
        if !kept {
            self.fills.release(state.forget_read());
        }
        wake(state);
        kept
    }

    /// Waits until there is room for more: at once where all of it stays.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.fill.state);
        if state.kept {
            return Poll::Ready(());
        }
        self.fills.release(state.forget_read());
        if state.readers.is_empty() || state.bytes - state.base < WINDOW {
            return Poll::Ready(());
        }
        state.filler = Some(cx.waker().clone());
        Poll::Pending
    }

    /// All of it came. Where all of it stayed it makes an object, which `keep` is given before the fill ends: whoever
    /// asks next finds one or the other.
    pub fn finish(self, keep: impl FnOnce(Arc<Object>)) {
        let mut state = lock(&self.fill.state);
        state.end.get_or_insert(End::Whole);
        let object = match (&state.draft, state.kept) {
            (Some(draft), true) => {
                let mut chunks = state.pieces.clone();
                if !state.tail.is_empty() {
                    chunks.push(Arc::from(&state.tail[..]));
                }
                Some(Arc::new(Object::new(draft, &chunks)))
            }
            _ => None,
        };
        drop(state);
        if let Some(object) = object {
            keep(object);
        }
    }

    /// All of it came, and none of it is kept.
    pub fn discard(self) {
        lock(&self.fill.state).kept = false;
        self.end(End::Whole);
    }

    /// Whether all of it stays so far.
    pub fn is_kept(&self) -> bool {
        lock(&self.fill.state).kept
    }

    /// What was kept holds.
    pub fn confirm(self, object: Arc<Object>) {
        self.end(End::Kept(object));
    }

    /// It is nothing to share.
    pub fn release(self, reason: Reason) {
        self.end(End::Released(reason));
    }

    /// It failed.
    pub fn fail(self, failure: E) {
        self.end(End::Failed(failure));
    }

    fn end(self, end: End<E>) {
        lock(&self.fill.state).end.get_or_insert(end);
        // Dropping tells those who wait.
    }

    /// Where the answer would be kept.
    pub fn slot(&self) -> u128 {
        self.slot
    }
}

impl<E: Clone> Drop for Lead<E> {
    fn drop(&mut self) {
        let mut shard = self.fills.shard(self.slot);
        if shard.get(&self.slot).is_some_and(|fill| Arc::ptr_eq(fill, &self.fill)) {
            shard.remove(&self.slot);
        }
        drop(shard);
        let mut state = lock(&self.fill.state);
        state.end.get_or_insert(End::Released(Reason::Incomplete));
        self.fills.release(state.bytes - state.base);
        wake(state);
    }
}

impl<E> Fills<E> {
    fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl<E> State<E> {
    fn close_piece(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(Arc::from(&self.tail[..]));
            self.tail.clear();
        }
    }

    /// Lets go of pieces that every reader has; how many bytes.
    fn forget_read(&mut self) -> u64 {
        let slowest = self.readers.values().copied().min().unwrap_or(self.bytes);
        if slowest == self.bytes {
            self.close_piece();
        }
        let mut gone = 0;
        let mut pieces = 0;
        for piece in &self.pieces {
            let end = self.base + gone + piece.len() as u64;
            if end > slowest {
                break;
            }
            gone += piece.len() as u64;
            pieces += 1;
        }
        self.pieces.drain(..pieces);
        self.base += gone;
        gone
    }
}

impl<E: Clone> Reader<E> {
    /// Waits until the answer begins, or ends before it does.
    pub fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<Begun<E>> {
        let mut state = lock(&self.fill.state);
        match (&state.draft, &state.end) {
            (Some(draft), None | Some(End::Whole)) => Poll::Ready(Begun::Answer(draft.clone(), state.length)),
            (_, Some(end)) => Poll::Ready(Begun::Ended(end.clone())),
            (None, None) => wait(&mut state, cx),
        }
    }

    /// Hands over what comes next; what stands in a piece that still grows is appended to `room`.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>, room: &mut Vec<u8>) -> Poll<Piece<E>> {
        let mut state = lock(&self.fill.state);
        let mut start = state.base;
        let mut found = None;
        for piece in &state.pieces {
            let end = start + piece.len() as u64;
            if self.at < end {
                found = Some((piece.clone(), (self.at.saturating_sub(start)) as usize));
                break;
            }
            start = end;
        }
        if let Some((piece, offset)) = found {
            self.at += (piece.len() - offset) as u64;
            self.moved(state);
            return Poll::Ready(Piece::Shared(piece, offset));
        }
        if self.at < state.bytes {
            let tail = state.tail.get((self.at - start) as usize..).unwrap_or_default();
            let length = tail.len();
            room.extend_from_slice(tail);
            self.at = state.bytes;
            self.moved(state);
            return Poll::Ready(Piece::Copied(length));
        }
        match &state.end {
            Some(end) => Poll::Ready(Piece::Ended(end.clone())),
            None => wait(&mut state, cx),
        }
    }

    fn moved(&self, mut state: MutexGuard<'_, State<E>>) {
        state.readers.insert(self.number, self.at);
        let filler = state.filler.take();
        drop(state);
        if let Some(filler) = filler {
            filler.wake();
        }
    }
}

impl<E> Drop for Reader<E> {
    fn drop(&mut self) {
        let mut state = lock(&self.fill.state);
        state.readers.remove(&self.number);
        let filler = state.filler.take();
        drop(state);
        if let Some(filler) = filler {
            filler.wake();
        }
    }
}

fn wait<E, T>(state: &mut State<E>, cx: &Context<'_>) -> Poll<T> {
    if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        state.waiting.push(cx.waker().clone());
    }
    Poll::Pending
}

fn wake<E>(mut state: MutexGuard<'_, State<E>>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
