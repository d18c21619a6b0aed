//! Buffers on their way from workers to the writer and, emptied, back.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Emptied buffers that are kept for workers.
const FREE_MOST: usize = 64;

/// An emptied buffer that grew past this is given back to the allocator.
const FREE_BYTES: usize = 128 * 1024;

/// The lock is held for a few moves of pointers at a time, never while something is written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes who waits for the writer.
    done: Condvar,
    /// Bytes that were handed over and are not written yet.
    pending: AtomicUsize,
    dropped: AtomicU64,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    full: VecDeque<Vec<u8>>,
    free: Vec<Vec<u8>>,
    reopen: bool,
    closing: bool,
    writing: bool,
}

/// What the writer is to do.
pub(super) struct Work {
    /// Open the sink anew first.
    pub(super) reopen: bool,
    /// Whole lines to write.
    pub(super) lines: Option<Vec<u8>>,
}

/// Why a buffer was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Somebody else is at the queue at this moment.
    Busy,
    /// As many bytes wait as may wait.
    Full,
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            pending: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            most,
        }
    }

    /// Takes the lines in `buffer` and leaves an empty one. Waits for nothing.
    pub(super) fn offer(&self, buffer: &mut Vec<u8>) -> Result<(), Refused> {
        if self.is_full(buffer.len()) {
            return Err(Refused::Full);
        }
        match self.state.try_lock() {
            Ok(state) => self.put(state, buffer),
            Err(TryLockError::Poisoned(poisoned)) => self.put(poisoned.into_inner(), buffer),
            Err(TryLockError::WouldBlock) => return Err(Refused::Busy),
        }
        Ok(())
    }

    /// The same for the last buffer of a worker: waits for the lock, not for room.
    pub(super) fn offer_last(&self, buffer: &mut Vec<u8>) -> Result<(), Refused> {
        if self.is_full(buffer.len()) {
            return Err(Refused::Full);
        }
        self.put(self.lock(), buffer);
        Ok(())
    }

    pub(super) fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.work.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// The writer's: waits for something to do; `None` when there will be nothing more.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            let reopen = std::mem::take(&mut state.reopen);
            let lines = state.full.pop_front();
            if reopen || lines.is_some() {
                state.writing = true;
                return Some(Work { reopen, lines });
            }
            if state.closing {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The writer's: what `next` gave is done with.
    pub(super) fn finished(&self, lines: Option<Vec<u8>>) {
        let mut state = self.lock();
        state.writing = false;
        if let Some(mut lines) = lines {
            self.pending.fetch_sub(lines.len(), Ordering::Relaxed);
            lines.clear();
            if state.free.len() < FREE_MOST && lines.capacity() <= FREE_BYTES {
                state.free.push(lines);
            }
        }
        if state.full.is_empty() && !state.reopen {
            self.done.notify_all();
        }
    }

    /// Waits until all that was handed over is written; `false` where that took longer than `most`.
    pub(super) fn wait_until_written(&self, most: Duration) -> bool {
        let unfinished = |state: &mut State| state.writing || state.reopen || !state.full.is_empty();
        let waited = self.done.wait_timeout_while(self.lock(), most, unfinished);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !unfinished(&mut state)
    }

    /// One buffer is always let in, however large, so that a small bound still lets lines through.
    fn is_full(&self, more: usize) -> bool {
        let pending = self.pending.load(Ordering::Relaxed);
        pending > 0 && pending + more > self.most
    }

    fn put(&self, mut state: MutexGuard<'_, State>, buffer: &mut Vec<u8>) {
        self.pending.fetch_add(buffer.len(), Ordering::Relaxed);
        let empty = state.free.pop().unwrap_or_default();
        state.full.push_back(std::mem::replace(buffer, empty));
        drop(state);
        self.work.notify_one();
    }

    /// Keeps everybody else from the queue.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
