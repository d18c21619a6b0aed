//! AWS's event stream encoding (`application/vnd.amazon.eventstream`): frames with headers, a payload and two CRC-32.
//!
//! A frame is: its length and its headers' length (both 32 bits, big-endian), the CRC of these 8 bytes, the headers, the
//! payload, the CRC of all before. A header is: the length of its name (8 bits), the name, the type of its value (8 bits), the
//! value; texts and byte strings have their length (16 bits) in front.

use crate::Fault;

/// Bytes of a whole frame. AWS's own libraries take payloads of 24 MB at most.
pub const FRAME_BYTES: usize = 24 << 20;

/// Bytes of a frame's headers, AWS's own bound.
pub const HEADER_BYTES: usize = 128 << 10;

/// Bytes before the headers.
const PRELUDE: usize = 12;

/// Bytes around headers and payload.
const OVERHEAD: usize = PRELUDE + 4;

/// A text value's type.
const TEXT: u8 = 7;

/// One frame, as far as services use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `:message-type`: `event`, `exception` or `error`.
    pub kind: &'a str,
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub name: &'a str,
    /// `:error-message`; empty where there is none.
    pub message: &'a str,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Takes a stream apart. It holds at most one frame.
#[derive(Debug, Default)]
pub struct Splitter {
    held: Vec<u8>,
}

impl Splitter {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere, and tells each frame that is whole. A fault, of the stream or of `each`, ends it.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.held.is_empty() {
            let rest = split(bytes, &mut each)?;
            self.held.extend_from_slice(rest);
        } else {
            self.held.extend_from_slice(bytes);
            let rest = split(&self.held, &mut each)?.len();
            let done = self.held.len().saturating_sub(rest);
            self.held.drain(..done);
        }
        Ok(())
    }

    /// Whether a frame has begun that is not whole.
    pub fn is_within(&self) -> bool {
        !self.held.is_empty()
    }
}

/// Tells the frames that are whole, and gives what is left.
fn split<'a>(
    mut bytes: &'a [u8],
    each: &mut impl FnMut(Frame<'_>) -> Result<(), Fault>,
) -> Result<&'a [u8], Fault> {
    while let Some(prelude) = bytes.first_chunk::<PRELUDE>() {
        let whole = number(prelude, 0);
        let headers = number(prelude, 4);
        if crc32fast::hash(prelude.first_chunk::<8>().unwrap_or(&[0; 8])) != word(prelude, 8) {
            return Err(Fault::syntax("A frame's prelude does not have the checksum that it says."));
        }
        if whole > FRAME_BYTES || headers > HEADER_BYTES || headers.saturating_add(OVERHEAD) > whole {
            return Err(Fault::syntax("A frame has a length that no frame may have."));
        }
        let Some((frame, rest)) = bytes.split_at_checked(whole) else { break };
        let (summed, sum) = frame.split_at_checked(whole.saturating_sub(4)).unwrap_or((frame, &[]));
        if crc32fast::hash(summed) != word(sum, 0) {
            return Err(Fault::syntax("A frame does not have the checksum that it says."));
        }
        let inner = summed.get(PRELUDE..).unwrap_or_default();
        let (headers, payload) = inner.split_at_checked(headers).unwrap_or((inner, &[]));
        each(read(headers, payload)?)?;
        bytes = rest;
    }
    Ok(bytes)
}

fn read<'a>(mut headers: &'a [u8], payload: &'a [u8]) -> Result<Frame<'a>, Fault> {
    let mut frame = Frame { kind: "event", name: "", message: "", payload };
    while !headers.is_empty() {
        let (name, value) = header(&mut headers).ok_or_else(|| {
            Fault::syntax("A frame's header is not whole, or of a type that does not exist.")
        })?;
        match name {
            b":message-type" => frame.kind = value,
            b":event-type" | b":exception-type" | b":error-code" => frame.name = value,
            b":error-message" => frame.message = value,
            _ => {}
        }
    }
    Ok(frame)
}

/// Takes the next header: its name, and its value if that is a text.
fn header<'a>(headers: &mut &'a [u8]) -> Option<(&'a [u8], &'a str)> {
    let length = take(headers, 1)?.first().copied()?;
    let name = take(headers, usize::from(length))?;
    let kind = take(headers, 1)?.first().copied()?;
    let size = match kind {
        // True and false, then integers of 1, 2, 4 and 8 bytes, a time of 8, a UUID of 16.
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | TEXT => {
            let length = take(headers, 2)?;
            usize::from(u16::from_be_bytes(*length.first_chunk()?))
        }
        _ => return None,
    };
    let value = take(headers, size)?;
    let text = if kind == TEXT { std::str::from_utf8(value).ok()? } else { "" };
    Some((name, text))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<4>());
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

fn number(bytes: &[u8], at: usize) -> usize {
    usize::try_from(word(bytes, at)).unwrap_or(usize::MAX)
}

/// Appends a frame with an event whose payload `payload` appends.
pub fn write_event(name: &str, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    write(":event-type", name, "event", out, payload);
}

