//! The bytes of a segment: its header, the head of a frame, the check sum. The format is in the crate's own documentation.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// The first bytes of a segment.
pub const MAGIC: [u8; 4] = *b"TGJ1";
/// Bytes before the first frame.
pub const HEADER_BYTES: usize = 64;
/// The length that says that no frame will follow.
pub const CLOSED: u32 = u32::MAX;
/// Bytes of a frame before its record.
pub(crate) const HEAD_BYTES: usize = 8;

/// Whose segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole file.
    pub segment_bytes: u64,
    /// One per opened journal.
    pub nonce: u64,
    /// Rises with every segment of the process.
    pub number: u64,
    /// The owner's process id.
    pub pid: u32,
    /// Whose writer it is.
    pub worker: u32,
    /// When the owner started, in ticks since boot.
    pub started: u64,
    /// Which boot that was.
    pub boot: u64,
}

/// These bytes begin with no header, or with a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASegment;

impl Header {
    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.nonce.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.pid.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.worker.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.started.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.boot.to_le_bytes());
        let sum = check_sum(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header that `bytes` begin with.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotASegment> {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(NotASegment)?;
        let whole = header[..4] == MAGIC
            && u32_at(header, 4) as usize == HEADER_BYTES
            && u32_at(header, 60) == check_sum(&header[..60]);
        whole
            .then(|| Self {
                segment_bytes: u64_at(header, 8),
                nonce: u64_at(header, 16),
                number: u64_at(header, 24),
                pid: u32_at(header, 32),
                worker: u32_at(header, 36),
                started: u64_at(header, 40),
                boot: u64_at(header, 48),
            })
            .ok_or(NotASegment)
    }

    /// The segment's file name; names of one writer sort in the order in which it filled them.
    pub fn file_name(&self) -> String {
        format!("{:016x}-{:04}-{:012}.tgj", self.nonce, self.worker, self.number)
    }
}

/// The frame's first eight bytes, as one number.
pub(crate) fn head(record: &[u8]) -> u64 {
    // Records are shorter than a segment, and a segment is shorter than 2^31.
    u64::from(check_sum(record)) << 32 | record.len() as u64
}

/// The closing mark, as one number.
pub(crate) const CLOSING: u64 = u64::MAX;

/// Bytes that a record takes in a segment.
pub(crate) const fn frame_bytes(record: usize) -> usize {
    (HEAD_BYTES + record).next_multiple_of(8)
}

pub(crate) fn check_sum(bytes: &[u8]) -> u32 {
    // The low half.
    xxh3_64(bytes) as u32
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl fmt::Display for NotASegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no journal segment: its header is missing or damaged")
    }
}

impl std::error::Error for NotASegment {}
