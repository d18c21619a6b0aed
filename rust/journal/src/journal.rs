//! A folder of segments, and the writers that append to it, one for each worker.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{fs, io};

use crate::format::{HEAD_BYTES, frame_bytes};
use crate::map::Mapped;
use crate::{HEADER_BYTES, Header, keeper, owner};

/// Bytes of records that wait in memory, for each writer, while there is no segment; at least one segment's. That is some
/// 30,000 records of calls, and small beside what a call in flight holds.
pub const QUEUE_BYTES: usize = 16 << 20;
/// Writers ask for fewer calls above this part of the queue: a quarter, so that calls in flight find room when they end.
pub const PRESSURE_PART: usize = 4;
/// The smallest segment: a smaller one is filled faster than a disk makes the next.
pub const SEGMENT_BYTES_LEAST: u64 = 64 << 10;
/// The largest: lengths have 32 bits, and every writer has two.
pub const SEGMENT_BYTES_MOST: u64 = 1 << 30;

/// A folder of segments. It locks nothing and removes nothing that holds a record: readers do.
pub struct Journal {
    shared: Arc<Shared>,
    /// Taken when the journal ends, which ends the keeper.
    keeper: Option<(Sender<Message>, JoinHandle<()>)>,
}

/// Appends for one worker.
pub struct Writer {
    journal: Arc<Journal>,
    /// What is appended to. `None`: the slot has the next, or will have it.
    segment: Option<Mapped>,
    slot: Arc<Slot>,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Into a segment: no kill loses it.
    Written,
    /// Into memory, until there is a segment.
    Queued,
    /// Nowhere: memory was full too.
    Lost,
    /// Nowhere: it is empty, or larger than a segment.
    Refused,
}

/// Figures since the journal was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Segments that were made.
    pub segments: u64,
    /// Bytes that wait in memory now.
    pub queued_bytes: u64,
    /// Records that were lost because memory was full, or because there was no segment when the journal ended.
    pub lost: u64,
    /// Records that were refused: empty, or larger than a segment.
    pub refused: u64,
    /// Segments that could not be made.
    pub failures: u64,
    /// The error number of the last that could not be made, until one can be made again; 0 for none.
    pub errno: i32,
}

impl Journal {
    /// Opens a folder, and makes it where it is not there. `segment_bytes` is rounded up to whole pages; records are at most 80 bytes
    /// smaller than it. Segments that others left are left to readers.
    pub fn open(dir: &Path, segment_bytes: u64) -> io::Result<Arc<Self>> {
        if !(SEGMENT_BYTES_LEAST..=SEGMENT_BYTES_MOST).contains(&segment_bytes) {
            let why = format!(
                "a segment has {SEGMENT_BYTES_LEAST} to {SEGMENT_BYTES_MOST} bytes, not {segment_bytes}"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        fs::create_dir_all(dir)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            segment_bytes: segment_bytes.next_multiple_of(4096),
            nonce: RandomState::new().build_hasher().finish(),
            started: owner::started(),
            boot: owner::boot().unwrap_or(0),
            queued_bytes: AtomicUsize::new(0),
            segments: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            errno: AtomicI32::new(0),
        });
        let (sender, receiver): (_, Receiver<Message>) = channel();
        let thread = {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("tidegate-journal".into());
            builder.spawn(move || keeper::run(&shared, &receiver))?
        };
        Ok(Arc::new(Self { shared, keeper: Some((sender, thread)) }))
    }

    /// A writer for a worker. Waits for the disk once, so that its first record has a segment; where that can't be made, records wait
    /// in memory.
    pub fn writer(self: &Arc<Self>, worker: usize) -> Writer {
        let worker = u32::try_from(worker).unwrap_or(u32::MAX);
        let segment = self.shared.make(worker).ok();
        let slot = Arc::new(Slot { worker, queued_bytes: AtomicUsize::new(0), waiting: Mutex::default() });
        self.tell(Message::Serve(Arc::clone(&slot)));
        Writer { journal: Arc::clone(self), segment, slot }
    }

    /// The figures now.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            segments: shared.segments.load(Relaxed),
            queued_bytes: shared.queued_bytes.load(Relaxed) as u64,
            lost: shared.lost.load(Relaxed),
            refused: shared.refused.load(Relaxed),
            failures: shared.failures.load(Relaxed),
            errno: shared.errno.load(Relaxed),
        }
    }

    /// Bytes of the largest record.
    pub fn largest_record(&self) -> usize {
        self.shared.largest_record()
    }

    fn tell(&self, message: Message) {
        if let Some((sender, _)) = &self.keeper {
            // The keeper ends only when the sender does.
            let _ = sender.send(message);
        }
    }
}

impl Drop for Journal {
    /// Waits until what is queued was written, or could not be.
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.keeper.take() {
            drop(sender);
            // A keeper that panicked left nothing that could be done here.
            let _ = thread.join();
        }
    }
}