/// Appends a frame with an exception whose payload `payload` appends.
pub fn write_exception(name: &str, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    write(":exception-type", name, "exception", out, payload);
}

fn write(name: &str, value: &str, kind: &str, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE]);
    write_header(name, value, out);
    write_header(":content-type", "application/json", out);
    write_header(":message-type", kind, out);
    let headers = out.len() - start - PRELUDE;
    payload(out);
    // Lengths that 32 bits can't hold are a client's loss: it refuses anything over its own, smaller bound.
    let whole = u32::try_from(out.len() - start + 4).unwrap_or(u32::MAX);
    let headers = u32::try_from(headers).unwrap_or(u32::MAX);
    let mut prelude = [0; PRELUDE];
    for (place, byte) in prelude.iter_mut().zip(whole.to_be_bytes().into_iter().chain(headers.to_be_bytes()))
    {
        *place = byte;
    }
    let sum = crc32fast::hash(prelude.first_chunk::<8>().unwrap_or(&[0; 8]));
    for (place, byte) in prelude.iter_mut().skip(8).zip(sum.to_be_bytes()) {
        *place = byte;
    }
    if let Some(place) = out.get_mut(start..start + PRELUDE) {
        place.copy_from_slice(&prelude);
    }
    let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
}

fn write_header(name: &str, value: &str, out: &mut Vec<u8>) {
    // Names and values are words of this crate, far below these bounds.
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(name.as_bytes());
    out.push(TEXT);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split_all(pieces: &[&[u8]]) -> Result<Vec<(String, String, Vec<u8>)>, Fault> {
        let mut splitter = Splitter::new();
        let mut told = Vec::new();
        for piece in pieces {
            splitter.feed(piece, |frame| {
                told.push((frame.kind.to_owned(), frame.name.to_owned(), frame.payload.to_vec()));
                Ok(())
            })?;
        }
        assert!(!splitter.is_within());
        Ok(told)
    }

    fn two() -> Vec<u8> {
        let mut out = Vec::new();
        write_event("messageStart", &mut out, |out| out.extend_from_slice(b"{\"role\":\"assistant\"}"));
        write_exception("throttlingException", &mut out, |out| out.extend_from_slice(b"{}"));
        out
    }

    #[test]
    fn frames_cut_anywhere_are_read_as_they_were_written() {
        let bytes = two();
        for cut in 0..=bytes.len() {
            let told = split_all(&[&bytes[..cut], &bytes[cut..]]).unwrap();
            assert_eq!(
                told[0],
                ("event".into(), "messageStart".into(), b"{\"role\":\"assistant\"}".to_vec())
            );
            assert_eq!((told[1].0.as_str(), told[1].1.as_str()), ("exception", "throttlingException"));
        }
    }

    #[test]
    fn a_frame_of_aws_s_own_is_read() {
        // An empty frame, from the encoding's published test vectors.
        let bytes = [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255];
        let told = split_all(&[&bytes]).unwrap();
        assert_eq!(told, [("event".to_owned(), String::new(), Vec::new())]);
    }

    #[test]
    fn values_of_every_type_are_skipped_by_their_size() {
        let mut headers = Vec::new();
        for (kind, size) in [(0u8, 0usize), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
            headers.extend_from_slice(&[1, b'x', kind]);
            headers.extend(std::iter::repeat_n(0xff, size));
        }
        headers.extend_from_slice(&[1, b'x', 6, 0, 2, 1, 2]);
        write_header(":event-type", "last", &mut headers);
        assert_eq!(read(&headers, b"").unwrap().name, "last");
        assert!(read(&[1, b'x', 10], b"").is_err());
        assert!(read(&[1, b'x', 7, 0, 9, 1], b"").is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_a_fault() {
        let bytes = two();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            let mut splitter = Splitter::new();
            let fine = splitter.feed(&broken, |_| Ok(())).is_ok() && !splitter.is_within();
            assert!(!fine, "byte {at}");
        }
    }

    #[test]
    fn lengths_over_the_bounds_are_refused_before_anything_is_held() {
        let prelude = |whole: u32, headers: u32| {
            let mut bytes = [whole.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            bytes
        };
        for (whole, headers) in [(u32::MAX, 0), (15, 0), (0, 0), (100, 90), (1 << 20, 200_000)] {
            assert!(Splitter::new().feed(&prelude(whole, headers), |_| Ok(())).is_err(), "{whole} {headers}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_splitter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), whole in 0u32..200, headers in 0u32..200) {
            let mut framed = [whole.to_be_bytes(), headers.to_be_bytes()].concat();
            framed.extend_from_slice(&crc32fast::hash(&framed).to_be_bytes());
            framed.extend_from_slice(&bytes);
            let whole = whole as usize;
            if (16..=framed.len()).contains(&whole) {
                let sum = crc32fast::hash(&framed[..whole - 4]).to_be_bytes();
                framed[whole - 4..whole].copy_from_slice(&sum);
            }
            let _ = Splitter::new().feed(&framed, |_| Ok(()));
        }
    }
}
