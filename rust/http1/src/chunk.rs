//! Chunked bodies (RFC 9112 §7.1): the framing of a body that comes in, and of one that goes out.

use std::ops::Range;

use memchr::memchr;

use crate::diagnose::is_token_byte;
use crate::{ChunkFault, trailer};

/// What ends a chunked body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How much of a chunked body's framing is taken, beside the data itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of chunk extensions over the whole body; they are read and dropped.
    pub extension_bytes: usize,
    /// Bytes of the trailer section with its empty line.
    pub trailer_bytes: usize,
    /// Trailer lines.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    /// Extensions are hardly used at all: 4 KiB let a signature per chunk pass on small bodies, and stop
    /// one who sends a byte of data with each kilobyte of extension. Trailers are a digest or a signature.
    fn default() -> Self {
        Self { extension_bytes: 4 * 1024, trailer_bytes: 4 * 1024, trailer_fields: 32 }
    }
}

/// What one call of [`ChunkDecoder::decode`] took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkStep {
    /// How many bytes of the input have been dealt with, framing and data.
    pub consumed: usize,
    /// Which of them are data; may be empty.
    pub data: Range<usize>,
    /// Whether the body has ended; the rest of the input belongs to the next message.
    pub done: bool,
}

/// Reads the framing of one chunked body, in whatever pieces it comes.
#[derive(Debug)]
pub struct ChunkDecoder {
    limits: ChunkLimits,
    state: State,
    /// In `Size`: the digits so far as a number. In `Data`: the bytes of data still to come.
    left: u64,
    /// Digits of the size so far.
    digits: u8,
    /// Bytes of extensions that may still come.
    extension_left: usize,
    /// The trailer section as it comes in, and once it has ended what of it may be forwarded.
    trailers: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// In the trailer section, whose lines are judged together when it ends.
    Trailer,
    Done,
}

/// The parts of `*( BWS ";" BWS name [ BWS "=" BWS value ] )`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    AfterValue,
}

