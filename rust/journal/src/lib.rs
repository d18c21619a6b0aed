//! Keeps records on disk so that no kill loses one: segments mapped into memory, appended to without a system call.
//!
//! Knows: bytes of records, folders, memory maps, one background thread.
//! Never: what a record says, clocks, configuration files, who reads.
//!
//! A worker appends by copying into a mapped file: the page is the kernel's, so `kill -9` loses nothing that was copied.
//! (A power cut may: what the kernel has not written back yet, some 30 seconds.) A background thread makes the files, so that
//! appending waits for no disk; while it can't, records wait in memory, and [`Writer::pressure`] asks for fewer.
//!
//! # The format
//!
//! All numbers are little-endian. A folder holds segments, `NONCE-WORKER-NUMBER.tgj`: in the order of their names, those of one
//! nonce and worker hold what one writer appended, in order. A segment begins with a header of 64 bytes:
//!
//! | at | bytes | |
//! | ---: | ---: | --- |
//! | 0 | 4 | `TGJ1` |
//! | 4 | 4 | bytes of the header: 64 |
//! | 8 | 8 | bytes of the file, once it is whole; while it is being made it is shorter, and holds no record |
//! | 16 | 8 | nonce: random, one per opened journal |
//! | 24 | 8 | number of the segment; rises with every segment of the process |
//! | 32 | 4 | process id of the owner |
//! | 36 | 4 | worker |
//! | 40 | 8 | when the owner started, in ticks since boot: field 22 of `/proc/PID/stat` |
//! | 48 | 8 | boot: the first 16 hexadecimal digits of `/proc/sys/kernel/random/boot_id`, as a number |
//! | 56 | 4 | 0 |
//! | 60 | 4 | check sum of the 60 bytes before |
//!
//! From 64 on, frames follow one another, each at a multiple of 8:
//!
//! | at | bytes | |
//! | ---: | ---: | --- |
//! | 0 | 4 | bytes of the record; 0: no frame yet, ask again; 2³²−1: the segment is closed, no frame will follow |
//! | 4 | 4 | check sum of the record; 0 and 2³²−1 where the length is one of these two |
//! | 8 | | the record, then zeros up to a multiple of 8 |
//!
//! A check sum is the low 32 bits of XXH3 (64 bits, seed 0). Both numbers of a frame are stored at once, after the record, so a
//! kill at any instruction leaves whole frames and nothing else. A frame whose check sum is wrong was damaged on disk; or
//! it was copied out while it was written, and is whole the next time.
//!
//! # Who removes segments
//!
//! The reader, by unlinking, never by truncating (that would kill the owner): a segment that it has read to its closing mark; or
//! one that it has read to its end *after* it saw that the owner is gone ([`Header::owner_is_gone`]). A reader in another
//! process id name space sees no owner: it must not remove. Files shorter than a header are passed over.

mod format;
mod journal;
mod keeper;
mod map;
mod owner;
mod read;

pub use format::{CLOSED, HEADER_BYTES, Header, MAGIC, NotASegment};
pub use journal::{
    Appended, Journal, PRESSURE_PART, QUEUE_BYTES, SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MOST, Stats, Writer,
};
pub use read::{End, Segment, list, read_file, read_segment};
