//! A segment that is mapped into memory: the only place with `unsafe`, for what a mapped file asks of its users.
//!
//! Three things are unsafe here, and hold for these reasons:
//!
//! - **Mapping a file** shows memory that others could change or cut off under us. The file was made by this process under
//!   a name that nobody else uses; by the format's rules readers read and unlink and never truncate (an unlinked file stays whole
//!   until it is unmapped); and its blocks are allocated before it is mapped, so that touching a page can't fail
//!   for want of room.
//! - **Storing a frame's head** needs an atomic store into the mapping: its address is within the mapping (checked) and a multiple
//!   of 8 (pages and frames are), and only this value, which is owned by one thread at a time, writes to it.
//! - **Allocating blocks** is a call of C with an open descriptor and two numbers; it touches no memory of ours.

// A mapped file has no safe form; the three places and their reasons are above.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Release;

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::format::{CLOSING, HEAD_BYTES, frame_bytes, head};
use crate::{HEADER_BYTES, Header};

/// A segment that is written to.
pub(crate) struct Mapped {
    map: MmapMut,
    /// Where the next frame begins: a multiple of 8, and at least eight bytes before the end.
    at: usize,
    path: PathBuf,
}

impl Mapped {
    /// Makes the file, with all its blocks; nothing stays behind where that fails. Slow: it waits for the disk.
    pub(crate) fn create(dir: &Path, header: &Header) -> io::Result<Self> {
        let path = dir.join(header.file_name());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let map = fill(&file, header).and_then(|()| {
            // SAFETY: nobody else writes to or truncates this file (see above).
            unsafe { MmapOptions::new().len(header.segment_bytes as usize).map_mut(&file) }
        });
        match map {
            Ok(map) => {
                // Else the worker pays for the first touch of each page. Kernels before 5.14 can't, and the worker does.
                let _ = map.advise_range(Advice::PopulateWrite, 0, map.len().min(TOUCHED_BYTES));
                Ok(Self { map, at: HEADER_BYTES, path })
            }
            Err(error) => {
                // Its blocks may be what others wait for. Where it can't be removed either, a reader will do it.
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Appends a record; `false`, and nothing written, where it does not fit. It must not be empty.
    #[inline]
    pub(crate) fn push(&mut self, record: &[u8]) -> bool {
        // A closing mark fits behind it, always.
        let end = self.at.saturating_add(frame_bytes(record.len()));
        if end.saturating_add(HEAD_BYTES) > self.map.len() {
            return false;
        }
        let start = self.at + HEAD_BYTES;
        self.map[start..start + record.len()].copy_from_slice(record);
        self.store(self.at, head(record));
        self.at = end;
        true
    }

    /// Says that no frame will follow.
    pub(crate) fn close(&mut self) {
        self.store(self.at, CLOSING);
    }

    /// Whether nothing was appended.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == HEADER_BYTES
    }

    /// Unmaps and removes it.
    pub(crate) fn remove(self) {
        // A reader may have been quicker.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Stores eight bytes at once, after all that was written before: what makes a frame one.
    #[inline]
    fn store(&mut self, at: usize, value: u64) {
        assert!(at.is_multiple_of(8) && at + 8 <= self.map.len(), "frames stay within their segment");
        // SAFETY: the eight bytes are within the mapping, aligned (a mapping begins on a page), and borrowed mutably.
        let place = unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) };
        place.store(value.to_le(), Release);
    }
}

/// Writes the header and allocates the file's blocks, zeroed.
fn fill(file: &File, header: &Header) -> io::Result<()> {
    // First, so that a reader can always tell whose an unfinished file is.
    (&*file).write_all(&header.to_bytes())?;
    let length = libc::off_t::try_from(header.segment_bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a segment is too large"))?;
    // SAFETY: the descriptor is open, and no memory is passed.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        // A file system that can't allocate: zeros that are written do the same.
        libc::EOPNOTSUPP | libc::EINVAL => write_zeros(file, header.segment_bytes),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn write_zeros(mut file: &File, segment_bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut left = segment_bytes.saturating_sub(HEADER_BYTES as u64);
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

/// Bytes of a new segment that are touched in the background. More would only be held in memory for long.
const TOUCHED_BYTES: usize = 8 << 20;
