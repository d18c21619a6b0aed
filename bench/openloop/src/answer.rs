//! Finds where an HTTP/1.1 response ends: Content-Length, chunked, or the end of the connection.

/// A head longer than this is no answer that a benchmark expects.
const HEAD_MAX: usize = 64 * 1024;

/// What a response turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its status code.
    pub status: u16,
    /// Whether the connection may carry another request.
    pub keep: bool,
}

/// The bytes are no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Reads one response after the other.
pub struct Answer {
    head: Vec<u8>,
    stage: Stage,
    outcome: Outcome,
}

enum Stage {
    Head,
    Length(u64),
    Chunked(Chunk),
    Close,
}

enum Chunk {
    Size(u64),
    Extension(u64),
    Data(u64),
    DataEnd,
    Trailer { line_is_empty: bool },
}

impl Answer {
    /// Ready for a response.
    pub fn new() -> Self {
        Self { head: Vec::new(), stage: Stage::Head, outcome: Outcome { status: 0, keep: true } }
    }

    /// Whether nothing of a response has come yet.
    pub fn untouched(&self) -> bool {
        self.head.is_empty() && matches!(self.stage, Stage::Head)
    }

    /// Takes what was read; the outcome once the response is whole. Bytes past its end are malformed: nobody asked.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, Malformed> {
        self.feed_with(bytes, |_| ())
    }

    /// The same; hands the body on, without its framing, as it comes.
    pub fn feed_with(
        &mut self,
        mut bytes: &[u8],
        mut body: impl FnMut(&[u8]),
    ) -> Result<Option<Outcome>, Malformed> {
        while !bytes.is_empty() {
            let is_body =
                matches!(self.stage, Stage::Length(_) | Stage::Close | Stage::Chunked(Chunk::Data(_)));
            let (used, done) = self.step(bytes)?;
            if is_body {
                body(&bytes[..used]);
            }
            bytes = &bytes[used..];
            if done {
                self.reset();
                return if bytes.is_empty() { Ok(Some(self.outcome)) } else { Err(Malformed) };
            }
        }
        Ok(None)
    }

    /// The peer closed: the end of a response without a length, or a response cut short.
    pub fn end(&mut self) -> Result<Outcome, Malformed> {
        let whole = matches!(self.stage, Stage::Close);
        self.reset();
        if whole { Ok(self.outcome) } else { Err(Malformed) }
    }

    /// Forgets a response that was cut short.
    pub fn reset(&mut self) {
        self.head.clear();
        self.stage = Stage::Head;
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        match &mut self.stage {
            Stage::Head => self.take_head(bytes),
            Stage::Length(left) => {
                let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                Ok((used, *left == 0))
            }
            Stage::Chunked(chunk) => chunk.step(bytes),
            Stage::Close => Ok((bytes.len(), false)),
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let search = before.saturating_sub(3);
        let Some(found) = self.head[search..].windows(4).position(|four| four == b"\r\n\r\n") else {
            return if self.head.len() > HEAD_MAX { Err(Malformed) } else { Ok((bytes.len(), false)) };
        };
        let end = search + found + 4;
        self.stage = self.framing(end)?;
        self.head.clear();
        Ok((end - before, matches!(self.stage, Stage::Length(0))))
    }

    /// RFC 9112 §6.3: no body after 1xx, 204 and 304, then chunked, then Content-Length, then the end of the connection.
    fn framing(&mut self, end: usize) -> Result<Stage, Malformed> {
        let text = std::str::from_utf8(&self.head[..end]).map_err(|_| Malformed)?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).ok_or(Malformed)?;
        let status: u16 = status.parse().map_err(|_| Malformed)?;
        let mut stage = Stage::Close;
        let mut keep = true;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && !matches!(stage, Stage::Chunked(_)) {
                stage = Stage::Length(value.parse().map_err(|_| Malformed)?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                stage = Stage::Chunked(Chunk::Size(0));
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                keep = false;
            }
        }
        if (100..200).contains(&status) {
            return Ok(Stage::Head);
        }
        if status == 204 || status == 304 {
            stage = Stage::Length(0);
        }
        let keep = keep && !matches!(stage, Stage::Close);
        self.outcome = Outcome { status, keep };
        Ok(stage)
    }
}