impl Writer {
    /// Appends a record. Never waits and never fails: see [`Appended`] for what may become of it.
    #[inline]
    pub fn append(&mut self, record: &[u8]) -> Appended {
        if let Some(segment) = &mut self.segment
            && !record.is_empty()
            && segment.push(record)
        {
            return Appended::Written;
        }
        self.append_elsewhere(record)
    }

    /// Whether so much waits in memory that no new call should begin: its record could be lost.
    #[inline]
    pub fn pressure(&self) -> bool {
        self.slot.queued_bytes.load(Relaxed) > self.journal.shared.queue_bytes() / PRESSURE_PART
    }

    /// Into the next segment, or into memory.
    #[cold]
    fn append_elsewhere(&mut self, record: &[u8]) -> Appended {
        let shared = &self.journal.shared;
        if record.is_empty() || record.len() > shared.largest_record() {
            shared.refused.fetch_add(1, Relaxed);
            return Appended::Refused;
        }
        self.retire();
        let mut waiting = self.slot.lock();
        while let Some(spare) = waiting.spare.take() {
            drop(waiting);
            self.journal.tell(Message::Wake);
            let segment = self.segment.insert(spare);
            if segment.push(record) {
                return Appended::Written;
            }
            // Records that waited were written to it first, and left too little room.
            self.retire();
            waiting = self.slot.lock();
        }
        let shared = &self.journal.shared;
        let bytes = queued(record.len());
        if self.slot.queued_bytes.load(Relaxed) + bytes > shared.queue_bytes() {
            shared.lost.fetch_add(1, Relaxed);
            return Appended::Lost;
        }
        self.slot.queued_bytes.fetch_add(bytes, Relaxed);
        shared.queued_bytes.fetch_add(bytes, Relaxed);
        waiting.queue.push_back(record.into());
        Appended::Queued
    }

    /// Closes the segment and has it unmapped: that takes a system call, and the keeper has time.
    fn retire(&mut self) {
        if let Some(mut segment) = self.segment.take() {
            segment.close();
            self.journal.tell(Message::Retire(segment));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.retire();
        self.slot.lock().gone = true;
        self.journal.tell(Message::Wake);
    }
}

/// What writers tell the keeper.
pub(crate) enum Message {
    /// A new writer wants spare segments.
    Serve(Arc<Slot>),
    /// A spare was taken, or a writer is gone.
    Wake,
    /// A full segment is to be unmapped.
    Retire(Mapped),
}

/// What a writer and the keeper share.
pub(crate) struct Slot {
    pub(crate) worker: u32,
    /// Bytes of records that are in no segment yet: those in `waiting` and those that the keeper is just writing.
    pub(crate) queued_bytes: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// Locked for a few stores at a time, and only between two segments.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The next segment. Only there while `queue` is empty, so that records stay in order.
    pub(crate) spare: Option<Mapped>,
    pub(crate) queue: VecDeque<Box<[u8]>>,
    /// The writer was dropped.
    pub(crate) gone: bool,
}

/// What everybody of one journal knows.
pub(crate) struct Shared {
    dir: PathBuf,
    segment_bytes: u64,
    nonce: u64,
    started: u64,
    boot: u64,
    pub(crate) queued_bytes: AtomicUsize,
    segments: AtomicU64,
    pub(crate) lost: AtomicU64,
    refused: AtomicU64,
    failures: AtomicU64,
    errno: AtomicI32,
}

impl Slot {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// A new segment; waits for the disk.
    pub(crate) fn make(&self, worker: u32) -> io::Result<Mapped> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let header = Header {
            segment_bytes: self.segment_bytes,
            nonce: self.nonce,
            number: NUMBER.fetch_add(1, Relaxed),
            pid: std::process::id(),
            worker,
            started: self.started,
            boot: self.boot,
        };
        let made = Mapped::create(&self.dir, &header);
        match &made {
            Ok(_) => {
                self.segments.fetch_add(1, Relaxed);
                self.errno.store(0, Relaxed);
            }
            Err(error) => {
                self.failures.fetch_add(1, Relaxed);
                self.errno.store(error.raw_os_error().unwrap_or(libc::EIO), Relaxed);
            }
        }
        made
    }

    fn largest_record(&self) -> usize {
        // A header, the frame's head, the closing mark; the rest is a multiple of 8.
        self.segment_bytes as usize - HEADER_BYTES - 2 * HEAD_BYTES
    }

    fn queue_bytes(&self) -> usize {
        QUEUE_BYTES.max(self.segment_bytes as usize)
    }
}

/// Bytes of memory that a waiting record takes.
pub(crate) fn queued(record: usize) -> usize {
    frame_bytes(record) + size_of::<Box<[u8]>>()
}