impl ChunkDecoder {
    /// A decoder at the start of a body.
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            state: State::Size,
            left: 0,
            digits: 0,
            extension_left: limits.extension_bytes,
            trailers: Vec::new(),
        }
    }

    /// Takes what it can from `input`: framing up to data, one run of data, and the framing after it.
    ///
    /// Bytes that are not consumed must be given again, with more behind them unless the input holds more
    /// data already. An empty `input` consumes nothing. Sizes have hexadecimal digits and nothing else, at most
    /// 16 of them; lines end with CRLF.
    ///
    /// # Errors
    /// What is wrong with the framing; the connection cannot be read on.
    pub fn decode(&mut self, input: &[u8]) -> Result<ChunkStep, ChunkFault> {
        let mut at = 0;
        let mut data = 0..0;
        while at < input.len() {
            match self.state {
                State::Done => break,
                State::Data if !data.is_empty() => break,
                State::Data => {
                    let most = (input.len() - at) as u64;
                    let taken = self.left.min(most) as usize;
                    data = at..at + taken;
                    at += taken;
                    self.left -= taken as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                }
                State::Trailer => at += self.trailer(&input[at..])?,
                _ => {
                    self.control(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(ChunkStep { consumed: at, data, done: self.state == State::Done })
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer lines that may be forwarded, each with its CRLF, without the empty line; empty until the
    /// body has ended. Fields that frame, route, authenticate or describe the message are not among them
    /// (RFC 9110 §6.5.1).
    pub fn trailers(&self) -> &[u8] {
        if self.is_done() { &self.trailers } else { &[] }
    }

    fn control(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.state = match self.state {
            State::Size => return self.size(byte),
            State::Extension(part) => {
                self.extension_left =
                    self.extension_left.checked_sub(1).ok_or(ChunkFault::ExtensionsTooLong)?;
                extension(part, byte)?
            }
            State::SizeLf if byte != b'\n' => return Err(ChunkFault::BareCr),
            State::SizeLf if self.left == 0 => State::Trailer,
            State::SizeLf => State::Data,
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataCr if byte == b'\n' => return Err(ChunkFault::BareLf),
            State::DataCr => return Err(ChunkFault::MissingDataEnd),
            State::DataLf if byte != b'\n' => return Err(ChunkFault::BareCr),
            State::DataLf => {
                self.digits = 0;
                State::Size
            }
            state @ (State::Data | State::Trailer | State::Done) => state,
        };
        Ok(())
    }

    fn size(&mut self, byte: u8) -> Result<(), ChunkFault> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' | b';' | b'\n' if self.digits == 0 => return Err(ChunkFault::MissingSize),
            b'\r' => {
                self.state = State::SizeLf;
                return Ok(());
            }
            b';' => {
                self.state = State::Extension(Extension::BeforeName);
                return Ok(());
            }
            b'\n' => return Err(ChunkFault::BareLf),
            _ => return Err(ChunkFault::InvalidSize),
        };
        // Sixteen digits hold every size; more would be zeros that others may count differently.
        if self.digits == 16 {
            return Err(ChunkFault::SizeTooLarge);
        }
        self.left = if self.digits == 0 { 0 } else { self.left << 4 } | u64::from(digit);
        self.digits += 1;
        if self.left > i64::MAX as u64 { Err(ChunkFault::SizeTooLarge) } else { Ok(()) }
    }

    /// Collects the trailer section; returns how much of `input` belongs to it.
    fn trailer(&mut self, input: &[u8]) -> Result<usize, ChunkFault> {
        // Nearly always the section is its empty line, in one piece.
        if self.trailers.is_empty() && input.starts_with(b"\r\n") {
            self.state = State::Done;
            return Ok(2);
        }
        let taken = memchr(b'\n', input).map_or(input.len(), |at| at + 1);
        if self.trailers.len() + taken > self.limits.trailer_bytes {
            return Err(ChunkFault::TrailersTooLarge);
        }
        self.trailers.extend_from_slice(&input[..taken]);
        let ended = self.trailers == b"\r\n"
            || self.trailers.ends_with(b"\n\r\n")
            || self.trailers == b"\n"
            || self.trailers.ends_with(b"\n\n");
        if ended {
            trailer::keep_forwardable(&mut self.trailers, self.limits.trailer_fields)?;
            self.state = State::Done;
        }
        Ok(taken)
    }
}

/// One byte of a chunk extension (RFC 9112 §7.1.1). Nobody acts on extensions; their grammar is held to so
/// that the line ends where everybody sees it end.
fn extension(part: Extension, byte: u8) -> Result<State, ChunkFault> {
    use Extension::{AfterName, AfterValue, BeforeName, BeforeValue, Escaped, Name, Quoted, Value};
    Ok(State::Extension(match (part, byte) {
        (BeforeName | AfterName | BeforeValue | AfterValue, b' ' | b'\t') => part,
        (Name, b' ' | b'\t') => AfterName,
        (Value, b' ' | b'\t') => AfterValue,
        (Name | AfterName, b'=') => BeforeValue,
        (Name | AfterName | Value | AfterValue, b';') => BeforeName,
        (Name | Value | AfterName | AfterValue, b'\r') => return Ok(State::SizeLf),
        (BeforeName | Name, _) if is_token_byte(byte) => Name,
        (BeforeValue, b'"') => Quoted,
        (BeforeValue | Value, _) if is_token_byte(byte) => Value,
        (Quoted, b'"') => AfterValue,
        (Quoted, b'\\') => Escaped,
        (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
        (_, b'\n') => return Err(ChunkFault::BareLf),
        (_, b'\r') => return Err(ChunkFault::InvalidExtension),
        _ => return Err(ChunkFault::InvalidExtension),
    }))
}

/// Writes the line before a chunk of `n` bytes, `1a3f` and CRLF, and returns how much of `out` it takes.
///
/// A chunk of no bytes would end the body: `n` must not be 0 ([`LAST_CHUNK`] says so on purpose).
pub fn chunk_size_line(n: usize, out: &mut [u8; 18]) -> usize {
    debug_assert!(n > 0, "an empty chunk ends the body");
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let count = (usize::BITS - (n | 1).leading_zeros()).div_ceil(4) as usize;
    for (index, byte) in out[..count].iter_mut().enumerate() {
        *byte = DIGITS[(n >> (4 * (count - 1 - index))) & 0xf];
    }
    out[count..count + 2].copy_from_slice(b"\r\n");
    count + 2
}