impl Chunk {
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let byte = bytes[0];
        let mut used = 1;
        let mut done = false;
        *self = match *self {
            Self::Size(size) => match (byte as char).to_digit(16) {
                Some(digit) => Self::Size(size.checked_mul(16).ok_or(Malformed)? + u64::from(digit)),
                None => Self::Extension(size).after(byte),
            },
            Self::Extension(size) => Self::Extension(size).after(byte),
            Self::Data(left) => {
                used = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                match left - used as u64 {
                    0 => Self::DataEnd,
                    rest => Self::Data(rest),
                }
            }
            Self::DataEnd if byte == b'\n' => Self::Size(0),
            Self::DataEnd if byte == b'\r' => Self::DataEnd,
            Self::DataEnd => return Err(Malformed),
            Self::Trailer { line_is_empty } => {
                done = line_is_empty && byte == b'\n';
                Self::Trailer { line_is_empty: byte == b'\n' || (line_is_empty && byte == b'\r') }
            }
        };
        Ok((used, done))
    }

    /// What follows a chunk's size line once its end is reached.
    fn after(self, byte: u8) -> Self {
        match self {
            Self::Extension(0) if byte == b'\n' => Self::Trailer { line_is_empty: true },
            Self::Extension(size) if byte == b'\n' => Self::Data(size),
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\nDigest: 1\r\n\r\n";

    fn whole(bytes: &[u8]) -> Result<Option<Outcome>, Malformed> {
        Answer::new().feed(bytes)
    }

    #[test]
    fn a_content_length_ends_the_response() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(whole(bytes), Ok(Some(Outcome { status: 200, keep: true })));
        assert_eq!(whole(&bytes[..bytes.len() - 1]), Ok(None));
    }

    #[test]
    fn cut_anywhere_a_response_reads_the_same() {
        let length = b"HTTP/1.1 429 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        for (bytes, status, keep) in [(CHUNKED, 200, true), (length.as_slice(), 429, false)] {
            for cut in 1..bytes.len() {
                let mut answer = Answer::new();
                assert_eq!(answer.feed(&bytes[..cut]), Ok(None), "cut at {cut}");
                assert_eq!(answer.feed(&bytes[cut..]), Ok(Some(Outcome { status, keep })), "cut at {cut}");
                assert!(answer.untouched());
            }
        }
    }

    #[test]
    fn the_body_is_handed_on_without_its_framing() {
        for cut in 1..CHUNKED.len() {
            let (mut answer, mut body) = (Answer::new(), Vec::new());
            for part in [&CHUNKED[..cut], &CHUNKED[cut..]] {
                answer.feed_with(part, |bytes| body.extend_from_slice(bytes)).unwrap();
            }
            assert_eq!(body, b"abcd", "cut at {cut}");
        }
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let bytes = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(whole(bytes), Ok(Some(Outcome { status: 204, keep: true })));
    }

    #[test]
    fn without_a_length_the_connection_ends_the_response() {
        let mut answer = Answer::new();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\nabc"), Ok(None));
        assert_eq!(answer.end(), Ok(Outcome { status: 200, keep: false }));
    }

    #[test]
    fn a_response_that_is_cut_short_or_followed_by_bytes_is_malformed() {
        let mut answer = Answer::new();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"), Ok(None));
        assert_eq!(answer.end(), Err(Malformed));
        assert_eq!(whole(b"HTTP/1.1 204 X\r\n\r\nHTTP/1.1"), Err(Malformed));
        assert_eq!(whole(b"SSH-2.0-x\r\n\r\n"), Err(Malformed));
    }
}
