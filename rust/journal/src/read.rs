//! Reads segments back: whole frames in order, and why there are no more.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::format::{CLOSING, HEAD_BYTES, check_sum, frame_bytes, u64_at};
use crate::{HEADER_BYTES, Header, NotASegment};

/// Records that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<T> {
    /// Whole records, in order.
    pub records: Vec<T>,
    /// Where to read on.
    pub next: usize,
    /// What is there.
    pub end: End,
}

/// Why no further record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// None was written yet; or ever, if the owner is gone.
    Open,
    /// None will be.
    Closed,
    /// The next frame is not what was written. In a segment that is being written it may be whole the next time.
    Damaged,
}

/// Reads the frames of a segment from `offset` on; 0 for all. Any other offset is one that was answered as `next`.
pub fn read_segment(bytes: &[u8], offset: usize) -> Result<Segment<&[u8]>, NotASegment> {
    Header::parse(bytes)?;
    let mut records = Vec::new();
    let mut at = offset.max(HEADER_BYTES);
    let end = loop {
        match frame(bytes, at) {
            Ok(record) => {
                records.push(record);
                // A frame that was read ends within memory, and so does its padding.
                at += frame_bytes(record.len());
            }
            Err(end) => break end,
        }
    };
    Ok(Segment { records, next: at, end })
}

/// [`read_segment`] of a file. Bytes that no segment begins with are [`io::ErrorKind::InvalidData`].
pub fn read_file(path: &Path, offset: usize) -> io::Result<Segment<Vec<u8>>> {
    let bytes = fs::read(path)?;
    let read =
        read_segment(&bytes, offset).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Segment {
        records: read.records.into_iter().map(<[u8]>::to_vec).collect(),
        next: read.next,
        end: read.end,
    })
}

/// The segments of a folder, by name: those of one writer in the order in which it filled them.
pub fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tgj") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn frame(bytes: &[u8], at: usize) -> Result<&[u8], End> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.len() < HEAD_BYTES {
        return Err(End::Open);
    }
    let head = u64_at(rest, 0);
    match head {
        0 => return Err(End::Open),
        CLOSING => return Err(End::Closed),
        _ => {}
    }
    let (length, sum) = (head as u32 as usize, (head >> 32) as u32);
    let record = rest.get(HEAD_BYTES..HEAD_BYTES.saturating_add(length)).ok_or(End::Damaged)?;
    if length == 0 || check_sum(record) != sum {
        return Err(End::Damaged);
    }
    Ok(record)
}
