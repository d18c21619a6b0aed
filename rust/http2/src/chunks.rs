//! Takes our own chunked bodies apart again (RFC 9112 §7.1).
//!
//! The text was written by Tidegate: it has no extensions. What looks otherwise is a fault of ours and refused.

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
}

/// The reader of one chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    place: Place,
    left: u64,
    digits: u8,
}

/// What stands at the start of the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes of framing.
    Framing(usize),
    /// Data, up to so many bytes; [`Chunks::took`] says how many were taken.
    Data(u64),
    /// The trailer section, whose end the reader of its lines finds.
    Trailer,
}

impl Chunks {
    /// Looks at the start of `text`, which is not empty; `None` where it is no chunked body.
    pub(crate) fn next(&mut self, text: &[u8]) -> Option<Piece> {
        match self.place {
            Place::Data => return Some(Piece::Data(self.left)),
            Place::Trailer => return Some(Piece::Trailer),
            _ => {}
        }
        let mut count = 0;
        for byte in text {
            if matches!(self.place, Place::Data | Place::Trailer) {
                break;
            }
            self.control(*byte)?;
            count += 1;
        }
        Some(Piece::Framing(count))
    }

    /// Data was taken.
    pub(crate) fn took(&mut self, count: u64) {
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.place = Place::DataCr;
        }
    }

    fn control(&mut self, byte: u8) -> Option<()> {
        self.place = match (self.place, byte) {
            (Place::Size, b'\r') if self.digits > 0 => Place::SizeLf,
            (Place::Size, _) if self.digits < 15 => {
                let digit = char::from(byte).to_digit(16)?;
                self.left = self.left << 4 | u64::from(digit);
                self.digits += 1;
                Place::Size
            }
            (Place::SizeLf, b'\n') if self.left == 0 => Place::Trailer,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => {
                self.digits = 0;
                Place::Size
            }
            _ => return None,
        };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(mut text: &[u8], step: usize) -> Option<Vec<u8>> {
        let mut chunks = Chunks::default();
        let mut out = Vec::new();
        while !text.is_empty() {
            let piece = &text[..step.min(text.len())];
            match chunks.next(piece)? {
                Piece::Framing(count) => text = &text[count..],
                Piece::Data(most) => {
                    let count = piece.len().min(most as usize);
                    out.extend_from_slice(&piece[..count]);
                    chunks.took(count as u64);
                    text = &text[count..];
                }
                Piece::Trailer => return Some(out),
            }
        }
        None
    }

    #[test]
    fn data_is_found_however_the_text_is_cut() {
        for step in 1..20 {
            assert_eq!(
                data(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", step),
                Some(b"abc0123456789".to_vec())
            );
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [&b"x\r\n"[..], b"\r\n", b"3;a\r\n", b"3\nabc", b"3\r\nabcd\r\n", b"0000000000000000\r\n"]
        {
            assert_eq!(data(text, 100), None);
        }
    }
}
