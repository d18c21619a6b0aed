//! Lets a stream pass in whole events, so that one that breaks off can still be told of its end in words that can be read.

use memchr::{memrchr, memrchr2_iter};

use crate::Dialect;

/// The most that is held back. Of a longer event the beginning passes: pictures in events are that long, prose is not.
const HELD_BYTES: usize = 4 << 20;

/// The least that a frame of AWS's event stream has: two lengths and two checksums.
const FRAME_LEAST: usize = 16;

/// What of a stream is held back, because the event that it belongs to is not whole.
#[derive(Debug)]
pub struct Whole {
    framing: Framing,
    held: Vec<u8>,
    /// Bytes of a frame that are still to come behind those that have passed.
    owed: usize,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    /// A blank line ends an event.
    Event,
    /// A line is one.
    Line,
    /// Its length stands before it.
    Frame,
}

impl Whole {
    /// For a stream of that dialect.
    pub fn new(dialect: Dialect) -> Self {
        let framing = match dialect {
            Dialect::Ollama => Framing::Line,
            Dialect::Bedrock => Framing::Frame,
            _ => Framing::Event,
        };
        Self { framing, held: Vec::new(), owed: 0 }
    }

    /// Appends what is whole of these bytes and of those before them.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let end = self.end(bytes, 0);
            let (whole, rest) = bytes.split_at(end);
            out.extend_from_slice(whole);
            self.held.extend_from_slice(rest);
        } else {
            // What ends an event has up to four bytes, and may be cut in two.
            let searched = self.held.len().saturating_sub(3);
            self.held.extend_from_slice(bytes);
            let held = std::mem::take(&mut self.held);
            let end = self.end(&held, searched);
            out.extend_from_slice(held.get(..end).unwrap_or_default());
            self.held = held;
            self.held.drain(..end);
        }
        if self.held.len() > HELD_BYTES {
            if let (Framing::Frame, Some(total)) = (self.framing, frame(&self.held)) {
                self.owed = total.saturating_sub(self.held.len());
            }
            out.append(&mut self.held);
        }
    }

    /// Appends what is left.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    /// Up to where the text is whole; no end is before `from`.
    fn end(&mut self, text: &[u8], from: usize) -> usize {
        match self.framing {
            Framing::Line => memrchr(b'\n', text).map_or(0, |at| at + 1),
            Framing::Event => memrchr2_iter(b'\n', b'\r', text)
                .take_while(|at| *at >= from)
                .map(|at| at + 1)
                .find(|end| {
                    let text = text.get(..*end).unwrap_or_default();
                    text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n") || text.ends_with(b"\r\r")
                })
                .unwrap_or(0),
            Framing::Frame => {
                let mut at = self.owed.min(text.len());
                self.owed -= at;
                while self.owed == 0
                    && let Some(total) = text.get(at..).and_then(frame)
                {
                    match at.checked_add(total).filter(|end| *end <= text.len()) {
                        Some(end) => at = end,
                        None => break,
                    }
                }
                at
            }
        }
    }
}

/// The length of the frame that begins there; `None` where too little of it is there. What is none passes in pieces.
fn frame(text: &[u8]) -> Option<usize> {
    let length = text.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*length) as usize).max(FRAME_LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let mut whole = Whole::new(dialect);
        let (mut out, mut rest) = (Vec::new(), Vec::new());
        for piece in pieces {
            whole.pass(piece, &mut out);
        }
        whole.finish(&mut rest);
        (out, rest)
    }

    #[test]
    fn half_an_event_is_held_back() {
        let text = b"event: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\rdata: {\"ha";
        let at = text.len() - 10;
        for cut in 0..text.len() {
            let (out, rest) = passed(Dialect::OpenAi, &[&text[..cut], &text[cut..]]);
            assert_eq!((&out[..], &rest[..]), (&text[..at], &text[at..]), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(passed(Dialect::Anthropic, &bytes).0, &text[..at]);
    }

    #[test]
    fn half_a_line_is_held_back() {
        assert_eq!(
            passed(Dialect::Ollama, &[b"{}\n{\"a", b"\":1}\n{"]),
            (b"{}\n{\"a\":1}\n".to_vec(), b"{".to_vec())
        );
    }

    #[test]
    fn half_a_frame_is_held_back() {
        let frame = |length: u32| [&length.to_be_bytes()[..], &vec![7; length as usize - 4]].concat();
        let text = [frame(16), frame(40), frame(20)[..11].to_vec()].concat();
        for cut in 0..text.len() {
            let (out, rest) = passed(Dialect::Bedrock, &[&text[..cut], &text[cut..]]);
            assert_eq!((&out[..], &rest[..]), (&text[..56], &text[56..]), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_held_is_bounded_and_the_frame_behind_it_is_found() {
        let long = HELD_BYTES as u32 + 100;
        let mut whole = Whole::new(Dialect::Bedrock);
        let mut out = Vec::new();
        whole.pass(&[&long.to_be_bytes()[..], &vec![0; HELD_BYTES + 10]].concat(), &mut out);
        assert_eq!(out.len(), HELD_BYTES + 14, "nothing is held of what is too long");
        whole.pass(&vec![0; 86], &mut out);
        assert_eq!(out.len(), long as usize);
        whole.pass(&[0, 0, 0, 20, 1, 2], &mut out);
        assert_eq!(out.len(), long as usize, "the next is held until it is whole");
        let mut lines = Whole::new(Dialect::OpenAi);
        out.clear();
        lines.pass(&vec![b'x'; HELD_BYTES + 1], &mut out);
        assert_eq!(out.len(), HELD_BYTES + 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_changed(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), any::<u8>()], 0..200),
            cut in 0usize..200,
            dialect in prop_oneof![Just(Dialect::OpenAi), Just(Dialect::Ollama), Just(Dialect::Bedrock)],
        ) {
            let cut = cut.min(bytes.len());
            let (out, rest) = passed(dialect, &[&bytes[..cut], &bytes[cut..]]);
            prop_assert_eq!([out, rest].concat(), bytes);
        }
    }
}
