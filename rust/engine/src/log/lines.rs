//! One worker's lines before they are handed to the writer.

use std::time::{Duration, Instant};

use super::{Log, queue::Refused};

/// A buffer of this many bytes is handed over at once.
const HAND_OVER: usize = 32 * 1024;

/// How many times that much a buffer may hold while somebody else is at the queue.
const BUSY_FACTOR: usize = 8;

/// One worker's lines. What is left is handed over when it goes.
#[derive(Debug)]
pub struct Lines {
    log: Log,
    buffer: Vec<u8>,
    most: usize,
    flush: Duration,
    /// When `flush` was last called.
    looked: Instant,
    /// No line in the buffer is older.
    oldest: Option<Instant>,
}

impl Lines {
    pub(super) fn new(log: Log) -> Self {
        let plan = log.plan();
        let most = (plan.buffer_bytes as usize).clamp(1, HAND_OVER);
        let flush = Duration::from_millis(u64::from(plan.flush_ms));
        Self { log, buffer: Vec::new(), most, flush, looked: Instant::now(), oldest: None }
    }

    /// Appends what `write` writes, which is one line with its LF. Where the writer is so far behind that nothing can
    /// be handed over, `write` is not called and the line counts as dropped.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.buffer.len() >= self.most {
            match self.hand_over() {
                Ok(()) => {}
                // Somebody is at the queue, for an instant or until he is given the processor again.
                Err(Refused::Busy) if self.buffer.len() < self.most * BUSY_FACTOR => {}
                Err(_) => {
                    self.log.queue().lost(1);
                    return;
                }
            }
        }
        write(&mut self.buffer);
        if self.buffer.len() >= self.most {
            let _ = self.hand_over();
        }
    }

    /// Called every now and then: hands over what would become older than `flush_ms` before the next call.
    pub fn flush(&mut self) {
        let now = Instant::now();
        let step = now.duration_since(std::mem::replace(&mut self.looked, now));
        if self.buffer.is_empty() {
            return;
        }
        // A line that is new since the last call may have come right after it.
        let oldest = *self.oldest.get_or_insert(now - step);
        if now.duration_since(oldest) + step >= self.flush {
            let _ = self.hand_over();
        }
    }

    fn hand_over(&mut self) -> Result<(), Refused> {
        self.log.queue().offer(&mut self.buffer)?;
        self.oldest = None;
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.buffer.is_empty() && self.log.queue().offer_last(&mut self.buffer).is_err() {
            self.log.queue().lost(memchr::memchr_iter(b'\n', &self.buffer).count() as u64);
        }
    }
}
